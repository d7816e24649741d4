"""The logistic regression probe: both solvers against oracles, its protocol, its properties."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cog.errors import CogError
from cog.probes.lbfgs import fit_lbfgs
from cog.probes.logreg import logreg
from cog.probes.sampling import few_shot, validation_split
from cog.probes.table import PROBES
from tests.support.probe_data import QUICK, clusters, features, settings

SOLVER = pytest.mark.parametrize("solver", PROBES["logreg"].solvers)
pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_diverging_trial_scores_zero_and_the_search_goes_on():
    recipe = replace(QUICK, trials=12, lr_low=1.0, wd_low=1e-6, wd_high=1e6, trials_per_round=3)
    result = logreg(clusters(), settings(recipe=recipe))
    diverged = [trial for trial in result.trials if trial["lr"] * trial["wd"] > 1e3]
    assert 0 < len(diverged) < len(result.trials) == 12
    assert {trial["validation_top1"] for trial in diverged} == {0.0}
    assert result.hyper["lr"] * result.hyper["wd"] < 10
    assert result.top1 > 50


def test_a_final_fit_that_diverges_is_an_error():
    recipe = replace(QUICK, trials=1, lr_low=99.0, wd_low=1e3, wd_high=2e3)
    with pytest.raises(CogError, match="final fit diverged"):
        logreg(clusters(), settings(recipe=recipe))


@pytest.mark.parametrize("early", [False, True])
def test_lbfgs_walks_from_strong_to_weak_decay(early):
    """All decays; or those up to the first whose validation accuracy fell by a standard error."""
    decays = [10.0**-k for k in range(9)]
    recipe = replace(QUICK, lbfgs_decays=tuple(decays[::-1]), lbfgs_early_stop=early)
    result = logreg(clusters(n_train=900, d=80, spread=4.0), settings("lbfgs", recipe=recipe))
    scores = [trial["validation_top1"] for trial in result.trials]
    assert [trial["wd"] for trial in result.trials] == decays[: len(scores)]
    assert result.hyper == {"wd": decays[scores.index(max(scores))]}
    if early:
        assert 2 <= len(scores) < 9
        error = math.sqrt(max(scores) * (100 - max(scores)) / result.n_validation)
        assert scores[-1] < max(scores) - error
        assert all(
            score >= max(scores[: index + 1]) - error for index, score in enumerate(scores[:-1])
        )
    else:
        assert len(scores) == 9


@pytest.mark.parametrize("ties", ["strongest", "middle"])
def test_of_equally_good_decays_the_recipe_says_which(ties):
    """Clusters that are far apart are told apart by many decays."""
    recipe = replace(QUICK, lbfgs_decays=tuple(10.0**-k for k in range(9)), lbfgs_ties=ties)
    result = logreg(clusters(n_train=900, d=80), settings("lbfgs", recipe=recipe))
    scores = [trial["validation_top1"] for trial in result.trials]
    best = [trial["wd"] for trial in result.trials if trial["validation_top1"] == max(scores)]
    assert len(best) > 2
    assert result.hyper == {"wd": best[0 if ties == "strongest" else len(best) // 2]}


def test_heads_that_do_not_fit_train_in_turn(monkeypatch):
    """With the same result, and a note."""
    recipe = replace(QUICK, trials=5, trials_per_round=5)
    whole = logreg(clusters(), settings(recipe=recipe))
    monkeypatch.setattr("cog.probes.logreg.free_memory", lambda device: 2 * 12 * 6 * (13 + 64))
    parts = logreg(clusters(), settings(recipe=recipe))
    assert whole.notes == ()
    assert parts.notes == ("2 of 5 heads fit in memory, so they train in turn",)
    assert parts.hyper == whole.hyper
    assert parts.top1 == whole.top1


# The probe as a whole


@SOLVER
def test_learns_and_reports(solver):
    data, calls = clusters(spread=0.3), []
    result = logreg(data, settings(solver), lambda done, total: calls.append((done, total)))
    assert result.top1 > 95
    assert (result.n_train, result.n_validation) == (120, 24)
    assert result.seconds > 0
    total = {"sgd": 5, "lbfgs": 4}[solver]  # as promised; three decays and the final fit
    tried = range(1, len(result.trials) + 1)
    assert calls == [*((done, total) for done in tried), (total, total)]
    assert len(result.trials) == {"sgd": 4, "lbfgs": 3}[solver]
    best = max(result.trials, key=lambda trial: trial["validation_top1"])
    assert result.hyper == {name: best[name] for name in result.hyper}
    assert set(result.hyper) == {"sgd": {"lr", "wd"}, "lbfgs": {"wd"}}[solver]


def test_relabelled_classes_relabel_the_layer_of_lbfgs():
    data, names = clusters(n_train=600), np.array([3, 5, 0, 1, 4, 2])
    one, other = (
        fit_lbfgs(features(each), 1e-3, torch.zeros(6, 13), 1e-10, 1000).layer
        for each in (data, replace(data, train_y=names[data.train_y]))
    )
    torch.testing.assert_close(other[names], one, atol=1e-4, rtol=1e-4)


def test_few_shot_uses_no_other_training_image():
    """Neither validation nor undrawn images reach the final fit of a single trial."""
    data, one = clusters(), replace(QUICK, trials=1)
    train, _ = validation_split(data.train_y, one.validation_share, 22)
    drawn = few_shot(data.train_y, 2, train, 22)
    noise = np.random.default_rng(5).normal(size=data.train_x.shape).astype(np.float32)
    noise[drawn] = data.train_x[drawn]
    results = [
        logreg(each, settings(shots=2, recipe=one)) for each in (data, replace(data, train_x=noise))
    ]
    assert (results[0].top1, results[0].hyper) == (results[1].top1, results[1].hyper)


# Awkward data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_y": np.zeros(120, np.int64)}, "at least two classes"),
        ({"n_classes": 5}, r"training labels in 0…4, found 0…5"),
        ({"test_y": np.full(90, -1)}, r"test labels in 0…5, found -1…-1"),
        ({"test_x": np.zeros((0, 12), "f4"), "test_y": np.zeros(0, np.int64)}, r"test features"),
        ({"test_x": np.zeros((90, 3), "f4")}, "of one size, found 12 and 3"),
        ({"train_y": np.arange(7)}, r"training features \[m, d\]"),
        ({"train_x": np.zeros((120, 0), "f4")}, r"training features \[m, d\]"),
    ],
)
def test_data_that_cannot_be_learnt_from(change, message):
    with pytest.raises(CogError, match=message):
        logreg(replace(clusters(), **change), settings())


def test_unknown_solver():
    with pytest.raises(CogError, match="unknown solver 'sdg'") as caught:
        logreg(clusters(), settings("sdg"))
    assert "sgd" in caught.value.hint
