"""Write the map of docs/architecture.md: every file of cog/ with the first line of its docstring.

python tools/make_file_map.py
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "architecture.md"
START, END = "<!-- files: made by tools/make_file_map.py -->\n", "<!-- end of files -->\n"


def file_map() -> str:
    """A table a package, in the order in which data goes through them."""
    order = ["", "wordnet", "images", "levels", "datasets", "models", "features", "probes",
             "sklearn", "results", "evaluation", "report", "monitor", "demo", "cli"]  # fmt: skip
    package = ROOT / "cog"
    files = sorted(package.rglob("*.py"))
    tables = []
    for name in order:
        own = [path for path in files if path.relative_to(package).parts[0] == name]
        if not name:
            own = [path for path in files if path.parent == package]
        tables.append(f"### cog/{name}\n\n| file | what it is |\n|---|---|\n")
        tables += [_row(path, package / name) for path in own if path.name != "__init__.py"]
        tables.append("\n")
    return "".join(tables)


def _row(path: Path, folder: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    what = docstring.partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
    return f"| `{path.relative_to(folder)}` | {what} |\n"


def main() -> None:
    """Replace the map in the document."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(before + START + file_map() + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
