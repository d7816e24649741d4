"""Help by group: each option says its group, and whether the short help of `--help` has it.

`section` and `common` of an option are declared where the option is; the help here and the command
reference of the documentation are made from them, by `by_section` and `whole_text`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click

Decorator = Callable[[Any], Any]
REST = "Options"  # the title of options that have none
_ALL = "cog.help_all"


class GroupedOption(click.Option):
    """An option that the help shows under a title."""

    def __init__(self, *names: Any, section: str, common: bool = False, **settings: Any) -> None:
        """`section`: the title; `common`: the short help has it; all else is `click.Option`'s."""
        super().__init__(*names, **settings)
        self.section = section
        self.common = common

    def get_help_extra(self, ctx: click.Context) -> Any:
        """What brackets say, without what the option says itself: N counts, --x is off."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        if self.default is False:
            extra.pop("default", None)
        return extra


def section(title: str) -> Callable[..., Decorator]:
    """`click.option` for options under a title; `common=True` puts one into the short help."""

    def option(*names: str, **settings: Any) -> Decorator:
        return click.option(
            *names, cls=GroupedOption, section=title, **{"show_default": True, **settings}
        )

    return option


class GroupedCommand(click.Command):
    """A command whose help shows its options by title; those without one come last.

    `--help` shows the options that are common, each with the first sentence of its help, and
    `--help-all` all of them with all of it. Where all are common there is no `--help-all`. What
    stands after a form feed in the text of a command is for `--help-all` too.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The options, with `--help-all` where some are not common."""
        params = super().get_params(ctx)
        count = sum(isinstance(each, click.Option) for each in self.params)
        if all(_is_common(each) for each in self.params):
            return params
        return [*params, _help_all(count)]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the command does; of a long text only what stands before the form feed."""
        if not ctx.meta.get(_ALL, False):
            super().format_help_text(ctx, formatter)
            return
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(whole_text(self))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each title with its own."""
        everything = ctx.meta.get(_ALL, False)
        for title, options in by_section(self.get_params(ctx)).items():
            shown = [each for each in options if everything or _is_common(each)]
            records = [record for each in shown if (record := each.get_help_record(ctx))]
            if not everything:
                records = [
                    (names.partition(" / ")[0], first_sentence(said)) for names, said in records
                ]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def by_section(parameters: Iterable[click.Parameter]) -> Mapping[str, list[click.Option]]:
    """The options among parameters of a command, common or not, by title; those without one last.

    >>> from cog.cli.evaluate import evaluate
    >>> list(by_section(evaluate.params))
    ['Models', 'Images and datasets', 'Features', 'Where it runs', 'Probes', 'Output']
    """
    sections: dict[str, list[click.Option]] = {}
    for each in parameters:
        if isinstance(each, click.Option):
            sections.setdefault(getattr(each, "section", REST), []).append(each)
    return dict(sorted(sections.items(), key=lambda item: item[0] == REST))


def whole_text(command: click.Command) -> str:
    """What a command's help says of it, with what only `--help-all` shows."""
    parts = (command.help or "").split("\f")
    return "\n\n".join(inspect.cleandoc(part) for part in parts)


def _is_common(parameter: click.Parameter) -> bool:
    return getattr(parameter, "common", True)


def _help_all(count: int) -> click.Option:
    """The option that shows all options."""

    def show(context: click.Context, option: click.Parameter, value: bool) -> None:
        if value and not context.resilient_parsing:
            context.meta[_ALL] = True
            click.echo(context.get_help(), color=context.color)
            context.exit()

    return click.Option(
        ["--help-all"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help=f"Show all {count} options, and more of each, and exit.",
    )


def first_sentence(text: str) -> str:
    """The first sentence of an option's help, and its default.

    >>> first_sentence("Seeds of the probes, with commas. May be given again.  [default: 22]")
    'Seeds of the probes, with commas.  [default: 22]'
    """
    said, bracket, rest = text.partition("  [")
    return f"{said.partition('. ')[0].rstrip('.')}.{bracket}{rest}" if said else text
