"""Tables for people as Markdown or LaTeX; text is escaped, so that none is taken for markup."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One cell of a sheet, as plain text."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table as people see it; all texts are plain."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...]


def to_markdown(sheets: Sequence[Sheet]) -> str:
    """GitHub's Markdown: a heading, a table and its notes for each sheet."""
    return "\n".join(_markdown(sheet) for sheet in sheets)


def _lines(sheet: Sheet, escape: Callable[[str], str], bold: str) -> list[list[str]]:
    """The head and the rows, escaped; `bold`: what is put around bold text."""
    return [
        [bold.format(escape(entry.text)) if entry.bold else escape(entry.text) for entry in row]
        for row in (tuple(map(Entry, sheet.header)), *sheet.rows)
    ]


def _markdown(sheet: Sheet) -> str:
    head, *body = _lines(sheet, escape_markdown, "**{}**")
    rule = ["---"] + ["---:"] * (len(head) - 1)
    table = "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *body))
    notes = "".join(f"\n{escape_markdown(note)}\n" for note in sheet.notes)
    return f"### {escape_markdown(sheet.title)}\n\n{table}{notes}"


def escape_markdown(text: str) -> str:
    r"""Text that Markdown shows as it is, on one line, also inside a table.

    >>> escape_markdown("a_b|<c> & *d*")
    'a\\_b\\|&lt;c&gt; &amp; \\*d\\*'
    """
    escaped = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", escaped)


def to_latex(sheets: Sequence[Sheet]) -> str:
    """LaTeX: a `table` for each sheet, notes in its caption; needs no package."""
    return "\n".join(_latex(sheet) for sheet in sheets)


def _latex(sheet: Sheet) -> str:
    head, *body = [
        rf"{' & '.join(row)} \\" for row in _lines(sheet, escape_latex, r"\textbf{{{}}}")
    ]
    caption = " ".join(escape_latex(text) for text in (f"{sheet.title}.", *sheet.notes))
    rows = "\n".join([head, r"\hline", *body])
    return rf"""\begin{{table}}
\centering
\begin{{tabular}}{{l{"r" * (len(sheet.header) - 1)}}}
\hline
{rows}
\hline
\end{{tabular}}
\caption{{{caption}}}
\end{{table}}
"""


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "#": r"\#", "%": r"\%",
    "&": r"\&", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "[": "{[}", "]": "{]}",
    "*": "{*}", "±": r"$\pm$", "−": "$-$", "†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$",
}  # fmt: skip
"""[ and * would belong to the end of the line before them"""


def escape_latex(text: str) -> str:
    r"""Text that LaTeX sets as it is, on one line; two like marks do not become another.

    >>> escape_latex("100%_of & a--b")
    '100\\%\\_of \\& a-{}-b'
    """
    escaped = "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))
    return re.sub(r"([-'`])(?=\1)", r"\1{}", escaped)
