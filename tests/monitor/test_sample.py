"""The sample of a monitor: from the benchmark's own split, nested, the same for equal seeds."""

from __future__ import annotations

import numpy as np
import pytest

from cog.monitor.sample import draw_sample
from tests.support.labelled_images import draw, found

COUNTS = {"ant": 9, "bee": 7, "cat": 5, "dog": 8}
TESTED = {"ant": 6, "bee": 5, "cat": 2, "dog": 0}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("animals")
    draw(root / "train", COUNTS)
    draw(root / "test", TESTED)
    return found(root)


def paths(sample, rows=None):
    every = [(part.split, path) for part in sample.lists for path in part.paths]
    return [every[row] for row in (range(len(every)) if rows is None else rows)]


def test_images_keep_their_side_of_the_split_and_their_class(dataset):
    sample = draw_sample(dataset, (4, 2), None, seed=1)
    for part, whole in zip(sample.lists, dataset.lists, strict=True):
        assert set(part.paths) <= set(whole.paths)
        assert [path.split("/")[0] for path in part.paths] == [
            part.classes[label] for label in part.labels
        ]
    counts = [np.bincount(part.labels, minlength=4).tolist() for part in sample.lists]
    assert counts == [[4, 4, 4, 4], [4, 4, 2, 0]]
    assert sample.n_classes == 4
    assert len(sample) == 26


def test_fewer_images_lie_within_more(dataset):
    sample = draw_sample(dataset, (5, 2), None, seed=1)
    assert paths(sample, sample.rows(2)) == paths(draw_sample(dataset, (2,), None, seed=1))
    assert paths(sample, sample.rows(5)) == paths(sample)


def test_the_seed_decides_the_draw(dataset):
    one, again, other = (draw_sample(dataset, (3,), None, seed) for seed in (1, 1, 2))
    assert paths(one) == paths(again) != paths(other)


def test_some_classes_are_drawn_among_those_with_test_images(dataset):
    drawn = {draw_sample(dataset, (3,), 2, seed).lists[0].classes for seed in range(20)}
    assert drawn == {("ant", "bee"), ("ant", "cat"), ("bee", "cat")}
    sample = draw_sample(dataset, (3,), 2, seed=0)
    assert set(sample.labels.tolist()) == {0, 1}
    assert sample.lists[0].classes == sample.lists[1].classes
