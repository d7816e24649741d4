"""Finished cells → one tidy table: results.csv is a fold of all cells, rebuilt, never edited.

In: cells/*.json, or a table that was written before. Out: a table, CSV, Parquet.

- A cell that cannot be used (cut short, of another protocol, one of two with one key) is told by
  name and left out; which rule would say the right one of two?
- Text has no missing values: an empty one is what nobody knows. Numbers that are missing are NaN.
  So a table that was written and read is the same, to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from cog.errors import CogError
from cog.recipe import IN1K

COLUMNS = (
    "model", "dataset", "probe", "solver", "shots", "seed", "n_classes", "complete", "top1", "top5",
    "mean_class", "top1_low", "top1_high", "seed_decides", "seen_data", "family", "parameters",
    "lr", "wd", "k", "penalty", "trials_per_round", "products", "shots_validation", "n_train",
    "n_validation", "n_test", "n_unreadable", "dim", "feature_bytes", "split", "protocol",
    "precision", "dtype",
    "device", "recipe_hash", "levels_hash", "split_hash", "features_hash", "model_fingerprint",
    "cog_version", "torch_version", "timm_version", "seconds",
)  # fmt: skip
KEY = ("model", "dataset", "probe", "solver", "shots", "seed")
TEXT = (
    "model", "dataset", "probe", "solver", "seed_decides", "seen_data", "family", "products",
    "shots_validation", "split", "protocol", "precision", "dtype", "device", "recipe_hash",
    "levels_hash", "split_hash", "features_hash", "model_fingerprint", "cog_version",
    "torch_version", "timm_version",
)  # fmt: skip
NUMBERS = tuple(name for name in COLUMNS if name not in (*TEXT, "shots", "complete"))


def tidy(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of results as a table with all `COLUMNS`, sorted by `KEY`.

    Raises:
        CogError: two rows have one key.
    """
    return _tidy(pd.DataFrame(list(rows), columns=list(COLUMNS)))


def _tidy(raw: pd.DataFrame) -> pd.DataFrame:
    """All columns, each of its own kind, in a fixed order of rows."""
    complete = raw["complete"].map({True: True, False: False, "True": True, "False": False})
    columns = {
        **{name: raw[name].astype("object").fillna("").astype(str) for name in TEXT},
        **{name: pd.to_numeric(raw[name]) for name in NUMBERS},
        "shots": pd.Series(
            ["all" if shots == "all" else int(shots) for shots in raw["shots"]], dtype="object"
        ),
        "complete": complete.astype("boolean" if complete.isna().any() else "bool"),
    }
    table = pd.DataFrame({name: columns[name] for name in COLUMNS})
    twice = table[table.duplicated(list(KEY), keep=False)]
    if len(twice):
        raise CogError(
            f"two results for {tuple(twice.iloc[0][list(KEY)])}",
            "remove one of the two rows, or of the cells/*.json files that they come from",
        )
    return sort_rows(table, KEY)


def sort_rows(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The rows sorted by some columns; datasets and shots in the order of their numbers."""
    orders = {"dataset": dataset_order, "shots": shots_order}
    keys = pd.DataFrame(
        {name: table[name].map(orders.get(name, lambda as_is: as_is)) for name in by}
    )
    return table.loc[keys.sort_values(list(by)).index].reset_index(drop=True)


def dataset_order(dataset: str) -> tuple[int, int, str]:
    """What a dataset is sorted by: in1k first, then the levels by number, then any other.

    >>> sorted(["other", "cog_l10", "cog_l2", "in1k"], key=dataset_order)
    ['in1k', 'cog_l2', 'cog_l10', 'other']
    """
    if dataset == IN1K:
        return 0, 0, dataset
    number = dataset.removeprefix("cog_l")
    is_level = number != dataset and number.isdecimal()
    return (1, int(number), dataset) if is_level else (2, 0, dataset)


def shots_order(shots: int | str) -> float:
    """What a number of images a class is sorted by: `all` comes last."""
    return float("inf") if shots == "all" else float(shots)


def as_text(value: Any) -> str:
    """A value as CSV shows it; whole numbers without `.0`, missing ones empty.

    >>> as_text(3.0), as_text("v1.0"), as_text(float("nan"))
    ('3', 'v1.0', '')
    """
    if pd.isna(value):
        return ""
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)
