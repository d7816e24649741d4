"""Which rows may stand together in one table, and what differs where they may not."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import pandas as pd

from cog.errors import CogError, unknown_name
from cog.recipe import fitted_on, of_levels
from cog.results.columns import causes, dataset_order
from cog.results.table import as_text, with_full_names

Mixed = tuple[str, str, dict[str, tuple[str, ...]]]
"""a column with several values; which that is for people; the models that have each value"""


def where(results: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """The rows that meet conditions like `dataset=cog_l1`, `dataset=in1k/v2` or `model!=dino`.

    A dataset has its test sets with it. Of several `=` on one column any may hold; everything else
    must hold together.

    Raises:
        CogError: no such column, no row with such a value, no row left, or no condition at all.
    """
    wanted: dict[str, pd.Series[bool]] = {}
    kept = pd.Series(True, index=results.index)
    for condition in conditions:
        name, equals, value = condition.partition("=")
        column = name.removesuffix("!")
        if not equals:
            raise CogError(f"no condition: {condition!r}", "write COLUMN=VALUE or COLUMN!=VALUE")
        if column not in results:
            raise unknown_name("column", column, results.columns.tolist())
        is_test_set = column == "dataset" and "/" in value
        named = with_full_names(results) if is_test_set else results
        values = named[column].map(as_text)
        if value not in set(values):
            raise unknown_name(column, value, sorted(set(values)))
        if name.endswith("!"):
            kept &= values != value
        else:
            wanted[column] = (values == value) | wanted.get(column, False)
    for any_of_them in wanted.values():
        kept &= any_of_them
    if not kept.any():
        raise CogError(f"no results with {' and '.join(conditions)}", "leave out a --where")
    return results[kept].reset_index(drop=True)


def protocol_in(conditions: Sequence[str]) -> str | None:
    """The protocol that conditions ask for; None where they ask for none, or for several.

    >>> protocol_in(["model=dino", "protocol=cog-1"])
    'cog-1'
    """
    name = "protocol="
    asked = {text.removeprefix(name) for text in conditions if text.startswith(name)}
    return asked.pop() if len(asked) == 1 else None


def differences_of_protocol(results: pd.DataFrame) -> list[str]:
    """What keeps rows from standing in one table: each column that differs, values and models."""
    return [_sentence(mixed) for mixed in _mixed(results)]


def notes_of_protocol(results: pd.DataFrame) -> list[str]:
    """What differs between rows that may stand in one table: the precision of the networks."""
    return [_sentence(mixed) for mixed in _values(results, "precision")]


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
        new = _without_the_fewer(mixed[0])
        left, conditions = where(left, new), conditions + new
    typed = " ".join(f"--where {shlex.quote(condition)}" for condition in conditions)
    raise CogError(
        f"results that do not belong in one table: {'; '.join(differences)}",
        f"leave some out, such as: {typed}",
    )


def _mixed(results: pd.DataFrame) -> list[Mixed]:
    """Each column that has several values where it must have one."""
    results, found = with_full_names(results), []
    for column in causes():
        if column.same_in == "a table":
            found += _values(results, column.name)
        elif column.same_in in ("levels", "levels and each dataset"):
            found += _values(results[results["dataset"].map(of_levels)], column.name)
        elif column.same_in == "rows that have it":
            found += _values(results[results[column.name] != ""], column.name)
    for dataset in sorted(results["dataset"].unique(), key=dataset_order):
        rows = results[results["dataset"] == dataset]
        for column in causes():
            if column.same_in == "a dataset":
                found += _values(rows, column.name, f" of {dataset}")
    return found + _mixed_fits(results)


def _mixed_fits(results: pd.DataFrame) -> list[Mixed]:
    """Likewise, of what a dataset shares with the test sets that are scored by its probes."""
    learns_from, found = results["dataset"].map(fitted_on), []
    for base in sorted(learns_from.unique(), key=dataset_order):
        rows = results[learns_from == base]
        if rows["dataset"].map(of_levels).all():
            continue  # all levels have it alike
        of = f" of {base}" + (" and its test sets" if rows["dataset"].nunique() > 1 else "")
        for column in causes():
            if column.same_in == "levels and each dataset":
                found += _values(rows, column.name, of)
    return found


def _values(rows: pd.DataFrame, column: str, of: str = "") -> list[Mixed]:
    """The values of a column, that of most models first; nothing where it has one alone."""
    models: dict[str, set[str]] = {}
    for model, value in set(zip(rows["model"], rows[column], strict=True)):
        models.setdefault(as_text(value), set()).add(model)
    values = sorted(models, key=lambda value: (-len(models[value]), value))
    sorted_models = {value: tuple(sorted(models[value])) for value in values}
    return [(column, column + of, sorted_models)] if len(values) > 1 else []


def _sentence(mixed: Mixed) -> str:
    """`split_hash of in1k differs: 03dc (dino, moco), 92a4 (clip)`."""
    _, name, values = mixed
    parts = []
    for value, models in values.items():
        more = f" and {len(models) - 3} more" if len(models) > 3 else ""
        parts.append(f"{value or 'nothing'} ({', '.join(models[:3])}{more})")
    return f"{name} differs: {', '.join(parts)}"


def _without_the_fewer(mixed: Mixed) -> list[str]:
    """Conditions that leave one value of a column: by model where that is short, else by value."""
    column, _, values = mixed
    (_, kept), *others = values.items()
    conditions = []
    for value, models in others:
        by_model = len(models) <= 3 and not set(models) & set(kept)
        conditions += [f"model!={name}" for name in models] if by_model else [f"{column}!={value}"]
    return conditions
