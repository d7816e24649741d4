"""Is the copy of the images complete and sound? Which classes are missing, short or damaged?

- Listing finds missing and short classes, damaged tars, and listed images that are not there.
- Images of a class with equal sizes are read and compared, to find duplicates.
- With `decode`, every image is read and decoded as for a network, to find unreadable,
  truncated and odd ones.
- The report grows by one class at a time (report.py). A second run takes over the classes that are
  checked, and checks those again whose images changed or could not be read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cog.cores import usable_cores
from cog.datasets.check.image import Oddity, check_image
from cog.datasets.check.listing import Listed, Part
from cog.datasets.check.report import (
    CHECKED,
    SYNSETS,
    Finding,
    add_class,
    read_report,
    start_report,
)
from cog.datasets.dataset import DatasetOptions, Named
from cog.datasets.find import all_found, kind_of, wanted_datasets, wanted_labelled
from cog.datasets.labelled.listed import list_labelled
from cog.datasets.synsets import check_table
from cog.errors import CogError, unknown_name
from cog.images.image_list import ImageList, read_bytes, size_of
from cog.images.truncated import READ, REFUSE, TRUNCATED
from cog.levels.table import Levels
from cog.plain_text import first_names
from cog.progress import Progress, Silent
from cog.recipe import Recipe
from cog.wordnet.taxonomy import load_taxonomy

TO_FETCH = ("missing", "short", "damaged", "broken", "absent", "unreadable")
WRONG = (*TO_FETCH, "misplaced", SYNSETS)  # other findings are no faults


@dataclass(frozen=True, eq=False)
class DataCheck:
    """What a check found; `decoded` if it decoded every image."""

    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    decoded: bool

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong; duplicates, odd, truncated and renamed images are none."""
        return not any(finding.finding in WRONG for finding in self.findings)

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How many findings there are, by (dataset, kind of finding)."""
        return Counter((finding.dataset, finding.finding) for finding in self.findings)

    def to_fetch(self) -> dict[str, tuple[str, ...]]:
        """For each release, the sorted wnids to download to make the copy complete."""
        wanted: dict[str, set[str]] = {}
        for each in self.findings:
            kind = kind_of(each.dataset)
            if kind and each.finding in TO_FETCH and each.wnid:
                wanted.setdefault(kind.release, set()).add(each.wnid)
        return {release: tuple(sorted(wnids)) for release, wnids in wanted.items()}


def check_data(
    options: DatasetOptions,
    levels: Levels,
    recipe: Recipe | None = None,
    *,
    decode: bool = False,
    report: Path | None = None,
    truncated: str = READ,
    workers: int | None = None,
    progress: Progress | None = None,
) -> DataCheck:
    """Check the images of the wanted datasets.

    Args:
        options: where the images are; with `split`, listed images must be there.
        recipe: how many images a class needs, to test and to train.
        decode: read and decode every image, not only list them.
        truncated: `refuse` counts truncated images as unreadable; `read` only reports them.
        report: a CSV to write; if it is there, the check continues it.
        workers: threads; by default one a core.

    Raises:
        CogError: an unknown dataset, no images of the classes at all, or `report` is another file.
    """
    if truncated not in TRUNCATED:
        raise unknown_name("truncated", truncated, TRUNCATED)
    found = _listed(options, levels, recipe or Recipe())
    units = [unit for part in found.parts for unit in _units(part, decode, truncated)]
    checked = {} if report is None else read_report(report)
    done = {unit.key: checked[unit.key] for unit in units if unit.is_done(checked)}
    todo = [unit for unit in units if unit.key not in done]
    progress = progress or Silent()
    if report is not None:
        start_report(report, found.findings, done.values(), progress.notify)
    with progress.bar("check", sum(len(unit.rows) for unit in todo), "images") as advance:
        for unit, result in _check_all(todo, workers or usable_cores()):
            done[unit.key] = result
            if report is not None:
                add_class(report, result, progress.notify)
            advance(len(unit.rows))
    of_images = (each for unit in units for each in done[unit.key][:-1])
    return DataCheck(found.parts, (*found.findings, *of_images), found.notes, decode)


def _listed(options: DatasetOptions, levels: Levels, recipe: Recipe) -> Listed:
    """What listing finds of all wanted datasets; raises the errors of all as one CogError."""

    def labelled(named: Named) -> Listed:
        listed = list_labelled(named, options, recipe)
        return listed + _check_synsets(named.name, listed, options, levels)

    finders: dict[str, Callable[[], Listed]] = {
        first_names(list(classes)): partial(kind.check, root, classes, recipe, options)
        for kind, root, classes in wanted_datasets(options, levels)
    }
    finders |= {named.name: partial(labelled, named) for named in wanted_labelled(options)}
    return sum(all_found(finders), Listed())


def _check_synsets(name: str, listed: Listed, options: DatasetOptions, levels: Levels) -> Listed:
    """What is wrong with the table of synsets of a dataset, if it has one."""
    table = dict(options.synsets).get(name)
    if table is None:
        return Listed()
    taxonomy = load_taxonomy(levels.recipe["wordnet"])
    return Listed((), *check_table(name, listed.parts[0].images.classes, table, taxonomy))


@dataclass(frozen=True, eq=False)
class _Unit:
    """The images of one class, which are checked together."""

    dataset: str
    wnid: str
    images: ImageList
    rows: range
    decode: bool
    truncated: str

    @property
    def key(self) -> tuple[str, str]:
        """Dataset and class."""
        return self.dataset, self.wnid

    def state(self, decode: bool) -> str:
        """Which images are checked, and how."""
        names = "\n".join(self.images.paths[row] for row in self.rows)
        digest = hashlib.sha256(names.encode()).hexdigest()[:12]
        return f"{len(self.rows)} pictures {'decoded' if decode else 'listed'} {digest}"

    def is_done(self, checked: dict[tuple[str, str], tuple[Finding, ...]]) -> bool:
        """Whether a report has a check of these very images, as thorough, that could read all."""
        found = checked.get(self.key)
        again = ("unreadable", "truncated") if self.truncated == REFUSE else ("unreadable",)
        if found is None or any(each.finding in again for each in found):
            return False
        return found[-1].detail in {self.state(decode) for decode in (self.decode, True)}


def _units(part: Part, decode: bool, truncated: str) -> Iterator[_Unit]:
    """The classes of a part that have images; the rows of a class are consecutive."""
    bounds = np.searchsorted(part.images.labels, np.arange(len(part.images.classes) + 1))
    for label, wnid in enumerate(part.images.classes):
        rows = range(int(bounds[label]), int(bounds[label + 1]))
        if rows:
            yield _Unit(part.dataset, wnid, part.images, rows, decode, truncated)


def _check_all(units: Sequence[_Unit], workers: int) -> Iterator[tuple[_Unit, tuple[Finding, ...]]]:
    """Check classes in order on a pool of threads, as reading and decoding release the lock."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="check")
    try:
        yield from zip(units, pool.map(_check, units), strict=True)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _check(unit: _Unit) -> tuple[Finding, ...]:
    """Check every image of a class."""
    findings: list[Finding] = []
    rows_of: dict[int, list[int]] = {}  # by size in bytes
    for row in unit.rows:
        path = unit.images.paths[row]
        try:
            if unit.decode:
                data = read_bytes(unit.images, row)
                size, odd = len(data), check_image(path, data, unit.truncated)
            else:
                size = size_of(unit.images, row)
                odd = [] if size else check_image(path, b"")
        except CogError as error:  # of the disk: here that is a finding too
            size, odd = 0, [Oddity("unreadable", error.what)]
        findings += [Finding(*unit.key, path, *each) for each in odd]
        if size:
            rows_of.setdefault(size, []).append(row)
    findings += _duplicates(unit, rows_of.values())
    return *findings, Finding(*unit.key, "", CHECKED, unit.state(unit.decode))


def _duplicates(unit: _Unit, alike: Iterable[Sequence[int]]) -> Iterator[Finding]:
    """Images of a class that have the bytes of an earlier one; `alike`: rows of equal sizes."""
    for rows in alike:
        first: dict[bytes, int] = {}
        for row in rows if len(rows) > 1 else ():
            try:
                digest = hashlib.sha256(read_bytes(unit.images, row)).digest()
            except CogError:  # a finding already, or once the image is decoded
                continue
            if first.setdefault(digest, row) != row:
                path, other = (unit.images.paths[each] for each in (row, first[digest]))
                yield Finding(*unit.key, path, "duplicate", f"the same bytes as {other}")
