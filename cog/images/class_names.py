"""Which class an image of a shard is of, and what its file is called in the release.

Programs that make shards rename images: `n01440764_18.JPEG` becomes `n01440764_18.jpg`, or
`n01440764_18_n01440764.JPEG`. Here an image gets its own name back, so that a shard and the folder
tree it was made from list the same paths. The class is a wnid in a label or a name; a label that is
a number counts only if a list of the classes lies beside the shards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from cog.errors import CogError
from cog.recipe import WNID
from cog.small_files import NotReadable, read_lines, shown

_ID = re.compile(
    rf"(?P<id>(?P<own>{WNID.pattern})_\d+|ILSVRC2012_(?:val|test)_\d{{8}})"
    rf"(?:_(?P<wnid>{WNID.pattern}))?"
)
_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_DIGITS = 10  # an index of a class has fewer
_NOT_UTF8 = "\ufffd"  # what stands for bytes that are none
NAME_LIST = "classes.txt"  # of classes of any names
CLASS_LISTS = ("synsets.txt", "imagenet_synsets.txt", "wnids.txt", "LOC_synset_mapping.txt")


def official_name(name: str) -> tuple[str, str]:
    """A file's name in the release, and the wnid in the name; empty if there is none.

    >>> official_name("n01440764_18.jpg"), official_name("holiday.jpg")
    (('n01440764_18.JPEG', 'n01440764'), ('holiday.jpg', ''))
    >>> official_name("ILSVRC2012_val_00000293_n01751748.JPEG")
    ('ILSVRC2012_val_00000293.JPEG', 'n01751748')
    """
    stem, _, suffix = name.rpartition(".")
    match = _ID.fullmatch(stem)
    if match is None:
        return name, ""
    suffix = "JPEG" if suffix.lower() in ("jpg", "jpeg") else suffix
    return f"{match['id']}.{suffix}", match["wnid"] or match["own"] or ""


def image_path(names: Sequence[str], classes: Iterable[object], known: Sequence[str]) -> str:
    """`wnid/file` of an image; empty if its class cannot be known.

    Args:
        names: names of its file, the best first, with or without folders.
        classes: labels: wnids, or indices in `known`.
        known: the wnids of the class list, if there is one.

    >>> image_path(["n01440764_18.jpg"], [], [])
    'n01440764/n01440764_18.JPEG'
    >>> image_path(["a/x.png"], [1], ["n01440764", "n01443537"]), image_path(["x.png"], [1], [])
    ('n01443537/x.png', '')
    """
    file = official_name(names[0].rpartition("/")[2])[0]
    for value in classes:  # a label is what the shard says of the class: it goes before a name
        if isinstance(value, str) and WNID.fullmatch(value):
            return f"{value}/{file}"
    for name in names:
        *_, folder, own = f"/{name}".split("/")
        if wnid := folder if WNID.fullmatch(folder) else official_name(own)[1]:
            return f"{wnid}/{file}"
    for value in classes:
        index = str(value)
        if index.isdecimal() and len(index) < _DIGITS and int(index) < len(known):
            return f"{known[int(index)]}/{file}"
    return ""


def named_path(name: str, classes: Iterable[object], known: Sequence[str]) -> str:
    """`class/file` of an image whose class may have any name; empty if its labels name none.

    A name goes before a number; a number is an index in `known`, if that list is there, else a name
    itself. Slashes of either name are written `%2F`, so that one slash parts the two.

    >>> named_path("a/1.png", [1], ["cat", "big dog"]), named_path("1.png", [7, "a/b"], [])
    ('big dog/a%2F1.png', 'a%2Fb/1.png')
    """
    given = [str(each).strip() for each in classes if type(each) in (int, str)]
    given = [each for each in given if _NOT_UTF8 not in each]
    label = next((each for each in given if each and not each.isdecimal()), "")
    for each in given if not label else ():
        if each.isdecimal():
            index = int(each) if len(each) < _DIGITS else len(known)
            label = known[index] if index < len(known) else "" if known else each
            break
    escaped = (each.replace("%", "%25").replace("/", "%2F") for each in (label, name))
    return "/".join(escaped) if label else ""


def class_in(path: str) -> str:
    """The class of a `named_path`.

    >>> class_in("a%2Fb/1.png")
    'a/b'
    """
    return path.partition("/")[0].replace("%2F", "/").replace("%25", "%")


def read_names(folder: Path) -> tuple[str, ...]:
    """The names of classes in a folder's `classes.txt`, one a line; none without that file.

    Raises:
        CogError: no text, an empty line, or a name twice.
    """
    file = folder / NAME_LIST
    try:
        names = tuple(map(str.strip, read_lines(file))) if file.is_file() else ()
    except NotReadable as error:
        raise CogError(f"{file} is no list of classes: {error}", "give a name a line") from error
    if "" in names or len(set(names)) < len(names):
        hint = "list every class once, in the order of the class indices"
        raise CogError(f"{file}: expected a name a line, each once", hint)
    return names


def read_class_list(folder: Path) -> tuple[str, ...]:
    """The wnids of a class list in a folder, in the order of the class indices; none without one.

    Raises:
        CogError: no text, a line that does not begin with a wnid, or a wnid twice.
    """
    file = next((folder / name for name in CLASS_LISTS if (folder / name).is_file()), None)
    try:
        lines = read_lines(file) if file else []
    except NotReadable as error:
        raise CogError(f"{file} is no list of classes: {error}", "give one wnid a line") from error
    wnids = tuple(line.split(maxsplit=1)[0].rstrip(",") for line in lines if line.strip())
    bad = [wnid for wnid in wnids if not WNID.fullmatch(wnid)]
    if bad or len(set(wnids)) < len(wnids):
        fault = f"{shown(bad[0])} is no wnid" if bad else "a wnid is there twice"
        raise CogError(
            f"{file}: expected one wnid a line, but {fault}",
            "list every class once, in the order of the class indices",
        )
    return wnids


def no_class(
    where: str, example: str, labels: Sequence[object], known: Sequence[str], folder: Path
) -> CogError:
    """The error for an image whose class cannot be known.

    Args:
        where: what holds the image.
        example: the image.
        labels: its labels: none of them is a wnid.
        known: the wnids of the class list in `folder`, if there is one.
        folder: where that list lies, or should.
    """
    shown = ", ".join(repr(label)[:50] for label in labels)
    hint = f"put {CLASS_LISTS[0]} into {folder}: one wnid a line, in the order of the class indices"
    if not labels:
        found = "it has no label, and no wnid is in its name"
        hint = "label it with its wnid, or call it <wnid>_<number>"
    elif not any(str(label).isdecimal() for label in labels):
        found = f"its label is {shown}, and no wnid is in its name"
        hint = f"give wnids for labels, or whole numbers; for these, {hint}"
    elif known:
        found = f"its label is {shown}, and the class list there has {len(known):,} classes"
        hint = f"list every class in it: one wnid a line, the class of label 0 first ({folder})"
    else:
        found = f"its label is {shown}, and no list says which class that is"
    return CogError(f"the class of {example} in {where} cannot be known: {found}", hint)


def no_name(
    where: str, example: str, labels: Sequence[object], known: Sequence[str], folder: Path
) -> CogError:
    """The error for an image without a label, of classes of any names; as `no_class`."""
    shown = ", ".join(repr(label)[:50] for label in labels) or "none"
    what = f"the class of {example} in {where} cannot be known: its label is {shown}"
    if known:
        what += f", and {NAME_LIST} has {len(known):,} names"
    return CogError(what, f"label it by a name, or by an index in {folder / NAME_LIST}")


def shard_files(root: Path, suffix: str) -> list[Path]:
    """The files with a suffix that a root means: itself, those in it, or those in its `data/`.

    A root that does not exist may be a pattern: `data/train-*.parquet`.
    """
    if root.is_file():  # a packed tar is refused later, with a hint
        endings = (".tar", *_PACKED) if suffix == ".tar" else suffix
        return [root] if root.name.endswith(endings) else []
    if root.is_dir():
        found = list(root.glob(f"*{suffix}")) or list((root / "data").glob(f"*{suffix}"))
    else:
        found = [file for file in root.parent.glob(root.name) if file.suffix == suffix]
    return sorted(file for file in found if not file.name.startswith(".") and not file.is_dir())


def packed_tars(root: Path) -> list[Path]:
    """The packed tars in a folder or its `data/`, or of a pattern: none of them is read."""
    if root.is_dir():
        files = [*root.glob("*.t*"), *(root / "data").glob("*.t*")]
    else:
        files = []
        with suppress(OSError, ValueError):  # a root that cannot be
            files = [] if root.exists() else list(root.parent.glob(root.name))
    return sorted(file for file in files if file.name.endswith(_PACKED) and file.is_file())


def folder_of(root: Path) -> Path:
    """The folder that the files of a root are relative to."""
    return root if root.is_dir() else root.parent
