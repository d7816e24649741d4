"""WebDataset shards: how the class of an image is known, and what is refused."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cog.errors import CogError
from cog.images.find import find_images
from cog.images.image_list import read_bytes
from tests.support.image_files import (
    FILES,
    WNIDS,
    everything,
    make_shards,
    make_tar,
)


def samples(label: Callable[[str, str], list[tuple[str, bytes]]]) -> list[tuple[str, bytes]]:
    """Members of a shard: for each image what `label` makes of its number and path, before it."""
    members = []
    for number, (path, data) in enumerate(sorted(FILES.items())):
        key = f"{number:08}"
        members += [(name.replace("KEY", key), text) for name, text in label(key, path)]
        members += [(f"{key}.jpg", data)]
    return members


def as_json(**fields: object) -> bytes:
    return json.dumps(fields).encode()


LABELS: dict[str, Callable[[str, str], list[tuple[str, bytes]]]] = {
    "file name in json": lambda key, path: [
        ("KEY.json", as_json(filename=path.partition("/")[2], label=7)),
        ("KEY.cls", b"7"),
    ],
    "path in json": lambda key, path: [("KEY.json", as_json(filename=f"train/{path}", width=3))],
    "file name beside a wnid": lambda key, path: [
        ("KEY.cls", path[:9].encode()),
        ("KEY.json", as_json(filename=path.partition("/")[2])),
    ],
    "index and a class list": lambda key, path: [
        ("KEY.cls", str(WNIDS[::-1].index(path[:9])).encode()),
        ("KEY.json", as_json(filename=path.partition("/")[2].replace("n0", "x0"))),
    ],
}


@pytest.mark.parametrize("form", LABELS)
def test_every_way_to_name_the_class_in_a_shard_is_read(
    form: str, tmp_path: Path, expected: str
) -> None:
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
    with pytest.raises(CogError, match="4 images are there more than once"):
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
