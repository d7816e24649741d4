"""Stores in object storage: an S3 server by moto, started here."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator

import numpy as np
import pytest

import cog
from cog.errors import CogError
from cog.features.store.files import is_there, remove_store
from cog.features.store.store import FeatureStore
from cog.object_storage import Url, create_object
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
    with pytest.raises(CogError, match="format: asked 1, found None"):
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
    with pytest.raises(FileNotFoundError, match="bucket does not exist"):
        make(path, 4)


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
