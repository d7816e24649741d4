"""LARS behind batch norm against a plain loop of torch's own layers, and the probe that has it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cog.errors import CogError
from cog.probes.bn_linear import bn_linear
from cog.probes.features import unit_features
from cog.probes.lars import first_layer, fit_lars
from cog.probes.sampling import validation_split
from cog.probes.search import SCORE
from cog.probes.sgd import batches
from cog.recipe import Recipe
from tests.support.probe_data import clusters, settings

pytestmark = pytest.mark.usefixtures("one_thread")
RECIPE = replace(Recipe(norm="none"), lars_epochs=12, lars_warmup=3, lars_batch=50)
QUICK = replace(Recipe(norm="none"), lars_rates=(0.001, 0.1, 0.3))


def data(n_train=120):
    """Features far from mean 0, of unequal deviations."""
    made = clusters(n_train=n_train, spread=1.5)
    scale = np.geomspace(0.1, 10, 12, dtype=np.float32)
    return replace(made, train_x=made.train_x * scale + 3, test_x=made.test_x * scale + 3)


def plain_loop(x, y, base_lr, recipe, seed, n_classes=6):
    """The public code's loop on features: BatchNorm1d, Linear, LARS by its formula, autograd."""
    norm = torch.nn.BatchNorm1d(x.shape[1], affine=False, eps=1e-6, dtype=torch.float64)
    linear = torch.nn.Linear(x.shape[1], n_classes, dtype=torch.float64)
    start = first_layer(n_classes, x.shape[1] + 1, seed).double()
    with torch.no_grad():
        linear.weight.copy_(start[:, :-1])
        linear.bias.copy_(start[:, -1])
    size = min(recipe.lars_batch, len(x))
    lr_full = base_lr * recipe.lars_batch / 256
    momenta = {name: torch.zeros_like(p) for name, p in linear.named_parameters()}
    for epoch in range(recipe.lars_epochs):
        whole = [batch for batch in batches(len(x), size, seed, epoch) if len(batch) == size]
        for index, batch in enumerate(whole):
            now = epoch + index / len(whole)
            if now < recipe.lars_warmup:
                lr = lr_full * now / recipe.lars_warmup
            else:
                rest = (now - recipe.lars_warmup) / (recipe.lars_epochs - recipe.lars_warmup)
                lr = lr_full * 0.5 * (1 + math.cos(math.pi * rest))
            linear.zero_grad()
            torch.nn.functional.cross_entropy(linear(norm(x[batch])), y[batch]).backward()
            with torch.no_grad():
                for name, p in linear.named_parameters():
                    step = p.grad
                    if p.ndim > 1:
                        step = step * (0.001 * p.norm() / step.norm())
                    momenta[name].mul_(0.9).add_(step)
                    p.sub_(lr * momenta[name])
    norm.eval()
    return lambda rows: linear(norm(rows)).detach()


@pytest.mark.parametrize(("n_train", "batch"), [(120, 50), (120, 40), (120, 16_384)])
def test_it_is_the_public_code_s_loop_to_rounding(n_train, batch):
    """With rows that fill no batch, with batches that come out even, and with one batch."""
    made, recipe = data(n_train), replace(RECIPE, lars_batch=batch)
    rates = (0.1, 3.0)
    features = unit_features(made.train_x, made.train_y, "cpu", torch.float64, to_length_1=False)
    layers = fit_lars(features, rates, 6, recipe, seed=22)
    x, y = torch.tensor(made.train_x).double(), torch.tensor(made.train_y)
    asked = torch.tensor(made.test_x).double()
    for rate, layer in zip(rates, layers, strict=True):
        expected = plain_loop(x, y, rate, recipe, 22)(asked)
        found = asked @ layer[:, :-1].T + layer[:, -1]
        assert expected.std() > 0.01
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_rates_share_a_fit_and_do_not_mix():
    made = data()
    features = unit_features(made.train_x, made.train_y, "cpu", torch.float64, to_length_1=False)
    both = fit_lars(features, (1.0, 20.0), 6, RECIPE, seed=22)
    for rate, layer in zip((1.0, 20.0), both, strict=True):
        torch.testing.assert_close(fit_lars(features, (rate,), 6, RECIPE, seed=22)[0], layer)


def test_the_rate_is_chosen_on_validation_images_and_batch_norm_is_in_the_head():
    made = data()
    result = bn_linear(made, settings("lars", recipe=QUICK))
    train, validation = validation_split(made.train_y, 0.2, 22)
    x = torch.tensor(made.train_x).double()
    y = torch.tensor(made.train_y)
    for trial in result.trials:
        outputs = plain_loop(x[train], y[train], trial["lr"], QUICK, 22)(x[validation])
        right = float((outputs.argmax(1) == y[validation]).double().mean())
        assert trial[SCORE] == pytest.approx(100 * right, abs=100 / len(validation))
    highest = max(trial[SCORE] for trial in result.trials)
    best = [trial["lr"] for trial in result.trials if trial[SCORE] == highest]
    assert result.hyper == {"lr": best[len(best) // 2]}
    assert 0.001 not in best
    assert (result.n_train, result.n_validation) == (120, 24)
    head = result.head
    assert (head.to_length_1, head.mean) == (False, None)
    outputs = made.test_x @ head.layer[:, :-1].T + head.layer[:, -1]
    assert np.mean(outputs.argmax(1) == made.test_y) * 100 == pytest.approx(result.top1, abs=2)
    assert result.top1 > 50


def test_heads_that_do_not_fit_train_in_turn_with_the_same_result(monkeypatch):
    whole = bn_linear(data(), settings("lars", recipe=QUICK))
    monkeypatch.setattr("cog.probes.bn_linear.free_memory", lambda device: 0)
    alone = bn_linear(data(), settings("lars", recipe=QUICK))
    assert [trial[SCORE] for trial in alone.trials] == pytest.approx(
        [trial[SCORE] for trial in whole.trials], abs=5
    )


def test_a_fit_that_diverges_is_an_error():
    recipe = replace(RECIPE, lars_rates=(1e30,))
    with pytest.raises(CogError, match="final fit diverged"):
        bn_linear(data(), settings("lars", recipe=recipe))
