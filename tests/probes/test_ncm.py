"""The nearest class mean against scikit-learn's centroids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import normalize

from cog.probes.ncm import class_sums, ncm
from tests.support.probe_data import clusters, features, ranks_by_sorting, settings

SETTINGS = settings("exact")


def test_ranks_are_those_of_cosines_to_scikit_learn_s_centroids():
    data = clusters(spread=2.0)
    centroids = NearestCentroid().fit(normalize(data.train_x), data.train_y).centroids_
    result = ncm(data, SETTINGS)
    expected = ranks_by_sorting(cosine_similarity(data.test_x, centroids), data.test_y)
    assert 20 < result.top1 < 90
    assert result.ranks.tolist() == expected.tolist()
    assert (result.hyper, result.trials, result.n_validation) == ({}, [], 0)


@pytest.mark.filterwarnings("ignore:invalid value")  # it wants deviations too
def test_of_one_image_a_class_it_is_scikit_learn_s_nearest_centroid():
    """A single unit feature is its own mean, so scaling the mean changes nothing."""
    data = clusters(n_train=6)
    theirs = NearestCentroid().fit(normalize(data.train_x), data.train_y)
    right = theirs.predict(normalize(data.test_x)) == data.test_y
    result = ncm(data, SETTINGS)
    assert (result.ranks == 0).tolist() == right.tolist()
    assert result.n_train == 6


def test_the_seed_matters_only_for_shots():
    data = clusters(spread=2.0)
    runs = {
        shots: [ncm(data, settings("exact", shots, seed)).ranks.tolist() for seed in (22, 37)]
        for shots in (None, 1)
    }
    assert runs[None][0] == runs[None][1]
    assert runs[1][0] != runs[1][1]


def test_many_images_of_a_class_do_not_favour_it():
    data = clusters(spread=1.0)
    again = np.concatenate([np.arange(120), *[np.flatnonzero(data.train_y == 2)] * 5])
    more = replace(data, train_x=data.train_x[again], train_y=data.train_y[again])
    assert ncm(more, SETTINGS).ranks.tolist() == ncm(data, SETTINGS).ranks.tolist()


def test_a_class_without_images_comes_last():
    data = clusters()
    there = data.train_y != 1
    result = ncm(replace(data, train_x=data.train_x[there], train_y=data.train_y[there]), SETTINGS)
    assert (result.ranks[data.test_y == 1] == 5).all()
    assert (result.ranks[data.test_y != 1] < 5).all()


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_sums_of_classes(block, monkeypatch):
    monkeypatch.setattr("cog.probes.features.CPU_BLOCK", block)
    data = clusters()
    sums, counts = class_sums(features(data), n_classes=7)
    x = normalize(data.train_x.astype(np.float64))
    for label in range(7):
        own = data.train_y == label
        assert counts[label] == own.sum()
        torch.testing.assert_close(sums[label], torch.tensor(x[own].sum(0)))
