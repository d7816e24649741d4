"""Small data for the tests of probes, and the settings that go with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from cog.probes.data import ProbeData, ProbeSettings
from cog.probes.features import unit_features
from cog.recipe import Recipe

QUICK = replace(
    Recipe(), trials=4, trials_per_round=1, epochs=15, batch_size=64,
    lbfgs_decays=(1e-3, 1e-4, 1e-5), mlp_hidden=32, mlp_epochs=3,
    mlp_least_steps=30, mlp_rates=(0.01, 0.03), lars_rates=(0.1, 0.3),
    attentive_rates=(1e-3, 1e-2), attentive_epochs=2, attentive_least_steps=60,
)  # fmt: skip


def clusters(n_train=120, n_test=90, d=12, c=6, spread=1.0, seed=0):
    """Gaussian clusters around random centres, as float32 features."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(c, d))
    train_y, test_y = np.arange(n_train) % c, np.arange(n_test) % c

    def draw(y):
        return (centres[y] + spread * rng.normal(size=(len(y), d))).astype(np.float32)

    return ProbeData(draw(train_y), train_y, draw(test_y), test_y, c)


def settings(solver="sgd", shots=None, seed=22, recipe=QUICK, device="cpu"):
    return ProbeSettings(solver, shots, seed, recipe, device)


def features(data, dtype=torch.float64, device="cpu"):
    return unit_features(data.train_x, data.train_y, device, dtype)


def tensors(data, dtype=torch.float64):
    """The same rows by other means: unit features with their ones, and labels."""
    x = data.train_x / np.linalg.norm(data.train_x.astype(np.float64), axis=1, keepdims=True)
    return torch.tensor(np.c_[x, np.ones(len(x))], dtype=dtype), torch.tensor(data.train_y)


def ranks_by_sorting(scores, labels):
    """The rank of each label among the classes sorted by score; of equal ones the first leads."""
    order = np.argsort(-scores, axis=1, kind="stable")
    return (order == labels[:, None]).argmax(axis=1)


def assert_same(first, second):
    """All but the time it took."""
    assert first.ranks.tolist() == second.ranks.tolist()
    assert first.trials == second.trials
    assert first.hyper == second.hyper
