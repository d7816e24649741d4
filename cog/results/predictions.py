"""The predictions of a finished cell, kept beside it: the classes that came first for each image.

`predictions/NAME.json` beside `cells/NAME.json` is one line of JSON: `highest`, the min(5, c)
classes that came first for every test image, in the order of the images, as base64 of zlib of
little-endian uint16 (uint32 with more than 65,535 classes); their `type`; `n_classes`, c, which as
a class stands for none; and the sha256 of the bytes of the `cell`. It is written before the cell.
About 0.5 MB for 50,000 test images.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cog.probes.data import HIGHEST
from cog.results.ranks import sha256
from cog.small_files import NotReadable, parse_json


@dataclass(frozen=True)
class KeptPredictions:
    """The content of a file of predictions."""

    highest: NDArray[np.int64]
    """[m, min(5, c)], as `cog.probes.ranks.Placed` has them"""
    cell: str
    """sha256 of the cell's file"""

    def ranks(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """The ranks int64[m] of the right classes; of those not among the highest, how many are."""
        found = self.highest == labels[:, None]
        ranks: NDArray[np.int64] = np.where(
            found.any(axis=1), found.argmax(axis=1), self.highest.shape[1]
        )
        return ranks


def predictions_text(highest: NDArray[np.int64], n_classes: int, cell: str) -> str:
    """What the file of predictions holds, for the text of the cell."""
    data = highest.astype(_type(n_classes)).tobytes()
    packed = base64.b64encode(zlib.compress(data)).decode()
    kept = {
        "cell": sha256(cell), "n_classes": n_classes, "type": _type(n_classes), "highest": packed,
    }  # fmt: skip
    return json.dumps(kept) + "\n"


def most_bytes(n_test: int) -> int:
    """The most bytes that the file of `n_test` images can have: packing may add a little."""
    return 7 * HIGHEST * n_test + 65_536


def read_predictions(content: bytes, n_test: int, n_classes: int) -> KeptPredictions:
    """The predictions of `n_test` images among `n_classes` from the bytes of their file.

    Never unpacks more than these.

    Raises:
        NotReadable: it is no such file, or has predictions of others.

    >>> kept = read_predictions(predictions_text(np.array([[1, 0]]), 2, "{}").encode(), 1, 2)
    >>> kept.highest.tolist(), kept.ranks(np.array([0])).tolist()
    ([[1, 0]], [1])
    """
    width, kind = min(HIGHEST, n_classes), np.dtype(_type(n_classes))
    size = n_test * width * kind.itemsize
    try:
        kept = parse_json(content, most_bytes(n_test))
        unpacking = zlib.decompressobj()
        packed = base64.b64decode(kept["highest"], validate=True)
        data = unpacking.decompress(packed, size + 1)
        cell, same = str(kept["cell"]), (kept["n_classes"], kept["type"]) == (n_classes, kind.str)
    except (KeyError, TypeError, binascii.Error, ValueError, zlib.error) as error:
        raise NotReadable(
            f"it is no file of predictions ({type(error).__name__}: {error})"
        ) from error
    if not same or len(data) != size or not unpacking.eof or unpacking.unused_data:
        raise NotReadable(
            f"it does not hold the predictions of {n_test:,} images among {n_classes:,} classes"
        )
    highest = np.frombuffer(data, kind).reshape(n_test, width).astype(np.int64)
    if highest.max(initial=0) > n_classes:
        raise NotReadable(f"it has class {highest.max():,} of {n_classes:,}")
    return KeptPredictions(highest, cell)


def _type(n_classes: int) -> str:
    return "<u2" if n_classes <= np.iinfo(np.uint16).max else "<u4"
