"""The official lists of test images, and of training images if there are any.

Text lists, one file a level, have only the test images; the pickle (official_pickles.py) has both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cog.datasets.official_pickles import OUTER, SPLIT_FILE, read_split_file
from cog.errors import CogError
from cog.images.shards import WNID_LENGTH
from cog.small_files import NotReadable, read_lines, shown

Lists = dict[str, tuple[str, ...]]


def read_lists(tests: Path | None, wnids: Sequence[str]) -> tuple[Lists | None, Lists | None]:
    """The listed test and training images of each wnid; each None if no list has them.

    Raises:
        CogError: as `read_test_lists`, or as `read_split_file` for the official pickle.
    """
    if tests is None:
        return None, None
    file = tests / SPLIT_FILE if (tests / SPLIT_FILE).is_file() else tests
    if not file.is_file():
        return read_test_lists(tests, wnids), None
    both = read_split_file(file, wnids)
    return (
        {wnid: test for wnid, (_, test) in both.items()},
        {wnid: train for wnid, (train, _) in both.items()},
    )


def read_test_lists(folder: Path, wnids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The images of each wnid that the lists of a folder (`*.txt`) name, sorted.

    A line is `n01322508/n01322508_2514.JPEG 0`, with slashes or backslashes as in the pickle; the
    label is the index of the wnid in the sorted `wnids`. Lines of other wnids belong to other
    levels and are ignored.

    Raises:
        CogError: no list there, or a line whose label is not that of `wnids`.
    """
    files = sorted(folder.glob("*.txt"))
    if not files:
        inner = folder / "test"
        name = inner if any(inner.glob("*.txt")) else "the folder that holds them"
        raise CogError(f"no test lists (*.txt) in {folder}", f"give --split {name}")
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    listed: dict[str, set[str]] = {wnid: set() for wnid in wnids}
    for file in files:
        try:
            lines = read_lines(file, "replace")
        except NotReadable as error:
            hint = "give --split a folder with lists of images alone"
            raise CogError(f"{file} is no list of images: {error}", hint) from error
        for number, line in enumerate(map(str.strip, lines), start=1):
            line = line.lstrip(OUTER)
            wnid = line[:WNID_LENGTH]
            if wnid not in label_of or line[WNID_LENGTH : WNID_LENGTH + 1] not in OUTER:
                continue
            path, *label = line.rsplit(maxsplit=1)
            if label != [str(label_of[wnid])]:
                raise CogError(
                    f"{file} line {number}: expected an image and label {label_of[wnid]}, the "
                    f"index of {wnid} in its {len(wnids):,} classes; found {shown(line, 200)}",
                    "give --split and --levels that belong together",
                )
            listed[wnid].add(f"{wnid}/{path[WNID_LENGTH:].strip(OUTER)}")
    return {wnid: tuple(sorted(paths)) for wnid, paths in listed.items()}
