"""The command line: `cog`, or `python -m cog`. Commands parse, call one function and print."""

from __future__ import annotations

import os
from typing import Any, NoReturn

import click

from cog.cli.check_data import check_data
from cog.cli.cite import cite
from cog.cli.compare import compare
from cog.cli.demo import demo
from cog.cli.doctor import doctor
from cog.cli.ending import OutputEnded, leave, open_streams, status_after, stdout_error
from cog.cli.evaluate import evaluate, extract
from cog.cli.features import export, probe
from cog.cli.levels import build_levels, levels
from cog.cli.models import models
from cog.cli.protocols import protocols
from cog.cli.report import leaderboard, report
from cog.cli.results import results
from cog.cli.run import run as run_plans
from cog.cli.similarity import similarity
from cog.cli.store import store
from cog.cli.suites import suites
from cog.cli.synsets import synsets
from cog.cli.verify import verify
from cog.cores import cgroup_quota, usable_cores
from cog.errors import CogError
from cog.interruption import watch
from cog.provenance import cog_version

SECTIONS = {
    "Start": (demo, doctor),
    "Evaluate": (check_data, evaluate, run_plans, probe, protocols, suites),
    "Results": (results, report, compare, leaderboard, verify, cite),
    "Models and features": (models, extract, store, export),
    "Levels and concepts": (build_levels, levels, similarity, synsets),
}
"""the commands by what they are about, in the order of the help"""


class _Commands(click.Group):
    """The commands; the end of who reads our output is told apart from that of a connection."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by what they are about."""
        width = max(map(len, self.commands))
        for title, commands in SECTIONS.items():
            rows = [(str(each.name), each.get_short_help_str(100)) for each in commands]
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), about) for name, about in rows])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was typed."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            if isinstance(stdout_error(), BrokenPipeError):
                raise OutputEnded from error
            raise CogError(
                f"a connection ended: {error}", "run the same command to go on"
            ) from error


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(cog_version(), prog_name="cog")
def main() -> None:
    """How far does what a visual representation learned carry to concepts it has never seen?

    \b
    Example:
        cog demo
        cog evaluate --model dino --images /data/imagenet21k --in1k /data/imagenet
    """


for command in (each for commands in SECTIONS.values() for each in commands):
    main.add_command(command)


def run() -> NoReturn:
    """Run the command line and exit; `cog.cli.ending` has the exit statuses."""
    # While OpenMP's threads wait they would spin, and on a shared machine take the cores that they
    # wait for: a fit was 65 times slower. Torch reads this when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if cgroup_quota() is not None:  # OpenMP knows nothing of it
        os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    watch()
    open_streams()
    try:
        result = main(standalone_mode=False)
        status = result if isinstance(result, int) else 0
        if broken := stdout_error():
            raise broken
    except SystemExit:
        raise
    except BaseException as error:
        leave(status_after(error))  # in here: nothing that the error holds is given back before
    leave(status)
