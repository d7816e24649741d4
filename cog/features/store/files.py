"""The files of a feature store: how it is created and removed, and its partial files cleared.

In: a storage path. Out: an empty store there, or none.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.features.store.arrays import create_array, fill_array
from cog.object_storage import Url, create_object, remove_objects
from cog.partial_files import clear_partial, partial_file, partial_name
from cog.small_files import read_json
from cog.storage import StoragePath, write_text

LAYOUT = 2  # raised when the files of a store change
_CLAIM = Path("labels", "claim.json")


def is_there(path: StoragePath) -> bool:
    """Whether a store, or on disk anything else, is at `path`."""
    return (path / "zarr.json").exists() if isinstance(path, Url) else path.exists()


def is_store(path: StoragePath) -> bool:
    """Whether a store, also one that is half made or half removed, is at `path`."""
    return (path / "zarr.json").exists() or (path / _CLAIM.as_posix()).exists()


def create_files(
    path: StoragePath,
    labels: NDArray[np.int64],
    dim: int,
    dtype: str,
    chunk_rows: int,
    fingerprint: dict[str, Any],
) -> None:
    """Make an empty store at `path`, unless another worker does: then that one stays.

    The root's metadata comes last; at a URL several workers may write the same files.

    Raises:
        CogError: the store at the URL is half removed.
    """
    rows = len(labels)
    if isinstance(path, Url):
        claim = _claim(path, {"fingerprint": fingerprint, "chunk_rows": chunk_rows})
        fingerprint, chunk_rows = claim["fingerprint"], claim["chunk_rows"]
    with _new_folder(path) as root:
        create_array(root / "features", (rows, dim), (chunk_rows, dim), dtype, np.nan)
        create_array(root / "readable", (rows,), (chunk_rows,), "bool", False)
        create_array(root / "labels", (rows,), (max(rows, 1),), "int64", -1)
        fill_array(root / "labels", labels)
        attributes = {"layout": LAYOUT, "fingerprint": fingerprint}
        group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        write_text(root / "zarr.json", json.dumps(group, indent=2) + "\n")


@contextmanager
def _new_folder(path: StoragePath) -> Iterator[StoragePath]:
    """The folder to fill: on disk a partial one, which stays away if another worker was quicker."""
    if isinstance(path, Url):
        yield path
        return
    try:
        with partial_file(path) as partial:
            yield partial
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _claim(url: Url, claim: dict[str, Any]) -> dict[str, Any]:
    """Fix the size of chunks and the fingerprint of the store at `url`; the first worker's hold."""
    file = url / _CLAIM.as_posix()
    if create_object(file, json.dumps(claim).encode()):
        return claim
    try:
        found: dict[str, Any] = read_json(file)
        if found.get("removing"):
            raise CogError(f"{url} is half removed", f"finish that first: cog store rm {url}")
        rows = found["chunk_rows"]
        if type(found["fingerprint"]) is not dict or type(rows) is not int or rows < 1:
            raise ValueError("it has no fingerprint and size of chunks")
    except (ValueError, KeyError, AttributeError) as error:
        raise CogError(f"{file} is damaged ({error})", f"type: cog store rm {url}") from error
    return found


def remove_store(path: StoragePath) -> None:
    """Remove the store at `path`, if there is one; nobody can use a half of it after a kill.

    At a URL, where nothing can be renamed, a mark says so until all is removed.
    """
    if isinstance(path, Url):
        if path.exists():
            write_text(path / _CLAIM.as_posix(), json.dumps({"removing": True}))
            (path / "zarr.json").unlink(missing_ok=True)
            for below in (path / "features", path / "readable", path):
                remove_objects(below)
        return
    hidden = partial_name(path)
    with suppress(FileNotFoundError):  # none there, or another worker was quicker
        path.rename(hidden)
        shutil.rmtree(hidden)


def clear_beside(path: Path) -> int:
    """Remove the partial stores that killed workers left beside `path`; gives how many."""
    return clear_partial(path.parent.glob(f".{path.name}.*.partial"))


def clear_inside(path: Path) -> int:
    """Remove the partial files that killed workers left in the store at `path`; gives how many."""
    return clear_partial(path.rglob("*.partial"))
