"""Every reader of a small file, given every kind of bad content: a result or a CogError, soon."""

from __future__ import annotations

import copy
import io
import json
import os
import re
import shutil
import signal
import tarfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cog.datasets.check.report import read_report
from cog.datasets.imagenet1k import KAGGLE, in1k_lists
from cog.datasets.official_lists import read_test_lists
from cog.errors import CogError
from cog.features.model_run import plan_model_runs
from cog.features.store.store import FeatureStore
from cog.features.store.verify import summarise, verify
from cog.images.class_names import read_class_list
from cog.images.find import find_images
from cog.report.page_data import _classes
from cog.storage import storage_path, write_text
from cog.wordnet.concept_lists import read_counts, read_wnids
from cog.wordnet.files import read_dict_folder
from cog.wordnet.information_content import load_information
from cog.wordnet.taxonomy import Taxonomy, load_taxonomy
from tests.support.result_rows import one_row
from tests.support.stores import FINGERPRINT, fill, make

WNIDS = ("n02084071", "n02121620", "n03467796", "n11508382")

BAD: dict[str, bytes] = {
    "empty": b"",
    "NUL": b"\0" * 1000,
    "a NUL in a line": b"n02084071\nn0212\x001620 1\n",
    "UTF-16": "n02084071\n".encode("utf-16"),
    "Latin-1": b"caf\xe9 n02084071\n",
    "900,000 digits": b"9" * 900_000,
    "half a million brackets": b"[" * 500_000,
    "closed brackets": b"[" * 200_000 + b"]" * 200_000,
    "half a million braces": b'{"a":' * 500_000,
    "half a character": rb'{"a": "\ud800", "\udfff": 1}',
    "NaN": b'{"a": NaN}',
    "Infinity": b"-Infinity",
    "a number": b"3",
    "null": b"null",
    "a list": b"[1, 2]",
    "quotes": b'"' * 300_000 + b"\n",
    "a field of a megabyte": b'wnid,images\n"' + b"n" * 1_000_000 + b'",1\n',
    "commas": b"," * 300_000,
    "carriage returns": b"\r" * 1000,
    "escapes": b"\x1b[2J\x1b]0;owned\x07\n",
}


@contextmanager
def seconds(limit: int) -> Iterator[None]:
    """Fail where the block takes longer; what hangs in C is killed."""
    if not hasattr(signal, "alarm"):
        yield
        return
    signal.alarm(limit)
    try:
        yield
    finally:
        signal.alarm(0)


def holds(read: Callable[[], Any]) -> str:
    """Read; the error, if it is one for the user, in one line of a length that can be read."""
    with seconds(60):
        try:
            read()
        except CogError as error:
            what = error.what
        else:
            what = ""
    assert len(what) < 1000, what[:2000]
    return what


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return load_taxonomy()


def files(folder: Path, taxonomy: Taxonomy) -> dict[str, tuple[Path, Callable[[], Any]]]:
    """Name of a reader → the file that it reads, and the reading."""
    (folder / "in1k" / "val").mkdir(parents=True)
    (folder / "in1k" / "train").mkdir()
    for name in ("dict", "tests", "shards", "runs", "class"):
        (folder / name).mkdir()
    (folder / "in1k" / "val" / "ILSVRC2012_val_00000001.JPEG").touch()
    for name in ("data.noun", "index.noun"):
        (folder / "dict" / name).write_text("  licence\n")
    path = folder / "model" / "classes" / "a.csv"
    path.parent.mkdir(parents=True)
    cell = [(path, {"row": one_row(dataset="cog_l1")})]
    report = folder / "report.csv"
    return {
        "wnids": (folder / "wnids.txt", lambda: read_wnids(folder / "wnids.txt")),
        "counts": (folder / "counts.csv", lambda: read_counts(folder / "counts.csv")),
        "list": (folder / "l.txt", lambda: find_images(folder / "l.txt", WNIDS)),
        "classes": (folder / "class" / "synsets.txt", lambda: read_class_list(folder / "class")),
        "test list": (folder / "tests" / "1.txt", lambda: read_test_lists(folder / "tests", WNIDS)),
        "report": (report, lambda: read_report(report)),
        "kaggle": (folder / "in1k" / KAGGLE, lambda: in1k_lists(folder / "in1k", WNIDS)),
        "counts of WordNet": (
            folder / "ic.dat",
            lambda: load_information(taxonomy, str(folder / "ic.dat")),
        ),
        "data.noun": (folder / "dict" / "data.noun", lambda: read_dict_folder(folder / "dict")),
        "index.noun": (folder / "dict" / "index.noun", lambda: read_dict_folder(folder / "dict")),
        "accuracies of classes": (path, lambda: _classes(cell, WNIDS, lambda text: None)),
    }


READERS = (
    "wnids", "counts", "list", "classes", "test list", "report", "kaggle", "counts of WordNet",
    "data.noun", "index.noun", "accuracies of classes",
)  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_text_of_any_kind_is_read_or_refused(tmp_path: Path, taxonomy: Taxonomy, reader: str):
    file, read = files(tmp_path, taxonomy)[reader]
    for name, content in BAD.items():
        file.write_bytes(content)
        found = holds(read)
        assert not re.search(r"[\x00-\x1f\x7f]", found.replace("\n", "")), (name, found[:300])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes in folders")
@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_in_place_of_a_file_is_never_waited_for(
    tmp_path: Path, taxonomy: Taxonomy, reader: str
):
    file, read = files(tmp_path, taxonomy)[reader]
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    holds(read)


def test_labels_of_shards_may_be_anything(tmp_path: Path):
    """`.cls` and `.json` of a shard: what is no class is no class, and is named shortly."""
    for name, content in BAD.items():
        for field in ("cls", "json"):
            with tarfile.open(tmp_path / "a.tar", "w") as tar:
                for suffix, data in (("jpg", b"x"), (field, content)):
                    member = tarfile.TarInfo(f"000.{suffix}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
            shutil.rmtree(tmp_path / ".cog-index", ignore_errors=True)
            what = holds(lambda: find_images(tmp_path, WNIDS))
            assert what or "n0" in content.decode("latin-1"), name


# JSON of which one value is another


VALUES: list[Any] = [
    None, True, -1, 0, 2**63 - 1, 1.5, "", "x", "\x1b[2J", "n" * 5000, [], [[1]], {}, {"a": {}},
]  # fmt: skip
TEXTS = ["NaN", "Infinity", "1e999", "9" * 400, "9" * 5000, r'"\ud800"', "[" * 5000]


FIELDS = (
    "", "-1", "nan", "inf", "9" * 400, "1e999", "x", "\x1b[2J", "../..", "1.5", "TRUE", "n02084071",
    str(2**63),
)  # fmt: skip


def changed(document: Any) -> Iterator[str]:
    """The document as JSON, each time with one value, or one key, that is another."""
    for place in list(places(document)):
        for value in [*VALUES, *TEXTS]:
            new = copy.deepcopy(document)
            inside = new
            for step in place[:-1]:
                inside = inside[step]
            inside[place[-1]] = "@@" if value in TEXTS else value
            yield json.dumps(new).replace('"@@"', str(value))
        new = copy.deepcopy(document)
        inside = new
        for step in place[:-1]:
            inside = inside[step]
        del inside[place[-1]]
        yield json.dumps(new)


def places(document: Any) -> Iterator[tuple[Any, ...]]:
    keys = document if isinstance(document, dict) else range(len(document))
    for key in keys:
        yield (key,)
        if isinstance(document[key], dict | list):
            for below in places(document[key]):
                yield (key, *below)


def test_run_json_with_any_value(tmp_path: Path):
    describe = {"resize": 64, "crop": 64, "mean": [0.5, 0.5, 0.5]}
    model = SimpleNamespace(
        name="m", fingerprint="a" * 64, preprocess=SimpleNamespace(describe=lambda: describe)
    )
    document = {"model": "m", "model_fingerprint": "b" * 64, "dim": 3, "preprocess": describe}
    (tmp_path / "m").mkdir()
    for text in [*changed(document), *(content.decode("latin-1") for content in BAD.values())]:
        (tmp_path / "m" / "run.json").write_text(text)
        holds(lambda: plan_model_runs([model], tmp_path))  # type: ignore[list-item]


def test_metadata_of_a_store_with_any_value(tmp_path: Path):
    features = np.ones((10, 3), np.float32)
    readable = np.arange(10) != 2
    store = make(tmp_path / "s.zarr", 10)
    fill(store, features, readable)
    for name in ("zarr.json", "features/zarr.json", "labels/zarr.json", "readable/reasons/0.json"):
        file = store.path / name
        before = file.read_text()
        document = json.loads(before)
        for text in [*changed(document), *(content.decode("latin-1") for content in BAD.values())]:
            file.write_text(text)
            for read in (lambda: verify(store.path), lambda: summarise(store.path)):
                holds(read)
            holds(lambda: FeatureStore.open(store.path).read())
        file.write_text(before)


def test_a_claim_of_a_store_with_any_value():
    pytest.importorskip("fsspec", reason="pip install 'imagenet-cog[cloud]'")
    url = storage_path(f"memory://{uuid.uuid4().hex}/s.zarr")
    document = {"fingerprint": FINGERPRINT, "chunk_rows": 4}
    for text in changed(document):
        write_text(url / "labels" / "claim.json", text)
        what = holds(lambda: make(url, 10))
        assert what
