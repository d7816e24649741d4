"""A training loop that says, as it goes, how well its features tell unseen classes apart.

    python examples/monitor.py

The images are squares and discs in colours, drawn in a moment. The network learns to name the
colours of four classes; the monitor asks on four others, by k-NN and by ridge regression, how far
its features carry to classes that it has not seen. With ImageNet-21K it would be
`cog.Monitor(images="/data/imagenet21k", levels="L1,L3,L5", classes=100, every=5000)`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import cog

SIDE, PER_CLASS, STEPS, EVERY = 32, 16, 60, 20
SEEN = ("red", "green", "blue", "yellow")
UNSEEN = ("orange", "violet", "cyan", "grey")
COLOURS = {
    "red": (200, 40, 40), "green": (40, 170, 60), "blue": (50, 70, 200), "yellow": (210, 200, 50),
    "orange": (220, 130, 40), "violet": (140, 60, 170), "cyan": (60, 190, 200),
    "grey": (128, 128, 128),
}  # fmt: skip


def draw(colour: str, rng: np.random.Generator) -> np.ndarray:
    """A disc or a square of a colour, somewhere on noise: uint8 [32, 32, 3]."""
    pixels = rng.normal(128, 60, (SIDE, SIDE, 3))
    y, x = np.mgrid[:SIDE, :SIDE] - rng.integers(8, 24, 2)[:, None, None]
    inside = (x**2 + y**2 < 50) if rng.random() < 0.5 else (np.maximum(abs(x), abs(y)) < 7)
    pixels[inside] = rng.normal(COLOURS[colour], 25)
    return pixels.clip(0, 255).astype(np.uint8)


def unseen() -> tuple[list[tuple[bytes, str]], list[tuple[bytes, str]]]:
    """Images to train probes on and to test them, as (bytes of a PNG, class)."""
    rng = np.random.default_rng(0)
    parts: tuple[list[tuple[bytes, str]], list[tuple[bytes, str]]] = ([], [])
    for part in parts:
        for colour in UNSEEN * PER_CLASS:
            file = io.BytesIO()
            Image.fromarray(draw(colour, rng)).save(file, "PNG")
            part.append((file.getvalue(), colour))
    return parts


def batches(preprocess: cog.Preprocess) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of 32 images of the seen classes, with their labels."""
    rng = np.random.default_rng(1)
    for _ in range(STEPS):
        labels = rng.integers(len(SEEN), size=32)
        pixels = np.stack([draw(SEEN[label], rng) for label in labels]).transpose(0, 3, 1, 2)
        yield preprocess.normalise(torch.from_numpy(pixels)), torch.from_numpy(labels)


def main() -> list[dict[str, float]]:
    """Train and monitor; gives what would go to a logger."""
    torch.manual_seed(0)
    backbone = nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=2), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    head = nn.Linear(32, len(SEEN))
    optimiser = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], 3e-3)
    preprocess = cog.Preprocess(resize=SIDE, crop=SIDE)
    monitor = cog.Monitor(
        datasets={"unseen": unseen}, per_class=PER_CLASS, preprocess=preprocess, every=EVERY
    )
    logged = []
    for step, (x, y) in enumerate(batches(preprocess), start=1):
        loss = nn.functional.cross_entropy(head(backbone(x)), y)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        if found := monitor.step(backbone, step):
            logged.append({"step": float(step), "loss": loss.item(), **found})
            print(", ".join(f"{name} {value:.3g}" for name, value in logged[-1].items()))
    return logged


if __name__ == "__main__":
    main()
