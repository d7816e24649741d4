"""The ranks of a finished cell, kept beside it: what its accuracies can be recomputed from.

`ranks/NAME.json` beside `cells/NAME.json` is one line of JSON: `ranks`, that of the right class of
every test image, in the order of the images, as base64 of zlib of little-endian uint32; and the
sha256 of the bytes of the two files that belong to it, `cell` and `classes`. It is written before
the cell: a finished cell of this version has its ranks. 20 to 90 kB for 50,000 test images.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cog.small_files import NotReadable, parse_json

_TYPE = "<u4"


@dataclass(frozen=True)
class KeptRanks:
    """The content of a file of ranks."""

    ranks: NDArray[np.int64]
    """[m], as `cog.probes.ranks` has them"""
    cell: str
    """sha256 of the cell's file"""
    classes: str
    """sha256 of the file of accuracies by class"""


def sha256(content: str | bytes) -> str:
    """The sha256 of text in UTF-8, or of bytes, in hexadecimal digits."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def ranks_text(ranks: NDArray[np.int64], cell: str, classes: str) -> str:
    """What the file of ranks holds, for the texts of the cell and of its accuracies by class."""
    packed = base64.b64encode(zlib.compress(ranks.astype(_TYPE).tobytes())).decode()
    kept = {"cell": sha256(cell), "classes": sha256(classes), "ranks": packed}
    return json.dumps(kept) + "\n"


def read_ranks(content: bytes, n_test: int) -> KeptRanks:
    """The ranks of `n_test` images from the bytes of their file; never unpacks more than these.

    Raises:
        NotReadable: it is no such file, or has another number of ranks.

    >>> kept = read_ranks(ranks_text(np.array([0, 7]), "{}", "").encode(), n_test=2)
    >>> kept.ranks.tolist(), kept.cell == sha256("{}")
    ([0, 7], True)
    """
    try:
        kept = parse_json(content)
        unpacking = zlib.decompressobj()
        size = n_test * np.dtype(_TYPE).itemsize
        packed = base64.b64decode(kept["ranks"], validate=True)
        data = unpacking.decompress(packed, size + 1)
        cell, classes = str(kept["cell"]), str(kept["classes"])
    except (KeyError, TypeError, binascii.Error, zlib.error) as error:
        raise NotReadable(f"it is no file of ranks ({type(error).__name__}: {error})") from error
    if len(data) != size or not unpacking.eof or unpacking.unused_data:
        raise NotReadable(f"it does not hold the ranks of {n_test:,} images")
    return KeptRanks(np.frombuffer(data, _TYPE).astype(np.int64), cell, classes)
