"""Stores in object storage: an S3 server by moto, started here."""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

import cog
from cog import object_storage
from cog.errors import CogError
from cog.features.store import arrays
from cog.features.store.files import is_there, remove_store
from cog.features.store.store import FeatureStore
from cog.object_storage import Url, create_object, reaching, remove_objects
from cog.progress import Silent
from cog.storage import files_below, storage_path, write_text
from tests.support.runs import call_cog
from tests.support.stores import content, fill, flip, make, run

moto_server = pytest.importorskip("moto.server", reason="pip install 'imagenet-cog[test]'")
s3fs = pytest.importorskip("s3fs", reason="pip install 'imagenet-cog[cloud]'")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server in memory."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    started = moto_server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
def bucket(server, monkeypatch) -> Url:
    """An empty bucket, reached as the environment says."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    name = uuid.uuid4().hex
    s3fs.S3FileSystem(use_listings_cache=False).mkdir(name)
    return Url(f"s3://{name}")


@pytest.fixture
def requests(monkeypatch) -> list[str]:
    """The name of every request to the server."""
    made: list[str] = []
    original = s3fs.S3FileSystem._call_s3

    async def counted(self, method, *arguments, **options):
        made.append(method)
        return await original(self, method, *arguments, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    return made


def test_a_store_has_the_bytes_of_one_on_disk(bucket, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 3)).astype(np.float32)
    readable = rng.random(30) > 0.3
    local, remote = make(tmp_path / "a.zarr", 30), make(bucket / "runs" / "a.zarr", 30)
    for worker in ("1/2", "0/2"):
        fill(local, x, readable, worker)
        fill(FeatureStore.open(remote.path), x, readable, worker)
    first = local.chunk_slice(0)
    for store in (local, remote):  # once more, with a truncated image
        reasons = {row: f"why {row}" for row in range(4) if not readable[row]}
        cut = {int(np.flatnonzero(readable)[0]): "cut off"}
        store.write_chunk(0, x[first], readable[first], reasons, cut)
    there = content(remote.path)
    assert there.pop("labels/claim.json")
    assert there == content(local.path)
    for found, expected in zip(remote.read(), local.read(), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert remote.unreadable() == local.unreadable()
    assert remote.truncated() == local.truncated() != {}


def test_listing_missing_chunks_is_one_request(bucket, requests):
    store = make(bucket / "a.zarr", 40)
    fill(store, np.ones((40, 3), np.float32), worker="0/2")
    requests.clear()
    assert store.missing_chunks() == [1, 3, 5, 7, 9]
    assert requests == ["list_objects_v2"]


def test_writing_a_chunk_is_few_requests(bucket, requests):
    """The metadata of three nodes is read; no more objects are written than the chunk needs."""
    store = make(bucket / "a.zarr", 8)
    requests.clear()
    store.write_chunk(0, np.ones((4, 3), np.float32), np.ones(4, bool), {})
    assert requests.count("put_object") == 2
    assert len(requests) <= 10
    requests.clear()
    store.write_chunk(
        1, np.zeros((4, 3), np.float32), np.zeros(4, bool), dict.fromkeys(range(4, 8), "-")
    )
    assert requests.count("put_object") == 3
    assert len(requests) <= 10


def test_a_racing_worker_takes_the_chunks_of_the_first(bucket):
    path = bucket / "a.zarr"
    assert create_object(path / "labels" / "claim.json", b'{"chunk_rows": 5, "fingerprint": {}}')
    assert not is_there(path)
    with pytest.raises(CogError, match="format: asked 1, found none given"):
        make(path, 10)
    remove_store(path)
    make(path, 10, chunk_rows=5)
    (path / "zarr.json").unlink()  # as if the first had not come to the end
    second = make(path, 10, chunk_rows=4)
    assert second.chunk_rows == 5
    fill(second, np.ones((10, 3), np.float32))
    assert len(FeatureStore.open(path).read()[1]) == 10


def test_a_removed_store_leaves_no_object(bucket):
    write_text(bucket / "b.zarr", "beside")
    store = make(bucket / "b", 10)
    fill(store, np.ones((10, 3), np.float32))
    remove_store(store.path)
    assert files_below(bucket) == {"b.zarr": 6}


def test_the_commands_take_urls(bucket):
    path = bucket / "runs" / "dino" / "features" / "a.zarr"
    fill(make(path, 10), np.ones((10, 3), np.float32))
    assert "3 of 3 done" in run("show", bucket / "runs")[1]
    assert run("verify", bucket / "runs")[0] == 0
    flip(path / "features/c/1/0")
    status, said = run("verify", bucket / "runs")
    assert status == 1
    assert "  chunk 1: " in said
    run("verify", "--repair", path)
    assert FeatureStore.open(path).missing_chunks() == [1]
    run("rm", "--yes", bucket / "runs")
    assert files_below(bucket) == {}


def test_a_bucket_that_is_not_there_is_an_error(bucket):
    path = storage_path(f"s3://{uuid.uuid4().hex}/a.zarr")
    assert not is_there(path)
    with pytest.raises(CogError, match="bucket does not exist") as error:
        make(path, 4)
    assert error.value.hint == "make that bucket, or give another URL"


class Answer(BaseHTTPRequestHandler):
    """A server that refuses every request: with a status and a code of S3, or half an answer."""

    protocol_version = "HTTP/1.1"
    status, code = 403, "AccessDenied"

    def refuse(self):
        """Answer as the class says."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = f"<Error><Code>{self.code}</Code><Message>no</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body) + 1000 * (self.code == "half")))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)
        self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = refuse

    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def refusing(status: int, code: str) -> Iterator[str]:
    """The address of a server that refuses everything."""
    kind = type("Own", (Answer,), {"status": status, "code": code})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as served:
        Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()


TOUCH = {
    "exists": lambda url: url.exists(),
    "is_file": lambda url: url.is_file(),
    "is_dir": lambda url: url.is_dir(),
    "read": lambda url: url.read_bytes(),
    "list": lambda url: files_below(url),
    "glob": lambda url: list(url.glob("*.json")),
    "write": lambda url: write_text(url, "a"),
    "create": lambda url: create_object(url, b"a"),
    "remove": lambda url: url.unlink(),
    "remove all": lambda url: remove_objects(url),
    "open a store": lambda url: FeatureStore.open(url),
    "make a store": lambda url: make(url, 4),
}


def connect_anew(monkeypatch) -> None:
    """A connection of its own, as the environment now says, which tries each request once."""
    own = {"retries": {"total_max_attempts": 1}, "user_agent_extra": uuid.uuid4().hex}
    for module in (object_storage, arrays):
        monkeypatch.setattr(
            module, "storage_options", lambda _: {"use_listings_cache": False, "config_kwargs": own}
        )


@pytest.fixture
def few_attempts(bucket, monkeypatch) -> None:
    """Retries take seconds."""
    connect_anew(monkeypatch)


def refusals(url: Url, names=tuple(TOUCH)) -> dict[str, CogError]:
    """The error of every kind of request."""
    found = {}
    for name in names:
        with pytest.raises(CogError, match="cannot be reached") as error:
            TOUCH[name](url)
        found[name] = error.value
    return found


def test_a_server_that_is_not_there_is_an_error(bucket, few_attempts, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    for error in refusals(bucket / "a").values():
        assert "Could not connect" in error.what
        assert "AWS_ENDPOINT_URL" in error.hint
        assert "goes on" in error.hint


def test_an_address_that_cannot_be_is_no_damaged_file(bucket, few_attempts, monkeypatch):
    """Botocore's ValueError was taken for one of the file that was to be read."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    connect_anew(monkeypatch)
    for error in refusals(bucket / "a", ("read", "exists", "write")).values():
        assert "http://HOST:PORT" in error.hint


def test_a_bucket_that_is_forbidden_is_an_error(bucket, few_attempts, monkeypatch):
    with refusing(403, "AccessDenied") as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        for error in refusals(bucket / "a").values():
            assert "AWS_PROFILE" in error.hint


@pytest.mark.parametrize(
    ("status", "code", "names"),
    [
        (500, "InternalError", ("read", "list", "write", "open a store")),
        (200, "half", ("read", "open a store")),
    ],
)
def test_a_server_that_fails_is_an_error(status, code, names, bucket, few_attempts, monkeypatch):
    with refusing(status, code) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        refusals(bucket / "a", names)


def test_credentials_that_are_not_there_are_an_error(bucket, few_attempts, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for error in refusals(bucket / "a", ("exists", "write", "make a store")).values():
        assert "credentials" in error.what
        assert "AWS_ACCESS_KEY_ID" in error.hint
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    connect_anew(monkeypatch)
    for error in refusals(bucket / "a", ("exists", "write", "make a store")).values():
        assert "nobody" in error.what
        assert error.hint == "check AWS_PROFILE, or unset it"


def test_a_chunk_that_is_not_reached_is_not_a_bad_chunk(bucket, monkeypatch):
    """Else `--repair` would remove what is right."""
    path = bucket / "a.zarr"
    fill(make(path, 10), np.ones((10, 3), np.float32))
    before = content(path)
    reading = arrays.Objects.get

    async def cut(self, key, *rest, **options):
        if "c/1" in key or key.startswith("c"):
            with reaching(path):
                raise ConnectionResetError("the connection ended")
        return await reading(self, key, *rest, **options)

    monkeypatch.setattr(arrays.Objects, "get", cut)
    with pytest.raises(CogError, match="cannot be reached: the connection ended"):
        run("verify", "--repair", path)
    monkeypatch.setattr(arrays.Objects, "get", reading)
    assert content(path) == before


class Stopping(Silent):
    """Stops the server when so many images or cells are done."""

    def __init__(self, server, images: int, cells: int = 1000):
        self.server, self.images, self.cells = server, images, cells

    @contextmanager
    def bar(self, label, total, unit):
        """Count images."""

        def advance(count: int) -> None:
            self.images -= count if unit == "images" else 0
            if self.images < 0:
                self.stop()

        yield advance

    def result(self, row):
        """Count cells."""
        self.cells -= 1
        if self.cells < 1:
            self.stop()

    def stop(self):
        """Stop the server, once."""
        if self.server:
            self.server.stop()
        self.server = None


def test_a_server_that_is_stopped_in_a_run_loses_nothing(
    bucket, few_attempts, images, levels_folder, plug_in, tmp_path, monkeypatch
):
    """Stopped among the features, then when a dataset is done, and each time started again."""
    options = {
        "images": images, "levels": levels_folder, "test_per_class": 4, "min_train": 4,
        "probes": ("ncm",), "seeds": (22,), "batch_size": 2, "chunk_rows": 4,
    }  # fmt: skip
    own = moto_server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    own.start()
    port = own.get_host_and_port()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    out = bucket / "runs"
    counts = []
    for limits in ({"images": 10}, {"images": 1000, "cells": 1}):
        with pytest.raises(CogError, match="cannot be reached") as error:
            cog.evaluate(
                f"{plug_in}:load", **options, out=str(out), progress=Stopping(own, **limits)
            )
        assert "goes on" in error.value.hint
        own = moto_server.ThreadedMotoServer("127.0.0.1", port=port, verbose=False)
        own.start()
        counts.append(sum("/features/c/" in name for name in files_below(out)))
    assert 0 < counts[0] < counts[1]
    table = cog.evaluate(f"{plug_in}:load", **options, out=str(out))
    own.stop()
    alone = cog.evaluate(f"{plug_in}:load", **options, out=tmp_path / "runs")
    assert list(table["top1"]) == list(alone["top1"])


def test_a_whole_run_lives_at_a_url(bucket, images, levels_folder, plug_in, tmp_path):
    """Features, cells, splits, unreadable images and results are those of a run on disk."""
    options = {
        "images": images, "levels": levels_folder, "only": "L1", "test_per_class": 4,
        "min_train": 4, "probes": ("ncm",), "seeds": (22,), "batch_size": 4, "chunk_rows": 8,
    }  # fmt: skip
    local = tmp_path / "runs"
    table = cog.evaluate(f"{plug_in}:load", **options, out=local)
    first = cog.evaluate(f"{plug_in}:load", **options, out=str(bucket / "runs"))
    assert list(first["top1"]) == list(table["top1"])
    there = {n for n in files_below(bucket / "runs") if not n.endswith("labels/claim.json")}
    assert there == set(files_below(local))
    chunks = [name for name in there if "/c/" in name]
    assert chunks
    for name in chunks:
        assert (bucket / "runs" / name).read_bytes() == (local / name).read_bytes()
    done = call_cog("extract", "--model", f"{plug_in}:load", "--images", images, "--only", "L2",
                   "--levels", levels_folder, "--test-per-class", 4, "--min-train", 4,
                   "--out", bucket / "runs", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"{bucket}/runs/colours/features/cog_l2-test.zarr" in done.stdout
    done = call_cog("results", bucket / "runs", cwd=tmp_path)
    assert done.stdout.count("\n") == 2, done.stderr


def test_results_are_proved_there(bucket, images, levels_folder, plug_in, tmp_path):
    cog.evaluate(
        f"{plug_in}:load", images=images, levels=levels_folder, only="L1", out=bucket / "runs",
        test_per_class=4, min_train=4, probes="ncm", seeds="22", device="cpu",
    )  # fmt: skip
    arguments = ["verify", bucket / "runs", "--levels", levels_folder]
    done = call_cog(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout.count("sound")) == (0, 1), done.stdout + done.stderr
    flip(bucket / "runs" / "colours" / "features/cog_l1-test.zarr/features/c/0/0")
    done = call_cog(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "cog_l1-test.zarr (chunk 0)" in done.stdout
