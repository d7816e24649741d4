"""The table of models, from zoo.csv."""

from __future__ import annotations

from cog.models.zoo import read_zoo


def model_table() -> str:
    """The models of zoo.csv as a table of Markdown, those of the benchmark first."""
    rows = sorted(read_zoo().values(), key=lambda row: not row.benchmark)
    lines = [
        f"{len(rows)} models, the {sum(row.benchmark for row in rows)} of the benchmark first.\n",
        "| name | family | year | M | dim | feature | input | licence | seen data | weights |",
        "|---|---|--:|--:|--:|---|--:|---|---|---|",
    ]
    for row in rows:
        names = " ".join(f"`{name}`" for name in (row.name, *row.aliases))
        size = f"{row.parameters / 1e6:.1f}"
        side = row.crop or row.resize
        side = side[0] if isinstance(side, tuple) else side
        cells = (
            names, row.family, row.year, size, row.dim, row.feature, side, row.licence,
            row.seen_data, row.access,
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"
