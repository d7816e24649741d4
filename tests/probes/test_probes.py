"""What holds for every probe that learns, whatever it learns."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cog.errors import CogError
from cog.probes.data import ProbeData, unwatched
from cog.probes.features import unit_features
from cog.probes.rows import rows_to_fit
from cog.probes.sampling import few_shot, validation_split
from cog.probes.table import PROBES
from tests.support.probe_data import QUICK, assert_same, clusters, settings

KINDS = [
    (probe, solver)
    for probe, entry in PROBES.items()
    if not entry.among_test  # it learns nothing
    for solver in entry.solvers
]
CHOOSE_NOTHING = [
    (probe, solver)
    for probe, solver in KINDS
    if "validation" not in PROBES[probe].solvers[solver].seed_decides
]


def over(kinds):
    return pytest.mark.parametrize("kind", kinds, ids=["-".join(map(str, kind)) for kind in kinds])


KIND = over(KINDS)
VALIDATED = over([kind for kind in KINDS if kind not in CHOOSE_NOTHING])
pytestmark = pytest.mark.usefixtures("one_thread")


def fit(kind, data, progress=unwatched, within=False, **change):
    probe, solver = kind
    validation = "within" if within else "official"
    chosen = replace(settings(solver, **change), shots_validation=validation)
    return PROBES[probe].fit(data, chosen, progress)


def starts_at_random(kind):
    """Whether the fit begins with drawn weights, which are not relabelled or rotated with data."""
    probe, solver = kind
    return "start" in PROBES[probe].solvers[solver].seed_decides


def with_features(data, change):
    """The same data, with the features of both parts changed by a function."""
    return replace(data, train_x=change(data.train_x), test_x=change(data.test_x))


def right_alike(first, second):
    """The share of test images that both get right or both get wrong."""
    return np.mean((first.ranks == 0) == (second.ranks == 0))


@KIND
def test_learns_and_reports(kind):
    calls = []
    result = fit(kind, clusters(spread=0.3), lambda done, total: calls.append((done, total)))
    assert result.top1 > 95
    assert result.ranks.dtype == np.int64
    assert (result.n_train, result.n_validation) == (120, 0 if kind in CHOOSE_NOTHING else 24)
    assert result.seconds > 0
    done, totals = zip(*calls, strict=True)
    assert len(set(totals)) == 1
    assert list(done) == sorted(set(done))
    assert done[-1] == totals[-1]


@VALIDATED
def test_the_best_trial_is_chosen_and_all_are_kept(kind):
    result = fit(kind, clusters())
    assert len(result.trials) > 1
    highest = max(trial["validation_top1"] for trial in result.trials)
    best = [trial for trial in result.trials if trial["validation_top1"] == highest]
    chosen = best[len(best) // 2 if kind[1] == "lars" else 0]  # of equals the middle one, or first
    assert result.hyper
    assert result.hyper == {name: chosen[name] for name in result.hyper}
    for trial in result.trials:
        assert trial["validation_top1"] * 24 / 100 == pytest.approx(
            round(trial["validation_top1"] * 24 / 100)
        )


@KIND
def test_same_seed_same_bits_whatever_the_global_generators(kind):
    torch.manual_seed(1)
    np.random.seed(1)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = fit(kind, clusters())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    torch.manual_seed(2)
    assert_same(fit(kind, clusters()), first)


@KIND
def test_relabelled_classes_relabel_predictions(kind, monkeypatch):
    """With the same images to validate on, for their draw depends on the number of a class.

    Weights that are drawn are not relabelled: there the accuracy may move by 4 points.
    """
    data, names = clusters(n_train=600, n_test=600), np.array([3, 5, 0, 1, 4, 2])
    renamed = replace(data, train_y=names[data.train_y], test_y=names[data.test_y])
    rows = rows_to_fit(data.train_y, settings())
    monkeypatch.setattr("cog.probes.rows.rows_to_fit", lambda *_: rows)
    first, second = fit(kind, data), fit(kind, renamed)
    assert first.top1 > 50
    if starts_at_random(kind):
        assert first.top1 == pytest.approx(second.top1, abs=4)
    else:
        assert first.hyper == second.hyper
        assert right_alike(first, second) > 0.99


@KIND
def test_rotated_features_leave_accuracy_alone(kind):
    """Weights that are drawn are not rotated: there the accuracy may move by 4 points."""
    data = clusters(n_train=600, n_test=600)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))
    turned = with_features(data, lambda x: (x @ rotation).astype(np.float32))
    first, second = fit(kind, data), fit(kind, turned)
    if starts_at_random(kind):
        assert first.top1 == pytest.approx(second.top1, abs=4)
    else:
        assert right_alike(first, second) > 0.99


@KIND
def test_length_of_features_does_not_matter(kind):
    data = clusters()
    powers = 2.0 ** np.arange(-60, 60)[:, None]  # exact, so that the bits stay
    scaled = replace(data, train_x=(data.train_x * powers).astype(np.float32))
    assert_same(fit(kind, data), fit(kind, scaled))


@KIND
def test_shuffled_labels_give_chance(kind):
    """The mean over shuffles and seeds: what is common to all of them would not average out."""
    recipe = replace(
        QUICK,
        mlp_rates=(0.03,),
        augmented_rates=(0.3,),
        attentive_rates=(1e-2,),
        attentive_least_steps=10,
        trials=1,
        epochs=5,
    )
    data, rng, found = clusters(n_test=300), np.random.default_rng(3), np.zeros(40)
    for seed in range(len(found)):
        shuffled = replace(data, train_y=rng.permutation(data.train_y))
        found[seed] = fit(kind, shuffled, seed=seed, recipe=recipe).top1
    assert found.mean() == pytest.approx(100 / 6, abs=3 * found.std(ddof=1) / math.sqrt(40))
    assert found.std() < 10
    assert fit(kind, data).top1 > 50


@KIND
def test_identical_train_and_test_are_near_100(kind):
    data = clusters(d=40)
    assert fit(kind, replace(data, test_x=data.train_x, test_y=data.train_y)).top1 > 97


@KIND
def test_nothing_is_chosen_on_test_images(kind):
    data, other = clusters(), clusters(seed=9)
    first, second = (
        fit(kind, each)
        for each in (data, replace(data, test_x=other.test_x, test_y=other.test_y[::-1].copy()))
    )
    assert (first.hyper, first.trials) == (second.hyper, second.trials)
    assert first.top1 != second.top1


@KIND
def test_each_test_image_is_judged_alone(kind):
    data = clusters()
    some = np.random.default_rng(2).permutation(90)[:20]
    few = fit(kind, replace(data, test_x=data.test_x[some], test_y=data.test_y[some]))
    assert (few.ranks == fit(kind, data).ranks[some]).mean() > 0.9  # rounding may break ties


@KIND
def test_blocks_of_any_size_say_the_same(kind, monkeypatch):
    first = fit(kind, clusters())
    monkeypatch.setattr("cog.probes.features.CPU_BLOCK", 7)
    monkeypatch.setattr("cog.probes.knn.ASKED_AT_ONCE", 11)
    second = fit(kind, clusters())
    assert first.hyper == second.hyper
    assert right_alike(first, second) > 0.98


@KIND
@pytest.mark.parametrize(("shots", "n_train"), [(1, 6), (4, 24), (128, 96)])
def test_few_shot_trains_on_the_shots(kind, shots, n_train):
    result = fit(kind, clusters(), shots=shots)
    assert (result.n_train, result.n_validation) == (n_train, 0 if kind in CHOOSE_NOTHING else 24)
    assert result.top1 > 40


@KIND
def test_few_shot_validates_within_the_shots_if_asked(kind):
    result = fit(kind, clusters(), shots=5, within=True)
    assert (result.n_train, result.n_validation) == (30, 0 if kind in CHOOSE_NOTHING else 6)


@KIND
@pytest.mark.parametrize("within", [False, True])
def test_few_shot_looks_at_no_other_training_image(kind, within):
    """Those that are neither drawn nor validated on may be anything."""
    data = clusters()
    train, validation = validation_split(data.train_y, 0.2, 22)
    drawn = few_shot(data.train_y, 5, np.arange(120) if within else train, 22)
    looked_at = drawn if within else np.concatenate([drawn, validation])
    noise = np.random.default_rng(5).normal(size=data.train_x.shape).astype(np.float32)
    noise[looked_at] = data.train_x[looked_at]
    assert_same(
        fit(kind, data, shots=5, within=within),
        fit(kind, replace(data, train_x=noise), shots=5, within=within),
    )


@KIND
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_features_are_only_read(kind, dtype):
    data = with_features(clusters(), lambda x: x.astype(dtype))
    copies = data.train_x.copy(), data.test_x.copy()
    data.train_x.flags.writeable = data.test_x.flags.writeable = False
    fit(kind, data)
    assert (data.train_x == copies[0]).all()
    assert (data.test_x == copies[1]).all()


@KIND
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_ranks_are_those_of_float32_features(kind, dtype):
    """On a task of medium difficulty, where features rounded to eighths move more of the ranks."""
    data = clusters(n_train=600, n_test=1000, spread=2.0)
    single, other, coarse = (
        fit(kind, with_features(data, change))
        for change in (np.copy, lambda x: x.astype(dtype), lambda x: (8 * x).round() / 8)
    )
    assert 40 < single.top1 < 80
    assert np.mean(other.ranks == single.ranks) > 0.995 > np.mean(coarse.ranks == single.ranks)


# Awkward data


@KIND
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_features_give_chance(kind, value):
    data = clusters()
    flat = with_features(data, lambda x: np.full_like(x, value))
    assert fit(kind, flat).top1 == pytest.approx(100 / 6)  # all images look alike


def _turned(rows, n_columns):
    """One random row, or several, each again and again."""
    drawn = np.random.default_rng(4).normal(size=(rows, n_columns))
    return np.resize(drawn, (1200, n_columns))


FLAT = np.random.default_rng(5).normal(size=(1200, 40))
DEGENERATE = {
    "zeros": np.zeros((1200, 40)),
    "ones": np.ones((1200, 40)),
    "constant": _turned(1, 40),
    "constant, more columns than rows": _turned(1, 300),
    "constant, all positive": np.abs(_turned(1, 12)),
    "two rows again and again": _turned(2, 40),
    "one column": FLAT[:, :1],
    "one direction": FLAT[:, :1] * FLAT[:1],
    "two directions": FLAT[:, :2] @ FLAT[:2],
    "the same column again": FLAT[:, :1].repeat(40, axis=1),
    "columns of zeros": FLAT * (np.arange(40) < 3),
    "rows of zeros": FLAT * (np.arange(1200) % 3 > 0)[:, None],
    "nearly constant": 1 + 1e-6 * FLAT,
}


@over([*KINDS, ("logreg", "lbfgs", 0.0)])
@pytest.mark.parametrize("name", DEGENERATE)
def test_features_of_low_rank_are_fitted(kind, name):
    """Every probe ends, and what is the same for all images gives chance."""
    *kind, decays = *kind[:2], kind[2:] or (1e-3, 1e-8)
    x = DEGENERATE[name].astype(np.float32)
    n = 1200 if x.shape[1] < 100 else 240
    x, y = x[:n], np.arange(n) % 6
    recipe = replace(QUICK, lbfgs_decays=decays, epochs=2, mlp_least_steps=4, mlp_epochs=1)
    result = fit(kind, ProbeData(x, y, x[:60], y[:60], 6), recipe=recipe)
    assert ((result.ranks >= 0) & (result.ranks < 6)).all()
    if (x == x[0]).all():
        assert result.top1 == pytest.approx(100 / 6)


@KIND
def test_features_too_small_for_their_type_are_refused(kind):
    for change in (lambda x: x * np.float32(1e-39), lambda x: (x * 1e-7).astype(np.float16)):
        with pytest.raises(CogError, match=r"too small for float(16|32).*features"):
            fit(kind, with_features(clusters(), change))


@KIND
def test_classes_with_fewer_images_than_shots_are_said_and_counted(kind):
    data = clusters()
    kept = (data.train_y != 2) | (np.arange(120) < 30)  # five images of class 2
    kept &= data.train_y != 4
    few = replace(data, train_x=data.train_x[kept], train_y=data.train_y[kept])
    result = fit(kind, few, shots=8)
    assert result.n_short == 2
    note = result.notes[0]
    assert note.startswith("2 of 6 classes have fewer than 8 images to learn from (the fewest 0)")
    whole = fit(kind, data, shots=8)
    assert whole.n_short == 0
    assert not any("images to learn from" in each for each in whole.notes)
    assert fit(kind, few).n_short is None


@KIND
def test_more_classes_than_rows(kind):
    data = clusters(n_train=8, n_test=40, d=5, c=20)
    result = fit(kind, replace(data, train_y=data.train_y // 2))
    assert result.n_train == 8
    assert (result.ranks < 20).all()
    assert (result.ranks[data.test_y >= 4] > 0).all()  # no image was ever of these


@KIND
def test_a_class_missing_from_train_counts_as_wrong(kind):
    data = clusters(n_train=240, n_test=240, spread=0.1)
    there = data.train_y != 5
    result = fit(kind, replace(data, train_x=data.train_x[there], train_y=data.train_y[there]))
    assert (result.ranks[data.test_y == 5] > 0).all()
    assert result.top1 == pytest.approx(100 * 5 / 6, abs=1.5)


@KIND
@pytest.mark.parametrize("part", ["train_x", "test_x"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite(kind, part, value):
    data = clusters()
    x = getattr(data, part).copy()
    x[7, 3] = value
    with pytest.raises(CogError, match=r"finite (training|test) features.* row 7"):
        fit(kind, replace(data, **{part: x}))


@KIND
def test_one_class_cannot_be_learnt_from(kind):
    with pytest.raises(CogError, match="at least two classes"):
        fit(kind, replace(clusters(), train_y=np.zeros(120, np.int64)))


@VALIDATED
def test_single_images_leave_nothing_to_validate_on(kind):
    with pytest.raises(CogError, match="to validate on, found none"):
        fit(kind, clusters(n_train=6))


def test_features_are_looked_at_once_for_all_probes(monkeypatch):
    """Seeds, shots and probes of a data set share what was checked and made of it."""
    calls = []
    monkeypatch.setattr(
        "cog.probes.rows.unit_features",
        lambda *args, **named: calls.append(named["device"]) or unit_features(*args, **named),
    )
    data = clusters()
    for kind in KINDS:
        for shots in (None, 2):
            fit(kind, data, shots=shots)
    assert calls == ["cpu", "cpu"]  # training and test images
    fit(("ncm", "exact"), replace(data, n_classes=7))  # other data is looked at anew
    assert len(calls) == 4
