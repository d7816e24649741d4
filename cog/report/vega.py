"""Charts to Vega, which browsers and files draw: compiled from Vega-Lite, names laid out.

In: Altair charts. Out: specifications of Vega.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import vl_convert

SCHEMA = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])  # that vl_convert compiles
NAMES = "names"  # how the names of views begin whose texts must not overlap


def compiled(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The chart as Vega.

    Texts of views called `NAMES…` stand beside their points where there is room, those with the
    greatest `far` first; one without room is not shown. Vega-Lite has no such transform, Vega has.
    The pointer sees what is behind these views.
    """
    spec: dict[str, Any] = vl_convert.vegalite_to_vega(chart.to_dict(), SCHEMA)
    for mark in spec["marks"]:
        if not mark["name"].startswith(NAMES):
            continue
        mark["interactive"] = False
        if mark["type"] == "text":
            mark["transform"] = [
                {
                    "type": "label",
                    "size": {"signal": "[width, height]"},
                    "sort": {"field": "datum.far", "order": "descending"},
                    "anchor": ["right", "left", "top", "bottom"],
                    "offset": [7],
                    "padding": 0,
                    "avoidBaseMark": False,  # else it draws on a canvas, which files do not have
                }
            ]
    return spec
