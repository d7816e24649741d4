"""Parquet exports of Hugging Face, compressed or not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cog.errors import CogError
from cog.images.find import find_images
from cog.images.image_list import read_bytes
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


def test_other_columns_damage_and_a_missing_pyarrow_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path / "a.parquet", [{"img": b"1", "label": 1}])
    with pytest.raises(CogError, match="found img, label"):
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
