"""The layer that a linear probe has fitted, kept so that other images can be scored later.

As a file it is safetensors: `layer` float32 [c, d + 1], weights and in the last column biases; if
features are standardised, `mean` and `factor` float32 [d]; `classes` uint8, the names of the c
classes in UTF-8 with a zero byte between them; and the texts that are kept with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.small_files import NotReadable

Floats = NDArray[np.float32]
_ABOUT = "about"


@dataclass(frozen=True, eq=False)
class Head:
    """A linear layer, and how it takes features."""

    layer: Floats
    """[c, d + 1], weights and biases; a class that was never learnt has bias −infinity"""
    to_length_1: bool
    """whether features are scaled to length 1"""
    mean: Floats | None = None
    """[d], taken from features if these are standardised"""
    factor: Floats | None = None
    """[d], which then multiplies them"""
    classes: tuple[str, ...] = ()
    """the names of the c classes, where they are known"""

    @property
    def n_bytes(self) -> int:
        """Bytes of the layer."""
        return self.layer.nbytes

    def among(self, classes: NDArray[np.int64]) -> Head:
        """The head that answers with these classes alone, int64[c']."""
        names = tuple(self.classes[at] for at in classes.tolist()) if self.classes else ()
        return replace(self, layer=self.layer[classes], classes=names)


def head_bytes(head: Head, about: Mapping[str, str]) -> bytes:
    """A head as a file, with texts about it."""
    from safetensors.numpy import save

    arrays = {"layer": head.layer, "mean": head.mean, "factor": head.factor}
    kept: dict[str, NDArray[Any]] = {
        name: np.ascontiguousarray(each) for name, each in arrays.items() if each is not None
    }
    if head.classes:
        kept["classes"] = np.frombuffer("\0".join(head.classes).encode(), np.uint8)
    known = {**about, "to_length_1": str(head.to_length_1)}
    return bytes(
        save(kept, {_ABOUT: json.dumps(known, sort_keys=True)})
    )  # the order of several is open


def read_head(data: bytes) -> tuple[Head, dict[str, str]]:
    """A head, and the texts about it, from the bytes of its file.

    Raises:
        NotReadable: it is no such file.

    >>> kept = head_bytes(Head(np.ones((2, 4), np.float32), True), {"probe": "ncm"})
    >>> head, about = read_head(kept)
    >>> head.layer.shape, head.to_length_1, about["probe"]
    ((2, 4), True, 'ncm')
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        about = _about(data)
        layer, mean, factor = (arrays.get(name) for name in ("layer", "mean", "factor"))
        width = -1 if layer is None or layer.ndim != 2 else layer.shape[1] - 1
        shapes = [each.shape for each in (mean, factor) if each is not None]
        if width < 1 or shapes not in ([], [(width,), (width,)]):
            raise ValueError("expected a layer [c, d + 1], and both or none of mean and factor [d]")
        if any(each is not None and each.dtype != np.float32 for each in (layer, mean, factor)):
            raise ValueError("expected float32")
        classes = _names(arrays.get("classes"), -1 if layer is None else len(layer))
        to_length_1 = {"True": True, "False": False}[about.pop("to_length_1")]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise NotReadable(f"it is no head of a probe ({type(error).__name__}: {error})") from error
    assert layer is not None
    return Head(layer, to_length_1, mean, factor, classes), about


def _names(kept: NDArray[Any] | None, count: int) -> tuple[str, ...]:
    """The names of classes; none in a file without them."""
    if kept is None:
        return ()
    names = tuple(kept.tobytes().decode().split("\0"))
    if kept.dtype != np.uint8 or len(set(names)) != len(names) or len(names) != count:
        raise ValueError(f"expected the names of {count} classes")
    return names


def _about(data: bytes) -> dict[str, str]:
    """The texts in the head of a safetensors file: JSON after its length in eight bytes."""
    size = int.from_bytes(data[:8], "little")
    known = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][_ABOUT])
    return {str(key): str(value) for key, value in known.items()}
