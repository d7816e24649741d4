"""Write README.md's table of models anew from zoo.csv.

python tools/make_models_table.py
"""

from __future__ import annotations

from pathlib import Path

from cog.models.listing import markdown_table

README = Path(__file__).parent.parent / "README.md"
START, END = "<!-- models: made by tools/make_models_table.py -->\n", "<!-- end of models -->\n"


def main() -> None:
    """Put the table between its two marks."""
    before, _, rest = README.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    README.write_text(before + START + markdown_table() + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
