"""Top-1 after the tree of the classes is cut at given heights, and what mistakes cost.

In: a folder of runs, or a table of results, which has the heights of `CUT_HEIGHTS` alone. Out: a
row a model × dataset × probe × solver × shots, each number a mean over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from cog.errors import CogError
from cog.progress import Notify
from cog.recipe import CUT_HEIGHTS
from cog.results.cells import finished_cells
from cog.results.columns import KEY, SETTING, key_of
from cog.results.files import is_table, read_results
from cog.results.kept_mistakes import mistakes_of_cells, with_mistakes
from cog.results.mistakes import MISTAKE_HEIGHT, MISTAKE_SIMILARITY, cut_column
from cog.results.mixing import protocol_in, where
from cog.results.table import sort_rows, tidy, with_full_names
from cog.small_files import NotReadable, whole_number
from cog.storage import StoragePath


def parse_heights(text: str | None) -> tuple[int, ...]:
    """The heights of a list such as 1,2,4, each once, in their order; none without a list.

    >>> parse_heights("1, 2,4,2")
    (1, 2, 4)

    Raises:
        CogError: something else.
    """
    if text is None:
        return ()
    try:
        heights = tuple(dict.fromkeys(map(whole_number, text.split(","))))
    except NotReadable as error:
        raise CogError(f"--heights: {error}", "give heights such as --heights 1,2,4,8") from error
    if min(heights) < 0:
        raise CogError(f"a height cannot be {min(heights)}", "a class has height 0; give 1,2,4,8")
    return heights


def read_cuts(
    path: StoragePath, heights: Sequence[int], conditions: Sequence[str], notify: Notify
) -> pd.DataFrame:
    """The results of `read_results`, with the column `top1_height…` of each height.

    Raises:
        CogError: as `read_results`; or a table is asked for other heights than it has.
    """
    if is_table(path):
        others = [str(height) for height in heights if height not in CUT_HEIGHTS]
        if others:
            known = ",".join(map(str, CUT_HEIGHTS))
            raise CogError(
                f"{path} has top-1 at the heights {known}, not at {','.join(others)}",
                "give the folder of `cog evaluate --out`, which has the predictions",
            )
        return read_results(path, conditions)
    rows = {
        file: cell["row"]
        for file, cell in finished_cells(path, protocol_in(conditions), notify).items()
    }
    found = mistakes_of_cells(path, rows, notify)
    table = where(tidy(with_mistakes(row, found[file]) for file, row in rows.items()), conditions)
    cuts = {key_of(rows[file]): each.columns(heights) for file, each in found.items() if each}
    keys = table[list(KEY)].itertuples(index=False, name=None)
    own: list[dict[str, Any]] = [dict(cuts.get(key, {})) for key in keys]
    names = [cut_column(height) for height in heights]
    extra = pd.DataFrame(own, index=table.index, columns=names, dtype="float64")
    return table.assign(**{name: extra[name] for name in names})


def cuts(results: pd.DataFrame, heights: Sequence[int]) -> pd.DataFrame:
    """Means over seeds of the results that `read_cuts` gives, where the classes have synsets.

    Columns: `SETTING`; `seeds`, how many; `top1`; that at each height; `mistake_height` and
    `mistake_similarity`, means over the seeds that have a mistake.
    """
    names = [cut_column(height) for height in heights]
    known = with_full_names(results).dropna(subset=names)
    values = ("top1", *names, MISTAKE_HEIGHT, MISTAKE_SIMILARITY)
    groups = known.groupby(list(SETTING), sort=False, as_index=False)
    of_values: dict[str, Any] = {name: (name, "mean") for name in values}
    return sort_rows(groups.agg(seeds=("seed", "size"), **of_values), SETTING)
