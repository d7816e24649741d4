"""ImageNet-1K in every layout that it is released in."""

from __future__ import annotations

import csv
import gzip
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from cog.datasets.imagenet1k import in1k_lists
from cog.errors import CogError
from cog.images.image_list import read_bytes
from tests.support.image_files import (
    FILES,
    WNIDS,
    make_folder,
    make_parquet,
    make_shards,
    make_tar,
    make_tars,
)

VAL = {f"ILSVRC2012_val_{n:08}.JPEG": WNIDS[n % 3] for n in range(1, 10)}


def make_in1k(root: Path, val: str) -> Path:
    make_folder(root / "train")
    if val == "folders":
        make_folder(root / "val", {f"{wnid}/{name}": b"v" for name, wnid in VAL.items()})
    else:
        make_folder(root / "val", dict.fromkeys(VAL, b"v"))
    if val == "devkit":
        write_devkit(root / "ILSVRC2012_devkit_t12" / "data")
    if val == "packed devkit":
        write_devkit(root / "kit")
        with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as archive:
            archive.add(root / "kit", "ILSVRC2012_devkit_t12/data")
    if val == "Kaggle":
        with (root / "LOC_val_solution.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["ImageId", "PredictionString"])
            for name, wnid in reversed(VAL.items()):
                rows.writerow([name.removesuffix(".JPEG"), f"{wnid} 85 1 499 272 {wnid} 1 2 3 4 "])
    return root


def write_devkit(folder: Path) -> None:
    """meta.mat as the official one: a struct array [n, 1], inner synsets after the leaves."""
    folder.mkdir(parents=True)
    fields = [
        ("ILSVRC2012_ID", "O"),
        ("WNID", "O"),
        ("words", "O"),
        ("num_children", "O"),
        ("children", "O"),
    ]
    order = (WNIDS[2], WNIDS[0], WNIDS[1])  # ids do not follow the wnids
    synsets = np.zeros((4, 1), dtype=fields)
    for row, wnid in enumerate(order):
        synsets[row, 0] = (row + 1, wnid, "a word, another", 0, np.zeros((0, 0)))
    synsets[3, 0] = (4, "n00000001", "all of them", 3, np.array([[1, 2, 3]]))
    savemat(folder / "meta.mat", {"synsets": synsets})
    ids = [order.index(wnid) + 1 for wnid in VAL.values()]
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{i}\n" for i in ids))


@pytest.mark.parametrize("val", ["folders", "devkit", "packed devkit", "Kaggle"])
def test_every_layout_of_in1k_gives_the_same_images(val: str, tmp_path: Path) -> None:
    split = in1k_lists(make_in1k(tmp_path, val), WNIDS)
    assert split.kind == "official"
    assert split.left_out == ()
    assert split.train.paths == tuple(sorted(FILES))
    assert split.train.split == "train"
    assert split.test.split == "test"
    assert split.test.classes == WNIDS
    found = {
        path.rpartition("/")[2]: split.test.classes[label]
        for path, label in zip(split.test.paths, split.test.labels, strict=True)
    }
    assert found == VAL
    assert split.test.labels.tolist() == sorted(split.test.labels)
    assert {read_bytes(split.test, row) for row in range(len(split.test))} == {b"v"}


def test_in1k_takes_tars_to_train(tmp_path: Path) -> None:
    root = make_in1k(tmp_path / "folders", "Kaggle")
    expected = in1k_lists(root, WNIDS).train.fingerprint
    (root / "train").rename(root / "old")
    make_tars(root / "train")
    assert in1k_lists(root, WNIDS).train.fingerprint == expected


@pytest.mark.parametrize("form", ["parquet", "shards", "shards in data/"])
def test_in1k_takes_shards_by_the_split_in_their_names(form: str, tmp_path: Path) -> None:
    val = {f"{wnid}/ILSVRC2012_val_{n:08}.JPEG": b"v%d" % n for n, wnid in enumerate(WNIDS)}
    root = tmp_path / "in1k"
    if form == "parquet":
        make_parquet(root)
        (make_parquet(tmp_path / "v", val) / "data").rename(root / "v")
        for file in (root / "v").iterdir():
            file.rename(root / "data" / file.name.replace("train", "validation"))
    else:
        folder = make_shards(root / "data" if "data" in form else root)
        members = [(f"{Path(path).stem}_{path[:9]}.jpg", data) for path, data in val.items()]
        make_tar(folder / "imagenet-validation-00.tar", members)
    split = in1k_lists(root, WNIDS)
    assert split.train.paths == tuple(sorted(FILES))
    assert split.test.paths == tuple(sorted(val))
    assert [read_bytes(split.test, row) for row in range(3)] == [b"v0", b"v1", b"v2"]


def test_in1k_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CogError, match="labels of its images are not there"):
        in1k_lists(make_in1k(tmp_path / "a", "flat"), WNIDS)
    root = make_in1k(tmp_path / "b", "devkit")
    for name in ("ILSVRC2012_val_00000010.JPEG", "holiday.jpg"):
        (root / "val" / name).write_bytes(b"")
    with pytest.raises(CogError, match="2 of 11 images") as caught:
        in1k_lists(root, WNIDS, allow_missing=True)
    assert "holiday.jpg" in caught.value.what


def test_in1k_with_a_damaged_devkit_is_refused(tmp_path: Path) -> None:
    root = make_in1k(tmp_path, "devkit")
    (root / "ILSVRC2012_devkit_t12" / "data" / "meta.mat").write_bytes(b"junk" * 100)
    with pytest.raises(CogError, match="cannot read the labels"):
        in1k_lists(root, WNIDS)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs")
@pytest.mark.parametrize("fault", ["no tar", "cut", "bomb", "FIFO", "FIFO inside", "huge number"])
def test_a_devkit_of_any_kind_is_read_or_refused_in_two_lines(fault: str, tmp_path: Path) -> None:
    packed = tmp_path / "ILSVRC2012_devkit_t12.tar.gz"
    root = make_in1k(tmp_path, "devkit" if fault in ("FIFO inside", "huge number") else "flat")
    truth = root / "ILSVRC2012_devkit_t12" / "data" / "ILSVRC2012_validation_ground_truth.txt"
    if fault == "huge number":
        truth.write_text("9" * 900_000)
    elif fault == "FIFO inside":
        truth.unlink()
        os.mkfifo(truth)
    elif fault == "FIFO":
        os.mkfifo(packed)
    elif fault == "bomb":
        with gzip.open(packed, "wb", 1) as file:
            for _ in range(65):
                file.write(bytes(1 << 20))
    else:
        packed.write_bytes(b"no tar" if fault == "no tar" else gzip.compress(b"a" * 4000)[:30])
    with pytest.raises(CogError) as caught:
        in1k_lists(root, WNIDS)
    assert len(str(caught.value).splitlines()) == 2
    assert "cannot read the labels of" in caught.value.what or fault == "FIFO"


def test_in1k_with_missing_classes_is_refused_unless_allowed(tmp_path: Path) -> None:
    root, wnids = make_in1k(tmp_path, "folders"), (*WNIDS, "n00000044")
    with pytest.raises(
        CogError, match=r"1 of 4 classes.*n00000044: none in train and val"
    ) as caught:
        in1k_lists(root, wnids)
    assert "--allow-missing" in caught.value.hint
    split = in1k_lists(root, wnids, allow_missing=True)
    assert split.left_out == ("n00000044",)
    assert split.test.classes == split.train.classes == WNIDS
    with pytest.raises(CogError, match="there is no"):
        in1k_lists(tmp_path / "train", wnids)
