"""How charts tell models apart, and what all charts have alike: colours, dashes, shapes, room.

In: a `Look`. Out: encodings of Altair, and finished charts.

- `slot` is 1…8 for a model that stands out, 0 for all others. Each slot has a dash, a shape, and a
  colour that colour-blind people can tell apart.
- The colours of a page are CSS variables, so that light, dark and print need no other drawing.
"""

from __future__ import annotations

import json
from typing import Any

import altair as alt

from cog.report.theme import SLOTS, Look

_DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [14, 3], [4, 4], [1, 3], [9, 2, 2, 2, 2, 2])
_SHORT_NAME = 36  # characters of a name that has room beside another in a legend
_SHAPES = (
    "circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right",
    "triangle-left",
)  # fmt: skip


def hovering() -> alt.Parameter:
    """The model whose mark is the nearest to the pointer."""
    return alt.selection_point(
        name="hover", fields=["model"], nearest=True, on="pointerover", clear="pointerout",
        empty=False,
    )  # fmt: skip


def emphasis(hover: alt.Parameter, hovered: float, standing_out: float, crowd: float) -> Any:
    """A value for the model pointed at, one for those with a slot, and one for all others."""
    loud = alt.when(hover).then(alt.value(hovered))
    return loud.when("datum.slot > 0").then(alt.value(standing_out)).otherwise(alt.value(crowd))


def colour_of(look: Look, hover: alt.Parameter | None = None) -> Any:
    """The colour of a model's slot; one of the crowd that is pointed at is as dark as text."""
    colour = _by_slot(alt.Color, [look.quiet, *look.series], look)
    if hover is None:
        return colour
    hovered_crowd = "datum.slot == 0 && hover.model && indexof(hover.model, datum.model) >= 0"
    return alt.when(hovered_crowd).then(alt.value(look.text)).otherwise(colour)


def dash_of(look: Look) -> Any:
    """The dashes of a model's line."""
    return _by_slot(alt.StrokeDash, [[1, 0], *_DASHES], look)


def shape_of(look: Look) -> Any:
    """The shape of a model's marks."""
    return _by_slot(alt.Shape, ["circle", *_SHAPES], look)


def _by_slot(channel: Any, values: list[Any], look: Look) -> Any:
    """A value for each slot, with names in a legend if the look has names."""
    legend = None
    if look.names:  # JSON keeps a name from being code of the expression
        columns = 1 if max(map(len, look.names)) > _SHORT_NAME else 2
        legend = alt.Legend(
            title=None, orient="bottom", columns=columns, labelLimit=640 // columns, symbolSize=90,
            symbolStrokeWidth=2, values=list(range(1, len(look.names) + 1)),
            labelExpr=f"{json.dumps(list(look.names))}[datum.value - 1]",
        )  # fmt: skip
    scale = alt.Scale(domain=list(range(SLOTS + 1)), range=values)
    return channel("slot:O", scale=scale, legend=legend)


def room(rows: Any, field: str = "value") -> alt.Chart:
    """An unseen mark from one less to one more, where all values are equal.

    Without it an axis of equal values would have one tick.
    """
    ends = alt.Chart(rows).transform_aggregate(least=f"min({field})", most=f"max({field})")
    equal = ends.transform_filter("isValid(datum.least) && datum.least === datum.most")
    wider = equal.transform_calculate(lower="datum.least - 1", upper="datum.most + 1")
    unseen: alt.Chart = wider.mark_rule(opacity=0, aria=False)
    return unseen.encode(y="lower:Q", y2="upper:Q")


def finish(chart: Any, look: Look) -> alt.TopLevelMixin:
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
