"""The probe on patch tokens: its forward by another route, and what only attention can tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cog.errors import CogError
from cog.probes.attentive import HEAD, AttentivePool, _fit, attentive, heads_of
from cog.probes.data import ProbeData
from cog.probes.mlp import mlp
from cog.probes.rows import parts_of
from tests.support.probe_data import QUICK, assert_same, settings

HOW = replace(QUICK, attentive_least_steps=150, attentive_epochs=2)


def hidden(n_train=160, n_test=120, tokens=9, d=16, c=4, seed=0) -> ProbeData:
    """The class is in one token at a random position, which has a mark.

    The others are of random classes without it, so that the mean of all tokens says little.
    """
    rng = np.random.default_rng(seed)
    signs = rng.normal(size=(c, d - 1)) * 2

    def draw(labels):
        n = len(labels)
        x = signs[rng.integers(0, c, (n, tokens))] + 0.3 * rng.normal(size=(n, tokens, d - 1))
        x = np.concatenate([x, np.zeros((n, tokens, 1))], axis=2)
        at = rng.integers(0, tokens, n)
        x[np.arange(n), at, :-1] = signs[labels] + 0.3 * rng.normal(size=(n, d - 1))
        x[np.arange(n), at, -1] = 6
        return x.reshape(n, -1).astype(np.float16)

    train, test = np.arange(n_train) % c, np.arange(n_test) % c
    return ProbeData(draw(train), train, draw(test), test, c, tokens=tokens)


def random_pool(d: int, c: int, heads: int) -> AttentivePool:
    generator = torch.Generator().manual_seed(3)
    shapes = (2, d), (d,), (2 * d, d), (d,), (c, d), (c,)
    return AttentivePool(heads, *(torch.randn(shape, generator=generator) for shape in shapes))


def plain_outputs(pool: AttentivePool, tokens: np.ndarray) -> np.ndarray:
    """Scores [c] of one image's tokens [T, d], by loops over tokens and heads in float64."""
    norm, query, maps, value_biases, layer, biases = (
        each.double().numpy()
        for each in (pool.norm, pool.query, pool.maps, pool.value_biases, pool.layer, pool.biases)
    )
    dim = tokens.shape[1]
    normed = [(t - t.mean()) / t.std() * norm[0] + norm[1] for t in tokens]
    keys = [maps[:dim] @ t + 3 for t in normed]  # what keys have in common makes no difference
    values = [maps[dim:] @ t + value_biases for t in normed]
    size, seen = dim // pool.heads, np.zeros(dim)
    for head in range(pool.heads):
        own = slice(head * size, (head + 1) * size)
        scores = np.array([key[own] @ query[own] for key in keys]) / np.sqrt(size)
        weights = np.exp(scores - scores.max())
        for weight, value in zip(weights / weights.sum(), values, strict=True):
            seen[own] += weight * value[own]
    return layer @ seen + biases


@pytest.mark.parametrize(("d", "heads"), [(12, 1), (2 * HEAD, 2), (12, 3)])
def test_the_forward_is_that_of_the_formula(d: int, heads: int) -> None:
    pool, tokens = random_pool(d, 5, heads), np.random.default_rng(0).normal(size=(3, 7, d)) * 3
    found = pool.outputs(torch.tensor(tokens, dtype=torch.float32)).numpy()
    expected = np.stack([plain_outputs(pool, each) for each in tokens])
    np.testing.assert_allclose(found, expected, atol=2e-3, rtol=2e-4)


def test_heads_have_64_numbers_where_that_divides() -> None:
    assert [heads_of(dim) for dim in (64, 192, 384, 768, 1024, 1280, 96)] == [
        1,
        3,
        6,
        12,
        16,
        20,
        1,
    ]


def test_only_attention_finds_the_class_in_one_token() -> None:
    data, how = hidden(n_train=600), replace(HOW, attentive_rates=(1e-3, 1e-2))
    found = attentive(data, settings(recipe=how))
    mean = data.train_x.reshape(600, 9, 16).mean(1), data.test_x.reshape(120, 9, 16).mean(1)
    means = ProbeData(mean[0], data.train_y, mean[1], data.test_y, 4)
    assert found.top1 > 90
    assert mlp(means, settings(recipe=replace(how, mlp_least_steps=300))).top1 < 70
    assert [trial["lr"] for trial in found.trials] == [1e-3, 1e-2]
    assert (found.n_train, found.n_validation) == (600, 120)


def test_the_order_of_tokens_says_nothing() -> None:
    """Both of training and of test images, in an order of each image's own."""
    data, rng = hidden(), np.random.default_rng(5)

    def mixed(x: np.ndarray) -> np.ndarray:
        tokens = x.reshape(len(x), 9, 16)
        return np.stack([each[rng.permutation(9)] for each in tokens]).reshape(len(x), -1)

    quick = settings(recipe=replace(HOW, attentive_rates=(1e-3,), attentive_least_steps=20))
    other = replace(data, train_x=mixed(data.train_x), test_x=mixed(data.test_x))
    one, two = attentive(data, quick), attentive(other, quick)
    assert abs(one.top1 - two.top1) < 3  # rounding alone differs


def test_equal_seeds_give_equal_fits_and_length_1_changes_next_to_nothing() -> None:
    quick = replace(HOW, attentive_rates=(1e-3,), attentive_least_steps=20)
    one, same = (attentive(hidden(), settings(recipe=quick)) for _ in range(2))
    assert_same(one, same)
    data, pools = hidden(), []
    for norm in ("l2", "none"):
        how = settings(recipe=replace(quick, norm=norm))
        pools.append(_fit(parts_of(replace(data), how).final, 1e-3, data, how, lambda _: None))
    torch.testing.assert_close(pools[0].layer, pools[1].layer, atol=5e-3, rtol=0)


def test_only_weights_decay() -> None:
    """With a rate so small that gradients change nothing that can be seen, decay still shrinks."""
    how = settings(recipe=replace(HOW, attentive_decay=2e3, attentive_least_steps=20))
    data = hidden()
    pool = _fit(parts_of(data, how).final, 1e-5, data, how, lambda _: None)
    assert pool.norm[0].mean() > 0.999
    assert pool.layer.std() < 0.02 * 0.9


def test_a_fit_that_diverges_is_refused() -> None:
    how = settings(recipe=replace(HOW, attentive_rates=(1e30,), attentive_least_steps=20))
    with pytest.raises(CogError, match="diverged with a rate of 1e"):
        attentive(hidden(), how)
