"""Lists of concepts in all their forms, and images counted on disk."""

from __future__ import annotations

import pytest

from cog.errors import CogError
from cog.wordnet.concept_lists import read_counts, read_wnids

DOG, CAT, BIRD = "n02084071", "n02121620", "n01503061"


def test_bundled_lists_have_the_sizes_of_their_sources():
    assert len(read_wnids("in1k")) == 1000
    assert len(read_wnids("in21k")) == 21841
    assert len(read_wnids("official")) == 5000
    assert len(read_wnids("excluded")) == 70
    assert sum(read_counts("in21k").values()) == 14_197_114
    assert set(read_wnids("in1k")) - set(read_wnids("in21k")) == {"n04399382"}
    assert not set(read_wnids("official")) & {*read_wnids("in1k"), *read_wnids("excluded")}


@pytest.mark.parametrize(
    "text",
    [
        f"{DOG}\n{CAT}\n",
        f"# mine\n\n{CAT}\n{DOG}\n{CAT}",
        f"wnid,name\r\n{DOG},dog\r\n{CAT},cat\r\n",
        f"\ufeff{DOG} dog, domestic dog\n{CAT}\tcat\n",
    ],
)
def test_a_list_may_be_plain_commented_or_a_table(tmp_path, text):
    file = tmp_path / "list.txt"
    file.write_bytes(text.encode())
    assert read_wnids(file) == read_wnids(str(file)) == read_wnids([CAT, DOG]) == (DOG, CAT)


@pytest.mark.parametrize("text", ["", "# nothing\n", "dog\n", "n123\n", f"{DOG}\nn0208407x\n"])
def test_a_list_without_wnids_is_refused(tmp_path, text):
    file = tmp_path / "list.txt"
    file.write_text(text)
    with pytest.raises(CogError, match="wnid"):
        read_wnids(file)


def test_a_missing_list_names_the_bundled_ones(tmp_path):
    with pytest.raises(CogError, match="in1k"):
        read_wnids("in2k")
    with pytest.raises(CogError, match="cannot read"):
        read_counts(tmp_path / "none.csv")


def test_binary_files_are_refused(tmp_path):
    file = tmp_path / "list.bin"
    file.write_bytes(b"\xff\xfe\x00n02084071")
    with pytest.raises(CogError, match="cannot read"):
        read_wnids(file)
    with pytest.raises(CogError, match="cannot read"):
        read_counts(file)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no column wnid and no column images"),
        ("a,b\n1,2\n", "no column wnid and no column images"),
        ("wnid,pictures\n", "no column images"),
        (f"wnid,images\n{CAT},1\n{DOG},many\n", f"line 3 gives {DOG} 'many'"),
        (f"wnid,images\n{DOG}\n", "line 2"),
        (f"wnid,images\n{DOG},-1\n", "line 2"),
    ],
)
def test_a_table_that_counts_nothing_is_refused(tmp_path, text, named):
    file = tmp_path / "counts.csv"
    file.write_text(text)
    with pytest.raises(CogError, match=f"not a table of image counts: .*{named}"):
        read_counts(file)


def test_counts_of_a_spreadsheet_are_read(tmp_path):
    """With a byte order mark, capitals and blanks."""
    file = tmp_path / "counts.csv"
    file.write_bytes(f"\ufeffwnid, images\r\n{DOG.upper()}, 12\r\n".encode())
    assert read_counts(file) == {DOG: 12}


def test_a_folder_of_folders_and_tars_is_a_list_of_their_names(tmp_path):
    (tmp_path / DOG).mkdir()
    (tmp_path / f"{CAT}.tar").touch()
    (tmp_path / BIRD).mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "n00000001.txt").touch()
    assert read_wnids(tmp_path) == (BIRD, DOG, CAT)
