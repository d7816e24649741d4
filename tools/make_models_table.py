"""Write README.md's table of models anew from zoo.csv.

python tools/make_models_table.py
"""

from __future__ import annotations

from pathlib import Path

from cog.models.zoo import read_zoo

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- models: made by tools/make_models_table.py -->\n", "<!-- end of models -->\n"


def markdown_table() -> str:
    """The models of zoo.csv, those of the benchmark first."""
    lines = [
        "| name | family | year | M | dim | feature | input | licence | seen data | weights |",
        "|---|---|--:|--:|--:|---|--:|---|---|---|",
    ]
    for row in sorted(read_zoo().values(), key=lambda row: not row.benchmark):
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


def main() -> None:
    """Put the table between its two marks."""
    before, _, rest = README.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    README.write_text(before + START + markdown_table() + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
