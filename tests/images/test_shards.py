"""Tars of tars, WebDataset shards, Parquet exports and lists; the index that is built once."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cog.images.archive_index
import cog.images.sources.tars
from cog.datasets.check.sound import find_sound_images
from cog.datasets.imagenet1k import in1k_lists
from cog.errors import CogError
from cog.images.find import find_images
from cog.images.image_list import read_bytes
from cog.images.listing import Listing
from tests.images.test_images import (
    FILES,
    MAKERS,
    WNIDS,
    everything,
    make_folder,
    make_list,
    make_nested,
    make_parquet,
    make_shards,
    make_tar,
    make_tars,
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COG_HOME", str(tmp_path / "cog-home"))
    return tmp_path / "cog-home"


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the tars that were read through, one for each reading."""
    seen: list[str] = []
    members_of = cog.images.sources.tars.members_of

    def counted(tar: Path, *span: int):
        seen.append(tar.name)
        return members_of(tar, *span)

    for module in (cog.images.sources.tars, cog.images.sources.webdataset):
        monkeypatch.setattr(module, "members_of", counted)
    return seen


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fingerprint of the folder tree."""
    return everything(make_folder(tmp_path_factory.mktemp("tree"))).fingerprint


def contents(root: Path) -> dict[str, bytes]:
    images = everything(root)
    return {path: read_bytes(images, row) for row, path in enumerate(images.paths)}


# The index


@pytest.mark.parametrize("source", ["tar", "nested", "webdataset"])
def test_an_index_is_built_once_and_again_when_the_tar_changes(
    source: str, tmp_path: Path, scans: list[str], expected: str
) -> None:
    root = MAKERS[source](tmp_path / "images", FILES)
    assert everything(root).fingerprint == expected
    built = len(scans)
    scans.clear()
    again = everything(root)
    assert again.fingerprint == expected
    # a look at the first member tells tars of tars from shards
    assert len(scans) <= {"tar": 0, "nested": 2, "webdataset": 3}[source] < built
    tar = next(path for path in sorted(root.iterdir()) if path.suffix == ".tar")
    if source == "tar":
        make_tar(tar, [("new.jpg", b"new")])
        assert everything(root).paths[0] == f"{WNIDS[0]}/new.jpg"
    else:
        stat = tar.stat()
        os.utime(tar, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
        scans.clear()
        assert everything(root).fingerprint == expected
        assert scans.count(tar.name) > 1


def test_an_index_lies_beside_the_tar_else_in_the_cache_else_nowhere(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, scans: list[str]
) -> None:
    root = make_tars(tmp_path / "a")
    everything(root)
    assert len(list((root / ".cog-index").iterdir())) == 3
    assert not own_cache.exists()
    write_bytes = cog.images.archive_index.write_bytes
    allowed = [own_cache]

    def read_only(path: Path, data: bytes) -> None:
        if not any(path.is_relative_to(place) for place in allowed):
            raise OSError(30, "Read-only file system", str(path))
        write_bytes(path, data)

    monkeypatch.setattr(cog.images.archive_index, "write_bytes", read_only)
    other = make_tars(tmp_path / "b")
    print_ = everything(other).fingerprint
    assert not (other / ".cog-index").exists()
    assert len(list(own_cache.rglob("*.index"))) == 3
    scans.clear()
    assert everything(other).fingerprint == print_
    assert scans == []
    allowed.clear()
    third = make_tars(tmp_path / "c")
    assert everything(third).fingerprint == everything(third).fingerprint == print_
    assert len(scans) == 6


@pytest.mark.parametrize("damage", [b"", b"{}\n", b"x" * 300])
def test_a_damaged_index_is_built_again(damage: bytes, tmp_path: Path, expected: str) -> None:
    root = make_tars(tmp_path)
    everything(root)
    index = root / ".cog-index" / f"{WNIDS[0]}.tar.index"
    whole = index.read_bytes()
    for data in (damage, whole[:-1], whole[:-3] + b"###"):
        index.write_bytes(data)
        assert everything(root).fingerprint == expected
        assert index.read_bytes() == whole


def test_an_index_of_nothing_and_of_odd_names(tmp_path: Path) -> None:
    make_tars(tmp_path)
    make_tar(tmp_path / f"{WNIDS[0]}.tar", [("readme.txt", b"?")])
    names = ["é.jpg", "a b.jpg", "x\x85y.jpg", "z\u2028.jpg"]  # what splitlines would cut
    make_tar(tmp_path / f"{WNIDS[1]}.tar", [(name, name.encode()) for name in names])
    for _ in range(2):
        listing = find_images(tmp_path, WNIDS)
        assert listing.paths[WNIDS[0]] == ()
        assert listing.paths[WNIDS[1]] == tuple(f"{WNIDS[1]}/{name}" for name in sorted(names))
        assert listing.notes == ("1 entries of the tar files are no images of a class",)


def test_a_tar_that_shrank_since_it_was_listed_is_an_error(tmp_path: Path) -> None:
    images = everything(make_tars(tmp_path))
    tar = tmp_path / f"{WNIDS[2]}.tar"
    tar.write_bytes(tar.read_bytes()[:600])
    with pytest.raises(CogError, match="ends before byte"):
        read_bytes(images, len(images) - 1)


# A tar of tars


def test_a_tar_of_tars_is_given_itself_or_its_folder(tmp_path: Path, expected: str) -> None:
    root = make_nested(tmp_path / "images")
    tar = next(root.glob("*.tar"))
    assert everything(root).fingerprint == everything(tar).fingerprint == expected
    assert contents(tar) == dict(sorted(FILES.items()))
    assert everything(tar).source == "nested"
    assert find_images(tar, (*WNIDS, "n00000044")).paths["n00000044"] == ()


@pytest.mark.parametrize("fault", ["cut inside", "hostile", "twice", "garbage", "packed"])
def test_a_tar_of_tars_with_a_fault_is_refused(fault: str, tmp_path: Path) -> None:
    tars = make_tars(tmp_path / "tars")
    if fault == "hostile":
        make_tar(tars / f"{WNIDS[1]}.tar", [("../x.jpg", b"1")])
    inner = {path.name: path.read_bytes() for path in sorted(tars.iterdir())}
    if fault == "cut inside":  # the next header of the outer tar follows at once
        inner[f"{WNIDS[1]}.tar"] = inner[f"{WNIDS[1]}.tar"][:1024]
    if fault == "garbage":
        inner[f"{WNIDS[1]}.tar"] = b"?" * 2048
    members = [*inner.items(), *(list(inner.items())[:1] if fault == "twice" else [])]
    outer = tmp_path / ("whole.tar.gz" if fault == "packed" else "whole.tar")
    make_tar(outer, members, "w:gz" if fault == "packed" else "w")
    words = {"hostile": "leads out", "twice": "more than once", "packed": "uncompressed tar"}
    with pytest.raises(CogError, match=words.get(fault, "not a whole")) as caught:
        find_images(outer, WNIDS)
    assert fault != "packed" or "gunzip" in caught.value.hint
    if fault in ("cut inside", "hostile", "garbage"):  # the fault of one class
        listing, damaged = find_sound_images(outer, WNIDS)
        assert list(damaged) == [WNIDS[1]]
        assert listing.paths[WNIDS[1]] == ()
        assert len(listing.paths[WNIDS[2]]) == 3


@pytest.mark.parametrize("source", ["tar", "nested"])
def test_what_is_sound_can_be_read_beside_what_is_not(source: str, tmp_path: Path) -> None:
    tars = make_tars(tmp_path / "tars")
    bad = tars / f"{WNIDS[0]}.tar"
    bad.write_bytes(bad.read_bytes()[:700])
    if source == "nested":
        root = tmp_path / "whole.tar"
        make_tar(root, [(path.name, path.read_bytes()) for path in sorted(tars.iterdir())])
    else:
        root = tars
    listing, damaged = find_sound_images(root, WNIDS)
    assert list(damaged) == [WNIDS[0]]
    images = all_of(listing)
    assert {path: read_bytes(images, row) for row, path in enumerate(images.paths)} == {
        path: data for path, data in FILES.items() if WNIDS[0] not in path
    }


def all_of(listing: Listing):
    from cog.images.image_list import choose

    return choose(listing, {w: np.arange(len(p)) for w, p in listing.paths.items()}, "train")


# WebDataset


def samples(label: Callable[[str, str], list[tuple[str, bytes]]]) -> list[tuple[str, bytes]]:
    """Members of a shard: for each image what `label` makes of its number and path, before it."""
    members = []
    for number, (path, data) in enumerate(sorted(FILES.items())):
        key = f"{number:08}"
        members += [(name.replace("KEY", key), text) for name, text in label(key, path)]
        members += [(f"{key}.jpg", data)]
    return members


def told(**fields: object) -> bytes:
    return json.dumps(fields).encode()


LABELS: dict[str, Callable[[str, str], list[tuple[str, bytes]]]] = {
    "file name in json": lambda key, path: [
        ("KEY.json", told(filename=path.partition("/")[2], label=7)),
        ("KEY.cls", b"7"),
    ],
    "path in json": lambda key, path: [("KEY.json", told(filename=f"train/{path}", width=3))],
    "file name beside a wnid": lambda key, path: [
        ("KEY.cls", path[:9].encode()),
        ("KEY.json", told(filename=path.partition("/")[2])),
    ],
    "index and a class list": lambda key, path: [
        ("KEY.cls", str(WNIDS[::-1].index(path[:9])).encode()),
        ("KEY.json", told(filename=path.partition("/")[2].replace("n0", "x0"))),
    ],
}


@pytest.mark.parametrize("form", LABELS)
def test_every_way_to_tell_the_class_in_a_shard(form: str, tmp_path: Path, expected: str) -> None:
    make_tar(tmp_path / "train-000.tar", samples(LABELS[form]))
    listed = form == "index and a class list"
    if listed:
        text = "".join(f"{wnid} some words\n" for wnid in WNIDS[::-1])
        (tmp_path / "synsets.txt").write_text(text)
    images = everything(tmp_path)
    if listed:  # names of no release stay
        assert [path.replace("/x", "/n") for path in images.paths] == sorted(FILES)
    else:
        assert images.fingerprint == expected
    assert [read_bytes(images, row) for row in range(9)] == [FILES[p] for p in sorted(FILES)]


def test_labels_after_the_image_and_keys_with_folders(tmp_path: Path, expected: str) -> None:
    members = []
    for path, data in sorted(FILES.items()):
        members += [(f"./{path[:-5]}.jpg", data), (f"./{path[:-5]}.txt", b"a caption")]
    make_tar(tmp_path / "train-000.tar", members)
    assert everything(tmp_path).fingerprint == expected
    assert find_images(tmp_path, WNIDS).notes  # the captions


def test_a_class_that_cannot_be_known_is_refused(tmp_path: Path) -> None:
    make_tar(tmp_path / "s-0.tar", samples(lambda key, path: [("KEY.cls", b"3")]))
    with pytest.raises(CogError, match=r"class of 00000000\.jpg.*cannot be known") as caught:
        find_images(tmp_path, WNIDS)
    assert "synsets.txt" in caught.value.hint
    (tmp_path / "synsets.txt").write_text("n00000011\nn00000022\n")  # has no index 3
    with pytest.raises(CogError, match="cannot be known"):
        find_images(tmp_path, WNIDS)
    for text, word in (("n00000011\nn00000011\n", "twice"), ("tench\n", "no wnid")):
        (tmp_path / "synsets.txt").write_text(text)
        with pytest.raises(CogError, match=word):
            find_images(tmp_path, WNIDS)
    (tmp_path / "synsets.txt").write_text("".join(f"{w}\n" for w in ("n00000001", *WNIDS)))
    assert len(find_images(tmp_path, WNIDS).paths[WNIDS[2]]) == 9  # another list, another index


def test_hostile_and_repeated_shards_are_refused(tmp_path: Path) -> None:
    root = make_shards(tmp_path / "a")
    (root / "train-0002.tar").write_bytes((root / "train-0001.tar").read_bytes())
    with pytest.raises(CogError, match="4 images are more than once"):
        find_images(root, WNIDS)
    make_tar(root / "train-0002.tar", [(f"../{WNIDS[0]}_9.jpg", b"1")])
    with pytest.raises(CogError, match="leads out"):
        find_images(root, WNIDS)
    link = tarfile.TarInfo(f"{WNIDS[0]}_9.jpg")
    link.type, link.linkname = tarfile.LNKTYPE, "/etc/hosts"
    device = tarfile.TarInfo(f"{WNIDS[0]}_8.jpg")
    device.type = tarfile.CHRTYPE
    with tarfile.open(root / "train-0002.tar", "w") as archive:
        archive.addfile(link)
        archive.addfile(device)
    with pytest.raises(CogError, match=r"2 members of .*not a plain file"):
        find_images(root, WNIDS)


def test_shards_of_other_classes_are_no_images_of_these(tmp_path: Path) -> None:
    root = make_shards(tmp_path / "a")
    with pytest.raises(CogError, match="none of the 1 classes"):
        find_images(root, ["n00000044"])


# Parquet


@pytest.mark.parametrize("compression", ["none", "snappy"])
@pytest.mark.parametrize("rows", [2, 100])
def test_parquet_is_read_in_place_or_by_row_group(
    compression: str, rows: int, tmp_path: Path, expected: str
) -> None:
    twin = {f"{WNIDS[0]}/{WNIDS[0]}_98.JPEG": b"", f"{WNIDS[1]}/{WNIDS[1]}_99.JPEG": b"same" * 9}
    files = FILES | twin | {f"{WNIDS[2]}/{WNIDS[2]}_99.JPEG": b"same" * 9}
    root = make_parquet(tmp_path / "a", files, compression, rows_a_group=rows)
    images = everything(root)
    assert images.spans is not None
    assert bool((images.spans[:, 1] >= 0).all()) == (compression == "none")
    for _ in range(2):  # the second time from the index
        assert contents(root) == dict(sorted(files.items()))
    assert everything(make_parquet(tmp_path / "b")).fingerprint == expected


def test_parquet_with_wnids_for_names(tmp_path: Path, expected: str) -> None:
    names = [f"{wnid} a word, another" for wnid in WNIDS]
    root = make_parquet(tmp_path / "a", names=names, suffix=False)
    assert everything(root).fingerprint == expected


def write_rows(file: Path, rows: list[dict[str, object]]) -> None:
    pa = pytest.importorskip("pyarrow")
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
        "1 entries of the parquet files are no images of a class",
    )


def test_parquet_that_is_no_export_or_damaged_or_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path / "a.parquet", [{"img": b"1", "label": 1}])
    with pytest.raises(CogError, match="has the columns img, label"):
        find_images(tmp_path, WNIDS)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(CogError, match="not a whole Parquet file"):
        find_images(tmp_path, WNIDS)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(CogError, match="needs pyarrow") as caught:
        find_images(tmp_path, WNIDS)
    assert "imagenet-cog[parquet]" in caught.value.hint


def test_scattered_and_compressed_parquet_is_said(tmp_path: Path) -> None:
    files = {f"{w}/{w}_{n}.JPEG": b"%d" % n for w in WNIDS for n in range(400)}
    root = make_parquet(tmp_path / "a", files, "snappy", rows_a_group=10)
    assert "scattered over row groups" in find_images(root, WNIDS).notes[0]
    assert find_images(make_parquet(tmp_path / "b", files), WNIDS).notes == ()


# Lists


def test_lists_of_labels(tmp_path: Path, expected: str) -> None:
    make_folder(tmp_path, {f"train/{path}": data for path, data in FILES.items()})
    own = "".join(f"train/{path} 0\n" for path in FILES)  # the folder tells the class
    (tmp_path / "own.txt").write_text(own)
    assert everything(tmp_path / "own.txt").fingerprint == expected
    make_folder(tmp_path, {"x/1 2.jpg": b"12"})
    (tmp_path / "other.txt").write_text("x/1 2.jpg\t2\n")
    with pytest.raises(CogError, match="cannot be known"):
        find_images(tmp_path / "other.txt", WNIDS)
    (tmp_path / "synsets.txt").write_text("\n".join(WNIDS))
    assert contents(tmp_path / "other.txt") == {f"{WNIDS[2]}/1 2.jpg": b"12"}


@pytest.mark.parametrize("line", ["../a.jpg n00000011", "/a.jpg n00000011", "a.jpg", "a.txt 1"])
def test_lines_that_no_list_has(line: str, tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text(f"\n{line}\n")
    with pytest.raises(CogError, match="line 2"):
        find_images(tmp_path / "all.txt", WNIDS)


def test_a_listed_image_that_is_gone_or_twice(tmp_path: Path) -> None:
    file = make_list(tmp_path / "a")
    images = everything(file)
    (file.parent / "images" / images.paths[0]).unlink()
    with pytest.raises(CogError, match="cannot read"):
        read_bytes(images, 0)
    file.write_text(file.read_text() + file.read_text())
    with pytest.raises(CogError, match="9 images are more than once"):
        find_images(file, WNIDS)


# ImageNet-1K


@pytest.mark.parametrize("form", ["parquet", "shards", "shards in data/"])
def test_in1k_takes_shards_by_the_split_in_their_names(form: str, tmp_path: Path) -> None:
    val = {f"{wnid}/ILSVRC2012_val_{n:08}.JPEG": b"v%d" % n for n, wnid in enumerate(WNIDS)}
    root = tmp_path / "in1k"
    if form == "parquet":
        make_parquet(root)
        (make_parquet(tmp_path / "v", val) / "data").rename(root / "v")
        for file in (root / "v").iterdir():
            file.rename(root / "data" / file.name.replace("train", "validation"))
    else:
        folder = make_shards(root / "data" if "data" in form else root)
        members = [(f"{Path(path).stem}_{path[:9]}.jpg", data) for path, data in val.items()]
        make_tar(folder / "imagenet-validation-00.tar", members)
    split = in1k_lists(root, WNIDS)
    assert split.train.paths == tuple(sorted(FILES))
    assert split.test.paths == tuple(sorted(val))
    assert [read_bytes(split.test, row) for row in range(3)] == [b"v0", b"v1", b"v2"]


def test_a_stream_of_zeros_is_no_tar_of_anything(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(bytes(10_240))
    with pytest.raises(CogError, match="none of the 3 classes"):
        find_images(tmp_path, WNIDS)
    with io.BytesIO() as nothing:
        (tmp_path / "a.tar").write_bytes(nothing.getvalue())
    with pytest.raises(CogError, match="not a whole"):
        find_images(tmp_path, WNIDS)
