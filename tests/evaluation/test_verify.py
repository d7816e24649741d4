"""`cog verify`: a sound folder of results is sound, and every kind of damage is found and named."""

from __future__ import annotations

import base64
import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest

import cog
from cog.errors import CogError
from cog.hashes import short_hash
from cog.results.files import read_results
from cog.results.predictions import predictions_text
from cog.results.ranks import ranks_text, read_ranks, sha256
from tests.support.runs import call_cog
from tests.support.stores import change_attributes, content, flip

CELL = "colours/cells/cog_l1--knn-exact--all--22.json"
CLASSES = "colours/classes/cog_l1--knn-exact--all--22.csv"
RANKS = "colours/ranks/cog_l1--knn-exact--all--22.json"
PREDICTIONS = "colours/predictions/cog_l1--knn-exact--all--22.json"
STORE = "colours/features/cog_l1-train.zarr"


@pytest.fixture
def runs(sound, tmp_path) -> Path:
    """A copy of the sound folder, to be damaged."""
    return shutil.copytree(sound, tmp_path / "runs")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def swap(one: Path, other: Path) -> None:
    one_content, other_content = one.read_bytes(), other.read_bytes()
    assert one_content != other_content
    one.write_bytes(other_content)
    other.write_bytes(one_content)


def change_row(path: Path, **values: object) -> None:
    """Other values in a cell's row, and in its hashes where they are there."""
    cell = json.loads(path.read_text())
    cell["row"] |= values
    cell["hashes"] |= {name: value for name, value in values.items() if name in cell["hashes"]}
    path.write_text(json.dumps(cell, indent=1) + "\n")


def seal(path: Path) -> None:
    """Give the ranks of an edited cell the checksums that it has now."""
    file = path.parents[1] / "ranks" / path.name
    kept = json.loads(file.read_text())
    classes = path.parents[1] / "classes" / f"{path.stem}.csv"
    kept |= {"cell": sha256(path.read_bytes()), "classes": sha256(classes.read_bytes())}
    file.write_text(json.dumps(kept) + "\n")
    file = path.parents[1] / "predictions" / path.name
    kept = json.loads(file.read_text()) | {"cell": sha256(path.read_bytes())}
    file.write_text(json.dumps(kept) + "\n")


def faults(runs: Path) -> dict[str, list[str]]:
    """What is wrong, by the file relative to `runs`."""
    found: dict[str, list[str]] = {}
    for fault in cog.verify(runs).faults:
        assert fault.hint
        name = fault.file.removeprefix(f"{runs}/")
        found.setdefault(name, []).append(f"{fault.expected} | {fault.found}")
    return found


def test_a_sound_run_is_sound_and_is_not_touched(sound):
    before = content(sound)
    proof = cog.verify(sound)
    assert proof.faults == ()
    assert proof.notes == ()
    assert proof.sound
    assert proof.checked == {
        "model runs": 2, "cells": 16, "cells proved by their ranks": 16,
        "cells proved by their predictions": 16, "heads": 8, "splits": 2, "stores": 8,
    }  # fmt: skip
    assert content(sound) == before


def test_results_of_a_version_without_ranks_are_sound_and_said(runs):
    shutil.rmtree(runs / "colours" / "ranks")
    shutil.rmtree(runs / "colours" / "predictions")
    proof = cog.verify(runs)
    assert proof.sound
    assert "8 cells have no ranks" in " ".join(proof.notes)
    assert "top-5 is not proved" in " ".join(proof.notes)
    change_row(runs / CELL, top1=12.5)
    assert "top1 12.5" not in str(faults(runs)[CELL][0].split("|")[0])
    assert any("| 12.5" in text for text in faults(runs)[CELL])


def test_cells_without_predictions_are_sound_and_said(runs):
    (runs / PREDICTIONS).unlink()
    shutil.rmtree(runs / "another" / "predictions")
    proof = cog.verify(runs)
    assert proof.sound
    assert "9 cells have no predictions" in " ".join(proof.notes)


def test_predictions_prove_what_ranks_do(runs):
    """Without ranks, every accuracy follows from the highest classes."""
    shutil.rmtree(runs / "colours" / "ranks")
    proof = cog.verify(runs)
    assert proof.sound
    assert "top-5" not in " ".join(proof.notes)
    assert "8 cells have no ranks" in " ".join(proof.notes)
    change_row(runs / CELL, top5=12.5)
    assert any(text.startswith("top5 100.0, as ") for text in faults(runs)[CELL])


def test_predictions_of_other_ranks_are_found(runs):
    """A file that is sealed anew with two images in each other's place."""
    file = runs / PREDICTIONS
    kept = json.loads(file.read_text())
    classes = np.frombuffer(zlib.decompress(base64.b64decode(kept["highest"])), kept["type"])
    turned = classes.reshape(-1, min(5, kept["n_classes"]))[::-1]
    file.write_text(predictions_text(turned, kept["n_classes"], (runs / CELL).read_text()))
    (text,) = faults(runs)[PREDICTIONS]
    assert text.startswith("the ranks that ")


def test_results_without_features_are_sound_and_said(runs):
    for folder in runs.glob("*/features"):
        shutil.rmtree(folder)
    proof = cog.verify(runs)
    assert proof.sound, proof.faults
    assert "no features are kept" in " ".join(proof.notes)


def test_results_of_fewer_columns_are_compared_in_those(runs):
    import pandas as pd

    table = pd.read_csv(runs / "results.csv", dtype=str, keep_default_na=False)
    table.drop(columns="family").to_csv(runs / "results.csv", index=False, lineterminator="\n")
    proof = cog.verify(runs)
    assert proof.sound, proof.faults
    assert "without the columns family" in " ".join(proof.notes)


DAMAGE = {
    # a flipped bit, in each kind of file
    "a bit of features": (lambda runs: flip(runs / STORE / "features/c/1/0"), f"{STORE} (chunk 1)"),
    "a bit of marks": (lambda runs: flip(runs / STORE / "readable/c/1"), f"{STORE} (chunk 1)"),
    "a bit of labels": (lambda runs: flip(runs / STORE / "labels/c/0"), STORE),
    "a bit of a cell": (lambda runs: flip(runs / CELL, -3), CELL),
    "a bit of its classes": (lambda runs: flip(runs / CLASSES, -2), CLASSES),
    "a bit of its ranks": (lambda runs: flip(runs / RANKS, -8), RANKS),
    "a bit of its predictions": (lambda runs: flip(runs / PREDICTIONS, -8), PREDICTIONS),
    "a bit of its checksum": (lambda runs: flip(runs / RANKS, 12), CELL),
    "a bit of run.json": (lambda runs: flip(runs / "colours/run.json", 0), "colours/run.json"),
    "a bit of results.csv": (lambda runs: flip(runs / "results.csv", -3), "results.csv"),
    "a bit of a split": (lambda runs: flip(runs / "splits/test/cog_l1.txt", 5),
                         "splits/test/cog_l1.txt"),
    "a bit of unreadable.csv": (lambda runs: flip(runs / "unreadable.csv", -2), "unreadable.csv"),
    # an edited number
    "top1 of a cell": (lambda runs: change_row(runs / CELL, top1=12.5), CELL),
    "seconds of a cell": (lambda runs: change_row(runs / CELL, seconds=9.0), CELL),
    "a number of a class": (lambda runs: edit(runs / CLASSES, ",4,100\n", ",4,75\n"), CLASSES),
    "a number of results.csv": (lambda runs: edit(runs / "results.csv", ",100.0,", ",99.0,"),
                                "results.csv"),
    "the recipe in run.json": (lambda runs: edit(runs / "colours/run.json", '"epochs": 100',
                                                 '"epochs": 99'), "colours/run.json"),
    "dim in run.json": (lambda runs: edit(runs / "colours/run.json", '"dim": 12', '"dim": 13'),
                        "colours/run.json"),
    "a label of a split": (lambda runs: edit(runs / "splits/test/cog_l1.txt", " 0\n", " 1\n"),
                           "splits/test/cog_l1.txt"),
    "the fingerprint of a store": (
        lambda runs: change_attributes(runs / STORE, fingerprint={"rows": 24}), STORE),
    "levels": (lambda runs: edit(runs / "levels/levels.csv", "n0", "n9"), "levels"),
    # a file that is gone
    "no cell": (lambda runs: (runs / CELL).unlink(), CELL),
    "no classes": (lambda runs: (runs / CLASSES).unlink(), CLASSES),
    "no run.json": (lambda runs: (runs / "colours/run.json").unlink(), "colours/run.json"),
    "no results.csv": (lambda runs: (runs / "results.csv").unlink(), "results.csv"),
    "no split": (lambda runs: (runs / "splits/train/cog_l1.txt").unlink(),
                 "splits/train/cog_l1.txt"),
    "no chunk": (lambda runs: (runs / STORE / "features/c/1/0").unlink(), STORE),
    "no metadata": (lambda runs: (runs / STORE / "zarr.json").unlink(), STORE),
    "no store": (lambda runs: shutil.rmtree(runs / STORE), STORE),
    "no unreadable.csv": (lambda runs: (runs / "unreadable.csv").unlink(), "unreadable.csv"),
    "no part of unreadable.csv": (
        lambda runs: (next((runs / "unreadable").iterdir())).unlink(), "unreadable.csv"),
    # two files in each other's place
    "two cells": (lambda runs: swap(runs / CELL, runs / CELL.replace("knn", "ncm")), CELL),
    "two classes": (lambda runs: swap(runs / CLASSES, runs / CLASSES.replace("_l1", "_l2")),
                    RANKS),
    "two ranks": (lambda runs: swap(runs / RANKS, runs / RANKS.replace("_l1", "_l2")), RANKS),
    "two predictions": (
        lambda runs: swap(runs / PREDICTIONS, runs / PREDICTIONS.replace("knn", "ncm")), CELL),
    "two run.json": (lambda runs: swap(runs / "colours/run.json", runs / "another/run.json"),
                     "colours/run.json"),
    "two splits": (lambda runs: swap(runs / "splits/test/cog_l1.txt",
                                     runs / "splits/test/cog_l2.txt"), "splits/test/cog_l1.txt"),
    "two chunks": (lambda runs: swap(runs / STORE / "features/c/1/0",
                                     runs / STORE.replace("colours", "another") /
                                     "features/c/1/0"), None),
    # content that no reader may choke on
    "a cut cell": (lambda runs: (runs / CELL).write_text('{"row":'), CELL),
    "brackets": (lambda runs: (runs / "colours/run.json").write_text("[" * 100_000),
                 "colours/run.json"),
    "brackets as ranks": (lambda runs: (runs / RANKS).write_text("[" * 100_000), RANKS),
    "other JSON as ranks": (lambda runs: (runs / RANKS).write_text('{"ranks": 3}'), RANKS),
    "cut predictions": (lambda runs: (runs / PREDICTIONS).write_text('{"cell": "'), PREDICTIONS),
    "binary classes": (lambda runs: (runs / CLASSES).write_bytes(b"\xff\xfe\0"), CLASSES),
    "binary split": (lambda runs: (runs / "splits/test/cog_l1.txt").write_bytes(b"\xff\xfe\0"),
                     "splits/test/cog_l1.txt"),
    "an empty table": (lambda runs: (runs / "results.csv").write_bytes(b""), "results.csv"),
    "a foreign table": (lambda runs: (runs / "results.csv").write_text("a,b\n1,2\n"),
                        "results.csv"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_named(runs, name):
    damage, file = DAMAGE[name]
    damage(runs)
    found = faults(runs)
    if file is None:  # features of the same images under another model carry a right checksum
        assert found == {}
        return
    assert file in found, found


def test_what_mistakes_cost_follows_from_the_predictions(runs):
    row = read_results(runs / "results.csv", ["probe=knn", "dataset=cog_l1"]).iloc[0]
    assert row["top1"] <= row["top1_height1"] <= row["top1_height8"] <= 100
    file, cell = runs / "colours/mistakes.json", Path(CELL).stem
    sound = json.loads(file.read_text())
    changed = sound[cell] | {"n_right": sound[cell]["n_right"] - 1}
    file.write_text(json.dumps(sound | {cell: changed}))
    call_cog("results", runs, "--out", runs / "results.csv", cwd=runs)
    found = faults(runs)
    assert list(found) == ["colours/mistakes.json"]
    (text,) = found["colours/mistakes.json"]
    assert text.startswith(f"n_right {sound[cell]['n_right']} of {cell}, as its predictions")
    file.write_text(json.dumps(sound | {cell: changed | {"row": "of another fit"}}))
    call_cog("results", runs, "--out", runs / "results.csv", cwd=runs)
    assert faults(runs) == {}  # it is read by nobody
    file.unlink()
    assert faults(runs) == {}


def test_a_row_that_was_edited_everywhere_does_not_follow_from_the_ranks(runs):
    """The cell, its checksum and results.csv agree: the ranks still tell."""
    change_row(runs / CELL, top5=12.5)
    seal(runs / CELL)
    call_cog("results", runs, "--out", runs / "results.csv", cwd=runs)
    (text,) = faults(runs)[CELL]
    assert text.startswith("top5 100.0, as ")
    assert text.endswith("| 12.5")


@pytest.mark.parametrize(
    "column", ["recipe_hash", "levels_hash", "split_hash", "features_hash", "model_fingerprint"]
)
def test_hashes_that_nothing_on_disk_gives_are_found(runs, column):
    for path in (runs / "colours" / "cells").glob("cog_l1*"):
        change_row(path, **{column: "0" * 16})
        seal(path)
    call_cog("results", runs, "--out", runs / "results.csv", cwd=runs)
    proof = cog.verify(runs)
    shown = [fault.line for fault in proof.faults] + list(proof.notes)
    assert any(column in line and "0" * 16 in line for line in shown), shown
    earlier_run_is_possible = column == "levels_hash"  # heads tell of their recipe
    assert proof.sound == earlier_run_is_possible


def test_cells_of_an_earlier_recipe_are_a_note_and_those_of_none_a_fault(runs):
    path = runs / "colours" / "run.json"
    run = json.loads(path.read_text())
    assert {short_hash(run["recipe"])} == {
        json.loads(file.read_text())["hashes"]["recipe_hash"]
        for file in (runs / "colours" / "cells").iterdir()
    }
    change_row(runs / CELL, recipe_hash="0" * 16)
    seal(runs / CELL)
    call_cog("results", runs, "--out", runs / "results.csv", cwd=runs)
    proof = cog.verify(runs)
    assert proof.sound, proof.faults
    assert "1 cells have recipe_hash 0000000000000000" in proof.notes[0]


def test_chunks_that_no_cell_needs_yet_and_partial_files_are_notes(runs):
    for path in runs.glob("*/*/cog_l1*"):
        shutil.rmtree(path) if path.is_dir() and "zarr" not in path.name else None
    for path in [*runs.glob("*/cells/cog_l1*"), *runs.glob("*/classes/cog_l1*")]:
        path.unlink()
    for path in [*runs.glob("*/ranks/cog_l1*"), *runs.glob("*/predictions/cog_l1*")]:
        path.unlink()
    for path in runs.glob("*/heads/cog_l1*"):
        path.unlink()
    (runs / STORE / "features/c/1/0").unlink()
    (runs / "colours" / "cells" / ".x.json.machine.1.00000000.partial").write_text("{")
    call_cog("results", runs, "--out", runs / "results.csv", cwd=runs)
    proof = cog.verify(runs)
    assert proof.sound, proof.faults
    assert "1 of 3 chunks missing" in " ".join(proof.notes)
    assert "1 partial files" in " ".join(proof.notes)


def test_status_and_json(runs, tmp_path):
    done = call_cog("verify", runs, cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1].endswith(": sound")) == (0, True)
    change_row(runs / CELL, top1=12.5)
    done = call_cog("verify", runs, cwd=tmp_path)
    assert done.returncode == 1
    assert f"{runs / CELL}: expected top1" in done.stdout
    assert "faults" in done.stdout.splitlines()[-1]
    done = call_cog("verify", runs, "--json", cwd=tmp_path)
    shown = json.loads(done.stdout)
    assert (done.returncode, shown["sound"]) == (1, False)
    assert {"file", "expected", "found", "hint"} == set(shown["faults"][0])
    done = call_cog("verify", tmp_path / "none", cwd=tmp_path)
    assert (done.returncode, "no runs in" in done.stderr) == (2, True)
    done = call_cog("verify", runs, "--levels", tmp_path, cwd=tmp_path)
    assert done.returncode == 2


def test_other_levels_are_told_from_those_of_the_run(runs):
    assert "give the --levels of the run" in str(cog.verify(runs, "official").faults[0].hint)
    shutil.rmtree(runs / "levels")
    proof = cog.verify(runs)
    assert proof.sound
    assert "are not here: give --levels DIR" in " ".join(proof.notes)


class TestRanks:
    def test_they_come_back(self):
        ranks = np.array([0, 3, 999, 70_000])
        kept = read_ranks(ranks_text(ranks, "cell", "classes").encode(), 4)
        assert kept.ranks.tolist() == ranks.tolist()
        assert (kept.cell, kept.classes) == (sha256("cell"), sha256("classes"))

    @pytest.mark.parametrize("n_test", [3, 5])
    def test_another_number_is_refused(self, n_test):
        with pytest.raises(ValueError, match="does not hold the ranks of"):
            read_ranks(ranks_text(np.arange(4), "", "").encode(), n_test)

    def test_a_bomb_is_not_unpacked(self):
        """A gigabyte of zeros in a megabyte: no more is unpacked than the images need."""
        packed = base64.b64encode(zlib.compress(bytes(10**8), 9)).decode()
        text = json.dumps({"cell": "", "classes": "", "ranks": packed})
        with pytest.raises(ValueError, match="does not hold the ranks of"):
            read_ranks(text.encode(), 4)


def test_the_cells_of_a_model_folder_are_asked_for_by_the_folder_above(runs):
    with pytest.raises(CogError, match="no runs in"):
        cog.verify(runs / "colours" / "cells")
