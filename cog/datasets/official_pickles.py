"""The official pickles of ImageNet-CoG: its split, and the concepts of its levels.

- `cog_concepts_split_file.pkl`: dict wnid → {"train": array, "test": array} of file names.
- `cog_levels_mapping_file.pkl`: a list of five lists of 1,000 wnids.

Names may be text or bytes, in arrays, lists or tuples. A file name may have its wnid before it, and
slashes or backslashes at its ends, which the benchmark's public code strips too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cog.datasets.pickles import DAMAGED, PickledArray, read_pickle
from cog.errors import CogError
from cog.small_files import shown

SPLIT_FILE = "cog_concepts_split_file.pkl"
MAPPING_FILE = "cog_levels_mapping_file.pkl"

# Official numbers of training images, by the sha256 of a level's sorted wnids, one a line.
TOTALS = {
    "73957b077d5317cc89f948ad9dca276f08e69a4c2b51fc0d34561c2972f6d709": 1_118_804,
    "17db3b0592709d83e74526376ebbcc595c83b99b6f9cd82f652370cb5ba92f67": 1_115_788,
    "b5a8178bac591224fb9a0d87bd4111bc6b3a28fcb204b739853eb9a0cd2eedf6": 1_095_203,
    "9bc2f7ee9596705c0d1c7fc402dc1f869639e420214fee913a08cff27ad92264": 1_107_128,
    "202a2926ec641e02422c9711fd76db2a7a22863702cfa4a3c7943c8ebdd15586": 1_091_654,
}
TEST_TOTAL = 50_000
MOST_NAMES = 1 << 24  # ImageNet-21K has 14.2 million images
_OTHER = (
    "give a dict: wnid → {'train': names, 'test': names}, names as a list or an array of text "
    "such as n01322508_2514.JPEG"
)
OUTER = "/\\"  # what names may begin and end with
_NO_NAME = re.compile(r"[\0-\x1f\x7f\ud800-\udfff]|/|^\.*$")


def read_split_file(
    file: Path, wnids: Sequence[str]
) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Training and test images of each wnid as sorted paths `wnid/file`; none if it is absent.

    Raises:
        CogError: the pickle is damaged, or holds something other than a split.
    """
    table = read_pickle(file)
    if not isinstance(table, dict):
        raise CogError(f"{file} holds a {type(table).__name__}, not a dict by wnid", _OTHER)
    parts_of, found, left = _by_text(table, file), {}, MOST_NAMES
    for wnid in wnids:
        parts = parts_of.get(wnid, {"train": [], "test": []})
        parts = _by_text(parts, file) if isinstance(parts, dict) else {}
        if not {"train", "test"} <= parts.keys():
            raise CogError(f"{file} has no train and test of {wnid}", _OTHER)
        train, test = (_paths(parts[name], wnid, file, left) for name in ("train", "test"))
        both = set(train) & set(test)
        if both:
            raise CogError(f"{file} lists {min(both)} both to train and to test", DAMAGED)
        left -= len(train) + len(test)
        found[wnid] = train, test
    return found


def _by_text(table: dict[Any, Any], file: Path) -> dict[Any, Any]:
    """A dict of which keys that are bytes become text."""
    found = {_text(key): value for key, value in table.items()}
    if len(found) < len(table):
        raise CogError(f"{file} has a key as text and as bytes", _OTHER)
    return found


def _text(value: Any) -> Any:
    """Bytes as text, if they are text; any other value as it is."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def _paths(names: Any, wnid: str, file: Path, most: int) -> tuple[str, ...]:
    """File names of a class as sorted paths; they come as `n1_2.JPEG` or `n1/n1_2.JPEG`."""
    texts = _names(names, f"{file}: the names of {wnid}", most)
    bare = {re.sub(rf"^{wnid}[/\\]", "", text.strip(OUTER)) for text in texts}
    strange = next((name for name in bare if _NO_NAME.search(name)), None)
    if strange is not None:
        raise CogError(
            f"{file}: {shown(strange, 80)} is not a file name of {wnid}",
            f"give names such as {wnid}_1.JPEG or {wnid}/{wnid}_1.JPEG",
        )
    return tuple(sorted(f"{wnid}/{name}" for name in bare))


def read_mapping_file(file: Path) -> dict[int, tuple[str, ...]]:
    """The sorted wnids of each level, counted from 1.

    Raises:
        CogError: the pickle is damaged, or holds something other than a list of levels.
    """
    what = f"{file} does not hold lists of wnids, one a level"
    levels = [_names(part, what, MOST_NAMES) for part in _values(read_pickle(file), what)]
    if not levels:
        raise CogError(f"{what}: the list is empty", DAMAGED)
    return {number: tuple(sorted(part)) for number, part in enumerate(levels, start=1)}


def _names(value: Any, what: str, most: int) -> list[str]:
    """The names in a list, tuple or array; a CogError that begins with `what` if any is no text."""
    if isinstance(value, list | tuple | PickledArray) and len(value) > most:
        raise CogError(f"{what}: with them, it lists more than {MOST_NAMES:,} images", DAMAGED)
    names = list(map(_text, _values(value, what)))
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        found = type(wrong[0]).__name__
        raise CogError(f"{what}: expected a list of text, found {found}", _OTHER)
    return names


def _values(value: Any, what: str) -> Sequence[Any]:
    """The values of a list, a tuple or an array; a CogError that begins with `what` for others."""
    try:
        values = value.values() if isinstance(value, PickledArray) else value
    except ValueError as error:
        hint = "save names.ravel() instead of names" if "dimension" in str(error) else _OTHER
        raise CogError(f"{what}: {error}", hint) from error
    if not isinstance(values, list | tuple):
        raise CogError(f"{what}: expected a list, found {type(values).__name__}", _OTHER)
    return values


def refuse_another_mapping(file: Path, levels: Mapping[int, Sequence[str]]) -> None:
    """Refuse a mapping file whose levels have other concepts than the levels in use.

    Raises:
        CogError: they differ; the error has the number of such concepts and the first few.
    """
    mapping = read_mapping_file(file)
    found = []
    for number in sorted(mapping.keys() | levels.keys()):
        official, ours = set(mapping.get(number, ())), set(levels.get(number, ()))
        if official != ours:
            alone = [*sorted(official - ours)[:3], *sorted(ours - official)[:3]]
            found.append(
                f"L{number}: {len(official - ours)} only in the file, {len(ours - official)} only "
                f"in the levels ({', '.join(alone)})"
            )
    if found:
        raise CogError(
            f"{file} is the mapping of other levels: {'; '.join(found)}",
            "give --levels and --split that belong together",
        )


def totals_note(wnids: Sequence[str], n_train: int, n_test: int) -> str:
    """A note if the images of an official level differ in number from the official ones."""
    lines = "".join(f"{wnid}\n" for wnid in sorted(wnids))
    total = TOTALS.get(hashlib.sha256(lines.encode()).hexdigest())
    if total is None or (total, TEST_TOTAL) == (n_train, n_test):
        return ""
    return (
        f"{n_train:,} images to train and {n_test:,} to test; "
        f"the official split has {total:,} and {TEST_TOTAL:,}"
    )
