"""Every reader of a small file, given every kind of bad content: a result or a CogError, soon."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import tarfile
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cog.datasets.check.report import read_report
from cog.datasets.imagenet1k import KAGGLE, in1k_lists
from cog.datasets.official_lists import read_test_lists
from cog.features.bad_images import record_bad_images
from cog.features.model_run import plan_model_runs
from cog.features.store.store import FeatureStore
from cog.features.store.verify import summarise, verify
from cog.images.class_names import read_class_list
from cog.images.find import find_images
from cog.levels.check import check_levels
from cog.levels.files import read_levels
from cog.partial_files import partial_name, sweep
from cog.report.explorer import explorer_data
from cog.report.page_data import _classes
from cog.results.cells import finished_cells
from cog.storage import storage_path, write_text
from cog.wordnet.concept_lists import read_counts, read_wnids
from cog.wordnet.files import read_dict_folder
from cog.wordnet.information_content import load_information
from cog.wordnet.taxonomy import Taxonomy, load_taxonomy
from tests.support.hostile_files import BAD, changed, holds, seconds
from tests.support.result_rows import made_rows, one_row, write_runs
from tests.support.stores import FINGERPRINT, fill, make

WNIDS = ("n02084071", "n02121620", "n03467796", "n11508382")


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


FIELDS = (
    "", "-1", "nan", "inf", "9" * 400, "1e999", "x", "\x1b[2J", "../..", "1.5", "TRUE", "n02084071",
    str(2**63),
)  # fmt: skip


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
    names = ("zarr.json", "features/zarr.json", "labels/zarr.json", "readable/reasons/0.json")
    for number, name in enumerate(names):
        file = store.path / name
        before = file.read_text()
        document = json.loads(before)
        some = list(changed(document))[number::4]  # each change for one of the files
        for text in [*some, *(content.decode("latin-1") for content in BAD.values())]:
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


@pytest.fixture
def levels_copy(tmp_path: Path, levels_folder: Path, taxonomy: Taxonomy, monkeypatch) -> Path:
    """A folder of levels to be changed; the bundled WordNet is read once."""
    monkeypatch.setattr(
        "cog.levels.check.load_taxonomy",
        lambda source: taxonomy if source == "bundled" else load_taxonomy(source),
    )
    return shutil.copytree(levels_folder, tmp_path / "levels")


def test_levels_json_with_any_value(levels_copy: Path, taxonomy: Taxonomy):
    document = json.loads((levels_copy / "levels.json").read_text())
    for key in ("sha256_of_wnids", "versions"):
        del document[key]  # which nobody reads
    for number, text in enumerate(changed(document)):
        (levels_copy / "levels.json").write_text(text)
        holds(lambda: check_levels(levels_copy))
        if number % 10 == 0:
            holds(lambda: explorer_data(read_levels(levels_copy, verify=False), taxonomy))


def test_levels_csv_with_any_value(levels_copy: Path, levels_folder: Path, taxonomy: Taxonomy):
    for name in ("levels.csv", "seen.csv"):
        rows = list(csv.reader((levels_copy / name).read_text().splitlines()))[:3]
        for column in range(len(rows[0])):
            for value in FIELDS:
                new = [list(row) for row in rows]
                new[1][column] = value
                (levels_copy / name).write_text("".join(",".join(row) + "\n" for row in new))
                holds(lambda: check_levels(levels_copy))
                holds(lambda: explorer_data(read_levels(levels_copy, verify=False), taxonomy))
        shutil.copy(levels_folder / name, levels_copy / name)


def test_cells_with_any_value(tmp_path: Path):
    rows = made_rows(["a"], ["cog_l1"], seeds=[22, 37])
    write_runs(tmp_path, rows)
    cells = sorted(tmp_path.glob("*/cells/*.json"))
    document = json.loads(cells[0].read_text())
    for text in [*changed(document), *(content.decode("latin-1") for content in BAD.values())]:
        cells[0].write_text(text)
        said: list[str] = []
        with seconds(60):
            assert len(finished_cells(tmp_path, "cog-1", said.append)) in (1, 2)


def test_a_partial_file_of_a_process_that_cannot_be(tmp_path: Path):
    """Its number is in its name: it may have any digits."""
    own = partial_name(tmp_path / "a.csv")
    machine, digits = own.name.split(".")[-4:-2]
    for number in ("9" * 12, "9" * 100):
        (tmp_path / own.name.replace(f".{machine}.{digits}.", f".{machine}.{number}.")).touch()
    assert sweep(tmp_path) == 2


def test_a_damaged_list_of_unreadable_images_names_itself(tmp_path: Path):
    store = make(tmp_path / "s.zarr", 4)
    fill(store, np.ones((4, 3), np.float32), np.arange(4) != 2)
    images = SimpleNamespace(split="test", paths=[f"n0/{number}.jpg" for number in range(4)])
    (tmp_path / "out" / "unreadable").mkdir(parents=True)
    for content in (b"\xff\n", b"\0" * 10):
        (tmp_path / "out" / "unreadable" / "other.csv").write_bytes(content)
        what = holds(lambda: list(record_bad_images(tmp_path / "out", "l1", [images], [store])))
        assert "other.csv is damaged" in what
