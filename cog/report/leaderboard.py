"""The tables of many people as one page: `cog leaderboard`.

In: a folder with a table a person, or a folder a person that holds tables. Out: what the page of
`cog report` shows of all of them. Rows that several people have alike, but for the seconds that
they took, stand once. A model that two people call the same, and that is not the same or has other
numbers, gets their names beside its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from cog.errors import CogError
from cog.levels.table import Levels
from cog.progress import Notify
from cog.report.page_data import PageData, page_data
from cog.results.cells import refuse_several_protocols
from cog.results.controls import models_only
from cog.results.files import is_table, read_results
from cog.results.joining import Row, join_tables, rows_by_key, same_result
from cog.results.mixing import protocol_in, where
from cog.results.suites import read_suites_of

Tables = Mapping[str, pd.DataFrame]
"""tidy tables by whose they are"""


def leaderboard_data(
    folder: Path,
    levels: Levels,
    notify: Notify,
    leave_out: Notify,
    conditions: Sequence[str] = (),
) -> PageData:
    """Everything that a page shows of all tables in `folder`.

    Controls are left out. `notify` takes a line for each model that gets another name, `leave_out`
    one for each file that is no table of results.

    Raises:
        CogError: no table there, or results that do not belong in one table.
    """
    read = read_tables(folder, leave_out, protocol_in(conditions))
    tables = {name: models_only(table) for name, table in read.items()}
    joined = join_tables(with_own_names(tables, notify).values())
    known = read_suites_of([folder / name for name in tables], notify)
    counts = [
        f"{name}: {len(table):,} results of {table['model'].nunique()} models"
        for name, table in tables.items()
    ]
    return page_data(where(joined, conditions), levels, known, notify, tables=counts)


def read_tables(
    folder: Path, leave_out: Notify, protocol: str | None = None
) -> dict[str, pd.DataFrame]:
    """The tables in a folder by whose they are: the name of a file, or of a folder below.

    A folder below gives its results.csv, as a folder of runs has it, else all tables in it. Rows of
    another `protocol` than that which is asked for are passed over.

    Raises:
        CogError: there is none, or two tables of a person have other numbers for the same result.
    """
    read: dict[str, list[pd.DataFrame]] = defaultdict(list)
    for name, path in _table_files(folder):
        try:
            table = read_results(path)
        except CogError as error:
            leave_out(f"{error}: left out")
            continue
        if protocol is not None:
            table = table[table["protocol"] == protocol]
        if len(table):
            read[name].append(table)
    if not read:
        raise CogError(
            f"no table of results{f' of protocol {protocol}' if protocol else ''} in {folder}",
            "put a results.csv, or what `cog results --out FILE` wrote, there for each person",
        )
    return {name: _joined(name, tables) for name, tables in read.items()}


def _joined(name: str, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The tables of one person as one."""
    refuse_several_protocols((value for table in tables for value in table["protocol"]), name)
    try:
        return join_tables(tables)
    except CogError as error:
        raise CogError(f"{name}: {error.what}", f"keep one of the tables of {name}") from error


def _table_files(folder: Path) -> Iterator[tuple[str, Path]]:
    if not folder.is_dir():
        raise CogError(f"no folder {folder}", "give one with a table of results a person")
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):  # of the system, of git, of an editor
            continue
        if path.is_dir():
            own = path / "results.csv"
            files = [own] if own.is_file() else sorted(filter(is_table, path.iterdir()))
            yield from ((path.name, file) for file in files)
        elif is_table(path):
            yield path.stem, path


def with_own_names(tables: Tables, notify: Notify) -> dict[str, pd.DataFrame]:
    """The tables with `MODEL (PERSON)` in place of each name that means several models."""
    clashes = _clashes(tables)
    for model in sorted(clashes):
        notify(f"{model} is not the same in every table: whose it is stands beside its name")
    return {
        name: table.assign(
            model=[f"{model} ({name})" if model in clashes else model for model in table["model"]]
        )
        for name, table in tables.items()
    }


def _clashes(tables: Tables) -> set[str]:
    """The names of models with several fingerprints, or with rows of one key that differ."""
    prints: dict[str, set[str]] = defaultdict(set)
    rows: dict[tuple[object, ...], Row] = {}
    found: Counter[str] = Counter()
    for table in tables.values():
        for key, row in rows_by_key(table).items():
            model = str(row["model"])
            prints[model].add(str(row["model_fingerprint"]))
            found[model] += not same_result(rows.setdefault(key, row), row)
    return {model for model in prints if found[model] or len(prints[model]) > 1}
