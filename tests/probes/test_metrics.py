"""Accuracies against scikit-learn's, the rule for ties, intervals by brute force, and errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from cog.errors import CogError
from cog.probes.metrics import (
    METRICS,
    bootstrap_interval,
    mean_per_class,
    per_class_top1,
    percent_within,
)
from cog.probes.ranks import output_ranks
from tests.support.probe_data import ranks_by_sorting

m, c = 12, 6
distinct_scores = arrays(
    np.float64, (m, c), elements=st.integers(-1000, 1000).map(float), unique=True
)
few_values = arrays(np.float32, (m, c), elements=st.sampled_from([-np.inf, 0.0, 1.0, 2.0, np.inf]))
some_labels = arrays(np.int64, m, elements=st.integers(0, c - 1))
METRIC = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


def ranks_of(scores, labels):
    return output_ranks(torch.tensor(scores), torch.tensor(labels)).numpy()


# Ranks


@given(few_values, some_labels)
def test_of_equal_scores_the_class_of_lower_index_comes_first(scores, labels):
    assert ranks_of(scores, labels).tolist() == ranks_by_sorting(scores, labels).tolist()


@given(distinct_scores, some_labels)
def test_only_the_order_of_scores_counts(scores, labels):
    assert (ranks_of(scores, labels) == ranks_of(np.exp(scores / 100), labels)).all()


def test_equal_scores_name_the_first_class():
    assert ranks_of(np.zeros((4, 4)), np.arange(4)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("column", [0, 1, 2])
def test_nan_is_never_right(column):
    outputs = np.array([[0.0, 9.0, 0.0]])
    outputs[0, column] = np.nan
    assert ranks_of(outputs, np.array([1])) != [0]


# Metrics


@METRIC
def test_every_metric_is_100_where_all_are_right_and_0_where_none_is(metric):
    labels = np.arange(m) % c
    assert metric(np.zeros(m, np.int64), labels, c) == 100
    assert metric(np.full(m, c - 1), labels, c) == 0


@METRIC
@given(arrays(np.int64, m, elements=st.integers(0, c - 1)), some_labels)
def test_no_metric_falls_where_an_image_gets_a_better_rank(metric, ranks, labels):
    better = ranks.copy()
    better[3] = max(0, ranks[3] - 1)
    assert 0 <= metric(ranks, labels, c) <= metric(better, labels, c) <= 100


@METRIC
@given(arrays(np.int64, m, elements=st.integers(0, c - 1)), some_labels)
def test_the_order_of_images_does_not_matter(metric, ranks, labels):
    order = np.random.default_rng(0).permutation(m)
    assert metric(ranks[order], labels[order], c) == pytest.approx(metric(ranks, labels, c))


@given(distinct_scores, some_labels, st.integers(1, c))
def test_top_k_is_scikit_learn_s(scores, labels, k):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of k = c
        theirs = top_k_accuracy_score(labels, scores, k=k, labels=np.arange(c))
    assert percent_within(ranks_of(scores, labels), k) == pytest.approx(100 * theirs)


@given(few_values, some_labels)
def test_top_k_rises_with_k_up_to_100(scores, labels):
    percents = [percent_within(ranks_of(scores, labels), k) for k in range(1, c + 3)]
    assert percents == sorted(percents)
    assert percents[c - 1 :] == [100.0] * 3


def test_nothing_to_count():
    with pytest.raises(CogError, match="at least one row"):
        percent_within(np.zeros(0, np.int64), 1)
    with pytest.raises(CogError, match="k ≥ 1"):
        percent_within(np.zeros(1, np.int64), 0)


@given(distinct_scores, some_labels)
def test_mean_per_class_is_scikit_learn_s_balanced_accuracy(scores, labels):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of predictions that no label has
        theirs = balanced_accuracy_score(labels, scores.argmax(axis=1))
    assert mean_per_class(ranks_of(scores, labels), labels, c) == pytest.approx(100 * theirs)


@given(few_values, some_labels)
def test_each_class_has_its_own_top_1(scores, labels):
    ranks = ranks_of(scores, labels)
    found = per_class_top1(ranks, labels, c)
    for label in range(c):
        own = ranks[labels == label]
        expected = percent_within(own, 1) if len(own) else np.nan
        np.testing.assert_equal(found[label], expected)
    counts = np.bincount(labels, minlength=c)
    assert np.nansum(found * counts) / m == pytest.approx(percent_within(ranks, 1))


@pytest.mark.parametrize(
    ("ranks", "labels", "message"),
    [
        ([], [], "at least one label, found 0 ranks and 0 labels"),
        ([0, 0], [1], "found 2 ranks and 1 labels"),
        ([0], [3], "labels in 0…2, found 3…3"),
        ([0], [-1], "labels in 0…2, found -1…-1"),
    ],
)
@pytest.mark.parametrize("function", [per_class_top1, mean_per_class])
def test_ranks_and_labels_that_do_not_fit(function, ranks, labels, message):
    with pytest.raises(CogError, match=message):
        function(np.array(ranks, np.int64), np.array(labels, np.int64), 3)


@pytest.mark.parametrize(("hits", "k", "level"), [(30, 1, 0.95), (57, 5, 0.95), (20, 2, 0.5)])
def test_interval_is_that_of_drawing_the_images_anew(hits, k, level):
    """Quantiles of 20,000 bootstrap samples of 60 images; an image is 1.67 points."""
    ranks = np.random.default_rng(1).permutation([k - 1] * hits + [k] * (60 - hits))
    drawn = np.random.default_rng(2).choice(ranks, (20_000, 60))
    percents = 100 * (drawn < k).mean(axis=1)
    expected = np.quantile(percents, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    assert bootstrap_interval(ranks, k, level) == pytest.approx(tuple(expected), abs=1.7)


@given(arrays(np.int64, m, elements=st.integers(0, c - 1)), st.integers(1, c))
def test_interval_lies_around_the_accuracy(ranks, k):
    low, high = bootstrap_interval(ranks, k)
    assert 0 <= low <= percent_within(ranks, k) <= high <= 100
    narrow_low, narrow_high = bootstrap_interval(ranks, k, level=0.5)
    assert low <= narrow_low <= narrow_high <= high


def test_interval_narrows_as_images_grow():
    ranks = np.array([0, 0, 1, 3])
    widths = [np.ptp(bootstrap_interval(np.tile(ranks, n))) for n in (25, 100, 400)]
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.1)
    assert widths[1] / widths[2] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("rank", [0, 1])
def test_interval_of_all_or_nothing_is_a_point(rank):
    assert bootstrap_interval(np.full(9, rank)) == (100.0 * (1 - rank),) * 2


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(3)
    intervals = [bootstrap_interval((rng.random(400) > 0.7).astype(np.int64)) for _ in range(400)]
    covered = np.mean([low <= 70 <= high for low, high in intervals])
    assert covered == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 400))


def test_interval_of_nothing_or_at_no_level():
    with pytest.raises(CogError, match="at least one row"):
        bootstrap_interval(np.zeros(0, np.int64))
    for level in (0.0, 1.0, 95):
        with pytest.raises(CogError, match="level between 0 and 1"):
            bootstrap_interval(np.zeros(3, np.int64), level=level)
