"""The weights cache: published files, fetched once. Needs no torch.

A download goes on where it stopped: the part that is here lies beside the file as `.part`, with
what the server said of it (`.part.json`), and is thrown away if the server now says otherwise. The
file gets its name when it is whole and its hash is right.
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
from pathlib import Path
from typing import Any

from platformdirs import user_cache_dir

from cog.atomic import write_text
from cog.errors import CogError
from cog.models.zoo import ACCESS, ZooRow

Notice = Callable[[str], None]
BLOCK = 1 << 20  # bytes read at once
TRIES = 4  # of one address, each going on where the last stopped
TIMEOUT_SECONDS = 30
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


def published_file(row: ZooRow, notice: Notice | None = None) -> Path:
    """The weights of a row of the table, from the cache, fetched if they are not there yet.

    Raises:
        CogError: there is no such file, it must be got by hand, or the download fails.
    """
    path = cached(row.cache_file)
    if path:
        return path
    if row.access != "direct":
        raise no_download(row)
    return fetch(row.urls, row.cache_file, row.sha256, row.md5, notice)


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
    notice: Notice | None = None,
) -> Path:
    """The path of a published file in the cache, downloaded if it is not there yet.

    Args:
        urls: addresses of the same file, tried in this order.
        file: its name in the cache, which may hold a folder; by default the end of the address.
        sha256: the file's SHA-256 or the start of it; a download that differs is thrown away.
        md5: likewise.
        notice: told what is fetched from where.

    Raises:
        CogError: no address gives the file, with the reason of each; or no place to write.
    """
    file = file or urls[0].rpartition("/")[2]
    path = weights_folder() / file
    if path.is_file():
        return path
    reasons = []
    for url in urls:
        try:
            with _own_part(path) as part:
                _download(url, part, notice or (lambda _: None))
                _check_content(part, sha256, md5)
                part.replace(path)
            return path
        except CogError as error:
            reasons.append(f"{url}: {error.what}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            reasons.append(f"{url}: {error}")
    raise CogError(
        f"cannot download {file}: {'; '.join(reasons)}",
        f"fetch it elsewhere and put it at {path}, or give --weights FILE",
    )


@contextmanager
def _own_part(path: Path) -> Iterator[Path]:
    """The partial file beside `path`, for one process at a time; another gets one of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock")
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        if _alive(lock):
            own = path.with_name(f"{path.name}.{os.getpid()}.part")
            try:
                yield own
            finally:
                _forget(own)
            return
    lock.write_text(str(os.getpid()), encoding="ascii")
    try:
        yield path.with_name(f"{path.name}.part")
    finally:
        lock.unlink(missing_ok=True)


def _alive(lock: Path) -> bool:
    """Whether the process that holds the lock still runs on this machine, or may elsewhere."""
    try:
        os.kill(int(lock.read_text(encoding="ascii")), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except (OSError, ValueError):  # somebody else's process, or the number is just being written
        return True
    return True


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _record_of(part).unlink(missing_ok=True)


def _record_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _download(url: str, part: Path, notice: Notice) -> None:
    """Fill `part` with the content of an address, going on where it ends."""
    for left in reversed(range(TRIES)):
        try:
            if _go_on(url, part, notice):
                return
            reason: Exception = OSError("the connection ended early")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 416 and error.code < 500:  # 416: no such range, the part is stale
                raise
            if error.code == 416:
                _forget(part)
            reason = error
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            reason = error
        if not left:
            raise reason
        time.sleep(min(1.0, 0.1 * 2 ** (TRIES - left)))


def _go_on(url: str, part: Path, notice: Notice) -> bool:
    """Read what is missing of an address into `part`; false if the connection ended early."""
    from tqdm import tqdm

    record = _read_record(part)
    start = part.stat().st_size if part.exists() and record.get("url") == url else 0
    headers = HEADERS | ({"Range": f"bytes={start}-"} if start else {})
    if start and record.get("validator"):
        headers["If-Range"] = record["validator"]
    with urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS
    ) as answer:
        if answer.headers.get_content_type() == "text/html":
            raise CogError("a web page, not weights", "open it in a browser")
        if getattr(answer, "status", 200) != 206:  # from the beginning: no ranges, or another file
            start = 0
        total = start + int(answer.headers.get("Content-Length") or 0)
        validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        write_text(_record_of(part), json.dumps({"url": url, "validator": validator}))
        if start:
            notice(f"going on with {url} at {start / 1e6:,.0f} of {total / 1e6:,.0f} MB")
        else:
            notice(f"downloading {url}" + (f" ({total / 1e6:,.0f} MB)" if total else ""))
        with (
            part.open("ab" if start else "wb") as file,
            tqdm(total=total or None, initial=start, unit="B", unit_scale=True,
                 disable=None, leave=False, delay=1) as bar,
        ):  # fmt: skip
            while block := answer.read(BLOCK):
                file.write(block)
                bar.update(len(block))
    return not total or part.stat().st_size >= total


def _read_record(part: Path) -> dict[str, Any]:
    try:
        record = json.loads(_record_of(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _check_content(part: Path, sha256: str, md5: str) -> None:
    """Refuse, and throw away, a file that is not the published one."""
    _record_of(part).unlink(missing_ok=True)
    for name, expected in (("sha256", sha256), ("md5", md5)):
        if not expected:
            continue
        with part.open("rb") as file:
            found = hashlib.file_digest(file, name).hexdigest()
        if not found.startswith(expected):
            part.unlink()
            raise CogError(
                f"expected a file of {name} {expected}…, found {found[: len(expected)]}…",
                "try again later",
            )
    with part.open("rb") as file:
        if file.read(64).lstrip()[:1] == b"<":
            part.unlink()
            raise CogError("a web page, not weights", "open it in a browser")
