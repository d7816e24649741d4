"""The reference of commands, from click: every command, every option, grouped as the help is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from cog.cli.help import by_section, whole_text
from cog.cli.main import SECTIONS, main


def command_reference() -> str:
    """Every command as Markdown: how it is called, what it does, and its options by section."""
    parts = ["## cog\n", *_described("cog", main)]
    for title, group in SECTIONS.items():
        parts.append(f"## {title}\n")
        for top in group:
            for name, command in commands(top, f"cog {top.name}"):
                parts += [f"### {name}\n", *_described(name, command)]
    return "\n".join(parts)


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """A command and those below it, each with the words by which it is called."""
    yield name, command
    if isinstance(command, click.Group):
        for word, below in command.commands.items():
            yield from commands(below, f"{name} {word}")


def _described(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    yield f"```text\n{' '.join([name, *command.collect_usage_pieces(context)])}\n```\n"
    yield from map(_paragraph, whole_text(command).split("\n\n"))
    for title, options in by_section(command.get_params(context)).items():
        records = (option.get_help_record(context) for option in options)
        rows = [f"| {_code(names)} | {_cell(about)} |" for names, about in filter(None, records)]
        if rows:
            yield "\n".join([f"| {title} | what it does |\n|---|---|", *rows, ""])


def _paragraph(text: str) -> str:
    """A paragraph of a help text as Markdown; one that keeps its lines, by click's \\b, too."""
    if text.startswith("\b"):
        return f"```text\n{text[1:].strip(chr(10))}\n```\n"
    return f"{_plain(text)}\n"


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def _cell(text: str) -> str:
    return _plain(" ".join(text.split())).replace("|", "\\|")


def _plain(text: str) -> str:
    """Text in which Markdown finds nothing but what stands in backquotes."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else _escaped(part) for part in parts)


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\*_\[\]#])", r"\\\1", text)
