"""The table of a label set's synsets: a row a class, which a program proposes and a person edits.

In: proposals, or a CSV. Out: a CSV, or the synset of each class.

| column | what it has |
|---|---|
| `class` | the name of the class |
| `wnid` | its synset, as wnid (n02084071) or as name (dog.n.01); empty where none was found |
| `name` | the name of the synset |
| `under` | what lies above it, to tell senses apart |
| `way` | how it was found, a key of `WAYS` in spellings.py |
| `confidence` | 0 to 1; class_synsets.py has the formula |
| `check` | "look" in rows that a person has to look at; to be emptied by that person |
| `alternatives` | other synsets that the name may mean, the best first, with what lies above |

Only `class` and `wnid` are needed; `check` is read if it is there, all else is for people.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cog.csv_text import rows_as_csv
from cog.errors import CogError, unknown_name
from cog.partial_files import partial_file
from cog.plain_text import from_spreadsheet
from cog.progress import Notify
from cog.small_files import NotReadable, read_text, shown
from cog.wordnet.class_synsets import Proposal
from cog.wordnet.names import senses_of
from cog.wordnet.taxonomy import Ints, Taxonomy

COLUMNS = ("class", "wnid", "name", "under", "way", "confidence", "check", "alternatives")
LOOK = "look"
_ALTERNATIVES = 5  # shown in a row
_SHOWN = 3  # classes named in an error
_HINT = "make one with `cog synsets SOURCE --out FILE`, then edit it"


@dataclass(frozen=True, eq=False)
class ClassSynsets:
    """The synset of each class."""

    classes: tuple[str, ...]  # [c]
    synsets: Ints  # [c], indices in the taxonomy; two classes may have the same
    notes: tuple[str, ...] = ()  # what the user should know: rows not looked at, rows not used


def write_synsets(
    taxonomy: Taxonomy,
    proposals: Sequence[Proposal],
    path: Path,
    overwrite: bool = False,
    notify: Notify | None = None,
) -> None:
    """Write the table of some proposals, whole or not at all.

    Raises CogError where it cannot write, and, unless `overwrite`, where there is such a file.
    """
    if path.exists() and not overwrite:
        raise CogError(
            f"{str(path)!r} exists, and somebody may have edited it",
            "name another file with --out FILE, or replace it with --overwrite",
        )
    text = rows_as_csv([COLUMNS, *(_row(taxonomy, each) for each in proposals)], notify)
    try:
        with partial_file(path) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CogError(
            f"cannot write {str(path)!r}: {error.strerror or error}",
            "name a file that can be written with --out FILE",
        ) from error


def _row(taxonomy: Taxonomy, found: Proposal) -> list[str]:
    check = LOOK if found.doubtful else ""
    if found.synset is None:
        return [found.name, "", "", "", "", "", check, ""]
    others = [
        f"{taxonomy.wnids[i]} {taxonomy.names[i]} < {names_above(taxonomy, i)}"
        for i in found.others[:_ALTERNATIVES]
    ]
    return [
        found.name, taxonomy.wnids[found.synset], taxonomy.names[found.synset],
        names_above(taxonomy, found.synset), found.way, f"{found.confidence:.2f}", check,
        "; ".join(others),
    ]  # fmt: skip


def names_above(taxonomy: Taxonomy, synset: int) -> str:
    """The names of what lies one edge above a synset."""
    return ", ".join(taxonomy.names[i] for i in taxonomy.parents_of(synset).tolist())


def is_table(path: Path) -> bool:
    """Whether the first line of a file has the columns of such a table.

    Raises:
        CogError: it cannot be read.
    """
    try:
        first = next(csv.reader(io.StringIO(read_text(path), newline="")), [])
    except OSError as error:
        raise CogError(
            f"cannot read {str(path)!r}: {error}",
            "give a text file with one concept a line, or a table by `cog synsets`",
        ) from error
    except (NotReadable, csv.Error):
        return False
    return {"class", "wnid"} <= {field.strip().lower() for field in first}


def read_synsets(
    path: Path | str, taxonomy: Taxonomy, classes: Sequence[str] | None = None
) -> ClassSynsets:
    """The synsets of a table for `classes`, in their order; None: for all of its own.

    Names are compared in Unicode's composed form. Raises CogError for a file that is no such table,
    a class that is there twice or not at all, and a row without a synset or with an unknown one.
    """
    rows = _read_rows(Path(path))
    table = {name: (number, wnid) for number, name, wnid, _ in rows}
    wanted = list(table) if classes is None else [_composed(name) for name in classes]
    missing = [name for name in wanted if name not in table]
    if missing:
        raise CogError(
            f"{path} has no row for {_counted(missing, len(wanted))}",
            "add a row for each, with the columns class and wnid",
        )
    empty = [name for name in wanted if not table[name][1]]
    if empty:
        raise CogError(
            f"{path} has no synset for {_counted(empty, len(wanted))}",
            "write a wnid into each row; where WordNet has no such noun, that of the nearest kind "
            "above it, such as n02121808 (domestic_cat.n.01) for a breed of cats",
        )
    synsets = [_synset(taxonomy, path, *table[name]) for name in wanted]
    named = tuple(wanted) if classes is None else tuple(classes)
    return ClassSynsets(named, np.array(synsets, np.int32), _notes(path, rows, {*wanted}))


def _read_rows(path: Path) -> list[tuple[int, str, str, bool]]:
    """(row, class, wnid, whether it has to be looked at) of each row that is not empty."""
    try:
        rows = list(csv.reader(io.StringIO(read_text(path), newline=""), strict=True))
    except (OSError, NotReadable, csv.Error) as error:
        raise CogError(f"cannot read the table of synsets {str(path)!r}: {error}", _HINT) from error
    head = _head(path, rows)
    found: dict[str, tuple[int, str, str, bool]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not any(field.strip() for field in row):
            continue
        fields = dict(zip(head, row, strict=False))
        name = _composed(from_spreadsheet(fields.get("class", "")))
        if not name:
            raise CogError(f"row {number} of {path} names no class", "write its name into `class`")
        if name in found:
            raise CogError(
                f"{path} has the class {shown(name)} twice, in rows {found[name][0]} and {number}",
                "keep one of the two rows",
            )
        look = bool(fields.get("check", "").strip())
        found[name] = (number, name, fields.get("wnid", "").strip(), look)
    if not found:
        raise CogError(f"no classes in the table of synsets {str(path)!r}", _HINT)
    return list(found.values())


def _head(path: Path, rows: list[list[str]]) -> list[str]:
    head = [field.strip().lower() for field in rows[0]] if rows else []
    for column in ("class", "wnid"):
        if head.count(column) != 1:
            raise CogError(
                f"expected a CSV with one column {column} in {str(path)!r}, found the columns"
                f" {', '.join(map(shown, head[:10])) or 'none'}",
                _HINT,
            )
    return head


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _synset(taxonomy: Taxonomy, path: Path | str, row: int, wnid: str) -> int:
    """The synset of a wnid or a synset name; a word alone may mean several."""
    is_exact = wnid.lower() in taxonomy.index_of or ".n." in wnid.lower()
    found = senses_of(taxonomy, wnid)
    if found and is_exact:
        return found[0]
    words = ", ".join(f"{taxonomy.wnids[i]} ({taxonomy.names[i]})" for i in found[:5])
    hint = f"it may mean {words}: write the wnid" if found else _nearest(taxonomy, wnid)
    raise CogError(f"row {row} of {path}: {shown(wnid)} is no noun synset of WordNet", hint)


def _nearest(taxonomy: Taxonomy, text: str) -> str:
    wnid = text.lower()
    near = taxonomy.wnids if wnid[1:].isdecimal() else taxonomy.lemmas.alike(wnid)
    at = next((i for i, known in enumerate(near) if known > wnid), 0)
    return unknown_name("synset", text, near[max(0, at - 20) : at + 20] or near).hint


def _counted(names: Sequence[str], of: int) -> str:
    listed = ", ".join(shown(name) for name in names[:_SHOWN])
    return f"{len(names)} of the {of} classes: {listed}{', …' if names[_SHOWN:] else ''}"


def _notes(
    path: Path | str, rows: Sequence[tuple[int, str, str, bool]], wanted: set[str]
) -> tuple[str, ...]:
    unread = [name for _, name, _, look in rows if look and name in wanted]
    others = [name for _, name, *_ in rows if name not in wanted]
    notes = []
    if unread:
        notes.append(
            f"{path}: `check` still marks {_counted(unread, len(wanted))}; look at each, and empty"
            " the field"
        )
    if others:
        notes.append(f"{path}: {len(others)} rows are of no class here: {shown(others[0])}, …")
    return tuple(notes)
