"""How far models rank alike in two groupings: against SciPy, and draw by draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from cog.errors import CogError
from cog.levels.build import build_levels
from cog.levels.table import Levels
from cog.results.class_accuracies import ConceptAccuracies, read_concept_accuracies
from cog.results.rank_agreement import kendall_taus, rank_agreement
from cog.wordnet.concept_lists import read_wnids
from tests.support.result_rows import made_rows, write_runs

FIT = ("logreg", "sgd", "all")


def test_taus_are_those_of_scipy_with_ties_and_without() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=(40, 9)).round(1)
    two = (one + rng.normal(size=one.shape)).round(0)
    expected = [kendalltau(x, y).statistic for x, y in zip(one, two, strict=True)]
    assert np.allclose(kendall_taus(one, two), expected, rtol=0, atol=1e-12)
    assert (np.diff(np.sort(two, axis=1)) == 0).any()
    assert np.isnan(kendall_taus(one[:1], np.ones((1, 9)))).all()
    assert kendall_taus(one[:0], two[:0]).shape == (0,)


def made(models: int, concepts: int, noise: float, seed: int = 0) -> ConceptAccuracies:
    rng = np.random.default_rng(seed)
    top1 = 50 + np.arange(models)[:, None] + rng.normal(scale=noise, size=(models, concepts))
    names = tuple(f"m{i:02}" for i in range(models))
    return ConceptAccuracies(FIT, names, tuple(f"n{i:08}" for i in range(concepts)), top1, 0)


def test_the_same_grouping_agrees_in_every_draw() -> None:
    levels = np.arange(60) % 3
    found = rank_agreement(made(5, 60, 20.0), levels, levels, resamples=50)
    assert [each.level for each in found] == [1, 2]
    assert [(each.tau, each.low, each.high) for each in found] == [(1, 1, 1)] * 2
    assert [each.concepts for each in found] == [(20, 20)] * 2


def test_the_interval_is_that_of_the_draws_one_by_one() -> None:
    accuracies = made(6, 80, 8.0)
    rng = np.random.default_rng(3)
    first, second = rng.integers(0, 3, 80), rng.integers(0, 3, 80)
    found = rank_agreement(accuracies, first, second, resamples=40, seed=7)
    draws = np.random.default_rng(7).multinomial(80, np.full(80, 1 / 80), size=40)
    for each in found:
        taus = []
        for counts in draws:
            drawn = np.repeat(np.arange(80), counts)
            means = [
                accuracies.top1[:, drawn[group[drawn] == each.level]].mean(axis=1)
                for group in (first, second)
            ]
            taus.append(kendalltau(*means).statistic)
        assert (each.low, each.high) == pytest.approx(np.quantile(taus, [0.025, 0.975]))
        whole = [accuracies.top1[:, g == each.level].mean(axis=1) for g in (first, second)]
        assert each.tau == pytest.approx(kendalltau(*whole).statistic)
        assert each.low < each.high


def test_more_noise_widens_the_interval() -> None:
    levels, others = np.arange(200) % 2 + 1, np.arange(200) // 100 + 1
    quiet, loud = (
        rank_agreement(made(8, 200, noise), levels, others, resamples=200)[0]
        for noise in (0.01, 30.0)
    )
    assert (quiet.low, quiet.tau, quiet.high) == (1, 1, 1)
    assert loud.high - loud.low > 0.2


def test_a_level_without_concepts_has_no_tau() -> None:
    found = rank_agreement(made(3, 10, 1.0), [1] * 10, [1] * 5 + [2] * 5, resamples=10)
    assert [each.concepts for each in found] == [(10, 5), (0, 5)]
    assert np.isnan([found[1].tau, found[1].low, found[1].high]).all()


@pytest.fixture(scope="module")
def levels() -> Levels:
    return build_levels(eligible=read_wnids("official")[::100], n_levels=2, size=20)


def write(folder: Path, levels: Levels, models: tuple[str, ...] = ("a", "b")) -> Path:
    """Cells of models in two levels by two seeds; a concept's accuracy is 10 × model + seed."""
    rows = made_rows(models, datasets=("in1k", "cog_l1", "cog_l2"), seeds=(1, 2))
    for row in rows:
        row["levels_hash"] = levels.fingerprint[:16]
    runs = write_runs(folder / "runs", rows)
    for number in range(len(models)):
        for level in (1, 2):
            for seed in (1, 2):
                lines = [f"{wnid},50,{10 * number + seed}" for wnid in levels.wnids(level)]
                path = runs / f"model-{number}" / "classes"
                path.mkdir(exist_ok=True)
                text = "\n".join(["wnid,n_test,top1", *lines, ""])
                (path / f"cog_l{level}--logreg-sgd--all--{seed}.csv").write_text(text)
    return runs


def test_accuracies_are_means_over_seeds_of_what_all_models_have(
    levels: Levels, tmp_path: Path
) -> None:
    runs, said = write(tmp_path, levels), list[str]()
    cut = runs / "model-1" / "classes" / "cog_l2--logreg-sgd--all--1.csv"
    cut.write_text("wnid,n_test")
    cut.with_name("cog_l2--logreg-sgd--all--2.csv").unlink()
    (found,) = read_concept_accuracies(runs, levels, said.append)
    assert (found.fit, found.models) == (FIT, ("a", "b"))
    assert found.wnids == levels.wnids(1)
    assert found.incomplete == 20
    assert found.top1.tolist() == [[1.5] * 20, [11.5] * 20]
    assert [line.split(" ", 1)[1] for line in sorted(said)] == [
        "is cut short, or no table of classes: left out", "is not there: left out",
    ]  # fmt: skip


def test_one_model_and_other_levels_are_refused(levels: Levels, tmp_path: Path) -> None:
    with pytest.raises(CogError, match="two models"):
        read_concept_accuracies(write(tmp_path / "one", levels, ("a",)), levels, print)
    others = build_levels(eligible=read_wnids("official")[::90], n_levels=2, size=20)
    with pytest.raises(CogError, match="--levels"):
        read_concept_accuracies(write(tmp_path / "two", levels), others, print)
