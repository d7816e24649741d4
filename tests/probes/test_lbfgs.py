"""Softmax regression by L-BFGS: against scikit-learn, autograd and dense algebra."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from cog.probes.lbfgs import _preconditioner, fit_lbfgs, indecision, objective, second_moment
from cog.probes.sgd import initial_layer
from tests.support.probe_data import clusters, features, tensors

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("wd", [1e-2, 1e-4])
def test_lbfgs_reaches_scikit_learn_s_optimum(wd, dtype):
    data = clusters(spread=2.0)
    x, y = tensors(data)
    theirs = LogisticRegression(C=1 / (wd * len(x)), fit_intercept=False, tol=1e-9, max_iter=20_000)
    theirs.fit(x.numpy(), y.numpy())
    best, _ = objective(torch.from_numpy(theirs.coef_), features(data), wd)

    start = torch.zeros(data.n_classes, x.shape[1])
    found = fit_lbfgs(features(data, dtype), wd, start, tolerance=1e-7, iterations=500)
    value, _ = objective(found.layer, features(data), wd)
    assert found.converged
    assert value == pytest.approx(best, rel=1e-5)
    agree = (x @ found.layer.double().T).argmax(1).numpy() == theirs.predict(x.numpy())
    assert agree.mean() > 0.99


def test_objective_and_gradient_in_blocks(monkeypatch):
    """Autograd on all rows at once says the same as blocks of seven."""
    data, wd = clusters(n_train=50), 0.3
    x, y = tensors(data)
    layer = initial_layer(data.n_classes, x.shape[1], seed=1).double().requires_grad_()
    loss = torch.nn.functional.cross_entropy(x @ layer.T, y) + wd / 2 * layer.square().sum()
    loss.backward()
    monkeypatch.setattr("cog.probes.features.CPU_BLOCK", 7)
    value, gradient = objective(layer.detach(), features(data), wd)
    assert value == pytest.approx(loss.item())
    torch.testing.assert_close(gradient, layer.grad)


def test_lbfgs_says_when_it_ran_out_of_iterations():
    found = fit_lbfgs(features(clusters()), 1e-6, torch.zeros(6, 13), tolerance=1e-9, iterations=3)
    assert not found.converged
    assert found.evaluations <= 7


@pytest.mark.parametrize("n_train", [120, 8], ids=["more rows than columns", "fewer"])
@pytest.mark.parametrize("wd", [1e-1, 1e-6])
def test_preconditioner_inverts_the_first_hessian(n_train, wd):
    """That of an undecided layer: s · XᵀX/n + wd · I for every class, s the mean of p (1 − p)."""
    data = clusters(n_train=n_train)
    x, _ = tensors(data)
    scale = indecision(torch.zeros(6, 13), features(data))
    assert scale == pytest.approx(1 / 6 * 5 / 6)
    inverse = _preconditioner(second_moment(features(data)), scale, wd)
    gradient = torch.randn(6, 13, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    curvature = scale * x.T @ x / len(x)
    curvature += (wd + torch.finfo(torch.float32).eps * curvature.trace()) * torch.eye(13)
    torch.testing.assert_close(inverse(gradient), torch.linalg.solve(curvature, gradient.T).T)


@pytest.mark.parametrize("n_train", [120, 8])
def test_no_decay_at_all_is_no_trouble(n_train):
    data = clusters(n_train=n_train, spread=3.0)
    found = fit_lbfgs(features(data), 0.0, torch.zeros(6, 13), tolerance=1e-4, iterations=500)
    value, _ = objective(found.layer, features(data), 0.0)
    assert found.converged
    assert value < objective(torch.zeros(6, 13), features(data), 0.0)[0]


def test_a_better_start_takes_fewer_evaluations_to_the_same_optimum():
    part = features(clusters(n_train=600, spread=2.0))
    cold = fit_lbfgs(part, 1e-4, torch.zeros(6, 13), 1e-9, 500)
    warm = fit_lbfgs(part, 1e-4, cold.layer + 1e-3, 1e-9, 500)
    assert warm.evaluations < cold.evaluations
    values = [objective(each.layer, part, 1e-4)[0] for each in (cold, warm)]
    assert values[0] == pytest.approx(values[1], rel=1e-8)


def test_far_starts_come_back():
    """A start of huge weights, where the objective is steep and the first step is far too long."""
    part = features(clusters(spread=2.0))
    start = 1e3 * torch.randn(6, 13, generator=torch.Generator().manual_seed(0))
    far = fit_lbfgs(part, 1e-3, start, 1e-9, 2000)
    near = fit_lbfgs(part, 1e-3, torch.zeros(6, 13), 1e-9, 2000)
    assert far.converged
    values = [objective(each.layer, part, 1e-3)[0] for each in (far, near)]
    assert values[0] == pytest.approx(values[1], rel=1e-7)


def test_float32_stops_where_it_can_tell_no_more():
    """A tolerance below its roundings ends in an optimum, not in idle steps."""
    data = clusters(n_train=600, spread=2.0)
    found = fit_lbfgs(features(data, torch.float32), 1e-4, torch.zeros(6, 13), 0.0, 500)
    best = fit_lbfgs(features(data), 1e-4, torch.zeros(6, 13), 1e-12, 500)
    assert found.converged
    assert found.evaluations < 200
    values = [objective(each.layer, features(data), 1e-4)[0] for each in (found, best)]
    assert values[0] == pytest.approx(values[1], rel=1e-6)
