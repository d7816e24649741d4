"""Downloads: continued, checked, from the first address that has the file; or by hand."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cog.errors import CogError
from cog.models.weights import download
from cog.models.weights.download import (
    cached,
    fetch,
    hash_prefix,
    no_download,
    published_file,
    weights_folder,
)
from cog.models.zoo import read_zoo
from tests.support.runs import HANGS_SECONDS

CONTENT = bytes(range(256)) * 4096  # a megabyte
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; `drops` answers stop half-way; `ranges` may be off, or wrong by `shift`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.tag = '"one"'
        self.drops = 0
        self.ranges = True
        self.shift = 0
        self.tells_length = True
        self.errors: list[int] = []
        self.kind = "application/octet-stream"
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/net.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        state = self.server
        state.asked.append(self.headers.get("Range"))
        start, size = self.first_byte(), len(state.content)
        if state.errors:
            self.send_error(state.errors.pop(0))
        elif self.path.partition("?")[0] != "/net.pth":
            self.send_error(404)
        elif start >= size:
            self.send_error(416)
        else:
            body = state.content[start:]
            coming = self.as_much_as_comes(body)  # before the client, which may leave, hears of it
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", state.kind)
            if state.tells_length:
                self.send_header("Content-Length", str(len(body)))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            if state.tag:
                self.send_header("ETag", state.tag)
            self.end_headers()
            self.wfile.write(coming)

    def first_byte(self) -> int:
        state, asked = self.server, self.headers.get("Range")
        if not asked or not state.ranges or self.headers.get("If-Range", state.tag) != state.tag:
            return 0
        return int(asked.removeprefix("bytes=").rstrip("-")) + state.shift

    def as_much_as_comes(self, body: bytes) -> bytes:
        if not self.server.drops:
            return body
        self.server.drops -= 1
        self.close_connection = True
        return body[: len(body) // 2]

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("COG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "WAIT_SECONDS", 0.001)
    return tmp_path / "home" / "weights"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def leave_half(server: Server) -> None:
    """A fetch that fails, and leaves the first part of the file."""
    server.drops = 9
    with pytest.raises(CogError, match="the connection ended early"):
        fetch([server.url])
    server.drops, server.asked = 0, []


def test_a_file_is_downloaded_once_and_checked(server, cache):
    said: list[str] = []
    path = fetch([server.url], "dino/net.pth", sha256=SHA256, notify=said.append)
    assert path == cache / "dino" / "net.pth" == cached("dino/net.pth")
    assert path.read_bytes() == CONTENT
    assert names(cache) == ["net.pth"]
    assert any("(1 MB)" in line for line in said)
    assert fetch([server.url], "dino/net.pth") == path
    assert len(server.asked) == 1


def test_a_dropped_download_continues_where_it_stopped(server):
    server.drops = 2
    said: list[str] = []
    assert fetch([server.url], sha256=SHA256[:8], notify=said.append).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={len(CONTENT) // 2}-", f"bytes={len(CONTENT) * 3 // 4}-"]
    assert sum("continuing" in line for line in said) == 2


def test_a_later_call_continues_the_partial_file(server, cache):
    leave_half(server)
    assert names(cache) == ["net.pth.part", "net.pth.part.json"]
    assert fetch([server.url], sha256=SHA256).read_bytes() == CONTENT
    assert server.asked[0] is not None
    assert names(cache) == ["net.pth"]


@pytest.mark.parametrize("tag", ['"two"', 'W/"two"', '"one"'])
def test_a_file_that_changed_meanwhile_is_downloaded_again(server, tag):
    leave_half(server)
    server.content, server.tag = CONTENT[::-1] + b"more", tag
    assert fetch([server.url]).read_bytes() == server.content


@pytest.mark.parametrize("tag", ["", 'W/"one"'])
def test_without_a_strong_tag_files_of_equal_size_are_the_same(server, tag):
    server.tag = tag
    leave_half(server)
    server.content = CONTENT[::-1] + b"more"
    assert fetch([server.url]).read_bytes() == server.content
    (weights_folder() / "net.pth").unlink()
    server.content = CONTENT
    server.drops = 1
    server.asked = []
    assert fetch([server.url]).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={len(CONTENT) // 2}-"]


def test_a_part_that_nothing_identifies_is_downloaded_again(server, cache):
    server.tag, server.tells_length = "", False
    fetch([server.url])
    (cache / "net.pth").rename(cache / "net.pth.part")
    record = {"url": server.url, "size": 0, "validator": ""}
    (cache / "net.pth.part.json").write_text(json.dumps(record))
    server.content, server.asked = CONTENT[::-1], []
    assert fetch([server.url]).read_bytes() == CONTENT[::-1]
    assert server.asked == [None]


@pytest.mark.parametrize("record", ["", "[1]", '"text"', "{}", '{"url": 1, "size": 5}'])
def test_a_part_with_a_damaged_record_is_downloaded_again(server, cache, record):
    leave_half(server)
    (cache / "net.pth.part.json").write_text(record)
    assert fetch([server.url], sha256=SHA256).read_bytes() == CONTENT
    assert server.asked == [None]


def test_a_wrong_range_is_not_used(server):
    server.drops, server.shift = 1, 7
    assert fetch([server.url], sha256=SHA256).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={len(CONTENT) // 2}-", None]


@pytest.mark.parametrize("shorter", [False, True])
def test_a_server_without_ranges_or_with_a_shorter_file_starts_again(server, shorter):
    leave_half(server)
    server.ranges = shorter
    server.content = CONTENT[:100] if shorter else CONTENT
    assert fetch([server.url]).read_bytes() == server.content


def test_a_part_of_another_address_is_not_continued(server):
    server.drops = 9
    with pytest.raises(CogError):
        fetch([f"{server.url}?mirror"], "net.pth")
    server.drops, server.asked, server.content = 0, [], CONTENT[::-1]
    assert fetch([server.url], "net.pth").read_bytes() == CONTENT[::-1]
    assert server.asked == [None]


def test_a_complete_part_is_checked_without_a_request(server, cache):
    leave_half(server)
    (cache / "net.pth.part").write_bytes(CONTENT)
    assert fetch([server.url], sha256=SHA256).read_bytes() == CONTENT
    assert server.asked == []
    assert names(cache) == ["net.pth"]


def test_a_busy_server_is_tried_again_and_one_that_refuses_is_not(server):
    server.errors = [503, 500]
    assert fetch([server.url]).read_bytes() == CONTENT
    assert len(server.asked) == 3
    server.errors, server.asked = [403], []
    with pytest.raises(CogError, match="HTTP Error 403"):
        fetch([server.url], "other.pth")
    assert len(server.asked) == 1


def test_a_file_with_a_wrong_hash_is_removed(server, cache):
    with pytest.raises(CogError, match=f"with sha256 0123abcd…, found {SHA256[:8]}…"):
        fetch([server.url], sha256="0123abcd")
    with pytest.raises(CogError, match="md5 0123"):
        fetch([server.url], md5="0123")
    assert names(cache) == []
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert fetch([server.url], md5=md5[:6].upper()).exists()


def test_the_hash_in_a_file_s_name_is_checked_where_no_other_is_given(tmp_path, cache):
    for start in (SHA256[:8], "0123abcd"):
        (tmp_path / f"net-{start}.pth").write_bytes(CONTENT)
    assert fetch([(tmp_path / f"net-{SHA256[:8]}.pth").as_uri()]).read_bytes() == CONTENT
    with pytest.raises(CogError, match="with sha256 0123abcd…"):
        fetch([(tmp_path / "net-0123abcd.pth").as_uri()])


def test_the_next_address_is_tried_and_the_error_has_every_failure(server):
    wrong = server.url.replace("net", "gone")
    assert fetch([wrong, server.url], "net.pth").read_bytes() == CONTENT
    refused = "http://127.0.0.1:9/net.pth"
    with pytest.raises(CogError) as caught:
        fetch([wrong, refused], "other.pth")
    assert f"{wrong}: HTTP Error 404" in caught.value.what
    assert refused in caught.value.what
    assert "--weights" in caught.value.hint
    assert str(weights_folder() / "other.pth") in caught.value.hint
    with pytest.raises(CogError, match="no address is known"):
        fetch([], "other.pth")


def test_a_web_page_instead_of_weights_is_refused(server, cache):
    server.content, server.kind = b"<!DOCTYPE html><html>", "text/html"
    with pytest.raises(CogError, match="a web page, not weights"):
        fetch([server.url])
    server.kind = "application/octet-stream"
    for sha256 in ("", SHA256):
        with pytest.raises(CogError, match="a web page, not weights"):
            fetch([server.url], sha256=sha256)
    assert names(cache) == []


def test_the_name_in_the_cache_has_no_query(server, cache):
    assert fetch([f"{server.url}?dl=1"]) == cache / "net.pth"


def test_an_address_may_be_a_local_file(tmp_path, cache):
    source = tmp_path / "net-abc.pth"
    source.write_bytes(CONTENT)
    path = fetch([source.as_uri()])
    assert path == cache / "net-abc.pth"
    assert path.read_bytes() == CONTENT


def test_processes_at_the_same_time_do_not_damage_the_file(server, cache):
    code = (
        "import sys; from cog.models.weights.download import fetch; "
        "fetch([sys.argv[1]], sha256=sys.argv[2])"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, server.url, SHA256], env=os.environ.copy())
        for _ in range(3)
    ]
    assert [process.wait(timeout=HANGS_SECONDS) for process in running] == [0, 0, 0]
    assert names(cache) == ["net.pth"]
    assert (cache / "net.pth").read_bytes() == CONTENT


def test_threads_at_the_same_time_do_not_damage_the_file(server, cache):
    with ThreadPoolExecutor(4) as pool:
        found = {pool.submit(fetch, [server.url], "", SHA256) for _ in range(4)}
    assert {future.result() for future in found} == {cache / "net.pth"}
    assert names(cache) == ["net.pth"]


HOLDER = """
import sys, time
from pathlib import Path
from cog.models.weights.download import _own_part
with _own_part(Path(sys.argv[1])) as part:
    part.write_bytes(b"of the other process")
    print(part.name, flush=True)
    time.sleep(60)
"""


def test_a_part_belongs_to_one_process_and_is_free_when_that_is_killed(server, cache):
    command = [sys.executable, "-c", HOLDER, str(cache / "net.pth")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "net.pth.part\n"
        server.drops = 1
        assert fetch([server.url]).read_bytes() == CONTENT
        assert (cache / "net.pth.part").read_bytes() == b"of the other process"
        holder.send_signal(signal.SIGKILL)
    assert names(cache) == ["net.pth", "net.pth.lock", "net.pth.part"]
    (cache / "net.pth").unlink()
    (cache / "net.pth.part").unlink()
    leave_half(server)  # under the name that can be continued
    assert names(cache) == ["net.pth.part", "net.pth.part.json"]


def test_without_locks_each_download_has_its_own_part(server, cache, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError("No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    server.drops = 2
    assert fetch([server.url], sha256=SHA256).read_bytes() == CONTENT
    assert not [name for name in names(cache) if "part" in name]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("compress_resnet50", "browser"),
        ("dinov3_vits16", "accept a licence"),
        ("byol_resnet50", "byol-convert"),
        ("cim_vitb16", "neither weights nor code were found"),
    ],
)
def test_weights_to_obtain_by_hand_have_an_address_and_a_path(name, told, cache):
    row = read_zoo()[name]
    with pytest.raises(CogError) as caught:
        published_file(row)
    assert told in caught.value.what
    if row.file:
        assert row.urls[0] in caught.value.hint
        assert str(cache / row.cache_file) in caught.value.hint
        (cache / row.name).mkdir(parents=True)
        (cache / row.cache_file).write_bytes(b"weights")
        assert published_file(row) == cache / row.cache_file
    assert no_download(row).what == caught.value.what


def test_the_cache_is_the_users_unless_cog_home_is_set(monkeypatch):
    monkeypatch.delenv("COG_HOME", raising=False)
    assert weights_folder().name == "weights"
    assert "cog" in weights_folder().parent.parts


def test_hash_prefixes_follow_torchvision_s_names():
    assert hash_prefix("https://x.org/models/resnet50-0676ba61.pth") == "0676ba61"
    assert hash_prefix("https://x.org/a-2021/last.pth") == ""
