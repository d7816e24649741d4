"""What may stand together in one table, and what differs where it may not."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import pandas as pd

from cog.errors import CogError, unknown_name
from cog.results.table import COLUMNS, as_text, dataset_order

WHOLE = ("protocol", "recipe_hash", "levels_hash", "shots_validation")
"""columns that have one value in all rows of one table; the last where it is set"""

OF_DATASET = ("split_hash", "n_classes", "n_test")
"""columns that have one value in all rows of a dataset"""

Shares = list[tuple[str, tuple[str, ...]]]


def where(results: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """The rows that meet conditions like `dataset=cog_l1` or `model!=dino`.

    Of several `=` on one column any may hold; everything else must hold together.

    Raises:
        CogError: no such column, no row with such a value, no row left, or no condition at all.
    """
    wanted: dict[str, set[str]] = {}
    kept = pd.Series(True, index=results.index)
    for condition in conditions:
        name, equals, value = condition.partition("=")
        column = name.removesuffix("!")
        if not equals:
            raise CogError(f"no condition: {condition!r}", "write COLUMN=VALUE or COLUMN!=VALUE")
        if column not in COLUMNS:
            raise unknown_name("column", column, COLUMNS)
        values = results[column].map(as_text)
        if value not in set(values):
            raise unknown_name(column, value, sorted(set(values)))
        if name.endswith("!"):
            kept &= values != value
        else:
            wanted.setdefault(column, set()).add(value)
    for column, values_of_it in wanted.items():
        kept &= results[column].map(as_text).isin(values_of_it)
    if not kept.any():
        raise CogError(f"no results with {' and '.join(conditions)}", "leave out a --where")
    return results[kept].reset_index(drop=True)


def differences_of_protocol(results: pd.DataFrame) -> list[str]:
    """What keeps rows from being put together: each column that differs, with values and models."""
    return [_told(where_it_is, shares) for where_it_is, _, shares in _mixed(results)]


def notes_of_protocol(results: pd.DataFrame) -> list[str]:
    """What differs between rows that may yet be put together: the precision of the networks."""
    shares = _shares(results, "precision")
    return [_told("precision", shares)] if len(shares) > 1 else []


def refuse_mixed(results: pd.DataFrame) -> None:
    """Refuse to put results of different protocols, recipes, levels or test images together.

    Raises:
        CogError: which columns differ, with which values of which models; the hint leaves out
            rows until those that most models have are left.
    """
    differences = differences_of_protocol(results)
    if not differences:
        return
    left, conditions = results, list[str]()
    while mixed := _mixed(left):
        _, column, shares = mixed[0]
        new = _without_the_fewer(column, shares)
        left, conditions = where(left, new), conditions + new
    typed = " ".join(f"--where {shlex.quote(condition)}" for condition in conditions)
    raise CogError(
        f"results that do not belong in one table: {'; '.join(differences)}",
        f"leave some out, such as: {typed}",
    )


def _mixed(results: pd.DataFrame) -> list[tuple[str, str, Shares]]:
    """Each column that has several values where it must have one: where that is, name, values."""
    places = [(column, column, results) for column in WHOLE]
    for dataset in sorted(results["dataset"].unique(), key=dataset_order):
        rows = results[results["dataset"] == dataset]
        places += [(f"{column} of {dataset}", column, rows) for column in OF_DATASET]
    found = []
    for where_it_is, column, rows in places:
        shares = _shares(rows, column)
        if column == "shots_validation":  # not set where all images train
            shares = [share for share in shares if share[0]]
        if len(shares) > 1:
            found.append((where_it_is, column, shares))
    return found


def _shares(rows: pd.DataFrame, column: str) -> Shares:
    """The values of a column and the models that have them, that of most models first."""
    models: dict[str, set[str]] = {}
    for model, value in set(zip(rows["model"], rows[column], strict=True)):
        models.setdefault(as_text(value), set()).add(model)
    shares = [(value, tuple(sorted(names))) for value, names in models.items()]
    return sorted(shares, key=lambda share: (-len(share[1]), share[0]))


def _told(name: str, shares: Shares) -> str:
    """`split_hash of in1k differs: 03dc (dino, moco), 92a4 (clip)`."""
    told = []
    for value, models in shares:
        more = f" and {len(models) - 3} more" if len(models) > 3 else ""
        told.append(f"{value or 'nothing'} ({', '.join(models[:3])}{more})")
    return f"{name} differs: {', '.join(told)}"


def _without_the_fewer(column: str, shares: Shares) -> list[str]:
    """Conditions that leave one value of a column: by model where that is short, else by value."""
    (_, kept), *others = shares
    conditions = []
    for value, models in others:
        by_model = len(models) <= 3 and not set(models) & set(kept)
        conditions += [f"model!={name}" for name in models] if by_model else [f"{column}!={value}"]
    return conditions
