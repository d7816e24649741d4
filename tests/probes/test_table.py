"""The table of probes: what each entry promises, and what is read from it."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cog.errors import CogError
from cog.probes.cost import ProbeSize, products_a_second
from cog.probes.settings import Probing
from cog.probes.table import PROBES
from tests.support.probe_data import assert_same, clusters, settings

SOLVERS = [(probe, solver) for probe, entry in PROBES.items() for solver in entry.solvers]
SOLVER = pytest.mark.parametrize(("probe", "solver"), SOLVERS)
SMALL = ProbeSize(n_train=500, n_test=100, dim=32, n_classes=10)


@SOLVER
def test_hyper_parameters_are_those_of_the_entry(probe, solver):
    result = PROBES[probe].fit(clusters(), settings(solver))
    assert set(result.hyper) <= set(PROBES[probe].columns)


@SOLVER
def test_a_fit_inside_autocast_or_inference_is_that_outside(probe, solver):
    """As where a training script evaluates its network in the middle of a step."""
    plain = PROBES[probe].fit(clusters(), settings(solver))
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert_same(PROBES[probe].fit(clusters(), settings(solver)), plain)
    with torch.no_grad():
        assert_same(PROBES[probe].fit(clusters(), settings(solver)), plain)


@SOLVER
def test_a_fit_looks_at_no_defaults_of_torch(probe, solver):
    """A script may have another default device, such as cuda, and another type."""
    plain = PROBES[probe].fit(clusters(), settings(solver))
    with torch.device("meta"):
        assert_same(PROBES[probe].fit(clusters(), settings(solver)), plain)
    torch.set_default_dtype(torch.float64)
    try:
        assert_same(PROBES[probe].fit(clusters(), settings(solver)), plain)
    finally:
        torch.set_default_dtype(torch.float32)


@SOLVER
@pytest.mark.parametrize("grown", ["rows", "dim"])
def test_cost_grows_with_the_work(probe, solver, grown):
    if grown == "rows":
        grown = "n_test" if PROBES[probe].among_test else "n_train"
    large = replace(SMALL, **{grown: 200 * getattr(SMALL, grown)})
    small, large = (PROBES[probe].cost(size, settings(solver)) for size in (SMALL, large))
    assert 0 < small < large


def test_cost_of_neighbours_is_that_of_their_cosines():
    size = ProbeSize(n_train=26_000, n_test=1_000, dim=512, n_classes=100)
    operations = PROBES["knn"].cost(size, settings("exact")) * products_a_second("cpu")
    assert operations == pytest.approx(2 * 512 * (20_800 * 5_200 + 26_000 * 1_000))


def test_a_probe_without_the_solver_takes_its_own():
    probing = Probing(probes=tuple(PROBES), solver="lbfgs", seeds=(1,))
    found = {probe: solver for probe, solver, _, _ in probing.results()}
    assert found == {**{name: entry.official_solver for name, entry in PROBES.items()},
                     "logreg": "lbfgs"}  # fmt: skip


def test_where_a_seed_decides_next_to_nothing_the_first_is_enough():
    probing = Probing(probes=("knn", "ridge"), shots=(None, 2), seeds=(1, 2))
    seeds = {}
    for probe, _, shots, seed in probing.results():
        seeds.setdefault((probe, shots), []).append(seed)
    assert seeds == {("knn", None): [1], ("knn", 2): [1, 2],
                     ("ridge", None): [1, 2], ("ridge", 2): [1, 2]}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probes": ("logref",)}, "unknown probe 'logref'"),
        ({"solver": "sdg"}, "unknown solver 'sdg'"),
        ({"shots_validation": "without"}, "unknown shots validation 'without'"),
        ({"seeds": (-1,)}, "seeds from 0 to 4294967295, found -1"),
    ],
)
def test_names_and_seeds_that_no_probe_has(change, message):
    with pytest.raises(CogError, match=message):
        Probing(**change)


def test_the_table_is_read_without_torch():
    code = "import sys, cog.probes.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_of_probes_has_every_probe():
    page = (Path(__file__).parents[2] / "docs" / "probes.md").read_text(encoding="utf-8")
    table = page.split("## Every probe")[1].split("## ")[0]
    named = re.findall(r"`([^`]+)`", "".join(re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)))
    assert set(named) == {"--probe", *PROBES}
