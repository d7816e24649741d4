"""k-NN with a given k against the public formula in plain NumPy, and what it says of few images."""

from __future__ import annotations

import numpy as np
import pytest

from cog.probes.table import DINO_NEIGHBOURS, PROBES
from tests.support.probe_data import clusters, settings

TEMPERATURE = 0.07


def predicted(train_x, train_y, test_x, k, n_classes):
    """What each test image is taken for: eval_knn.py's formula, one image at a time."""
    train = train_x / np.linalg.norm(train_x, axis=1, keepdims=True)
    found = []
    for x in test_x / np.linalg.norm(test_x, axis=1, keepdims=True):
        similarity = train @ x
        nearest = np.argsort(-similarity)[:k]
        votes = np.zeros(n_classes)
        for row in nearest:
            votes[train_y[row]] += np.exp(similarity[row] / TEMPERATURE)
        found.append(votes.argmax())
    return np.array(found)


@pytest.mark.parametrize("k", DINO_NEIGHBOURS)
def test_it_is_the_public_formula_on_all_training_images(k):
    data = clusters(n_train=240, spread=2.0)
    result = PROBES[f"knn-{k}"].fit(data, settings("exact"), lambda *_: None)
    wide = data.train_x.astype(np.float64), data.test_x.astype(np.float64)
    expected = predicted(wide[0], data.train_y, wide[1], k, data.n_classes)
    assert 20 < np.mean(expected == data.test_y) * 100 < 90
    assert result.highest[:, 0].tolist() == expected.tolist()
    assert ((result.ranks == 0) == (expected == data.test_y)).all()
    assert (result.hyper, result.trials, result.notes) == ({"k": k}, [], ())
    assert (result.n_train, result.n_validation) == (240, 0)


def test_with_fewer_images_than_k_all_vote_and_it_says_so():
    data = clusters(spread=2.0)
    result = PROBES["knn-200"].fit(data, settings("exact"), lambda *_: None)
    x = data.train_x.astype(np.float64), data.test_x.astype(np.float64)
    expected = predicted(x[0], data.train_y, x[1], 120, data.n_classes)
    assert result.highest[:, 0].tolist() == expected.tolist()
    assert result.hyper == {"k": 120}
    assert "all of them vote" in result.notes[0]
