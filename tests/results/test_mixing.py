"""Rows that may not stand in one table are refused by name, and the hint leaves some that may."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

from cog.errors import CogError
from cog.results.mixing import differences_of_protocol, notes_of_protocol, refuse_mixed, where
from tests.support.result_rows import (
    table_of,
)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("protocol", "cog-0", "protocol differs"),
        ("recipe_hash", "x" * 16, "recipe_hash differs"),
        ("levels_hash", "", "levels_hash differs"),
        ("split_hash", "y" * 16, "split_hash of cog_l2 differs"),
        ("n_classes", 998, "n_classes of cog_l2 differs"),
        ("n_test", 49_999, "n_test of cog_l2 differs"),
    ],
)
def test_rows_of_another_kind_are_refused_by_name(column, value, said):
    odd = table_of(
        change=lambda row: (
            {column: value} if (row["model"], row["dataset"]) == ("c", "cog_l2") else {}
        )
    )
    found = differences_of_protocol(odd)
    assert len(found) == 1
    assert found[0].startswith(said)
    assert f"{value or 'nothing'} (c)" in found[0]
    with pytest.raises(CogError, match=said) as refused:
        refuse_mixed(odd)
    refuse_mixed(after_hint(odd, refused.value.hint))


def after_hint(table, hint):
    """The rows that are left when the hint is typed."""
    words = shlex.split(hint.partition(": ")[2])
    assert set(words[::2]) == {"--where"}
    return where(table, words[1::2])


def test_the_hint_always_leaves_a_table_of_one_kind():
    table = table_of(datasets=("in1k", "cog_l1"), seeds=(22, 37))
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(12):
        names = rng.choice(["protocol", "recipe_hash", "split_hash", "n_test"], size=2)
        odd = table.assign(
            **{name: rng.choice([1, 2], len(table), p=[0.8, 0.2]).astype(str) for name in names}
        )
        try:
            refuse_mixed(odd)
        except CogError as error:
            refused += 1
            left = after_hint(odd, error.hint)
            refuse_mixed(left)
            assert len(left)
    assert refused > 5


def test_rows_of_one_kind_are_not_refused():
    table = table_of(
        shots=(1, "all"),
        change=lambda row: {
            "precision": "bf16" if row["model"] == "b" else "fp32",
            "shots_validation": "within" if row["shots"] == 1 else None,
        },
    )
    refuse_mixed(table)
    assert notes_of_protocol(table) == ["precision differs: fp32 (a, c), bf16 (b)"]
    assert notes_of_protocol(table_of()) == []


def test_shots_that_validate_elsewhere_are_refused():
    table = table_of(
        shots=(1,),
        change=lambda row: {"shots_validation": "within" if row["model"] == "a" else "official"},
    )
    assert differences_of_protocol(table) == [
        "shots_validation differs: official (b, c), within (a)"
    ]


def test_conditions_choose_rows():
    table = table_of(shots=(1, "all"), seeds=(22, 37))
    assert set(where(table, ["model=a", "model=b", "seed=22"])["model"]) == {"a", "b"}
    assert set(where(table, ["model=a", "model=b", "seed=22"])["seed"]) == {22}
    assert set(where(table, ["shots!=all"])["shots"]) == {1}
    assert len(where(table, [])) == len(table)
    assert len(where(table, ["complete=True", "lr=0.1", "k="])) == len(table)
    for condition, said in {
        "modell=a": "unknown column",
        "model=z": "unknown model 'z'",
        "model": "no condition",
    }.items():
        with pytest.raises(CogError, match=said):
            where(table, [condition])
    with pytest.raises(CogError, match="no results with"):
        where(table, ["model=a", "model!=a"])


def test_a_name_may_end_like_a_number():
    table = table_of(("v1.0", "v2", "v3"), seeds=(22,))
    assert set(where(table, ["model=v1.0"])["model"]) == {"v1.0"}
    mixed = table.assign(recipe_hash=["x" if model == "v1.0" else "y" for model in table["model"]])
    with pytest.raises(CogError, match="recipe_hash differs") as caught:
        refuse_mixed(mixed)
    assert "--where 'model!=v1.0'" in caught.value.hint
    assert set(where(mixed, ["model!=v1.0"])["model"]) == {"v2", "v3"}
