"""Tars that no program writes: each breaks what readers of tars take for granted."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

GIGABYTES = 8 << 30


def header(name: str = "x.jpg", kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    """One block; a `size` that octal digits cannot hold is written in base 256."""
    member = tarfile.TarInfo(name)
    member.type = kind
    block = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    if size < 0 or size >= 8**11:
        block[124:136] = (255 if size < 0 else 128).to_bytes() + size.to_bytes(11, signed=True)
    else:
        block[124:136] = b"%011o " % size
    return checked(block)


def checked(block: bytearray) -> bytes:
    """A header with its checksum."""
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def extended(*records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """A PAX header with some records."""
    content = b""
    for record in records:
        length = len(record) + 3
        while len(b"%d %s\n" % (length, record)) != length:
            length += 1
        content += b"%d %s\n" % (length, record)
    return block_of(content, kind)


def block_of(content: bytes, kind: bytes) -> bytes:
    """A header and its content in whole blocks."""
    return header("@Extended", kind, len(content)) + content + bytes(-len(content) % 512)


def _sparse(isextended: bool) -> bytes:
    """An old GNU header of a sparse member, without its blocks."""
    block = bytearray(header("x.jpg", tarfile.GNUTYPE_SPARSE, 512))
    block[386:482] = b"garbage " * 12
    block[482] = isextended
    return checked(block)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a negative size": lambda: header(size=-512) + bytes(1024),
    "a very negative size": lambda: header(size=-(2**70)) + bytes(1024),
    "a size of 2**62 bytes": lambda: header(size=2**62) + bytes(1024),
    "a size of 2**80 bytes": lambda: header(size=2**80) + bytes(1024),
    "a PAX size below 0": lambda: extended(b"size=-1024") + header() + bytes(1024),
    "a PAX size of 200 digits": lambda: extended(b"size=" + b"9" * 200) + header() + bytes(1024),
    "a PAX record of length 0": lambda: block_of(b"0 a=b\n", tarfile.XHDTYPE) + header(),
    "a PAX record that never ends": lambda: block_of(b"999 a=b\n", tarfile.XHDTYPE) + header(),
    "a sparse map of text": lambda: extended(b"GNU.sparse.map=a,b,c") + header() + bytes(1024),
    "a sparse map in the data that is no number": lambda: (
        extended(b"GNU.sparse.major=1", b"GNU.sparse.minor=0")
        + header(size=512)
        + b"many\n" * 102
        + bytes(1026)
    ),
    "an old sparse header of garbage": lambda: _sparse(False) + bytes(1536),
    "sparse headers without an end": lambda: _sparse(True) + (b"7" * 504 + b"\1" * 8) * 4000,
    "5,000 long names": lambda: block_of(b"a" * 9, tarfile.GNUTYPE_LONGNAME) * 5000 + header(),
    "5,000 PAX headers": lambda: extended(b"path=x.jpg") * 5000 + header() + bytes(1024),
    "5,000 global headers": lambda: extended(b"a=b", kind=tarfile.XGLTYPE) * 5000 + header(),
}


GIGABYTES_OF = {"8 GB of long names": tarfile.GNUTYPE_LONGNAME, "8 GB of PAX": tarfile.XHDTYPE}
FAULTS = (*HOSTILE, *GIGABYTES_OF)


def write_hostile(path: Path, fault: str) -> None:
    """A whole member, and then the fault."""
    if fault in GIGABYTES_OF:
        path.write_bytes(header("@LongLink", GIGABYTES_OF[fault], GIGABYTES))
        os.truncate(path, GIGABYTES + 4096)  # a hole: it takes no room
        return
    path.write_bytes(header("first.jpg", size=3) + b"abc" + bytes(509) + HOSTILE[fault]())
