"""`cog evaluate --norm`: recorded where it is not the default; finished cells stay as they are."""

from __future__ import annotations

import json
from dataclasses import asdict

import pandas as pd
import pytest

from cog.cli.main import main
from cog.evaluation.verify.verify import verify
from cog.hashes import short_hash
from cog.recipe import LATER, Recipe
from tests.support.runs import draw_images

ROW = "colours/cells/own--{}-exact--all--22.json"


@pytest.fixture(scope="module")
def run(tmp_path_factory, plug_in):
    """`cog evaluate` with more options; gives the rows, and the bytes of the ridge's cell."""
    root = tmp_path_factory.mktemp("norms")
    for part in ("train", "test"):
        draw_images(root / "own" / part, ("a", "b", "c"), 6, spread=0.2)

    def run(*more):
        words = ["--dataset", f"own={root / 'own'}", "--out", root / "runs", "--seeds", "22"]
        command = ["evaluate", "--model", f"{plug_in}:load", "--probe", "ridge,ncm", *words, *more]
        main([str(word) for word in command], standalone_mode=False)
        rows = pd.read_csv(root / "runs" / "results.csv", keep_default_na=False)
        return rows.set_index("probe"), (root / "runs" / ROW.format("ridge")).read_bytes()

    run.out = root / "runs"
    return run


def test_it_is_in_row_and_hash_only_where_it_is_not_l2(run):
    rows, cell = run()
    fields = {name: value for name, value in asdict(Recipe()).items() if name not in LATER}
    assert "norm" not in json.loads(cell)["row"]
    assert set(rows["recipe_hash"]) == {short_hash(fields)}  # that of version 0.1
    assert run("--norm", "l2")[1] == cell  # taken over
    none, other = run("--norm", "none")
    assert other != cell
    assert none["norm"].to_dict() == {"ridge": "none", "ncm": ""}  # which takes cosines
    assert set(none["recipe_hash"]) == {short_hash(fields | {"norm": "none"})}
    assert none.loc["ncm", "top1"] == rows.loc["ncm", "top1"]
    assert not verify(run.out).faults
