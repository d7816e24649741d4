"""A probe is added by its entry in `PROBES` alone: command, plan, dry run and results know it."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import cog.evaluation.estimate
from cog.cli.main import main
from cog.probes.data import ProbeResult
from cog.probes.table import PROBES, Probe, Solver

HOUR = 3600.0


def fit(data, settings, progress):
    """Says class 0 to every image; the patience that it chose is the number of the seed."""
    progress(1, 1)
    return ProbeResult(
        ranks=data.test_y.copy(),
        hyper={"patience": settings.seed / 2},
        trials=[{"patience": settings.seed / 2, "validation_top1": 50.0}],
        n_train=len(data.train_y),
        n_validation=0,
        seconds=0.1,
    )


@pytest.fixture
def sizes(monkeypatch):
    """What the entry's cost was asked for, once the toy has its entry."""
    asked = []

    def cost(size, settings):
        asked.append((size, settings.solver, settings.shots))
        return 2 * HOUR

    solvers = {"slow": Solver(seed_decides="nothing"), "fast": Solver(seed_decides="the patience")}
    monkeypatch.setitem(PROBES, "toy", Probe(fit, cost, solvers, columns=("patience",)))
    return asked


@pytest.fixture
def evaluate(images, levels_folder, plug_in, tmp_path, capsys):
    """`cog evaluate` of the toy, in this process; gives what it prints."""

    def run(*more):
        main(
            ["evaluate", "--model", f"{plug_in}:load", "--images", str(images),
             "--levels", str(levels_folder), "--out", str(tmp_path / "runs"),
             "--test-per-class", "4", "--min-train", "4", "--probe", "toy,ncm",
             "--solver", "fast", "--seeds", "3,8", *more],
            standalone_mode=False,
        )  # fmt: skip
        return capsys.readouterr().out

    return run


def test_the_dry_run_counts_its_cells_and_takes_its_cost(sizes, evaluate, monkeypatch):
    monkeypatch.setattr(cog.evaluation.estimate, "SECONDS", 0.01)
    printed = evaluate("--dry-run")
    assert "cells: 0 of 6 done" in printed  # two levels: two seeds of the toy, one of the mean
    assert re.search(r"probes: about 8(\.0)? h", printed)  # four fits of two hours
    assert [(size.n_train, size.n_test, size.n_classes, *more) for size, *more in sizes] == [
        (24, 12, 3, "fast", None)
    ] * 2


@pytest.mark.usefixtures("sizes")
def test_its_hyper_parameter_is_a_column_of_the_results(evaluate, tmp_path):
    evaluate()
    rows = pd.read_csv(tmp_path / "runs" / "results.csv")
    toy, others = rows[rows["probe"] == "toy"], rows[rows["probe"] != "toy"]
    assert list(zip(toy["seed"], toy["patience"], strict=True)) == [(3, 1.5), (8, 4.0)] * 2
    assert others["patience"].isna().all()
    assert set(toy["solver"]) == {"fast"}
    assert set(toy["seed_decides"]) == {"the patience"}
    assert np.allclose(toy["top1"], 100 / 3)


@pytest.mark.usefixtures("sizes")
def test_the_same_command_finds_its_cells_done(evaluate):
    first = evaluate()
    assert evaluate() == first


@pytest.mark.usefixtures("sizes")
def test_without_an_entry_results_that_have_its_column_are_read(evaluate, tmp_path, monkeypatch):
    """Another version of the program drops what it does not know, and refuses nothing."""
    from cog.results.files import read_results

    evaluate()
    monkeypatch.delitem(PROBES, "toy")
    rows = read_results(tmp_path / "runs" / "results.csv")
    assert "patience" not in rows
    assert set(rows["probe"]) == {"toy", "ncm"}
