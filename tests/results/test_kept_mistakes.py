"""What mistakes cost, of cells whose classes have any names: from predictions and synsets."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from cog.cli.main import main
from cog.report.confusions import most_confused
from cog.results.files import read_results, write_results
from cog.results.kept_mistakes import finished_rows
from cog.results.predictions import predictions_text
from cog.wordnet.class_tree import class_tree
from tests.support.result_rows import one_row, write_runs

WNIDS = {"=tabby": "n02123045", "beagle": "n02088364", "golf ball": "n03445777",
         "maltese": "n02085936", "tiger cat": "n02123159"}  # fmt: skip
COLUMNS = ["mistake_similarity", "mistake_height", "top1_height1", "top1_height2"]
IMAGES = 30


def write_cell(runs: Path, names: list[str], seed: int, test_set: str = "", **row: Any) -> Path:
    """A cell of a dataset, or of a test set of it, with drawn predictions; gives its file."""
    given = one_row(dataset="own", seed=seed) | row | {"test_set": test_set, "seconds": 1.0 + seed}
    write_runs(runs, [given])
    cell = runs / "model-0" / "cells" / f"own--logreg-sgd--all--{seed}.json"
    if test_set:
        cell = cell.rename(cell.with_name(f"own@{test_set}--logreg-sgd--all--{seed}.json"))
    for folder, suffix, text in (
        ("classes", "csv", "wnid,n_test,top1\n" + "".join(
            f"{name.replace('=', chr(39) + '=')},{IMAGES},50\n" for name in names)),
        ("predictions", "json", predictions_text(drawn(names, seed), len(names), "")),
    ):  # fmt: skip
        file = cell.parents[1] / folder / f"{cell.stem}.{suffix}"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return cell


def drawn(names: list[str], seed: int) -> np.ndarray:
    c = len(names)
    rows = np.tile(np.arange(c), (IMAGES * c, 1))
    return np.random.default_rng(seed).permuted(rows, axis=1)[:, :5]


def write_synsets(runs: Path, wnids: dict[str, str]) -> None:
    folder = runs / "splits" / "distances"
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(wnids)
    document = {"similarity": 0.5, "seen_similarity": 0.5, "wordnet": "bundled",
                "classes": names, "wnids": [wnids[name] for name in names]}  # fmt: skip
    (folder / "own.json").write_text(json.dumps(document))


def by_hand(names: list[str], seed: int, wnids: dict[str, str]) -> list[float]:
    """The columns, image by image."""
    tree, all_names = class_tree(tuple(wnids[name] for name in sorted(wnids))), sorted(wnids)
    similarities, heights = [], []
    for image, first in enumerate(drawn(names, seed)[:, 0].tolist()):
        right, taken = (np.array([all_names.index(names[c])]) for c in (image // IMAGES, first))
        if right != taken:
            similarities.append(tree.pair_similarity(right, taken).item())
            heights.append(tree.pair_heights(right, taken).item())
    n = IMAGES * len(names)
    cuts = [100 * (n - sum(height > cut for height in heights)) / n for cut in (1, 2)]
    return [np.mean(similarities), np.mean(heights), *cuts]


@pytest.fixture
def runs(tmp_path) -> Path:
    """A dataset with two seeds, and a test set with three of its classes."""
    runs = tmp_path / "runs"
    write_cell(runs, sorted(WNIDS)[1:4], 22, "few")
    for seed in (22, 37):
        write_cell(runs, sorted(WNIDS), seed)
    write_synsets(runs, WNIDS)
    return runs


def values(runs: Path, seed: int, test_set: str = "") -> list[float]:
    table = read_results(runs, [f"seed={seed}"])
    return table.loc[table["test_set"] == test_set, COLUMNS].iloc[0].tolist()


def test_columns_are_those_of_each_image_in_the_tree_of_the_dataset(runs):
    for seed in (22, 37):
        assert values(runs, seed) == pytest.approx(by_hand(sorted(WNIDS), seed, WNIDS))
    some = sorted(WNIDS)[1:4]
    few = by_hand(some, 22, WNIDS)
    assert values(runs, 22, "few") == pytest.approx(few)
    assert few[1] > by_hand(some, 22, {name: WNIDS[name] for name in some})[1]


def test_an_edited_table_leaves_no_stale_number(runs):
    write_results(runs)
    kept = runs / "model-0" / "mistakes.json"
    before = values(runs, 22)
    edited = WNIDS | {"golf ball": "n02123159"}  # now two classes have one synset
    write_synsets(runs, edited)
    assert values(runs, 22) == pytest.approx(by_hand(sorted(WNIDS), 22, edited))
    assert values(runs, 22) != before
    old = kept.read_bytes()
    write_results(runs)
    assert kept.read_bytes() != old
    assert read_results(runs / "results.csv", ["seed=22"])[COLUMNS].iloc[0].tolist() == values(
        runs, 22
    )
    (runs / "splits" / "distances" / "own.json").unlink()
    assert np.isnan(values(runs, 22)).all()  # the names are no wnids


def test_what_is_kept_is_read_and_another_fit_is_computed(runs, monkeypatch):
    write_results(runs)

    def fail(*_: object) -> None:
        raise AssertionError("computed again")

    with monkeypatch.context() as patch:
        patch.setattr("cog.results.kept_mistakes.read_predicted", fail)
        kept = values(runs, 37)
    write_cell(runs, sorted(WNIDS), 37, model="b")  # other seconds, other predictions
    cell = runs / "model-0" / "predictions" / "own--logreg-sgd--all--37.json"
    cell.write_text(predictions_text(drawn(sorted(WNIDS), 5), 5, ""))
    assert values(runs, 37) == pytest.approx(by_hand(sorted(WNIDS), 5, WNIDS))
    assert values(runs, 37) != kept


@pytest.mark.parametrize("damage", ["", "[1]", "{", '{"own--logreg-sgd--all--22": 1}'])
def test_a_damaged_file_is_computed_again(runs, damage):
    before = values(runs, 22)
    (runs / "model-0" / "mistakes.json").write_text(damage)
    assert values(runs, 22) == before


def test_an_entry_that_is_damaged_is_computed_again(runs):
    write_results(runs)
    before = values(runs, 22)
    file = runs / "model-0" / "mistakes.json"
    sound = json.loads(file.read_text())
    for change in ({"heights": 3}, {"heights": [-1]}, {"n_test": 0}, {"similarity": "near"}):
        entries = {name: entry | change for name, entry in sound.items()}
        file.write_text(json.dumps(entries))
        assert values(runs, 22) == before


def test_predictions_that_are_damaged_are_said_and_those_put_back_are_read(runs):
    file = runs / "model-0" / "predictions" / "own--logreg-sgd--all--22.json"
    sound, before = file.read_text(), values(runs, 22)
    file.write_text("{")
    said: list[str] = []
    write_results(runs, notify=said.append)
    assert [line.split(" cannot be used")[0] for line in said] == [str(file)]
    assert np.isnan(values(runs, 22)).all()
    file.write_text(sound)
    assert values(runs, 22) == before


def test_confusions_have_the_names_of_the_dataset(runs):
    rows = {path: cell["row"] for path, cell in finished_rows(runs).items()}
    own, few = most_confused(runs, rows.items(), lambda text: None)
    assert [own.dataset, few.dataset] == ["own", "own/few"]
    (cats,) = (each for each in own.subtrees if each.name == "domestic cat")
    assert {pair[:2] for pair in cats.pairs} == {("=tabby", "tiger cat"), ("tiger cat", "=tabby")}


def cog_results(*words: object) -> Result:
    return CliRunner().invoke(main, ["results", *map(str, words)])


def test_the_tree_is_cut_at_any_height(runs):
    done = cog_results(runs, "--heights", "9,1,0")
    table = pd.read_csv(io.StringIO(done.stdout)).set_index("dataset")
    assert list(table)[4:] == ["seeds", "top1", "top1_height9", "top1_height1", "top1_height0",
                               "mistake_height", "mistake_similarity"]  # fmt: skip
    both = np.mean([by_hand(sorted(WNIDS), seed, WNIDS) for seed in (22, 37)], axis=0)
    names = ["mistake_similarity", "mistake_height", "top1_height1"]
    assert table.loc["own", names].tolist() == pytest.approx(both[:3].tolist())
    assert table.loc["own", "top1_height9"] == 100  # above all of them
    assert table.loc["own/few", "seeds"] == 1
    shown = cog_results(runs, "--heights", "1,2", "--format", "markdown").stdout
    assert "| model | top-1 | cut at 1 | cut at 2 | height of mistakes | similarity |" in shown
    assert f"| {both[2]:.2f} |" in shown


def test_a_table_has_the_usual_heights_alone(runs, tmp_path):
    table = write_results(runs)
    usual = cog_results(table, "--heights", "1,2,4,8")
    assert usual.stdout == cog_results(runs, "--heights", "1,2,4,8").stdout
    for words, expected in (
        ([table, "--heights", "1,3"], "has top-1 at the heights 1,2,4,8, not at 3"),
        ([runs, "--heights", "1,x"], "expected a whole number, found 'x'"),
        ([runs, "--heights", ""], "expected a whole number"),
        ([runs, "--heights", "-1"], "a height cannot be -1"),
    ):
        assert expected in str(cog_results(*words).exception)
    for file in runs.rglob("predictions/*.json"):
        file.unlink()
    (runs / "model-0" / "mistakes.json").unlink()
    assert (
        "left out because their classes have no synsets, or no predictions"
        in cog_results(runs, "--heights", "1").stderr
    )
