"""What `cog extract` costs over the forward passes alone, and in memory.

    python benchmarks/extract.py [--small] [--only rate,sharing,memory,geometries]

As in `cog extract`, torch computes on as many threads as there are cores, and as many decode.
Images are drawn, as in decode.py. JSON lines on stdout:
- rate: a ResNet-50 of random weights: images a second of `cog.features.extract.extract`, files
  of features included, and of the forward pass over the same batches in memory; `share` is the
  first over the second. The two take turns; median, lowest and highest of the repeats.
- sharing: the same for 1, 2 and 5 networks that share their preprocessing, all in the same turns:
  `factor` is the time of one extraction for all over the sum of their forward passes. They are
  MobileNet-V3-Small, whose forward pass costs hardly more than decoding.
- memory: peak memory of the command `cog extract`, in a process of its own, for two numbers of
  images; `ratio` is that of the larger over that of the smaller. Every image of a class is a
  hard link to one small JPEG, under its own name; chunks have as many rows in both; the network is
  a mean of colours and a matrix of 3 × 512.
- geometries: seconds of one core for decoding an image once and resizing it for every geometry of
  the benchmark's 31 models, over those of decoding it and resizing it for one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported, as `cog` does

import torch
import torchvision
from decode import PREPROCESS, draw_jpeg, encode, network, over, spread, turns, write_images
from PIL import Image

from cog.cores import usable_cores
from cog.features.executors.one_device import OneDevice
from cog.features.extract import extract
from cog.features.feeder.batch import cut
from cog.features.feeder.feed import feed
from cog.features.feeder.feeding import Feeding
from cog.features.forward import embed
from cog.features.model_run import ModelRun
from cog.features.settings import Extraction
from cog.images.decoding import decode
from cog.images.preprocess import Preprocess
from cog.levels.files import read_levels
from cog.models.model import Model
from cog.models.zoo import ZooRow, read_zoo
from cog.progress import Silent

Record = dict[str, Any]
BATCH = 64

NETWORK = """
import torch
import cog

def load():
    layers = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 512)
    return cog.Model(torch.nn.Sequential(*layers), preprocess=cog.Preprocess(resize=32, crop=32),
                     name="colours")
"""
# ru_maxrss would not do: a process starts with the peak of the one that started it.
PEAK = """
import sys
from pathlib import Path
from cog.cli.main import main

main(sys.argv[1:], standalone_mode=False)
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def against_forward(
    name: str, counts: Sequence[int], n_images: int, repeats: int
) -> Iterator[Record]:
    """Extraction for so many networks in one pass, over their forward passes alone."""
    images = [draw_jpeg(seed) for seed in range(n_images)]
    models = [
        Model(network(name, seed), preprocess=PREPROCESS, name=f"{name}_{seed}")
        for seed in range(max(counts))
    ]
    settings = Extraction(device="cpu", batch_size=BATCH, chunk_rows=2 * BATCH)
    with tempfile.TemporaryDirectory() as folder:
        images = write_images(Path(folder), images)
        slices = list(cut(slice(0, len(images)), BATCH))
        batches = feed(images, slices, [PREPROCESS], Feeding(usable_cores()))
        ready = [batch.pixels[PREPROCESS].clone() for batch in batches]

        def forward(count: int) -> None:
            for model in models[:count]:
                for pixels in ready:
                    embed(model, pixels)

        def extraction(count: int) -> None:
            with tempfile.TemporaryDirectory() as out:
                runs = [
                    ModelRun(Path(out) / model.name, model, model.name) for model in models[:count]
                ]
                extract(
                    runs, "images", [images], settings, OneDevice.of(settings, Silent()), Silent()
                )

        ways = {}
        for count in counts:
            ways[f"forward {count}"] = partial(forward, count)
            ways[f"extract {count}"] = partial(extraction, count)
        times = turns(ways, repeats)
    for count in counts:
        alone, ours = times[f"forward {count}"], times[f"extract {count}"]
        yield {
            "network": name,
            "models": count,
            "images": len(images),
            "repeats": repeats,
            "forward_images_per_second": spread([len(images) / s for s in alone["wall"]], 2),
            "images_per_second": spread([len(images) / s for s in ours["wall"]], 2),
            "share": over(alone["wall"], ours["wall"]),
            "factor": over(ours["wall"], alone["wall"]),
            "processor_factor": over(ours["processor"], alone["processor"]),
        }


def rate(options: argparse.Namespace) -> Iterator[Record]:
    """One large network."""
    name = "resnet18" if options.small else "resnet50"
    yield from against_forward(name, [1], options.images, options.repeats)


def sharing(options: argparse.Namespace) -> Iterator[Record]:
    """Several small ones; they are quick, so that there are twice the images."""
    name = "mobilenet_v3_small"
    yield from against_forward(name, [1, 2, 5], 2 * options.images, options.repeats)


def memory(options: argparse.Namespace) -> Iterator[Record]:
    """Peak memory of the command by the number of images."""
    peaks = {rows: peak_bytes(rows, options.chunk_rows) for rows in sorted(options.rows)}
    few, many = min(peaks), max(peaks)
    yield {
        "chunk_rows": options.chunk_rows,
        "peak_megabytes": {f"{rows}": round(peak / 1e6, 1) for rows, peak in peaks.items()},
        "ratio": round(peaks[many] / peaks[few], 3),
        "bytes_a_row": round((peaks[many] - peaks[few]) / (many - few)),
    }


def peak_bytes(rows: int, chunk_rows: int) -> int:
    """Peak memory of `cog extract` on the first level, half to train and half to test."""
    wnids = read_levels().wnids(1)
    half = rows // len(wnids) // 2
    if not half:
        raise SystemExit(f"--rows: two a class or more, {2 * len(wnids):,}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "networks.py").write_text(NETWORK)
        for wnid in wnids:
            (root / "images" / wnid).mkdir(parents=True)
            names = [root / "images" / wnid / f"{wnid}_{row}.JPEG" for row in range(2 * half)]
            names[0].write_bytes(encode(Image.new("RGB", (48, 36), "teal")))
            for name in names[1:]:
                name.hardlink_to(names[0])
        command = [
            sys.executable, "-c", PEAK, "extract", "--model", f"{root / 'networks.py'}:load",
            "--images", root / "images", "--only", "L1", "--test-per-class", half,
            "--min-train", half, "--max-train", half, "--chunk-rows", chunk_rows,
            "--device", "cpu", "--out", root / "runs",
        ]  # fmt: skip
        done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.split()[-1]) * 1024


def prepared(row: ZooRow) -> Preprocess:
    """How a model of the table wants its images."""
    return Preprocess(row.resize, row.crop, "bicubic", row.mean, row.std)


def benchmark_rows() -> list[ZooRow]:
    """The 31 models."""
    return [row for row in read_zoo().values() if row.benchmark]


def geometries(options: argparse.Namespace) -> Iterator[Record]:
    """Decoding once and resizing for all, on one thread."""
    images = [draw_jpeg(seed) for seed in range(options.images)]
    wanted = sorted({prepared(row).geometry for row in benchmark_rows()}, key=str)

    def load(kinds: Sequence[Preprocess]) -> None:
        for data in images:
            image = decode(data)
            for kind in kinds:
                kind.pixels(image)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    ways = {"one": partial(load, [PREPROCESS]), "all": partial(load, wanted)}
    times = turns(ways, options.repeats)
    torch.set_num_threads(threads)
    yield {
        "geometries": [f"{kind.resize} {kind.crop} {kind.interpolation}" for kind in wanted],
        "images_per_second_and_core": {
            way: spread([len(images) / s for s in of["processor"]], 1) for way, of in times.items()
        },
        "factor": over(times["all"]["processor"], times["one"]["processor"]),
    }


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[Record]]] = {
    "rate": rate,
    "sharing": sharing,
    "memory": memory,
    "geometries": geometries,
}


def numbers(text: str) -> list[int]:
    """`1,8,64`."""
    return [int(part) for part in text.split(",")]


def read_options() -> argparse.Namespace:
    """The arguments; `--small` takes fewer images and repeats."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--small", action="store_true", help="few images, one repeat, ResNet-18")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=numbers, default=[10_000, 100_000], help="of memory")
    parser.add_argument("--chunk-rows", type=int, default=1_024, help="of memory")
    options = parser.parse_args()
    if options.small:
        options.images, options.repeats, options.rows = 32, 1, [2_000, 4_000]
    return options


def main() -> None:
    """Measure the parts asked for, print."""
    options = read_options()
    for part in options.only.split(","):
        for record in PARTS[part](options):
            print(json.dumps({
                "benchmark": f"extract: {part}",
                "measured": True,
                **record,
                "threads": {"torch": torch.get_num_threads(), "decode": usable_cores()},
                "versions": {"python": platform.python_version(), "torch": torch.__version__,
                             "torchvision": torchvision.__version__},
            }, ensure_ascii=False), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
