"""A text list of labelled images: lines `path label split`, or `path label` without a split.

Paths are relative to the folder of the list and may hold spaces. Where a line has tabs, they part
its fields, and labels may hold spaces too. Splits are called train and test (or val, …).
"""

from __future__ import annotations

from pathlib import Path

from cog.datasets.labelled.grouped import grouped, refuse_twice
from cog.datasets.labelled.labelled import Labelled
from cog.datasets.labelled.parts import TESTS, TRAIN, choose_parts, unused_note
from cog.errors import CogError
from cog.images.listing import Listing, is_image
from cog.images.sources.tars import leads_out
from cog.small_files import NotReadable, read_lines, shown

SUFFIXES = (".txt", ".lst", ".list", ".tsv")
Line = tuple[str, str, str]
"""path, label, and split or nothing"""


def find_in_list(file: Path) -> Labelled:
    """The labelled images that a list names, whether their files exist or not.

    Raises:
        CogError: a line that is none, some lines with a split and some without, an image that is
            there twice, or one part alone.
    """
    try:
        texts = read_lines(file)
    except NotReadable as error:
        raise CogError(f"{file} is no list of images: {error}", "give lines of text") from error
    lines: list[Line] = []
    for number, text in enumerate(texts, start=1):
        if text.strip() and not text.startswith("#"):
            lines.append(_read(text, f"{file} line {number}"))
            if bool(lines[-1][2]) != bool(lines[0][2]):
                raise CogError(
                    f"{file} line {number}: expected {'a' if lines[0][2] else 'no'} split, as in "
                    f"the lines before, found {shown(text, 200)}",
                    "give all lines a split (train or test), or none",
                )
    if not lines:
        raise CogError(f"{file} is empty", "give lines `path label split`")
    refuse_twice([path for path, _, _ in lines], str(file))
    if not lines[0][2]:
        return Labelled(_listing(file, lines), None)
    splits = sorted({split for _, _, split in lines})
    chosen = choose_parts(splits)
    if chosen is None:
        what = f"{file} has only the splits {', '.join(splits)}"
        raise CogError(what, "give images to train and images to test, or leave all splits out")
    train, test = (
        _listing(file, [line for line in lines if line[2] == part]) for part in chosen[:2]
    )
    return Labelled(train, test, f"{chosen.train}/{chosen.test}", notes=unused_note(chosen))


def _listing(file: Path, lines: list[Line]) -> Listing:
    """The images of some lines."""
    paths, labels, _ = zip(*lines, strict=True)
    return grouped(file.parent, "list", paths, labels)


def _read(text: str, where: str) -> Line:
    """The fields of a line."""
    if "\t" in text:
        path, *rest = (field.strip() for field in text.split("\t"))
        label, split = (*rest, "")[:2] if 1 <= len(rest) <= 2 else ("", "")
    else:
        words = text.rsplit(maxsplit=2)
        has_split = len(words) == 3 and words[2].lower() in (*TRAIN, *TESTS)
        path, label = words[:2] if has_split else (*text.rsplit(maxsplit=1), "")[:2]
        split = words[2] if has_split else ""
    path = path.strip().removeprefix("./")
    if not label or not is_image(path) or (split and split.lower() not in (*TRAIN, *TESTS)):
        raise CogError(
            f"{where}: expected an image, its label and train or test, found {shown(text, 200)}",
            "give lines like `images/a.jpg dog train`; tabs part fields that hold spaces",
        )
    if leads_out(path):
        raise CogError(f"{where}: {path} leads out of the list's folder", "give paths below it")
    return path, label, split.lower()
