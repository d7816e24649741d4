"""WebDataset samples with several members: one sample has one image."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from cog.errors import CogError
from cog.images.find import count_images, find_images
from cog.images.image_list import ImageList, read_bytes
from cog.images.listing import Listing
from cog.images.samples import divide, read_image_key
from tests.support.image_files import WNIDS, all_of, make_folder, make_tar

Members = list[tuple[str, bytes]]


def shard(fields: Sequence[str], key: str = "{:06}", first: int = 0, count: int = 6) -> Members:
    """Samples of two classes in turn: a .cls, and members of other fields."""
    members: Members = []
    for number in range(first, first + count):
        own = key.format(number)
        members += [(f"{own}.cls", WNIDS[number % 2].encode())]
        members += [(f"{own}.{field}", f"{field} {number}".encode()) for field in fields]
    return members


def listed(root: Path, image_key: str = "") -> tuple[Listing, ImageList]:
    listing = find_images(root, WNIDS[:2], image_key=image_key)
    return listing, all_of(listing)


def names(images: ImageList) -> list[str]:
    return [path.partition("/")[2] for path in images.paths]


@pytest.mark.parametrize("key", ["{:06}", "img.{:06}", "a.b/c.{:06}.d", "img-{:02}.final"])
def test_a_sample_has_one_image_and_other_fields_are_counted(key: str, tmp_path: Path) -> None:
    make_tar(tmp_path / "s-0.tar", shard(["seg.png", "png"], key))
    listing, images = listed(tmp_path)
    base = key.rpartition("/")[2]
    wanted = [f"{base.format(number)}.png" for number in (0, 2, 4, 1, 3, 5)]
    assert names(images) == wanted
    assert [read_bytes(images, row) for row in range(6)] == [
        b"png %d" % number for number in (0, 2, 4, 1, 3, 5)
    ]
    assert listing.notes == (
        "6 entries of the webdataset files are not images of a class: "
        "6 KEY.seg.png (another field)",
    )
    assert listed(tmp_path)[0].notes == listing.notes  # from the index


def test_samples_with_one_image_give_the_same_bytes_as_ever(tmp_path: Path) -> None:
    make_tar(tmp_path / "s-0.tar", shard(["png"]))
    listing, images = listed(tmp_path)
    assert listing.notes == ()
    # of version 0.1
    assert images.fingerprint.startswith("2c6e2e43540884b2")


def test_the_image_key_chooses_another_field(tmp_path: Path) -> None:
    make_tar(tmp_path / "s-0.tar", shard(["seg.png", "png"]))
    _, plain = listed(tmp_path)
    listing, masks = listed(tmp_path, "seg.png")
    assert names(masks)[0] == "000000.seg.png"
    assert read_bytes(masks, 0) == b"seg.png 0"
    assert "6 KEY.png (another field)" in listing.notes[0]
    _, named = listed(tmp_path, "png")
    assert named.fingerprint == plain.fingerprint != masks.fingerprint


def test_a_mask_has_another_name_and_fingerprint_where_the_label_names_the_file(
    tmp_path: Path,
) -> None:
    members = []
    for number in range(3):
        own = f"{WNIDS[0]}_{number}.JPEG"
        members += [
            (f"{number}.json", json.dumps({"filename": own}).encode()),
            (f"{number}.jpg", b"photo"),
            (f"{number}.png", b"plain mask"),
            (f"{number}.seg.png", b"mask"),
        ]
    make_tar(tmp_path / "s-0.tar", members)
    found = {key: listed(tmp_path, key)[1] for key in ("jpg", "png", "seg.png")}
    assert len({images.fingerprint for images in found.values()}) == 3
    assert names(found["jpg"])[0] == f"{WNIDS[0]}_0.jpg"
    assert names(found["seg.png"])[0] == f"{WNIDS[0]}_0.seg.png"
    assert read_bytes(found["seg.png"], 2) == b"mask"


@pytest.mark.parametrize(
    ("fields", "key", "what", "hint"),
    [
        (["jpg", "png"], "", "6 samples of .* have several images, such as 000000", "jpg or png"),
        (["JPG", "jpg"], "", "6 samples of .* have several images", "a key of its own"),
        (["rgb.png", "seg.png"], "", r"has an image KEY\.jpg.*KEY\.rgb\.png", "rgb.png or seg"),
        (["0.png", "1.png"], "", r"has an image KEY\.jpg.*found KEY\.0\.png", "0.png or 1.png"),
        (["png", "seg.png"], "depth.png", r"has an image KEY\.depth\.png", "png or seg.png"),
    ],
)
def test_samples_without_the_one_image_are_refused_with_their_fields(
    fields: list[str], key: str, what: str, hint: str, tmp_path: Path
) -> None:
    make_tar(tmp_path / "s-0.tar", shard(fields))
    with pytest.raises(CogError, match=what) as caught:
        find_images(tmp_path, WNIDS, image_key=key)
    assert hint in caught.value.hint
    assert len(str(caught.value).splitlines()) == 2
    if not key:
        assert count_images(tmp_path, WNIDS)[0] == {WNIDS[0]: 3, WNIDS[1]: 3}


def split_names(
    given: list[str], classed: Sequence[str] = (), described: Sequence[str] = ()
) -> list[tuple[str, str]]:
    members = [(name, tarfile.TarInfo(name)) for name in given]
    return [(image.key, image.field) for image in divide(members, classed, described)]


def test_keys_end_where_those_of_labels_do() -> None:
    names = ["a.png", "a.1.png"]
    apart, together = [("a", "png"), ("a.1", "png")], [("a", "png"), ("a", "1.png")]
    assert split_names(names, ["a", "a.1"]) == apart
    assert split_names(names, ["a"]) == split_names(names, ["a"], ["a.1"]) == together
    assert split_names(names, [], ["a", "a.1"]) == together  # masks are described too
    assert split_names(names, [], ["a.1"]) == apart


def test_keys_without_labels_end_before_fields_that_recur() -> None:
    assert split_names(["a.000.png", "a.001.png", "b.000.png"]) == [
        ("a.000", "png"), ("a.001", "png"), ("b.000", "png")
    ]  # fmt: skip
    assert split_names(["a.png", "a.seg.png", "b.png", "b.seg.png"]) == [
        ("a", "png"), ("a", "seg.png"), ("b", "png"), ("b", "seg.png")
    ]  # fmt: skip
    assert split_names(["mr.smith.jpg", "ms.jones.jpg"]) == [
        ("mr.smith", "jpg"), ("ms.jones", "jpg")
    ]  # fmt: skip
    assert split_names(["v1.2/a.0.Seg.PNG"], ["v1.2/a"]) == [("v1.2/a", "0.seg.png")]


def test_a_name_may_have_any_number_of_dots(tmp_path: Path) -> None:
    key = "a" + ".b" * 50_000  # of which each once was the start of a field
    make_tar(tmp_path / "s-0.tar", [(f"{key}.cls", WNIDS[0].encode()), (f"{key}.png", b"1")])
    assert find_images(tmp_path, WNIDS).paths[WNIDS[0]] == (f"{WNIDS[0]}/{key}.png",)


@pytest.mark.parametrize("text", ["", ".", "cls", "seg.txt", "a/b.png", "../x.png", "a..png", "*"])
def test_an_image_key_that_no_image_has_is_refused(text: str) -> None:
    with pytest.raises(CogError, match="image-key cannot be"):
        read_image_key(text)


def test_an_image_key_where_there_are_no_samples_is_said(tmp_path: Path) -> None:
    listing = find_images(make_folder(tmp_path), WNIDS, image_key="png")
    assert listing.notes == (f"the image key png is of WebDataset samples: {tmp_path} holds none",)


# Shards with other faults


def test_keys_that_start_again_in_each_shard_are_named_by_it(tmp_path: Path) -> None:
    make_tar(tmp_path / "s-0.tar", shard(["png"]))
    other = [(name, data + b"!" if name.endswith("png") else data) for name, data in shard(["png"])]
    make_tar(tmp_path / "s-1.tar", other)
    listing, images = listed(tmp_path)
    assert names(images)[:3] == ["s-0-000000.png", "s-0-000002.png", "s-0-000004.png"]
    assert names(images)[3:6] == ["s-1-000000.png", "s-1-000002.png", "s-1-000004.png"]
    assert read_bytes(images, 0) == b"png 0"
    assert read_bytes(images, 3) == b"png 0!"
    assert listing.notes == (
        "names start again in each file: images of 2 classes are named by their file too, as in "
        f"{WNIDS[0]}/s-0-000000.png",
    )
    first = all_of(find_images(tmp_path, WNIDS[:1]))
    assert first.paths == images.paths[:6]  # whichever classes are asked for with it


def test_a_second_download_and_a_name_twice_in_one_shard_are_refused(tmp_path: Path) -> None:
    make_tar(tmp_path / "s-0.tar", shard(["png"]))
    make_tar(tmp_path / "s-1.tar", shard(["png"]))
    with pytest.raises(CogError, match=r"6 images are there .*\(in s-0\.tar and in s-1\.tar\)"):
        find_images(tmp_path, WNIDS)
    (tmp_path / "s-1.tar").unlink()
    make_tar(tmp_path / "s-0.tar", shard(["png"], "a/{}") + shard(["png"], "b/{}"))
    with pytest.raises(CogError, match=r"6 images are there .*\(twice in s-0\.tar\)"):
        find_images(tmp_path, WNIDS)


@pytest.mark.parametrize("suffix", ["tar.gz", "tgz", "tar.xz", "tar.zst"])
def test_packed_shards_are_named_with_what_to_do(suffix: str, tmp_path: Path) -> None:
    plain = tmp_path / "plain.tar"
    make_tar(plain, shard(["png"]))
    packed = tmp_path / "a" / f"s-0.{suffix}"
    packed.parent.mkdir()
    if suffix == "tar.zst":
        packed.write_bytes(plain.read_bytes())
    else:
        make_tar(packed, shard(["png"]), "w:xz" if suffix == "tar.xz" else "w:gz")
    for root in (packed.parent, packed.parent / f"s-*.{suffix}"):
        with pytest.raises(CogError, match=rf"1 packed tars, such as s-0\.{suffix}") as caught:
            find_images(root, WNIDS)
        assert caught.value.hint.startswith("unpack them (gunzip")
    with pytest.raises(CogError, match=rf"there is no .*train, but s-0\.{suffix} beside it"):
        find_images(packed.parent / "train", WNIDS)
    plain.rename(packed.parent / "s-1.tar")
    assert "1 packed tars, such as" in find_images(packed.parent, WNIDS).notes[-1]
    make_tar(packed.parent / f"{WNIDS[0]}.tar", [("a.jpg", b"")])
    packed.rename(packed.parent / f"{WNIDS[1]}.{suffix}")
    remark = find_images(packed.parent, WNIDS).remarks[WNIDS[1]]
    assert remark.found == f"it is there as {WNIDS[1]}.{suffix}"


@pytest.mark.parametrize(
    ("label", "known", "what", "hint"),
    [
        (None, False, "it has no label", "label it with its wnid"),
        (b"3", False, "its label is 3, and no list says", "put synsets.txt"),
        (b"3", True, "its label is 3, and the class list there has 3 classes", "list every class"),
        (b"dog", True, "its label is 'dog', and no wnid", "give wnids for labels"),
        (b'{"caption": "a dog"}', True, "it has no label", "label it with its wnid"),
        (b"[1, 2]", True, r"its label is \[1, 2\]", "give wnids for labels"),
    ],
)
def test_an_image_without_a_class_is_refused_with_what_to_do(
    label: bytes | None, known: bool, what: str, hint: str, tmp_path: Path
) -> None:
    members = [("0.jpg", b"?")]
    if label is not None:
        members.append(("0.json", label))
    make_tar(tmp_path / "s-0.tar", members)
    if known:
        (tmp_path / "synsets.txt").write_text("\n".join(WNIDS))
    with pytest.raises(CogError, match=what) as caught:
        find_images(tmp_path, WNIDS)
    assert hint in caught.value.hint
    assert len(str(caught.value).splitlines()) == 2


def test_links_in_shards_are_refused_as_images_and_passed_over_as_other_fields(
    tmp_path: Path,
) -> None:
    link = tarfile.TarInfo("000000.seg.png")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/hosts"
    with tarfile.open(tmp_path / "s-0.tar", "w") as archive:
        for name, data in shard(["png"]):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        archive.addfile(link)
    assert len(listed(tmp_path)[1]) == 6
    with pytest.raises(CogError, match=r"000000\.seg\.png \(not a plain file\)"):
        listed(tmp_path, "seg.png")
