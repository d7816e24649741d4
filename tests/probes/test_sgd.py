"""SGD for many heads at once: against torch's own loop, and one head against many."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from cog.probes.metrics import percent_within
from cog.probes.ranks import layer_ranks, percent_right
from cog.probes.sgd import (
    batches,
    fit_sgd,
    heads_that_fit,
    initial_layer,
    scheduled_lr,
)
from cog.recipe import PRODUCTS
from tests.support.probe_data import QUICK, clusters, features, tensors

pytestmark = pytest.mark.usefixtures("one_thread")


def test_rate_is_full_for_two_epochs_and_then_half_a_cosine():
    rates = [scheduled_lr(3.0, epoch, 100) for epoch in range(100)]
    assert rates[0] == rates[1] == 3.0
    assert rates[51] == pytest.approx(1.5)
    assert rates[99] == pytest.approx(1.5 * (1 + math.cos(0.98 * math.pi)))
    assert all(a > b for a, b in pairwise(rates[1:]))


def test_start_is_that_of_torch_linear():
    layer = initial_layer(500, 17, seed=22)
    assert layer.abs().max() <= 1 / math.sqrt(16)
    assert layer.std() == pytest.approx(1 / math.sqrt(3 * 16), rel=0.02)
    assert layer[:, -1].std() == pytest.approx(1 / math.sqrt(3 * 16), rel=0.1)
    assert not torch.equal(layer, initial_layer(500, 17, seed=37))


def test_batches_are_a_fresh_permutation_each_epoch():
    epochs = [torch.cat(list(batches(10, 4, 22, epoch))).tolist() for epoch in range(3)]
    assert all(sorted(rows) == list(range(10)) for rows in epochs)
    assert len({tuple(rows) for rows in epochs}) == 3
    assert [len(rows) for rows in batches(10, 4, 22, 0)] == [4, 4, 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_torch_s_linear_layer_and_optimiser(dtype):
    """The same start and the same batches give the weights of the obvious loop."""
    data, lr, wd = clusters(), 2.0, 1e-2
    x, y = tensors(data, dtype)
    linear = torch.nn.Linear(x.shape[1] - 1, data.n_classes, dtype=dtype)
    start = initial_layer(data.n_classes, x.shape[1], seed=22).to(dtype)
    with torch.no_grad():
        linear.weight.copy_(start[:, :-1])
        linear.bias.copy_(start[:, -1])
    optimiser = torch.optim.SGD(linear.parameters(), lr=lr, momentum=0.9, weight_decay=wd)
    for epoch in range(QUICK.epochs):
        for rows in batches(len(x), QUICK.batch_size, 22, epoch):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(linear(x[rows, :-1]), y[rows]).backward()
            optimiser.step()
        rate = lr * 0.5 * (1 + math.cos(math.pi * epoch / QUICK.epochs))  # after the epoch
        optimiser.param_groups[0]["lr"] = rate

    (ours,) = fit_sgd(features(data, dtype), [lr], [wd], data.n_classes, QUICK, seed=22)
    theirs = torch.cat([linear.weight, linear.bias[:, None]], dim=1).detach()
    torch.testing.assert_close(ours, theirs)
    assert (ours - start).abs().max() > 0.1


@pytest.mark.parametrize(("dtype", "highest_lr"), [(torch.float64, 100.0), (torch.float32, 30.0)])
def test_one_head_equals_many(dtype, highest_lr):
    data = clusters()
    part = features(data, dtype)
    lrs, wds = [0.1, 1.0, 7.0, highest_lr], [1e-4, 1e-12, 1e-3, 1e-6]
    together = fit_sgd(part, lrs, wds, data.n_classes, QUICK, seed=22)
    for lr, wd, layer in zip(lrs, wds, together, strict=True):
        (alone,) = fit_sgd(part, [lr], [wd], data.n_classes, QUICK, seed=22)
        torch.testing.assert_close(layer, alone, rtol=1e-3, atol=1e-4 if dtype.itemsize == 4 else 0)


def test_a_diverging_head_is_nan_and_disturbs_no_other():
    data = clusters()
    part = features(data, torch.float32)
    layers = fit_sgd(part, [100.0, 1.0], [1e3, 1e-6], data.n_classes, QUICK, seed=22)
    (alone,) = fit_sgd(part, [1.0], [1e-6], data.n_classes, QUICK, seed=22)
    assert layers[0].isnan().all()
    torch.testing.assert_close(layers[1], alone)


def test_same_seed_same_bits():
    part = features(clusters(), torch.float32)
    first, again = (fit_sgd(part, [1.0], [0.0], 6, QUICK, seed=22) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, fit_sgd(part, [1.0], [0.0], 6, QUICK, seed=37))


@pytest.mark.parametrize("products", PRODUCTS)
def test_rounded_products_are_near_full_ones(products):
    """And the precision of other float32 products is left as it was."""
    part, before = features(clusters(), torch.float32), torch.get_float32_matmul_precision()
    full = fit_sgd(part, [1.0, 3.0], [1e-4, 1e-4], 6, QUICK, seed=22)
    found = fit_sgd(part, [1.0, 3.0], [1e-4, 1e-4], 6, replace(QUICK, products=products), seed=22)
    assert found.dtype == torch.float32
    assert (found - full).abs().max() < 0.03 * full.abs().max()
    assert torch.equal(found, full) == (products in ("float32", "tf32"))
    assert torch.get_float32_matmul_precision() == before


def test_heads_that_fit_grow_with_memory():
    sizes = [heads_that_fit(100, 513, 1024, free) for free in (0, 10**6, 10**8, 10**9)]
    assert sizes[:2] == [1, 1]
    assert sizes[3] == pytest.approx(10 * sizes[2], rel=0.1)


def test_percent_right_is_that_of_the_ranks():
    """Ties and diverged heads included."""
    part = features(clusters(), torch.float32)
    generator = torch.Generator().manual_seed(0)
    layers = torch.randn(4, 6, 13, generator=generator)
    layers[1, :, :-1] = 0  # every row has the outputs of the biases
    layers[1, [1, 4], -1] = 9.0  # of which two tie
    layers[2] = 0
    layers[3, 2, 2] = torch.nan
    expected = [percent_within(layer_ranks(layer, part), 1) for layer in layers[:3]]
    assert percent_right(layers, part) == pytest.approx([*expected, 0.0])
    assert expected[2] == pytest.approx(100 / 6)
