"""k nearest neighbours against scikit-learn's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from cog.probes.data import ProbeData
from cog.probes.features import unit_features
from cog.probes.knn import knn, neighbour_ranks
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
    (ranks,) = neighbour_ranks(known, asked, [k], data.n_classes, 0.07, lambda done: None)
    model = theirs(data.train_x.astype(np.float64), data.train_y, k)
    votes = model.predict_proba(data.test_x.astype(np.float64))
    assert 20 < np.mean(ranks == 0) * 100 < 80
    voted = votes[np.arange(len(votes)), data.test_y] > 0
    assert (ranks == ranks_by_sorting(votes, data.test_y))[voted].all()
    assert (ranks >= (votes > 0).sum(1))[~voted].all()


def test_one_pass_serves_all_k():
    data = clusters()
    known = unit_features(data.train_x, data.train_y, "cpu")
    asked = unit_features(data.test_x, data.test_y, "cpu")
    calls = []
    together = neighbour_ranks(known, asked, [1, 5, 20], data.n_classes, 0.07, calls.append)
    for k, ranks in zip([1, 5, 20], together, strict=True):
        (alone,) = neighbour_ranks(known, asked, [k], data.n_classes, 0.07, calls.append)
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
    (ranks,) = neighbour_ranks(same, same, [1], 6, 0.07, lambda done: None)
    assert (ranks == 0).all()


def test_classes_without_a_vote_follow_by_their_nearest_image():
    """Class 2 is the nearest, 4 the next, 1 the farthest; 0 and 3 have no images."""
    x = np.array([[1, 0], [0, 1], [1, 0.1], [-1, 0]], np.float32)
    data = ProbeData(x, np.array([2, 4, 4, 1]), x[:1].repeat(5, 0), np.arange(5), n_classes=5)
    known = unit_features(data.train_x, data.train_y, "cpu")
    asked = unit_features(data.test_x, data.test_y, "cpu")
    nearest, two = neighbour_ranks(known, asked, [1, 2], 5, 0.07, lambda done: None)
    assert nearest.tolist() == [3, 2, 0, 4, 1]
    assert two.tolist() == nearest.tolist()


@pytest.mark.parametrize("k", [1, 2, 5])
def test_ranks_beyond_the_votes_do_not_depend_on_the_numbers_of_classes(k):
    data = clusters(c=9, spread=2.0)
    names = np.random.default_rng(1).permutation(9)
    known, asked = (
        [unit_features(x, label, "cpu") for label in (y, names[y])]
        for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y))
    )
    first, renamed = (
        neighbour_ranks(*both, [k], 9, 0.07, lambda done: None)[0]
        for both in zip(known, asked, strict=True)
    )
    assert first.tolist() == renamed.tolist()
    cosine = data.test_x.astype(float) @ data.train_x.astype(float).T
    cosine /= np.linalg.norm(data.train_x.astype(float), axis=1)
    order = np.argsort(-cosine, axis=1)
    for rank, label, nearest in zip(first, data.test_y, data.train_y[order], strict=True):
        voted = set(nearest[:k])
        others = [each for each in dict.fromkeys(nearest) if each not in voted]
        if label in voted:
            assert rank < len(voted)
        else:
            assert rank == len(voted) + others.index(label)


def test_a_top5_of_one_neighbour_is_the_same_for_every_wrong_class():
    """Images of class 9 are said to be of another: no number of a class makes that right."""
    rng = np.random.default_rng(0)
    centres = np.eye(10, 16, dtype=np.float32)
    y = np.arange(10).repeat(10)
    x = centres[y] + 0.01 * rng.normal(size=(100, 16)).astype(np.float32)
    known = unit_features(x, y, "cpu")
    found = []
    for label in range(9):
        # nearest to 9, and then to the four classes after the label
        asked = centres[9] + 0.1 * sum(centres[(label + step) % 9] for step in range(1, 5))
        asked = unit_features(asked[None].repeat(20, 0), np.full(20, label), "cpu")
        (ranks,) = neighbour_ranks(known, asked, [1], 10, 0.07, lambda done: None)
        found.append(np.mean(ranks < 5))
    assert found == [0.0] * 9


def test_k_is_judged_by_an_even_share_of_many_validation_images():
    data = clusters(n_train=600, spread=2.0)
    few = replace(QUICK, knn_validation=50)
    result = knn(data, settings("exact", recipe=few))
    assert result.n_validation == 40  # every third of 120
    assert result.n_train == 600
