"""Features of other code: the official X_Y.pth, and .npz.

In: such a file, or one of our stores. Out: a FeatureSet, or the official file.

- The official layout is what `torch.save` makes of {"X": float32[m, d], "Y": int64[m], "name":
  text} (the public code's extract_features.py and feature_ops.py).
- An .npz holds arrays X and Y.
- Either may have `classes` beside them, a list of texts: the names of the labels 0, 1, ….
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.errors import CogError
from cog.features.run_stores import crops_in, tokens_in
from cog.features.store.store import FeatureStore
from cog.models.weights.zips import refuse_zip_bomb
from cog.object_storage import Url
from cog.partial_files import partial_file
from cog.rounding import refuse_worn, require_fit
from cog.storage import StoragePath

HINT = "give a feature store, a .pth with X and Y, or an .npz with X and Y"
LONGEST_NAME = 1000


@dataclass(frozen=True)
class FeatureSet:
    """Features of m images and their labels."""

    x: NDArray[Any]
    """float16 or float32 [m, d]"""
    y: NDArray[np.int64]
    """[m], at least 0"""
    name: str
    classes: tuple[str, ...] = ()
    """the names of labels 0, 1, …, where they are known"""


def read_features(path: StoragePath) -> FeatureSet:
    """The features of a store (its readable images), an X_Y.pth or an .npz.

    Raises:
        CogError: there is no such file, it has another layout, or it would run code.
    """
    if isinstance(path, Url) or path.is_dir():
        store = FeatureStore.open(path)
        if crops_in(store) > 1:
            raise CogError(
                f"expected one vector an image, found those of {crops_in(store)} crops in {path}",
                "take the features of a run without --views",
            )
        if tokens_in(store) > 1:
            raise CogError(
                f"expected one vector an image, found {tokens_in(store)} tokens in {path}",
                "take the features of a run without --tokens",
            )
        x, y = store.read()
        return FeatureSet(x, y, path.stem)
    if not path.is_file():
        raise CogError(f"no features at {path}", HINT)
    content = _read_npz(path) if path.suffix == ".npz" else _read_pth(path)
    if not {"X", "Y"} <= content.keys():
        raise CogError(f"expected X and Y in {path}, found {list(content)[:5]}", HINT)
    x, y = (_as_array(path, key, content[key]) for key in ("X", "Y"))
    features = _checked(path, x, y, content.get("name", path.stem))
    return replace(features, classes=_classes(path, content.get("classes"), features.y))


def write_features(path: Path, features: FeatureSet) -> None:
    """Write the official layout: X float32, Y int64, name, and classes if there are any.

    It is written whole or not at all.

    Equal features give equal bytes: `torch.save` would put the name of a file that it opens into
    the file, and of one that is open it knows no name.

    Raises:
        CogError: features that are too small for the type that they have (see cog/rounding.py).
    """
    import torch

    refuse_worn(features.x, None, features.name, "extract them again with --dtype float32")
    content: dict[str, Any] = {
        "X": torch.from_numpy(features.x.astype(np.float32)),
        "Y": torch.from_numpy(features.y.astype(np.int64)),
        "name": features.name,
    }
    if features.classes:
        content["classes"] = list(features.classes)
    with partial_file(path) as partial, partial.open("wb") as file:
        torch.save(content, file)


def _read_npz(path: Path) -> Mapping[str, Any]:
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no zip of arrays")
        refuse_zip_bomb(path)
        with np.load(path, allow_pickle=False) as file:
            wanted = [key for key in ("X", "Y", "name", "classes") if key in file.files]
            return dict.fromkeys(file.files) | {key: file[key] for key in wanted}
    except CogError:
        raise
    except Exception as error:  # zlib, zipfile and numpy raise nearly anything for damaged files
        raise CogError(f"{path} cannot be read: {_reason(error)}", HINT) from error


def _reason(error: Exception) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".rstrip(": ")


def _read_pth(path: Path) -> Mapping[str, Any]:
    from cog.models.weights.reading import read_safely

    try:
        content = read_safely(path)
    except CogError as error:
        raise CogError(f"{path} cannot be read: {error.what}", HINT) from error
    if not isinstance(content, Mapping):
        raise CogError(f"expected X and Y in {path}, found a {type(content).__name__}", HINT)
    return {str(key)[:80]: content[key] for key in content if isinstance(key, str)}


def _as_array(path: Path, key: str, value: Any) -> NDArray[Any]:
    """X or Y as an array: from an array, a tensor, or a list of whole numbers."""
    if isinstance(value, np.ndarray):
        return value
    try:
        if isinstance(value, list) and all(type(each) is int for each in value):
            return np.array(value, np.int64)
        import torch

        if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
            raise TypeError(f"found {getattr(value, 'layout', type(value).__name__)}")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise ValueError(f"found values repeated to the shape {list(value.shape)}")
        value = value.detach()
        small = value.dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
        array: NDArray[Any] = (value.float() if small else value).numpy()
        return array
    except Exception as error:  # torch's tensors have many forms that are no arrays
        raise CogError(
            f"{path}: expected {key} as an array or a tensor: {_reason(error)}", HINT
        ) from error


def _checked(path: Path, x: NDArray[Any], y: NDArray[Any], name: Any) -> FeatureSet:
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise CogError(
            f"{path}: expected Y as whole numbers [m], found {y.dtype} {list(y.shape)}",
            "give one label an image",
        )
    if x.ndim != 2 or len(x) != len(y) or not np.issubdtype(x.dtype, np.floating):
        raise CogError(
            f"{path}: expected X as float [{len(y)}, d], found {x.dtype} {list(x.shape)}", HINT
        )
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < 2**63:
        raise CogError(
            f"{path}: expected labels from 0 up in Y, found {y.min()}…{y.max()}",
            "number the classes from 0, and leave out images without a class",
        )
    name = name.item() if isinstance(name, np.ndarray) and name.ndim == 0 else name
    if not isinstance(name, str) or not name.isprintable() or len(name) > LONGEST_NAME:
        raise CogError(f"{path}: expected name as a short text", HINT)
    if x.dtype not in (np.float16, np.float32):
        if np.isfinite(x).all():  # else probes say in which row
            require_fit(x, "float32", str(path))
        x = x.astype(np.float32)
    return FeatureSet(x, y.astype(np.int64), name)


def _classes(path: Path, given: Any, y: NDArray[np.int64]) -> tuple[str, ...]:
    """The names of classes; none where there are none."""
    names = given.tolist() if isinstance(given, np.ndarray) else given
    if names is None:
        return ()
    texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not texts or len(set(names)) < len(names) or int(y.max(initial=-1)) >= len(names):
        raise CogError(
            f"{path}: expected classes as a list of different names, one for each label from 0 up",
            "leave classes out, or write the names in the order of labels",
        )
    return tuple(names)


def by_names(train: FeatureSet, test: FeatureSet) -> tuple[FeatureSet, FeatureSet]:
    """Both sets with labels that count the names of both together, where both tell names."""
    if not (train.classes and test.classes) or train.classes == test.classes:
        return train, test
    names = tuple(sorted({*train.classes, *test.classes}))
    at = {name: index for index, name in enumerate(names)}
    of = [np.array([at[name] for name in part.classes], np.int64) for part in (train, test)]
    return (
        replace(train, y=of[0][train.y], classes=names),
        replace(test, y=of[1][test.y], classes=names),
    )


def in_common_classes(
    train: FeatureSet, test: FeatureSet
) -> tuple[FeatureSet, FeatureSet, int, tuple[str, ...]]:
    """Both sets with their classes as 0…n−1, how many classes they have together, and notes.

    Labels without gaps stay as they are; others are renumbered in their order. The notes, a line
    each, say so, and name classes of test images that have no training images.

    Raises:
        CogError: the two have no class in common.
    """
    learnt, tested = np.unique(train.y), np.unique(test.y)
    labels = np.union1d(learnt, tested)
    notes = []
    if len(labels) and labels[-1] != len(labels) - 1:
        notes.append(
            f"the {len(labels):,} labels lie between {labels[0]} and {labels[-1]}: renumbered "
            f"0…{len(labels) - 1}, in their order"
        )
    alone = np.setdiff1d(tested, learnt)
    if len(alone) and len(alone) == len(tested):
        raise CogError(
            f"expected test images of classes that have training images, found the labels "
            f"{_range(tested)} in {test.name} and {_range(learnt)} in {train.name}",
            "number the classes of both files alike",
        )
    if len(alone):
        notes.append(
            f"{len(alone):,} of {len(labels):,} classes have test images and no training images: "
            f"their {int(np.isin(test.y, alone).sum()):,} test images count as wrong"
        )
    if len(labels) and labels[-1] != len(labels) - 1:
        train, test = (replace(part, y=np.searchsorted(labels, part.y)) for part in (train, test))
    return train, test, len(labels), tuple(notes)


def label_names(train: FeatureSet, test: FeatureSet) -> tuple[tuple[str, ...], str]:
    """What the classes of both sets together are called, and by what: "name" or "label".

    By name where the training images tell the names of all of these labels.
    """
    labels = np.union1d(train.y, test.y).tolist()
    if train.classes and labels and labels[-1] < len(train.classes):
        return tuple(train.classes[label] for label in labels), "name"
    return tuple(map(str, labels)), "label"


def _range(labels: NDArray[np.int64]) -> str:
    return f"{labels[0]}…{labels[-1]}" if len(labels) else "none"
