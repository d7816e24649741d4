"""The five highest classes of every test image are the order that the ranks have, ties and all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cog.probes.data import ProbeData, ProbeSettings
from cog.probes.ranks import highest_classes, output_ranks
from cog.probes.table import PROBES
from cog.recipe import Recipe
from cog.results.predictions import predictions_text, read_predictions
from cog.small_files import NotReadable

QUICK = {"trials": 2, "trials_per_round": 2, "epochs": 2, "mlp_epochs": 2, "mlp_least_steps": 2,
         "mlp_rates": (0.01,), "lbfgs_decays": (1e-3,), "attentive_rates": (0.01,),
         "attentive_epochs": 2, "attentive_least_steps": 2}  # fmt: skip


def first_of(ranks: np.ndarray) -> np.ndarray:
    """The classes that come first, from the ranks [m, c] that each class would have."""
    order = np.argsort(ranks, axis=1, kind="stable")
    assert (np.take_along_axis(ranks, order, 1) == np.arange(ranks.shape[1])).all()
    return order[:, :5]


@pytest.mark.parametrize("n_classes", [2, 3, 5, 6, 40])
@pytest.mark.parametrize("distinct", [1, 2, 5, 10_000])
def test_the_order_is_that_of_the_ranks(n_classes, distinct):
    rng = np.random.default_rng(n_classes)
    outputs = torch.from_numpy(rng.integers(0, distinct, (50, n_classes)) / 7.0 - 0.5)
    outputs[:5] = -torch.inf
    every = [output_ranks(outputs, torch.full((50,), label)).numpy() for label in range(n_classes)]
    assert highest_classes(outputs).tolist() == first_of(np.stack(every, 1)).tolist()


def test_what_is_nan_is_no_class_and_agrees_with_the_ranks():
    outputs = torch.rand(200, 7, generator=torch.Generator().manual_seed(1)).round(decimals=1)
    outputs[torch.rand(200, 7, generator=torch.Generator().manual_seed(2)) < 0.3] = torch.nan
    kept = read_predictions(
        predictions_text(highest_classes(outputs).numpy(), 7, "").encode(), 200, 7
    )
    for label in range(7):
        labels = torch.full((200,), label)
        expected = np.minimum(output_ranks(outputs, labels).numpy(), 5)
        assert kept.ranks(labels.numpy()).tolist() == expected.tolist()


@pytest.mark.parametrize(("probe", "solver"), [
    (probe, solver) for probe, entry in PROBES.items() if not entry.among_test
    for solver in entry.solvers
])  # fmt: skip
def test_every_probe_of_classes_keeps_them(probe, solver):
    """Each test image stands once for every label: its ranks are then its whole order."""
    rng = np.random.default_rng(3)
    n_classes, images = 8, 30
    train_y = np.repeat(np.arange(n_classes - 1), 12)  # the last class has no training images
    train_x = rng.integers(-1, 2, (len(train_y), 4)).astype(np.float32) + 0.01  # many are equal
    train_x[:, 0] += train_y % 3
    test_x = np.repeat(rng.integers(-1, 2, (images, 4)).astype(np.float32) + 0.01, n_classes, 0)
    test_y = np.tile(np.arange(n_classes), images)
    data = ProbeData(train_x, train_y, test_x, test_y, n_classes)
    settings = ProbeSettings(solver, None, 22, Recipe(**QUICK), "cpu")
    result = PROBES[probe].fit(data, settings, lambda done, total: None)
    expected = first_of(result.ranks.reshape(images, n_classes))
    assert result.highest.tolist() == np.repeat(expected, n_classes, 0).tolist()


class TestFile:
    @pytest.mark.parametrize(("n_classes", "kind"), [(3, "<u2"), (65_535, "<u2"), (65_536, "<u4")])
    def test_it_holds_every_class_in_the_smallest_type(self, n_classes, kind):
        highest = np.array([[0, 1, 2, n_classes - 1, n_classes][: min(5, n_classes)]] * 2)
        text = predictions_text(highest, n_classes, "cell")
        assert f'"type": "{kind}"' in text
        kept = read_predictions(text.encode(), 2, n_classes)
        assert kept.highest.tolist() == highest.tolist()

    @pytest.mark.parametrize(("n_test", "n_classes"), [(3, 9), (5, 9), (0, 9), (4, 8), (4, 70_000)])
    def test_those_of_others_are_refused(self, n_test, n_classes):
        text = predictions_text(np.tile(np.arange(5), (4, 1)), 9, "")
        with pytest.raises(NotReadable, match="does not hold the predictions of"):
            read_predictions(text.encode(), n_test, n_classes)

    @pytest.mark.parametrize(("old", "new"), [
        ('"highest": "', '"highest": "!'), ('"highest"', '"lowest"'), ('"cell"', '"call"'),
        ("{", ""), ('"<u2"', '"<u4"'), ('"<u2"', "[" * 9),
    ])  # fmt: skip
    def test_damage_is_not_readable(self, old, new):
        text = predictions_text(np.tile(np.arange(5), (4, 1)), 9, "").replace(old, new, 1)
        with pytest.raises(NotReadable):
            read_predictions(text.encode(), 4, 9)

    def test_a_class_that_is_none_is_refused(self):
        text = predictions_text(np.full((4, 5), 10), 9, "")
        with pytest.raises(NotReadable, match="class 10 of 9"):
            read_predictions(text.encode(), 4, 9)
