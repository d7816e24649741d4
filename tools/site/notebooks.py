"""A notebook as a page: its text, its code, and what it printed and drew when it was kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any


def notebook_page(text: str) -> str:
    """The Markdown of a notebook in Jupyter's format, version 4."""
    return "\n\n".join(part for cell in json.loads(text)["cells"] for part in _parts(cell)) + "\n"


def _parts(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    yield source if cell["cell_type"] == "markdown" else _block("python", source)
    yield from map(_output, cell.get("outputs", ()))


def _output(output: dict[str, Any]) -> str:
    data = {kind: "".join(content) for kind, content in output.get("data", {}).items()}
    if "image/png" in data:
        return f"![what the code above draws](data:image/png;base64,{data['image/png'].strip()})"
    if "text/html" in data:  # a table of pandas, without looks of its own
        own = r'<style.*?</style>|\n\s*| border="1" class="dataframe"'
        return re.sub(own, "", data["text/html"], flags=re.DOTALL)
    return _block("text", data.get("text/plain") or "".join(output.get("text", ())))


def _block(language: str, text: str) -> str:
    return f"````{language}\n{text.rstrip()}\n````"
