"""Tables for people: rows are models, columns datasets, a sheet a probe × solver × shots.

In: the `summary` of cog/results/summary.py. Out: sheets, which cog/results/markup.py writes.
† marks models that have seen more than ImageNet-1K, ‡ those that lack classes of a dataset, § means
over sets of several protocols.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from cog.probes.table import PROBES
from cog.recipe import IN1K, UNSEEN, control_of
from cog.results.axes import AXES
from cog.results.columns import FIT, SETTING, dataset_order
from cog.results.headline import other_metrics
from cog.results.markup import Entry, Sheet
from cog.results.summary import seen_more, with_ranks
from cog.results.table import sort_rows

MORE, PARTIAL, MIXED, ABSENT = "†", "‡", "§", "–"
CONTROLS_NOTE = "NAME+CONTROL is a control, no model: it has no rank."


def fit_title(fit: Any) -> str:
    """What a fit, the values of `FIT`, is called above its table.

    >>> fit_title(("logreg", "sgd", "all")), fit_title(("knn", "exact", 1))
    ('logreg-sgd, all images', 'knn-exact, 1 image a class')
    """
    probe, solver, shots = fit
    if probe in PROBES and PROBES[probe].among_test:
        return f"{probe}-{solver}, the test images among themselves, R@1 as top-1"
    images = {"all": "all images", 1: "1 image a class"}
    return f"{probe}-{solver}, {images.get(shots, f'{shots} images a class')}"


def accuracy_sheets(summary: pd.DataFrame) -> list[Sheet]:
    """The mean ± its standard error over seeds; bold is the best of the complete models."""
    table = with_ranks(summary)
    texts = [_with_error(f"{row['value']:.2f}", row["se"]) for row in table.to_dict("records")]
    note = "Top-1 in percent, mean over seeds ± its standard error; bold: the best of a column."
    return _grids(table.assign(text=texts, bold=table["rank"] == 1), note)


def axis_sheets(wide: pd.DataFrame) -> list[Sheet]:
    """Means by axis of generalization, of the table that `wide` gives."""
    sheets = []
    axes = [axis for axis in AXES if axis in wide]
    note = (
        "Means over sets of each set's headline metric in percent, and of its log odds, ± their "
        "errors from seeds and test images."
    )
    models = wide[wide["model"].map(control_of) == ""]
    for fit, group in models.groupby(list(FIT), sort=False):
        shown = [axis for axis in axes if group[axis].notna().any()]
        if not shown:
            continue
        heads = [(f"{axis} ({group[f'{axis}_sets'].max()})", f"{axis}, log odds") for axis in shown]
        rows = tuple(
            (Entry(row["model"]), *(entry for axis in shown for entry in _of_axis(row, axis)))
            for row in group.to_dict("records")
        )
        notes = [note]
        if group["partial"].ne("").any():
            notes.append(f"{PARTIAL} lacks sets, or classes of sets: a mean of other tasks.")
        if group["mixed"].ne("").any():
            notes.append(f"{MIXED} joins sets of several protocols.")
        header = ("model", *(head for pair in heads for head in pair))
        sheets.append(Sheet(f"Means by axis: {fit_title(fit)}", header, rows, tuple(notes)))
    return sheets


def _of_axis(row: dict[Any, Any], axis: str) -> tuple[Entry, Entry]:
    """The mean of an axis, and that of its log odds."""
    marks = PARTIAL * (axis in row["partial"].split()) + MIXED * (axis in row["mixed"].split())
    odds = _mean(row, f"{axis}_log_odds", "{:.3f}", marks)
    return Entry(_mean(row, axis, "{:.2f}", marks)), Entry(odds)


def _mean(row: dict[Any, Any], name: str, digits: str, marks: str) -> str:
    """A mean with its error and its marks."""
    if pd.isna(row[name]):
        return ABSENT
    error = row[f"{name}_error"]
    text = digits.format(row[name]) + ("" if pd.isna(error) else f" ± {digits.format(error)}")
    return text + marks


def ranking_sheets(summary: pd.DataFrame) -> list[Sheet]:
    """The rank of each model on each dataset."""
    table = with_ranks(summary)
    texts = table["rank"].astype("string").fillna(ABSENT)
    note = "Rank by the mean among complete models, 1 is best."
    return _grids(table.assign(text=texts, bold=table["rank"] == 1), note)


def difference_sheets(
    summary: pd.DataFrame, differences: pd.DataFrame, baseline: str
) -> list[Sheet]:
    """What `against` gives for the summary and the baseline; bold is more than noise."""
    seen = summary[[*SETTING, "seen_data", "complete"]]
    table = differences.merge(seen, on=list(SETTING), how="left")
    texts = [
        f"{_with_error(_signed(row['difference']), row['error'])} "
        f"({_signed(row['log_odds_ratio'])})"
        for row in table.to_dict("records")
    ]
    note = (
        f"Top-1 less that of {baseline}, in points ± the error from seeds and test images, and "
        "(the log-odds ratio); bold: more than noise at 95 %."
    )
    return _grids(table.assign(text=texts, bold=table["significant"]), note)


def drop_sheets(summary: pd.DataFrame, drops: pd.DataFrame) -> list[Sheet]:
    """What `drop` gives for the summary; no entry is bold, as a poor model may lose little."""
    note = "Top-1 in percent; points ± their error from seeds and test images."
    sheets = []
    for fit, table in drops.groupby(list(FIT), sort=False):
        level = table["level"].iloc[0]
        both = summary[summary["dataset"].isin([IN1K, level])]
        marks, notes = _marks(both.merge(table[[*FIT, "model"]]))
        rows = tuple(
            (
                Entry(row["model"] + marks[row["model"]]),
                Entry(f"{row[IN1K]:.2f}"),
                Entry(f"{row['far']:.2f}"),
                Entry(_with_error(_signed(-row["points"]), row["error"])),
                Entry(_signed(-row["percent"])),
            )
            for row in table.to_dict("records")
        )
        header = ("model", IN1K, level, "change in points", "in percent")
        sheets.append(Sheet(fit_title(fit), header, rows, (note, *notes)))
    return sheets


def _grids(table: pd.DataFrame, note: str) -> list[Sheet]:
    """Sheets of models × datasets from a table with the columns `text` and `bold`."""
    sheets = []
    table = sort_rows(table, [*FIT, "model"])
    for fit, group in table.groupby(list(FIT), sort=False):
        datasets = sorted(group["dataset"].unique(), key=dataset_order)
        marks, notes = _marks(group)
        entries: dict[str, dict[str, Entry]] = {}
        for row in group.to_dict("records"):
            entry = Entry(row["text"], row["bold"] is True)
            entries.setdefault(row["model"], {})[row["dataset"]] = entry
        rows = tuple(
            (Entry(model + marks[model]), *(own.get(name, Entry(ABSENT)) for name in datasets))
            for model, own in entries.items()
        )
        others = other_metrics(group) if "metric" in group else ""
        notes = (note, others, *notes) if others else (note, *notes)
        sheets.append(Sheet(fit_title(fit), ("model", *datasets), rows, notes))
    return sheets


def _marks(group: pd.DataFrame) -> tuple[dict[str, str], tuple[str, ...]]:
    """What stands behind each model's name, and the notes that say what it means."""
    controls = group["model"].map(control_of) != ""
    group = group.assign(seen_data=group["seen_data"].mask(controls, UNSEEN))
    partial = set(group.loc[~group["complete"], "model"])
    seen = group.groupby("model")["seen_data"].first()
    more = [model for model in seen.index if seen_more(seen[model])]
    unknown = [model for model in seen.index if not seen[model]]
    marks = {model: MORE * (model in more) + PARTIAL * (model in partial) for model in seen.index}
    notes = []
    if more:
        named = ", ".join(f"{model} ({seen[model]})" for model in more)
        notes.append(f"{MORE} has seen other data than ImageNet-1K alone: {named}.")
    if partial:
        notes.append(f"{PARTIAL} lacks classes of a dataset: an easier task, and no rank there.")
    if unknown:
        notes.append(f"The training data is not known of {', '.join(unknown)}.")
    if controls.any():
        notes.append(CONTROLS_NOTE)
    return marks, tuple(notes)


def _with_error(text: str, error: float) -> str:
    return text if pd.isna(error) else f"{text} ± {error:.2f}"


def _signed(value: float) -> str:
    """Two digits, a sign before all but zero.

    >>> _signed(1.5), _signed(-0.25), _signed(-0.001)
    ('+1.50', '−0.25', '0.00')
    """
    text = f"{value:+.2f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")
