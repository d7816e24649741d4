"""The perceptron against torch's own modules, and what only a hidden layer can learn."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from cog.errors import CogError
from cog.probes.data import ProbeData
from cog.probes.mlp import _fit, _moments, _start, mlp
from cog.probes.ridge import ridge
from cog.probes.sgd import batches
from tests.support.probe_data import QUICK, clusters, features, settings, tensors

SMALL = replace(QUICK, mlp_epochs=6, mlp_least_steps=0)
SETTINGS = settings("adamw", recipe=SMALL)


def with_recipe(**change):
    return settings("adamw", recipe=replace(SMALL, **change))


def test_equals_torch_s_modules_and_optimiser():
    """The same start and the same batches give the outputs of the obvious loop."""
    data, rate = clusters(), 0.01
    part, (x, y) = features(data), tensors(data)
    scaled = torch.tensor(StandardScaler().fit_transform(x[:, :-1].numpy()))
    start = _start(part, 32, 6, seed=22)
    modules = torch.nn.Sequential(
        torch.nn.Linear(12, 32), torch.nn.ReLU(), torch.nn.Linear(32, 6)
    ).double()
    with torch.no_grad():
        for own, first in zip(modules.parameters(), start.weights, strict=True):
            own.copy_(first)
    optimiser = torch.optim.AdamW(modules.parameters(), lr=rate, weight_decay=1e-2)
    step = 0
    for epoch in range(6):
        for rows in batches(120, QUICK.batch_size, 22, epoch):
            for group in optimiser.param_groups:
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / 12))
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(modules(scaled[rows]), y[rows]).backward()
            optimiser.step()
            step += 1
    assert step == 12
    calls = []
    network = _fit(part, rate, 6, SETTINGS, calls.append)
    torch.testing.assert_close(network.outputs(x), modules(scaled))
    assert (network.outputs(x) - start.outputs(x)).abs().max() > 0.1
    assert calls == pytest.approx([(epoch + 1) / 6 for epoch in range(6)])


def test_moments_are_scikit_learn_s(monkeypatch):
    monkeypatch.setattr("cog.probes.features.CPU_BLOCK", 7)
    data = clusters()
    scaler = StandardScaler().fit(tensors(data)[0][:, :-1].numpy())
    mean, variance = _moments(features(data))
    np.testing.assert_allclose(mean, scaler.mean_)
    np.testing.assert_allclose(variance, scaler.var_)


def test_start_is_that_of_torch_linear():
    weights = _start(features(clusters(d=100)), 400, 300, seed=22).weights
    assert [tuple(each.shape) for each in weights] == [(400, 100), (400,), (300, 400), (300,)]
    for each, inputs in zip(weights, (100, 100, 400, 400), strict=True):
        assert each.detach().abs().max() <= 1 / math.sqrt(inputs)
        assert each.detach().std() == pytest.approx(1 / math.sqrt(3 * inputs), rel=0.1)
    again, other = (_start(features(clusters(d=100)), 400, 300, seed).weights for seed in (22, 37))
    assert all(torch.equal(a, b) for a, b in zip(weights, again, strict=True))
    assert not torch.equal(weights[0], other[0])


def test_learns_what_no_linear_layer_can():
    """Opposite quadrants of the plane are one class."""
    x = np.random.default_rng(1).normal(size=(800, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    data = ProbeData(x[:400], y[:400], x[400:], y[400:], n_classes=2)
    assert mlp(data, with_recipe(mlp_epochs=60)).top1 > 95
    assert ridge(data, settings("exact")).top1 < 70


def test_few_images_are_given_enough_steps():
    part = features(clusters())  # two batches an epoch
    calls = []
    _fit(part, 0.01, 6, with_recipe(mlp_least_steps=25), calls.append)
    assert len(calls) == 13


def test_a_rate_that_diverges_counts_0_and_the_search_goes_on():
    result = mlp(clusters(), with_recipe(mlp_rates=(1e30, 0.03)))
    assert result.trials[0] == {"lr": 1e30, "validation_top1": 0.0}
    assert result.hyper == {"lr": 0.03}
    assert result.top1 > 50


def test_a_final_fit_that_diverges_is_an_error():
    with pytest.raises(CogError, match="final fit diverged"):
        mlp(clusters(), with_recipe(mlp_rates=(1e30,)))


def test_a_number_that_never_varies_stays_out():
    data = clusters()
    widened = [np.c_[x, np.zeros(len(x), "f4")] for x in (data.train_x, data.test_x)]
    more = replace(data, train_x=widened[0], test_x=widened[1])
    network = _start(features(more), 32, 6, seed=22)
    assert network.scale[-1] == 1
    assert mlp(more, SETTINGS).top1 > 50
