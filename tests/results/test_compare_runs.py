"""Two runs compared: what moved, against oracles of the noise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cog.errors import CogError
from cog.results.compare_runs import EQUAL, MORE, WITHIN, compare_runs, rename_models
from cog.results.table import tidy
from tests.support.result_rows import (
    DATASETS,
    changed_rows,
    three_seeds,
)


def test_noise_of_seeds_is_the_paired_t_interval():
    rng = np.random.default_rng(5)
    first = [row | {"top1_low": None, "top1_high": None} for row in three_seeds(("a",))]
    second = [row | {"top1": row["top1"] + rng.normal()} for row in first]
    numbers = compare_runs(tidy(first), tidy(second)).numbers
    for name in DATASETS[:3]:
        pair = [[row["top1"] for row in rows if row["dataset"] == name] for rows in (second, first)]
        low, high = stats.ttest_rel(*pair).confidence_interval(0.95)
        found = numbers.set_index("dataset").loc[name]
        assert found["noise"] == pytest.approx((high - low) / 2)
        assert found["difference"] == pytest.approx((high + low) / 2)
        assert found["verdict"] == (WITHIN if low <= 0 <= high else MORE)


@pytest.mark.parametrize(("top1", "verdict"), [(54.9, WITHIN), (55.1, MORE), (45.9, WITHIN),
                                               (44.9, MORE), (50.0, EQUAL)])  # fmt: skip
def test_noise_of_images_is_of_the_sides_that_face_each_other(top1, verdict):
    """Up: √(4² + 3²) = 5; down: √(3² + 4²) = 5 with the ends the other way round."""
    one = three_seeds(("a",), datasets=("in1k",), seeds=(22,))[0] | {"top1": 50.0}
    first = one | ({"top1_low": 47.0, "top1_high": 54.0})
    second = one | {"top1": top1, "top1_low": top1 - 3.0, "top1_high": top1 + 4.0}
    number = compare_runs(tidy([first]), tidy([second])).numbers.iloc[0]
    assert number["verdict"] == verdict
    if verdict != EQUAL:
        assert number["noise"] == pytest.approx(5.0)


def test_seeds_and_images_join_and_constant_shifts_have_no_noise_of_seeds():
    first = three_seeds(("a",))
    numbers = compare_runs(tidy(first), tidy(changed_rows(first, by=0.5))).numbers
    assert numbers["noise"].to_numpy() == pytest.approx(np.hypot(0.4, 0.4))
    assert (numbers["verdict"] == WITHIN).all()


def test_without_any_noise_known_every_difference_counts():
    one = three_seeds(("a",), datasets=("in1k",), seeds=(22,))[0] | {
        "top1_low": None,
        "top1_high": None,
    }
    found = compare_runs(tidy([one]), tidy([one | {"top1": one["top1"] + 1e-3}]))
    assert found.numbers["verdict"].tolist() == [MORE]


def test_seeds_that_cancel_are_not_equal():
    rows = three_seeds(("a",), datasets=("in1k",), seeds=(1, 2))
    for row, top1 in zip(rows, (50.0, 51.0), strict=True):
        row["top1"] = top1
    swapped = [row | {"top1": 101.0 - row["top1"]} for row in rows]
    number = compare_runs(tidy(rows), tidy(swapped)).numbers.iloc[0]
    assert (number["difference"], number["verdict"]) == (0.0, WITHIN)


def test_the_other_way_round_only_the_sign_changes():
    first, second = tidy(three_seeds(seed=1)), tidy(three_seeds(seed=2))
    there, back = (
        compare_runs(*pair).numbers.sort_values(["model", "dataset"], ignore_index=True)
        for pair in ((first, second), (second, first))
    )
    assert there["difference"].to_numpy() == pytest.approx(-back["difference"].to_numpy())
    assert there["noise"].to_numpy() == pytest.approx(back["noise"].to_numpy())
    assert there["verdict"].tolist() == back["verdict"].tolist()


def test_those_that_moved_the_most_come_first():
    first = three_seeds()
    second = changed_rows(first, {"model": "b", "dataset": "cog_l1"}, by=-3.0)
    second = changed_rows(second, {"model": "a", "dataset": "in1k"}, by=2.0)
    found = compare_runs(tidy(first), tidy(second))
    top = found.numbers.head(2)
    assert list(zip(top["model"], top["dataset"], strict=True)) == [("b", "cog_l1"), ("a", "in1k")]
    assert found.numbers["difference"].abs().is_monotonic_decreasing
    assert len(found.moved()) == 2
    assert len(found.moved(2.5)) == 1


def test_models_may_change_names_with_each_other():
    table = tidy(three_seeds())
    first, second = rename_models(table, table, {"a": "b", "b": "a"})
    assert len(first) == len(second) == len(table)
    assert (
        first[first["model"] == "b"]["top1"].tolist()
        == table[table["model"] == "a"]["top1"].tolist()
    )


@pytest.mark.parametrize("names", [{"c": "a"}, {"a": "c"}, {"a": "b", "b": "b"}])
def test_names_that_cannot_be(names):
    table = tidy(three_seeds())
    with pytest.raises(CogError):
        rename_models(table, table, names)
