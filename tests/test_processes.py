"""Processes beside the program: no script runs twice, no signal reaches them, none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cog import processes
from tests.support.running import await_end, is_there
from tests.support.runs import HANGS_SECONDS

# What the processes run: a module beside the script.
TARGETS = """
import os, signal, time
from pathlib import Path

def write(descriptor):
    os.write(descriptor, b"here")

def wait(descriptor):
    try:
        os.write(descriptor, b"%d\\n" % os.getpid())
        while True:
            time.sleep(0.01)
    finally:
        Path("closed").touch()

def fail(descriptor):
    try:
        wait(descriptor)
    except KeyboardInterrupt as error:
        raise ImportError("interrupted") from error

def streams(descriptor):
    nowhere = os.path.samestat(os.fstat(1), os.stat(os.devnull))
    os.write(descriptor, b"nowhere" if nowhere else b"somewhere")

def hang(descriptor):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.write(descriptor, b"%d\\n" % os.getpid())
    time.sleep(10_000)
"""
# A script without `if __name__ == "__main__"`, which starts a process and waits for ever.
SCRIPT = """
import os, sys
from pathlib import Path
from cog.processes import start

with Path("runs").open("a") as file:
    file.write("once ")
r, w = os.pipe()
process = start("targets:wait", w)
print(os.read(r, 20).decode(), flush=True)
process.wait()
print("ended", flush=True)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "targets.py").write_text(TARGETS)
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def started(target: str) -> tuple[processes.Process, bytes]:
    """A process, and what it wrote first."""
    r, w = os.pipe()
    process = processes.start(f"targets:{target}", w)
    os.close(w)
    try:
        return process, os.read(r, 20)
    finally:
        os.close(r)


def test_a_function_is_called_with_its_descriptors(folder):
    process, said = started("write")
    assert said == b"here"
    assert process.wait(HANGS_SECONDS) == 0
    processes.end([process])  # closes the pipe to it


def test_a_process_that_is_asked_to_end_closes_its_files(folder):
    process, said = started("wait")
    assert int(said) == process.pid
    processes.end([process])
    assert (folder / "closed").exists()
    assert process.returncode == 0


def test_one_that_is_asked_to_end_says_nothing_whatever_it_raises(folder, capfd):
    process, _ = started("fail")
    processes.end([process])
    assert process.returncode == 1
    assert capfd.readouterr().err == ""


def test_one_that_is_asked_to_end_while_it_starts_says_nothing(folder, capfd):
    process = processes.start("targets:write", 2)
    assert process.stdin
    process.stdin.close()
    assert process.wait(HANGS_SECONDS) == 0
    assert capfd.readouterr().err in ("", "here")


def test_closed_streams_lead_nowhere(folder):
    """What is opened first would else be the new stdout, and get what libraries print."""
    r, w = os.pipe()
    before = os.dup(1)
    os.close(1)
    try:
        process = processes.start("targets:streams", w)
    finally:
        os.dup2(before, 1)
        os.close(before)
        os.close(w)
    with os.fdopen(r) as said:
        assert said.read() == "nowhere"
    assert process.wait(HANGS_SECONDS) == 0
    processes.end([process])


def test_one_that_hangs_is_ended_all_the_same(folder, monkeypatch):
    process, _ = started("hang")
    monkeypatch.setattr(processes, "GRACE_SECONDS", -processes.LOOK_SECONDS)  # on this side
    processes.end([process])
    assert process.returncode == -signal.SIGKILL


def test_what_ends_the_program_does_not_end_them_first(folder):
    process, _ = started("wait")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        os.kill(process.pid, number)
    time.sleep(0.2)
    assert process.poll() is None
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()  # here all is as before
    processes.end([process])
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux alone has /proc")
def test_they_end_with_a_script_that_is_killed_and_do_not_run_it(folder):
    with subprocess.Popen([sys.executable, "script.py"], stdout=subprocess.PIPE) as script:
        pid = int(script.stdout.readline())
        assert is_there(pid)
        assert (folder / "runs").read_text() == "once "
        script.kill()
        await_end(pid)
        assert script.stdout.read().strip() == b""
    assert (folder / "closed").exists()
