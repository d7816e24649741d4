"""The layer that a linear probe has fitted, kept so that other images can be scored later.

As a file it is safetensors: `layer` float32 [c, d + 1], weights and in the last column biases; if
features are standardised, `mean` and `factor` float32 [d]; and the text that is kept with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

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

    @property
    def n_bytes(self) -> int:
        """Bytes of the layer."""
        return self.layer.nbytes

    def among(self, classes: NDArray[np.int64]) -> Head:
        """The head that answers with these classes alone, int64[c']."""
        return replace(self, layer=self.layer[classes])


def head_bytes(head: Head, about: Mapping[str, str]) -> bytes:
    """A head as a file, with texts about it."""
    from safetensors.numpy import save

    arrays = {"layer": head.layer, "mean": head.mean, "factor": head.factor}
    kept = {name: np.ascontiguousarray(each) for name, each in arrays.items() if each is not None}
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
        to_length_1 = {"True": True, "False": False}[about.pop("to_length_1")]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise NotReadable(f"it is no head of a probe ({type(error).__name__}: {error})") from error
    assert layer is not None
    return Head(layer, to_length_1, mean, factor), about


def _about(data: bytes) -> dict[str, str]:
    """The texts in the head of a safetensors file: JSON after its length in eight bytes."""
    size = int.from_bytes(data[:8], "little")
    known = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][_ABOUT])
    return {str(key): str(value) for key, value in known.items()}
