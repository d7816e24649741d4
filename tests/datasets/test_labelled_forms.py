"""Forms of labelled images: lists, shards, functions, torchvision; each gives the same images."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cog.datasets.dataset import Dataset, DatasetOptions, Named
from cog.datasets.find import find_datasets
from cog.datasets.labelled.class_list import class_names
from cog.errors import CogError
from cog.images.image_list import read_bytes
from cog.levels.files import read_levels
from cog.recipe import Recipe
from tests.support.labelled_images import counts, found, png

Item = tuple[str, str, bytes]
"""part, class, encoded image"""
ITEMS: list[Item] = [
    (part, name, png(100 * number + 10 * len(name) + len(part)))
    for part, count in (("train", 3), ("test", 2))
    for name in ("big dog", "Kätzchen", "7")
    for number in range(count)
]
COUNTS = ({"7": 3, "Kätzchen": 3, "big dog": 3}, {"7": 2, "Kätzchen": 2, "big dog": 2})


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs and indexes go to a folder of the test."""
    monkeypatch.setenv("COG_HOME", str(tmp_path / "cog-home"))


def contents(dataset: Dataset) -> list[Item]:
    """What a dataset gives when it is read, sorted."""
    return sorted(
        (images.split, images.classes[label], read_bytes(images, row))
        for images in dataset.lists
        for row, label in enumerate(images.labels.tolist())
    )


def as_files(root: Path) -> Iterator[tuple[Path, Item]]:
    """The images as files of one folder."""
    root.mkdir()
    for number, item in enumerate(ITEMS):
        (root / f"image {number}.png").write_bytes(item[2])
        yield root / f"image {number}.png", item


@pytest.mark.parametrize("tabs", [True, False])
def test_a_list_of_path_label_split_lines(tmp_path, tabs):
    names = {"big dog": "big dog" if tabs else "big-dog"}
    lines = [
        ("\t" if tabs else " ").join([f"a/{file.name}", names.get(name, name), part])
        for file, (part, name, _) in as_files(tmp_path / "a")
    ]
    (tmp_path / "list.txt").write_text("# mine\n" + "\n".join(lines) + "\n")
    dataset = found(tmp_path / "list.txt")
    expected = sorted((part, names.get(name, name), data) for part, name, data in ITEMS)
    assert contents(dataset) == expected
    assert dataset.split.kind == "train/test"


def test_a_list_without_splits_is_drawn_from(tmp_path):
    lines = [f"a/{file.name}\t{name}" for file, (_, name, _) in as_files(tmp_path / "a")]
    (tmp_path / "list.tsv").write_text("\n".join(lines))
    dataset = found(tmp_path / "list.tsv", Recipe(test_per_class=2))
    assert (counts(dataset), dataset.split.kind) == (COUNTS, "seeded")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a.jpg dog train\nb.jpg dog\n", "expected a split"),
        ("a.jpg dog train\na.jpg cat test\n", "more than once"),
        ("a.jpg dog train\nb.jpg cat train\n", "only the splits train"),
        ("a.jpg\n", "expected an image, its label"),
        ("a.jpg\tdog\tholiday\n", "expected an image, its label"),
        ("../a.jpg dog train\n", "leads out"),
        ("a.jpg train\nb.jpg test\n", "a split in place of the label"),
        ("\n", "is empty"),
    ],
)
def test_lists_that_cannot_be_right(tmp_path, text, why):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(CogError, match=why):
        found(tmp_path / "list.txt")


def write_shards(root: Path, *, numbers: bool, nested: bool) -> None:
    """Two WebDataset shards, with names or numbers for labels."""
    names = sorted({name for _, name, _ in ITEMS})
    for part in ("train", "test"):
        file = root / part / "0.tar" if nested else root / f"own-{part}-000.tar"
        file.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(file, "w") as tar:
            own = [item for item in ITEMS if item[0] == part]
            for number, (_, name, data) in enumerate(own):
                label = str(names.index(name)) if numbers else name
                for suffix, content in (("png", data), ("cls", label.encode())):
                    member = tarfile.TarInfo(f"x/{number}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    if numbers:
        (root / "classes.txt").write_text("\n".join(names))


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("numbers", [True, False])
def test_webdataset_shards_with_names_or_numbers(tmp_path, numbers, nested):
    write_shards(tmp_path / "own", numbers=numbers, nested=nested)
    dataset = found(tmp_path / "own")
    assert contents(dataset) == sorted(ITEMS)
    assert contents(found(tmp_path / "own")) == sorted(ITEMS)  # from the indexes


def test_shards_with_the_same_names_in_both_parts_have_a_refit(tmp_path):
    """A name tells an image in its shard alone."""
    write_shards(tmp_path / "own", numbers=False, nested=True)
    own, further = (Named(name, tmp_path / "own") for name in ("own", "own/x"))
    given = DatasetOptions(datasets=(own,), test_sets=(further,), refit_shots=(None,))
    refit = find_datasets(given, read_levels(None), Recipe())[-1]
    assert refit.name == "own/x+refit"
    assert contents(refit) == [
        item for item in sorted(ITEMS) if item[1] in refit.split.test.classes
    ]


def test_numbers_without_names_are_names(tmp_path):
    write_shards(tmp_path / "own", numbers=True, nested=False)
    (tmp_path / "own" / "classes.txt").unlink()
    assert found(tmp_path / "own").split.train.classes == ("0", "1", "2")


def test_a_label_that_is_no_text_is_refused(tmp_path):
    write_shards(tmp_path / "own", numbers=False, nested=False)
    shard = tmp_path / "own" / "own-test-000.tar"
    shard.write_bytes(
        shard.read_bytes().replace("Kätzchen".encode(), "Kätzchen".encode("latin-1") + b" ")
    )
    with pytest.raises(CogError, match=r"cannot be known: its label is 'K.tzchen'"):
        found(tmp_path / "own")


def test_a_test_part_without_labels_is_refused_as_such(tmp_path):
    """Hugging Face's exports of sets with secret labels have -1 there."""
    pa = pytest.importorskip("pyarrow", reason="pip install 'imagenet-cog[parquet]'")
    from pyarrow import parquet

    for part, labels in (("train", [0, 1, 0, 1]), ("test", [-1, -1])):
        images = [{"bytes": png(row), "path": f"{row}.png"} for row in range(len(labels))]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({"image": pa.array(images, kind), "label": labels})
        parquet.write_table(table, tmp_path / f"{part}-00000-of-00001.parquet")
    with pytest.raises(CogError, match=r"no test images of these classes.* 2 with a label below 0"):
        found(tmp_path)


@pytest.mark.parametrize("kind", ["names", "metadata", "numbers"])
def test_parquet_with_names_or_numbers(tmp_path, kind):
    pa = pytest.importorskip("pyarrow", reason="pip install 'imagenet-cog[parquet]'")
    import pyarrow.parquet as pq

    (tmp_path / "own" / "data").mkdir(parents=True)
    names = sorted({name for _, name, _ in ITEMS})
    for part in ("train", "test"):
        rows = [
            {"image": {"bytes": data, "path": None},
             "label": name if kind == "names" else names.index(name)}
            for each, name, data in ITEMS if each == part
        ]  # fmt: skip
        table = pa.Table.from_pylist(rows)
        if kind == "metadata":
            features = {"label": {"names": names, "_type": "ClassLabel"}}
            text = json.dumps({"info": {"features": features}})
            table = table.replace_schema_metadata({"huggingface": text})
        pq.write_table(table, tmp_path / "own" / "data" / f"{part}-00000-of-00001.parquet")
    dataset = found(tmp_path / "own")
    number = {name: name if kind != "numbers" else str(names.index(name)) for name in names}
    assert contents(dataset) == sorted((part, number[name], data) for part, name, data in ITEMS)
    assert dataset.split.kind == "train/test"


FUNCTION = """
import pickle
from pathlib import Path

def of(part, files):
    items = pickle.loads(Path(__file__).with_name("items.pkl").read_bytes())
    return [(file if files else data, name) for file, (p, name, data) in items if p == part]

def paths(): return of("train", True), of("test", True)
def bytes_(): return of("train", False), of("test", False)
def numbers(): return [(b"a", 1), (b"b", 2)], [(b"a", 1)]
def one(): return of("train", True)
def wrong(): return [("a.jpg", 1.5)], [("a.jpg", 1.5)]
def fails(): raise ValueError("no such thing")
"""


@pytest.fixture
def function(tmp_path) -> str:
    items = [(f"a/{file.name}", item) for file, item in as_files(tmp_path / "a")]
    (tmp_path / "items.pkl").write_bytes(pickle.dumps(items))
    (tmp_path / "own.py").write_text(FUNCTION)
    return str(tmp_path / "own.py")


@pytest.mark.parametrize("name", ["paths", "bytes_"])
def test_a_function_gives_paths_or_bytes(function, name):
    dataset = found(f"{function}:{name}")
    assert contents(dataset) == sorted(ITEMS)
    again = found(f"{function}:{name}")
    for one, other in zip(dataset.lists, again.lists, strict=True):
        assert (one.fingerprint, one.containers) == (other.fingerprint, other.containers)


def test_cog_synsets_finds_the_classes_of_every_form(tmp_path, function):
    """The names are those of the dataset, from the one place that finds its images."""
    write_shards(tmp_path / "tars", numbers=False, nested=True)
    write_shards(tmp_path / "flat", numbers=True, nested=False)
    lines = [f"{file}\t{name}\t{part}\n" for file, (part, name, _) in as_files(tmp_path / "b")]
    (tmp_path / "own.txt").write_text("".join(lines))
    (tmp_path / "own.csv").write_text("path,label,split\n" + "".join(lines).replace("\t", ","))
    (tmp_path / "names.txt").write_text("big dog\nKätzchen\n7\n")
    (tmp_path / "names.csv").write_text("big dog\n")
    for part in ("banded", "dotted"):
        jpeg(tmp_path / "dtd" / "dtd" / "images" / part / "a.jpg", 1)
    for part in ("train", "val", "test"):
        file = tmp_path / "dtd" / "dtd" / "labels" / f"{part}1.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text("banded/a.jpg\n" if part == "train" else "dotted/a.jpg\n")
    for source in ("tars", "flat", "own.txt", "own.csv"):
        assert class_names(str(tmp_path / source)) == ("7", "Kätzchen", "big dog"), source
    assert class_names(f"{function}:bytes_") == ("7", "Kätzchen", "big dog")
    assert class_names(f"torchvision:DTD@{tmp_path}") == ("banded", "dotted")
    assert class_names(str(tmp_path / "names.txt")) == ("big dog", "Kätzchen", "7")
    assert class_names(str(tmp_path / "names.csv")) == ("big dog",)
    with pytest.raises(CogError, match="there is no "):
        class_names(str(tmp_path / "nowhere"))


def test_numbers_label_too(function):
    assert found(f"{function}:numbers").split.train.classes == ("1", "2")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("one", "lists, not two"), ("wrong", "for an image"), ("fails", "no such thing"),
        ("path", "paths"),
    ],
)  # fmt: skip
def test_functions_that_cannot_be_right(function, name, why):
    with pytest.raises(CogError) as caught:
        found(f"{function}:{name}")
    assert why in caught.value.what + caught.value.hint


def test_other_bytes_of_a_function_are_other_images():
    """Features are kept by the names of images."""
    prints = {found(lambda own=own: ([(own, "a"), (b"1", "b")], [(b"2", "a")]))
              .split.train.fingerprint for own in (b"x", b"y")}  # fmt: skip
    assert len(prints) == 2


def test_a_function_itself_is_a_source(tmp_path):
    items = {
        part: [(data, name) for p, name, data in ITEMS if p == part] for part in ("train", "test")
    }
    assert contents(found(lambda: (items["train"], items["test"]))) == sorted(ITEMS)


def jpeg(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), number % 256, np.uint8)).save(path, "JPEG")


def test_torchvision_dtd(tmp_path):
    root = tmp_path / "dtd" / "dtd"
    for number, (part, name) in enumerate(
        (part, name) for part in ("train", "val", "test") for name in ("banded", "dotted")
    ):
        path = f"{name}/{name}_{number:04}.jpg"
        jpeg(root / "images" / path, number)
        (root / "labels").mkdir(exist_ok=True)
        with (root / "labels" / f"{part}1.txt").open("a") as out:
            out.write(f"{path}\n")
    dataset = found(f"torchvision:DTD@{tmp_path}")
    assert counts(dataset) == ({"banded": 2, "dotted": 2}, {"banded": 1, "dotted": 1})
    assert (dataset.split.kind, dataset.metric) == ("train+val/test", "top1")
    assert dataset.split.train.paths[0] == "dtd/dtd/images/banded/banded_0000.jpg"


def test_torchvision_flowers_reads_matlab_labels_and_wants_the_mean_of_classes(
    tmp_path, monkeypatch
):
    from scipy.io import savemat
    from torchvision import datasets

    root = tmp_path / "flowers-102"
    for number in range(1, 7):
        jpeg(root / "jpg" / f"image_{number:05}.jpg", number)
    savemat(root / "imagelabels.mat", {"labels": np.array([[1, 2, 1, 2, 1, 2]])})
    parts = {"trnid": [[1, 2]], "valid": [[3, 4]], "tstid": [[5, 6]]}
    savemat(root / "setid.mat", {name: np.array(ids) for name, ids in parts.items()})
    files = {key: (name, None) for key, (name, _) in datasets.Flowers102._file_dict.items()}
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", files)  # checksums of the published
    dataset = found(f"torchvision:Flowers102@{tmp_path}")
    names = ("hard-leaved pocket orchid", "pink primrose")
    assert dataset.split.train.classes == names
    assert [len(images) for images in dataset.lists] == [4, 2]
    assert dataset.split.test.paths == (
        "flowers-102/jpg/image_00006.jpg",
        "flowers-102/jpg/image_00005.jpg",
    )
    assert (dataset.split.kind, dataset.metric) == ("train+val/test", "mean_class")


def test_torchvision_eurosat_has_no_split(tmp_path):
    for number in range(8):
        jpeg(
            tmp_path / "eurosat" / "2750" / ("Forest", "River")[number % 2] / f"{number}.jpg",
            number,
        )
    dataset = found(f"torchvision:EuroSAT@{tmp_path}", Recipe(test_per_class=1))
    assert counts(dataset) == ({"Forest": 3, "River": 3}, {"Forest": 1, "River": 1})
    assert dataset.split.kind == "seeded"


def test_torchvision_pets(tmp_path):
    root = tmp_path / "oxford-iiit-pet"
    (root / "annotations").mkdir(parents=True)
    for part, numbers in (("trainval", (1, 2)), ("test", (3,))):
        lines = []
        for label, name in enumerate(("Abyssinian", "american_bulldog"), start=1):
            for number in numbers:
                jpeg(root / "images" / f"{name}_{number}.jpg", number)
                lines.append(f"{name}_{number} {label} 1 1")
        (root / "annotations" / f"{part}.txt").write_text("\n".join(lines))
    dataset = found(f"torchvision:OxfordIIITPet@{tmp_path}")
    assert dataset.split.train.classes == ("Abyssinian", "American Bulldog")
    assert [len(images) for images in dataset.lists] == [4, 2]
    assert dataset.metric == "mean_class"


def test_torchvision_cifar10_is_packed_without_loss(tmp_path, monkeypatch):
    from torchvision import datasets

    root = tmp_path / "cifar-10-batches-py"
    root.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3072), np.uint8)
    for name, rows in (("data_batch_1", slice(0, 4)), ("test_batch", slice(4, 6))):
        batch = {"data": pixels[rows], "labels": [0, 1, 0, 1][: len(pixels[rows])]}
        (root / name).write_bytes(pickle.dumps(batch))
    (root / "batches.meta").write_bytes(pickle.dumps({"label_names": ["airplane", "automobile"]}))
    kind = datasets.CIFAR10
    monkeypatch.setattr(kind, "train_list", [["data_batch_1", None]])
    monkeypatch.setattr(kind, "test_list", [["test_batch", None]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": None})
    dataset = found(f"torchvision:CIFAR10@{tmp_path}")
    assert counts(dataset) == ({"airplane": 2, "automobile": 2}, {"airplane": 1, "automobile": 1})
    shown = {
        np.asarray(Image.open(io.BytesIO(read_bytes(images, row)))).tobytes()
        for images in dataset.lists
        for row in range(len(images))
    }
    assert shown == {each.reshape(3, 32, 32).transpose(1, 2, 0).tobytes() for each in pixels}


def test_torchvision_svhn_has_numbers_for_names(tmp_path, monkeypatch):
    from scipy.io import savemat
    from torchvision import datasets

    rng = np.random.default_rng(0)
    for part, count in (("train", 4), ("test", 2)):
        pixels = rng.integers(0, 256, (32, 32, 3, count), np.uint8)
        labels = np.array([[10], [1]] * (count // 2))  # 10 stands for 0
        savemat(tmp_path / f"{part}_32x32.mat", {"X": pixels, "y": labels})
    lists = {part: ["", f"{part}_32x32.mat", None] for part in ("train", "test")}
    monkeypatch.setattr(datasets.SVHN, "split_list", lists)
    dataset = found(f"torchvision:SVHN@{tmp_path}")
    assert counts(dataset) == ({"0": 2, "1": 2}, {"0": 1, "1": 1})


def test_torchvision_sun397_takes_its_first_partition(tmp_path):
    root = tmp_path / "SUN397"
    names = ("/a/abbey", "/a/airplane_cabin", "/b/bar/outdoor")
    files = [f"{name}/sun_{number}.jpg" for name in names for number in range(3)]
    for number, file in enumerate(files):
        jpeg(root / file.lstrip("/"), number)
    (root / "ClassName.txt").write_text("\n".join(names) + "\n")
    dataset = found(f"torchvision:SUN397@{tmp_path}", Recipe(test_per_class=1))
    assert dataset.split.kind == "seeded"
    assert any("Training_01.txt" in note for note in dataset.split.notes)
    (root / "Training_01.txt").write_text("\n".join(files[0::3]))
    (root / "Testing_01.txt").write_text("\n".join(files[1::3]))
    dataset = found(f"torchvision:SUN397@{tmp_path}")
    one_each = {"abbey": 1, "airplane_cabin": 1, "bar/outdoor": 1}
    assert (counts(dataset), dataset.split.kind) == ((one_each, one_each), "Training_01/Testing_01")
    assert dataset.split.test.paths == tuple(f"SUN397{file}" for file in files[1::3])
    (root / "Testing_01.txt").write_text("/a/abbey/sun_7.jpg")
    with pytest.raises(CogError, match="1 of 1 images"):
        found(f"torchvision:SUN397@{tmp_path}")


@pytest.mark.parametrize(
    ("source", "why", "hint"),
    [
        ("torchvision:DTD", "no source", "torchvision:NAME@ROOT"),
        ("torchvision:DTT@{}", "DTT", "DTD"),
        ("torchvision:DTD@{}/nowhere", "no folder", "root"),
        ("torchvision:DTD@{}", "cannot read DTD", "--download"),
    ],
)
def test_torchvision_says_what_is_missing(tmp_path, source, why, hint):
    with pytest.raises(CogError, match=why) as caught:
        found(source.format(tmp_path))
    assert hint in caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == []  # nothing was downloaded
