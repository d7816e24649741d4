"""How long the whole benchmark takes, computed: 31 models on six datasets.

    python benchmarks/job.py [--gpu-rates 1000,4000] [--gpus 1,8,64] [--cores-a-gpu 8,2]

Nothing is measured. The hours follow from the rates in the arguments, for GPUs of several speeds,
in several numbers, with several cores each. A model's forward pass costs in proportion to its
multiplications, which torch counts. Forward passes and decoding overlap, so that the slower of them
decides; GPUs and cores divide the work without loss; reading and writing cost nothing.
JSON lines on stdout.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torchvision
from extract import benchmark_rows, numbers, prepared
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cog.models.load import load_model
from cog.models.zoo import ZooRow

Record = dict[str, Any]
DATASETS = 6


def job(options: argparse.Namespace) -> Iterator[Record]:
    """31 models on six datasets."""
    rows = benchmark_rows()
    multiplications = billions_a_image(rows)
    weights = [each / multiplications["sup_resnet50"] for each in multiplications.values()]
    images = DATASETS * options.dataset_images
    yield {
        "models": len(rows),
        "preprocessings": len({prepared(row) for row in rows}),
        "geometries": len({prepared(row).geometry for row in rows}),
        "images": images,
        "decodes": {"shared": images, "alone": images * len(rows)},
        "gigabytes_of_float16": round(images * sum(row.dim for row in rows) * 2 / 1e9),
        "forward_in_resnet50": round(sum(weights), 1),
        "billion_multiplications": {name: round(n, 2) for name, n in multiplications.items()},
    }
    for gpu_rate in options.gpu_rates:
        for cores in options.cores_a_gpu:
            for gpus in options.gpus:
                yield hours(images, weights, gpu_rate, cores, gpus, options)


def hours(
    images: int,
    weights: Sequence[float],
    gpu_rate: float,
    cores: int,
    gpus: int,
    options: argparse.Namespace,
) -> Record:
    """Hours in one pass for all models, and in a pass for each; the slower side decides.

    `weights`: cost of each model's forward pass in that of a ResNet-50.
    """
    a_rate = images / 3600 / gpus  # hours at one image a second and GPU
    decode_once = a_rate / (options.decode_rate * cores)
    decode_shared = decode_once * options.geometries_factor
    forward = [weight * a_rate / gpu_rate for weight in weights]
    return {
        "assumed_resnet50_per_second_and_gpu": gpu_rate,
        "gpus": gpus,
        "cores_a_gpu": cores,
        "decode_rate": options.decode_rate,
        "geometries_factor": options.geometries_factor,
        "forward_hours": round(sum(forward), 2),
        "decode_hours": {
            "shared": round(decode_shared, 2),
            "alone": round(decode_once * len(weights), 2),
        },
        "hours": {
            "shared": round(max(decode_shared, sum(forward)), 2),
            "alone": round(sum(max(decode_once, each) for each in forward), 2),
        },
    }


def billions_a_image(rows: Sequence[ZooRow]) -> dict[str, float]:
    """Name of each model → multiplications of its forward pass in billions, attention included."""
    found: dict[str, float] = {}
    for row in rows:
        network = f"{row.architecture} {row.options} {row.crop}"
        if network not in found:
            model = load_model(row.name, pretrained=False)
            counter = FlopCounterMode(display=False)
            with sdpa_kernel(SDPBackend.MATH), counter:  # fused attention would not be counted
                model.embed(torch.zeros(1, *model.preprocess.shape))
            found[network] = counter.get_total_flops() / 2e9
        found[row.name] = found[network]
    return {row.name: found[row.name] for row in rows}


def read_options() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--gpu-rates", type=numbers, default=[1_000, 4_000],
                        help="assumed: images/s of a ResNet-50 in fp32 on one GPU")  # fmt: skip
    parser.add_argument("--gpus", type=numbers, default=[1, 8, 64])
    parser.add_argument("--cores-a-gpu", type=numbers, default=[8, 2])
    parser.add_argument("--decode-rate", type=float, default=610,
                        help="images/s and core, as decode.py measures it")  # fmt: skip
    parser.add_argument("--geometries-factor", type=float, default=3.06,
                        help="as extract.py measures it in its part geometries")  # fmt: skip
    parser.add_argument("--dataset-images", type=int, default=1_200_000)
    return parser.parse_args()


def main() -> None:
    """Compute, print."""
    versions = {"python": platform.python_version(), "torch": torch.__version__,
                "torchvision": torchvision.__version__}  # fmt: skip
    for record in job(read_options()):
        line = {"benchmark": "job", "measured": False, **record, "versions": versions}
        print(json.dumps(line, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
