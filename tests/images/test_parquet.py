"""Parquet exports of Hugging Face, compressed or not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cog.datasets.splits import split_images
from cog.errors import CogError
from cog.images.find import find_images
from cog.images.image_list import read_bytes
from cog.recipe import Recipe
from tests.support.image_files import (
    FILES,
    WNIDS,
    contents,
    everything,
    make_parquet,
)


@pytest.mark.parametrize("compression", ["none", "snappy"])
@pytest.mark.parametrize("rows", [2, 100])
def test_parquet_is_read_in_place_or_by_row_group(
    compression: str, rows: int, tmp_path: Path, expected: str
) -> None:
    twin = {f"{WNIDS[0]}/{WNIDS[0]}_98.JPEG": b"", f"{WNIDS[1]}/{WNIDS[1]}_99.JPEG": b"same" * 9}
    files = FILES | twin | {f"{WNIDS[2]}/{WNIDS[2]}_99.JPEG": b"same" * 9}
    root = make_parquet(tmp_path / "a", files, compression, rows_a_group=rows)
    for _ in range(2):  # the second time from the index
        assert contents(root) == dict(sorted(files.items()))
    assert everything(make_parquet(tmp_path / "b")).fingerprint == expected


def test_uncompressed_images_are_read_in_place_without_unpacking_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = everything(make_parquet(tmp_path))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert [read_bytes(images, index) for index in range(9)] == [FILES[p] for p in sorted(FILES)]


def test_parquet_with_wnids_for_names(tmp_path: Path, expected: str) -> None:
    names = [f"{wnid} a word, another" for wnid in WNIDS]
    root = make_parquet(tmp_path / "a", names=names, suffix=False)
    assert everything(root).fingerprint == expected


def write_rows(file: Path, rows: list[dict[str, object]]) -> None:
    pa = pytest.importorskip("pyarrow", reason="pip install 'imagenet-cog[parquet]'")
    import pyarrow.parquet as pq

    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), file, compression="none")


def test_parquet_rows_without_path_label_or_bytes(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"image": {"bytes": b"1", "path": None}, "label": 1},
        {"image": {"bytes": None, "path": "../b.jpg"}, "label": 0},
        {"image": {"bytes": b"3", "path": "c.jpg"}, "label": -1},
    ]
    write_rows(tmp_path / "a.parquet", rows)
    with pytest.raises(CogError, match=r"class of a-0-0\.jpg"):
        find_images(tmp_path, WNIDS)
    (tmp_path / "synsets.txt").write_text("\n".join(WNIDS))
    assert contents(tmp_path) == {f"{WNIDS[0]}/b.jpg": b"", f"{WNIDS[1]}/a-0-0.jpg": b"1"}
    assert find_images(tmp_path, WNIDS).notes == (
        "1 entries of the parquet files are not images of a class: 1 with a label below 0",
    )
    write_rows(tmp_path / "a.parquet", rows[2:])
    with pytest.raises(CogError, match=r"none of the .* classes .*; 1 entries .* label below 0"):
        find_images(tmp_path, WNIDS)  # all that is there was left out
    write_rows(tmp_path / "a.parquet", rows)
    with pytest.raises(CogError, match=r"are missing or short .*; 1 entries .* label below 0"):
        split_images(tmp_path, WNIDS, Recipe())


def test_other_columns_damage_and_a_missing_pyarrow_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path / "a.parquet", [{"img": b"1", "label": 1}])
    with pytest.raises(CogError, match="found img binary, label int64"):
        find_images(tmp_path, WNIDS)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(CogError, match="not a whole Parquet file"):
        find_images(tmp_path, WNIDS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CogError, match="needs pyarrow") as caught:
        find_images(tmp_path, WNIDS)
    assert "imagenet-cog[parquet]" in caught.value.hint


def test_a_note_says_that_compressed_files_are_scattered(tmp_path: Path) -> None:
    files = {f"{w}/{w}_{n}.JPEG": b"%d" % n for w in WNIDS for n in range(400)}
    root = make_parquet(tmp_path / "a", files, "snappy", rows_a_group=10)
    assert "is scattered over row groups" in find_images(root, WNIDS).notes[0]
    assert find_images(make_parquet(tmp_path / "b", files), WNIDS).notes == ()


# Columns of every type


@pytest.fixture(scope="module")
def pa() -> Any:
    return pytest.importorskip("pyarrow", reason="pip install 'imagenet-cog[parquet]'")


def write_columns(root: Path, columns: dict[str, Any], compression: str = "none") -> Path:
    """Three rows, one of each class, whose columns are as they should be but for some."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    given = {
        "bytes": pa.array([b"0", b"1", b"2"]),
        "path": pa.array(["a.jpg", "b.jpg", "c.jpg"]),
        "label": pa.array([0, 1, 2]),
        "metadata": {},
    } | columns
    image = pa.StructArray.from_arrays([given["bytes"], given["path"]], ["bytes", "path"])
    table = pa.table({"image": image, "label": given["label"]})
    root.mkdir(exist_ok=True)
    pq.write_table(
        table.replace_schema_metadata(given["metadata"]), root / "a.parquet",
        compression=compression,
    )  # fmt: skip
    return root


WHOLE = {f"{WNIDS[0]}/a.jpg": b"0", f"{WNIDS[1]}/b.jpg": b"1", f"{WNIDS[2]}/c.jpg": b"2"}
READ: dict[str, Callable[[Any], dict[str, Any]]] = {
    "label: wnids": lambda pa: {"label": pa.array(WNIDS)},
    "label: wnids of 64 bits": lambda pa: {"label": pa.array(WNIDS, pa.large_string())},
    "label: a dictionary of wnids": lambda pa: {"label": pa.array(WNIDS).dictionary_encode()},
    "label: uint8": lambda pa: {"label": pa.array([0, 1, 2], pa.uint8())},
    "label: a dictionary of numbers": lambda pa: {"label": pa.array([0, 1, 2]).dictionary_encode()},
    "label: numbers as text": lambda pa: {"label": pa.array(["0", "1", "2"])},
    "bytes: large": lambda pa: {"bytes": pa.array([b"0", b"1", b"2"], pa.large_binary())},
    "bytes: a dictionary": lambda pa: {"bytes": pa.array([b"0", b"1", b"2"]).dictionary_encode()},
    "bytes: of one size": lambda pa: {"bytes": pa.array([b"0", b"1", b"2"], pa.binary(1))},
    "path: large": lambda pa: {"path": pa.array(["a.jpg", "b.jpg", "c.jpg"], pa.large_string())},
    "path: a dictionary": lambda pa: {
        "path": pa.array(["a.jpg", "b.jpg", "c.jpg"]).dictionary_encode()
    },
    **{
        f"metadata: {text}": lambda pa, text=text: {"metadata": {"huggingface": text}}
        for text in (
            "[" * 100_000, "null", "7", "[]", "{", '{"info": []}', '{"info": {"features": 3}}',
            '{"info": {"features": {"label": []}}}',
            *(
                json.dumps({"info": {"features": {"label": {"names": names}}}})
                for names in (7, "n00000011", {"n00000033": 0}, None, [None, 7, ["n00000033"]])
            ),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("compression", ["none", "snappy"])
@pytest.mark.parametrize("case", READ, ids=lambda case: case[:40])
def test_columns_of_every_fitting_type_are_read(
    case: str, compression: str, pa: Any, tmp_path: Path
) -> None:
    root = write_columns(tmp_path / "a", READ[case](pa), compression)
    (root / "synsets.txt").write_text("\n".join(WNIDS))
    for _ in range(2):
        assert contents(root) == WHOLE


REFUSED: dict[str, tuple[Callable[[Any], dict[str, Any]], str]] = {
    "label: text": (
        lambda pa: {"label": pa.array(["dog", "cat", "dog"])},
        r"its labels are of type string\) .*its label is 'dog'",
    ),
    "label: some null": (
        lambda pa: {"label": pa.array([0, None, 2])}, "type int64.*it has no label"
    ),
    "label: null": (lambda pa: {"label": pa.nulls(3)}, "label is of type null; read is whole"),
    "label: float": (lambda pa: {"label": pa.array([0.0, 1.0, 2.0])}, "label is of type double"),
    "label: bool": (lambda pa: {"label": pa.array([True] * 3)}, "label is of type bool"),
    "label: list": (lambda pa: {"label": pa.array([[0], [1], [2]])}, "label is of type list<"),
    "label: struct": (lambda pa: {"label": pa.array([{"a": 1}] * 3)}, "label is of type struct<"),
    "label: timestamp": (
        lambda pa: {"label": pa.array([0, 1, 2], pa.timestamp("ms"))}, "label is of type timestamp"
    ),
    "label: a dictionary of floats": (
        lambda pa: {"label": pa.array([0.0, 1.0, 2.0]).dictionary_encode()}, "of type double"
    ),
    "label: binary": (lambda pa: {"label": pa.array([b"0"] * 3)}, "label is of type binary"),
    "bytes: text": (lambda pa: {"bytes": pa.array(["0"] * 3)}, "image.bytes is of type string"),
    "bytes: int": (lambda pa: {"bytes": pa.array([0, 1, 2])}, "image.bytes is of type int64"),
    "bytes: list": (
        lambda pa: {"bytes": pa.array([[0], [1], [2]], pa.list_(pa.uint8()))},
        "image.bytes is of type list<",
    ),
    "bytes: null": (lambda pa: {"bytes": pa.nulls(3)}, "rows hold a path and no bytes"),
    "bytes: nulls": (
        lambda pa: {"bytes": pa.nulls(3, pa.binary())}, "rows hold a path and no bytes"
    ),
    "path: int": (lambda pa: {"path": pa.array([0, 1, 2])}, "image.path is of type int64"),
    "path: binary": (lambda pa: {"path": pa.array([b"a"] * 3)}, "image.path is of type binary"),
    "path: a NUL": (lambda pa: {"path": pa.array(["a\0.jpg"] * 3)}, "line breaks or NULs"),
    "path: list": (lambda pa: {"path": pa.array([["a"]] * 3)}, "image.path is of type list<"),
}  # fmt: skip


@pytest.mark.parametrize("compression", ["none", "snappy"])
@pytest.mark.parametrize("case", REFUSED)
def test_columns_of_other_types_are_named_with_what_is_read(
    case: str, compression: str, pa: Any, tmp_path: Path
) -> None:
    make, message = REFUSED[case]
    root = write_columns(tmp_path / "a", make(pa), compression)
    (root / "synsets.txt").write_text("\n".join(WNIDS))
    with pytest.raises(CogError, match=message) as caught:
        find_images(root, WNIDS)
    assert str(root / "a.parquet") in caught.value.what
    assert len(str(caught.value).splitlines()) == 2


def test_empty_bytes_and_a_column_that_is_there_twice_are_refused(pa: Any, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    root = write_columns(tmp_path / "a", {"bytes": pa.array([b""] * 3), "label": pa.array(WNIDS)})
    with pytest.raises(CogError, match="rows hold a path and no bytes"):
        find_images(root, WNIDS)
    table = pq.read_table(root / "a.parquet")
    twice = pa.table([*table.columns, table["label"]], ["image", "label", "label"])
    pq.write_table(twice, root / "a.parquet")
    with pytest.raises(CogError, match=r"found image struct<.*label string, label string"):
        find_images(root, WNIDS)


# Every byte of the end of a file is changed in turn, in a process of its own: pyarrow's view of a
# damaged end can end the process.
LIST_DAMAGED = """
import json, random, resource, sys
from pathlib import Path
from cog.errors import CogError
from cog.images.find import find_images
from cog.images.image_list import read_bytes
from tests.support.image_files import WNIDS, all_of
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
file = Path(sys.argv[1], "a.parquet")
whole, rng = file.read_bytes(), random.Random(0)
footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
places = [*range(footer, len(whole)), *rng.sample(range(len(whole)), 100)]
for number in places:
    data = bytearray(whole)
    data[number] = rng.randrange(256)
    file.write_bytes(data[: rng.randrange(len(data))] if number % 20 == 9 else data)
    try:
        images = all_of(find_images(file.parent, WNIDS))
        for row in range(len(images)):
            read_bytes(images, row)
    except CogError as error:
        if str(error).count("\\n") != 1 or "a.parquet" not in str(error):
            print(number, repr(error), flush=True)
    except BaseException as error:
        print(number, repr(error), flush=True)
print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_damaged_files_are_read_or_named(compression: str, pa: Any, tmp_path: Path) -> None:
    write_columns(tmp_path, {"label": pa.array(WNIDS)}, compression)
    environment = os.environ | {"COG_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", LIST_DAMAGED, tmp_path], capture_output=True, text=True,
        env=environment, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"
