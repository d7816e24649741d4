"""The charts of values over datasets, as Vega-Lite by Altair: how rows look, never what they hold.

In: rows with the columns that each function names, as a table or under the name "rows". Out: Altair
charts.

- The same functions draw a page, which gives its rows in the browser (templates/report_charts.js),
  and figures for papers, which have them inside (cog/report/figures.py).
- `place` is the dataset as people call it.
- `slot` is 1…8 for a model that stands out, 0 for all others (encodings.py).
"""

from __future__ import annotations

from typing import Any

import altair as alt

from cog.report.encodings import (
    colour_of,
    dash_of,
    emphasis,
    finish,
    hovering,
    room,
    shape_of,
)
from cog.report.theme import Look

ROWS = "rows"
_BY_ORDER = alt.EncodingSortField("order", op="min")


def levels(rows: Any, look: Look, title: str | None = None) -> alt.TopLevelMixin:
    """A line a model over datasets. Rows: model, slot, place, order, value, low, high.

    `order` sorts the datasets.
    """
    x = alt.X("place:O", sort=_BY_ORDER, axis=alt.Axis(title=None, labelAngle=0))
    return _lines(rows, look, x, title, "place")


def domains(rows: Any, look: Look, title: str | None = None) -> alt.TopLevelMixin:
    """A point a model and test set in another domain. Rows: as for levels."""
    return _points(rows, look, title)


def tasks(rows: Any, look: Look, title: str | None = None) -> alt.TopLevelMixin:
    """A point a model and dataset that is another task. Rows: as for levels."""
    return _points(rows, look, title)


def distance(rows: Any, look: Look, title: str | None = None) -> alt.TopLevelMixin:
    """A point a model and dataset over the dataset's similarity to the seen concepts; far is right.

    A line joins a model's points on ImageNet-1K and the levels. Rows: as for levels, with `near`,
    the similarity, and `joined`, whether the dataset is one of these.
    """
    hover = hovering()
    axis = alt.Axis(title="mean similarity to the nearest seen concept", grid=False, tickCount=8)
    scale = alt.Scale(zero=False, nice=False, reverse=True, padding=14)
    x = alt.X("near:Q", scale=scale, axis=axis)
    values = alt.Scale(zero=False, nice=False, padding=10)
    y = alt.Y("value:Q", scale=values, axis=alt.Axis(title=title))
    places = alt.Chart(rows).transform_aggregate(near="mean(near)", groupby=["place"])
    marks = places.mark_rule(color=look.line, strokeWidth=1).encode(x)
    names = places.mark_text(angle=315, align="left", dx=4, fontSize=12, color=look.text)
    base = alt.Chart(rows).encode(x, y, detail="model:N")
    lines = base.transform_filter("datum.joined").mark_line(strokeJoin="round")
    known = base.transform_filter("datum.slot > 0 && isValid(datum.low)")
    errors = known.mark_rule(strokeWidth=1.5, aria=False).encode(
        colour_of(look), y="low:Q", y2="high:Q"
    )
    tooltip: list[Any] = [
        "model:N", alt.Tooltip("place:N", title="dataset"),
        alt.Tooltip("near:Q", title="similarity", format=".3f"),
        *(alt.Tooltip(f"{name}:Q", format=".2f") for name in ("value", "low", "high")),
    ]  # fmt: skip
    points = base.mark_point(filled=True, size=60).add_params(hover)
    opacity = emphasis(hover, 1, 1, 0.4)
    layers = (
        room(rows) + marks + names.encode(x, text="place:N", y=alt.value(-4))
        + lines.encode(colour_of(look, hover), dash_of(look), opacity=opacity,
                       strokeWidth=emphasis(hover, 3, 2.2, 1))
        + errors
        + points.encode(colour_of(look, hover), shape_of(look), tooltip=tooltip, opacity=opacity)
    )  # fmt: skip
    return finish(layers, look)


def few_shot(rows: Any, look: Look) -> alt.TopLevelMixin:
    """A line a model over images a class. Rows: as for levels, with shots and `pictures`.

    `pictures` is the number of images a class; for the shots "all", their mean.
    """
    scale = alt.Scale(type="log", base=2, nice=False, padding=14)
    axis = alt.Axis(title="images a class (log scale)", format="d", grid=False)
    x = alt.X("pictures:Q", scale=scale, axis=axis)
    return _lines(rows, look, x, "top-1 accuracy (%)", "shots")


def ranks(rows: Any, look: Look) -> alt.TopLevelMixin:
    """A line a model over datasets, the best on top. Rows: as for levels."""
    narrow = "width / length(domain('x')) < 70"  # all names stay, turned where there is no room
    axis = alt.Axis(
        title=None, orient="top", labelOverlap=False, labelLimit=120,
        labelAngle={"expr": f"{narrow} ? -45 : 0"},
        labelAlign={"expr": f"{narrow} ? 'left' : 'center'"},
    )  # fmt: skip
    x = alt.X("place:O", sort=_BY_ORDER, axis=axis)
    return _lines(rows, look, x, "rank (1 is best)", "place", are_ranks=True)


def _lines(
    rows: Any, look: Look, x: alt.X, title: str | None, where: str, are_ranks: bool = False
) -> alt.TopLevelMixin:
    """Lines of models with a point at each value; slot 0 is thin and grey until pointed at.

    Ranks have 1 on top and no bars of errors.
    """
    hover = hovering()
    axis, number = alt.Axis(title=title), alt.Tooltip("value:Q", title="value", format=".2f")
    if are_ranks:  # labels at whole numbers from 1, though the scale has room around them
        label = "datum.value < 1 || datum.value % 1 ? '' : format(datum.value, 'd')"
        axis = alt.Axis(title=title, grid=False, ticks=False, tickMinStep=1, labelExpr=label)
        number = alt.Tooltip("value:Q", title="rank", format="d")
    scale = alt.Scale(zero=False, nice=False, reverse=are_ranks, padding=10)
    y = alt.Y("value:Q", scale=scale, axis=axis)
    ends = [] if are_ranks else [alt.Tooltip(f"{end}:Q", format=".2f") for end in ("low", "high")]
    base = alt.Chart(rows).encode(x, y, detail="model:N")
    lines = base.mark_line(strokeJoin="round").encode(
        colour_of(look, hover),
        dash_of(look),
        opacity=emphasis(hover, 1, 1, 0.4),
        strokeWidth=emphasis(hover, 3, 2.2, 1),
    )
    points = base.mark_point(filled=True, size=55).add_params(hover)
    tooltip: list[Any] = ["model:N", f"{where}:N", number, *ends]
    opacity = emphasis(hover, 1, 1, 0)
    points = points.encode(colour_of(look, hover), shape_of(look), tooltip=tooltip, opacity=opacity)
    if are_ranks:
        return finish(lines + points, look)
    known = base.transform_filter("datum.slot > 0 && isValid(datum.low)")
    errors = known.mark_rule(strokeWidth=1.5, aria=False).encode(
        colour_of(look), y="low:Q", y2="high:Q"
    )
    return finish(room(rows) + lines + errors + points, look)


def _points(rows: Any, look: Look, title: str | None) -> alt.TopLevelMixin:
    """Points of models beside each other at each dataset; no lines, as sets have no order."""
    hover = hovering()
    label = alt.Axis(title=None, labelAngle=-35, labelLimit=140, labelOverlap=False, grid=False)
    x = alt.X("place:N", sort=_BY_ORDER, axis=label, scale=alt.Scale(paddingInner=0.3))
    y = alt.Y("value:Q", axis=alt.Axis(title=title),
              scale=alt.Scale(zero=False, nice=False, padding=10))  # fmt: skip
    tooltip: list[Any] = [
        "model:N", alt.Tooltip("place:N", title="dataset"),
        *(alt.Tooltip(f"{name}:Q", format=".2f") for name in ("value", "low", "high")),
    ]  # fmt: skip
    base = alt.Chart(rows).encode(x, y, alt.XOffset("slot:O"), detail="model:N")
    known = base.transform_filter("datum.slot > 0 && isValid(datum.low)")
    errors = known.mark_rule(strokeWidth=1.5, aria=False).encode(
        colour_of(look), y="low:Q", y2="high:Q"
    )
    points = base.mark_point(filled=True, size=70).add_params(hover)
    points = points.encode(
        colour_of(look, hover), shape_of(look), tooltip=tooltip, opacity=emphasis(hover, 1, 1, 0.4)
    )
    return finish(room(rows) + errors + points, look)
