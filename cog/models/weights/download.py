"""The weights cache: published files, fetched once. Needs no torch.

A download goes on where it stopped: the part that is here lies beside the file as `.part`, with
what the server said of it (`.part.json`), and is thrown away if the server now says otherwise, or
said nothing that would tell another file from this one. The file gets its name when it is whole and
its hash is right.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit
from uuid import uuid4

from platformdirs import user_cache_dir

from cog.errors import CogError
from cog.models.zoo import ACCESS, ZooRow
from cog.storage import write_text

Notify = Callable[[str], None]
BLOCK = 1 << 20  # bytes read at once
TRIES = 4  # of one address, each going on where the last stopped
TIMEOUT_SECONDS = 30
WAIT_SECONDS = 0.2  # before the second try; doubled for each that follows
HEADERS = {"User-Agent": "imagenet-cog"}


def weights_folder() -> Path:
    """Where weights are kept: `weights` in COG_HOME, or in the user's cache folder for `cog`."""
    return Path(os.environ.get("COG_HOME") or user_cache_dir("cog")) / "weights"


def cached(file: str) -> Path | None:
    """The path of a file of the cache, if it is there."""
    path = weights_folder() / file
    return path if path.is_file() else None


def hash_prefix(file: str) -> str:
    """The start of the SHA-256 that a name such as resnet50-0676ba61.pth gives, or nothing.

    >>> hash_prefix("resnet50-0676ba61.pth"), hash_prefix("dino_resnet50_pretrain.pth")
    ('0676ba61', '')
    """
    found = re.search(r"-([0-9a-f]{8,64})\.", file)
    return found[1] if found else ""


def published_file(row: ZooRow, notify: Notify | None = None) -> Path:
    """The weights of a row of the table, from the cache, fetched if they are not there yet.

    Raises:
        CogError: there is no such file, it must be got by hand, or the download fails.
    """
    path = cached(row.cache_file)
    if path:
        return path
    if row.access != "direct":
        raise no_download(row)
    return fetch(row.urls, row.cache_file, row.sha256, row.md5, notify)


def no_download(row: ZooRow) -> CogError:
    """Why the weights of a row are not fetched, and what to do by hand."""
    place = weights_folder() / row.cache_file
    reason = f"{row.name}: its weights are {ACCESS[row.access]}"
    if not row.loadable:
        return CogError(f"{row.name} cannot be loaded: {row.note}", "see cog models list")
    return CogError(
        f"{reason}{f' ({row.note})' if row.note else ''}",
        f"get them from {row.urls[0]} and put the file at {place}, or give --weights FILE",
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
        file: its name in the cache, which may hold a folder; by default the end of the address.
        sha256: the file's SHA-256 or the start of it; a download that differs is thrown away.
            A file that lies in the cache already is not checked again.
        md5: likewise.
        notify: told what is fetched from where.

    Raises:
        CogError: no address gives the file, with the reason of each; or no place to write.
    """
    file = file or urlsplit(urls[0]).path.rpartition("/")[2]
    path = weights_folder() / file
    if path.is_file():
        return path
    reasons = []
    for url in urls:
        try:
            with _own_part(path) as part:
                if path.is_file():  # another process was quicker
                    return path
                _download(url, part, notify or (lambda _: None))
                _check_content(part, sha256, md5)
                part.replace(path)
            return path
        except CogError as error:
            reasons.append(f"{url}: {error.what}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            reasons.append(f"{url}: {error}")
    raise CogError(
        f"cannot download {file}: {'; '.join(reasons) or 'no address is known'}",
        f"fetch it elsewhere and put it at {path}, or give --weights FILE",
    )


@contextmanager
def _own_part(path: Path) -> Iterator[Path]:
    """The partial file beside `path`, for one process at a time; another gets one of its own.

    The system takes the lock off when its process ends, however it ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock")
    with lock.open("ab") as file:
        if _locked(file, lock):
            try:
                yield path.with_name(f"{path.name}.part")
            finally:
                lock.unlink(missing_ok=True)  # while it is held: nobody may lock it afterwards
            return
    own = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        yield own
    finally:
        _forget(own)


def _locked(file: IO[bytes], lock: Path) -> bool:
    """Lock an open file; false if it is locked, is no longer at its place, or cannot be locked."""
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
    """Fill `part` with the content of an address, going on where it ends."""
    for done in range(TRIES):
        if done:
            time.sleep(WAIT_SECONDS * 2 ** (done - 1))
        try:
            if _go_on(url, part, notify):
                return
            reason: Exception = OSError("the connection ended early")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # no such range: it is another file
                _forget(part)
            elif error.code < 500:
                raise
            reason = error
        except (http.client.HTTPException, OSError) as error:
            reason = error
    raise reason


def _go_on(url: str, part: Path, notify: Notify) -> bool:
    """Read what is missing of an address into `part`; false if the connection ended early."""
    known = _what_is_here(url, part)
    start = part.stat().st_size if known else 0
    if start and start == known["size"]:
        return True
    headers = HEADERS | ({"Range": f"bytes={start}-"} if start else {})
    if start and known["validator"] and not known["validator"].startswith("W/"):
        headers["If-Range"] = known["validator"]  # weak ones are not allowed there
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        if answer.headers.get_content_type() == "text/html":
            raise CogError("a web page, not weights", "open it in a browser")
        partial = getattr(answer, "status", 200) == 206
        found, first = _what_is_offered(url, answer.headers, partial)
        if partial and (first != start or found != known):
            _forget(part)
            raise OSError("the file changed meanwhile")
        if not partial:  # from the beginning: no ranges, or another file
            _forget(part)
            write_text(_record_of(part), json.dumps(found))
        _append(answer, part, url, found["size"], notify)
    return not found["size"] or part.stat().st_size == found["size"]


def _append(answer: IO[bytes], part: Path, url: str, size: int, notify: Notify) -> None:
    """Read an answer to its end into `part`, behind what is there; `size`: of the whole, or 0."""
    from tqdm import tqdm

    with part.open("ab") as file:
        if start := file.tell():
            notify(f"going on with {url} at {start / 1e6:,.0f} of {size / 1e6:,.0f} MB")
        else:
            notify(f"downloading {url}" + (f" ({size / 1e6:,.0f} MB)" if size else ""))
        with tqdm(
            total=size or None, initial=start, unit="B", unit_scale=True,
            disable=None, leave=False, delay=1,
        ) as bar:  # fmt: skip
            while block := answer.read(BLOCK):
                file.write(block)
                bar.update(len(block))


def _what_is_offered(url: str, headers: HTTPMessage, partial: bool) -> tuple[dict[str, Any], int]:
    """What tells the file of an answer from another, and the first byte of it that comes."""
    size, first = int(headers.get("Content-Length") or 0), 0
    if partial:
        place = re.match(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range") or "")
        first, size = (int(place[1]), int(place[2])) if place else (-1, 0)
    validator = headers.get("ETag") or headers.get("Last-Modified") or ""
    return {"url": url, "size": size, "validator": validator}, first


def _what_is_here(url: str, part: Path) -> dict[str, Any]:
    """What was told of the file that `part` is the beginning of; nothing if it is of no use."""
    try:
        record = json.loads(_record_of(part).read_text(encoding="utf-8"))
        usable = record["url"] == url and (record["size"] or record["validator"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return record if usable and part.is_file() else {}


def _check_content(part: Path, sha256: str, md5: str) -> None:
    """Refuse, and throw away, a file that is not the published one."""
    try:
        with part.open("rb") as file:
            if file.read(64).lstrip()[:1] == b"<":
                raise CogError("a web page, not weights", "open it in a browser")
        for name, expected in (("sha256", sha256.lower()), ("md5", md5.lower())):
            if not expected:
                continue
            with part.open("rb") as file:
                found = hashlib.file_digest(file, name).hexdigest()
            if not found.startswith(expected):
                raise CogError(
                    f"expected a file of {name} {expected}…, found {found[: len(expected)]}…",
                    "try again later",
                )
    except CogError:
        _forget(part)
        raise
    _record_of(part).unlink(missing_ok=True)
