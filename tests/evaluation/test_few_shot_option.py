"""`cog evaluate --few-shot-draw`: recorded of N shots, and hashed, where it is not the default."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from cog.cli.main import main
from cog.errors import CogError
from cog.evaluation.verify.verify import verify
from cog.probes.head import read_head
from tests.support.runs import draw_images


def test_it_is_in_rows_of_n_shots_and_in_hashes_only_where_it_is_official(tmp_path, plug_in):
    for part in ("train", "test"):
        draw_images(tmp_path / "own" / part, ("a", "b", "c"), 6, spread=0.2)
    out = tmp_path / "runs"
    words = ["--model", f"{plug_in}:load", "--dataset", f"own={tmp_path / 'own'}", "--out", out]
    fits = ["--probe", "ridge", "--shots", "all,2", "--seeds", "22", "--device", "cpu"]

    def evaluate(*more):
        main([str(word) for word in ("evaluate", *words, *fits, *more)], standalone_mode=False)
        rows = pd.read_csv(out / "results.csv", keep_default_na=False).set_index("shots")
        return rows, {path.name: path.read_bytes() for path in out.glob("colours/cells/*.json")}

    rows, cells = evaluate()
    assert set(rows["few_shot_draw"]) == {""}
    assert not any(b"few_shot_draw" in cell for cell in cells.values())
    assert evaluate("--few-shot-draw", "once")[1] == cells  # taken over
    official, _ = evaluate("--few-shot-draw", "official")
    assert official["few_shot_draw"].to_dict() == {"all": "", "2": "official"}
    assert set(official["recipe_hash"]).isdisjoint(rows["recipe_hash"])
    assert official.loc["all", "top1"] == rows.loc["all", "top1"]
    about = read_head((out / "colours/heads/own--ridge-exact--2--22.safetensors").read_bytes())[1]
    assert json.loads(about["recipe"])["few_shot_draw"] == "official"
    assert not verify(out).faults
    with pytest.raises(CogError, match="use no other image"):
        evaluate("--few-shot-draw", "official", "--shots-validation", "within")
