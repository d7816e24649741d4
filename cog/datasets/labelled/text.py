"""A text list of labelled images: lines `path label split`, or `path label` without a split.

Paths lie below the folder of the list and may hold spaces. Where a line has tabs, they part its
fields, and labels may hold spaces too; in FILE.csv commas do. Splits are called train and test (or
val, …). The first line of a .csv or .tsv may name the columns; lines that begin with # say nothing.

Without splits in its lines, a list to train may lie beside one to test, as DomainNet's
`real_train.txt` and `real_test.txt`. Where all labels are numbers that tell apart the same images
as the folders of the images do, these folders give the names of the classes.
"""

from __future__ import annotations

import csv
import os
import posixpath
from pathlib import Path

from cog.datasets.labelled.grouped import grouped, refuse_twice
from cog.datasets.labelled.labelled import Labelled
from cog.datasets.labelled.parts import TESTS, TRAIN, choose_parts, tests_beside, unused_note
from cog.errors import CogError
from cog.images.listing import Listing, is_image
from cog.images.sources.tars import leads_out
from cog.small_files import NotReadable, read_lines, shown

SUFFIXES = (".txt", ".lst", ".list", ".tsv", ".csv")
_TABLES = (".tsv", ".csv")  # their first line may name the columns
Line = tuple[str, str, str]
"""path, label, and split or nothing"""


def find_in_list(file: Path) -> Labelled:
    """The labelled images that a list names, whether their files exist or not.

    Raises:
        CogError: a line that is none, some lines with a split and some without, an image that is
            there twice, or one part alone.
    """
    lines = _read_lines(file)
    if not lines[0][2] and (beside := tests_beside(file)):
        lines = [(path, label, TRAIN[0]) for path, label, _ in lines]
        for part, other in beside.items():
            lines += [(path, label, part) for path, label, _ in _read_lines(other, plain=True)]
    refuse_twice([path for path, _, _ in lines], str(file))
    lines, notes = _named_by_folders(lines)
    if not lines[0][2] and {label.lower() for _, label, _ in lines} <= {*TRAIN, *TESTS}:
        what = f"{file} has a split in place of the label: all are {lines[0][1]} or the like"
        raise CogError(what, "give lines `path label split`")
    if not lines[0][2]:
        return Labelled(_listing(file, lines), None, notes=notes)
    splits = sorted({split for _, _, split in lines})
    chosen = choose_parts(splits)
    if chosen is None:
        what = f"{file} has only the splits {', '.join(splits)}"
        raise CogError(what, "give images to train and images to test, or leave all splits out")
    train, test = (
        _listing(file, [line for line in lines if line[2] == part]) for part in chosen[:2]
    )
    notes += unused_note(chosen)
    return Labelled(train, test, f"{chosen.train}/{chosen.test}", notes=notes)


def names_images(file: Path) -> bool:
    """Whether a text file is a list of images: its first line, or the one after it, names one."""
    try:
        texts = [text for text in read_lines(file) if text.strip() and not text.startswith("#")]
    except (OSError, NotReadable):
        return False
    first = [_fields(text, commas=file.suffix == ".csv") for text in texts[:2]]
    return any(len(fields) > 1 and is_image(fields[0].strip()) for fields in first)


def _read_lines(file: Path, *, plain: bool = False) -> list[Line]:
    """The lines of a list, all with a split or none; with `plain`, none."""
    try:
        texts = read_lines(file)
    except (OSError, NotReadable) as error:
        what = f"{file} is no list of images: {error}"
        raise CogError(what, "give lines of text in UTF-8") from error
    lines: list[Line] = []
    for number, text in enumerate(texts, start=1):
        if not text.strip() or text.startswith("#"):
            continue
        fields = _fields(text, commas=file.suffix == ".csv")
        if number == 1 and file.suffix in _TABLES and "." not in fields[0]:
            continue
        lines.append(_line(fields, text, file.parent, f"{file} line {number}"))
        split = bool(lines[0][2]) and not plain
        if bool(lines[-1][2]) != split:
            raise CogError(
                f"{file} line {number}: expected {'a' if split else 'no'} split, as in the lines "
                f"before, found {shown(text, 200)}",
                "give all lines a split (train or test), or none",
            )
    if not lines:
        raise CogError(f"{file} is empty", "give lines `path label split`")
    return lines


def _named_by_folders(lines: list[Line]) -> tuple[list[Line], tuple[str, ...]]:
    """The lines with folders for labels, and a note.

    They stay as they are if a label has images in several folders, or a folder of several labels.
    """
    folders = [path.rpartition("/")[0].rpartition("/")[2] for path, _, _ in lines]
    labels = {label for _, label, _ in lines}
    pairs = {(label, folder) for (_, label, _), folder in zip(lines, folders, strict=True)}
    one_to_one = len(pairs) == len(labels) == len(set(folders))
    if not one_to_one or "" in folders or not all(label.isdecimal() for label in labels):
        return lines, ()
    named = [(path, own, split) for (path, _, split), own in zip(lines, folders, strict=True)]
    return named, ("labels are numbers; classes are called as the folders of their images",)


def _listing(file: Path, lines: list[Line]) -> Listing:
    """The images of some lines."""
    paths, labels, _ = zip(*lines, strict=True)
    return grouped(file.parent, "list", paths, labels)


def _fields(text: str, *, commas: bool) -> list[str]:
    """The fields of a line: path, label, and split if it has one.

    >>> _fields("my dog.jpg dog train", commas=False)
    ['my dog.jpg', 'dog', 'train']
    """
    if "\t" in text or commas:
        parts = text.split("\t") if "\t" in text else next(csv.reader([text]))
        fields = [part.strip() for part in parts]
        while fields and not fields[-1]:
            fields.pop()
        return fields or [""]
    words = text.rsplit(maxsplit=2)
    has_split = len(words) == 3 and words[2].lower() in (*TRAIN, *TESTS)
    return words if has_split else text.rsplit(maxsplit=1)


def _line(fields: list[str], text: str, folder: Path, where: str) -> Line:
    """A line from its fields; the path is one from `folder`."""
    path, label, split = (*fields, "", "")[:3]
    path = path.strip()
    if (
        not 2 <= len(fields) <= 3
        or not label
        or not is_image(path)
        or (split and split.lower() not in (*TRAIN, *TESTS))
    ):
        raise CogError(
            f"{where}: expected an image, its label and train or test, found {shown(text, 200)}",
            "give lines like `images/a.jpg dog train`; tabs, or commas in FILE.csv, part fields "
            "that hold spaces",
        )
    if path.startswith("/"):
        path = os.path.relpath(path, folder)
    if leads_out(path):
        raise CogError(
            f"{where}: {path} leads out of the list's folder",
            "give paths below it, or put the list into a folder above its images",
        )
    return posixpath.normpath(path), label, split.lower()
