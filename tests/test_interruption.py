"""Signals end the program in words and with their own status, from its first moment on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from cog.interruption import WORDS, handlers_kept
from tests.support.running import heeding

# The program, to which a signal comes when it is about to import a module.
SIGNALLED = """
import importlib.abc, os, sys
module, number, *words = sys.argv[1:]

class Signalling(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == module:
            os.kill(os.getpid(), int(number))

sys.meta_path.insert(0, Signalling())
from cog.__main__ import start
sys.argv = ["cog", *words]
start()
"""
PROBE = ["probe", "--train", "a.npz", "--test", "a.npz"]


def signalled(module: str, number: int, *words: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SIGNALLED, module, str(int(number)), *words]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.mark.parametrize("name", WORDS)
def test_a_signal_during_the_first_imports_is_words_and_a_status(name):
    number = signal.Signals[name]
    done = signalled("click", number, "levels", "show", "L1", preexec_fn=heeding)
    assert (done.returncode, done.stdout) == (128 + number, "")
    assert done.stderr == f"\n{WORDS[name]}: run the same command again\n"


@pytest.mark.parametrize("module", ["cog.cli.main", "cog.cli.options", "rich.console", "torch"])
def test_a_signal_during_any_import_is_words_and_a_status(module, tmp_path):
    words = PROBE if module != "cog.cli.main" else ["--help"]
    done = signalled(module, signal.SIGINT, *words, cwd=tmp_path, preexec_fn=heeding)
    assert (done.returncode, done.stderr) == (130, "\ninterrupted: run the same command again\n")


def test_a_signal_that_is_ignored_stays_ignored():
    done = signalled(
        "click", signal.SIGHUP, "levels", "compare", "official", "official",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_in_a_run_a_signal_is_an_exception_also_in_an_import(tmp_path):
    (tmp_path / "signals.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n"
    )
    code = """
from cog.interruption import in_order, watch
watch()
try:
    with in_order():
        import signals
except KeyboardInterrupt:
    print("caught", flush=True)
import signals
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    # outside, and for the second time: SIGTERM ends a process at once
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "caught\n")


def test_what_a_library_does_to_the_handlers_is_undone():
    before = signal.getsignal(signal.SIGTERM)
    with handlers_kept():
        signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
    assert signal.getsignal(signal.SIGTERM) is before
