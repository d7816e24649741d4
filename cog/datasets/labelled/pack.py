"""Images that are no files of their own: kept in one tar, under a name that tells its content.

The tar lies in the user's cache folder (COG_HOME), and equal images are kept once. It is written
beside and renamed, so that it is whole or absent.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cog.partial_files import partial_file
from cog.storage import cache_folder

Packed = tuple[Path, NDArray[np.int64]]
"""the tar, and int64 [m, 3] as `Listing.spans` has them: 0, offset, size"""


def pack(images: Iterable[tuple[str, bytes]]) -> Packed:
    """Keep images, each with a name of its own, in a tar.

    Raises:
        OSError: the cache folder cannot be written, or is full.
    """
    folder = cache_folder("packs")
    folder.mkdir(parents=True, exist_ok=True)
    digest, spans = hashlib.sha256(), []
    with tempfile.TemporaryFile(dir=folder) as made:
        with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, data in images:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
                padded = -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                spans.append((0, tar.offset - padded, len(data)))
                digest.update(f"{name}\0{len(data)}\0".encode())
                digest.update(data)
        path = folder / f"{digest.hexdigest()[:32]}.tar"
        if not path.is_file() or path.stat().st_size != made.tell():
            made.seek(0)
            with partial_file(path) as partial, partial.open("wb") as out:
                shutil.copyfileobj(made, out)
    return path, np.array(spans, np.int64).reshape(-1, 3)
