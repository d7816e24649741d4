"""`cog run`: evaluations that files plan."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import click

from cog.cli.evaluate import evaluate
from cog.cli.help import GroupedCommand
from cog.cli.options import without_defaults_of_protocols
from cog.cli.plan_file import (
    SEE,
    TYPED,
    Values,
    given_values,
    keys_of,
    plan_text,
    read_plan,
    words_of,
)
from cog.errors import CogError


def _options() -> list[click.Parameter]:
    """The options of `cog evaluate`; a plan may have the one that it requires."""
    options = [copy.copy(each) for each in evaluate.params]
    for each in options:
        each.required = False
    return options


@click.command(cls=GroupedCommand, params=_options(), short_help="Do evaluations that files plan.")
@click.argument("plans", nargs=-1, type=click.Path(path_type=Path), metavar="[PLAN.toml]...")
@click.option("--print/--no-print", "shown", default=False,
              help="Print the plan that this command amounts to, and stop.")  # fmt: skip
def run(plans: tuple[Path, ...], shown: bool, **options: Any) -> None:
    """Do what plans say: TOML files whose keys are the options of `cog evaluate`.

    \b
    Example:
        cog run paper.toml
        cog run paper.toml --device cuda:1 --dry-run
        cog run --print --model dino --suite cog --data /data > paper.toml
    \f
    What is typed takes the place of what a plan says. Paths in a plan are relative to its folder.
    All plans are read before the first begins; they may share one `out`.
    """
    typed = given_values(click.get_current_context(), evaluate)
    if shown and len(plans) < 2:
        if typed_only := [f"--{name.replace('_', '-')}" for name in TYPED if options[name]]:
            raise CogError(
                f"{typed_only[0]} is no part of a plan", "leave it out, or leave out --print"
            )
        values = _with_plan(typed, plans[0]) if plans else typed
        _context_of(values, *plans)
        elsewhere = [str(plan.parent) for plan in plans if not _is_here(plan)]
        click.echo(plan_text(values, evaluate, *elsewhere), nl=False)
        return
    if shown or not plans:
        raise CogError(
            f"expected {'one plan' if shown else 'a plan'}, found {len(plans) or 'none'}",
            "give a TOML file; `cog run --print` with the options of `cog evaluate` makes one",
        )
    read = [_context_of(_with_plan(typed, plan), plan) for plan in plans]
    for plan, one in zip(plans, read, strict=True):
        one.params |= {name: options[name] for name in TYPED}
        if not _is_here(plan):
            one.params["out"] = _in_folder(one.params["out"], plan.resolve().parent)
    _refuse_two_protocols(plans, read)
    for plan, one in zip(plans, read, strict=True):
        try:
            with chdir(plan.resolve().parent), one:
                evaluate.invoke(one)
        except CogError as error:
            raise CogError(f"{plan}: {error.what}", error.hint) from error


def _is_here(plan: Path) -> bool:
    """Whether a plan lies in the current folder, so that its paths are what they are here."""
    return plan.resolve().parent == Path.cwd()


def _with_plan(typed: Values, plan: Path) -> Values:
    """The values of a plan, or those that were typed; paths typed elsewhere are made absolute.

    Raises:
        CogError: a text that was typed has a path somewhere within, relative to another folder.
    """
    values = read_plan(plan, evaluate)
    here, keys = Path.cwd(), keys_of(evaluate)
    if _is_here(plan):
        return values | typed
    for key, value in typed.items():
        if isinstance(keys[key].type, click.Path) or key == "out":
            values[key] = _in_folder(value, here)
            continue
        for text in value if isinstance(value, list) else []:
            _refuse_path_from_here(key, text, names="=" not in str(keys[key].metavar))
        values[key] = value
    return values


def _refuse_path_from_here(key: str, text: str, names: bool) -> None:
    """Refuse a text with the path of a file that lies here; where it may name something else, only
    one that looks like a path.
    """
    for part in re.split("[=:@]", text):
        if names and not {"/", "."} & set(part):
            continue
        if part and not Path(part).is_absolute() and Path(part).exists():
            raise CogError(
                f"--{key} {text}: {part} lies here, and the plan in another folder",
                f"give --{key} {text.replace(part, str(Path.cwd() / part))}",
            )


def _in_folder(path: str, folder: Path) -> str:
    """A path as it is from a folder; a URL as it is."""
    return path if "://" in path else str(folder / Path(path).expanduser())


def _context_of(values: Values, plan: Path | None = None) -> click.Context:
    """The command of a plan, whose values are read as those of options are.

    Raises:
        CogError: a value that its option does not take, or a name that nothing has.
    """
    from cog.evaluation.settings import read_settings

    try:
        found = evaluate.make_context("evaluate", words_of(values, evaluate))
        with found:
            read_settings(without_defaults_of_protocols(found.params))
        _refuse_unknown_names(found.params)
    except click.UsageError as error:
        if plan is None:
            raise click.UsageError(error.format_message(), click.get_current_context()) from error
        raise CogError(f"{plan}: {error.format_message()}", SEE) from error
    except CogError as error:
        raise CogError(f"{plan}: {error.what}" if plan else error.what, error.hint) from error
    return found


def _refuse_two_protocols(plans: Sequence[Path], read: Sequence[click.Context]) -> None:
    """Refuse plans of several protocols with one `out`: the second would be refused at its turn."""
    first: dict[str, tuple[Path, str]] = {}
    for plan, one in zip(plans, read, strict=True):
        out, protocol = one.params["out"], one.params["protocol"]
        key = out.rstrip("/") if "://" in out else str(Path(out).resolve())
        other, known = first.setdefault(key, (plan, protocol))
        if protocol != known:
            raise CogError(
                f"{other} has the protocol {known} and {plan} {protocol}, with one out, {out}: "
                "results of different protocols never share a table",
                "give one of the plans another out",
            )


def _refuse_unknown_names(options: dict[str, Any]) -> None:
    """Refuse a model, suite or tracker that nobody knows: several plans take hours before it."""
    from cog.datasets.suites.suite import read_suite
    from cog.evaluation.options import read_list
    from cog.models.sources.table import find_form
    from cog.models.zoo import find_row
    from cog.results.trackers.table import require_known

    for name in options["model"]:
        if find_form(name)[0] is None:
            find_row(name)
    for name in options["suites"]:
        if not name.endswith(".toml"):
            read_suite(name)
    for name in read_list("log", options["log"]) if options["log"] else ():
        require_known(name)
