"""The search of hyper-parameters: what it proposes, what it keeps, what it leaves alone."""

from __future__ import annotations

import logging
import math
import warnings

import numpy as np
import optuna
import pytest

from cog.probes.search import SCORE, best_trial, search

RANGES = {"lr": (1e-1, 1e2), "wd": (1e-12, 1e-4)}


def near_one(settings):
    """Highest, 100, at lr = 1."""
    return [100 - 10 * abs(math.log10(each["lr"])) for each in settings]


def test_equals_optuna_s_own_loop():
    """Rounds of one are what `study.optimize` does with the official sampler."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(seed=22, multivariate=True, constant_liar=False)
    study = optuna.create_study(sampler=sampler, direction="maximize")

    def objective(trial):
        settings = {name: trial.suggest_float(name, *RANGES[name], log=True) for name in RANGES}
        return near_one([settings])[0]

    study.optimize(objective, n_trials=20)
    ours = search(near_one, RANGES, 20, seed=22)
    assert [{**t.params, SCORE: t.value} for t in study.trials] == ours
    assert best_trial(ours)[SCORE] == study.best_value


def test_within_ranges_log_uniform_at_first():
    rounds = [search(lambda settings: [0.0] * len(settings), RANGES, 10, s, 10) for s in range(5)]
    trials = [trial for trials in rounds for trial in trials]
    for name, (low, high) in RANGES.items():
        drawn = np.array([trial[name] for trial in trials])
        assert ((low <= drawn) & (drawn <= high)).all()
        lower_half = (drawn < math.sqrt(low * high)).sum()
        assert abs(lower_half - 25) < 4 * math.sqrt(50 / 4)


@pytest.mark.parametrize("per_round", [1, 4, 30])
def test_rounds(per_round):
    sizes, done = [], []

    def score(settings):
        sizes.append(len(settings))
        return near_one(settings)

    trials = search(score, RANGES, 30, seed=22, per_round=per_round, progress=done.append)
    assert len(trials) == sum(sizes) == done[-1] == 30
    assert max(sizes) == per_round
    assert done == np.cumsum(sizes).tolist()
    assert len({trial["lr"] for trial in trials}) == 30
    for trial in trials:
        assert trial[SCORE] == near_one([trial])[0]


def test_later_trials_do_better():
    trials = search(near_one, RANGES, 40, seed=22)
    scores = [trial[SCORE] for trial in trials]
    assert np.mean(scores[-10:]) > np.mean(scores[:10])


def test_same_seed_same_trials():
    first, again, other = (search(near_one, RANGES, 15, seed) for seed in (22, 22, 37))
    assert first == again != other


def test_a_score_that_is_no_number_counts_zero():
    def score(settings):
        return [math.nan if each["lr"] > 1 else 5.0 for each in settings]

    trials = search(score, RANGES, 12, seed=22)
    assert len(trials) == 12
    assert {trial[SCORE] for trial in trials if trial["lr"] > 1} == {0.0}
    assert best_trial(trials)["lr"] <= 1


def test_first_of_equal_trials():
    trials = search(lambda settings: [50.0] * len(settings), RANGES, 5, seed=22)
    assert best_trial(trials) is trials[0]


def test_optuna_is_quiet_and_left_as_it_was(capfd):
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.DEBUG)
    try:
        search(near_one, RANGES, 3, seed=22)
        assert optuna.logging.get_verbosity() == logging.DEBUG
        with pytest.raises(ZeroDivisionError):
            search(lambda settings: [1 / 0], RANGES, 3, seed=22)
        assert optuna.logging.get_verbosity() == logging.DEBUG
    finally:
        optuna.logging.set_verbosity(before)
    assert capfd.readouterr() == ("", "")
