"""Files of the repository to which the documentation leads, as pages of its site."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from tools.site.notebooks import notebook_page

ROOT = Path(__file__).resolve().parents[2]
FIGURES = {".svg", ".png", ".jpg", ".gif"}
TEXTS = {".md", ".ipynb"}
LANGUAGES = {".py": "python", ".toml": "toml", ".sh": "bash", ".csv": "text", ".cff": "yaml"}
ALSO = ("CONTRIBUTING.md",)  # a part of docs/contributing.md

# A link in Markdown that is no URL and no anchor of the same page: path and anchor.
_CODE = re.compile(r"^( *`{3,}).*?^\1 *$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()(?![a-z]+:|#|/)([^)\s#]+)(#[^)\s]*)?(?=[)\s])")


def links(markdown: str, folder: str) -> list[str]:
    """Where a text's links lead, as paths from the repository's root; the text lies in `folder`."""
    found = _LINK.finditer(_CODE.sub("", markdown))
    return [normpath(f"{folder}/{each[2]}".lstrip("/")) for each in found]


def linked_files() -> list[str]:
    """The files outside docs/ to which pages lead, and those to which these lead, by path."""
    waiting = [*sorted(ROOT.glob("docs/*.md")), *(ROOT / name for name in ALSO)]
    found: set[str] = set()
    for page in waiting:  # which grows
        folder = page.parent.relative_to(ROOT).as_posix()
        for path in links(_text(page), "" if folder == "." else folder):
            if path.startswith("docs/") or path in found:
                continue
            found.add(path)
            if PurePosixPath(path).suffix in TEXTS:
                waiting.append(ROOT / path)
    return sorted(found)


def page_of(path: str) -> tuple[str, str | bytes]:
    """(what a file is called below docs/, what is there): Markdown, or the bytes of a figure."""
    file, name = ROOT / path, on_site(path)
    if file.suffix in FIGURES:
        return name, file.read_bytes()
    text = _text(file)
    if file.suffix in TEXTS:
        folder = PurePosixPath(path).parent.as_posix()
        return name, turned(text, "" if folder == "." else folder, f"docs/repository/{folder}")
    return name, f"# {path}\n\n````{LANGUAGES.get(file.suffix, 'text')}\n{text.rstrip()}\n````\n"


def on_site(path: str) -> str:
    """The name below docs/ of a file of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    keep = PurePosixPath(path).suffix in FIGURES | {".md"}
    return f"repository/{path}" if keep else f"repository/{path}.md"


def turned(markdown: str, folder: str, at: str) -> str:
    """A text of `folder` in the repository, with links as from the folder `at` of the site."""

    def link(found: re.Match[str]) -> str:
        target = normpath(f"{folder}/{found[2]}".lstrip("/"))
        return f"{found[1]}{relpath(f'docs/{on_site(target)}', normpath(at))}{found[3] or ''}"

    parts, end = [], 0
    for code in _CODE.finditer(markdown):
        parts += [_LINK.sub(link, markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _LINK.sub(link, markdown[end:])])


def _text(file: Path) -> str:
    text = file.read_text(encoding="utf-8")
    return notebook_page(text) if file.suffix == ".ipynb" else text
