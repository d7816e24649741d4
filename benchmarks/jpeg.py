"""What decodes JPEGs: the libraries against Pillow, their bits, and what one small image costs.

    python benchmarks/jpeg.py [--repeats 9] [--damaged 2000] [--only cost,damaged,box]

Processor time in microseconds, one thread; the ways take turns in every repeat. JSON lines:
- cost: a decode of 16 × 16 and of 500 × 375 pixels by each library that is installed (torchcodec
  too, which cog does not use), and by Pillow; `whole` is bytes to uint8 [3, S, S], S 16 or 224,
  with the library that cog uses and with Pillow in its place.
- damaged: files that are cut, or of which a piece is changed, left out or doubled. Of each library:
  how many it reads to Pillow's bits, how many it refuses, and how many it reads otherwise, which
  must be none.
- box: `Image.resize(…, box=…)` of what a centre crop keeps, against resizing all and cropping:
  the share of pixels that differ, the share of images without any, and the ratio of time.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import numpy as np
import torch
from decode import draw_jpeg, photographs
from PIL import Image

from cog.images import decoding
from cog.images.decoding import decode_for
from cog.images.headers import is_plain, jpeg_frame
from cog.images.jpeg_library import LIBRARIES, RGB, JpegLibrary, jpeg_library
from cog.images.limits import TooCostly
from cog.images.preprocess import Preprocess

Decode = Callable[[bytes], torch.Tensor]


def with_pillow(data: bytes) -> torch.Tensor:
    """As Pillow is mostly used."""
    image = Image.open(io.BytesIO(data), formats=("JPEG",)).convert("RGB")
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def installed() -> dict[str, Decode]:
    """The libraries that are here."""
    ways: dict[str, Decode] = {}
    for name, load in LIBRARIES.items():
        try:
            ways[name] = load()
        except (ImportError, AttributeError, RuntimeError) as error:
            print(f"no {name}: {error}")
    try:
        import torchcodec.decoders  # noqa: F401

        operator = torch.ops.torchcodec_ns.decode_jpeg.default
        ways["torchcodec"] = lambda data: operator(
            torch.frombuffer(bytearray(data), dtype=torch.uint8), RGB
        )
    except (ImportError, AttributeError, RuntimeError):
        pass
    return {**ways, "pillow": with_pillow}


def turns(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Microseconds of processor time of each way: the median of so many turns of about 20 ms."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    rounds = {}
    for name, way in ways.items():
        begun = time.process_time()
        for _ in range(10):
            way()
        rounds[name] = max(5, int(0.2 / (time.process_time() - begun + 1e-6)))
    for _ in range(repeats):
        for name, way in ways.items():
            begun = time.process_time()
            for _ in range(rounds[name]):
                way()
            times[name].append((time.process_time() - begun) / rounds[name] * 1e6)
    return {name: round(statistics.median(of), 1) for name, of in times.items()}


def cost(repeats: int) -> dict[str, Any]:
    """Decoding alone by every library, and the whole way of an image."""
    photo = Image.open(io.BytesIO(photographs()[0]))
    ways, found = installed(), {}
    for side, image in ((16, photo.resize((16, 16))), (224, photo)):
        for progressive in (False, True):
            file = io.BytesIO()
            image.save(file, "JPEG", quality=90, progressive=progressive)
            data, preprocess = file.getvalue(), Preprocess(side, side)

            def whole(data: bytes = data, preprocess: Preprocess = preprocess) -> object:
                return decode_for(preprocess.pixels, data)

            def with_pillow_alone(whole: Callable[[], object] = whole) -> object:
                decoding.jpeg_library = lambda: JpegLibrary("pillow", "", None)
                try:
                    return whole()
                finally:
                    decoding.jpeg_library = jpeg_library

            kind = f"{image.width} × {image.height}{', progressive' * progressive}"
            found[kind] = {
                "bytes": len(data),
                "decode": turns({n: lambda w=w, d=data: w(d) for n, w in ways.items()}, repeats),
                "whole": turns({"now": whole, "pillow alone": with_pillow_alone}, repeats),
            }
    return found


def damaged_files(count: int) -> list[bytes]:
    """Plain JPEGs of 96 × 72: a piece of each is left out, zero, noise, doubled or the last."""
    rng, seeds = np.random.default_rng(1), []
    for data in photographs():
        image = Image.open(io.BytesIO(data)).resize((96, 72))
        for options in ({}, {"progressive": True}, {"restart_marker_blocks": 2}, {"quality": 95}):
            for mode in ("RGB", "L"):
                file = io.BytesIO()
                image.convert(mode).save(file, "JPEG", **options)
                seeds.append(file.getvalue())
    files: list[bytes] = []
    while len(files) < count:
        data = seeds[rng.integers(len(seeds))]
        at, size = int(rng.integers(2, len(data))), int(rng.integers(1, 40))
        if rng.random() < 0.3:
            at = int(rng.integers(2, 650))  # the header
        piece = data[at : at + size]
        kinds = b"", bytes(size), rng.bytes(size), piece * 2, piece[:1] + rng.bytes(1)
        number = int(rng.integers(len(kinds) + 1))
        data = data[:at] + (kinds[number] + data[at + size :] if number < len(kinds) else b"")
        try:
            frame = jpeg_frame(data)
        except TooCostly:
            continue
        if frame is not None and is_plain(frame) and frame.height * frame.width < 4_000_000:
            files.append(data)
    return files


def damaged(count: int) -> dict[str, Any]:
    """What each library makes of damaged files."""
    found: dict[str, Counter[str]] = {name: Counter() for name in installed()}
    for data in damaged_files(count):
        theirs = answer(with_pillow, data)
        for name, way in installed().items():
            ours = answer(way, data)
            if ours is None:
                found[name]["refused"] += 1
            elif theirs is not None and torch.equal(ours, theirs):
                found[name]["pillow's bits"] += 1
            else:
                found[name]["otherwise"] += 1
    return {name: dict(counts) for name, counts in found.items()}


def answer(way: Decode, data: bytes) -> torch.Tensor | None:
    """Pixels, or None if the library refuses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return way(data)
    except Exception:  # Pillow raises nearly anything
        return None


def box(repeats: int) -> dict[str, Any]:
    """Resizing of what the crop keeps alone, for the usual pairs of sizes."""
    found = {}
    for resize, crop in ((224, 224), (256, 224)):
        rng, differ, clean = np.random.default_rng(0), [], 0
        for _ in range(100):
            image = Image.fromarray(rng.integers(0, 256, (*rng.integers(240, 700, 2), 3), np.uint8))
            apart = np.asarray(all_cropped(image, resize, crop)) != kept_alone(image, resize, crop)
            differ.append(apart.mean())
            clean += not apart.any()
        photo = Image.open(io.BytesIO(draw_jpeg(0))).convert("RGB")
        ways = {
            "all": lambda r=resize, c=crop, photo=photo: all_cropped(photo, r, c),
            "box": lambda r=resize, c=crop, photo=photo: kept_alone(photo, r, c),
        }
        found[f"{resize}, {crop}"] = {
            "pixels_that_differ": round(float(np.mean(differ)), 5),
            "images_without": clean / 100,
            "500 × 375": turns(ways, repeats),
        }
    return found


def sides(image: Image.Image, resize: int, crop: int) -> tuple[int, int, int, int]:
    """Width and height after resizing, and where the crop begins there."""
    short = min(image.size)
    width, height = (int(resize * side / short) for side in image.size)
    return width, height, round((width - crop) / 2), round((height - crop) / 2)


def all_cropped(image: Image.Image, resize: int, crop: int) -> Image.Image:
    """Resize, then crop."""
    width, height, left, top = sides(image, resize, crop)
    whole = image.resize((width, height), Image.Resampling.BICUBIC)
    return whole.crop((left, top, left + crop, top + crop))


def kept_alone(image: Image.Image, resize: int, crop: int) -> Image.Image:
    """The same by a box of the image."""
    width, height, left, top = sides(image, resize, crop)
    across, down = image.width / width, image.height / height
    kept = (left * across, top * down, (left + crop) * across, (top + crop) * down)
    return image.resize((crop, crop), Image.Resampling.BICUBIC, box=kept)


def main() -> None:
    """Measure the chosen parts and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--damaged", type=int, default=2000)
    parser.add_argument("--only", default="cost,damaged,box")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for part in options.only.split(","):
        figures = {"cost": cost, "box": box}.get(part, damaged)(
            options.damaged if part == "damaged" else options.repeats
        )
        versions = {
            name: metadata.version(name)
            for name in ("torch", "torchvision", "pillow", *installed())
            if name != "torchcodec"
        }
        print(json.dumps({"benchmark": f"jpeg: {part}", **figures, "versions": versions},
                         ensure_ascii=False), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
