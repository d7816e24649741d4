"""Files are opened only if they are plain: a FIFO would wait for ever, and a device never ends."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
}
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)  # else to open a FIFO waits for its writer
_OWN = getattr(os, "O_NOFOLLOW", 0)


def kind_of_file(mode: int) -> str:
    """What a `st_mode` is of, if that is no plain file; else empty.

    >>> kind_of_file(0o010644), kind_of_file(0o100644)
    ('a FIFO', '')
    """
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no plain file")


def open_plain(file: Path, *, buffering: int = -1, follow: bool = True) -> BinaryIO:
    """A file opened for its bytes; with `follow` off a link is refused too.

    Raises:
        OSError: it is not there, cannot be read, or is no plain file.
    """

    if "\0" in str(file):
        raise OSError(errno.EINVAL, "its name has a NUL in it", str(file))

    def opener(name: str, flags: int) -> int:
        number = os.open(name, flags | _AT_ONCE | (0 if follow else _OWN))
        if kind := kind_of_file(os.fstat(number).st_mode):
            os.close(number)
            raise OSError(errno.EINVAL, f"it is {kind}, and no plain file", name)
        return number

    return open(file, "rb", buffering, opener=opener)
