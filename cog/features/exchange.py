"""Features of other code: the official X_Y.pth, and .npz.

In: such a file, or one of our stores. Out: a FeatureSet, or the official file.

- The official layout is what `torch.save` makes of {"X": float32[m, d], "Y": int64[m], "name":
  text} (the public code's extract_features.py and feature_ops.py).
- An .npz holds arrays X and Y.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.features.store.store import FeatureStore
from cog.object_storage import Url
from cog.partial_files import partial_file
from cog.storage import StoragePath

HINT = "give a feature store, a .pth with X and Y, or an .npz with X and Y"


@dataclass(frozen=True)
class FeatureSet:
    """Features of m images and their labels."""

    x: NDArray[Any]
    """float16 or float32 [m, d]"""
    y: NDArray[np.int64]
    """[m], at least 0"""
    name: str


def read_features(path: StoragePath) -> FeatureSet:
    """The features of a store (its readable images), an X_Y.pth or an .npz.

    Raises:
        CogError: there is no such file, it has another layout, or it would run code.
    """
    if isinstance(path, Url) or path.is_dir():
        x, y = FeatureStore.open(path).read()
        return FeatureSet(x, y, path.stem)
    if not path.is_file():
        raise CogError(f"no features at {path}", HINT)
    content = _read_npz(path) if path.suffix == ".npz" else _read_pth(path)
    missing = [key for key in ("X", "Y") if key not in content]
    if missing:
        raise CogError(f"expected X and Y in {path}, found {list(content)}", HINT)
    return _checked(path, content["X"], content["Y"], str(content.get("name", path.stem)))


def write_features(path: Path, features: FeatureSet) -> None:
    """Write the official layout: X float32, Y int64, name; whole or not at all.

    Equal features give equal bytes: `torch.save` would put the name of a file that it opens into
    the file, and of one that is open it knows no name.
    """
    import torch

    content = {
        "X": torch.from_numpy(features.x.astype(np.float32)),
        "Y": torch.from_numpy(features.y.astype(np.int64)),
        "name": features.name,
    }
    with partial_file(path) as partial, partial.open("wb") as file:
        torch.save(content, file)


def _read_npz(path: Path) -> Mapping[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise CogError(f"{path} cannot be read: {error}", HINT) from error


def _read_pth(path: Path) -> Mapping[str, Any]:
    import torch

    from cog.models.weights.reading import read_safely

    try:
        content = read_safely(path)
    except CogError as error:
        raise CogError(f"{path} cannot be read: {error.what}", HINT) from error
    if not isinstance(content, Mapping):
        raise CogError(f"expected X and Y in {path}, found a {type(content).__name__}", HINT)
    return {
        key: value.numpy() if isinstance(value, torch.Tensor) else value
        for key, value in content.items()
    }


def _checked(path: Path, x: Any, y: Any, name: str) -> FeatureSet:
    x, y = np.asarray(x), np.asarray(y)
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise CogError(
            f"{path}: expected Y as whole numbers [m], found {y.dtype} {list(y.shape)}",
            "give one label an image",
        )
    if x.ndim != 2 or len(x) != len(y) or not np.issubdtype(x.dtype, np.floating):
        raise CogError(
            f"{path}: expected X as float [{len(y)}, d], found {x.dtype} {list(x.shape)}", HINT
        )
    if len(y) and y.min() < 0:
        raise CogError(
            f"{path}: expected labels from 0 up in Y, found {y.min()}", "number the classes from 0"
        )
    if x.dtype not in (np.float16, np.float32):
        x = x.astype(np.float32)
    return FeatureSet(x, y.astype(np.int64), name)
