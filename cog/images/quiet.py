"""Pillow is kept from printing on stderr what the reason of an unreadable image says too.

libtiff, as Pillow has it, prints a line for each error; here it is told not to, on Linux. Nothing
is redirected: whatever else writes to stderr is seen.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from pathlib import Path


@functools.cache
def silence_pillow() -> None:
    """Silence libtiff of Pillow where it is found, and Pillow's log.

    What Pillow logs goes on to the handlers that a user has, and to stderr no more without them.
    """
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    for library in _loaded("libtiff", beside="/pillow.libs/"):
        ctypes.CDLL(library).TIFFSetErrorHandler(None)


def _loaded(name: str, beside: str) -> list[str]:
    """The paths of the loaded libraries of that name in a wheel's folder of libraries."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:  # not Linux
        return []
    paths = {fields[5] for line in lines if len(fields := line.split(maxsplit=5)) == 6}
    return sorted(path for path in paths if beside in path and Path(path).name.startswith(name))
