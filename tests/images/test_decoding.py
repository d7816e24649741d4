"""The choice of a decoder, and how many times an image is decoded and resized."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cog.errors import CogError
from cog.features.feeder import part as feeder
from cog.features.feeder.feed import feed
from cog.features.feeder.feeding import Feeding
from cog.images.decoding import DECODERS, DEFAULT_DECODER, decode_for
from cog.images.image_list import ImageList
from cog.images.preprocess import Preprocess

WNID = "n00000001"
HALVES = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


def jpeg(seed: int) -> bytes:
    shades = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(shades).resize((85, 61), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def images(tmp_path: Path) -> ImageList:
    """Seven images, of which the fourth is damaged."""
    (tmp_path / WNID).mkdir()
    paths = tuple(f"{WNID}/{row}.jpg" for row in range(7))
    for row, path in enumerate(paths):
        (tmp_path / path).write_bytes(b"no image" if row == 3 else jpeg(row))
    return ImageList(str(tmp_path), "folder", paths, np.zeros(7, np.int64), (WNID,), "train")


def test_models_that_differ_in_mean_and_std_share_all_else(
    images: ImageList, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()
    lock = threading.Lock()

    def count(name: str) -> None:
        with lock:
            calls[name] += 1

    def counted_decode(use: Callable[[torch.Tensor], object], *how: Any) -> tuple[object, str]:
        count("decode")
        return decode_for(use, *how)

    def counted_pixels(self: Preprocess, *how: Any, **out: Any) -> torch.Tensor:
        count(f"resize {self.resize} {self.crop} {self.interpolation}")
        return pixels(self, *how, **out)

    pixels = Preprocess.pixels
    monkeypatch.setattr(feeder, "decode_for", counted_decode)
    monkeypatch.setattr(Preprocess, "pixels", counted_pixels)
    wanted = [
        Preprocess(40, 32),
        Preprocess(40, 32, **HALVES),
        Preprocess(40, 32, std=(0.1, 0.2, 0.3)),
        Preprocess(40, 24, **HALVES),
        Preprocess((40, 40), 32, interpolation="bilinear"),
        Preprocess((40, 40), 32, interpolation="bilinear", **HALVES),
    ]
    found = list(feed(images, [slice(0, 4), slice(4, 7)], wanted, Feeding(2)))
    assert calls == {
        "decode": 7,
        "resize 40 32 bicubic": 6,
        "resize 40 24 bicubic": 6,
        "resize (40, 40) 32 bilinear": 6,
    }
    for batch in found:
        assert set(batch.pixels) == set(wanted)
        assert batch.pixels[wanted[0]] is batch.pixels[wanted[1]]


@pytest.mark.parametrize("decoder", ["torchvision", "pillow"])
def test_shared_preprocessing_equals_that_of_each_model_alone(
    images: ImageList, decoder: str
) -> None:
    wanted = [Preprocess(40, 32), Preprocess(40, 32, **HALVES), Preprocess((30, 36), None)]
    (batch,) = feed(images, [slice(0, 7)], wanted, Feeding(2, decoder=decoder))
    assert batch.readable.tolist() == [row != 3 for row in range(7)]
    assert set(batch.reasons) == {3}
    for preprocess in wanted:
        for row in range(7):
            alone = torch.zeros(preprocess.shape, dtype=torch.uint8)
            if row != 3:
                alone = preprocess.load(jpeg(row), decoder)
            assert torch.equal(batch.pixels[preprocess][row], alone)


def test_the_decoders_differ(images: ImageList) -> None:
    """Else nothing above would tell whether the name arrives."""
    preprocess = Preprocess((41, 43), None)
    ours, theirs = (
        next(feed(images, [slice(0, 7)], [preprocess], Feeding(2, decoder=name))).pixels[preprocess]
        for name in ("torchvision", "pillow")
    )
    difference = (ours.int() - theirs.int()).abs()
    assert 0 < difference.max() <= 2


def test_unknown_decoders_are_refused_before_anything_is_read(images: ImageList) -> None:
    assert DEFAULT_DECODER in DECODERS
    with pytest.raises(CogError, match="pilow"):
        next(feed(images, [slice(0, 7)], [Preprocess()], Feeding(2, decoder="pilow")))


def test_batches_come_in_order_and_no_thread_is_left(images: ImageList) -> None:
    slices = [slice(0, 2), slice(2, 3), slice(3, 7)]
    assert [b.rows for b in feed(images, slices, [Preprocess(40, 32)], Feeding(2))] == slices
    unfinished = feed(images, slices, [Preprocess(40, 32)], Feeding(os.cpu_count()))
    next(unfinished)
    unfinished.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


@pytest.mark.long
def test_the_benchmark_runs_and_features_agree() -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "decode.py"
    command = [sys.executable, str(script), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    speed, resizing, cosine, overhead, sharing = map(json.loads, done.stdout.splitlines())
    assert speed["ratio"]["median"] > 1
    assert resizing["difference"]["max"] <= 1
    assert all(found["min"] >= 0.9999 for found in cosine["networks"].values())
    assert overhead["factor"]["median"] > 0
    assert sharing["models"] == 5
