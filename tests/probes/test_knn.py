"""k nearest neighbours against scikit-learn's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from cog.probes.data import ProbeData
from cog.probes.features import unit_features
from cog.probes.knn import _ranks, knn
from cog.probes.sampling import validation_split
from tests.support.probe_data import QUICK, clusters, ranks_by_sorting, settings


def theirs(x, y, k):
    """Votes by cosine, weighted as in DINO."""
    return KNeighborsClassifier(
        k, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / 0.07)
    ).fit(x, y)


@pytest.mark.parametrize("k", [1, 3, 10, 50, 120])
def test_votes_are_scikit_learn_s(k):
    data = clusters(spread=2.0)
    known, asked = (
        unit_features(x, y, "cpu")
        for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y))
    )
    (ranks,) = _ranks(known, asked, [k], data.n_classes, 0.07, lambda done: None)
    model = theirs(data.train_x.astype(np.float64), data.train_y, k)
    votes = model.predict_proba(data.test_x.astype(np.float64))
    assert 20 < np.mean(ranks == 0) * 100 < 80
    assert ranks.tolist() == ranks_by_sorting(votes, data.test_y).tolist()


def test_one_pass_serves_all_k():
    data = clusters()
    known = unit_features(data.train_x, data.train_y, "cpu")
    asked = unit_features(data.test_x, data.test_y, "cpu")
    calls = []
    together = _ranks(known, asked, [1, 5, 20], data.n_classes, 0.07, calls.append)
    for k, ranks in zip([1, 5, 20], together, strict=True):
        (alone,) = _ranks(known, asked, [k], data.n_classes, 0.07, calls.append)
        assert ranks.tolist() == alone.tolist()
    assert calls == [90] * 4


def test_k_is_chosen_on_the_validation_images():
    data = clusters(spread=2.0)
    result = knn(data, settings("exact"))
    train, validation = validation_split(data.train_y, 0.2, 22)
    assert [trial["k"] for trial in result.trials] == [k for k in QUICK.knn_neighbours if k <= 96]
    for trial in result.trials:
        model = theirs(data.train_x[train], data.train_y[train], trial["k"])
        score = model.score(data.train_x[validation], data.train_y[validation])
        assert trial["validation_top1"] == pytest.approx(100 * score)
    final = theirs(data.train_x, data.train_y, result.hyper["k"])
    assert result.top1 == pytest.approx(100 * final.score(data.test_x, data.test_y))


def test_few_images_offer_few_k():
    result = knn(clusters(n_train=12), settings("exact"))
    assert [trial["k"] for trial in result.trials] == [1, 5]


def test_an_image_is_its_own_nearest_neighbour():
    """Random labels can be known by heart only."""
    data = clusters(n_train=200, d=20)
    y = np.random.default_rng(1).integers(0, 6, 200)
    same = unit_features(data.train_x, y, "cpu")
    (ranks,) = _ranks(same, same, [1], 6, 0.07, lambda done: None)
    assert (ranks == 0).all()


def test_classes_without_a_vote_come_last_by_their_index():
    x = np.array([[1, 0], [0, 1], [1, 0.1]], np.float32)
    data = ProbeData(x, np.array([2, 4, 4]), x[:1].repeat(5, 0), np.arange(5), n_classes=5)
    known = unit_features(data.train_x, data.train_y, "cpu")
    asked = unit_features(data.test_x, data.test_y, "cpu")
    (nearest, two) = _ranks(known, asked, [1, 2], 5, 0.07, lambda done: None)
    assert nearest.tolist() == [1, 2, 0, 3, 4]
    assert two.tolist() == [2, 3, 0, 4, 1]


def test_k_is_judged_by_an_even_share_of_many_validation_images():
    data = clusters(n_train=600, spread=2.0)
    few = replace(QUICK, knn_validation=50)
    result = knn(data, settings("exact", recipe=few))
    assert result.n_validation == 40  # every third of 120
    assert result.n_train == 600
