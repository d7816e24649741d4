"""Names with escape sequences: people read them, and no terminal obeys them."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console

from cog.cli.ending import _Output
from cog.cli.terminal import Terminal
from tests.support.result_rows import one_row, write_runs
from tests.support.runs import HANGS_SECONDS, call_cog, run_cog

EVIL = "\x1b[31mred\x1b]0;title\x07\u202etxt"
SHOWN = r"\x1b[31mred\x1b]0;title\x07\u202etxt"


def test_errors_show_what_they_name(tmp_path):
    for done in (run_cog("results", EVIL, cwd=tmp_path), call_cog("results", EVIL, cwd=tmp_path)):
        assert done.returncode == 2
        assert SHOWN in done.stderr
        assert not set("\x1b\x07\u202e") & set(done.stderr)


def test_streams_for_people_show_control_characters_and_let_rich_write_its_own():
    raw = io.BytesIO()
    stream = _Output(raw, "utf-8", write_through=True)
    stream.for_people = True
    assert stream.write(f"{EVIL}\n") == len(EVIL) + 1
    print(EVIL, file=stream)
    Console(file=stream, force_terminal=True, color_system="standard").print("bold", style="bold")
    stream.flush()
    assert raw.getvalue().decode() == f"{SHOWN}\n{SHOWN}\n\x1b[1mbold\x1b[0m\n"


def test_messages_of_a_run_show_them(capsys):
    Terminal().notify(EVIL)
    assert capsys.readouterr().err == f"{SHOWN}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("words", [[], ["--format", "csv"]], ids=["table", "csv"])
def test_a_terminal_gets_names_as_text(tmp_path, words):
    write_runs(tmp_path / "runs", [one_row(EVIL), one_row(EVIL, dataset=EVIL)])
    ours, theirs = os.openpty()
    environment = os.environ | {"TERM": "dumb", "COLUMNS": "200"}
    command = [sys.executable, "-m", "cog", "results", "runs", *words]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=theirs, stderr=subprocess.PIPE, env=environment
    ) as started:
        os.close(theirs)
        found = b""
        try:
            while block := os.read(ours, 65_536):
                found += block
        except OSError:  # the other end is closed
            pass
        assert started.wait(HANGS_SECONDS) == 0, started.stderr.read()
    os.close(ours)
    assert SHOWN in found.decode()
    assert not {"\x1b", "\x07", "\u202e"} & set(found.decode())


def test_what_goes_into_a_pipe_is_the_name_itself(tmp_path):
    write_runs(tmp_path / "runs", [one_row(EVIL)])
    assert EVIL in call_cog("results", "runs", "--format", "csv", cwd=tmp_path).stdout
