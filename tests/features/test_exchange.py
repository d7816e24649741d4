"""Other people's features are read and ours written, in layouts that both sides know."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import numpy as np
import pytest
import torch

from cog.errors import CogError
from cog.features.exchange import FeatureSet, read_features, write_features
from cog.features.store.store import FeatureStore
from tests.support.runs import call_cog


def clusters(count: int, seed: int, dim: int = 8, classes: int = 4) -> FeatureSet:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(classes, dim))
    y = np.arange(count) % classes
    x = centres[y] + 0.6 * rng.normal(size=(count, dim))
    return FeatureSet(x.astype(np.float32), y.astype(np.int64), f"clusters{seed}")


def store_of(path: Path, features: FeatureSet, unreadable: int | None = None) -> Path:
    rows, dim = features.x.shape
    store = FeatureStore.create(
        path, features.y, dim=dim, dtype="float16", chunk_rows=rows, fingerprint={"of": "a test"}
    )
    readable = np.ones(rows, bool)
    if unreadable is not None:
        readable[unreadable] = False
    reasons = {} if unreadable is None else {unreadable: "empty"}
    store.write_chunk(0, features.x, readable, reasons)
    return path


def as_the_public_code_saves(path: Path, features: FeatureSet) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "X": torch.tensor(features.x),
        "Y": torch.tensor(features.y, dtype=torch.long),
        "name": "dino_resnet50_cog_l5_train",
    }
    torch.save(content, path)
    return path


def test_the_official_layout_is_read(tmp_path):
    features = clusters(20, 1)
    found = read_features(as_the_public_code_saves(tmp_path / "X_Y.pth", features))
    assert np.array_equal(found.x, features.x)
    assert np.array_equal(found.y, features.y)
    assert found.name == "dino_resnet50_cog_l5_train"


def test_equal_features_are_equal_bytes_with_nothing_of_the_machine(tmp_path):
    features = clusters(20, 1)
    files = tmp_path / "a" / "X_Y.pth", tmp_path / "b" / "other.pth"
    for file in files:
        write_features(file, features)
    first, second = (file.read_bytes() for file in files)
    assert first == second
    for word in (platform.node(), str(os.getpid()), "partial", "X_Y"):
        assert word.encode() not in first


def test_what_is_written_is_what_the_public_code_reads(tmp_path):
    """Its load_feature_set takes X, Y and name of torch.load(path, "cpu")."""
    features = clusters(20, 1)
    path = tmp_path / "features_train" / "X_Y.pth"
    write_features(path, features)
    found = torch.load(path, map_location="cpu", weights_only=True)
    assert found["X"].dtype == torch.float32
    assert found["Y"].dtype == torch.int64
    assert found["X"].shape[0] == found["Y"].shape[0]
    assert torch.equal(found["X"], torch.tensor(features.x))
    assert found["name"] == features.name
    assert [each.name for each in path.parent.iterdir()] == ["X_Y.pth"]
    again = read_features(path)
    assert np.array_equal(again.x, features.x)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_an_npz_is_read(tmp_path, dtype):
    features = clusters(20, 1)
    np.savez(tmp_path / "a.npz", X=features.x.astype(dtype), Y=features.y.astype(np.int32))
    found = read_features(tmp_path / "a.npz")
    assert found.x.dtype == (np.float16 if dtype == np.float16 else np.float32)
    assert found.y.dtype == np.int64
    assert found.name == "a"
    np.testing.assert_allclose(found.x, features.x, rtol=1e-3, atol=1e-3)


def test_a_store_is_read_without_its_unreadable_images(tmp_path):
    features = clusters(20, 1)
    found = read_features(store_of(tmp_path / "a.zarr", features, unreadable=3))
    assert len(found.x) == len(found.y) == 19
    np.testing.assert_allclose(found.x, np.delete(features.x, 3, axis=0), rtol=1e-3, atol=1e-3)


def refused(tmp_path, **arrays):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(CogError) as caught:
        read_features(tmp_path / "bad.npz")
    return caught.value.what


def test_other_content_is_refused_and_named(tmp_path):
    x, y = np.ones((4, 3), np.float32), np.arange(4)
    assert "found ['X']" in refused(tmp_path, X=x)
    assert "expected X as float [4, d], found float32 [4, 3, 1]" in refused(
        tmp_path, X=x[..., None], Y=y
    )
    assert "found int64 [4, 3]" in refused(tmp_path, X=x.astype(np.int64), Y=y)
    assert "whole numbers [m], found float64 [4]" in refused(tmp_path, X=x, Y=y * 1.0)
    assert "found int64 [4, 1]" in refused(tmp_path, X=x, Y=y[:, None])
    assert "expected X as float [3, d]" in refused(tmp_path, X=x, Y=y[:3])
    assert "labels from 0 up in Y, found -1" in refused(tmp_path, X=x, Y=y - 1)


def test_files_without_features_are_refused(tmp_path):
    with pytest.raises(CogError, match="no features at"):
        read_features(tmp_path / "absent.pth")
    for name in ("a.npz", "a.pth"):
        (tmp_path / name).write_text("nothing")
        with pytest.raises(CogError, match="cannot be read"):
            read_features(tmp_path / name)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CogError, match="found a list"):
        read_features(tmp_path / "list.pth")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CogError, match="is not a feature store"):
        read_features(tmp_path / "folder")


def test_code_in_a_file_is_not_run(tmp_path):
    class Intruder:
        def __reduce__(self):
            return Path.touch, (tmp_path / "intruder",)

    torch.save({"X": Intruder()}, tmp_path / "a.pth")
    with pytest.raises(CogError, match="cannot be read"):
        read_features(tmp_path / "a.pth")
    assert not (tmp_path / "intruder").exists()


def test_probe_prints_one_line_of_rows_and_export_gives_the_same(tmp_path):
    """As a user does it: from a store, to the official layout, and back."""
    train = store_of(tmp_path / "train.zarr", clusters(80, 1))
    test = store_of(tmp_path / "test.zarr", clusters(40, 2))
    asked = ("--solver", "lbfgs", "--seeds", "22,37", "--shots", "all,2", "--json")
    done = call_cog("probe", "--train", train, "--test", test, *asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    rows = json.loads(done.stdout)
    keys = [(row["probe"], row["solver"], row["shots"], row["seed"]) for row in rows]
    assert keys == [
        ("logreg", "lbfgs", shots, seed) for shots in ("all", 2) for seed in (22, 37)
    ]  # fmt: skip
    assert all(row["top5"] >= row["top1"] > 60 for row in rows)
    assert all(row["seconds"] > 0 for row in rows)

    for store in (train, test):
        out = tmp_path / f"features_{store.stem}" / "X_Y.pth"
        made = call_cog("export", store, "--out", out, cwd=tmp_path)
        assert made.stdout == f"{out}\n"
    files = [tmp_path / f"features_{part}" / "X_Y.pth" for part in ("train", "test")]
    done = call_cog("probe", "--train", files[0], "--test", files[1], *asked, cwd=tmp_path)
    again = json.loads(done.stdout)
    assert [row["top1"] for row in again] == [row["top1"] for row in rows]


def test_probe_names_the_files_that_it_reads(tmp_path):
    done = call_cog("probe", "--train", "absent.npz", "--test", "absent.npz", cwd=tmp_path)
    assert done.returncode == 2
    assert "no features at absent.npz" in done.stderr
    done = call_cog(
        "probe", "--train", "a.npz", "--test", "b.npz", "--probe", "lograg", cwd=tmp_path
    )
    assert "logreg" in done.stderr


# Features that are too small or too large for the type that they come in, or would go in


SMALL = np.random.default_rng(0).normal(size=(8, 12))
TYPED = {
    "float16": (SMALL * 1e-7).astype(np.float16),
    "float64": SMALL * 1e-60,
    "float32": (SMALL * 1e-40).astype(np.float32),
}


@pytest.mark.parametrize("dtype", TYPED)
@pytest.mark.parametrize("command", ["probe", "export"])
def test_features_that_vanish_are_refused_in_two_lines(tmp_path, command, dtype):
    path = tmp_path / "a.npz"
    np.savez(path, X=TYPED[dtype], Y=np.arange(8) % 2)
    words = {
        "probe": ["--train", path, "--test", path, "--probe", "ncm"],
        "export": [path, "--out", tmp_path / "X_Y.pth"],
    }
    done = call_cog(command, *words[command], cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 2), done.stderr
    assert "8 of 8 images are too small for float" in done.stderr
    assert not (tmp_path / "X_Y.pth").exists()


def test_float64_that_float32_cannot_hold_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", X=SMALL * 1e60, Y=np.arange(8) % 2)
    with pytest.raises(CogError, match="does not fit in float32"):
        read_features(tmp_path / "a.npz")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_tensors_of_any_type_are_read_from_an_official_file(tmp_path, dtype):
    x = torch.from_numpy(SMALL).to(dtype).requires_grad_()
    torch.save({"X": x, "Y": torch.arange(8) % 2, "name": "a"}, tmp_path / "X_Y.pth")
    found = read_features(tmp_path / "X_Y.pth").x
    assert found.dtype in (np.float16, np.float32)
    np.testing.assert_array_equal(found.astype(np.float32), x.detach().float().numpy())
