"""The charts, as Vega-Lite by Altair: how rows look, never what they hold.

In: rows with the columns that each function names, as a table or under the name "rows". Out: Altair
charts.

- A page gives its rows in the browser (templates/report_charts.js); a figure for a paper has them
  inside (cog/report/figures.py). The same functions draw both.
- `place` is the dataset as people call it.
- `slot` is 1…8 for a model that stands out, 0 for all others. Each slot has a dash, a shape, and a
  colour that colour-blind people can tell apart.
- The colours of a page are CSS variables, so that light, dark and print need no other drawing.
"""

from __future__ import annotations

import json
from typing import Any

import altair as alt

from cog.report.theme import SLOTS, Look

ROWS = "rows"
_DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [14, 3], [4, 4], [1, 3], [9, 2, 2, 2, 2, 2])
_SHAPES = (
    "circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right",
    "triangle-left",
)  # fmt: skip
_BY_ORDER = alt.EncodingSortField("order", op="min")


def levels(rows: Any, look: Look, title: str | None = None) -> alt.TopLevelMixin:
    """A line a model over datasets. Rows: model, slot, place, order, value, low, high.

    `order` sorts the datasets.
    """
    x = alt.X("place:O", sort=_BY_ORDER, axis=alt.Axis(title=None, labelAngle=0))
    return _lines(rows, look, x, title, "place", bars=True)


def few_shot(rows: Any, look: Look) -> alt.TopLevelMixin:
    """A line a model over images a class. Rows: as for levels, with shots and `pictures`.

    `pictures` is the number of images a class; for the shots "all", their mean.
    """
    scale = alt.Scale(type="log", base=2, nice=False, padding=14)
    axis = alt.Axis(title="images a class (log scale)", format="d", grid=False)
    x = alt.X("pictures:Q", scale=scale, axis=axis)
    return _lines(rows, look, x, "top-1 accuracy (%)", "shots", bars=True)


def ranks(rows: Any, look: Look) -> alt.TopLevelMixin:
    """A line a model over datasets, the best on top. Rows: as for levels."""
    x = alt.X("place:O", sort=_BY_ORDER, axis=alt.Axis(title=None, labelAngle=0, orient="top"))
    return _lines(rows, look, x, "rank (1 is best)", "place", reverse=True)


def concepts(rows: Any, look: Look) -> alt.TopLevelMixin:
    """A dot a concept and model, and the mean in bins of similarity.

    Rows: model, slot, concept, wnid, place, similarity, top1, nearest, lcs.
    """
    base = alt.Chart(rows)
    x = alt.X(
        "similarity:Q", scale=alt.Scale(zero=False, nice=False, padding=8),
        axis=alt.Axis(title="similarity to the nearest seen concept", grid=False),
    )  # fmt: skip
    percents = alt.Scale(domain=[0, 100], padding=6, nice=False)
    y = alt.Y("top1:Q", scale=percents, axis=alt.Axis(title="top-1 accuracy (%)"))
    dots = base.mark_point(filled=True, size=26, opacity=0.4).encode(
        x, y, _colour(look), _shape(look),
        tooltip=[
            alt.Tooltip("concept:N"), alt.Tooltip("wnid:N"), alt.Tooltip("place:N", title="level"),
            alt.Tooltip("model:N"), alt.Tooltip("top1:Q", title="top-1", format=".1f"),
            alt.Tooltip("similarity:Q", format=".3f"),
            alt.Tooltip("nearest:N", title="nearest seen"),
            alt.Tooltip("lcs:N", title="lowest common subsumer"),
        ],
    )  # fmt: skip
    binned = (
        base.transform_bin("bin", "similarity", bin=alt.Bin(maxbins=20))
        .transform_aggregate(
            similarity="mean(similarity)", top1="mean(top1)", groupby=["bin", "model", "slot"]
        )
        .encode(x, y, detail="model:N")
    )
    edge = binned.mark_line(strokeWidth=6, stroke=look.ground, opacity=0.8)
    mean = binned.mark_line(strokeWidth=2.5).encode(_colour(look), _dash(look))
    return _finish(dots + edge + mean, look)


def surface(rows: Any, look: Look) -> alt.TopLevelMixin:
    """A dot a trial of the search; a ring marks the chosen ones. Rows: lr, wd, top1, seed, chosen.

    `top1` is in percent of the validation images.
    """
    logarithmic = alt.Scale(type="log", nice=False, padding=14)
    x = alt.X(
        "lr:Q", scale=logarithmic, axis=alt.Axis(title="learning rate", format="~g", grid=False)
    )
    y = alt.Y(
        "wd:Q", scale=logarithmic, axis=alt.Axis(title="weight decay", format=".0e", tickCount=6)
    )
    colour = alt.Color(
        "top1:Q", scale=alt.Scale(scheme="viridis", zero=False),
        legend=alt.Legend(title="validation top-1 (%)", orient="top", gradientLength=220),
    )  # fmt: skip
    tooltip = [
        alt.Tooltip("lr:Q", title="learning rate", format=".3g"),
        alt.Tooltip("wd:Q", title="weight decay", format=".3g"),
        alt.Tooltip("top1:Q", title="validation top-1", format=".2f"),
        alt.Tooltip("seed:N"), alt.Tooltip("chosen:N"),
    ]  # fmt: skip
    base = alt.Chart(rows).encode(x, y, tooltip=tooltip)
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(colour)
    rings = base.transform_filter("datum.chosen == 'yes'").mark_point(
        size=260, strokeWidth=2, stroke=look.text
    )
    return _finish(dots + rings, look)


def cost(rows: Any, look: Look, title: str | None = None) -> alt.TopLevelMixin:
    """A mark a model: its mean top-1 against its cost. Rows: model, slot, cost, value."""
    hover = _hover()
    x = alt.X(
        "cost:Q", scale=alt.Scale(type="log", nice=False, padding=16),
        axis=alt.Axis(title=title, format="~s", grid=False, tickCount=6),
    )  # fmt: skip
    y = alt.Y(
        "value:Q", scale=alt.Scale(zero=False, padding=12),
        axis=alt.Axis(title="mean top-1 over levels (%)"),
    )  # fmt: skip
    tooltip = [
        alt.Tooltip("model:N"), alt.Tooltip("cost:Q", format=".4~s"),
        alt.Tooltip("value:Q", title="mean top-1", format=".2f"),
    ]  # fmt: skip
    marks = (
        alt.Chart(rows)
        .mark_point(filled=True)
        .encode(
            x, y, _colour(look, hover), _shape(look), tooltip=tooltip, opacity=_opacity(hover, 0.6),
            size=alt.when("datum.slot > 0").then(alt.value(130)).otherwise(alt.value(60)),
        )
        .add_params(hover)
    )  # fmt: skip
    return _finish(marks, look)


def _lines(
    rows: Any,
    look: Look,
    x: alt.X,
    title: str | None,
    where: str,
    bars: bool = False,
    reverse: bool = False,
) -> alt.TopLevelMixin:
    """Lines of models with a point at each value; slot 0 is thin and grey until pointed at."""
    hover = _hover()
    y = alt.Y(
        "value:Q", scale=alt.Scale(zero=False, nice=False, reverse=reverse, padding=10),
        axis=_rank_axis(title) if reverse else alt.Axis(title=title),
    )  # fmt: skip
    base = alt.Chart(rows).encode(x, y, detail="model:N")
    lines = base.mark_line(strokeJoin="round").encode(
        _colour(look, hover),
        _dash(look),
        opacity=_opacity(hover, 0.4),
        strokeWidth=alt.when(hover)
        .then(alt.value(3))
        .when("datum.slot > 0")
        .then(alt.value(2.2))
        .otherwise(alt.value(1)),
    )
    points = (
        base.mark_point(filled=True, size=55)
        .encode(
            _colour(look, hover), _shape(look), tooltip=_line_tooltip(where, bars),
            opacity=alt.when(hover).then(alt.value(1)).when("datum.slot > 0").then(alt.value(1))
            .otherwise(alt.value(0)),
        )
        .add_params(hover)
    )  # fmt: skip
    if not bars:
        return _finish(lines + points, look)
    ends = base.transform_filter("datum.slot > 0 && isValid(datum.low)")
    errors = ends.mark_rule(strokeWidth=1.5).encode(_colour(look), y="low:Q", y2="high:Q")
    return _finish(lines + errors + points, look)


def _rank_axis(title: str | None) -> alt.Axis:
    """Labels at whole numbers from 1 alone, though the scale has room around them."""
    label = "datum.value < 1 || datum.value % 1 ? '' : format(datum.value, 'd')"
    return alt.Axis(title=title, grid=False, ticks=False, tickMinStep=1, labelExpr=label)


def _line_tooltip(where: str, bars: bool) -> list[alt.Tooltip]:
    interval = [alt.Tooltip("low:Q", format=".2f"), alt.Tooltip("high:Q", format=".2f")]
    return [
        alt.Tooltip("model:N"), alt.Tooltip(f"{where}:N"),
        alt.Tooltip("value:Q", title="value" if bars else "rank", format=".2f" if bars else "d"),
        *(interval if bars else []),
    ]  # fmt: skip


def _hover() -> alt.Parameter:
    return alt.selection_point(
        name="hover", fields=["model"], nearest=True, on="pointerover", clear="pointerout",
        empty=False,
    )  # fmt: skip


def _opacity(hover: alt.Parameter, crowd: float) -> Any:
    loud = alt.when(hover).then(alt.value(1)).when("datum.slot > 0").then(alt.value(1))
    return loud.otherwise(alt.value(crowd))


def _colour(look: Look, hover: alt.Parameter | None = None) -> Any:
    scale = alt.Scale(domain=list(range(SLOTS + 1)), range=[look.quiet, *look.series])
    colour = alt.Color("slot:O", scale=scale, legend=_legend(look))
    if hover is None:
        return colour
    return alt.when(_hovered_crowd()).then(alt.value(look.text)).otherwise(colour)


def _hovered_crowd() -> str:
    return "datum.slot == 0 && hover.model && indexof(hover.model, datum.model) >= 0"


def _dash(look: Look) -> alt.StrokeDash:
    scale = alt.Scale(domain=list(range(SLOTS + 1)), range=[[1, 0], *_DASHES])
    return alt.StrokeDash("slot:O", scale=scale, legend=_legend(look))


def _shape(look: Look) -> alt.Shape:
    scale = alt.Scale(domain=list(range(SLOTS + 1)), range=["circle", *_SHAPES])
    return alt.Shape("slot:O", scale=scale, legend=_legend(look))


def _legend(look: Look) -> alt.Legend | None:
    """Names for slots, or no legend. JSON keeps a name from being code of the expression."""
    if not look.names:
        return None
    return alt.Legend(
        title=None, orient="bottom", columns=2, labelLimit=320, symbolSize=90, symbolStrokeWidth=2,
        values=list(range(1, len(look.names) + 1)),
        labelExpr=f"{json.dumps(list(look.names))}[datum.value - 1]",
    )  # fmt: skip


def _finish(chart: Any, look: Look) -> alt.TopLevelMixin:
    """The chart in the colours and sizes of `look`."""
    size = 13
    finished: alt.TopLevelMixin = (
        chart.properties(width=look.width, height=look.height)
        .configure(font=look.font, background=look.ground, padding=4)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=look.text, titleColor=look.text, gridColor=look.line, gridOpacity=0.7,
            domainColor=look.quiet, tickColor=look.quiet, labelFontSize=size, titleFontSize=size,
            titleFontWeight="normal", titlePadding=8, labelOverlap=True,
        )
        .configure_legend(
            labelColor=look.text, titleColor=look.text, labelFontSize=size, titleFontSize=size,
            titleFontWeight="normal",
        )
    )  # fmt: skip
    return finished
