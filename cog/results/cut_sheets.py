"""Tables for people of top-1 at given heights: a sheet a dataset and fit, a row a model."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cog.results.columns import FIT
from cog.results.markup import Entry, Sheet
from cog.results.mistakes import MISTAKE_HEIGHT, MISTAKE_SIMILARITY, cut_column
from cog.results.paper_tables import ABSENT, fit_title


def cut_sheets(table: pd.DataFrame, heights: Sequence[int]) -> list[Sheet]:
    """The sheets of what `cuts` gives."""
    digits = {
        "top1": "{:.2f}",
        **{cut_column(height): "{:.2f}" for height in heights},
        MISTAKE_HEIGHT: "{:.2f}",
        MISTAKE_SIMILARITY: "{:.3f}",
    }
    header = (
        "model", "top-1", *(f"cut at {height}" for height in heights),
        "height of mistakes", "similarity",
    )  # fmt: skip
    note = (
        "Top-1 in percent, and where the tree of the classes is cut at a height, so that all "
        "classes below are one; over mistakes, the mean height of what lies above the right and "
        "the predicted class, and their mean similarity. All are means over seeds."
    )
    sheets = []
    for (dataset, *fit), group in table.groupby(["dataset", *FIT], sort=False):
        rows = tuple(
            (Entry(row["model"]), *(Entry(_shown(row[name], digits[name])) for name in digits))
            for row in group.to_dict("records")
        )
        sheets.append(Sheet(f"{dataset}: {fit_title(tuple(fit))}", header, rows, (note,)))
    return sheets


def _shown(value: float, digits: str) -> str:
    return ABSENT if pd.isna(value) else digits.format(value)
