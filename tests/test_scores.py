"""Top-k accuracy against scikit-learn's, its rule for ties, and its errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import top_k_accuracy_score

from cog.errors import CogError
from cog.scores import label_ranks, percent_within, top_k

m, c = 12, 6
distinct_scores = arrays(
    np.float64, (m, c), elements=st.integers(-1000, 1000).map(float), unique=True
)
few_values = arrays(np.float32, (m, c), elements=st.sampled_from([0.0, 1.0, 2.0]))
some_labels = arrays(np.int64, m, elements=st.integers(0, c - 1))


@given(distinct_scores, some_labels, st.integers(1, c))
def test_equals_scikit_learn(scores, labels, k):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of k = c
        theirs = top_k_accuracy_score(labels, scores, k=k, labels=np.arange(c))
    assert top_k(scores, labels, k) == pytest.approx(100 * theirs)


@given(few_values, some_labels)
def test_ties_go_to_the_lower_class(scores, labels):
    order = np.argsort(-scores, axis=1, kind="stable")
    expected = [row.tolist().index(label) for row, label in zip(order, labels, strict=True)]
    assert label_ranks(scores, labels).tolist() == expected


@given(few_values, some_labels)
def test_rises_with_k_up_to_100(scores, labels):
    percents = [top_k(scores, labels, k) for k in range(1, c + 3)]
    assert percents == sorted(percents)
    assert percents[c - 1 :] == [100.0] * 3


@given(distinct_scores, some_labels, st.integers(1, c))
def test_only_the_order_of_scores_counts(scores, labels, k):
    assert top_k(scores, labels, k) == top_k(np.exp(scores / 100), labels, k)


def test_infinities_are_scores():
    scores = np.array([[np.inf, 0, -np.inf]] * 3)
    assert label_ranks(scores, np.arange(3)).tolist() == [0, 1, 2]


def test_equal_scores_name_the_first_class():
    assert top_k(np.zeros((4, 4)), np.arange(4), 1) == 25.0


def test_nan_is_an_error():
    scores = np.zeros((2, 3))
    scores[1, 2] = np.nan
    with pytest.raises(CogError, match="NaN"):
        top_k(scores, np.array([0, 0]), 1)


@pytest.mark.parametrize("label", [-1, 3])
def test_label_without_a_column(label):
    with pytest.raises(CogError, match="labels in 0…2"):
        top_k(np.zeros((1, 3)), np.array([label]), 1)


def test_nothing_to_count():
    with pytest.raises(CogError, match="at least one row"):
        percent_within(np.zeros(0, np.int64), 1)
    with pytest.raises(CogError, match="k ≥ 1"):
        percent_within(np.zeros(1, np.int64), 0)
