"""The blocks of code of the documents: found, parsed against the real command line, and run.

A block of commands (```console) or Python has a mark, an HTML comment before it:
- `<!-- run -->`: the commands run, in a temporary folder, and print what the block shows, where …
  stands for any text; `<!-- run: status 2 -->` where they end so. Blocks of Python run without it.
- `<!-- run long -->`: the same, and takes more than seconds: the page runs among the long tests.
- `<!-- file NAME -->`: the block, of whatever language, is written to the folder under this name.
- `<!-- needs WHAT -->`: commands that need what cannot be had here are parsed. Python runs always.

What runs of a page runs in order: one folder, and one namespace for Python.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cog.cli.main import main
from tests.support.runs import HANGS_SECONDS, call_cog

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>(?:run|file|needs)\b[^\n]*?) -->\n(?: *\n)?)?"
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>\w*)[^\n]*\n"
    r"(?P<text>.*?)^(?P=indent)(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
_NAME = re.compile(r"[A-Za-z_]\w*=")  # of a variable that is set for one command


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def runs(self) -> bool:
        """Whether a test runs it."""
        return self.mark.startswith("run") or (self.language == "python" and not self.mark)

    @property
    def status(self) -> int:
        """The exit status of its commands."""
        return int(self.mark.partition("status ")[2] or 0)


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start("fence")) + 1,
            found["language"],
            re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            found["mark"] or "",
        )
        for found in _BLOCK.finditer(text)
    ]


def prompts(text: str) -> list[tuple[str, str]]:
    """(what is typed behind each $, what is shown below it) of a block of commands."""
    parts = re.split(r"^\$ ((?:.*\\\n)*.*)\n?", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def typed_commands(line: str) -> list[list[str]]:
    """The commands of a line of a shell, each as its words: those between |, &&, ; and so on."""
    lexer = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("|&;()<>"):
            commands.append([])
        elif commands[-1] or not _NAME.match(word):
            commands[-1].append(word)
    commands = [words[2:] if words[:2] == ["python", "-m"] else words for words in commands]
    return [words for words in commands if words]


def parse(words: list[str]) -> None:
    """Parse a command of cog as the program does; click's error where it would be refused."""
    command: click.Command = main
    words = words[1:]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        if name not in command.commands:
            raise click.UsageError(f"no command {name}")
        command = command.commands[name]
    with redirect_stdout(io.StringIO()), suppress(click.exceptions.Exit):  # --help ends there
        command.make_context("cog", words)


def run_page(page: Path, folder: Path) -> None:
    """Run what a page's marks say, in `folder`, which finds the repository's examples/ in it."""
    (folder / "examples").symlink_to(ROOT / "examples")
    before = set(sys.modules)
    try:
        _run_blocks(page, folder)
    finally:  # another page, or test, may have a module of the same name
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]


def _run_blocks(page: Path, folder: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.mark.startswith("file "):
            (folder / block.mark.removeprefix("file ")).write_text(block.text, encoding="utf-8")
        elif block.runs and block.language == "python":
            exec(compile("\n" * block.line + block.text, str(page), "exec"), namespace)
        elif block.runs:
            for line, shown in prompts(block.text):
                _run(block, line, shown, folder)


def _run(block: Block, line: str, shown: str, folder: Path) -> None:
    """Run one line, and compare what it prints with what is shown, if anything is."""
    commands = typed_commands(line)
    alone = len(commands) == 1 and commands[0][0] == "cog" and ">" not in line
    if alone:
        done = call_cog(*map(os.path.expandvars, commands[0][1:]), cwd=folder)
    else:
        done = _run_in_shell(line, folder)
    said = f"{block}: $ {line}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == block.status, said
    if shown.strip():
        out, err = done.stdout, re.sub("`python -m [a-z.]*cog ", "`cog ", done.stderr)
        assert any(is_shown(shown, text) for text in (out, err, err + out, out + err)), said


def _run_in_shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line with bash; `cog` and `python` are those of the tests."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COG_HOME": str(folder / "cog-home")}
    python = shlex.quote(sys.executable)
    script = f'python() {{ {python} "$@"; }}\ncog() {{ {python} -m cog "$@"; }}\n{line}'
    return subprocess.run(
        ["bash", "-ec", script], cwd=folder, capture_output=True, text=True, env=environment,
        timeout=HANGS_SECONDS,
    )  # fmt: skip


def is_shown(shown: str, printed: str) -> bool:
    """Whether a text is what a block shows; … stands for any text, on a line of its own for lines.

    >>> is_shown("a …\\nd", "a b c\\nd\\n"), is_shown("a\\n…\\nd", "a\\nd"), is_shown("a", "a\\nb")
    (True, True, False)
    """
    shown, printed = (
        "".join(f"{line.rstrip()}\n" for line in text.strip("\n").splitlines())
        for text in (shown, printed)
    )
    pattern = "".join(
        "(?:.*\n)*" if line == "…\n" else re.escape(line).replace("…", ".*")
        for line in shown.splitlines(keepends=True)
    )
    return re.fullmatch(pattern, printed) is not None


def unknown_names(code: str) -> Iterator[str]:
    """What a text of Python takes from `cog`, or gives to its functions, that is not there."""
    import cog

    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "cog":
            module = _imported(node.module or "")
            yield from (
                f"{node.module}.{alias.name}"
                for alias in node.names
                if module and not hasattr(module, alias.name)
            )
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "cog":
            yield from {f"cog.{node.attr}"} - {f"cog.{name}" for name in dir(cog)}
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("cog."):
            name = ast.unparse(node.func).removeprefix("cog.")
            known = inspect.signature(getattr(cog, name)).parameters if name in cog.__all__ else ()
            yield from (
                f"cog.{name}({keyword.arg}=)"
                for keyword in node.keywords
                if known and keyword.arg and keyword.arg not in known
            )


def _imported(name: str) -> Any:
    """A module of cog; None where a library that it is for is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "cog":
            raise
        return None
