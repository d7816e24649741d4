"""The classes most confused, by subtree: against a count pair by pair."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cog.levels.files import read_levels
from cog.report.build import write_page
from cog.report.confusions import most_confused
from cog.report.page_data import read_page_data
from cog.results.predictions import predictions_text
from cog.wordnet.class_tree import class_tree
from tests.support.result_rows import made_rows, write_runs

WNIDS = ("n02085936", "n02088364", "n02099601", "n02123045", "n02123159", "n03445777")
"""Maltese dog, beagle, golden retriever, tabby, tiger cat, golf ball"""
IMAGES = 40


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Two models with two seeds on a level of six classes; predictions are drawn."""
    rows = made_rows(("a", "b"), datasets=("cog_l1",), seeds=(22, 37))
    for row in rows:
        row["levels_hash"] = read_levels().fingerprint[:16]
    runs = write_runs(tmp_path_factory.mktemp("confused"), rows)
    rng = np.random.default_rng(8)
    for cell in sorted(runs.glob("*/cells/*.json")):
        highest = rng.permuted(np.tile(np.arange(6), (6 * IMAGES, 1)), axis=1)[:, :5]
        for folder, suffix, text in (
            ("classes", "csv", "wnid,n_test,top1\n" + "".join(f"{w},{IMAGES},50\n" for w in WNIDS)),
            ("predictions", "json", predictions_text(highest, 6, "")),
        ):
            file = cell.parents[1] / folder / f"{cell.stem}.{suffix}"
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        np.save(cell.parents[1] / f"{cell.stem}.npy", highest[:, 0])
    return runs


def test_each_mistake_counts_where_its_classes_meet(runs):
    data = read_page_data(runs, read_levels())
    (found,) = data.confused
    tree = class_tree(WNIDS)
    pairs: Counter[tuple[int, int]] = Counter()
    for file in runs.glob("*/*--22.npy"):  # the first seed
        labels = np.repeat(np.arange(6), IMAGES).tolist()
        pairs.update((y, p) for y, p in zip(labels, np.load(file).tolist(), strict=True) if y != p)
    assert (found.dataset, found.mistakes) == ("cog_l1", pairs.total())
    sums: Counter[str] = Counter()
    for (y, p), count in pairs.items():
        sums[tree.taxonomy.names[tree.subsumers[y, p]].split(".")[0].replace("_", " ")] += count
    assert {each.name: each.share for each in found.subtrees} == {
        name: pytest.approx(100 * count / pairs.total()) for name, count in sums.items()
    }
    shares = [each.share for each in found.subtrees]
    assert shares == sorted(shares, reverse=True)
    cats = next(each for each in found.subtrees if each.name == "domestic cat")
    of_cats = pairs[3, 4] + pairs[4, 3]
    assert cats.height == 1
    assert {pair[:2]: pair[2] for pair in cats.pairs} == {
        ("tabby", "tiger cat"): pytest.approx(100 * pairs[3, 4] / of_cats),
        ("tiger cat", "tabby"): pytest.approx(100 * pairs[4, 3] / of_cats),
    }


def test_the_page_shows_them(runs, tmp_path):
    levels = read_levels()
    page = write_page(read_page_data(runs, levels), levels, tmp_path / "page.html").read_text()
    assert '<a href="#mistakes">' in page
    assert "tabby taken for tiger cat (" in page


def test_damaged_predictions_are_said_and_left_out(runs):
    said: list[str] = []
    file = next(runs.glob("model-0/predictions/*--22.json"))
    before = file.read_text()
    file.write_text("[" * 9)
    try:
        cells = [(path, {"dataset": "cog_l1", "model": "a", "probe": "p", "solver": "s", "seed": 1})
                 for path in runs.glob("model-0/cells/*--22.json")]  # fmt: skip
        assert most_confused(runs, cells, said.append) == []
    finally:
        file.write_text(before)
    (line,) = said
    assert line.startswith(f"{file} cannot be used: ")
