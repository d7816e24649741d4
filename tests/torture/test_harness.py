"""The harness itself: it sees what it is there to see."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.failing_calls import Strike, counted_calls, library, struck_call
from tests.support.forked import start_cog
from tests.torture.disturbed import Undisturbed, check_answer, check_end, check_nothing_lost
from tests.torture.harness import Attack, Fault, Outcome, Unable, run
from tests.torture.jobs import Job
from tests.torture.watched import Limits, watch

LIMITS = Limits(seconds=1, memory=100 << 20)


def attack(attempt) -> Attack:
    return Attack("test", "nothing", 1, lambda _: attempt)


def test_attempts_are_counted_and_faults_kept_with_their_files(tmp_path):
    drawn = []

    def attempt(rng, number, folder):
        drawn.append(int(rng.integers(10**9)))
        (folder / "file").write_text("x")
        if number == 2:
            raise Fault("two")
        if number == 3:
            raise ValueError("three")
        return "well"

    outcome = run(attack(attempt), 7, tmp_path, range(5))
    assert (outcome.attempts, outcome.counts) == (5, {"well": 3})
    assert [fault["number"] for fault in outcome.faults] == [2, 3]
    assert outcome.faults[0]["what"] == "two"
    assert "ValueError: three" in str(outcome.faults[1]["what"])
    assert Path(str(outcome.faults[0]["kept"]), "file").read_text() == "x"
    again = run(attack(attempt), 7, tmp_path, [2])  # by seed and number
    assert [fault["what"] for fault in again.faults] == ["two"]
    assert drawn[-1] == drawn[2]
    assert Outcome.from_json(outcome.as_json()) == outcome


def test_an_attack_that_cannot_run_says_why(tmp_path):
    def prepare(_):
        raise Unable("no compiler")

    outcome = run(Attack("test", "nothing", 1, prepare), 7, tmp_path, range(5))
    assert (outcome.unable, outcome.attempts) == ("no compiler", 0)


def _inputs(number: int, folder: Path) -> str:
    if number == 1:
        raise KeyError("one")
    if number == 2:
        end = time.process_time() + 60
        while time.process_time() < end:
            pass
    if number == 3:
        np.ones(300 << 20, np.uint8)
    if number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return "well"


def test_inputs_that_raise_hang_take_memory_or_end_the_process_are_named(tmp_path):
    with pytest.raises(Fault) as caught:
        watch(_inputs, 6, tmp_path, LIMITS)
    text = str(caught.value)
    assert "input 1: " in text
    assert "KeyError: 'one'" in text
    assert "input 2: still at work" in text
    assert "input 3: takes" in text
    assert "MB of memory" in text
    assert "input 4: the process ended with -9" in text
    assert "input 0" not in text
    assert "input 5" not in text


@pytest.mark.skipif(library() is None, reason="needs Linux and a C compiler")
@pytest.mark.parametrize(
    ("strike", "status", "struck"),
    [
        (Strike(), 0, ""),
        (Strike(("open",), 1, "fail", "EACCES"), 2, "open no.csv"),
        (Strike(("open",), 1, "kill before"), -9, "open no.csv"),
    ],
    ids=str,
)
def test_a_call_fails_or_is_the_last(tmp_path, strike, status, struck):
    (tmp_path / "no.csv").write_text("wnid\nn02084071\n")
    before = partial(strike.arm, tmp_path)
    done = start_cog("similarity", "dog", "no.csv", cwd=tmp_path, before=before).ended()
    assert done.returncode == status, done.stderr
    assert struck_call(tmp_path) == struck
    if status >= 0:
        assert counted_calls(tmp_path)["open"] >= 1


def done(status: int, stderr: str) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(["cog"], status, "", stderr)


def test_answers_are_judged():
    for good in (done(0, ""), done(2, "x\nerror: what is\n hint: what to do\n"), done(-9, "")):
        check_answer(good)
    for bad in (
        done(2, "error: what is\n"),
        done(2, "error: \n hint: what to do"),
        done(1, "Traceback (most recent call last):\nKeyError: 1"),
        done(-11, ""),
        done(3, ""),
    ):
        with pytest.raises(Fault):
            check_answer(bad)


def test_files_are_judged(tmp_path):
    before, after = {"a": b"1"}, {"a": b"2", "b": b"3"}
    plan = Undisturbed(Job("test", ""), tmp_path, before, after, "", {})

    def holds(check, files: dict[str, str], **options) -> bool:
        folder = tmp_path / "there"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        try:
            check(plan, folder, **options)
        except Fault:
            return False
        finally:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
        return True

    lost, end = check_nothing_lost, partial(check_end, done=done(0, ""))
    assert holds(lost, {"a": "1"}, killed=True)
    assert holds(lost, {"a": "2", ".b.x.partial": ""}, killed=True)
    assert not holds(lost, {"a": "3"}, killed=True)
    assert not holds(lost, {}, killed=True)
    assert not holds(lost, {"a": "1", "b": ""}, killed=True)
    assert holds(end, {"a": "2", "b": "3"})
    assert not holds(end, {"a": "2"})
    assert not holds(end, {"a": "2", "b": "3", ".c.x.partial": ""})
    assert not holds(end, {"a": "2", "b": "4"})
