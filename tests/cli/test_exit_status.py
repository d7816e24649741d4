"""Exit statuses of the program in a process of its own; test_evaluate.py has those of signals."""

from __future__ import annotations

import pytest

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
