"""Small labelled images as folders, and the datasets that they become."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from cog.datasets.dataset import Dataset, DatasetOptions, Named
from cog.datasets.find import find_datasets
from cog.levels.files import read_levels
from cog.recipe import Recipe

Counts = dict[str, int]


def png(number: int = 0) -> bytes:
    """A small image, another one for each number."""
    out = io.BytesIO()
    pixels = np.full((8, 8, 3), number % 251, np.uint8)
    pixels[0, 0] = number // 251
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def draw(root: Path, classes: Counts) -> Path:
    """A folder a class, with so many images."""
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            (root / name / f"{number:03}.png").write_bytes(png(number))
    return root


def found(source: object, recipe: Recipe | None = None, **options: object) -> Dataset:
    """The dataset of a source."""
    given = DatasetOptions(datasets=(Named("own", source),), **options)  # type: ignore[arg-type]
    (dataset,) = find_datasets(given, read_levels(None), recipe or Recipe())
    return dataset


def counts(dataset: Dataset) -> tuple[Counts, Counts]:
    """How many training and test images each class has."""
    train, test = (
        {name: each.labels.tolist().count(label) for label, name in enumerate(each.classes)}
        for each in dataset.lists
    )
    return train, test
