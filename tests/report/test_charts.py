"""Charts of few, equal or far apart values: axes that can be read, names that do not overlap."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert

from cog.report import charts, scatters
from cog.report.theme import PAPER
from cog.report.vega import compiled

TEXT = "{http://www.w3.org/2000/svg}text"


def drawn(chart: alt.TopLevelMixin) -> ElementTree.Element:
    return ElementTree.fromstring(vl_convert.vega_to_svg(compiled(chart)))


def inline(rows: list[dict[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=rows)


def axis_labels(svg: ElementTree.Element, axis: str) -> list[str]:
    """The texts at the ticks of the axis x or y; those that are not shown left out."""
    for part in svg.iter():
        if f"{axis.upper()}-axis" in part.get("aria-label", ""):
            group = next(one for one in part.iter() if "axis-label" in one.get("class", ""))
            return [
                text.text or "" for text in group.iter(TEXT)
                if text.text and text.get("opacity") != "0"
            ]  # fmt: skip
    raise AssertionError(f"no axis {axis}")


def number(label: str) -> float:
    """Of an axis of costs: 0.5, 20, 5k, 10M, 1B."""
    factor = {"k": 1e3, "M": 1e6, "B": 1e9}.get(label[-1], 1.0)
    return float(label.rstrip("kMB")) * factor


def costs(*pairs: tuple[float, float]) -> list[dict[str, Any]]:
    return [
        {"model": f"m{at}", "slot": at + 1, "cost": cost, "value": value}
        for at, (cost, value) in enumerate(pairs)
    ]


@pytest.mark.parametrize(
    "rows",
    [
        costs((360.0, 54.65)),
        costs((360.0, 54.65), (372.0, 54.70)),
        costs((360.0, 50.0), (360.0, 50.0)),
        costs((0.02, 0.0), (0.5, 100.0)),
        costs((8.5e4, 61.0), (1.1e9, 88.0)),
        costs(*((10.0**power, 50.0 + power) for power in range(7))),
    ],
    ids=["one", "two alike", "two equal", "below one", "far apart", "seven decades"],
)
def test_axes_of_costs_have_several_ticks_and_all_points_inside(rows):
    svg = drawn(scatters.cost(inline(rows), PAPER, "seconds (log scale)"))
    ticks = [number(label) for label in axis_labels(svg, "x")]
    assert 3 <= len(ticks) <= 12
    assert ticks == sorted(set(ticks))
    least, most = min(row["cost"] for row in rows), max(row["cost"] for row in rows)
    assert ticks[0] < 1.9 * least
    assert ticks[-1] > most / 5
    assert ticks[0] >= 0.9 * least / scatters.COST_ROOM
    assert ticks[-1] <= 1.1 * most * scatters.COST_ROOM
    assert len(axis_labels(svg, "y")) >= 3


def line_rows(models: int, places: int, value: float | None = None) -> list[dict[str, Any]]:
    return [
        {
            "model": f"m{model}", "slot": model + 1, "place": f"L{place + 1}", "order": place,
            "value": 70.0 - 5 * place + model if value is None else value,
            "low": None, "high": None,
            "near": 0.9 - 0.1 * place, "joined": True, "pictures": 2.0**place, "shots": str(place),
        }
        for model in range(models)
        for place in range(places)
    ]  # fmt: skip


@pytest.mark.parametrize("chart", [charts.levels, charts.domains, charts.tasks, charts.distance])
@pytest.mark.parametrize(("models", "places"), [(1, 1), (2, 1), (1, 5)])
def test_an_axis_of_equal_values_has_several_ticks(chart, models, places):
    svg = drawn(chart(inline(line_rows(models, places, 50.0)), PAPER, "accuracy (%)"))
    ticks = [float(label) for label in axis_labels(svg, "y")]
    assert len(ticks) >= 3
    assert ticks[0] < 50 < ticks[-1]


def test_an_axis_of_values_that_differ_is_no_wider_than_they_are():
    svg = drawn(charts.levels(inline(line_rows(2, 5)), PAPER, "accuracy (%)"))
    ticks = [float(label) for label in axis_labels(svg, "y")]
    assert ticks[0] >= 49
    assert ticks[-1] <= 72


def test_ticks_of_similarity_have_room():
    rows = line_rows(3, 6)
    for row, near in zip(rows, np.tile(np.linspace(1, 0.2, 6), 3), strict=True):
        row["near"] = float(near)
    assert len(axis_labels(drawn(charts.distance(inline(rows), PAPER, "accuracy (%)")), "x")) < 12


def test_long_names_stand_whole_in_a_legend():
    names = ("vit_large_patch14_reg4_dinov2.lvd142m+layer23+mean+cls+everything", "b")
    svg = drawn(charts.levels(inline(line_rows(2, 3)), replace(PAPER, names=names), "accuracy"))
    assert set(names) <= {text.text for text in svg.iter(TEXT)}


def concept_rows(n: int = 400) -> list[dict[str, Any]]:
    rng = np.random.default_rng(7)
    return [
        {
            "model": "m", "slot": 1, "concept": f"hot_dog_{at}.n.01", "wnid": f"n{at:08}",
            "place": "L1", "similarity": float(similarity), "nearest": "a", "lcs": "b",
            "top1": float(np.clip(30 + 50 * similarity + rng.normal(scale=12), 0, 100)),
        }
        for at, similarity in enumerate(rng.uniform(size=n))
    ]  # fmt: skip


def named(svg: ElementTree.Element) -> list[tuple[str, float, float, float]]:
    """Name, left end, right end and height of each text beside a concept that is shown."""
    found = []
    for text in svg.iter(TEXT):
        if not (text.text or "").startswith("hot dog") or text.get("opacity") == "0":
            continue
        at = re.findall(r"-?[\d.]+", text.get("transform", ""))
        x, y, wide = float(at[0]), float(at[1]), 6.0 * len(text.text or "")
        left = {"start": x, "middle": x - wide / 2, "end": x - wide}[
            text.get("text-anchor", "start")
        ]
        found.append((str(text.text), left, left + wide, y))
    return found


def test_the_concepts_farthest_from_the_mean_are_named_and_no_name_is_on_another():
    rows = concept_rows()
    texts = named(drawn(scatters.concepts(inline(rows), PAPER)))
    table = pd.DataFrame(rows)
    bins = np.floor(table["similarity"] / 0.05 + 1e-9)  # 20 bins of 0 to 1
    table["off"] = table["top1"] - table.groupby(bins)["top1"].transform("mean")
    extreme = [*table["off"].nlargest(4).index, *table["off"].nsmallest(4).index]
    wanted = {f"hot dog {at}" for at in extreme}
    names = {name for name, *_ in texts}
    assert names <= wanted
    assert len(names) >= 5  # where two would overlap, one is left out
    farthest = table["off"].abs().idxmax()
    assert f"hot dog {farthest}" in names
    unique = {name: rest for name, *rest in texts}  # each stands on its ground, at the same point
    for (left, right, y), (other_left, other_right, other_y) in combinations(unique.values(), 2):
        assert right <= other_left or other_right <= left or abs(y - other_y) >= 10


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_concepts_can_be_drawn(n):
    texts = named(drawn(scatters.concepts(inline(concept_rows(n)), PAPER)))
    assert texts == []  # one alone in its bin is not off its mean
