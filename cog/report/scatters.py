"""The charts of marks without lines between datasets: concepts, trials of the search, costs.

In: rows with the columns that each function names; see charts.py. Out: Altair charts.
"""

from __future__ import annotations

from typing import Any

import altair as alt

from cog.report.encodings import colour_of, dash_of, emphasis, finish, hovering, room, shape_of
from cog.report.theme import Look
from cog.report.vega import NAMES

NAMED = 4  # concepts above the line, and as many below it
COST_ROOM = 1.6  # an axis of costs begins and ends this factor away from them


def concepts(rows: Any, look: Look) -> alt.TopLevelMixin:
    """A dot a concept and model, and the mean in bins of similarity.

    The concepts of each model that are farthest above and below the mean of their bin are named,
    where two names would overlap, the farther one.

    Rows: model, slot, concept, wnid, place, similarity, top1, nearest, lcs.
    """
    base = alt.Chart(rows)
    near = alt.Axis(title="similarity to the nearest seen concept", grid=False, tickCount=8)
    x = alt.X("similarity:Q", scale=alt.Scale(zero=False, nice=False, padding=8), axis=near)
    percents = alt.Scale(domain=[0, 100], padding=6, nice=False)
    y = alt.Y("top1:Q", scale=percents, axis=alt.Axis(title="top-1 accuracy (%)"))
    dots = base.mark_point(filled=True, size=26, opacity=0.4).encode(
        x, y, colour_of(look), shape_of(look),
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
    edge = binned.mark_line(strokeWidth=6, stroke=look.ground, opacity=0.8, aria=False)
    mean = binned.mark_line(strokeWidth=2.5, aria=False).encode(colour_of(look), dash_of(look))
    far = _outliers(base)
    rings = far.mark_point(size=60, strokeWidth=1.5, stroke=look.text, aria=False).encode(x, y)
    rings = rings.properties(name=f"{NAMES}_rings")
    return finish(dots + edge + mean + rings + _names(far, x, y, look), look)


def _outliers(base: alt.Chart) -> alt.Chart:
    """The concepts farthest from the mean of their bin of similarity, by model."""
    mean = base.transform_bin("bin", "similarity", bin=alt.Bin(maxbins=20)).transform_joinaggregate(
        expected="mean(top1)", groupby=["bin", "model"]
    )
    off = mean.transform_calculate(off="datum.top1 - datum.expected", far="abs(datum.off)")
    by_name = alt.SortField("wnid")
    orders: Any = {"above": "descending", "below": "ascending"}
    for side, order in orders.items():
        sort: list[Any] = [alt.SortField("off", order=order), by_name]
        number: Any = {side: "row_number()"}
        off = off.transform_window(sort=sort, groupby=["model"], **number)
    return off.transform_filter(
        f"datum.above <= {NAMED} && datum.off > 0 || datum.below <= {NAMED} && datum.off < 0"
    )


def _names(far: alt.Chart, x: alt.X, y: alt.Y, look: Look) -> Any:
    """Names as people write them, on a ground that parts them from the dots."""
    plain = far.transform_calculate(
        word=r"replace(replace(datum.concept, /\.n\.[0-9]+$/, ''), /_/g, ' ')"
    ).encode(x, y, text="word:N")
    style: dict[str, Any] = {"fontSize": 12, "limit": 180, "aria": False, "tooltip": None}
    ground = plain.mark_text(stroke=look.ground, strokeWidth=4, color=look.ground, **style)
    text = plain.mark_text(color=look.text, **style)
    return ground.properties(name=f"{NAMES}_ground") + text.properties(name=NAMES)


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
    dots = base.mark_point(filled=True, size=110, opacity=1, stroke=look.quiet, strokeWidth=1)
    dots = dots.encode(colour)
    rings = base.transform_filter("datum.chosen == 'yes'").mark_point(
        size=260, strokeWidth=2, stroke=look.text, aria=False
    )
    return finish(dots + rings, look)


# Ticks with labels: all within a decade, then 1, 2 and 5 times the powers of ten, from four decades
# on the powers alone; as 0.5, 20, 5M, 1B.
_FIRST_DIGITS = (
    "domain('x')[1] < 10 * domain('x')[0] ? '123456789'"
    " : domain('x')[1] < 10000 * domain('x')[0] ? '125' : '1'"
)
_COST = (
    f"indexof({_FIRST_DIGITS}, format(datum.value, '.0e')[0]) < 0 ? ''"
    " : datum.value < 1 ? format(datum.value, '~g') : replace(format(datum.value, '~s'), 'G', 'B')"
)


def cost(rows: Any, look: Look, title: str | None = None) -> alt.TopLevelMixin:
    """A mark a model: its mean top-1 against its cost. Rows: model, slot, cost, value."""
    hover = hovering()
    costs = alt.Axis(title=title, grid=False, tickCount=6, labelExpr=_COST)
    means = alt.Axis(title="mean top-1 over levels (%)")
    logarithmic = alt.Scale(type="log", nice=False)
    x = alt.X("cost:Q", scale=logarithmic, axis=costs)
    y = alt.Y("value:Q", scale=alt.Scale(zero=False, padding=12), axis=means)
    mean = alt.Tooltip("value:Q", title="mean top-1", format=".2f")
    tooltip: list[Any] = ["model:N", alt.Tooltip("cost:Q", format=",.4~r"), mean]
    size = alt.when("datum.slot > 0").then(alt.value(130)).otherwise(alt.value(60))
    opacity = emphasis(hover, 1, 1, 0.6)
    marks = alt.Chart(rows).mark_point(filled=True).add_params(hover)
    colours = colour_of(look, hover), shape_of(look)
    shown = marks.encode(x, y, *colours, tooltip=tooltip, opacity=opacity, size=size)
    ends = alt.Chart(rows).transform_aggregate(cheapest="min(cost)", dearest="max(cost)")
    wider = ends.transform_filter("datum.cheapest > 0").transform_calculate(
        left=f"datum.cheapest / {COST_ROOM}", right=f"datum.dearest * {COST_ROOM}"
    )
    margin = wider.mark_rule(opacity=0, aria=False)
    margin = margin.encode(x=alt.X("left:Q", scale=logarithmic, axis=costs), x2="right:Q")
    return finish(room(rows) + margin + shown, look)
