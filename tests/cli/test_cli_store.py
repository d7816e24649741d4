"""`cog store`: what it shows, which faults it finds, what it removes."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path

import numpy as np
import pytest

from cog.errors import CogError
from cog.features.store.files import is_there, remove_store
from cog.features.store.store import FORMAT, FeatureStore
from cog.features.store.verify import find_stores, repair, summarise, verify
from cog.object_storage import Url
from cog.partial_files import partial_name
from cog.storage import StoragePath, files_below, write_bytes, write_text
from tests.support.stores import (
    FINGERPRINT,
    change_attributes,
    content,
    fill,
    flip,
    make,
    run,
)

PREPROCESS = {"resize": 16, "mean": [0.5, 0.5, 0.5]}
MADE_FROM = FINGERPRINT | {"format": FORMAT, "preprocess": PREPROCESS, "rows": 10}


@pytest.fixture(params=["folder", "url"])
def runs(request, tmp_path) -> StoragePath:
    """A folder of runs: two models with two stores each, one of them with a chunk missing."""
    root: StoragePath = tmp_path / "runs"
    if request.param == "url":
        pytest.importorskip("fsspec", reason="pip install 'imagenet-cog[cloud]'")
        root = Url(f"memory://{uuid.uuid4().hex}/runs")
    rng = np.random.default_rng(0)
    readable = np.ones(10, bool)
    readable[[2, 9]] = False
    for model in ("dino", "swav"):
        fingerprint = MADE_FROM | {"model": f"sha of {model}"}
        run = {"model_fingerprint": f"sha of {model}", "preprocess": PREPROCESS, "dim": 3}
        write_text(root / model / "run.json", json.dumps(run))
        for name in ("cog_l1-train", "cog_l1-test"):
            path = root / model / "features" / f"{name}.zarr"
            made = make(path, 10, fingerprint=fingerprint)
            fill(made, rng.normal(size=(10, 3)).astype(np.float32), readable)
    FeatureStore.open(path_of(root)).forget_chunk(1)
    return root


def path_of(runs: StoragePath, model: str = "dino", name: str = "cog_l1-train") -> StoragePath:
    return runs / model / "features" / f"{name}.zarr"


def test_show_a_store(runs):
    status, said = run("show", path_of(runs))
    assert status == 0
    facts = dict(line.split(maxsplit=1) for line in said.splitlines()[1:])
    assert facts["rows"] == "10"
    assert facts["dim"] == "3"
    assert facts["dtype"] == "float32"
    assert facts["chunks"] == "2 of 3 done, 4 rows each"
    assert facts["unreadable"] == "2"
    assert facts["size"] == f"{sum(files_below(path_of(runs)).values()):,} bytes"
    assert facts["fingerprint.model"] == "sha of dino"
    assert facts["fingerprint.preprocess.resize"] == "16"


def test_show_a_run_and_all_runs(runs):
    for where, count in ((runs / "dino", 2), (runs, 4), (runs / "dino" / "features", 2)):
        _, said = run("show", where)
        lines = said.splitlines()
        assert len(lines) == count + 1
        assert "2/3" in said
        assert lines[0].split()[:2] == ["store", "rows"]


def test_no_store_is_an_error(runs):
    with pytest.raises(CogError, match="no feature store"):
        run("show", runs / "nobody")
    with pytest.raises(CogError, match="no feature store"):
        run("rm", "--yes", runs / "dino" / "run.json")


def test_verify_finds_nothing_wrong(runs):
    before = content(runs)
    status, said = run("verify", runs)
    assert status == 0
    assert [line.split(": ")[1] for line in said.splitlines()] == [
        "ok, 3 of 3 chunks", "ok, 2 of 3 chunks, incomplete", *2 * ["ok, 3 of 3 chunks"],
    ]  # fmt: skip
    assert content(runs) == before


DAMAGE = {
    "a bit of features": lambda path: flip(path / "features/c/2/0"),
    "a bit of marks": lambda path: flip(path / "readable/c/2", 1),
    "reasons that are no JSON": lambda path: write_text(path / "readable/reasons/2.json", "{"),
    "reasons of no row": lambda path: write_text(path / "readable/reasons/2.json", "[1]"),
    "no reasons": lambda path: (path / "readable/reasons/2.json").unlink(),
    "no marks": lambda path: (path / "readable/c/2").unlink(),
    "an empty file": lambda path: write_bytes(path / "features/c/2/0", b""),
    "the start of a file": lambda path: write_bytes(
        path / "features/c/2/0", (path / "features/c/2/0").read_bytes()[:20]
    ),
    "the chunk of another row": lambda path: write_bytes(
        path / "features/c/2/0", (path / "features/c/0/0").read_bytes()
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_bad_chunk_is_named_and_repaired(runs, damage):
    path = path_of(runs, "swav")
    before = content(path)
    x = FeatureStore.open(path).arrays("features")[0][:]
    DAMAGE[damage](path)
    status, said = run("verify", runs)
    assert status == 1
    assert "  chunk 2: " in said
    assert said.count("chunk 2") == said.count("WRONG") == 1
    assert f"cog store verify --repair {path}" in said
    assert run("verify", "--repair", runs)[0] == 0
    assert run("verify", runs)[0] == 0
    mended = FeatureStore.open(path)
    assert mended.missing_chunks() == [2]
    readable = np.isfinite(x).all(axis=1)
    fill(mended, np.where(readable[:, None], x, 0), readable)
    assert content(path) == before


def test_every_shortened_chunk_is_found(tmp_path):
    path = tmp_path / "a.zarr"
    fill(make(path, 4), np.ones((4, 3), np.float32))
    file = path / "features/c/0/0"
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert list(verify(path).bad) == [0], length


FAULTS = {
    "labels": (lambda path: flip(path / "labels/c/0"), "labels cannot be read"),
    "no labels": (lambda path: (path / "labels/c/0").unlink(), "10 rows without a label"),
    "format": (lambda path: _made_from(path, format=99), "feature format 1, found 99"),
    "model": (lambda path: _made_from(path, model="b"), "model b here, sha of swav in run.json"),
    "rows": (lambda path: _made_from(path, rows=11), "10 rows, but 11 in the fingerprint"),
    "preprocess": (lambda path: _made_from(path, preprocess={}), "preprocess {} here"),
    "no store": (lambda path: write_text(path / "zarr.json", "{"), "is not a feature store"),
}  # fmt: skip


def _made_from(path: StoragePath, **changes: object) -> None:
    fingerprint = FeatureStore.open(path).fingerprint
    change_attributes(path, fingerprint=fingerprint | changes)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_whole_store_is_not_repaired(runs, fault):
    path = path_of(runs, "swav")
    damage, message = FAULTS[fault]
    damage(path)
    before = content(path)
    status, said = run("verify", "--repair", path)
    assert status == 1
    assert message in said
    assert f"cog store rm {path}" in said
    assert content(path) == before


def test_a_copied_store_needs_no_run(runs, tmp_path):
    path = path_of(runs, "swav")
    for name, data in content(path).items():
        write_bytes(tmp_path / "copy.zarr" / name, data)
    assert verify(tmp_path / "copy.zarr").right


def test_rm_asks_for_yes_and_removes_stores_alone(runs):
    before = content(runs)
    with pytest.raises(CogError, match="2 stores would be removed"):
        run("rm", runs / "dino")
    assert content(runs) == before
    status, said = run("rm", "--yes", runs / "dino", path_of(runs))
    assert status == 0
    assert said.splitlines() == [str(path) for path in sorted(
        (path_of(runs), path_of(runs, name="cog_l1-test")), key=str
    )]  # fmt: skip
    left = {name: data for name, data in before.items() if "dino/features" not in name}
    assert content(runs) == left
    assert len(find_stores(runs)) == 2


def test_rm_finishes_a_removal_that_was_killed(runs, monkeypatch):
    path = path_of(runs)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cog.features.store.files.remove_objects", killed)
    monkeypatch.setattr("cog.features.store.files.shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove_store(path)
    monkeypatch.undo()
    assert not is_there(path)
    if isinstance(path, Path):  # hidden, and cleared when its process is gone
        return
    with pytest.raises(CogError, match="half removed") as error:
        make(path, 10)
    assert error.value.hint.endswith(f"cog store rm {path}")
    run("rm", "--yes", path)
    assert files_below(path) == {}
    make(path, 10)


@pytest.mark.parametrize("where", ["", "dino", "dino/features", "dino/features/a.zarr"])
def test_rm_removes_what_a_killed_removal_left(tmp_path, where):
    ended = subprocess.Popen(["true"])
    ended.wait()
    own = partial_name(tmp_path / "dino" / "features" / "a.zarr")
    left = own.with_name(own.name.replace(f".{os.getpid()}.", f".{ended.pid}."))
    (left / "features").mkdir(parents=True)
    assert "is removed" in run("rm", "--yes", tmp_path / where)[1]
    assert list(left.parent.iterdir()) == []
    with pytest.raises(CogError, match="no feature store"):
        run("rm", "--yes", tmp_path / where)


def test_repair_and_summary_as_functions(runs):
    path = path_of(runs, "swav")
    flip(path / "features/c/0/0")
    steps: list[int] = []
    verdict = verify(path, steps.append)
    assert steps == [1, 1, 1]
    assert list(verdict.bad) == [0]
    repair(verdict)
    assert summarise(path).done == 2
    assert summarise(path).unreadable == 1
