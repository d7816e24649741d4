"""Help by group: each option says its group, and whether the short help of `--help` has it.

`option.section` and `option.common` of a command's `params` are all that there is to know: the help
here, and the command reference of the documentation, are made from them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import click

Decorator = Callable[[Any], Any]
Record = tuple[str, str]
"""an option as it is typed, and what the help says of it"""

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
        super().format_help_text(ctx, formatter)
        _, _, rest = (self.help or "").partition("\f")
        if rest and ctx.meta.get(_ALL, False):
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(inspect.cleandoc(rest))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each title with its own."""
        for title, records in self._by_section(ctx).items():
            with formatter.section(title):
                formatter.write_dl(records)

    def _by_section(self, ctx: click.Context) -> Mapping[str, list[Record]]:
        """What the help shows of the options, by title."""
        sections: dict[str, list[Record]] = {}
        everything = ctx.meta.get(_ALL, False)
        for each in self.get_params(ctx):
            if not isinstance(each, click.Option) or not (everything or _is_common(each)):
                continue
            if record := each.get_help_record(ctx):
                names, said = record
                if not everything:
                    names, said = names.partition(" / ")[0], first_sentence(said)
                sections.setdefault(getattr(each, "section", "Options"), []).append((names, said))
        return dict(sorted(sections.items(), key=lambda item: item[0] == "Options"))


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
