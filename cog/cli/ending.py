"""How a command ends: its exit status, and two lines where something is wrong.

Exit status: 0 done, 1 ran but something is wrong, 2 cannot start or go on, and 128 + n where signal
n ended it: 130 interrupted (Ctrl-C), 143 terminated (SIGTERM).
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

import click

from cog.errors import CogError, Interrupted
from cog.interruption import AGAIN, signal_that_came, status_of, word_for
from cog.plain_text import for_terminal

_MEMORY = (
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "failed to map segment",
)
_LESS = "give a smaller --batch-size or fewer --workers, or raise the limit (ulimit -v)"
_HINTS = {
    errno.ENOSPC: "free some space, or give --out on another disk; finished work is kept",
    errno.EDQUOT: "free some space, or give --out on another disk; finished work is kept",
    errno.EACCES: "give --out a folder that you may write to",
    errno.EPERM: "give --out a folder that you may write to",
    errno.EROFS: "give --out a folder that can be written to",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a file is where a folder should be: give another --out",
    errno.EMFILE: "allow more open files: ulimit -n 1024",
    errno.ENFILE: "this machine has too many open files: end other programs",
    errno.ENOMEM: _LESS,
}


class OutputEnded(Exception):
    """The reader of our output has ended, as `head` does."""


class _Output(io.TextIOWrapper):
    """Standard output or error: remembers why it could not be written, and obeys no text.

    People read stderr and terminals: control characters of what is printed there are shown. Rich
    writes its own; it looks for `rich_proxied_file`, and the texts that it gets have none.
    """

    broken: OSError | None = None
    for_people: bool = False

    @property
    def rich_proxied_file(self) -> _AsItIs:
        """This stream, for Rich."""
        return _AsItIs(self)

    def write(self, text: str) -> int:
        """Write text; gives how many characters that was."""
        self.write_as_it_is(for_terminal(text) if self.for_people else text)
        return len(text)

    def write_as_it_is(self, text: str) -> int:
        """Write text with its control characters."""
        try:
            return super().write(text)
        except OSError as error:
            self.broken = error
            raise

    def flush(self) -> None:
        """Write what is kept back."""
        try:
            super().flush()
        except OSError as error:
            self.broken = error
            raise


class _AsItIs:
    """A stream that writes control characters too."""

    def __init__(self, output: _Output) -> None:
        self._output = output
        self.write = output.write_as_it_is

    def __getattr__(self, name: str) -> Any:
        return getattr(self._output, name)


def open_streams() -> None:
    """Make stdout and stderr take any text, and put something in the place of closed ones.

    A file that is opened later would else become the new stdout. What is printed to a closed stdout
    is an error; what is printed to a closed stderr goes nowhere.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            raw = io.FileIO(number, "r" if name == "stdin" else "w", closefd=False)
            buffer = io.BufferedReader(raw) if name == "stdin" else io.BufferedWriter(raw)
            setattr(sys, name, io.TextIOWrapper(buffer, encoding="utf-8"))
    for stream in dict.fromkeys((sys.stdout, sys.stderr)):  # which may be one object
        if type(stream) is io.TextIOWrapper:  # a test may have put something else there
            names = [name for name in ("stdout", "stderr") if getattr(sys, name) is stream]
            lines, encoding, people = stream.line_buffering, stream.encoding, stream.isatty()
            output = _Output(stream.detach(), encoding, "backslashreplace", line_buffering=lines)
            output.for_people = people or "stdout" not in names
            for name in names:
                setattr(sys, name, output)


def status_after(error: BaseException) -> int:
    """Say what ended a command; gives its exit status. Errors of this program are raised again."""
    if isinstance(error, OutputEnded | BrokenPipeError):  # another pipe's is a CogError by now
        return 0
    came = signal_that_came()
    if came is not None or isinstance(error, KeyboardInterrupt | click.exceptions.Abort):
        number = signal.SIGINT if came is None else came
        cause = error.__cause__
        _say(f"\n{word_for(number)}: {cause if isinstance(cause, Interrupted) else AGAIN}")
        return status_of(number)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return 2
    lines = _two_lines(error)
    if lines is None:
        raise error
    what, hint = (" ".join(text.split()) for text in lines)
    _say(f"error: {what}\n hint: {hint}")
    return 2


def _two_lines(error: BaseException) -> tuple[str, str] | None:
    """What is wrong and what to type; None for a mistake of this program."""
    if isinstance(error, CogError):
        return error.what, error.hint
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else "cog"
        return error.format_message(), f"see `{where} --help`"
    if isinstance(error, click.ClickException):
        return error.format_message(), "see `cog --help`"
    return _of_the_system(error)


def _of_the_system(error: BaseException) -> tuple[str, str] | None:
    """What the operating system refused: a file, memory, a thread."""
    text = str(error)
    if isinstance(error, MemoryError) or any(words in text.lower() for words in _MEMORY):
        return f"memory is short: {text.partition(chr(10))[0] or 'no more is given'}", _LESS
    if isinstance(error, RuntimeError) and "start new thread" in text:
        return text, "give fewer --workers, or allow more threads: ulimit -u"
    if not isinstance(error, OSError):
        return None
    if broken := stdout_error():
        return (
            f"cannot write to standard output: {broken.strerror or broken}",
            "give it a file with room or a program that reads it; finished work is kept",
        )
    hint = _HINTS.get(error.errno or 0, "check that file or folder")
    return f"{error.strerror or error}: {error.filename or 'a file'}", hint


def stdout_error() -> OSError | None:
    """Why what was printed cannot be written; None if it is."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return sys.stdout.broken if isinstance(sys.stdout, _Output) else None


def leave(status: int) -> NoReturn:
    """Exit; what could not be printed is forgotten, or the interpreter would tell of it again."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, number)
                os.close(nowhere)
                stream.flush()
    if status and _device_is_lost():
        os._exit(status)
    sys.exit(status)


def _device_is_lost() -> bool:
    """Whether a kernel of a network has failed on a GPU, after which it refuses all work.

    torch aborts a process that gives back memory of such a device, which Python does when it exits.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


def _say(text: str) -> None:
    with suppress(OSError):  # no terminal any more
        print(for_terminal(text), file=sys.stderr, flush=True)
