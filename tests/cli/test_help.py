"""Help: the common options first, on one screen; all of them by what they are about."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from cog.cli.evaluate import evaluate, extract
from cog.cli.help import GroupedCommand, GroupedOption, section
from cog.cli.main import main
from tools.site.commands import commands

GROUPS = ["Models", "Images and datasets", "Features", "Where it runs", "Probes", "Output"]


COMMANDS = {name.removeprefix("cog "): command for name, command in commands(main, "cog")}
del COMMANDS["cog"]  # the program itself


def shown(path: str, option: str = "--help", width: int = 80) -> str:
    done = CliRunner().invoke(main, [*path.split(), option], terminal_width=width)
    assert done.exit_code == 0
    return done.stdout


def options_in(text: str) -> list[str]:
    """The options that a help lists, without what follows a comma or a slash."""
    of_options = text.partition("Example:")[2]
    return re.findall(r"^  (?:-h, )?(--[a-z0-9-]+)", of_options, re.MULTILINE)


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("path", COMMANDS)
def test_help_fits_a_screen(path, width):
    lines = shown(path, width=width).splitlines()
    assert len(lines) <= (40 if path == "evaluate" else 45)


@pytest.mark.parametrize(
    "path", [path for path, command in COMMANDS.items() if isinstance(command, GroupedCommand)]
)
def test_help_all_has_every_option_and_help_the_common_ones(path):
    command = COMMANDS[path]
    options = [each for each in command.params if isinstance(each, click.Option)]
    common = {each.opts[0] for each in options if getattr(each, "common", True)}
    assert {*options_in(shown(path))} - {"--help", "--help-all"} == common
    if len(common) == len(options):
        return
    everything = shown(path, "--help-all")
    assert {*options_in(everything)} - {"--help", "--help-all"} == {x.opts[0] for x in options}
    assert f"Show all {len(options)} options" in shown(path)


@pytest.mark.parametrize("command", [evaluate, extract])
def test_all_options_are_listed_by_what_they_are_about(command):
    text = shown(str(command.name), "--help-all")
    wanted = [title for title in GROUPS if command is evaluate or title != "Probes"]
    titles = [line[:-1] for line in text.splitlines() if re.fullmatch(r"[A-Z].*[^ ]:", line)]
    assert titles == [*wanted, "Options"]
    of_data = text.split("Images and datasets:")[1].split("Features:")[0]
    assert "  --in1k ROOT" in of_data
    assert all(isinstance(each, GroupedOption) for each in command.params)


def toy(**settings) -> str:
    """The short help of a command with one option, which is common, and one that is not."""
    option = section("Things")
    command = GroupedCommand(
        "toy", callback=lambda **_: None, help="Play.\n\nExample: toy\n\f\nMuch more."
    )
    command = option("--rare", default=3, help="Seldom. Or never.")(command)
    command = option("--toy/--no-toy", common=True, default=False, help="Play. Or not.")(command)
    return CliRunner().invoke(command, [settings.get("word", "--help")]).stdout


def test_the_short_help_has_first_sentences_and_the_long_one_all():
    short, long = toy(), toy(word="--help-all")
    assert "--toy  Play.\n" in short
    assert "Much more" not in short
    assert "--rare" not in short
    assert "--toy / --no-toy  Play. Or not.\n" in long
    assert "Much more." in long
    assert re.search(r"--rare INTEGER +Seldom\. Or never\. +\[default: 3\]", long)


def test_cog_help_has_every_command_once_by_what_it_is_for():
    text = CliRunner().invoke(main, ["--help"], terminal_width=80).stdout
    listed = re.findall(r"^  ([a-z][a-z-]+)  +[A-Z].*[.?]$", text, re.MULTILINE)
    assert sorted(listed) == sorted(main.commands)
    assert "..." not in text.partition("Start:")[2], "a summary is cut off"


def test_help_all_is_not_taken_for_a_value_of_a_plan():
    assert "help_all" not in {each.name for each in evaluate.params}
