"""Datasets of torchvision beside those of papers on transfer; and none of them ever downloads."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cog.datasets.labelled.published import PUBLISHED
from cog.errors import CogError
from cog.images.image_list import read_bytes
from cog.recipe import Recipe
from tests.support.labelled_images import counts, draw, found, png


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs go to a folder of the test, and nobody reaches the network."""
    monkeypatch.setenv("COG_HOME", str(tmp_path / "cog-home"))

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("it asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", refused)


@pytest.mark.parametrize("name", [*PUBLISHED, "MNIST", "STL10", "GTSRB", "RenderedSST2"])
def test_nothing_is_downloaded_and_what_is_missing_is_said(tmp_path, name):
    root = tmp_path / "data"
    root.mkdir()
    with pytest.raises(CogError, match=f"torchvision cannot read {name}") as caught:
        found(f"torchvision:{name}@{root}")
    assert "network" not in caught.value.what
    assert "--download" in caught.value.hint
    assert not any(path.is_file() for path in root.rglob("*"))


def test_inaturalist_of_2021_trains_on_train_and_tests_on_valid(tmp_path):
    lineage = "Animalia_Chordata_Amphibia_Anura_Ranidae_Rana"
    names = [
        f"{number:05}_{lineage}_{kind}" for number, kind in enumerate(("arvalis", "temporaria"))
    ]
    for part, count in (("2021_train", 3), ("2021_valid", 1)):
        for name in names:
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(count):
                (tmp_path / part / name / f"{part}-{number}.jpg").write_bytes(png(number))
    dataset = found(f"torchvision:INaturalist@{tmp_path}")
    assert counts(dataset) == (dict.fromkeys(names, 3), dict.fromkeys(names, 1))
    assert (dataset.split.kind, dataset.metric) == ("2021_train/2021_valid", "top1")
    assert dataset.split.test.paths[1] == f"2021_valid/{names[1]}/2021_valid-0.jpg"
    assert read_bytes(dataset.split.train, 2) == png(2)


def idx(path: Path, values: np.ndarray) -> None:
    """MNIST's own format: a magic number, the sizes, the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = np.array([0x800 + values.ndim, *values.shape], ">i4")
    path.write_bytes(sizes.tobytes() + values.astype(np.uint8).tobytes())


def test_a_dataset_that_no_table_names_is_known_by_its_arguments(tmp_path):
    """MNIST has `train`, and its images are arrays: here those of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels, labels = (digits.images[:60] * 15).astype(np.uint8), digits.target[:60]
    for part, rows in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        idx(tmp_path / "MNIST" / "raw" / f"{part}-images-idx3-ubyte", pixels[rows])
        idx(tmp_path / "MNIST" / "raw" / f"{part}-labels-idx1-ubyte", labels[rows])
    dataset = found(f"torchvision:MNIST@{tmp_path}")
    assert dataset.split.kind == "train/test"
    assert dataset.split.test.classes[:2] == ("0 - zero", "1 - one")
    test = dataset.split.test
    assert test.labels.tolist() == sorted(labels[40:60].tolist())
    shown = [np.asarray(Image.open(io.BytesIO(read_bytes(test, row)))) for row in range(len(test))]
    order = np.argsort(labels[40:60], kind="stable")
    assert np.array_equal(np.stack(shown), pixels[40:60][order])


def test_a_dataset_with_other_parts_trains_on_train_and_tests_on_test(tmp_path):
    for part, count in (("train", 2), ("valid", 1), ("test", 1)):
        draw(tmp_path / "rendered-sst2" / part, {"negative": count, "positive": count})
    dataset = found(f"torchvision:RenderedSST2@{tmp_path}")
    one = {"negative": 1, "positive": 1}
    assert counts(dataset) == ({"negative": 2, "positive": 2}, one)
    assert dataset.split.kind == "train/test"


def test_a_dataset_without_parts_is_drawn_from(tmp_path):
    draw(tmp_path, {"a b": 3, "ü": 3})
    dataset = found(f"torchvision:ImageFolder@{tmp_path}", Recipe(test_per_class=1))
    assert counts(dataset) == ({"a b": 2, "ü": 2}, {"a b": 1, "ü": 1})
    assert dataset.split.kind == "seeded"
