"""Ridge regression against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.preprocessing import normalize

from cog.probes.ridge import _decompose, ridge
from cog.probes.sampling import validation_split
from tests.support.probe_data import QUICK, clusters, features, settings, tensors


@pytest.mark.parametrize("penalty", [1e-8, 1e-4, 1e-1, 10.0])
@pytest.mark.parametrize("d", [12, 200])
def test_layer_is_scikit_learn_s(penalty, d):
    """Also where there are more numbers than images."""
    data = clusters(d=d)
    x, _ = tensors(data)
    theirs = Ridge(alpha=120 * penalty, solver="svd").fit(x[:, :-1], np.eye(6)[data.train_y])
    layer = _decompose(features(data), 6).layer(penalty)
    expected = torch.tensor(np.c_[theirs.coef_, theirs.intercept_])
    torch.testing.assert_close(layer, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("penalty", [1e-8, 1e-6])
def test_float32_features_far_from_their_mean_lose_no_digits(penalty):
    """The smallest eigenvalues are a billionth of the mean's: float32 sums would drown them."""
    data = clusters(n_train=3000, spread=1.0)
    x = data.train_x * np.logspace(0, -3, 12, dtype=np.float32) + np.float32(1)
    data = type(data)(x, data.train_y, x, data.train_y, 6)
    unit = normalize(x.astype(np.float64)).astype(np.float32).astype(np.float64)
    theirs = Ridge(alpha=3000 * penalty, solver="svd").fit(unit, np.eye(6)[data.train_y])
    layer = _decompose(features(data, torch.float32), 6).layer(penalty)
    expected = np.c_[theirs.coef_, theirs.intercept_]
    assert np.abs(layer.numpy() - expected).max() < 1e-2 * np.abs(expected).max()


def test_predictions_are_those_of_scikit_learn_s_classifier():
    data = clusters(spread=2.0)
    result = ridge(data, settings("exact"))
    train, validation = validation_split(data.train_y, 0.2, 22)
    x, test_x = (normalize(each.astype(np.float64)) for each in (data.train_x, data.test_x))
    assert [trial["penalty"] for trial in result.trials] == list(QUICK.ridge_penalties)
    for trial in result.trials:
        model = RidgeClassifier(alpha=96 * trial["penalty"]).fit(x[train], data.train_y[train])
        score = 100 * model.score(x[validation], data.train_y[validation])
        assert trial["validation_top1"] == pytest.approx(score)
    final = RidgeClassifier(alpha=120 * result.hyper["penalty"]).fit(x, data.train_y)
    assert 30 < result.top1 < 90
    assert ((result.ranks == 0) == (final.predict(test_x) == data.test_y)).all()


def test_bias_is_not_penalised():
    """Under a huge penalty every image is given the shares of the classes."""
    data = clusters()
    layer = _decompose(features(data), 6).layer(1e12)
    torch.testing.assert_close(layer[:, -1], torch.full((6,), 1 / 6, dtype=torch.float64))
    assert layer[:, :-1].abs().max() < 1e-9


def test_a_class_without_images_comes_last():
    layer = _decompose(features(clusters()), n_classes=8).layer(1e-3)
    assert layer[:6].isfinite().all()
    assert (layer[6:, -1] == -torch.inf).all()


@pytest.mark.parametrize(("shots", "times"), [(None, 2), (3, 1)])
def test_decomposes_once_for_all_penalties(shots, times, monkeypatch):
    """And once for search and final fit where these have the same images."""
    calls, decompose = [], torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda x: calls.append(1) or decompose(x))
    ridge(clusters(), settings("exact", shots))
    assert len(calls) == times
