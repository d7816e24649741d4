"""The table of columns in docs/report.md has every column of results.csv, with its unit."""

from __future__ import annotations

from pathlib import Path

from cog.results.columns import columns
from cog.results.kinds import FLAG, PERCENT

PAGE = Path(__file__).parent.parent.parent / "docs" / "report.md"
NUMBERS = {
    "%", "images", "classes", "bytes", "numbers", "trials", "images a class", "number",
    "seconds", "0 to 1", "edges", "rate", "per image",
}  # fmt: skip


def test_the_page_has_the_columns_of_the_code():
    table = PAGE.read_text(encoding="utf-8").split("<!-- columns -->\n")[1]
    lines = table.split("<!-- end of columns -->")[0].splitlines()[2:]
    rows = [[field.strip() for field in line.strip("|").split("|")] for line in lines]
    assert [name for name, *_ in rows] == [
        f"**{column.name}**" if column.needed else column.name for column in columns()
    ]
    for (name, unit, meaning, equal_in), column in zip(rows, columns(), strict=True):
        assert len(meaning) > 5, name
        assert equal_in == column.same_in, name
        assert (unit == "%") == (column.kind is PERCENT), name
        assert (unit == "True or False") == (column.kind is FLAG), name
        assert (unit in NUMBERS) == (column.kind.numeric or name == "**shots**" or name == "views")
