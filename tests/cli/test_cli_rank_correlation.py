"""`cog levels rank-correlation`: its tables, JSON and CSV."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cog.cli.levels import levels
from cog.errors import CogError
from cog.levels.build import build_levels
from cog.levels.files import write_levels
from cog.wordnet.concept_lists import read_wnids
from tests.results.test_rank_agreement import write


def run(*words: str | Path) -> Result:
    words = ("rank-correlation", *words)
    result = CliRunner().invoke(levels, [str(word) for word in words], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    built = build_levels(eligible=read_wnids("official")[::100], n_levels=2, size=20)
    write_levels(built, folder / "levels")
    write(folder, built, ("a", "b", "c"))
    return folder


def test_levels_alone(made: Path) -> None:
    lines = run("--levels", made / "levels", "--measures", "lin,path").stdout.splitlines()
    assert lines[0].startswith("50 concepts ranked by their similarity to 1,000 seen ones")
    assert lines[1].split() == ["measure", "tau", "rho", "L1", "L2"]
    assert lines[2].split() == ["lin", "1.000", "1.000", "20", "20"]
    assert lines[3].split()[0] == "path"
    assert lines[4].endswith("how many of its 20 concepts a level keeps")


def test_ranks_of_models_as_text_csv_and_json(made: Path, tmp_path: Path) -> None:
    words = ("--levels", made / "levels", "--measures", "wup", "--runs", made / "runs")
    out = tmp_path / "rows.csv"
    text = run(*words, "--out", out).stdout
    assert "Ranks of 3 models by logreg-sgd, shots all" in text
    assert "over 40 concepts that all models were tested on\n" in text
    assert text.splitlines()[-2].split()[:2] == ["wup", "1.000"]
    rows = list(csv.DictReader(out.read_text().splitlines()))
    models = [row for row in rows if row["quantity"] == "model_tau"]
    assert [(row["level"], row["n"], row["value"], row["low"]) for row in models] == [
        ("1", "3", "1.0", "1.0"),
        ("2", "3", "1.0", "1.0"),
    ]
    found = json.loads(run(*words, "--json").stdout)
    assert (found["reference"], found["concepts"], len(found["rows"])) == ("lin", 50, len(rows))
    assert [row["quantity"] for row in found["rows"]] == [row["quantity"] for row in rows]


def test_an_unknown_measure_is_named(made: Path) -> None:
    with pytest.raises(CogError, match="unknown measure 'lim'"):
        run("--levels", made / "levels", "--measures", "lim")


def test_no_measure_is_refused(made: Path) -> None:
    with pytest.raises(CogError, match="at least one measure"):
        run("--levels", made / "levels", "--measures", ",")
