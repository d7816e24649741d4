"""Noisy images of twelve colours, which are classes, and a network that tells colours apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

import cog

COLOURS = {f"c{number:02}": (number * 22, 250 - number * 20, (number * 67) % 251)
           for number in range(12)}  # fmt: skip


def draw_colours(root: Path, names: Mapping[str, str], count: int, noise: float, seed: int) -> Path:
    """Folders of images: the name of a folder → the class whose colour it has."""
    rng = np.random.default_rng(seed)
    for folder, of in names.items():
        (root / folder).mkdir(parents=True)
        for number in range(count):
            pixels = np.array(COLOURS[of]) + rng.normal(scale=noise, size=(6, 6, 3))
            image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            image.save(root / folder / f"{number}.png")
    return root


def draw_own(
    root: Path, names: Mapping[str, str], train: int, test: int, noise: float = 90
) -> Path:
    """The dataset ROOT/own, with so many images of each class in its two parts."""
    draw_colours(root / "own" / "train", names, train, noise, 1)
    draw_colours(root / "own" / "test", names, test, noise, 2)
    return root / "own"


def quarters() -> cog.Model:
    """A model whose features are the mean colours of the quarters of an image."""
    import torch

    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())
    return cog.Model(network, preprocess=cog.Preprocess(resize=6, crop=6), name="quarters")
