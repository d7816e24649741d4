"""What a reader sees of a table in Markdown or LaTeX."""

from __future__ import annotations

import html.parser
import re

from markdown_it import MarkdownIt


class Cells(html.parser.HTMLParser):
    """The texts of an HTML table's cells, row by row, and which of them have bold text."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.bold, self.inside = [], set(), False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        assert tag in ("h3", "table", "thead", "tbody", "tr", "th", "td", "p", "strong"), tag
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "strong":
            self.bold.add((len(self.rows) - 1, len(self.rows[-1]) - 1))
        self.inside = tag in ("td", "th", "strong")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag == "strong"

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


def shown(markdown):
    """The table that a reader of GitHub's Markdown sees."""
    return Cells(MarkdownIt("gfm-like", {"linkify": False}).render(markdown))


def latex_rows(text):
    """The rows of a tabular, as LaTeX would split them, with plain text."""
    body = text.partition("\\hline\n")[2].partition("\\end{tabular}")[0]
    lines = [line for line in body.split("\n") if line not in ("", "\\hline")]
    assert all(line.endswith(" \\\\") for line in lines)
    return [
        [plain_latex(cell.strip()) for cell in re.split(r"(?<!\\)&", line.removesuffix("\\\\"))]
        for line in lines
    ]


MACROS = {
    r"\textbackslash{}": "\\", r"\textasciicircum{}": "^", r"\textasciitilde{}": "~",
    r"\textless{}": "<", r"\textgreater{}": ">", r"\textbar{}": "|", "{[}": "[", "{]}": "]",
    "{*}": "*", r"$\pm$": "±", "$-$": "−", r"$^{\dagger}$": "†", r"$^{\ddagger}$": "‡", "{}": "",
    **{f"\\{letter}": letter for letter in "{}$#%&_"},
}  # fmt: skip


def plain_latex(text):
    """What LaTeX sets, read from the left; fails at a bare special character."""
    text = re.sub(r"^\\textbf\{(.*)\}$", r"\1", text)
    out = ""
    while text:
        macro = next((name for name in MACROS if text.startswith(name)), None)
        assert macro or text[0] not in "\\{}$#%&_^~<>|[]*", text
        out += MACROS[macro] if macro else text[0]
        text = text[len(macro or text[0]) :]
    return out
