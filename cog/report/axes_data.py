"""What a page shows of the axes of generalization: the axis of each dataset, means, and notes.

In: the tidy table and what is known of suites. Out: values for JSON (`axes_values`). ImageNet-1K
stands with the concepts, of which it has the seen ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from cog.recipe import TOP1
from cog.results.axes import AXES, CONCEPTS, axis_means, axis_notes, axis_of, joined_solvers
from cog.results.columns import dataset_order
from cog.results.headline import metric_title
from cog.results.suites import Suites
from cog.results.table import with_full_names


def by_axis(datasets: Iterable[str]) -> list[str]:
    """Datasets in the order of a page: concepts from ImageNet-1K on, domains, refits, tasks.

    >>> by_axis(["dtd", "in1k/v2", "cog_l1", "in1k"])
    ['in1k', 'cog_l1', 'in1k/v2', 'dtd']
    """
    return sorted(datasets, key=lambda name: (AXES.index(page_axis(name)), dataset_order(name)))


def page_axis(dataset: str) -> str:
    """The axis under which a page has a dataset."""
    return axis_of(dataset) or CONCEPTS


def joined(results: pd.DataFrame) -> pd.DataFrame:
    """The results as a page groups them: test sets are datasets, sets of suites share a row."""
    return joined_solvers(with_full_names(results))


def axes_means(rows: pd.DataFrame, suites: Suites) -> pd.DataFrame:
    """The means of `axis_means` of `joined` rows, a row a model × probe × solver × shots."""
    return axis_means(rows, suites).reset_index()


def axes_notes(results: pd.DataFrame, table: pd.DataFrame, suites: Suites) -> list[str]:
    """What a reader must know of the numbers: metrics, and what means lack or join."""
    others = table[table["metric"] != TOP1].groupby("metric")["place"].unique()
    notes = [
        f"{', '.join(by_axis(places))}: {metric_title(str(metric))}, the headline metric, "
        "in place of top-1"
        for metric, places in others.items()
    ]
    return notes + axis_notes(results, suites)


def axes_values(means: dict[str, Any], places: dict[str, str]) -> dict[str, Any]:
    """The data of the page's scripts: `means` in columns, and the axis of each place."""
    return {"names": list(AXES), "of": places, "means": means}
