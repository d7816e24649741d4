"""What a run shows: bars and messages on stderr, rows and tables on stdout."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from cog.cli.result_table import bar, is_plain, pad, show
from cog.errors import CogError
from cog.plain_text import for_terminal
from cog.progress import percent_of

if TYPE_CHECKING:
    import pandas as pd

    from cog.datasets.dataset import Dataset
    from cog.evaluation.estimate import Estimate
    from cog.evaluation.plan import Plan
    from cog.features.executors.share import Share
    from cog.storage import StoragePath

LOG_SECONDS = 30  # between two lines of a log, which cannot show a bar


class Terminal:
    """Draws a run's progress (see `cog.progress.Progress`)."""

    def __init__(self) -> None:
        """A pipe gets no colour and long lines."""
        self.messages = Console(stderr=True, highlight=False)
        self.out = Console(highlight=False)
        if not self.out.is_terminal:
            self.out = Console(highlight=False, width=200)
        self.header_shown = False
        self.widths = 28, 8, 14  # of the columns model, dataset and probe

    def fit_columns(self, plan: Plan) -> None:
        """Make the columns of `result` as wide as the rows of a plan are."""
        models = [cell_len(for_terminal(run.model.name)) for run in plan.model_runs]
        names = [len(dataset.name) for dataset in plan.datasets]
        probes = [len(f"{cell.probe}-{cell.solver}") for cell in plan.cells]
        self.widths = max(5, *models), max(8, *names), max([14, *probes])

    def notify(self, text: str) -> None:
        """Print one line on stderr."""
        self.messages.print(for_terminal(text), style="dim", markup=False, soft_wrap=True)

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Show a bar with its rate and the time left; in a log, a line now and then."""
        if not self.messages.is_terminal:
            yield self._log(label, total, unit)
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(unit),
            TimeRemainingColumn(),
        )
        shown = Bars(*columns, console=self.messages, transient=True,
                     redirect_stdout=False, redirect_stderr=False)  # fmt: skip
        with shown as bars:
            task = bars.add_task(for_terminal(label), total=total)
            yield lambda count: bars.advance(task, count)

    def percent(self, label: str) -> Callable[[int, int], None]:
        """A function of (done, total) that prints a line now and then."""
        return percent_of(self._log(label, 100, "%"))

    def _log(self, label: str, total: int, unit: str) -> Callable[[int], None]:
        """A function of the units just done that prints a line now and then."""
        start = last = time.monotonic()
        done = 0

        def advance(count: int) -> None:
            nonlocal done, last
            done += count
            now = time.monotonic()
            if now - last > LOG_SECONDS:
                last = now
                rate = done / (now - start)
                left = (total - done) / rate if rate else float("inf")
                self.notify(f"{label}: {done:,}/{total:,} {unit}, {rate:.1f}/s, {left:.0f} s left")

        return advance

    def result(self, row: dict[str, Any]) -> None:
        """Print one finished row; the first one comes after the head of the table."""
        from cog.results.columns import full_name

        model, dataset, of_probe = self.widths
        if not self.header_shown:
            self.header_shown = True
            print(f"{'model':{model}} {'dataset':{dataset}} {'probe':{of_probe}} {'shots':>5} "
                  f"{'seed':>4} {'top-1':>6} {'top-5':>6}", flush=True)  # fmt: skip
        probe = f"{row['probe']}-{row['solver']}"
        line = f"{pad(row['model'], model)} {full_name(row):{dataset}} {probe:{of_probe}} "
        line += f"{row['shots']:>5} {row['seed']:>4} {row['top1']:6.2f} {row['top5']:6.2f}"
        if not is_plain(self.out) and cell_len(line) + 12 <= self.out.width:
            line += f"  {bar(row['top1'], 10)}".rstrip()
        print(line, flush=True)

    def summary(self, results: pd.DataFrame, path: StoragePath) -> None:
        """Print tables of top-1 with small bars, and the path of the results.

        Where the results must not be in one table, a message says what differs.
        """
        from cog.results.mixing import refuse_mixed

        self.out.print()
        try:
            refuse_mixed(results)
        except CogError as error:
            self.notify(f"no table, {error.what}\n`cog results` shows a part: {error.hint}")
        else:
            show(results, self.out)
        print(path)

    def plan(self, plan: Plan, share: Share) -> None:
        """Print what a run, or one worker of it, would do and cost."""
        from cog.evaluation.estimate import estimate
        from cog.features.executors.executor import executor_for

        self.out.print(_datasets_table(plan))
        with executor_for(plan.extraction, plan.devices, self) as executor:
            for line in estimate_lines(estimate(plan, executor, share)):
                print(line)


def _datasets_table(plan: Plan) -> Table:
    """A row a dataset; columns that say nothing of this plan are not there."""
    columns: dict[str, Callable[[Dataset], int]] = {"classes": lambda dataset: dataset.n_classes}
    if any(dataset.n_wanted > dataset.n_classes for dataset in plan.datasets):
        columns["left out"] = lambda dataset: dataset.n_wanted - dataset.n_classes
    columns["train"] = lambda dataset: len(dataset.lists[0])
    columns["test"] = lambda dataset: len(dataset.lists[1])
    if plan.cells:
        columns["cells to do"] = lambda dataset: len(plan.todo(dataset.name))
    table = Table(title="datasets", title_justify="left")
    names = [len(dataset.name) for dataset in plan.datasets]
    table.add_column("dataset", overflow="fold", min_width=min(40, max(names, default=0)))
    table.add_column("split")
    for column in columns:
        table.add_column(column, justify="right")
    for dataset in plan.datasets:
        counts = (f"{count(dataset):,}" for count in columns.values())
        table.add_row(dataset.name, dataset.split.kind, *counts)
    return table


class _Rate(ProgressColumn):
    """Units a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        """The present rate."""
        return Text(f"{task.speed or 0:.1f} {self.unit}/s")


def estimate_lines(estimate: Estimate) -> list[str]:
    """The lines of an estimate: counts, bytes, rates and times."""
    models = len(estimate.names)
    free = "" if estimate.free_bytes is None else f" ({bytes_of(estimate.free_bytes)} free)"
    rates = ", ".join(
        f"{name} {1 / seconds:,.1f}/s"
        for name, seconds in zip(estimate.names, estimate.measured.forward, strict=True)
    )
    lines = [
        f"images: {estimate.to_decode:,} to decode, "
        f"{bytes_of(estimate.to_decode * estimate.measured.bytes)} to read; decoded once for "
        f"{models} {_plural(models, 'model')} ({estimate.preprocessings} "
        f"{_plural(estimate.preprocessings, 'resize')}): {estimate.decodes_saved:,} decodes saved",
        f"features: {bytes_of(estimate.feature_bytes)} to write{free}",
        f"measured on one {estimate.kind}: decoding {1 / estimate.measured.decode:,.0f}/s; {rates}",
        f"features: about {_time(estimate.extract_seconds)} on {estimate.at_once} "
        f"{_plural(estimate.at_once, 'device')} ({estimate.kind}), each "
        f"{estimate.to_decode / estimate.at_once:,.0f} images",
    ]
    if estimate.held_bytes:
        lines.append(f"memory: {bytes_of(estimate.held_bytes)} of features that a fit holds")
    if not estimate.cells:
        return lines
    return [
        f"cells: {estimate.cells_done} of {estimate.cells} done",
        *lines,
        f"probes: about {_time(estimate.probe_seconds)}",
    ]


def _time(seconds: float) -> str:
    """Seconds, minutes or hours.

    >>> _time(42), _time(600), _time(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def bytes_of(count: float) -> str:
    """Bytes in the unit that suits.

    >>> bytes_of(999), bytes_of(3e6)
    ('999 bytes', '3.0 MB')
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
