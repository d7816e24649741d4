"""Lists of images from folders, tars and the layouts of ImageNet-1K."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from cog.datasets.imagenet1k import in1k_lists
from cog.errors import CogError
from cog.images.find import find_images
from cog.images.image_list import ImageList, choose, read_bytes
from cog.images.listing import is_image
from cog.images.sources import IMAGE_SOURCES

WNIDS = ("n00000011", "n00000022", "n00000033")
FILES = {
    f"{wnid}/{wnid}_{number}.JPEG": f"{wnid} {number}".encode() * (number + 1)
    for wnid in WNIDS
    for number in (10, 2, 7)
}


def make_folder(root: Path, files: dict[str, bytes] = FILES) -> Path:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def make_tars(root: Path, files: dict[str, bytes] = FILES) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for wnid in {path.partition("/")[0] for path in files}:
        members = [
            (path.partition("/")[2], data) for path, data in files.items() if path.startswith(wnid)
        ]
        make_tar(root / f"{wnid}.tar", members)
    return root


def make_tar(path: Path, members: list[tuple[str, bytes]], mode: str = "w") -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def make_nested(root: Path, files: dict[str, bytes] = FILES) -> Path:
    """One tar of the tars, as the winter21 release is: in a folder of its name."""
    tars = sorted(make_tars(root.parent / "to-nest", files).iterdir())
    root.mkdir(parents=True, exist_ok=True)
    make_tar(root / "winter21.tar", [(f"winter21/{tar.name}", tar.read_bytes()) for tar in tars])
    shutil.rmtree(root.parent / "to-nest")
    return root


def shuffled(files: dict[str, bytes]) -> list[tuple[str, bytes]]:
    return random.Random(0).sample(sorted(files.items()), len(files))


def make_shards(root: Path, files: dict[str, bytes] = FILES) -> Path:
    """Two shards in random order, whose keys are the names of the release."""
    root.mkdir(parents=True, exist_ok=True)
    members = [
        (path.partition("/")[2].replace(".JPEG", ".jpg"), data) for path, data in shuffled(files)
    ]
    make_tar(root / "train-0000.tar", members[::2])
    make_tar(root / "train-0001.tar", members[1::2])
    return root


def make_list(root: Path, files: dict[str, bytes] = FILES) -> Path:
    make_folder(root / "images", files)
    lines = [f"images/{path} {path.partition('/')[0]}\n" for path, _ in shuffled(files)]
    (root / "all.txt").write_text("# made by hand\n\n" + "".join(lines))
    return root / "all.txt"


def make_parquet(
    root: Path,
    files: dict[str, bytes] = FILES,
    compression: str = "none",
    names: list[str] | None = None,
    suffix: bool = True,
    rows_a_group: int = 2,
) -> Path:
    """Two files in random order, as Hugging Face exports them: paths end in the synset."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    (root / "data").mkdir(parents=True)
    rows = [
        {
            "image": {
                "bytes": data,
                "path": f"{Path(path).stem}_{path[:9]}.JPEG" if suffix else Path(path).name,
            },
            "label": WNIDS.index(path[:9]),
        }
        for path, data in shuffled(files)
    ]
    features = {"label": {"names": names or ["a, b", "c", "d"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    for number in (0, 1):
        table = pa.Table.from_pylist(rows[number::2]).replace_schema_metadata(metadata)
        pq.write_table(
            table,
            root / "data" / f"train-{number:05}-of-00002.parquet",
            compression=compression,
            row_group_size=rows_a_group,
        )
    return root


MAKERS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "folder": make_folder,
    "tar": make_tars,
    "list": make_list,
    "parquet": make_parquet,
    "nested": make_nested,
    "webdataset": make_shards,
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Indexes go to a folder of the test where they cannot lie beside their file."""
    monkeypatch.setenv("COG_HOME", str(tmp_path / "cog-home"))
    return tmp_path / "cog-home"


def everything(root: Path, wnids: tuple[str, ...] = WNIDS) -> ImageList:
    listing = find_images(root, wnids)
    rows = {wnid: np.arange(len(listing.paths[wnid])) for wnid in wnids}
    return choose(listing, rows, "train")


@pytest.mark.parametrize("source", IMAGE_SOURCES)
def test_every_source_lists_and_reads_the_same(source: str, tmp_path: Path) -> None:
    images = everything(MAKERS[source](tmp_path / "images", FILES))
    assert images.source == source
    assert images.paths == tuple(sorted(FILES))
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert images.labels.dtype == np.int64
    assert len(images) == 9
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: read_bytes(images, row), [*range(9)] * 5))
    assert found == [FILES[path] for path in images.paths] * 5
    folder = everything(make_folder(tmp_path / "other"))
    assert images.fingerprint == folder.fingerprint


def test_fingerprint_tells_what_is_trained_on_and_not_where_it_lies(tmp_path: Path) -> None:
    images = everything(make_folder(tmp_path))
    assert replace(images, root="elsewhere").fingerprint == images.fingerprint
    others = [
        replace(images, split="test"),
        replace(images, labels=images.labels[::-1].copy()),
        replace(images, paths=images.paths[::-1]),
        replace(images, wnids=(*WNIDS, "n00000044")),
        replace(images, wnids=WNIDS[:2], paths=(WNIDS[2], *images.paths)),
    ]
    prints = {images.fingerprint, *(other.fingerprint for other in others)}
    assert len(prints) == 1 + len(others)


@pytest.mark.parametrize("source", ["folder", "tar", "nested"])
def test_what_is_no_image_is_left_out(source: str, tmp_path: Path) -> None:
    extra = {
        f"{WNIDS[0]}/{name}": b"?"
        for name in (
            "urls.txt",
            "a.xml",
            "Thumbs.db",
            ".hidden.jpg",
            "._x.JPEG",
            "noext",
            "deep/x.jpg",
        )
    }
    kept = {
        f"{WNIDS[0]}/{name}": b"!" for name in ("a.JPG", "b b.jpeg", "c.png", "d.TIF", "é.webp")
    }
    empty = {f"{WNIDS[2]}/readme.txt": b"?"}
    only = {path: data for path, data in FILES.items() if WNIDS[2] not in path}
    root = MAKERS[source](tmp_path / "images", only | extra | kept | empty)
    assert set(everything(root).paths) == set(only) | set(kept)
    listing = find_images(root, WNIDS)
    assert listing.paths[WNIDS[2]] == ()
    assert bool(listing.notes) == (source != "folder")


@pytest.mark.parametrize("name", ["jpeg", ".jpeg", "x.jpg.txt", "x.", "x.mp4"])
def test_names_that_are_no_images(name: str) -> None:
    assert not is_image(name)


def test_the_source_with_more_of_the_classes_is_taken(tmp_path: Path) -> None:
    make_tars(tmp_path)
    make_folder(tmp_path, {f"{WNIDS[0]}/a.JPEG": b"a"})
    assert find_images(tmp_path, WNIDS).source == "tar"
    assert find_images(tmp_path, WNIDS[:1]).source == "folder"  # of equals, the first


def test_no_root_and_nothing_in_it_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CogError, match="no folder"):
        find_images(tmp_path / "nowhere", WNIDS)
    with pytest.raises(CogError, match="none of the 3 classes"):
        find_images(tmp_path, WNIDS)


@pytest.mark.skipif(os.name != "posix", reason="such names are only possible on POSIX")
def test_names_that_a_list_cannot_hold_are_refused(tmp_path: Path) -> None:
    (tmp_path / WNIDS[0]).mkdir()
    (tmp_path / WNIDS[0] / "a\nb.jpg").write_bytes(b"")
    with pytest.raises(CogError, match="line breaks"):
        find_images(tmp_path, WNIDS)


def test_a_vanished_image_is_an_error_and_not_an_unreadable_image(tmp_path: Path) -> None:
    images = everything(make_folder(tmp_path))
    (tmp_path / images.paths[4]).unlink()
    with pytest.raises(CogError, match=images.paths[4]):
        read_bytes(images, 4)


@pytest.mark.parametrize("prefix", ["./", f"{WNIDS[0]}/", f"./{WNIDS[0]}/"])
def test_members_are_named_as_in_a_folder(prefix: str, tmp_path: Path) -> None:
    make_tars(tmp_path)
    names = ["b.jpg", "a" * 150 + ".jpg"]  # the second needs an extended header
    make_tar(tmp_path / f"{WNIDS[0]}.tar", [(f"{prefix}{name}", name.encode()) for name in names])
    images = everything(tmp_path)
    assert images.paths[:2] == tuple(f"{WNIDS[0]}/{name}" for name in sorted(names))
    assert [read_bytes(images, row) for row in (0, 1)] == [n.encode() for n in sorted(names)]


@pytest.mark.parametrize("name", ["../x.jpg", "/x.jpg", "a/../../x.jpg"])
def test_members_that_lead_out_of_the_tar_are_refused(name: str, tmp_path: Path) -> None:
    make_tar(tmp_path / f"{WNIDS[0]}.tar", [("ok.jpg", b"1"), (name, b"2")])
    with pytest.raises(CogError, match="leads out") as caught:
        find_images(tmp_path, WNIDS)
    assert name in caught.value.what


def test_double_and_linked_members_are_refused(tmp_path: Path) -> None:
    path = tmp_path / f"{WNIDS[0]}.tar"
    make_tar(path, [("x.jpg", b"1"), ("./x.jpg", b"2")])
    with pytest.raises(CogError, match=r"x\.jpg \(more than once\)"):
        find_images(tmp_path, WNIDS)
    link = tarfile.TarInfo("link.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hosts"
    with tarfile.open(path, "w") as archive:
        archive.addfile(link)
    with pytest.raises(CogError, match=r"link\.jpg \(not a plain file\)"):
        find_images(tmp_path, WNIDS)


@pytest.mark.parametrize("damage", ["cut data", "cut between", "bad header", "packed", "garbage"])
def test_damaged_tars_are_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / f"{WNIDS[0]}.tar"
    make_tar(
        path, [("a.jpg", b"1" * 600), ("b.jpg", b"2" * 600)], "w:gz" if damage == "packed" else "w"
    )
    data = path.read_bytes()
    second = 512 + 1024
    changed = {
        "cut data": data[: second + 700],
        "cut between": data[:second],
        "bad header": data[:second] + b"?" * 512 + data[second + 512 :],
        "garbage": b"garbage" * 200,
    }
    path.write_bytes(changed.get(damage, data))
    with pytest.raises(CogError, match="not a whole, uncompressed tar"):
        find_images(tmp_path, WNIDS)


def test_images_import_nothing_heavy() -> None:
    heavy = {"torch", "pandas", "scipy", "PIL", "pyarrow"}
    code = f"import sys, cog.datasets.imagenet1k; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# ImageNet-1K


VAL = {f"ILSVRC2012_val_{n:08}.JPEG": WNIDS[n % 3] for n in range(1, 10)}


def make_in1k(root: Path, val: str) -> Path:
    make_folder(root / "train")
    if val == "folders":
        make_folder(root / "val", {f"{wnid}/{name}": b"v" for name, wnid in VAL.items()})
    else:
        make_folder(root / "val", dict.fromkeys(VAL, b"v"))
    if val == "devkit":
        write_devkit(root / "ILSVRC2012_devkit_t12" / "data")
    if val == "packed devkit":
        write_devkit(root / "kit")
        with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as archive:
            archive.add(root / "kit", "ILSVRC2012_devkit_t12/data")
    if val == "Kaggle":
        with (root / "LOC_val_solution.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["ImageId", "PredictionString"])
            for name, wnid in reversed(VAL.items()):
                rows.writerow([name.removesuffix(".JPEG"), f"{wnid} 85 1 499 272 {wnid} 1 2 3 4 "])
    return root


def write_devkit(folder: Path) -> None:
    """meta.mat as the official one: a struct array [n, 1], inner synsets after the leaves."""
    folder.mkdir(parents=True)
    fields = [
        ("ILSVRC2012_ID", "O"),
        ("WNID", "O"),
        ("words", "O"),
        ("num_children", "O"),
        ("children", "O"),
    ]
    order = (WNIDS[2], WNIDS[0], WNIDS[1])  # ids do not follow the wnids
    synsets = np.zeros((4, 1), dtype=fields)
    for row, wnid in enumerate(order):
        synsets[row, 0] = (row + 1, wnid, "a word, another", 0, np.zeros((0, 0)))
    synsets[3, 0] = (4, "n00000001", "all of them", 3, np.array([[1, 2, 3]]))
    savemat(folder / "meta.mat", {"synsets": synsets})
    ids = [order.index(wnid) + 1 for wnid in VAL.values()]
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{i}\n" for i in ids))


@pytest.mark.parametrize("val", ["folders", "devkit", "packed devkit", "Kaggle"])
def test_every_layout_of_in1k_gives_the_same_images(val: str, tmp_path: Path) -> None:
    split = in1k_lists(make_in1k(tmp_path, val), WNIDS)
    assert split.kind == "official"
    assert split.left_out == ()
    assert split.train.paths == tuple(sorted(FILES))
    assert split.train.split == "train"
    assert split.test.split == "test"
    assert split.test.wnids == WNIDS
    found = {
        path.rpartition("/")[2]: split.test.wnids[label]
        for path, label in zip(split.test.paths, split.test.labels, strict=True)
    }
    assert found == VAL
    assert split.test.labels.tolist() == sorted(split.test.labels)
    assert {read_bytes(split.test, row) for row in range(len(split.test))} == {b"v"}


def test_in1k_takes_tars_to_train(tmp_path: Path) -> None:
    root = make_in1k(tmp_path / "folders", "Kaggle")
    expected = in1k_lists(root, WNIDS).train.fingerprint
    (root / "train").rename(root / "old")
    make_tars(root / "train")
    assert in1k_lists(root, WNIDS).train.fingerprint == expected


def test_in1k_without_labels_or_with_images_that_have_none(tmp_path: Path) -> None:
    with pytest.raises(CogError, match="labels are not there"):
        in1k_lists(make_in1k(tmp_path / "a", "flat"), WNIDS)
    root = make_in1k(tmp_path / "b", "devkit")
    for name in ("ILSVRC2012_val_00000010.JPEG", "holiday.jpg"):
        (root / "val" / name).write_bytes(b"")
    with pytest.raises(CogError, match="2 of 11 images") as caught:
        in1k_lists(root, WNIDS, allow_missing=True)
    assert "holiday.jpg" in caught.value.what


def test_in1k_with_a_damaged_devkit(tmp_path: Path) -> None:
    root = make_in1k(tmp_path, "devkit")
    (root / "ILSVRC2012_devkit_t12" / "data" / "meta.mat").write_bytes(b"junk" * 100)
    with pytest.raises(CogError, match="cannot read the labels"):
        in1k_lists(root, WNIDS)


def test_in1k_with_missing_classes(tmp_path: Path) -> None:
    root, wnids = make_in1k(tmp_path, "folders"), (*WNIDS, "n00000044")
    with pytest.raises(
        CogError, match=r"1 of 4 classes.*n00000044: none in train and val"
    ) as caught:
        in1k_lists(root, wnids)
    assert "--allow-missing" in caught.value.hint
    split = in1k_lists(root, wnids, allow_missing=True)
    assert split.left_out == ("n00000044",)
    assert split.test.wnids == split.train.wnids == WNIDS
    with pytest.raises(CogError, match="no folder"):
        in1k_lists(tmp_path / "train", wnids)


def test_a_place_that_cannot_be_listed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(root: Path, wnids: object) -> int:
        raise PermissionError(13, "Permission denied", str(root))

    source = replace(IMAGE_SOURCES["folder"], find=forbid)
    monkeypatch.setitem(IMAGE_SOURCES, "folder", source)
    with pytest.raises(CogError, match=r"cannot list the images.*Permission denied"):
        find_images(make_folder(tmp_path), WNIDS)


def test_a_root_of_folders_and_tars_is_refused_unless_one_form_has_all(tmp_path: Path) -> None:
    make_folder(tmp_path)
    make_tars(tmp_path)
    assert find_images(tmp_path, WNIDS).source == "folder"
    for path in (tmp_path / WNIDS[2]).iterdir():
        path.unlink()
    (tmp_path / WNIDS[2]).rmdir()
    (tmp_path / f"{WNIDS[0]}.tar").unlink()
    (tmp_path / f"{WNIDS[1]}.tar").unlink()
    with pytest.raises(CogError, match="holds 2 of the classes as folders and 1 others as tars"):
        find_images(tmp_path, WNIDS)
