"""What `cog verify` says to do about damage mends it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import cog
import cog.features.extract
from cog.evaluation.run import run_plan
from cog.evaluation.verify.findings import EVALUATE, EXTRACT, Finding
from cog.progress import Silent
from tests.evaluation.test_verify import DAMAGE
from tests.support.runs import call_cog, make_plan


def follow(runs: Path, fault: Finding, options: Mapping[str, Any]) -> None:
    """Run the commands that a hint names."""
    if EXTRACT in fault.hint:
        run_plan(make_plan(out=runs, **options).without_cells(), Silent())
    if EVALUATE in fault.hint:
        cog.evaluate(out=runs, **options)
    if "cog results" in fault.hint:
        call_cog("results", runs, "--out", runs / "results.csv", cwd=runs)


def remove(runs: Path, fault: Finding) -> None:
    """Remove what a hint says, rather than put back what was there."""
    removed = re.search(r"remove the cell (\S+) and", fault.hint)
    if removed:
        Path(removed[1]).unlink(missing_ok=True)
    elif "or remove it" in fault.hint:
        for file in runs.glob(str(Path(fault.file).relative_to(runs))):
            file.unlink()
    for command in re.findall(r"cog (store verify --repair|store rm) ([^\s;)]+)", fault.hint):
        call_cog(
            *command[0].split(), *(["--yes"] if "rm" in command[0] else []), command[1], cwd=runs
        )


MENDED = (
    "a bit of features", "a bit of a cell", "a bit of its classes", "a bit of its ranks",
    "a bit of its predictions",
    "a bit of a split", "no cell", "no classes", "no run.json", "no results.csv", "no split",
    "no chunk", "no store", "no unreadable.csv", "no part of unreadable.csv", "a cut cell",
    "brackets", "other JSON as ranks",
)  # fmt: skip


@pytest.mark.parametrize("name", MENDED)
def test_the_hints_lead_back_to_a_sound_folder(name, sound, sound_options, tmp_path, monkeypatch):
    monkeypatch.setattr(cog.features.extract, "UNREADABLE_SHARE", 0.1)
    runs = shutil.copytree(sound, tmp_path / "runs")
    damage, _ = DAMAGE[name]
    damage(runs)
    faults = cog.verify(runs).faults
    assert faults
    for fault in faults:
        remove(runs, fault)
    for fault in faults:
        follow(runs, fault, sound_options)
    proof = cog.verify(runs)
    assert proof.sound, proof.faults
    assert not [note for note in proof.notes if "have no " in note]


def test_no_features_are_to_be_removed_for_a_damaged_run_json(sound, tmp_path):
    runs = shutil.copytree(sound, tmp_path / "runs")
    (runs / "colours" / "run.json").write_text('{"model": 5}')
    assert not [fault for fault in cog.verify(runs).faults if "store rm" in fault.hint]


def test_a_folder_of_another_name_is_to_be_called_as_its_model(sound, tmp_path):
    runs = shutil.copytree(sound, tmp_path / "runs")
    (runs / "colours").rename(runs / "mine")
    hints = {fault.hint for fault in cog.verify(runs).faults if "/mine/" in fault.file}
    assert hints == {"call the folder colours again; or remove it, if colours has one too"}


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("nowhere"), os.mkfifo])
def test_what_is_no_file_in_place_of_a_cell_is_named(make, sound, tmp_path):
    runs = shutil.copytree(sound, tmp_path / "runs")
    make(runs / "colours" / "cells" / "x.json")
    (fault,) = cog.verify(runs).faults
    assert fault.file == str(runs / "colours" / "cells" / "x.json")
