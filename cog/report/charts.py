"""The charts, as Vega-Lite by Altair: how rows look, never what they hold.

In: rows with the columns that each function names, as a table or under the name "rows". Out: Altair
charts.

- The same functions draw a page, which gives its rows in the browser (templates/report_charts.js),
  and figures for papers, which have them inside (cog/report/figures.py).
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
    hover = _hover()
    axis = alt.Axis(title="mean similarity to the nearest seen concept", grid=False)
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
    errors = known.mark_rule(strokeWidth=1.5).encode(_colour(look), y="low:Q", y2="high:Q")
    tooltip: list[Any] = [
        "model:N", alt.Tooltip("place:N", title="dataset"),
        alt.Tooltip("near:Q", title="similarity", format=".3f"),
        *(alt.Tooltip(f"{name}:Q", format=".2f") for name in ("value", "low", "high")),
    ]  # fmt: skip
    points = base.mark_point(filled=True, size=60).add_params(hover)
    opacity = _emphasis(hover, 1, 1, 0.4)
    layers = (
        marks + names.encode(x, text="place:N", y=alt.value(-4))
        + lines.encode(_colour(look, hover), _dash(look), opacity=opacity,
                       strokeWidth=_emphasis(hover, 3, 2.2, 1))
        + errors
        + points.encode(_colour(look, hover), _shape(look), tooltip=tooltip, opacity=opacity)
    )  # fmt: skip
    return _finish(layers, look)


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


def concepts(rows: Any, look: Look) -> alt.TopLevelMixin:
    """A dot a concept and model, and the mean in bins of similarity.

    Rows: model, slot, concept, wnid, place, similarity, top1, nearest, lcs.
    """
    base = alt.Chart(rows)
    near = alt.Axis(title="similarity to the nearest seen concept", grid=False)
    x = alt.X("similarity:Q", scale=alt.Scale(zero=False, nice=False, padding=8), axis=near)
    percents = alt.Scale(domain=[0, 100], padding=6, nice=False)
    y = alt.Y("top1:Q", scale=percents, axis=alt.Axis(title="top-1 accuracy (%)"))
    dots = base.mark_point(filled=True, size=26, opacity=0.4).encode(
        x, y, _colour(look), _shape(look),
        tooltip=[
            "concept:N", "wnid:N", alt.Tooltip("place:N", title="level"), "model:N",
            alt.Tooltip("top1:Q", title="top-1", format=".1f"),
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
    rates = alt.Axis(title="learning rate", format="~g", grid=False)
    decays = alt.Axis(title="weight decay", format=".0e", tickCount=6)
    x = alt.X("lr:Q", scale=logarithmic, axis=rates)
    y = alt.Y("wd:Q", scale=logarithmic, axis=decays)
    colour = alt.Color(
        "top1:Q", scale=alt.Scale(scheme="viridis", zero=False),
        legend=alt.Legend(title="validation top-1 (%)", orient="top", gradientLength=220),
    )  # fmt: skip
    tooltip: list[Any] = [
        alt.Tooltip("lr:Q", title="learning rate", format=".3g"),
        alt.Tooltip("wd:Q", title="weight decay", format=".3g"),
        alt.Tooltip("top1:Q", title="validation top-1", format=".2f"),
        "seed:N",
        "chosen:N",
    ]
    base = alt.Chart(rows).encode(x, y, tooltip=tooltip)
    dots = base.mark_point(filled=True, size=110, opacity=1).encode(colour)
    rings = base.transform_filter("datum.chosen == 'yes'").mark_point(
        size=260, strokeWidth=2, stroke=look.text
    )
    return _finish(dots + rings, look)


def cost(rows: Any, look: Look, title: str | None = None) -> alt.TopLevelMixin:
    """A mark a model: its mean top-1 against its cost. Rows: model, slot, cost, value."""
    hover = _hover()
    costs = alt.Axis(title=title, format="~s", grid=False, tickCount=6)
    means = alt.Axis(title="mean top-1 over levels (%)")
    x = alt.X("cost:Q", scale=alt.Scale(type="log", nice=False, padding=16), axis=costs)
    y = alt.Y("value:Q", scale=alt.Scale(zero=False, padding=12), axis=means)
    mean = alt.Tooltip("value:Q", title="mean top-1", format=".2f")
    tooltip: list[Any] = ["model:N", alt.Tooltip("cost:Q", format=".4~s"), mean]
    size = alt.when("datum.slot > 0").then(alt.value(130)).otherwise(alt.value(60))
    opacity = _emphasis(hover, 1, 1, 0.6)
    marks = alt.Chart(rows).mark_point(filled=True).add_params(hover)
    colours = _colour(look, hover), _shape(look)
    return _finish(marks.encode(x, y, *colours, tooltip=tooltip, opacity=opacity, size=size), look)


def _lines(
    rows: Any, look: Look, x: alt.X, title: str | None, where: str, are_ranks: bool = False
) -> alt.TopLevelMixin:
    """Lines of models with a point at each value; slot 0 is thin and grey until pointed at.

    Ranks have 1 on top and no bars of errors.
    """
    hover = _hover()
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
        _colour(look, hover),
        _dash(look),
        opacity=_emphasis(hover, 1, 1, 0.4),
        strokeWidth=_emphasis(hover, 3, 2.2, 1),
    )
    points = base.mark_point(filled=True, size=55).add_params(hover)
    tooltip: list[Any] = ["model:N", f"{where}:N", number, *ends]
    opacity = _emphasis(hover, 1, 1, 0)
    points = points.encode(_colour(look, hover), _shape(look), tooltip=tooltip, opacity=opacity)
    if are_ranks:
        return _finish(lines + points, look)
    known = base.transform_filter("datum.slot > 0 && isValid(datum.low)")
    errors = known.mark_rule(strokeWidth=1.5).encode(_colour(look), y="low:Q", y2="high:Q")
    return _finish(lines + errors + points, look)


def _points(rows: Any, look: Look, title: str | None) -> alt.TopLevelMixin:
    """Points of models beside each other at each dataset; no lines, as sets have no order."""
    hover = _hover()
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
    errors = known.mark_rule(strokeWidth=1.5).encode(_colour(look), y="low:Q", y2="high:Q")
    points = base.mark_point(filled=True, size=70).add_params(hover)
    points = points.encode(
        _colour(look, hover), _shape(look), tooltip=tooltip, opacity=_emphasis(hover, 1, 1, 0.4)
    )
    return _finish(errors + points, look)


def _hover() -> alt.Parameter:
    return alt.selection_point(
        name="hover", fields=["model"], nearest=True, on="pointerover", clear="pointerout",
        empty=False,
    )  # fmt: skip


def _emphasis(hover: alt.Parameter, hovered: float, standing_out: float, crowd: float) -> Any:
    """A value for the model pointed at, one for those with a slot, and one for all others."""
    loud = alt.when(hover).then(alt.value(hovered))
    return loud.when("datum.slot > 0").then(alt.value(standing_out)).otherwise(alt.value(crowd))


def _colour(look: Look, hover: alt.Parameter | None = None) -> Any:
    colour = _by_slot(alt.Color, [look.quiet, *look.series], look)
    if hover is None:
        return colour
    hovered_crowd = "datum.slot == 0 && hover.model && indexof(hover.model, datum.model) >= 0"
    return alt.when(hovered_crowd).then(alt.value(look.text)).otherwise(colour)


def _dash(look: Look) -> Any:
    return _by_slot(alt.StrokeDash, [[1, 0], *_DASHES], look)


def _shape(look: Look) -> Any:
    return _by_slot(alt.Shape, ["circle", *_SHAPES], look)


def _by_slot(channel: Any, values: list[Any], look: Look) -> Any:
    """A value for each slot, with names in a legend if the look has names."""
    legend = None
    if look.names:  # JSON keeps a name from being code of the expression
        legend = alt.Legend(
            title=None, orient="bottom", columns=2, labelLimit=320, symbolSize=90,
            symbolStrokeWidth=2, values=list(range(1, len(look.names) + 1)),
            labelExpr=f"{json.dumps(list(look.names))}[datum.value - 1]",
        )  # fmt: skip
    scale = alt.Scale(domain=list(range(SLOTS + 1)), range=values)
    return channel("slot:O", scale=scale, legend=legend)


def _finish(chart: Any, look: Look) -> alt.TopLevelMixin:
    """The chart in the colours and sizes of `look`."""
    texts: dict[str, Any] = {
        "labelColor": look.text, "titleColor": look.text, "labelFontSize": 13, "titleFontSize": 13,
        "titleFontWeight": "normal",
    }  # fmt: skip
    finished: alt.TopLevelMixin = (
        chart.properties(width=look.width, height=look.height)
        .configure(font=look.font, background=look.ground, padding=4)
        .configure_view(stroke=None)
        .configure_axis(
            gridColor=look.line, gridOpacity=0.7, domainColor=look.quiet, tickColor=look.quiet,
            titlePadding=8, labelOverlap=True, **texts,
        )
        .configure_legend(**texts)
    )  # fmt: skip
    return finished
