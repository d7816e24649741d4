"""The validation part and the few-shot subsets: sizes, disjointness, nesting, seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.errors import CogError
from cog.probes.sampling import few_shot, validation_split

seeds = st.integers(0, 2**32)
labels_of_small_classes = st.lists(st.integers(0, 5), min_size=1, max_size=40).map(np.array)


@pytest.mark.parametrize(
    ("n", "validating"), [(1, 0), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (10, 2), (1300, 260)]
)
def test_share_of_a_class(n, validating):
    train, validation = validation_split(np.zeros(n, np.int64), 0.2, seed=22)
    assert (len(train), len(validation)) == (n - validating, validating)


@pytest.mark.parametrize("n", range(2, 7))
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_both_sides_keep_an_image(n, share):
    train, validation = validation_split(np.zeros(n, np.int64), share, seed=22)
    assert len(train) >= 1
    assert len(validation) >= 1


@given(labels_of_small_classes, st.floats(0.01, 0.99), seeds)
def test_split_is_a_partition_with_the_share_of_every_class(labels, share, seed):
    train, validation = validation_split(labels, share, seed)
    assert train.dtype == validation.dtype == np.int64
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()
    assert sorted([*train, *validation]) == list(range(len(labels)))
    for label in np.unique(labels):
        n = int((labels == label).sum())
        expected = 0 if n == 1 else min(max(int(n * share), 1), n - 1)
        assert (labels[validation] == label).sum() == expected


@given(labels_of_small_classes, seeds)
def test_a_class_is_split_alike_whatever_else_there_is(labels, seed):
    """The draw depends on (seed, class) only: classes between and around change nothing."""
    _, together = validation_split(labels, 0.2, seed)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        _, alone = validation_split(labels[own], 0.2, seed)
        np.testing.assert_array_equal(own[alone], together[labels[together] == label])


@given(labels_of_small_classes, st.integers(1, 9), seeds)
def test_few_shot_gives_n_or_all_a_class_has(labels, shots, seed):
    train, validation = validation_split(labels, 0.2, seed)
    drawn = few_shot(labels, shots, train, seed)
    assert drawn.dtype == np.int64
    assert (np.diff(drawn) > 0).all()
    assert set(drawn) <= set(train)
    assert not set(drawn) & set(validation)
    for label in np.unique(labels):
        assert (labels[drawn] == label).sum() == min(shots, (labels[train] == label).sum())


@given(labels_of_small_classes, seeds)
def test_few_shot_is_nested(labels, seed):
    rows = np.arange(len(labels))
    before = set()
    for shots in (1, 2, 3, 4, 8, 128):
        drawn = set(few_shot(labels, shots, rows, seed))
        assert before <= drawn
        before = drawn
    assert before == set(rows)


def test_order_of_rows_does_not_matter():
    labels = np.arange(30) % 3
    rows = np.random.default_rng(0).permutation(30)
    np.testing.assert_array_equal(
        few_shot(labels, 4, rows, seed=22), few_shot(labels, 4, np.arange(30), seed=22)
    )


def test_seeds_differ_and_repeat():
    labels = np.zeros(100, np.int64)
    (_, first), (_, again), (_, other) = (validation_split(labels, 0.2, s) for s in (22, 22, 37))
    assert first.tolist() == again.tolist() != other.tolist()
    rows = np.arange(100)
    shots = [few_shot(labels, 20, rows, seed).tolist() for seed in (22, 22, 37)]
    assert shots[0] == shots[1] != shots[2]


def test_shots_are_no_continuation_of_the_validation_draw():
    labels = np.zeros(100, np.int64)
    _, validation = validation_split(labels, 0.2, seed=22)
    assert validation.tolist() != few_shot(labels, 20, np.arange(100), seed=22).tolist()


def test_every_image_is_drawn_as_often():
    labels = np.zeros(10, np.int64)
    counts = sum(np.bincount(validation_split(labels, 0.2, s)[1], minlength=10) for s in range(500))
    assert (abs(counts - 100) < 4 * np.sqrt(500 * 0.2 * 0.8)).all()


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, float("nan")])
def test_impossible_share(share):
    with pytest.raises(CogError, match="validation share"):
        validation_split(np.zeros(5, np.int64), share, seed=22)


@pytest.mark.parametrize("shots", [0, -1])
def test_impossible_shots(shots):
    with pytest.raises(CogError, match="at least 1 shot"):
        few_shot(np.zeros(5, np.int64), shots, np.arange(5), seed=22)


def test_no_rows():
    none = np.zeros(0, np.int64)
    assert [len(rows) for rows in validation_split(none, 0.2, seed=22)] == [0, 0]
    assert len(few_shot(none, 1, none, seed=22)) == 0
