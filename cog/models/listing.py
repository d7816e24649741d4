"""The models of the table for people: as a list, and one by one. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from cog.errors import unknown_name
from cog.models.quirks import QUIRKS
from cog.models.weights.download import cached, weights_folder
from cog.models.zoo import ACCESS, ZooRow, read_zoo


def state_of(row: ZooRow) -> str:
    """`cached` if the weights are here, else how they are obtained (see zoo.ACCESS)."""
    return "cached" if row.file and cached(row.cache_file) else row.access


def find_models(
    *,
    benchmark: bool = False,
    family: str | None = None,
    seen: str | None = None,
    max_size: float | None = None,
    commercial: bool = False,
    state: str | None = None,
) -> list[dict[str, Any]]:
    """The rows that pass all filters, as plain values; `cog models list --help` explains them.

    Raises:
        CogError: a family, dataset or state that no row has.
    """
    rows = list(read_zoo().values())
    states = {row.name: state_of(row) for row in rows}
    _known("family", family, [row.family for row in rows])
    _known("seen data", seen, [row.seen_data for row in rows])
    _known("state", state, [*ACCESS, "cached"])
    return [
        _listed(row, states[row.name])
        for row in rows
        if (not benchmark or row.benchmark)
        and family in (None, row.family)
        and seen in (None, row.seen_data)
        and (max_size is None or row.parameters <= max_size * 1e6)
        and not (commercial and (row.restricted or row.licence in ("", "none stated")))
        and state in (None, states[row.name])
    ]


def _listed(row: ZooRow, state: str) -> dict[str, Any]:
    """A row with what people choose by first; size is the number of parameters."""
    first = {
        "name": row.name,
        "family": row.family,
        "year": row.year,
        "size": row.parameters,
        "dimension": row.dim,
        "licence": row.licence,
        "seen_data": row.seen_data,
        "state": state,
    }
    shown = (*first, "dim", "parameters")
    return first | {key: value for key, value in asdict(row).items() if key not in shown}


def describe(row: ZooRow) -> Iterator[tuple[str, str]]:
    """All of a row as pairs of name and text, with the meaning of its words."""
    for key, value in asdict(row).items():
        if isinstance(value, dict):
            value = [f"{name}={setting!r}" for name, setting in value.items()]
        if isinstance(value, tuple | list):
            value = " ".join(map(str, value))
        if key != "quirks":
            yield key, "-" if value in ("", None) else str(value)
    for name in row.quirks:
        yield "official quirk", f"{name}: {QUIRKS[name].text}"
    if row.file:
        there = cached(row.cache_file)
        yield "weights", str(there or f"{weights_folder() / row.cache_file} (not downloaded yet)")
    state = state_of(row)
    yield "state", state if state == "cached" else f"{state}: {ACCESS[row.access]}"


def _known(kind: str, value: str | None, values: list[str]) -> None:
    if value is not None and value not in values:
        raise unknown_name(kind, value, sorted(set(values)))
