"""The page of `cog report` from Python: `cog.write_report`."""

from __future__ import annotations

import logging
from pathlib import Path

from cog.levels.files import read_levels
from cog.progress import Notify
from cog.report.build import default_levels, default_out, write_page
from cog.report.page_data import read_page_data
from cog.storage import StoragePath, storage_path


def write_report(
    runs: str | Path,
    out: str | Path | None = None,
    *,
    levels: str | Path | None = None,
    baseline: str | None = None,
    notify: Notify | None = None,
) -> StoragePath:
    """Write the page of a folder of runs, one HTML file that works without a network.

    Args:
        runs: the folder of `cog.evaluate`'s `out`, or a results.csv.
        out: the page. By default report.html in that folder.
        levels: folder of the levels of the runs. By default runs/levels, or the official ones.
        baseline: the model that differences are to. By default the best one.
        notify: takes a line for each result that is left out; by default the logger `cog`.

    Returns:
        The path of the page.

    Raises:
        CogError: no results, or results that cannot stand in one table.
    """
    source = storage_path(str(runs))
    known = read_levels(levels or default_levels(source))
    data = read_page_data(source, known, notify or logging.getLogger("cog").warning)
    return write_page(data, known, storage_path(str(out or default_out(source))), baseline)
