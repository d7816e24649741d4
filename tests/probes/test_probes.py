"""What holds for every probe, whatever it learns."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cog.errors import CogError
from cog.probes.data import unwatched
from cog.probes.features import unit_features
from cog.probes.metrics import label_ranks
from cog.probes.ranks import output_ranks
from cog.probes.rows import rows_to_fit
from cog.probes.sampling import few_shot, validation_split
from cog.probes.table import PROBES
from tests.support.probe_data import QUICK, assert_same, clusters, settings

PROBE = pytest.mark.parametrize("probe", PROBES)
VALIDATED = pytest.mark.parametrize("probe", [probe for probe in PROBES if probe != "ncm"])


def fit(probe, data, progress=unwatched, within=False, **change):
    """The probe with the last of its solvers, which is the quick one."""
    chosen = settings([*PROBES[probe].solvers][-1], **change)
    return PROBES[probe].fit(
        data, replace(chosen, shots_validation="within" if within else "official"), progress
    )


def right_alike(first, second):
    """The share of test images that both get right or both get wrong."""
    return np.mean((first.ranks == 0) == (second.ranks == 0))


@PROBE
def test_learns_and_reports(probe):
    calls = []
    result = fit(probe, clusters(spread=0.3), lambda done, total: calls.append((done, total)))
    assert result.top1 > 95
    assert result.ranks.dtype == np.int64
    assert (result.n_train, result.n_validation) == (120, 0 if probe == "ncm" else 24)
    assert result.seconds > 0
    done, totals = zip(*calls, strict=True)
    assert len(set(totals)) == 1
    assert list(done) == sorted(set(done))
    assert done[-1] == totals[-1]


@VALIDATED
def test_the_best_trial_is_chosen_and_all_are_kept(probe):
    result = fit(probe, clusters())
    assert len(result.trials) > 1
    best = max(result.trials, key=lambda trial: trial["validation_top1"])
    assert result.hyper
    assert result.hyper == {name: best[name] for name in result.hyper}
    for trial in result.trials:
        assert trial["validation_top1"] * 24 / 100 == pytest.approx(
            round(trial["validation_top1"] * 24 / 100)
        )


@PROBE
def test_same_seed_same_bits_whatever_the_global_generators(probe):
    torch.manual_seed(1)
    np.random.seed(1)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = fit(probe, clusters())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    torch.manual_seed(2)
    assert_same(fit(probe, clusters()), first)


@PROBE
def test_relabelled_classes_relabel_predictions(probe, monkeypatch):
    """With the same images to validate on, for their draw depends on the number of a class.

    The start of the perceptron is not relabelled: its accuracy may move by 4 points.
    """
    data, names = clusters(n_train=600, n_test=600), np.array([3, 5, 0, 1, 4, 2])
    renamed = replace(data, train_y=names[data.train_y], test_y=names[data.test_y])
    rows = rows_to_fit(data.train_y, settings())
    module = importlib.import_module(f"cog.probes.{probe}")
    monkeypatch.setattr(module, "rows_to_fit", lambda *_: rows, raising=False)
    first, second = fit(probe, data), fit(probe, renamed)
    assert first.top1 > 50
    if probe == "mlp":
        assert first.top1 == pytest.approx(second.top1, abs=4)
    else:
        assert first.hyper == second.hyper
        assert right_alike(first, second) > 0.99


@PROBE
def test_rotated_features_leave_accuracy_alone(probe):
    """The perceptron sees numbers one by one, standardised: its accuracy may move by 4 points."""
    data = clusters(n_train=600, n_test=600)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))
    turned = replace(
        data,
        train_x=(data.train_x @ rotation).astype(np.float32),
        test_x=(data.test_x @ rotation).astype(np.float32),
    )
    first, second = fit(probe, data), fit(probe, turned)
    if probe == "mlp":
        assert first.top1 == pytest.approx(second.top1, abs=4)
    else:
        assert right_alike(first, second) > 0.99


@PROBE
def test_length_of_features_does_not_matter(probe):
    data = clusters()
    powers = 2.0 ** np.arange(-60, 60)[:, None]  # exact, so that the bits stay
    scaled = replace(data, train_x=(data.train_x * powers).astype(np.float32))
    assert_same(fit(probe, data), fit(probe, scaled))


@PROBE
def test_shuffled_labels_give_chance(probe):
    """The mean over shuffles and seeds: what is common to all of them would not average out."""
    recipe = replace(QUICK, mlp_rates=(0.03,))
    data, rng, found = clusters(n_test=300), np.random.default_rng(3), np.zeros(40)
    for seed in range(len(found)):
        shuffled = replace(data, train_y=rng.permutation(data.train_y))
        found[seed] = fit(probe, shuffled, seed=seed, recipe=recipe).top1
    assert found.mean() == pytest.approx(100 / 6, abs=3 * found.std(ddof=1) / math.sqrt(40))
    assert found.std() < 10
    assert fit(probe, data).top1 > 50


@PROBE
def test_identical_train_and_test_are_near_100(probe):
    data = clusters(d=40)
    assert fit(probe, replace(data, test_x=data.train_x, test_y=data.train_y)).top1 > 97


@PROBE
def test_nothing_is_chosen_on_test_images(probe):
    data, other = clusters(), clusters(seed=9)
    first, second = (
        fit(probe, each)
        for each in (data, replace(data, test_x=other.test_x, test_y=other.test_y[::-1].copy()))
    )
    assert (first.hyper, first.trials) == (second.hyper, second.trials)
    assert first.top1 != second.top1


@PROBE
def test_each_test_image_is_judged_alone(probe):
    data = clusters()
    some = np.random.default_rng(2).permutation(90)[:20]
    few = fit(probe, replace(data, test_x=data.test_x[some], test_y=data.test_y[some]))
    assert (few.ranks == fit(probe, data).ranks[some]).mean() > 0.9  # rounding may break ties


@PROBE
def test_blocks_of_any_size_say_the_same(probe, monkeypatch):
    first = fit(probe, clusters())
    monkeypatch.setattr("cog.probes.features.CPU_BLOCK", 7)
    monkeypatch.setattr("cog.probes.knn.ASKED_AT_ONCE", 11)
    second = fit(probe, clusters())
    assert first.hyper == second.hyper
    assert right_alike(first, second) > 0.98


@PROBE
@pytest.mark.parametrize(("shots", "n_train"), [(1, 6), (4, 24), (128, 96)])
def test_few_shot_trains_on_the_shots(probe, shots, n_train):
    result = fit(probe, clusters(), shots=shots)
    assert (result.n_train, result.n_validation) == (n_train, 0 if probe == "ncm" else 24)
    assert result.top1 > 40


@PROBE
def test_few_shot_validates_within_the_shots_if_told_so(probe):
    result = fit(probe, clusters(), shots=5, within=True)
    assert (result.n_train, result.n_validation) == (30, 0 if probe == "ncm" else 6)


@PROBE
@pytest.mark.parametrize("within", [False, True])
def test_few_shot_looks_at_no_other_training_image(probe, within):
    """Those that are neither drawn nor validated on may be anything."""
    data = clusters()
    train, validation = validation_split(data.train_y, 0.2, 22)
    drawn = few_shot(data.train_y, 5, np.arange(120) if within else train, 22)
    looked_at = drawn if within else np.concatenate([drawn, validation])
    noise = np.random.default_rng(5).normal(size=data.train_x.shape).astype(np.float32)
    noise[looked_at] = data.train_x[looked_at]
    assert_same(
        fit(probe, data, shots=5, within=within),
        fit(probe, replace(data, train_x=noise), shots=5, within=within),
    )


@PROBE
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_features_are_only_read(probe, dtype):
    data = clusters()
    arrays_of = {name: getattr(data, name).astype(dtype) for name in ("train_x", "test_x")}
    for x in arrays_of.values():
        x.flags.writeable = False
    assert fit(probe, replace(data, **arrays_of)).top1 == pytest.approx(
        fit(probe, data).top1, abs=4
    )


# Awkward data


@PROBE
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_features_give_chance(probe, value):
    data = clusters()
    flat = replace(
        data, train_x=np.full_like(data.train_x, value), test_x=np.full_like(data.test_x, value)
    )
    assert fit(probe, flat).top1 == pytest.approx(100 / 6, abs=3 * 100 * math.sqrt(5 / 36 / 90))


@PROBE
def test_more_classes_than_rows(probe):
    data = clusters(n_train=8, n_test=40, d=5, c=20)
    result = fit(probe, replace(data, train_y=data.train_y // 2))
    assert result.n_train == 8
    assert (result.ranks < 20).all()
    assert (result.ranks[data.test_y >= 4] > 0).all()  # no image was ever of these


@PROBE
def test_a_class_missing_from_train_counts_as_wrong(probe):
    data = clusters(n_train=240, n_test=240, spread=0.1)
    there = data.train_y != 5
    result = fit(probe, replace(data, train_x=data.train_x[there], train_y=data.train_y[there]))
    assert (result.ranks[data.test_y == 5] > 0).all()
    assert result.top1 == pytest.approx(100 * 5 / 6, abs=1.5)


@PROBE
@pytest.mark.parametrize("part", ["train_x", "test_x"])
def test_features_that_are_not_finite(probe, part):
    data = clusters()
    x = getattr(data, part).copy()
    x[7, 3] = np.nan
    with pytest.raises(CogError, match=r"finite (training|test) features.* row 7"):
        fit(probe, replace(data, **{part: x}))


@PROBE
def test_one_class_cannot_be_learnt_from(probe):
    with pytest.raises(CogError, match="at least two classes"):
        fit(probe, replace(clusters(), train_y=np.zeros(120, np.int64)))


@VALIDATED
def test_single_images_leave_nothing_to_validate_on(probe):
    with pytest.raises(CogError, match="to validate on, found none"):
        fit(probe, clusters(n_train=6))


# Ranks


@given(
    arrays(np.float32, (9, 5), elements=st.sampled_from([-np.inf, 0.0, 1.0, 2.0, np.inf])),
    arrays(np.int64, 9, elements=st.integers(0, 4)),
)
def test_ranks_on_the_device_are_those_of_scores(outputs, labels):
    found = output_ranks(torch.tensor(outputs), torch.tensor(labels))
    assert found.tolist() == label_ranks(outputs, labels).tolist()


@pytest.mark.parametrize("column", [0, 1, 2])
def test_nan_is_never_right(column):
    outputs = torch.tensor([[0.0, 9.0, 0.0]])
    outputs[0, column] = torch.nan
    assert output_ranks(outputs, torch.tensor([1])).tolist() != [0]


def test_features_are_looked_at_once_for_all_probes(monkeypatch):
    """Seeds, shots and probes of a data set share what was checked and made of it."""
    calls = []
    monkeypatch.setattr(
        "cog.probes.rows.unit_features",
        lambda *args: calls.append(args[2]) or unit_features(*args),
    )
    data = clusters()
    for probe in PROBES:
        for shots in (None, 2):
            fit(probe, data, shots=shots)
    assert calls == ["cpu", "cpu"]  # training and test images
    fit("ncm", replace(data, n_classes=7))  # other data is looked at anew
    assert len(calls) == 4
