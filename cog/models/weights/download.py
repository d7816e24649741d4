"""The weights cache: published files, downloaded once. Needs no torch.

A stopped download continues: its partial file is beside the file as `.part`, with the server's
description of the whole file (`.part.json`). It is removed if the server now describes another
file, or if the description does not distinguish files. A file gets its name when it is complete
and its hash is right.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from cog.errors import CogError
from cog.models.zoo import ACCESS, ZooRow
from cog.partial_files import partial_name, sweep
from cog.progress import Notify
from cog.small_files import read_json
from cog.storage import cache_folder, write_text

BLOCK_BYTES = 1 << 20  # read at once
TRIES = 4  # of one address, each continuing the last
TIMEOUT_SECONDS = 30
WAIT_SECONDS = 0.2  # before the second try; doubled for each next one
WEB_PAGE = "a web page, not weights"
HEADERS = {"User-Agent": "imagenet-cog"}


class NotHere(CogError):
    """A file is not on this machine, and it is not to be downloaded now."""


def weights_folder() -> Path:
    """The folder of the weights: `weights` in COG_HOME, or in the user's cache folder for `cog`."""
    return cache_folder("weights")


def cached(file: str) -> Path | None:
    """The path of a file of the cache, if it is there."""
    path = weights_folder() / file
    return path if path.is_file() else None


def cached_of(url: str) -> Path | None:
    """The path of the file that `fetch` downloads from an address, if it is there."""
    return cached(_file_of(url))


def _file_of(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def hash_prefix(file: str) -> str:
    """The start of the SHA-256 in a name such as resnet50-0676ba61.pth, or nothing.

    >>> hash_prefix("resnet50-0676ba61.pth"), hash_prefix("dino_resnet50_pretrain.pth")
    ('0676ba61', '')
    """
    found = re.search(r"-([0-9a-f]{8,64})\.", file)
    return found[1] if found else ""


def published_file(row: ZooRow, notify: Notify | None = None) -> Path:
    """The path of a row's weights in the cache, downloaded if they are not there yet.

    Raises:
        CogError: the file is not public, must be obtained by hand, or cannot be downloaded.
    """
    if row.access != "direct" and not cached(row.cache_file):
        raise no_download(row)
    return fetch(row.urls, row.cache_file, row.sha256, row.md5, notify)


def no_download(row: ZooRow) -> CogError:
    """Why cog does not download the weights of a row, and what to do instead."""
    if row.access == "unpublished":
        return CogError(
            f"{row.name}: its weights are {ACCESS[row.access]}: {row.note}",
            "give --weights FILE, or --no-pretrained",
        )
    note = f" ({row.note})" if row.note else ""
    return CogError(
        f"{row.name}: its weights are {ACCESS[row.access]}{note}",
        f"get them from {row.urls[0]} and put the file at {weights_folder() / row.cache_file}, "
        "or give --weights FILE",
    )


def fetch(
    urls: Sequence[str],
    file: str = "",
    sha256: str = "",
    md5: str = "",
    notify: Notify | None = None,
) -> Path:
    """The path of a published file in the cache, downloaded if it is not there yet.

    Args:
        urls: addresses of the same file, tried in this order.
        file: its name in the cache, with / for a folder; by default the end of the address.
        sha256: the file's SHA-256 or the start of it, by default that in the name of the address;
            a download that differs is removed. A file in the cache is not checked again.
        md5: likewise.
        notify: takes the address and the size of what is downloaded.

    Raises:
        CogError: no address gives the file, with the reason for each; or it cannot be written.
    """
    file = file or _file_of(urls[0])
    path = weights_folder() / file
    if path.is_file():
        with suppress(OSError):  # a kill may have come after the rename
            _lock_of(path).unlink()
        return path
    reasons = []
    for url in urls:
        try:
            with _own_part(path) as part:
                if path.is_file():  # another process was faster
                    return path
                _download(url, part, notify or (lambda _: None))
                _check_content(part, sha256 or hash_prefix(url), md5)
                part.replace(path)
            return path
        except CogError as error:
            reasons.append(f"{url}: {error.what}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            reasons.append(f"{url}: {error}")
    raise CogError(
        f"cannot download {file}: {'; '.join(reasons) or 'no address is known'}",
        f"download it elsewhere and put it at {path}, or give --weights FILE",
    )


@contextmanager
def _own_part(path: Path) -> Iterator[Path]:
    """The partial file beside `path`, for one process at a time; a second one gets its own.

    The operating system releases the lock when its process ends, even if it is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    lock = _lock_of(path)
    with lock.open("ab") as file:
        if _locked(file, lock):
            try:
                yield path.with_name(f"{path.name}.part")
            finally:
                lock.unlink(missing_ok=True)  # while it is held: a later lock must be on a new file
            return
    own = partial_name(path)
    own.mkdir()
    try:
        yield own / path.name
    finally:
        shutil.rmtree(own)


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _locked(file: IO[bytes], lock: Path) -> bool:
    """Lock an open file; false if it is locked, was removed meanwhile, or cannot be locked."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), lock.stat())
    except (ImportError, OSError):  # not on Windows, nor on every network file system
        return False


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _record_of(part).unlink(missing_ok=True)


def _record_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _download(url: str, part: Path, notify: Notify) -> None:
    """Fill `part` with the content of an address, from where it ends."""
    for done in range(TRIES):
        if done:
            time.sleep(WAIT_SECONDS * 2 ** (done - 1))
        try:
            if _continue(url, part, notify):
                return
            reason: Exception = OSError("the connection ended early")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # no such range: the file is another one
                _forget(part)
            elif error.code < 500:
                raise
            reason = error
        except (http.client.HTTPException, OSError) as error:
            reason = error
    raise reason


def _continue(url: str, part: Path, notify: Notify) -> bool:
    """Read the rest of an address into `part`; false if the connection ended early."""
    known = _known_description(url, part)
    start = part.stat().st_size if known else 0
    if start and start == known["size"]:
        return True
    headers = HEADERS | ({"Range": f"bytes={start}-"} if start else {})
    if start and known["validator"] and not known["validator"].startswith("W/"):
        headers["If-Range"] = known["validator"]  # which allows no weak ones
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        if answer.headers.get_content_type() == "text/html":
            raise CogError(WEB_PAGE, "open it in a browser")
        partial = getattr(answer, "status", 200) == 206
        found, first = _description(url, answer.headers, partial)
        if partial and (first != start or found != known):
            _forget(part)
            raise OSError("the file changed meanwhile")
        if not partial:  # from the start: no ranges, or another file
            _forget(part)
            write_text(_record_of(part), json.dumps(found))
        _append(answer, part, url, found["size"], notify)
    return not found["size"] or part.stat().st_size == found["size"]


def _append(answer: IO[bytes], part: Path, url: str, size: int, notify: Notify) -> None:
    """Read an answer to its end and append it to `part`; `size`: of the whole file, or 0."""
    from tqdm import tqdm

    with part.open("ab") as file:
        if start := file.tell():
            notify(f"continuing {url} at {start / 1e6:,.0f} of {size / 1e6:,.0f} MB")
        else:
            notify(f"downloading {url}" + (f" ({size / 1e6:,.0f} MB)" if size else ""))
        with tqdm(
            total=size or None, initial=start, unit="B", unit_scale=True,
            disable=None, leave=False, delay=1,
        ) as bar:  # fmt: skip
            while block := answer.read(BLOCK_BYTES):
                file.write(block)
                bar.update(len(block))


def _description(url: str, headers: HTTPMessage, partial: bool) -> tuple[dict[str, Any], int]:
    """What identifies the file of an answer, and the index of the first byte that comes."""
    size, first = int(headers.get("Content-Length") or 0), 0
    if partial:
        span = re.match(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range") or "")
        first, size = (int(span[1]), int(span[2])) if span else (-1, 0)
    validator = headers.get("ETag") or headers.get("Last-Modified") or ""
    return {"url": url, "size": size, "validator": validator}, first


def _known_description(url: str, part: Path) -> dict[str, Any]:
    """The description of the file that `part` begins; nothing if it is of no use."""
    try:
        record = read_json(_record_of(part))
        known = type(record["size"]) is int and isinstance(record["validator"], str)
        usable = known and record["url"] == url and (record["size"] or record["validator"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return record if usable and part.is_file() else {}


def _check_content(part: Path, sha256: str, md5: str) -> None:
    """Refuse and remove a file that is not the published one."""
    with part.open("rb") as file:
        wrong = WEB_PAGE if file.read(64).lstrip()[:1] == b"<" else ""
        for name, expected in (("sha256", sha256.lower()), ("md5", md5.lower())):
            file.seek(0)
            found = hashlib.file_digest(file, name).hexdigest() if expected else ""
            if not wrong and not found.startswith(expected):
                found = found[: len(expected)]
                wrong = f"expected a file with {name} {expected}…, found {found}…"
    if wrong:
        _forget(part)
        raise CogError(wrong, "try again later")
    _record_of(part).unlink(missing_ok=True)
