"""What MkDocs does beside its own work: made pages, and links to files of the repository.

- A line `<!-- made at the build: NAME -->` of a page is replaced by what `MADE` has under NAME.
- Pages link to files outside docs/ as they lie in a checkout (`../examples/monitor.py`). Each such
  file becomes a page below repository/, and the link leads there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # MkDocs loads this file by its path, wherever it runs

from tools.site.commands import command_reference  # noqa: E402
from tools.site.linked_files import linked_files, page_of, turned  # noqa: E402
from tools.site.models import model_table  # noqa: E402

MADE: dict[str, Callable[[], str]] = {
    "table of models": model_table,
    "commands": command_reference,
    "CONTRIBUTING.md": lambda: turned(
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("\n")[2], "", "docs"
    ),
}
_MADE = re.compile(r"^<!-- made at the build: (.+) -->$", re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Add a page for every file of the repository to which a page leads."""
    for path in linked_files():
        name, content = page_of(path)
        files.append(
            File.generated(config, name, content=content, inclusion=InclusionLevel.NOT_IN_NAV)
        )
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A page's text with what is made at the build, and with links that are right on the site."""
    markdown = _MADE.sub(lambda found: MADE[found[1]](), markdown)
    name = page.file.src_uri
    if name.startswith("repository/"):
        return markdown
    return turned(markdown, "docs", "docs")
