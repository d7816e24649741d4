"""The tables of a folder of runs: results.csv against its cells, unreadable.csv and
truncated.csv against their parts.

results.csv must be, to the byte, what the program would write from the cells that are there. One
of a version with fewer columns must be that without the columns it lacks.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping

from cog.csv_text import rows_from_csv, table_as_csv
from cog.errors import CogError
from cog.evaluation.cells import protocol_in_folder
from cog.evaluation.verify.findings import MAKE, Finding, Found, why
from cog.features.bad_images import HEAD
from cog.recipe import file_name
from cog.results.columns import KEY
from cog.results.files import fold
from cog.small_files import NotReadable, read_small
from cog.storage import StoragePath

MOST = 20  # rows of a table that are named

Rows = dict[tuple[str, ...], Mapping[str, str]]
BadImage = tuple[str, str, str]
"""dataset, split and path of an image"""


def check_results(runs: StoragePath) -> Iterator[Found]:
    """Whether results.csv is the fold of the cells."""
    path = runs / "results.csv"
    again = (
        "run the command that made it again, or write it from the cells: "
        f"cog results {runs} --out {path}"
    )
    try:
        table = fold(runs, protocol_in_folder(runs))
        content = read_small(path)
    except CogError as error:
        yield Finding(str(path), "a fold of the cells", error.what, again)
        return
    except (OSError, NotReadable) as error:
        yield Finding(str(path), "a row for each cell", why(error), again)
        return
    head = next(csv.reader([content.partition(b"\n")[0].decode(errors="replace")]), [])
    names = [str(name) for name in table]
    if unknown := [name for name in head if name not in names]:
        hint = f"update imagenet-cog if a newer version wrote it; or {again}"
        yield Finding(str(path), "the columns of results", f"the column {unknown[0]!r}", hint)
        return
    lacking = [name for name in names if name not in head]
    expected = table_as_csv(table.drop(columns=lacking))
    if lacking:
        yield f"{path} is of a version without the columns {', '.join(lacking)}"
    if content == expected.encode():
        return
    differences = list(_differences(_rows(expected), _rows(content.decode(errors="replace"))))
    yield from (Finding(str(path), *each, again) for each in differences[:MOST])
    if not differences:
        yield Finding(str(path), "the bytes that the program writes", "others", again)
    if len(differences) > MOST:
        yield f"{path}: {len(differences) - MOST:,} more differences"


def _rows(text: str) -> Rows:
    """The rows of a table as text, by the key of each."""
    try:
        rows = list(csv.DictReader(io.StringIO(text)))
    except csv.Error:
        return {}
    return {tuple(str(row.get(name)) for name in KEY): row for row in rows}


def _differences(expected: Rows, found: Rows) -> Iterator[tuple[str, str]]:
    """What one table has and the other has not: each as expected and found."""
    for key, row in expected.items():
        name = " ".join(key)
        if key not in found:
            yield f"a row of {name}, which is a finished cell", "none"
            continue
        for column, value in row.items():
            other = found[key].get(column)
            if other != value:
                yield f"{column} {value or 'empty'} of {name}, as its cell has it", str(other)
    for key in found.keys() - expected.keys():
        yield "rows of finished cells alone", f"a row of {' '.join(key)}, whose cell is missing"


def check_bad_images(
    runs: StoragePath, which: str, names: Iterable[str], of_stores: Mapping[str, set[BadImage]]
) -> Iterator[Finding]:
    """Whether a list, unreadable or truncated, joins its parts, and these are what stores have.

    `of_stores`: the images that belong in it by dataset, as far as stores are kept.
    """
    parts = sorted(name for name in names if name.startswith(f"{which}/"))
    texts = {name: read_small(runs / name).decode(errors="replace") for name in parts}
    file = runs / f"{which}.csv"
    if parts or file.name in names:
        found = read_small(file) if file.name in names else None
        if found != "".join([HEAD, *texts.values()]).encode():
            what = "none" if found is None else "something else"
            expected = f"a head and the rows of {len(parts)} parts"
            yield Finding(str(file), expected, what, MAKE)
    for dataset, images in of_stores.items():
        part = f"{which}/{file_name(dataset)}.csv"
        rows = rows_from_csv(texts.get(part, ""))
        shown = {(row[0], row[1], row[2]) for row in rows if len(row) == 4}
        if shown != images:
            other = sorted(shown ^ images)[0][2]
            what = f"{len(shown)}; {other} is in one of the two alone"
            expected = f"the {len(images)} images that its stores mark"
            yield Finding(str(runs / part), expected, what, MAKE)
