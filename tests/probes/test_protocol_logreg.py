"""The logistic regressions of the protocols trex-transfer and dinov2-logreg: scikit-learn's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import optuna
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from cog.evaluation.protocols.table import PROTOCOLS
from cog.probes.data import ProbeSettings
from cog.probes.lbfgs import fit_lbfgs, objective
from cog.probes.logreg import logreg
from cog.probes.sampling import validation_split
from cog.probes.search import SCORE
from cog.recipe import Recipe
from tests.support.probe_data import clusters, features

pytestmark = pytest.mark.usefixtures("one_thread")


def settings(name, **change):
    protocol = PROTOCOLS[name]
    own = {"norm": protocol.options["norm"], **protocol.recipe, **change}
    return ProbeSettings("lbfgs", None, 22, Recipe(protocol=name, **own), "cpu")


def data(c=6, n_train=120, d=12):
    """Features that are far from length 1 and from mean 0."""
    made = clusters(n_train=n_train, d=d, c=c, spread=2.5)
    return replace(made, train_x=3 * made.train_x + 5, test_x=3 * made.test_x + 5)


def theirs(x, y, c):
    """scikit-learn's optimum for C; features in float64, by Newton's method, which gets nearest."""
    model = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    return model.fit(x.astype(np.float64), y)


@pytest.mark.parametrize("c", [1e-6, 1e-2, 1.0, 1e3])
@pytest.mark.parametrize(("classes", "n_train"), [(6, 120), (2, 120), (6, 10)])
def test_at_one_c_weights_and_predictions_are_scikit_learn_s(c, classes, n_train):
    """With more classes than two, with two, and with fewer images than numbers."""
    made = data(classes, n_train)
    change = {"lbfgs_c": (c,), "validation_share": 0.3}
    result = logreg(made, settings("dinov2-logreg", **change))
    model = theirs(made.train_x, made.train_y, c)
    expected = model.predict(made.test_x.astype(np.float64))
    assert result.highest[:, 0].tolist() == expected.tolist()
    assert result.hyper["wd"] == pytest.approx((2 if classes == 2 else 1) / (c * n_train))
    layer = result.head.layer.astype(np.float64)  # kept in float32
    weights = layer[:, :-1] - layer[:, :-1].mean(0)
    if classes == 2:
        weights = weights[1:] - weights[:1]
    scale = np.abs(model.coef_).max()
    np.testing.assert_allclose(weights, model.coef_, rtol=0, atol=1e-5 * scale)


def test_dinov2_tries_its_45_penalties_and_takes_the_first_that_is_best():
    made = data()
    result = logreg(made, settings("dinov2-logreg"))
    tried = [trial["c"] for trial in result.trials]
    np.testing.assert_allclose(tried, 10.0 ** np.linspace(-6, 5, 45))
    train, validation = validation_split(made.train_y, 0.1, 22)
    scores = []
    for c in tried[::4]:
        model = theirs(made.train_x[train], made.train_y[train], c)
        scores.append(100 * model.score(made.train_x[validation], made.train_y[validation]))
    assert [trial[SCORE] for trial in result.trials[::4]] == pytest.approx(scores)
    best = max(result.trials, key=lambda trial: trial[SCORE])["c"]
    assert result.hyper["wd"] == pytest.approx(1 / (best * 120))
    assert (result.n_validation, result.n_train) == (len(validation), 120)
    assert all(trial["converged"] for trial in result.trials)


def test_trex_draws_c_by_tpe_as_optuna_alone_does():
    """A loop with optuna and scikit-learn, as the public code has it."""
    made = data()
    asked = settings("trex-transfer", trials=12)  # of which ten are drawn at random
    result = logreg(made, asked)
    train, validation = validation_split(made.train_y, 0.2, 22)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=22), direction="maximize")

    def score(trial):
        c = trial.suggest_float("C", 1e-5, 1e6, log=True)
        model = theirs(made.train_x[train], made.train_y[train], c)
        return 100 * model.score(made.train_x[validation], made.train_y[validation])

    study.optimize(score, n_trials=12)
    assert [trial["c"] for trial in result.trials] == pytest.approx(
        [trial.params["C"] for trial in study.trials]
    )
    assert [trial[SCORE] for trial in result.trials] == pytest.approx(
        [trial.value for trial in study.trials]
    )
    best = study.best_params["C"]
    assert result.hyper["wd"] == pytest.approx(1 / (best * 120))
    expected = theirs(made.train_x, made.train_y, best).predict(made.test_x.astype(np.float64))
    assert result.highest[:, 0].tolist() == expected.tolist()


def test_a_bias_without_decay_has_the_gradient_of_autograd():
    made = features(data())
    x, y = made.take(torch.arange(len(made)))
    layer = torch.randn(6, 13, dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(x @ layer.T, y) + 0.15 * layer[:, :-1].square().sum()
    loss.backward()
    value, gradient = objective(layer.detach(), made, 0.3, bias_decays=False)
    assert value == pytest.approx(loss.item())
    torch.testing.assert_close(gradient, layer.grad)


@pytest.mark.parametrize("n_train", [120, 8], ids=["more rows than columns", "fewer"])
def test_a_strong_decay_leaves_a_free_bias_to_be_found(n_train):
    """Classes of unequal size: the bias alone then says how frequent each is."""
    made = data(n_train=n_train)
    labels = np.minimum(made.train_y, 2)
    some = features(replace(made, train_y=labels, n_classes=3))
    found = fit_lbfgs(some, 1e6, torch.zeros(3, 13), 1e-12, 500, bias_decays=False)
    shares = np.bincount(labels) / n_train
    bias = found.layer[:, -1].double().softmax(0).numpy()
    assert found.converged
    np.testing.assert_allclose(bias, shares, atol=1e-5)
