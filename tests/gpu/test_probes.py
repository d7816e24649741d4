"""Every probe, fitted on a device, has the accuracy that it has on the CPU."""

from __future__ import annotations

import pytest
import torch

from cog.evaluation.doctor.agreement import check_probe
from cog.probes.data import ProbeData
from cog.probes.table import PROBES
from tests.support.probe_data import clusters, settings

KINDS = [(name, solver) for name, probe in PROBES.items() for solver in probe.solvers]
MOST = 3.0  # points of 360 test images; a search may end at another of two like settings


@pytest.fixture(scope="module")
def data() -> ProbeData:
    return clusters(n_train=480, n_test=360, d=16, c=6, spread=1.6)


def fitted(data: ProbeData, name: str, solver: str, device: torch.device, seed: int = 22):
    fresh = ProbeData(data.train_x, data.train_y, data.test_x, data.test_y, data.n_classes)
    how = settings(solver=solver, seed=seed, device=str(device))
    return PROBES[name].fit(fresh, how, lambda done, total: None)


@pytest.mark.parametrize(("name", "solver"), KINDS)
def test_a_probe_has_the_accuracy_of_the_cpu(device, data, name, solver):
    found = fitted(data, name, solver, device)
    expected = fitted(data, name, solver, torch.device("cpu"))
    assert 30 < expected.top1 < 99
    assert found.top1 == pytest.approx(expected.top1, abs=MOST)
    assert found.n_train == expected.n_train
    assert len(found.ranks) == len(expected.ranks)


@pytest.mark.parametrize(
    ("name", "solver"), [(name, "exact") for name in ("knn", "ncm", "retrieval")]
)
def test_probes_without_a_fit_rank_nearly_every_image_alike(device, data, name, solver):
    found, expected = (fitted(data, name, solver, each) for each in (device, torch.device("cpu")))
    assert (found.ranks == expected.ranks).mean() > 0.98


@pytest.mark.parametrize("solver", ["lbfgs", "sgd"])
def test_both_solvers_reach_the_objective_of_the_cpu(device, solver):
    check = check_probe(solver, device)
    assert check.passed, check
