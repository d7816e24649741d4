"""Exit statuses of the program in a process of its own; test_evaluate.py has those of signals."""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys

import pytest

from cog.cli.ending import status_after
from tests.support.result_rows import made_rows, write_runs
from tests.support.runs import call_cog, run_cog


def test_0_after_success(tmp_path):
    done = run_cog("levels", "compare", "official", "official", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "5000 of 5000 concepts agree" in done.stdout


def test_1_where_something_is_wrong(levels_folder, tmp_path):
    done = run_cog("levels", "compare", "official", levels_folder, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")


def test_2_where_a_run_cannot_start(tmp_path):
    done = run_cog("levels", "show", "L9", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert [line[:6] for line in done.stderr.splitlines()] == ["error:", " hint:"]


LEAVES = """
import atexit, sys, types
from cog.cli.ending import leave

def synchronize():
    if {lost}:
        raise RuntimeError("CUDA error: device-side assert triggered")

cuda = types.SimpleNamespace(is_initialized=lambda: True, synchronize=synchronize)
sys.modules["torch"] = types.SimpleNamespace(cuda=cuda)
atexit.register(print, "Python ends")
leave({status})
"""


@pytest.mark.parametrize(("lost", "status", "said"), [
    (False, 2, "Python ends"), (True, 2, ""), (True, 0, "Python ends"),
])  # fmt: skip
def test_nothing_more_happens_after_an_error_that_lost_a_gpu(lost, status, said):
    """torch aborts a process that gives back memory of such a device."""
    program = [sys.executable, "-c", LEAVES.format(lost=lost, status=status)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (status, said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evaluate", "--imagse", "x"], " evaluate --help`"),
        (["evaluate"], "Missing option '--model'"),
        (["no-such-command"], "No such command 'no-such-command'"),
        (["levels"], "levels explain guitar_pick"),
    ],
)
def test_words_that_no_command_takes_are_errors(words, said, tmp_path):
    done = call_cog(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr


SHOW = ["levels", "show", "L1"]


def with_stdout(words, redirection, tmp_path, **more):
    """Run `cog` as a shell does that redirects its output."""
    command = f"{shlex.join([sys.executable, '-m', 'cog', *words])} {redirection}"
    environment = os.environ | {"COG_HOME": str(tmp_path)} | more
    return subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, env=environment
    )


@pytest.mark.parametrize("words", [SHOW, [*SHOW, "--csv"], ["--help"]], ids=" ".join)
@pytest.mark.parametrize(
    ("redirection", "reason"),
    [
        ("> /dev/full", "No space left on device"),
        (">&-", "Bad file descriptor"),
        ("<&- >&-", "Bad file descriptor"),
    ],
)
def test_a_stdout_that_takes_nothing_is_an_error(words, redirection, reason, tmp_path):
    done = with_stdout(words, redirection, tmp_path)
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()
    assert error == f"error: cannot write to standard output: {reason}"
    assert hint.startswith(" hint: ")


@pytest.mark.parametrize("words", [SHOW, [*SHOW, "--csv"]], ids=" ".join)
def test_the_end_of_who_reads_is_no_error(words, tmp_path):
    done = with_stdout(words, "| head -1 > /dev/null; exit ${PIPESTATUS[0]}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("redirection", ["2>&-", "2> /dev/full", "<&- 2>&-"])
def test_a_stderr_that_takes_nothing_changes_nothing(redirection, tmp_path):
    done = with_stdout(SHOW, redirection, tmp_path)
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1001
    done = with_stdout(["levels", "show", "L9"], redirection, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_file_takes_not_the_place_of_a_closed_stdout(tmp_path):
    """The first file that is opened would: what is printed would then be in it."""
    words = ["levels", "explore", "official", "--out", "page.html"]
    assert with_stdout(words, ">&-", tmp_path).returncode == 2
    assert (tmp_path / "page.html").read_text().endswith("</html>")


@pytest.mark.parametrize("encoding", ["ascii", "iso2022_kr", "utf-8"])
def test_names_that_a_terminal_cannot_show_are_escaped(encoding, tmp_path):
    runs = write_runs(tmp_path / "runs", made_rows(["größe-模型"], ("in1k",), seeds=(22,)))
    done = with_stdout(
        ["results", str(runs), "--format", "markdown"], "", tmp_path, PYTHONIOENCODING=encoding
    )
    assert done.returncode == 0, done.stderr
    assert ("größe-模型" in done.stdout) == (encoding != "iso2022_kr")  # click takes no ascii
    assert ("gr\\xf6" in done.stdout) == (encoding == "iso2022_kr")


@pytest.mark.parametrize(
    ("error", "what", "hint"),
    [
        (MemoryError(), "memory is short", "--batch-size"),
        (
            ImportError("libtorch_cpu.so: failed to map segment from shared object"),
            "memory is short: libtorch_cpu.so", "ulimit -v",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"),
            "memory is short: DefaultCPUAllocator", "--batch-size",
        ),
        (RuntimeError("can't start new thread"), "can't start new thread", "ulimit -u"),
        (OSError(errno.EMFILE, "Too many open files", "a.tar"), "files: a.tar", "ulimit -n"),
    ],
)  # fmt: skip
def test_what_the_system_refuses_is_two_lines(error, what, hint, capsys):
    assert status_after(error) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error: ")
    assert what in lines[0]
    assert hint in lines[1]


def test_a_mistake_of_the_program_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        status_after(ZeroDivisionError())
