"""Lists of concepts and image counts: the bundled ones and the user's own."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from cog.errors import CogError, unknown_name
from cog.recipe import IN1K, WNID
from cog.small_files import NotReadable, read_lines, shown

DATA = Path(__file__).parent / "data"
_DIGITS = 15  # of a number of images
BUNDLED = {  # each file's source and licence: data/README.md
    IN1K: "in1k_wnids.txt",
    "in21k": "in21k_image_counts.csv",
    "official": "official_concepts.txt",
    "excluded": "excluded.csv",
}

Source = str | Path | Sequence[str]


def read_wnids(source: Source) -> tuple[str, ...]:
    """The wnids of a list, sorted, each once.

    `source` is the name of a bundled list (in1k, in21k, official, excluded), a file for
    `read_names`, a folder with an entry `<wnid>/` or `<wnid>.tar` for each concept, or the wnids
    themselves. Raises CogError for a list that does not exist, is empty, or has anything but wnids.

    >>> read_wnids(["n02084071", "n01503061", "n02084071"])
    ('n01503061', 'n02084071')
    >>> len(read_wnids("in1k"))
    1000
    """
    wnids = sorted({*(_listed(source) if isinstance(source, str | Path) else source)})
    strange = [wnid for wnid in wnids if not WNID.fullmatch(wnid)]
    if strange or not wnids:
        found = shown(strange[0]) if strange else "none"
        raise CogError(
            f"expected wnids in {list_name(source)}, found {found}",
            "give one wnid a line: n and eight digits, as in n02084071",
        )
    return tuple(wnids)


def _listed(source: str | Path) -> Iterable[str]:
    if str(source) in BUNDLED:
        return read_names(DATA / BUNDLED[str(source)])
    path = Path(source)
    if path.is_dir():
        entries = [entry for entry in path.iterdir() if entry.suffix == ".tar" or entry.is_dir()]
        return filter(WNID.fullmatch, (entry.name.removesuffix(".tar") for entry in entries))
    if not path.exists():
        hint = unknown_name("list", str(source), BUNDLED).hint
        raise CogError(
            f"no list of concepts at {str(source)!r}",
            f"give a file with one wnid a line, or the name of a bundled list ({hint})",
        )
    return read_names(path)


def list_name(source: Source) -> str:
    """What an error calls a list."""
    return str(source) if isinstance(source, str | Path) else "the list given"


def read_counts(source: str | Path) -> dict[str, int]:
    """Images per wnid, from a CSV with the columns wnid and images; `in21k` is bundled.

    Raises CogError for a missing column, and for a line whose number is not one.
    """
    path = DATA / BUNDLED["in21k"] if str(source) == "in21k" else Path(source)
    hint = "give a CSV with the columns wnid and images, or --images ROOT to count on disk"
    try:
        return _counts(csv.DictReader(read_lines(path), skipinitialspace=True))
    except (OSError, NotReadable, csv.Error) as error:
        raise CogError(f"cannot read the image counts {str(path)!r}: {error}", hint) from error
    except ValueError as error:
        raise CogError(f"{str(path)!r} is not a table of image counts: {error}", hint) from error


def _counts(rows: csv.DictReader[str]) -> dict[str, int]:
    missing = [name for name in ("wnid", "images") if name not in (rows.fieldnames or ())]
    if missing:
        raise ValueError(f"it has no column {' and no column '.join(missing)}")
    counts: dict[str, int] = {}
    for row in rows:
        wnid, images = ((row[name] or "").strip() for name in ("wnid", "images"))
        if not images.isdecimal() or len(images) > _DIGITS:
            whose = wnid if WNID.fullmatch(wnid) else shown(wnid) if wnid else "nothing"
            raise ValueError(f"line {rows.line_num} gives {whose} {shown(images)} images")
        counts[wnid.lower()] = int(images)
    return counts


def read_names(path: Path) -> list[str]:
    """The names in a file, one a line; of a CSV with a header the column wnid, else the first.

    Skips empty lines and those that begin with #, and what follows a wnid in its field.
    """
    try:
        lines = map(str.strip, read_lines(path))
        kept = [line for line in lines if line and not line.startswith("#")]
        rows = list(csv.reader(kept, strict=True))
    except (OSError, NotReadable, csv.Error) as error:
        raise CogError(
            f"cannot read the list of concepts {str(path)!r}: {error}",
            "give a text file with one concept a line, as in n02084071",
        ) from error
    column, headings = 0, [field.split()[:1] for field in rows[0]] if rows else []
    if ["wnid"] in headings:
        column, rows = headings.index(["wnid"]), rows[1:]
    names = [row[column].strip() for row in rows if len(row) > column]
    return [name.split()[0] if WNID.match(name.lower()) else name for name in names]
