"""Runs compared on the same test images: against scipy's binomial test, and where it cannot be."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import binomtest

from cog.cli.compare import compare
from cog.probes.metrics import bootstrap_interval
from cog.results.cells import cell_text, ranks_file, write_cell
from cog.results.compare_runs import (
    EQUAL,
    INDEPENDENT,
    MORE,
    PAIRED,
    WITHIN,
    compare_runs,
    rename_models,
)
from cog.results.mcnemar import Discordant, joint_p, largest_difference, mcnemar_p
from cog.results.paired import A_TABLE, NO_RANKS, OTHER_IMAGES, Pairs, read_run
from cog.results.ranks import ranks_text
from cog.storage import write_text
from tests.support.result_rows import one_row

IMAGES = 400


def write(runs: Path, right: dict[int, np.ndarray], model: str = "a", **values: object) -> Path:
    """Cells with ranks: of each seed, whether each test image is right."""
    for seed, each in right.items():
        low, high = bootstrap_interval(np.where(each, 0, 9))
        row = one_row(model, seed=seed, top1=100 * float(each.mean()))
        row |= {"n_test": len(each), "split_hash": "s" * 16, "n_unreadable": 0} | values
        row |= {"top1_low": low, "top1_high": high, "recipe_hash": "r", "levels_hash": "l"}
        path = runs / model / "cells" / f"cog_l1--logreg-sgd--all--{seed}.json"
        cell = {"hashes": {}, "row": row, "trials": []}
        write_cell(path, cell)
        text = ranks_text(np.where(each, 0, 9), cell_text(cell), "")
        write_text(ranks_file(path), text)
    return runs


def pair(both: int, first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether images are right in two runs, of which so many are right in one alone."""
    one, other = np.zeros((2, IMAGES), bool)
    one[: both + first] = True
    other[:both] = other[both + first : both + first + second] = True
    return one, other


def number(first: Path, second: Path, **names: str):
    said: list[str] = []
    runs = [read_run(path, said.append) for path in (first, second)]
    tables = [run.table for run in runs]
    discordant = Pairs(*runs, names, said.append).discordant
    found = compare_runs(*rename_models(*tables, names), discordant)
    return found.numbers.iloc[0], said


def independent_p(first: int, second: int) -> float:
    """The sum over all outcomes that are no likelier than the one found, in whole numbers."""
    n = first + second
    likely = math.comb(n, first)
    return sum(math.comb(n, k) for k in range(n + 1) if math.comb(n, k) <= likely) / 2**n


def test_p_is_that_of_scipy_and_of_whole_numbers():
    for n in (0, 1, 2, 5, 6, 17, 60):
        for first in range(n + 1):
            found = mcnemar_p(Discordant(first, n - first, 100))
            assert found == pytest.approx(independent_p(first, n - first), rel=1e-12)
            if n:
                assert found == pytest.approx(binomtest(first, n).pvalue, rel=1e-12)


def test_a_difference_is_beyond_the_largest_where_p_is_below_the_level():
    for n in (1, 4, 5, 6, 7, 40, 41, 333):
        for first in range(n + 1):
            counts = Discordant(first, n - first, 1000)
            beyond = abs(n - 2 * first) / 10 > largest_difference(counts, 0.95) + 1e-9
            assert beyond == (binomtest(first, n).pvalue < 0.05)


def test_p_of_many_images_is_near_that_of_the_normal_distribution():
    counts = Discordant(1_040, 1_200, 50_000)
    z = (1_200 - 1_040 - 1) / math.sqrt(2_240)  # with the correction for continuity
    assert mcnemar_p(counts) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=0.01)


def test_joint_p_keeps_the_level_where_all_seeds_are_one():
    assert joint_p([0.03, 0.03, 0.03]) == pytest.approx(0.06)
    assert joint_p([0.9, 0.8]) == 1.0
    assert joint_p([0.03]) == 0.03


@pytest.mark.parametrize(("first", "second", "verdict"), [
    (0, 5, WITHIN), (0, 6, MORE), (6, 0, MORE), (10, 22, WITHIN), (10, 25, MORE), (7, 7, WITHIN),
])  # fmt: skip
def test_one_seed_has_the_verdict_of_the_test(tmp_path, first, second, verdict):
    """Two independent intervals, of some 4 points each, would call none of these a difference."""
    one, other = pair(200, first, second)
    found, said = number(write(tmp_path / "a", {22: one}), write(tmp_path / "b", {22: other}))
    assert (binomtest(first, first + second).pvalue < 0.05) == (verdict == MORE)
    if first == second:
        assert found["verdict"] == EQUAL or found["test"] == PAIRED
        return
    assert (found["verdict"], found["test"], said) == (verdict, PAIRED, [])
    assert found["p"] == pytest.approx(binomtest(first, first + second).pvalue)
    assert found["difference"] == pytest.approx((second - first) / 4)


def test_seeds_join_the_noise_of_the_same_images(tmp_path):
    pairs = {seed: pair(200, 10 + seed, 40) for seed in (1, 2, 3)}
    first = write(tmp_path / "a", {seed: one for seed, (one, _) in pairs.items()})
    second = write(tmp_path / "b", {seed: other for seed, (_, other) in pairs.items()})
    found, _ = number(first, second)
    moved = np.array([(30 - seed) / 4 for seed in pairs])
    of_seeds = 4.302653 * moved.std(ddof=1) / math.sqrt(3)
    of_images = np.mean([
        max(abs(n - 2 * k) for k in range(n + 1) if binomtest(k, n).pvalue >= 0.05) / 4
        for n in (51, 52, 53)
    ])  # fmt: skip
    assert found["noise"] == pytest.approx(math.hypot(of_seeds, of_images), rel=1e-6)
    ps = [binomtest(40, 50 + seed).pvalue for seed in pairs]
    assert found["p"] == pytest.approx(2 * np.mean(ps))


def test_another_model_of_one_folder(tmp_path):
    one, other = pair(200, 0, 9)
    runs = write(write(tmp_path / "runs", {22: one}, "old"), {22: other}, "new")
    found, _ = number(runs, runs, old="new")
    assert (found["test"], found["p"]) == (PAIRED, pytest.approx(2 / 2**9))


class TestNotOnTheSameImages:
    def runs(self, folder: Path, **values: object) -> tuple[Path, Path]:
        one, other = pair(200, 0, 9)
        return write(folder / "a", {22: one}), write(folder / "b", {22: other}, **values)

    def check(self, first: Path, second: Path, why: str) -> list[str]:
        found, said = number(first, second)
        assert (found["test"], found["why"]) == (INDEPENDENT, why)
        assert math.isnan(found["p"])
        without = compare_runs(*(read_run(path, said.append).table for path in (first, second)))
        assert found["noise"] == without.numbers.iloc[0]["noise"]
        return said

    @pytest.mark.parametrize("values", [
        {"split_hash": "t" * 16}, {"n_test": 399}, {"n_unreadable": 1}, {"n_unreadable": None},
    ])  # fmt: skip
    def test_of_other_images(self, tmp_path, values):
        assert self.check(*self.runs(tmp_path, **values), OTHER_IMAGES) == []

    @pytest.mark.parametrize(("lacking", "same"), [("a.png", True), ("b.png", False)])
    def test_of_a_refit_are_those_of_its_test_set(self, tmp_path, lacking, same):
        """The list of a refit has its training images alone, that of the dataset is of others."""
        of_refit = {"dataset": "own", "test_set": "dark+refit", "n_unreadable": 1}
        first, second = self.runs(tmp_path, **of_refit)
        write(first, {22: pair(200, 0, 9)[0]}, **of_refit)
        for runs, path in ((first, "a.png"), (second, lacking)):
            for name, split, own in (
                ("own", "test", "x.png"), ("own@dark+refit", "train", "y.png"),
                ("own@dark", "test", path),
            ):  # fmt: skip
                dataset = name.replace("@", "/")
                write_text(runs / "unreadable" / f"{name}.csv", f"{dataset},{split},{own},odd\n")
        found, _ = number(first, second)
        assert (found["test"] == PAIRED) == same

    def test_of_an_unknown_split(self, tmp_path):
        one, other = pair(200, 0, 9)
        first, second = (
            write(tmp_path / name, {22: right}, split_hash=None)
            for name, right in (("a", one), ("b", other))
        )
        self.check(first, second, OTHER_IMAGES)

    def test_without_ranks(self, tmp_path):
        first, second = self.runs(tmp_path)
        next(second.glob("*/ranks/*")).unlink()
        assert self.check(first, second, NO_RANKS) == []

    @pytest.mark.parametrize("damage", [
        lambda text: text[:-9], lambda text: "[" * 10_000, lambda text: json.dumps({"ranks": 3}),
        lambda text: text.replace('{"cell": "', '{"cell": "0', 1),
    ])  # fmt: skip
    def test_damaged_ranks_are_said(self, tmp_path, damage):
        first, second = self.runs(tmp_path)
        file = next(second.glob("*/ranks/*"))
        file.write_text(damage(file.read_text()))
        (line,) = self.check(first, second, NO_RANKS)
        assert line.startswith(f"{file} cannot be used: ")

    def test_of_a_table(self, tmp_path):
        first, second = self.runs(tmp_path)
        table = tmp_path / "results.csv"
        read_run(second, print).table.to_csv(table, index=False)
        self.check(first, table, A_TABLE)

    def test_one_seed_of_two(self, tmp_path):
        one, other = pair(200, 0, 9)
        first, second = (
            write(tmp_path / name, {22: right, 37: right})
            for name, right in (("a", one), ("b", other))
        )
        next(second.glob("*/ranks/*--37.json")).unlink()
        self.check(first, second, NO_RANKS)


@pytest.mark.parametrize(("listed", "test"), [
    (("x/1.jpg", "x/1.jpg"), PAIRED), (("x/1.jpg", "x/2.jpg"), INDEPENDENT),
])  # fmt: skip
def test_the_same_unreadable_images_leave_the_same(tmp_path, listed, test):
    runs = []
    for name, right, path in zip("ab", pair(200, 0, 9), listed, strict=True):
        folder = write(tmp_path / name, {22: right}, n_unreadable=2)
        rows = f"cog_l1,test,{path},why\ncog_l1,train,{name}.jpg,why\n"
        write_text(folder / "unreadable" / "cog_l1.csv", rows)
        runs.append(folder)
    assert number(*runs)[0]["test"] == test


def test_the_command_says_which_test_it_used(tmp_path):
    one, other = pair(200, 0, 9)
    first, second = write(tmp_path / "a", {22: one}), write(tmp_path / "b", {22: other})
    csv = tmp_path / "moved.csv"
    done = CliRunner().invoke(compare, [str(first), str(second), "--csv", str(csv)])
    assert done.exit_code == 1
    assert "more than noise  a cog_l1 logreg-sgd, shots all, 1 seed, p = 0.0039\n" in done.stdout
    assert "1 tested on the same images (McNemar)\n" in done.stdout
    assert f",{2 / 2**9},{PAIRED},,{MORE}\n" in csv.read_text()
    next(first.glob("*/ranks/*")).unlink()
    done = CliRunner().invoke(compare, [str(first), str(second)])
    assert done.exit_code == 0
    assert f"1 tested by two independent intervals: {NO_RANKS}\n" in done.stdout
