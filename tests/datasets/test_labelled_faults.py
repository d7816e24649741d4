"""Labelled images that are odd or wrong: the right images, or an error that says why."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from cog.datasets.dataset import DatasetOptions
from cog.datasets.labelled.class_list import class_names
from cog.datasets.suites.at_root import with_suites
from cog.errors import CogError
from cog.evaluation.options import read_options
from cog.recipe import Recipe
from tests.support.labelled_images import counts, draw, found

ONE = Recipe(test_per_class=1)
COUNTS = ({"cat": 2, "dog": 2}, {"cat": 1, "dog": 1})
ROWS = [
    (f"a/{name}/{number:03}.png", name, "test" if number == 2 else "train")
    for name in ("dog", "cat")
    for number in range(3)
]


def listed(root: Path, text: str, name: str = "list.txt", encoding: str = "utf-8") -> Path:
    """A list beside the images that `ROWS` names."""
    draw(root / "a", {"dog": 3, "cat": 3})
    (root / name).write_bytes(text.encode(encoding))
    return root / name


def lines(between: str = " ", end: str = "\n") -> str:
    return "".join(between.join(row) + end for row in ROWS)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", lines(end="\r\n")),
        ("list.txt", lines(end="\n\n   \n")),
        ("list.txt", lines(end=" \n").rstrip()),
        ("list.txt", lines("\t", "\t\r\n")),
        ("list.tsv", "image\tlabel\tpart\n" + lines("\t")),
        ("list.csv", "path,label,split\r\n" + lines(",", "\r\n")),
        ("list.csv", lines('","').replace("a/", '"a/').replace("\n", '"\n')),
        ("list.txt", lines().replace("a/", "./a//")),
    ],
)
def test_lists_as_programs_write_them(tmp_path, name, text, encoding):
    dataset = found(listed(tmp_path, text, name, encoding))
    assert counts(dataset) == COUNTS
    assert dataset.split.test.paths == ("a/cat/002.png", "a/dog/002.png")


def test_absolute_paths_below_the_list_are_those_below_it(tmp_path):
    text = "".join(f"{tmp_path}/{line}\n" for line in lines().splitlines())
    assert found(listed(tmp_path, text)).split.test.paths[0] == "a/cat/002.png"
    (tmp_path / "list.txt").write_text("/elsewhere/a.png dog train\n")
    with pytest.raises(CogError, match="leads out") as caught:
        found(tmp_path / "list.txt")
    assert "folder above its images" in caught.value.hint


@pytest.mark.parametrize("again", ["a/dog/000.png", "./a/dog/000.png", "a//dog/./000.png"])
def test_an_image_that_trains_and_tests_is_refused_however_it_is_written(tmp_path, again):
    with pytest.raises(CogError, match=r"more than once in .*: a/dog/000\.png"):
        found(listed(tmp_path, lines() + f"{again} dog test\n"))


@pytest.mark.parametrize(
    ("name", "text", "encoding", "why"),
    [
        ("list.txt", lines(), "utf-16", "save it as UTF-8"),
        ("list.txt", lines("\t").replace("dog\t", "dög\t"), "latin-1", "not text in UTF-8"),
        ("list.txt", lines(","), "utf-8", "line 1: expected an image, its label"),
        ("list.csv", lines(";"), "utf-8", "line 1: expected an image, its label"),
        ("list.csv", "path,label\n", "utf-8", "is empty"),
        ("list.csv", lines(",") + "a/dog/9.png,dog,test,more\n", "utf-8", "line 7: expected"),
        ("list.txt", lines() + "a/\0.png dog test\n", "utf-8", "line 7 has a NUL"),
        ("list.txt", lines() + "x" * 70_000 + ".png dog test\n", "utf-8", "line 7 has 70,"),
        ("list.txt", lines() + "a/../a/dog/000.png dog test\n", "utf-8", "leads out"),
    ],
)
def test_lists_that_cannot_be_read_name_the_line(tmp_path, name, text, encoding, why):
    with pytest.raises(CogError, match=why):
        found(listed(tmp_path, text, name, encoding))


NAMES = ["a,b", 'q"u', "back\\slash", "-dash", "x" * 255, "tab\tbed", " lead", "trail ", "%s",
         "=1+1", "$HOME", "*", "[x]", "a:b", "\u202ertl", "\u2028line", "😀"]  # fmt: skip


def test_classes_are_called_what_their_folders_are(tmp_path):
    for part in ("train", "test"):
        draw(tmp_path / part, dict.fromkeys(NAMES, 1))
    dataset = found(tmp_path)
    assert dataset.split.train.classes == tuple(sorted(NAMES))
    assert counts(dataset) == (dict.fromkeys(sorted(NAMES), 1), dict.fromkeys(sorted(NAMES), 1))


@pytest.mark.parametrize("name", [b"new\nline", b"\xff\xfe"])
@pytest.mark.parametrize("of", ["class", "image"])
def test_names_that_no_text_list_can_hold_are_refused(tmp_path, name, of):
    draw(tmp_path, {"a": 3, "b": 3})
    if of == "class":
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).mkdir()
    else:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/a/" + name + b".png")).touch()
    with pytest.raises(CogError, match="line breaks or NULs, or are not UTF-8"):
        found(tmp_path, ONE)


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("c", r"c cannot be listed \(Too many levels"),
        ("nowhere", "c is a link that leads nowhere"),
        (".", r"c: 0 of 2 images: its folder has no images, but 3 in [ab]/"),
    ],
)
def test_a_class_that_is_a_link_in_a_circle_or_to_nothing_is_named(tmp_path, target, why):
    draw(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "c").symlink_to(target)
    with pytest.raises(CogError, match=why):
        found(tmp_path, ONE)


def test_images_that_are_links_in_a_circle_or_to_nothing_are_counted(tmp_path):
    draw(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "a" / "up").symlink_to("..")
    for name, target in (("8.png", "8.png"), ("9.png", "nowhere")):
        (tmp_path / "a" / name).symlink_to(target)
    dataset = found(tmp_path, ONE)
    assert counts(dataset) == ({"a": 2, "b": 2}, {"a": 1, "b": 1})
    assert any("2 entries are broken: a/8.png" in note for note in dataset.split.notes)


def test_links_to_files_are_no_classes(tmp_path):
    draw(tmp_path, {"a": 3, "b": 3})
    (tmp_path / "README").symlink_to(tmp_path / "a" / "000.png")
    assert found(tmp_path, ONE).split.train.classes == ("a", "b")
    assert class_names(str(tmp_path)) == ("a", "b")


def test_images_without_a_class_are_counted(tmp_path):
    for part in ("train", "test"):
        draw(tmp_path / part, {"a": 1, "b": 1})
        (tmp_path / part / "of no class.png").touch()
    notes = found(tmp_path).split.notes
    assert [note.split(":")[0] for note in notes if "1 images right in" in note] == [
        "train",
        "test",
    ]


def test_parts_of_images_without_classes_say_so(tmp_path):
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "1.png").touch()
    with pytest.raises(CogError, match="1 images lie right in train/, without a folder"):
        found(tmp_path)


def test_a_folder_without_classes_says_what_it_has(tmp_path):
    draw(tmp_path / "data", {"photos": 3})
    with pytest.raises(CogError, match="3 images lie right in it, without a folder"):
        found(tmp_path / "data" / "photos")
    for part in ("train", "test"):
        draw(tmp_path / "unpacked" / "flowers" / part, {"rose": 1, "lily": 1})
    with pytest.raises(CogError, match=r"no labelled images .* but in .*unpacked/flowers: give"):
        found(tmp_path / "unpacked")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("pass", "returned 0 lists, not two"),
        ("return 1", "returned 0 lists, not two"),
        ("1 / 0", "failed: ZeroDivisionError"),
        ("raise SystemExit(3)", "failed: SystemExit"),
        ("return [('a.png', None)], []", "for an image"),
    ],
)
def test_functions_that_return_something_else_are_told_what_to_return(tmp_path, body, why):
    (tmp_path / "sets.py").write_text(f"def load():\n    {body}\n")
    with pytest.raises(CogError, match=why):
        found(f"{tmp_path}/sets.py:load")


def test_a_dataset_of_torchvision_that_fails_while_it_is_read_is_named(tmp_path):
    with pytest.raises(CogError, match=r"cannot read an item of VisionDataset \(NotImpl"):
        found(f"torchvision:VisionDataset@{tmp_path}")


def test_the_user_s_home_is_found_behind_a_sign_of_equality(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    given = {
        "datasets": ("a=~/birds", "b=torchvision:DTD@~/x"),
        "test_sets": ("a/c=~/art",),
        "synsets": ("a=~/birds.csv",),
    }
    read = read_options(given, given)
    sources = [each.source for each in (*read["datasets"], *read["test_sets"])]
    ends = ["birds", "x", "art"]
    assert sources == [f"{'torchvision:DTD@' * (end == 'x')}{tmp_path}/{end}" for end in ends]
    assert read["synsets"] == (("a", tmp_path / "birds.csv"),)


SUITE = 'about = "x"\n[protocols.p]\nabout = "y"\n{}\n[sets.own]\nsource = "own"\nprotocol = "p"\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"\xff\xfea", "UTF-16"),
        ("about = " + "[" * 3000 + "]" * 3000, "no suite"),
        (SUITE.format("c = [1.0, inf]"), r"protocols\.p\.c: expected two numbers"),
        (SUITE.format("test_per_class = -1"), "test_per_class: expected no number below 0"),
        (SUITE.format("min_train = 1.5"), "min_train: expected a whole number"),
        (SUITE.format(""), r"cog suites show .*/my\.toml` says"),
    ],
)
def test_suites_that_cannot_be_used_say_why(tmp_path, text, why):
    file = tmp_path / "my.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CogError) as caught:
        with_suites(DatasetOptions(suites=(str(file),), data=tmp_path))
    assert re.search(why, f"{caught.value.what} {caught.value.hint}")
