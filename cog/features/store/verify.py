"""What is in feature stores, and whether it is right.

In: storage paths. Out: summaries; verdicts, for which every byte is read again. Needs no images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cog.errors import CogError
from cog.features.run_stores import crops_in
from cog.features.store.arrays import Array
from cog.features.store.files import LAYOUT, is_store
from cog.features.store.reasons import TRUNCATED, UNREADABLE, read_reasons
from cog.features.store.store import FORMAT, FeatureStore
from cog.object_storage import NotReached
from cog.partial_files import sweep
from cog.small_files import NotReadable, read_json
from cog.storage import StoragePath, files_below

PATTERNS = ("*.zarr", "features/*.zarr", "*/features/*.zarr")  # below features/, NAME/, runs/


@dataclass(frozen=True)
class Summary:
    """What one store holds; `size` in bytes."""

    store: FeatureStore
    done: int
    unreadable: int
    truncated: int
    size: int

    def lines(self) -> list[tuple[str, str]]:
        """Names and values for people, the fingerprint's fields last."""
        store = self.store
        facts = {
            "rows": f"{store.rows:,}",
            "dim": str(store.dim),
            "dtype": store.dtype,
            "chunks": f"{self.done} of {store.n_chunks} done, {store.chunk_rows:,} rows each",
            "unreadable": str(self.unreadable),
            "truncated": str(self.truncated),
            "size": f"{self.size:,} bytes",
            "layout": str(LAYOUT),
        }
        return [*facts.items(), *_flat("fingerprint", store.fingerprint)]


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    """The leaves of nested dictionaries, by dotted names."""
    if not isinstance(value, dict):
        return [(name, str(value))]
    return [leaf for key, below in value.items() for leaf in _flat(f"{name}.{key}", below)]


@dataclass(frozen=True)
class Verdict:
    """The faults of one store."""

    path: StoragePath
    n_chunks: int = 0
    missing: int = 0
    bad: dict[int, str] = field(default_factory=dict)  # chunk → fault; it can be made again
    faults: tuple[str, ...] = ()  # of the whole store; new chunks do not mend them
    beside: tuple[str, ...] = ()  # of other files, with what to do; the store itself is right

    @property
    def right(self) -> bool:
        """Whether there is no fault; chunks may be missing."""
        return not (self.bad or self.faults or self.beside)


def find_stores(where: StoragePath) -> list[StoragePath]:
    """The store at `where`, or those of a model run or of a folder of model runs; sorted.

    Raises:
        CogError: there is none.
    """
    if is_store(where):
        return [where]
    found = [path.parent for each in PATTERNS for path in where.glob(f"{each}/zarr.json")]
    if not found:
        raise CogError(
            f"no feature store at {where}",
            "give a store (runs/NAME/features/NAME.zarr), a run's folder or the folder of runs",
        )
    return sorted(found, key=str)


def clear_removed(where: StoragePath) -> int:
    """Remove what killed removals left of stores at or below `where`; gives how many."""
    if not isinstance(where, Path):
        return 0  # `find_stores` finds them there
    hidden = [each.replace("*.zarr", ".*.partial") for each in PATTERNS]
    folders = {path.parent for pattern in hidden for path in where.glob(pattern)}
    return sum(map(sweep, {where.parent, *folders}))


def summarise(path: StoragePath) -> Summary:
    """What the store at `path` holds; reads no features."""
    store = FeatureStore.open(path)
    done, size = len(store.done_chunks()), sum(files_below(path).values())
    return Summary(store, done, len(store.unreadable()), len(store.truncated()), size)


def verify(path: StoragePath, advance: Callable[[int], None] | None = None) -> Verdict:
    """Read a whole store again: checksums, marks, reasons, labels, and run.json beside it.

    Calls `advance` after each chunk. A missing chunk is no fault: extraction makes it.
    """
    try:
        store = FeatureStore.open(path)
        features, readable, labels = store.arrays("features", "readable", "labels")
    except Exception as error:  # damaged metadata make Zarr raise many things
        return Verdict(path, faults=(_fault_of(error),))
    done = store.done_chunks()
    bad = {}
    for chunk in done:
        fault = _chunk_fault(store, chunk, features, readable)
        if fault:
            bad[chunk] = fault
        if advance:
            advance(1)
    run_faults, of_run = _run_faults(store)
    faults = (*_label_faults(store, labels, readable), *run_faults)
    beside = (*_foreign_files(store), *of_run)
    return Verdict(path, store.n_chunks, store.n_chunks - len(done), bad, faults, beside)


def repair(verdict: Verdict) -> None:
    """Make the bad chunks of a store missing, so that extraction makes them again."""
    store = FeatureStore.open(verdict.path)
    for chunk in verdict.bad:
        store.forget_chunk(chunk)


def _fault_of(error: Exception) -> str:
    """The fault that an error tells of.

    That the storage is not reached is none, and raised: else `--repair` would remove what is right.
    """
    if isinstance(error, NotReached):
        raise error
    return error.what if isinstance(error, CogError) else f"cannot be read: {error}"


def _chunk_fault(store: FeatureStore, chunk: int, features: Array, marks: Array) -> str | None:
    """The fault of one chunk, if it has one."""
    rows = store.chunk_slice(chunk)
    try:
        x, readable = np.asarray(features[rows]), np.asarray(marks[rows])
        reasons = set(read_reasons(store.path, UNREADABLE, chunk))
        truncated = set(read_reasons(store.path, TRUNCATED, chunk))
    except Exception as error:  # ValueError for a wrong checksum; others for a short file
        return _fault_of(error)
    if len(x) != len(readable):
        return f"{len(x):,} rows of features, but {len(readable):,} marks"
    unreadable = {rows.start + row for row in np.flatnonzero(~readable).tolist()}
    if not np.isfinite(x[readable]).all():
        return "features that are not finite in rows marked readable"
    if not np.isnan(x[~readable]).all():
        return "features in rows marked unreadable"
    if reasons != unreadable:
        wrong = sorted(reasons ^ unreadable)
        return f"marks and reasons of unreadable images differ in rows {_some(wrong)}"
    strange = truncated - (set(range(rows.start, rows.stop)) - unreadable)
    if strange:
        return f"truncated images in rows that are not readable: {_some(sorted(strange))}"
    return None


def _label_faults(store: FeatureStore, labels: Array, readable: Array) -> list[str]:
    """The faults of the labels and of the number of rows."""
    try:
        y = np.asarray(labels[:])
    except Exception as error:  # as for chunks
        return [f"labels {_fault_of(error)}"]
    faults = []
    for name, shape in (("labels", y.shape), ("readable", readable.shape)):
        if shape != (store.rows,):
            faults.append(f"{store.rows:,} rows of features, but {name} {list(shape)}")
    if store.rows != store.fingerprint.get("rows", store.rows):
        faults.append(f"{store.rows:,} rows, but {store.fingerprint['rows']} in the fingerprint")
    if y.min(initial=0) < 0:
        faults.append(f"{(y < 0).sum():,} rows without a label")
    return faults


def _foreign_files(store: FeatureStore) -> list[str]:
    """Files among the chunks that are neither a chunk of this store nor a partial file."""
    known = {f"{chunk}/0" for chunk in store.done_chunks()}
    found = files_below(store.path / "features" / "c")
    foreign = [name for name in found if name not in known and not name.endswith(".partial")]
    where = store.path / "features" / "c"
    return (
        [f"files that are no chunks, remove them: {_some(foreign)} in {where}"] if foreign else []
    )


def _run_faults(store: FeatureStore) -> tuple[list[str], list[str]]:
    """How the fingerprint differs from run.json of its model run; what is wrong with that file."""
    faults = []
    if "format" in store.fingerprint and store.fingerprint["format"] != FORMAT:
        faults.append(f"expected feature format {FORMAT}, found {store.fingerprint['format']}")
    try:
        run = read_json(store.path.parent.parent / "run.json")
    except FileNotFoundError:  # a store that was copied elsewhere
        return faults, []
    except NotReadable:
        run = None
    if not isinstance(run, dict) or not isinstance(run.get("model_fingerprint"), str):
        return faults, ["run.json is damaged, remove that file: `cog extract` writes it again"]
    pairs = {
        "model": (store.fingerprint.get("model"), run.get("model_fingerprint")),
        "preprocess": (store.fingerprint.get("preprocess"), run.get("preprocess")),
        "dim": (store.dim // crops_in(store), run.get("dim")),
    }
    differing = [
        f"{name} {here} here, {there} in run.json"
        for name, (here, there) in pairs.items()
        if here != there
    ]
    return [*faults, *differing], []


def _some(names: Sequence[object]) -> str:
    """The first three."""
    return ", ".join(map(str, names[:3])) + (", …" if len(names) > 3 else "")
