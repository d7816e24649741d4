"""`cog synsets`: the table, and what is said about it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cog.cli.synsets import synsets
from cog.errors import CogError


def run(*words: str | Path) -> Result:
    result = CliRunner().invoke(synsets, [str(word) for word in words], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result


def test_a_folder_of_breeds(tmp_path: Path) -> None:
    for name in ("beagle", "pug", "samoyed", "Bombay", "Sphynx"):
        (tmp_path / "pets" / "train" / name).mkdir(parents=True)
    out = tmp_path / "table.csv"
    result = run(tmp_path / "pets", "--out", out)
    assert result.stdout == f"5 classes: 3 sure, 1 to look at, 1 without a synset\n{out}\n"
    assert "look: Sphynx: no noun found" in result.stderr
    assert "look: Bombay: mumbai.n.01 (under city.n.01)? lemma" in result.stderr
    rows = {row["class"]: row for row in csv.DictReader(out.read_text().splitlines())}
    assert {name for name, row in rows.items() if row["check"]} == {"Bombay", "Sphynx"}
    assert (rows["samoyed"]["wnid"], rows["samoyed"]["under"]) == ("n02111889", "spitz.n.01")
    assert "samoyed.n.01" in rows["samoyed"]["alternatives"]
    with pytest.raises(CogError, match="--overwrite"):
        run(tmp_path / "pets", "--out", out)


def test_many_doubtful_rows_are_counted(tmp_path: Path) -> None:
    listed = tmp_path / "names.txt"
    listed.write_text("".join(f"qqzz{'abcdefghijklmnopqrstuvwxyz'[i]}q\n" for i in range(25)))
    result = run(listed, "--out", tmp_path / "table.csv")
    assert result.stderr.count("no noun found") == 20
    assert "… and 5 more, marked in the table" in result.stderr
