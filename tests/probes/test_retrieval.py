"""Retrieval against scikit-learn's average precision and a loop over images, ties and all."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import cosine_similarity

import cog.probes.retrieval
from cog.errors import CogError
from cog.probes.data import ProbeData
from cog.probes.retrieval import retrieval
from tests.support.probe_data import settings

SETTINGS = settings("exact")


def search(x, y, progress=lambda done, total: None, **change):
    """Retrieval among test features; training features that would stop it if it looked."""
    y = np.asarray(y)
    nothing = np.full((2, x.shape[1]), np.nan, np.float32), np.zeros(2, np.int64)
    return retrieval(ProbeData(*nothing, x, y, y.max() + 1), settings("exact", **change), progress)


def expected(x, y):
    """mAP, R-precision, and the ranks, by a loop; right images come last among equals."""
    scores = cosine_similarity(x)
    precision, among_first, ranks = [], [], []
    for row, label in enumerate(y):
        others = np.arange(len(y)) != row
        right, own = y[others] == label, scores[row, others]
        if not right.any():
            ranks.append(len(y))
            continue
        found = right[np.lexsort((right, -own))]
        ranks.append(found.argmax())
        among_first.append(found[: right.sum()].mean())
        precision.append(average_precision_score(right, own))
    return 100 * np.mean(precision), 100 * np.mean(among_first), ranks


def assert_as_expected(x, y):
    result = search(x, y)
    mean, among_first, ranks = expected(x.astype(np.float64), np.asarray(y))
    assert result.figures["map"] == pytest.approx(mean, rel=1e-9)
    assert result.figures["r_precision"] == pytest.approx(among_first, rel=1e-9)
    assert result.ranks.tolist() == list(ranks)
    return result


def noisy(m=150, d=8, c=7, seed=0):
    """Features around unit vectors, labels in no order, classes of unequal size."""
    rng = np.random.default_rng(seed)
    y = (c * rng.random(m) ** 2).astype(np.int64)
    return (rng.normal(size=(m, d)) + np.eye(d)[y]).astype(np.float32), y


def test_it_is_scikit_learn_s_average_precision():
    result = assert_as_expected(*noisy())
    assert 20 < result.figures["map"] < 60
    assert (result.n_train, result.n_validation, result.hyper, result.trials) == (0, 0, {}, [])


def test_images_of_one_cosine_are_found_together_and_a_right_one_comes_last():
    """Of 16 signs every cosine is a multiple of 1/16, the same to the bit in any order."""
    x, y = noisy(d=16)
    signs = np.where(x > 0, 1, -1).astype(np.float32)
    assert len(np.unique(cosine_similarity(signs).round(6))) < 17
    assert_as_expected(signs, y)


def test_features_that_are_all_alike_find_nothing():
    _, y = noisy()
    for x in (np.ones((len(y), 4), np.float32), np.zeros((len(y), 4), np.float32)):
        result = assert_as_expected(x, y)
        assert result.top1 == 0
        assert result.figures["r_precision"] == 0


def test_an_image_alone_in_its_class_is_left_out_and_that_is_said():
    x, y = noisy()
    y[[3, 40]] = 9, 8
    result = assert_as_expected(x, y)
    assert result.figures["n_alone"] == 2
    assert result.notes == ("2 of 150 test images have no other of their class to find: left out",)
    assert result.ranks[[3, 40]].tolist() == [150, 150]
    assert search(*noisy()).notes == ()


def test_it_stays_among_what_the_others_pass_by():
    x = np.array([[1, 0], [1, 0.1], [0, 1], [1, 0.05]], np.float32)
    assert search(x, [0, 0, 1, 1]).ranks[:2].tolist() == [1, 1]
    assert search(x, [0, 0, 1, 2]).ranks[:2].tolist() == [1, 1]


def test_two_images_find_each_other():
    result = search(np.array([[1, 0], [-1, 0]], np.float32), [0, 0])
    assert (result.top1, result.figures["map"], result.figures["r_precision"]) == (100, 100, 100)


def test_no_class_with_two_images_is_refused():
    with pytest.raises(CogError, match="a class with at least two test images"):
        search(np.eye(3, dtype=np.float32), [0, 1, 2])


def test_features_that_are_not_finite_are_refused():
    x, y = noisy()
    x[5, 1] = np.nan
    with pytest.raises(CogError, match="finite test features"):
        search(x, y)


@pytest.mark.parametrize("numbers", [1, 2_000])
def test_small_blocks_find_the_same(monkeypatch, numbers):
    x, y = noisy()
    whole, calls = search(x, y), []
    monkeypatch.setattr(cog.probes.retrieval, "NUMBERS", numbers)
    monkeypatch.setattr(cog.probes.retrieval, "_COLUMNS", 37)
    result = search(x, y, lambda done, total: calls.append((done, total)))
    assert result.ranks.tolist() == whole.ranks.tolist()
    assert result.figures == pytest.approx(whole.figures)
    assert calls[-1] == (150, 150)
    assert len(calls) > 5


def test_float16_and_the_length_and_order_of_features_do_not_matter():
    x, y = noisy()
    half = x.astype(np.float16)
    whole, again = search(half.astype(np.float32), y), search(half, y)
    assert again.ranks.tolist() == whole.ranks.tolist()
    order = np.random.default_rng(1).permutation(len(y))
    turned = search(half[order] * np.float16(4), y[order])
    assert turned.ranks.tolist() == whole.ranks[order].tolist()
    assert turned.figures == pytest.approx(whole.figures)
