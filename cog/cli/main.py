"""The command line: `cog`, or `python -m cog`. Commands parse, call one function and print."""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import NoReturn

import click

from cog.cli.check_data import check_data
from cog.cli.compare import compare
from cog.cli.demo import demo
from cog.cli.evaluate import evaluate, extract
from cog.cli.features import export, probe
from cog.cli.levels import build_levels, levels
from cog.cli.models import models
from cog.cli.report import report
from cog.cli.results import results
from cog.cli.similarity import similarity
from cog.cli.store import store
from cog.cli.verify import verify
from cog.errors import CogError
from cog.provenance import cog_version


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(cog_version(), prog_name="cog")
def main() -> None:
    """How far does what a visual representation learned carry to concepts it has never seen?

    \b
    Example:
        cog demo
        cog evaluate --model dino --images /data/imagenet21k --in1k /data/imagenet
    """


for command in (
    demo, build_levels, levels, similarity, check_data, evaluate, extract, probe, export, store,
    models, results, report, compare, verify,
):  # fmt: skip
    main.add_command(command)


def run() -> NoReturn:
    """Run the command line and exit.

    Exit status: 0 done, 1 ran but something is wrong, 2 cannot start, 130 interrupted (Ctrl-C),
    143 terminated (SIGTERM).
    """
    # While OpenMP's threads wait they would spin, and on a shared machine take the cores that they
    # wait for: a fit was 65 times slower. Torch reads this when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    terminated = _stop_on_sigterm()
    try:
        status = main(standalone_mode=False)
    except CogError as error:
        _fail(error.what, error.hint)
    except click.exceptions.Abort as abort:
        text = str(abort.__cause__ or "") or "run the same command again"
        print(f"\n{'terminated' if terminated else 'interrupted'}: {text}", file=sys.stderr)
        sys.exit(143 if terminated else 130)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "cog"
        _fail(error.format_message(), f"see `{where} --help`")
    except click.ClickException as error:
        _fail(error.format_message(), "see `cog --help`")
    except BrokenPipeError:  # the reader of our output has ended, as `head` does
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        _fail(
            f"{error.strerror or error}: {error.filename or 'a file'}",
            _OS_HINTS.get(error.errno or 0, "check that file or folder"),
        )
    sys.exit(status if isinstance(status, int) else 0)


_OS_HINTS = {
    errno.ENOSPC: "free some space, or give --out on another disk; finished work is kept",
    errno.EACCES: "give --out a folder that you may write to",
    errno.EROFS: "give --out a folder that can be written to",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a file is where a folder should be: give another --out",
}


def _stop_on_sigterm() -> list[int]:
    """Let SIGTERM end work as Ctrl-C does; gives a list that is empty until it comes."""
    came: list[int] = []

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
        came.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    return came


def _fail(what: str, hint: str) -> NoReturn:
    """Print two lines on stderr, and exit with status 2."""
    print(f"error: {' '.join(what.split())}\n hint: {' '.join(hint.split())}", file=sys.stderr)
    sys.exit(2)
