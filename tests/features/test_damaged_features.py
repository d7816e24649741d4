"""Features of other code, damaged, hostile or oddly labelled: two lines, or right numbers."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cog.errors import CogError
from cog.evaluation.probing import probe_features
from cog.features.exchange import FeatureSet, in_common_classes, read_features
from cog.probes.settings import Probing
from cog.recipe import Recipe
from tests.features.test_exchange import clusters
from tests.support.runs import call_cog

X, Y = np.ones((40, 3), np.float32), np.arange(40)


def packed(**arrays: np.ndarray) -> bytearray:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return bytearray(file.getvalue())


def with_field(data: bytearray, at: int, value: int, kind: str = "<H") -> bytes:
    """The zip with one field of every entry set; `at` counts in the entry of the directory."""
    for start, before in ((b"PK\1\2", 0), (b"PK\3\4", 2)):  # a local head has no first field
        where = data.find(start)
        while where >= 0:
            struct.pack_into(kind, data, where + at - before, value)
            where = data.find(start, where + 4)
    return bytes(data)


def flipped(data: bytearray) -> bytes:
    start = data.index(b"PK\3\4") + 60
    for at in range(start, start + 40):
        data[at] ^= 0x5A
    return bytes(data)


def header_of(shape: str, dtype: str = "<f4") -> bytes:
    head = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()


def zipped(method: int = zipfile.ZIP_DEFLATED, **files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


DAMAGED = {
    "zlib": (flipped(packed(X=X, Y=Y)), "cannot be read"),
    "method": (with_field(packed(X=X, Y=Y), 10, 99), "cannot be read: NotImplementedError"),
    "encrypted": (with_field(packed(X=X, Y=Y), 8, 1), "cannot be read: RuntimeError"),
    "version": (with_field(packed(X=X, Y=Y), 6, 99), "cannot be read: NotImplementedError"),
    "size": (with_field(packed(X=X, Y=Y), 24, 90, "<I"), "cannot be read"),
    "cut": (bytes(packed(X=X, Y=Y)[:-60]), "cannot be read"),
    "one array": (npy(X), "no zip of arrays"),
    "objects": (bytes(packed(X=X, Y=np.array([None] * 40))), "cannot be read: ValueError: Object"),
    "no header": (zipped(X=b"\x93NUMPY\x01\x00", Y=npy(Y)), "cannot be read"),
    "header of brackets": (zipped(X=header_of("(" * 5000), Y=npy(Y)), "cannot be read"),
    "shape of exabytes": (zipped(X=header_of("(9223372036854775807, 1)")), "cannot be read|found"),
    "shape of terabytes": (zipped(X=header_of("(10000000000000, 3)"), Y=npy(Y)), "cannot be read"),
    "shape below zero": (zipped(X=header_of("(-40, 3)"), Y=npy(Y)), "cannot be read"),
    "no array": (
        zipped(X=b"text", Y=npy(Y)),
        "expected X as an array or a tensor: TypeError: found bytes",
    ),
    "text": (bytes(packed(X=np.array(["a"] * 40), Y=Y)), "expected X as float"),
    "records": (bytes(packed(X=np.zeros(40, "f4,f4"), Y=Y)), "expected X as float"),
    "NaN labels": (bytes(packed(X=X, Y=np.full(40, np.nan))), "expected Y as whole numbers"),
    "dates": (bytes(packed(X=X, Y=np.arange(40).astype("M8[s]"))), "expected Y as whole numbers"),
    "labels past int64": (bytes(packed(X=X, Y=np.full(40, 2**63, np.uint64))), "from 0 up in Y"),
    "a name of many": (bytes(packed(X=X, Y=Y, name=np.array(["a", "b"]))), "expected name"),
    "a name with escapes": (bytes(packed(X=X, Y=Y, name=np.array("\x1b[2J"))), "expected name"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_every_fault_of_an_npz_is_two_lines(tmp_path: Path, name: str) -> None:
    content, what = DAMAGED[name]
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(CogError, match=what) as caught:
        read_features(tmp_path / "a.npz")
    assert len(caught.value.what) < 500
    assert caught.value.what.isprintable()


def test_an_npz_that_unpacks_to_much_more_is_refused_before(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(with_field(packed(X=X, Y=Y), 24, 2**31 - 1, "<I"))
    with pytest.raises(CogError, match=r"declares that its [\d,]+ bytes unpack to 4,294,967,294"):
        read_features(tmp_path / "a.npz")


def shared(depth: int) -> list:
    value: list = [0.0]
    for _ in range(depth):
        value = [value, value]
    return value


BAD_TENSORS = {
    "repeated": {"X": torch.ones(1, 1).expand(1_000_000, 100_000), "Y": torch.arange(4)},
    "sparse": {"X": torch.eye(4).to_sparse(), "Y": torch.arange(4)},
    "complex": {"X": torch.ones(4, 3, dtype=torch.complex64), "Y": torch.arange(4)},
    "meta": {"X": torch.ones(4, 3, device="meta"), "Y": torch.arange(4)},
    "lists": {"X": [[1.0, 2.0], [3.0]], "Y": torch.arange(2)},
    "lists that repeat for ever": {"X": shared(60), "Y": [0, 1]},
    "labels that repeat for ever": {"X": torch.ones(2, 3), "Y": shared(60)},
    "a name that repeats for ever": {"X": torch.ones(2, 3), "Y": [0, 1], "name": shared(60)},
    "long labels": {"X": torch.ones(2, 3), "Y": [0, 10**400]},
    "no tensor": {"X": None, "Y": "text"},
}


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_every_fault_of_a_pth_is_two_lines(tmp_path: Path, name: str) -> None:
    torch.save(BAD_TENSORS[name], tmp_path / "X_Y.pth")
    with pytest.raises(CogError, match=r"expected (X|Y|name)|cannot be read"):
        read_features(tmp_path / "X_Y.pth")


def test_tensors_that_numpy_does_not_take_as_they_are(tmp_path: Path) -> None:
    """A parameter, half the bits, labels as a list: what they hold is clear."""
    x = torch.randn(4, 3)
    for given in (torch.nn.Parameter(x), x.to(torch.bfloat16), x.double(), x.T.contiguous().T):
        torch.save({"X": given, "Y": [0, 1, 2, 1]}, tmp_path / "X_Y.pth")
        found = read_features(tmp_path / "X_Y.pth")
        assert found.x.dtype == np.float32
        np.testing.assert_allclose(found.x, x.numpy(), atol=0.02)
        assert found.y.tolist() == [0, 1, 2, 1]


# Labels


def rows(train: FeatureSet, test: FeatureSet) -> tuple[list[dict], list[str]]:
    notes: list[str] = []
    probing = Probing(probes=("knn", "ncm", "ridge"), seeds=(22,))
    found = list(probe_features(train, test, probing, Recipe(), "cpu", notify=notes.append))
    return [{**row, "seconds": 0} for row in found], notes


@pytest.mark.parametrize("labels", [[1, 2, 3, 4], [0, 5, 7, 10**7], [3, 10**12, 10**13, 2**63 - 1]])
def test_labels_with_gaps_are_renumbered_and_said(labels: list[int]) -> None:
    train, test = clusters(80, 1), clusters(40, 2)
    right, none = rows(train, test)
    assert none == []
    new = np.array(labels)
    found, notes = rows(replace(train, y=new[train.y]), replace(test, y=new[test.y]))
    assert found == right
    assert found[0]["n_classes"] == 4
    assert notes == [
        f"the 4 labels lie between {labels[0]} and {labels[-1]}: renumbered 0…3, in their order"
    ]


def test_labels_without_gaps_stay_as_they_are() -> None:
    """Also where one set alone has gaps."""
    train, test = clusters(80, 1), clusters(40, 2)
    some = test.y != 1
    test = FeatureSet(test.x[some], test.y[some], "some")
    same_train, same_test, n_classes, notes = in_common_classes(train, test)
    assert (same_train, same_test) == (train, test)
    assert (n_classes, notes) == (4, ())


def test_classes_of_test_images_alone_count_as_wrong_and_are_said() -> None:
    train, test = clusters(80, 1), clusters(40, 2)
    few = train.y != 3
    train = FeatureSet(train.x[few], train.y[few], "few")
    found, notes = rows(train, test)
    assert notes == [
        "1 of 4 classes have test images and no training images: "
        "their 10 test images count as wrong"
    ]
    assert all(row["n_classes"] == 4 and row["top1"] <= 75 for row in found)


def test_labels_that_share_no_class_are_refused() -> None:
    train, test = clusters(80, 1), clusters(40, 2)
    with pytest.raises(CogError, match="found the labels 10…13 in clusters2 and 0…3 in clusters1"):
        in_common_classes(train, replace(test, y=test.y + 10))


def test_the_command_line_says_what_it_renumbers(tmp_path: Path) -> None:
    """Ten million classes would never end; a label of 10^12 had no memory."""
    for label in (10**7, 10**12):
        for name, part in (("train", clusters(80, 1)), ("test", clusters(40, 2))):
            y = np.where(part.y == 3, label, part.y)
            np.savez(tmp_path / f"{name}.npz", X=part.x, Y=y)
        words = ("--train", "train.npz", "--test", "test.npz", "--probe", "ridge", "--seeds", "22")
        done = call_cog("probe", *words, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert f"between 0 and {label}: renumbered 0…3" in done.stderr
        assert json.loads(done.stdout)[0]["n_classes"] == 4
