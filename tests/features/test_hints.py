"""Damage of every file that extraction keeps: the hint, followed to the letter, mends it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cog
from cog.errors import CogError
from cog.levels.files import read_levels
from tests.support.runs import call_cog
from tests.support.stores import flip

TRAIN, TEST = "features/cog_l1-train.zarr", "features/cog_l1-test.zarr"


@pytest.fixture
def options(images: Path, levels_folder: Path, tmp_path: Path, plug_in: Path) -> dict[str, Any]:
    """Two images are bad: one is no image, one is cut off."""
    copy = shutil.copytree(images, tmp_path / "images")
    bad, cut = sorted((copy / read_levels(levels_folder).wnids(1)[0]).iterdir())[:2]
    bad.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:700])
    return {
        "model": f"{plug_in}:load",
        "images": copy,
        "levels": levels_folder,
        "only": ("L1",),
        "out": tmp_path / "runs",
        "test_per_class": 4,
        "min_train": 4,
        "probes": ("knn",),
        "seeds": (22,),
        "batch_size": 4,
        "chunk_rows": 5,  # so that the last chunk is short
    }


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:7])


def nonsense(path: Path) -> None:
    path.write_text("{")


def only(run: Path, kind: str) -> Path:
    (file,) = run.glob(f"features/*/readable/{kind}/*")
    return file


DAMAGE: dict[str, Callable[[Path], None]] = {
    "run.json": lambda run: nonsense(run / "run.json"),
    "run.json of no model": lambda run: (run / "run.json").write_text("[]"),
    "a chunk": lambda run: flip(run / TRAIN / "features/c/1/0"),
    "a cut chunk": lambda run: cut(run / TRAIN / "features/c/1/0"),
    "the last chunk": lambda run: flip(run / TEST / "features/c/2/0"),
    "marks": lambda run: flip(run / TRAIN / "readable/c/0"),
    "the last marks": lambda run: flip(run / TEST / "readable/c/2"),
    "cut marks": lambda run: cut(run / TEST / "readable/c/2"),
    "no marks": lambda run: (run / TRAIN / "readable/c/1").unlink(),
    "reasons": lambda run: nonsense(only(run, "reasons")),
    "truncated": lambda run: nonsense(only(run, "truncated")),
    "labels": lambda run: flip(run / TRAIN / "labels/c/0"),
    "no labels": lambda run: (run / TEST / "labels/c/0").unlink(),
    "the store's metadata": lambda run: nonsense(run / TEST / "zarr.json"),
    "no metadata": lambda run: (run / TEST / "zarr.json").unlink(),
    "metadata of features": lambda run: nonsense(run / TEST / "features/zarr.json"),
    "metadata of marks": lambda run: nonsense(run / TEST / "readable/zarr.json"),
    "metadata of labels": lambda run: nonsense(run / TEST / "labels/zarr.json"),
    "a file among the chunks": lambda run: (run / TEST / "features/c/notes").write_text("x"),
}


def follow(error: CogError, folder: Path) -> None:
    """Do what the hint says; at least one of its forms must be there."""
    typed = re.search(r"cog (store (?:verify --repair|rm) \S+?)(?:,|$)", error.hint)
    if typed:
        yes = ["--yes"] if " rm " in typed[0] else []
        done = call_cog(*typed[1].split(), *yes, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
        return
    what = error.what.split(" is ")[0]
    assert re.match(r"(give another --out, or )?remove that (file|folder)", error.hint), error.hint
    shutil.rmtree(what) if Path(what).is_dir() else Path(what).unlink()


@pytest.mark.parametrize("kind", DAMAGE)
def test_following_the_hints_mends_the_run(kind, options, monkeypatch):
    monkeypatch.setattr("cog.features.extract.UNREADABLE_SHARE", 0.1)
    whole = cog.evaluate(**options)
    run = options["out"] / "colours"
    chunks = {
        path: path.read_bytes() for path in run.glob("features/*.zarr/*/c/**/*") if path.is_file()
    }
    assert len(chunks) == 2 * (5 + 3) + 2 - 2 * 0
    DAMAGE[kind](run)
    more = options | {"probes": ("knn", "ncm")}  # wants the features again
    for _ in range(4):
        try:
            table = cog.evaluate(**more)
        except CogError as error:
            follow(error, options["out"].parent)
        else:
            break
    assert table["top1"].notna().all()
    for name in ("n_train", "n_test", "n_unreadable", "n_truncated"):
        assert set(table[name]) == set(whole[name])
    assert {path: path.read_bytes() for path in chunks} == chunks
    verified = call_cog("store", "verify", run, cwd=options["out"].parent)
    if kind == "a file among the chunks":
        assert "remove them: notes" in verified.stdout
        assert verified.returncode == 1
    else:
        assert verified.returncode == 0, verified.stdout


@pytest.mark.parametrize("kind", ["run.json", "a file among the chunks"])
def test_good_features_are_never_to_be_removed_for_a_file_beside_them(kind, options, monkeypatch):
    monkeypatch.setattr("cog.features.extract.UNREADABLE_SHARE", 0.1)
    cog.evaluate(**options)
    run = options["out"] / "colours"
    DAMAGE[kind](run)
    verified = call_cog("store", "verify", "--repair", run, cwd=options["out"].parent)
    assert verified.returncode == 1
    assert "store rm" not in verified.stdout
    for file in (run / "run.json", run / TEST / "features/c/notes"):
        file.unlink(missing_ok=True)
    assert call_cog("store", "verify", run, cwd=options["out"].parent).returncode == 0
