"""The columns of results.csv: one `Column` each, from which reading, writing and every view learn.

To add a metric: a `Column` of the kind `PERCENT` here. The columns of hyper-parameters come from
the probes (cog/probes/table.py). Never rename a column: files that were written have it.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from cog.probes.table import hyper_columns
from cog.recipe import CUT_HEIGHTS, IN1K, TOP1, level_number, parted
from cog.results.kinds import (
    ALL_OR_INTEGER,
    COUNT,
    FLAG,
    INTEGER,
    NUMBER,
    PERCENT,
    SIZE,
    TEXT,
    Kind,
)  # fmt: skip
from cog.results.mistakes import MISTAKE_HEIGHT, MISTAKE_SIMILARITY, cut_column

if TYPE_CHECKING:
    import pandas as pd

FIT = ("probe", "solver", "shots")
"""what is fitted; accuracies of two fits are not compared"""
SETTING = ("model", "dataset", *FIT)
"""what a mean over seeds is of; there `dataset` is a full name, such as in1k/v2 for a test set"""
KEY = ("model", "dataset", "test_set", *FIT, "seed")
"""what one result is of: no two rows of a table have the same"""


@dataclass(frozen=True)
class Column:
    """One column of results.csv."""

    name: str
    kind: Kind
    needed: bool = False  # whether a row without it is no result
    cause: int = 0
    """whether it says how a number was made: 1 if it sums up many settings, such as a hash, 2 if
    it is one of them, 0 if not. What sums up is named first."""
    same_in: Literal[
        "", "a table", "a dataset", "levels", "levels and each dataset", "rows that have it"
    ] = ""
    """where all rows that stand in one table must have the same value"""


def dataset_order(dataset: str) -> tuple[int, int, str]:
    """What a dataset is sorted by: in1k first, then the levels by number, then any other.

    >>> sorted(["other", "cog_l10", "cog_l2", "in1k"], key=dataset_order)
    ['in1k', 'cog_l2', 'cog_l10', 'other']
    >>> sorted(["cog_l1", "in1k/v2", "in1k"], key=dataset_order)
    ['in1k', 'in1k/v2', 'cog_l1']
    """
    base = parted(dataset)[0]
    if base == IN1K:
        return 0, 0, dataset
    level = level_number(base)
    return (2, 0, dataset) if level is None else (1, level, dataset)


def shots_order(shots: int | str) -> float:
    """What a number of images a class is sorted by: `all` comes last."""
    return float("inf") if shots == "all" else float(shots)


def _metrics(raw: pd.Series[Any]) -> pd.Series[Any]:
    """Cells name their metric only where it is another one than top-1."""
    return TEXT.read(raw.map(lambda value: value if isinstance(value, str) and value else TOP1))


METRIC = replace(TEXT, read=_metrics)
DATASET = replace(TEXT, order=dataset_order)
SHOTS = replace(ALL_OR_INTEGER, order=shots_order)

_BEFORE_HYPER = (
    Column("model", TEXT, needed=True),
    Column("dataset", DATASET, needed=True),
    Column("test_set", TEXT),
    Column("probe", TEXT, needed=True),
    Column("solver", TEXT, needed=True),
    Column("shots", SHOTS, needed=True),
    Column("seed", INTEGER, needed=True),
    Column("n_classes", SIZE, cause=2, same_in="a dataset"),
    Column("n_fit_classes", SIZE, cause=2),
    Column("complete", FLAG),
    Column("top1", PERCENT, needed=True),
    Column("top5", PERCENT),
    Column("mean_class", PERCENT),
    Column("metric", METRIC, cause=2, same_in="a dataset"),
    Column("top1_low", PERCENT),
    Column("top1_high", PERCENT),
    Column("map", PERCENT),
    Column("r_precision", PERCENT),
    Column("n_alone", COUNT),
    Column("n_unlabelled", COUNT),
    Column(MISTAKE_SIMILARITY, NUMBER),
    Column(MISTAKE_HEIGHT, NUMBER),
    *(Column(cut_column(height), PERCENT) for height in CUT_HEIGHTS),
    Column("similarity", NUMBER),
    Column("seen_similarity", NUMBER),
    Column("seed_decides", TEXT),
    Column("seen_data", TEXT),
    Column("family", TEXT),
    Column("parameters", COUNT),
)
_AFTER_HYPER = (
    Column("trials_per_round", SIZE, cause=2),
    Column("products", TEXT, cause=2),
    Column("norm", TEXT, cause=2),
    Column("shots_validation", TEXT, cause=2, same_in="rows that have it"),
    Column("few_shot_draw", TEXT, cause=2, same_in="rows that have it"),
    Column("views", TEXT, cause=2, same_in="rows that have it"),
    Column("n_train", COUNT, cause=2),
    Column("n_validation", COUNT, cause=2),
    Column("n_test", COUNT, cause=2, same_in="a dataset"),
    Column("n_unreadable", COUNT, cause=2),
    Column("n_truncated", COUNT, cause=2),
    Column("n_short", COUNT),
    Column("dim", SIZE, cause=2),
    Column("feature_bytes", COUNT),
    Column("split", TEXT, cause=2),
    Column("protocol", TEXT, needed=True, cause=1, same_in="a table"),
    Column("precision", TEXT, cause=2),
    Column("dtype", TEXT, cause=2),
    Column("device", TEXT, cause=2),
    Column("recipe_hash", TEXT, cause=1, same_in="levels and each dataset"),
    Column("levels_hash", TEXT, cause=1, same_in="levels"),
    Column("split_hash", TEXT, cause=1, same_in="a dataset"),
    Column("features_hash", TEXT, cause=1),
    Column("model_fingerprint", TEXT, cause=1),
    Column("cog_version", TEXT, cause=2),
    Column("torch_version", TEXT, cause=2),
    Column("timm_version", TEXT, cause=2),
    Column("seconds", NUMBER),
)


def columns() -> tuple[Column, ...]:
    """The columns of results.csv, in their order.

    Call it where the columns are needed and do not keep what it gives: probes may be added.

    >>> [column.name for column in columns() if column.needed]
    ['model', 'dataset', 'probe', 'solver', 'shots', 'seed', 'top1', 'protocol']
    """
    hyper = (Column(name, NUMBER) for name in hyper_columns())
    return (*_BEFORE_HYPER, *hyper, *_AFTER_HYPER)


def causes() -> tuple[Column, ...]:
    """The columns that say how a number was made; those that sum up many settings come first."""
    return tuple(sorted((c for c in columns() if c.cause), key=lambda column: column.cause))


def key_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of `KEY` of a row; cells name their test set only where it is not the own one."""
    return tuple(row.get(name, "") if name == "test_set" else row[name] for name in KEY)


def full_name(row: Mapping[str, Any]) -> str:
    """The dataset of a row, or its test set: in1k, in1k/v2."""
    return f"{row['dataset']}/{test}" if (test := row.get("test_set")) else str(row["dataset"])


def problem_of(row: Mapping[str, Any]) -> str:
    """Why a row, of a cell or of a table, is no result; empty where it is one.

    >>> problem_of({"model": "a", "dataset": "in1k", "probe": "knn", "solver": "exact"})
    'has no shots'
    """
    for column in columns():
        value = row.get(column.name)
        if column.needed and value in (None, ""):
            return f"has no {column.name}"
        if value is not None and not column.kind.fits(value):
            return f"has {reprlib.repr(value)} as {column.name}, not {column.kind.expected}"
    return ""
