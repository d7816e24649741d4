"""Levels whose files were changed by hand, sha256 and all: read, or refused with what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from cog.errors import CogError
from cog.levels.check import check_levels
from cog.levels.files import read_levels
from cog.levels.table import level_named, text_sha256
from tests.support.runs import call_cog


def changed(folder: Path, made: Path, csv=lambda text: text, described=lambda text: text) -> Path:
    """A copy of levels with another levels.csv, of which levels.json has the sha256."""
    folder.mkdir()
    texts = {name: (made / name).read_text() for name in ("levels.csv", "seen.csv", "levels.json")}
    texts["levels.csv"] = csv(texts["levels.csv"])
    content = json.loads(texts["levels.json"])
    content["sha256"]["levels.csv"] = text_sha256(texts["levels.csv"])
    texts["levels.json"] = described(json.dumps(content))
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


def with_field(column: str, value: str):
    """A change of the second row of a table."""

    def change(text: str) -> str:
        head, first, *rows = text.splitlines()
        fields = first.split(",")
        fields[head.split(",").index(column)] = value
        return "\n".join([head, ",".join(fields), *rows]) + "\n"

    return change


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((name, value) for name in ("level", "rank") for value in
          ("0", "-1", "1.5", "inf", "9" * 30, "9" * 5000, "", "x", "٣")),
        *(("similarity", value) for value in ("inf", "nan", "1e400", "", "x", "9" * 400)),
        *(("images", value) for value in ("-1", "1.5", "inf", "9" * 30)),
    ],
)  # fmt: skip
def test_a_field_that_is_no_number_is_named_with_its_row(tmp_path, levels_folder, column, value):
    folder = changed(tmp_path / "x", levels_folder, with_field(column, value))
    with pytest.raises(CogError, match=f"row 2, {column}: expected a .*number"):
        read_levels(folder)


@pytest.mark.parametrize(
    ("csv", "said"),
    [
        (lambda text: text.splitlines()[0] + "\n", "it has no concepts"),
        (lambda text: text.replace(",", ";"), "it has no column wnid, name"),
        (lambda text: text + "a,b\n", "row 8 has 2 fields, the head 10"),
        (lambda text: text + '"a\n', "unexpected end of data"),
        (lambda text: text + "\0\n", "line 8 has a NUL"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, levels_folder, csv, said):
    with pytest.raises(CogError, match=said):
        read_levels(changed(tmp_path / "x", levels_folder, csv))


@pytest.mark.parametrize(
    "described",
    [
        lambda text: "[" * 500_000,
        lambda text: text.replace('"eligible": 6', '"eligible": NaN'),
        lambda text: text.replace('"eligible": 6', f'"eligible": {10**400}'),
        lambda text: text.replace('"eligible": 6', '"eligible": -6'),
        lambda text: text.replace('"measure": "lin"', r'"measure": "\ud800"'),
        lambda text: text.replace('"n_levels": 2', f'"n_levels": {10**30}'),
    ],
    ids=["nested", "NaN", "huge", "negative", "half a character", "huge count"],
)
def test_a_description_that_no_program_can_use_is_two_lines(tmp_path, levels_folder, described):
    folder = changed(tmp_path / "x", levels_folder, described=described)
    assert described((levels_folder / "levels.json").read_text()) != ""
    done = call_cog("levels", "explore", folder, "--out", "page.html", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 2), done.stderr


def test_a_count_of_levels_that_no_range_can_hold_is_a_finding(tmp_path, levels_folder):
    folder = changed(
        tmp_path / "x", levels_folder,
        described=lambda text: text.replace('"n_levels": 2', f'"n_levels": {2**62}'),
    )  # fmt: skip
    assert f"expected levels 1 to {2**62}, found [1, 2]" in check_levels(folder)


def test_names_like_formulas_and_other_line_ends_are_read_as_they_were(tmp_path, levels_folder):
    before = read_levels(levels_folder).table
    folder = changed(tmp_path / "x", levels_folder, with_field("name", "'=1+1"))
    found = read_levels(folder).table
    assert found["name"][0] == "=1+1"
    pd.testing.assert_frame_equal(found[1:], before[1:], check_exact=True)
    (folder / "levels.csv").write_bytes(
        (folder / "levels.csv").read_bytes().replace(b"\n", b"\r\n")
    )
    pd.testing.assert_frame_equal(read_levels(folder).table, found, check_exact=True)


def test_a_level_of_thousands_of_digits_is_no_level():
    assert level_named("L" + "9" * 5000) is None
