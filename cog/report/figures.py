"""Figures for papers: the charts of the page as SVG or PNG files, made without a browser.

In: `PageData`. Out: a file a figure, of logistic regression (else of the first probe) with the most
images a class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from cog.recipe import file_name, of_levels
from cog.report import charts, scatters
from cog.report.axes_data import page_axis
from cog.report.build import require_model
from cog.report.page_data import PageData, dataset_labels
from cog.report.theme import PAPER, Look
from cog.report.vega import compiled
from cog.results.axes import CONCEPTS, DOMAINS, REFITS, TASKS
from cog.results.columns import FIT, shots_order
from cog.results.differences import against
from cog.results.headline import Z95
from cog.results.summary import level_means
from cog.storage import write_bytes, write_text

Figures = Iterator[tuple[str, alt.TopLevelMixin]]
"""names and charts"""
STAND_OUT = 4
PIXELS_PER_INCH = 200
FEWEST_RANKED = 3  # models; a chart of the ranks of fewer says nothing


def write_figures(data: PageData, folder: Path, kind: str, baseline: str | None) -> list[Path]:
    """Write each figure to `folder` as `kind`, svg or png; gives the files.

    Differences are to `baseline`, if it is given and has results of the fit that is drawn.

    Raises:
        CogError: no model is called `baseline`.
    """
    require_model(data, baseline)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, chart in figures(data, baseline):
        path = folder / f"{name}.{kind}"
        drawn = compiled(chart)
        if kind == "svg":
            write_text(path, vl_convert.vega_to_svg(drawn))
        else:
            ppi = PIXELS_PER_INCH / 2
            write_bytes(path, vl_convert.vega_to_png(drawn, scale=2, ppi=ppi))
        written.append(path)
    return written


def figures(data: PageData, baseline: str | None) -> Figures:
    """All figures, with their rows inside."""
    names = _stand_out(_of_one_fit(data.table), baseline)
    look = replace(PAPER, names=tuple(names))
    slots = {name: slot for slot, name in enumerate(names, 1)}
    order = {label: index for index, label in enumerate(dataset_labels(data.table))}
    table = data.table.assign(
        slot=[slots.get(model, 0) for model in data.table["model"]],
        order=data.table["place"].map(order),
        joined=data.table["dataset"].map(of_levels),
    ).sort_values(["slot", "order"])
    rows = _of_one_fit(table)
    yield from _by_axis("accuracy", "", rows, look, "accuracy (%)")
    yield from _distance("distance", rows, look, "accuracy (%)")
    ranked = rows.assign(value=rows["rank"]).dropna(subset="rank")
    if ranked["model"].nunique() >= FEWEST_RANKED:
        yield "ranks", charts.ranks(_rows(ranked), look)
    if baseline is not None and baseline in set(rows["model"]):
        yield from _contrasts(rows, look, baseline)
    yield from _few_shot(table, rows, look)
    yield from _costs(rows, look)
    yield from _concepts(data, rows, look)


def _by_axis(concepts: str, kind: str, rows: pd.DataFrame, look: Look, title: str) -> Figures:
    """A figure an axis: of the concepts, called so, of the domains and of the tasks."""
    axes = rows["dataset"].map(page_axis)
    own = {axis: rows[axes == axis] for axis in (CONCEPTS, TASKS)}
    further = rows[axes.isin([DOMAINS, REFITS])]
    if len(own[CONCEPTS]):
        yield concepts, charts.levels(_rows(own[CONCEPTS]), look, title)
    if len(further):
        yield f"domains{kind}", charts.domains(_rows(further), look, title)
    if len(own[TASKS]):
        yield f"tasks{kind}", charts.tasks(_rows(own[TASKS]), look, title)


def _distance(name: str, rows: pd.DataFrame, look: Look, title: str) -> Figures:
    """Values against how near the datasets are to the seen concepts, where two or more say so."""
    shown = rows.dropna(subset="near")
    if shown["dataset"].nunique() > 1:
        yield name, charts.distance(_rows(shown), look, title)


def _of_one_fit(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of logistic regression, else of the first probe, with the most shots."""
    probes = sorted(set(table["probe"]), key=lambda name: (name != "logreg", name))
    own = table[table["probe"] == probes[0]]
    own = own[own["solver"] == max(own["solver"])]
    most: pd.DataFrame = own[own["shots"] == max(own["shots"], key=shots_order)]
    return most


def _stand_out(table: pd.DataFrame, baseline: str | None) -> list[str]:
    """The best models by their mean over levels, and the baseline."""
    means = means_over_levels(table)
    if means.empty:  # no model has every level: by what is there
        means = table.groupby("model")["value"].mean().sort_values(ascending=False)
    best = [str(name) for name in means.index[:STAND_OUT]]
    return list(dict.fromkeys([*best, *table.loc[table["model"] == baseline, "model"]]))


def means_over_levels(table: pd.DataFrame) -> pd.Series[float]:
    """Mean top-1 over levels by model, the best first; of models that have every level.

    Models that lack classes come last: their task is easier. `table`: rows of one fit.
    """
    means = level_means(table).droplevel(list(FIT))
    best = means[means["has_all"]].sort_values(["complete", "mean"], ascending=False)
    return best["mean"]


def _contrasts(rows: pd.DataFrame, look: Look, baseline: str) -> Figures:
    table = against(rows, baseline)
    extra = rows[["model", "dataset", "slot", "order", "place", "near", "joined"]]
    table = table.merge(extra, on=["model", "dataset"], validate="one_to_one")
    table = table.sort_values(["slot", "order"])
    error = Z95 * table["error"]
    points = table.assign(
        value=table["difference"], low=table["difference"] - error, high=table["difference"] + error
    )
    yield from _by_axis("difference", "-difference", points, look, f"points above {baseline}")
    yield from _distance("distance-difference", points, look, f"points above {baseline}")
    odds = table.assign(value=table["log_odds_ratio"], low=None, high=None)
    yield from _by_axis("log-odds", "-log-odds", odds, look, f"log-odds ratio to {baseline}")


def _few_shot(table: pd.DataFrame, rows: pd.DataFrame, look: Look) -> Figures:
    """A figure for each dataset that has results with several numbers of shots."""
    fit = rows.iloc[0]
    own = table[(table["probe"] == fit["probe"]) & (table["solver"] == fit["solver"])]
    for label in dataset_labels(own):
        there = own[own["place"] == label].sort_values(["slot", "pictures"])
        if there["shots"].nunique() > 1:
            shown = there.assign(shots=there["shots"].astype(str))
            yield f"few-shot-{file_name(label)}", charts.few_shot(_rows(shown), look)


def _costs(rows: pd.DataFrame, look: Look) -> Figures:
    models = rows.groupby("model").agg(
        slot=("slot", "first"),
        seconds=("seconds", "sum"),
        gigabytes=("feature_bytes", lambda of_datasets: of_datasets.sum(min_count=1) / 1e9),
        parameters=("parameters", "first"),
    )
    models = models.assign(value=means_over_levels(rows)).dropna(subset="value").reset_index()
    titles = {
        "seconds": "seconds to fit the probes (log scale)",
        "gigabytes": "gigabytes of features (log scale)",
        "parameters": "parameters (log scale)",
    }
    for name, title in titles.items():
        shown = models.assign(cost=models[name].astype(float))
        shown = shown[shown["cost"] > 0].sort_values("slot")
        if len(shown):
            yield f"cost-{name}", scatters.cost(_rows(shown), look, title)


def _concepts(data: PageData, rows: pd.DataFrame, look: Look) -> Figures:
    """The best of the models with accuracies by concept."""
    fit = rows.iloc[0]
    own = {
        one["model"]: one["top1"]
        for one in data.classes
        if (one["probe"], one["solver"]) == (fit["probe"], fit["solver"])
    }
    for model in [name for name in means_over_levels(rows).index if name in own][:1]:
        names = {"name": "concept", "nearest_name": "nearest", "lcs_name": "lcs"}
        place = "L" + data.concepts["level"].astype(str)
        table = data.concepts.assign(model=model, slot=1, top1=own[model], place=place)
        table = table.rename(columns=names).dropna(subset="top1")
        yield "concepts", scatters.concepts(_rows(table), replace(look, names=(str(model),)))


def _rows(table: pd.DataFrame) -> Any:
    """Rows inside the chart; Altair's limit of 5,000 rows holds only for data frames."""
    values: Any = table.astype(object).where(table.notna(), None).to_dict("records")
    return alt.InlineData(values=values)
