"""The table of synsets: what is written, what an edit may do, and what reading refuses."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from cog.datasets.labelled.class_list import read_class_names
from cog.errors import CogError
from cog.wordnet.class_synsets import propose_synsets
from cog.wordnet.synset_table import COLUMNS, read_synsets, write_synsets
from cog.wordnet.taxonomy import Taxonomy

HEAD = "class,wnid\n"


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def names(wordnet: Taxonomy, path: Path, classes: list[str] | None = None) -> list[str]:
    return [wordnet.names[i] for i in read_synsets(path, wordnet, classes).synsets]


def test_what_is_proposed_is_read_back(wordnet: Taxonomy, tmp_path: Path) -> None:
    classes = ["okapi", "zebra", "crane (bird)", 'a "tapir", perhaps', "=dog"]
    path = tmp_path / "table.csv"
    found = propose_synsets(wordnet, classes)
    write_synsets(wordnet, found, path)
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)
    read = read_synsets(path, wordnet, classes)
    assert read.classes == tuple(classes)
    assert read.synsets.tolist() == [each.synset for each in found]


def test_rows_that_nobody_looked_at_are_said(wordnet: Taxonomy, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_synsets(wordnet, propose_synsets(wordnet, ["pug", "beagle", "Bombay"]), path)
    assert (
        "`check` still marks 1 of the 3 classes: 'Bombay'" in read_synsets(path, wordnet).notes[0]
    )
    edited = path.read_text().replace("n08903872,", "n02121808,").replace(",look,", ",,")
    assert edited.count("n02121808") == 1
    read = read_synsets(table(tmp_path, edited), wordnet)
    assert read.notes == ()
    assert wordnet.names[read.synsets[2]] == "domestic_cat.n.01"


def test_the_order_is_that_of_the_classes(wordnet: Taxonomy, tmp_path: Path) -> None:
    path = table(tmp_path, "wnid,x,class\nn02084071,1,dog\ncat.n.01,2,Katze\n\n,,\n")
    assert names(wordnet, path, ["Katze", "dog"]) == ["cat.n.01", "dog.n.01"]
    assert names(wordnet, path) == ["dog.n.01", "cat.n.01"]
    read = read_synsets(path, wordnet, ["dog"])
    assert read.notes == (f"{path}: 1 rows are of no class here: 'Katze', …",)


def test_names_are_alike_in_any_form_of_unicode(wordnet: Taxonomy, tmp_path: Path) -> None:
    path = table(tmp_path, HEAD + unicodedata.normalize("NFD", "Löwe") + ",n02129165\n")
    assert names(wordnet, path, [unicodedata.normalize("NFC", "Löwe")]) == ["lion.n.01"]


REFUSED = [
    ("", "one column class", "cog synsets"),
    ("name,wnid\ndog,n02084071\n", "one column class", "cog synsets"),
    ("class,synset\ndog,n02084071\n", "one column wnid", "cog synsets"),
    ("class,wnid,wnid\ndog,n02084071,x\n", "one column wnid", "cog synsets"),
    (HEAD, "no classes", "cog synsets"),
    (HEAD + "dog,n02084071\ndog,n02121620\n", "'dog' twice, in rows 2 and 3", "one of the two"),
    (HEAD + "cat,n02121620\n", "no row for 1 of the 1 classes: 'dog'", "add a row"),
    (HEAD + "dog,\n", "no synset for 1 of the 1 classes: 'dog'", "domestic_cat.n.01"),
    (HEAD + "dog\n", "no synset for 1 of the 1 classes: 'dog'", "domestic_cat.n.01"),
    (HEAD + "dog,n02084072\n", "row 2", "n02084071"),
    (HEAD + "dog,dog.n.99\n", "row 2", "nearest"),
    (HEAD + "dog,dog\n", "'dog' is no noun synset", "n02084071 (dog.n.01), n10114209"),
    (HEAD + "dog,qqqq\n", "'qqqq' is no noun synset", "nearest"),
    (HEAD + ",n02084071\n", "row 2", "names no class"),
    (HEAD + '"dog,n02084071\n', "cannot read", "cog synsets"),
    ("class,wnid\0\n", "cannot read", "NUL"),
]


@pytest.mark.parametrize(("text", "what", "hint"), REFUSED)
def test_what_is_wrong_is_refused_in_words(
    wordnet: Taxonomy, tmp_path: Path, text: str, what: str, hint: str
) -> None:
    with pytest.raises(CogError) as error:
        read_synsets(table(tmp_path, text), wordnet, ["dog"])
    assert what in error.value.what
    assert hint in str(error.value)


def test_a_missing_table_is_refused(wordnet: Taxonomy, tmp_path: Path) -> None:
    with pytest.raises(CogError, match="cannot read"):
        read_synsets(tmp_path / "none.csv", wordnet)


def test_an_edited_table_is_not_replaced(wordnet: Taxonomy, tmp_path: Path) -> None:
    path = table(tmp_path, "mine")
    found = propose_synsets(wordnet, ["okapi"])
    with pytest.raises(CogError, match="--overwrite"):
        write_synsets(wordnet, found, path)
    assert path.read_text() == "mine"
    write_synsets(wordnet, found, path, overwrite=True)
    assert names(wordnet, path) == ["okapi.n.01"]


def test_class_names_of_folders_parts_and_lists(tmp_path: Path) -> None:
    for name in ("train/b c", "train/ü", "test/a", ".cache/x"):
        (tmp_path / "parts" / name).mkdir(parents=True)
    assert read_class_names(tmp_path / "parts") == ("a", "b c", "ü")
    assert read_class_names(tmp_path / "parts" / "train") == ("b c", "ü")
    (tmp_path / "one" / "train" / "a").mkdir(parents=True)
    assert read_class_names(tmp_path / "one") == ("a",)
    listed = table(tmp_path, "# classes\n\ndog\r\n#1 cat\n crane (bird) \n")
    assert read_class_names(listed) == ("dog", "#1 cat", "crane (bird)")


@pytest.mark.parametrize("text", ["", "# none\n", "dog\ncat\ndog\n", "\0"])
def test_lists_without_classes_or_with_one_twice_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(CogError):
        read_class_names(table(tmp_path, text))
