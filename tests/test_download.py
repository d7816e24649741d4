"""Downloads: resumed, checked, from the first address that gives the file; or by hand, and how."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cog.errors import CogError
from cog.models.download import (
    cached,
    fetch,
    hash_prefix,
    no_download,
    published_file,
    weights_folder,
)
from cog.models.zoo import read_zoo

CONTENT = bytes(range(256)) * 4096  # a megabyte
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; `drops` answers stop half-way, and `ranges` may be off."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.tag = '"one"'
        self.drops = 0
        self.ranges = True
        self.kind = "application/octet-stream"
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/net.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        state = self.server
        asked = self.headers.get("Range")
        state.asked.append(asked)
        if self.path != "/net.pth":
            self.send_error(404)
            return
        start = 0
        if asked and state.ranges and self.headers.get("If-Range", state.tag) == state.tag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(state.content):
                self.send_error(416)
                return
        body = state.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", state.kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", state.tag)
        self.end_headers()
        if state.drops:
            state.drops -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("COG_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "weights"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_is_fetched_once_and_checked(server, cache):
    said: list[str] = []
    path = fetch([server.url], "dino/net.pth", sha256=SHA256, notice=said.append)
    assert path == cache / "dino" / "net.pth" == cached("dino/net.pth")
    assert path.read_bytes() == CONTENT
    assert names(cache) == ["net.pth"]
    assert any("(1 MB)" in line for line in said)
    assert fetch([server.url], "dino/net.pth") == path
    assert len(server.asked) == 1


def test_a_dropped_connection_goes_on_where_it_stopped(server):
    server.drops = 2
    said: list[str] = []
    assert fetch([server.url], sha256=SHA256[:8], notice=said.append).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={len(CONTENT) // 2}-", f"bytes={len(CONTENT) * 3 // 4}-"]
    assert sum("going on" in line for line in said) == 2


def test_a_later_call_goes_on_with_what_is_there(server, cache):
    server.drops = 9
    with pytest.raises(CogError, match="the connection ended early"):
        fetch([server.url])
    assert names(cache) == ["net.pth.part", "net.pth.part.json"]
    server.drops, server.asked = 0, []
    assert fetch([server.url], sha256=SHA256).read_bytes() == CONTENT
    assert server.asked[0] is not None
    assert names(cache) == ["net.pth"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(server):
    server.drops = 9
    with pytest.raises(CogError):
        fetch([server.url])
    server.drops, server.content, server.tag = 0, CONTENT[::-1], '"two"'
    assert fetch([server.url]).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("shorter", [False, True])
def test_a_server_without_ranges_or_with_less_is_asked_anew(server, shorter):
    server.drops = 9
    with pytest.raises(CogError):
        fetch([server.url])
    server.drops = 0
    server.ranges = shorter
    server.content = CONTENT[:100] if shorter else CONTENT
    assert fetch([server.url]).read_bytes() == server.content


def test_another_content_is_thrown_away(server, cache):
    with pytest.raises(CogError, match=f"expected a file of sha256 0123abcd…, found {SHA256[:8]}…"):
        fetch([server.url], sha256="0123abcd")
    with pytest.raises(CogError, match="md5 0123"):
        fetch([server.url], md5="0123")
    assert names(cache) == []
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert fetch([server.url], md5=md5[:6]).exists()


def test_the_next_address_is_tried_and_all_failures_are_told(server):
    wrong = server.url.replace("net", "gone")
    assert fetch([wrong, server.url], "net.pth").read_bytes() == CONTENT
    refused = "http://127.0.0.1:9/net.pth"
    with pytest.raises(CogError) as caught:
        fetch([wrong, refused], "other.pth")
    assert f"{wrong}: HTTP Error 404" in caught.value.what
    assert refused in caught.value.what
    assert "--weights" in caught.value.hint
    assert str(weights_folder() / "other.pth") in caught.value.hint


def test_a_web_page_in_place_of_weights_is_refused(server, cache):
    server.content, server.kind = b"<!DOCTYPE html><html>", "text/html"
    with pytest.raises(CogError, match="a web page, not weights"):
        fetch([server.url])
    server.kind = "application/octet-stream"
    with pytest.raises(CogError, match="a web page, not weights"):
        fetch([server.url])
    assert names(cache) == []


def test_files_of_this_machine(tmp_path, cache):
    source = tmp_path / "net-abc.pth"
    source.write_bytes(CONTENT)
    path = fetch([source.as_uri()])
    assert path == cache / "net-abc.pth"
    assert path.read_bytes() == CONTENT


def test_two_at_once_do_not_spoil_it(server, cache):
    code = (
        "import sys; from cog.models.download import fetch; "
        "fetch([sys.argv[1]], sha256=sys.argv[2])"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, server.url, SHA256], env=os.environ.copy())
        for _ in range(3)
    ]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    assert names(cache) == ["net.pth"]
    assert (cache / "net.pth").read_bytes() == CONTENT


def test_a_lock_of_a_process_that_died_is_taken_over(server, cache):
    cache.mkdir(parents=True)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (cache / "net.pth.lock").write_text(str(dead.pid))
    assert fetch([server.url]).read_bytes() == CONTENT
    assert names(cache) == ["net.pth"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("compress_resnet50", "browser"),
        ("dinov3_vits16", "accepting a licence"),
        ("byol_resnet50", "byol-convert"),
        ("cim_vitb16", "no checkpoint was published"),
    ],
)
def test_what_must_be_got_by_hand_says_from_where_and_to_where(name, told, cache):
    row = read_zoo()[name]
    with pytest.raises(CogError) as caught:
        published_file(row)
    assert told in caught.value.what
    if row.loadable:
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


def test_hash_prefixes_follow_the_hubs_convention():
    assert hash_prefix("https://x.org/models/resnet50-0676ba61.pth") == "0676ba61"
    assert hash_prefix("https://x.org/a-2021/last.pth") == ""
