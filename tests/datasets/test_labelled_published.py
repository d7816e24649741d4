"""Published datasets in their own layouts: iNaturalist's JSON, DomainNet's lists, torchvision's."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cog.datasets.dataset import DatasetOptions, Named
from cog.datasets.find import find_datasets
from cog.datasets.suites.at_root import missing, source_under
from cog.datasets.suites.suite import read_suite
from cog.errors import CogError
from cog.images.image_list import read_bytes
from cog.levels.files import read_levels
from cog.recipe import Recipe
from tests.support.labelled_images import counts, found, png


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs go to a folder of the test."""
    monkeypatch.setenv("COG_HOME", str(tmp_path / "cog-home"))


def touch(path: Path) -> None:
    """An image of which nobody reads the pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png())


def annotations(ids: dict[int, int], *, names: bool = True) -> dict[str, Any]:
    """Published JSON of iNaturalist 2018: of each image its category; all are in one folder."""
    names_of = {0: "Rana temporaria", 7: "Bufo bufo", 10: "Abies alba"}
    return {
        "info": {"year": 2018, "description": "a test"},
        "licenses": [{"id": 0, "name": "CC", "url": "https://example.org"}],
        "images": [
            {"id": image, "width": 8, "height": 8, "license": 0, "rights_holder": "Ünal",
             "file_name": f"train_val2018/Amphibia/{category}/{image}.jpg"}
            for image, category in ids.items()
        ],
        "categories": [
            {"id": key, "name": name if names else "?", "supercategory": "Amphibia"}
            for key, name in names_of.items()
        ],
        "annotations": [
            {"id": image, "image_id": image, "category_id": category}
            for image, category in ids.items()
        ],
    }  # fmt: skip


TRAIN = {1: 0, 2: 0, 3: 7, 4: 7, 5: 10}
TEST = {6: 0, 7: 7, 8: 10}


@pytest.fixture
def inaturalist(tmp_path) -> Path:
    root = tmp_path / "inat"
    for image, category in (TRAIN | TEST).items():
        path = root / f"train_val2018/Amphibia/{category}/{image}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(image))
    touch(root / "test2018" / "9.jpg")
    (root / "train2018.json").write_text(json.dumps(annotations(TRAIN)))
    (root / "val2018.json").write_text(json.dumps(annotations(TEST)))
    (root / "test2018.json").write_text(json.dumps({"images": [], "info": {}}))
    return root


def test_inaturalist_is_read_from_its_folder_or_its_file(inaturalist):
    dataset = found(inaturalist)
    train = {"Abies alba": 1, "Bufo bufo": 2, "Rana temporaria": 2}
    assert counts(dataset) == (train, dict.fromkeys(train, 1))
    assert (dataset.split.kind, dataset.metric) == ("train/val", "top1")
    test = dataset.split.test
    assert test.paths[1] == "train_val2018/Amphibia/7/7.jpg"
    assert [read_bytes(test, row) for row in range(3)] == [png(8), png(7), png(6)]
    same = found(inaturalist / "train2018.json")
    assert [each.fingerprint for each in same.lists] == [each.fingerprint for each in dataset.lists]


def test_categories_without_clear_names_are_called_by_their_ids(inaturalist):
    for name, ids in (("train2018", TRAIN), ("val2018", TEST)):
        text = json.dumps(annotations(ids, names=False))
        (inaturalist / f"{name}.json").write_text(text)
    assert found(inaturalist).split.train.classes == ("0", "10", "7")
    real = [{"id": 7, "name": "common toad"}, {"id": 0, "name": "frog"}, {"id": 10, "name": "fir"}]
    (inaturalist / "categories.json").write_text(json.dumps(real))
    dataset = found(inaturalist)
    assert dataset.split.train.classes == ("common toad", "fir", "frog")
    assert dataset.split.test.paths[2] == "train_val2018/Amphibia/0/6.jpg"


def without(field: str, part: str) -> dict[str, Any]:
    document = annotations(TRAIN)
    del document[part][0][field]
    return document


def labelled(pairs: list[tuple[int, int]]) -> dict[str, Any]:
    rows = [{"image_id": image, "category_id": category} for image, category in pairs]
    return annotations(TRAIN) | {"annotations": rows}


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"images": []}, "has no labels"),
        ([1], "has no labels"),
        ("{", "cannot read"),
        (annotations(TRAIN | TEST), "more than once"),
        (without("id", "images"), "1 of 5 images of .* have no label"),
        (without("category_id", "annotations"), "other fields"),
        (without("id", "categories"), "no categories with ids"),
        (labelled([(1, 0)]), "4 of 5 images of .* have no label"),
        (labelled([*TRAIN.items(), (1, 7)]), "6 labels for 5 images"),
        (labelled([*TRAIN.items(), (1, 8)]), "other fields"),
    ],
)  # fmt: skip
def test_labels_in_json_that_cannot_be_right(inaturalist, document, why):
    text = document if isinstance(document, str) else json.dumps(document)
    (inaturalist / "train2018.json").write_text(text)
    with pytest.raises(CogError, match=why):
        found(inaturalist)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("../1.jpg", "no path of an image below"), ("1.txt", "no path"), (1, "no path"),
        ("train_val2018/Amphibia/0/2.jpg", "more than once"),
    ],
)  # fmt: skip
def test_paths_in_json_that_cannot_be_right(inaturalist, path, why):
    document = annotations(TRAIN)
    document["images"][0]["file_name"] = path
    (inaturalist / "train2018.json").write_text(json.dumps(document))
    with pytest.raises(CogError, match=why):
        found(inaturalist)


def test_json_of_two_years_or_without_validation_is_refused(inaturalist):
    (inaturalist / "train2019.json").write_text("{}")
    with pytest.raises(CogError, match=r"several years: train2018\.json, train2019\.json"):
        found(inaturalist)
    with pytest.raises(CogError, match=r"expected val2019\.json"):
        found(inaturalist / "train2019.json")


def test_the_suite_transfer_finds_inaturalist_in_its_published_layout(inaturalist):
    inaturalist.rename(inaturalist.with_name("inat2018"))
    root, suite = inaturalist.parent, read_suite("transfer")
    assert "inat2018" not in missing(suite, root)
    assert "inat2019" in missing(suite, root)
    each = suite.sets["inat2018"]
    dataset = found(source_under(each, root))
    assert (dataset.split.kind, dataset.metric) == ("train/val", "top1")
    assert suite.protocols[each.protocol].norm == "l2"


def domain(root: Path, name: str, folders: dict[str, int]) -> None:
    """Lists of a domain of DomainNet: numbers for labels, one file a part."""
    for part, rows in (("train", range(2)), ("test", range(2, 3))):
        lines = [
            f"{name}/{folder}/{name}_{label:03}_{row:06}.jpg {label}"
            for folder, label in folders.items()
            for row in rows
        ]
        (root / f"{name}_{part}.txt").write_text("\n".join(lines) + "\n")


def test_domainnet_lists_give_the_names_of_classes_by_their_folders(tmp_path):
    folders = {"The_Eiffel_Tower": 1, "zebra": 2, "aircraft_carrier": 0}
    domain(tmp_path, "real", folders)
    domain(tmp_path, "sketch", {name: label for name, label in folders.items() if label})
    dataset = found(tmp_path / "real_train.txt")
    assert counts(dataset) == (dict.fromkeys(sorted(folders), 2), dict.fromkeys(sorted(folders), 1))
    assert dataset.split.kind == "train/test"
    assert dataset.split.test.paths[1] == "real/aircraft_carrier/real_000_000002.jpg"
    assert any("folders of their images" in note for note in dataset.split.notes)
    sketch = found(tmp_path / "sketch_train.txt")
    assert sketch.split.test.classes == ("The_Eiffel_Tower", "zebra")


def test_a_domain_of_domainnet_tests_another_one_by_names_of_classes(tmp_path):
    folders = {"zebra": 2, "aircraft_carrier": 0, "ant": 1}
    domain(tmp_path, "real", folders)
    domain(tmp_path, "sketch", {"zebra": 1, "ant": 0})  # numbers of its own
    options = DatasetOptions(
        datasets=(Named("real", tmp_path / "real_train.txt"),),
        test_sets=(Named("real/sketch", tmp_path / "sketch_test.txt"),),
    )
    real, sketch = find_datasets(options, read_levels(None), Recipe())
    assert sketch.split.test.paths == (
        "sketch/ant/sketch_000_000002.jpg",
        "sketch/zebra/sketch_001_000002.jpg",
    )
    names = [sketch.split.test.classes[label] for label in sketch.split.test.labels]
    assert names == ["ant", "zebra"]
    assert sketch.split.train.fingerprint == real.split.train.fingerprint


@pytest.mark.parametrize(
    "lines",
    ["a/1.jpg 0\na/2.jpg 1\n", "a/1.jpg 0\nb/2.jpg 0\nc/3.jpg 1\n", "1.jpg 0\na/2.jpg 1\n"],
)
def test_numbers_stay_where_folders_tell_other_classes(tmp_path, lines):
    (tmp_path / "train.txt").write_text(lines)
    (tmp_path / "val.txt").write_text("x/1.jpg 0\ny/2.jpg 1\n")
    dataset = found(tmp_path / "train.txt")
    assert dataset.split.train.classes == ("0", "1")
    assert dataset.split.kind == "train/val"


def test_a_list_beside_must_have_no_splits_either(tmp_path):
    (tmp_path / "train.txt").write_text("a/1.jpg 0\n")
    (tmp_path / "test.txt").write_text("a/2.jpg 0 test\n")
    with pytest.raises(CogError, match="expected no split"):
        found(tmp_path / "train.txt")


def test_torchvision_aircraft(tmp_path):
    data = tmp_path / "fgvc-aircraft-2013b" / "data"
    data.mkdir(parents=True)
    (data / "variants.txt").write_text("Boeing 737-700\nA320\n")
    parts = {"train": [1, 2], "val": [3, 4], "trainval": [1, 2, 3, 4], "test": [5, 6]}
    for part, numbers in parts.items():
        lines = [f"{number:07} {('A320', 'Boeing 737-700')[number % 2]}" for number in numbers]
        (data / f"images_variant_{part}.txt").write_text("\n".join(lines) + "\n")
        for number in numbers:
            touch(data / "images" / f"{number:07}.jpg")
    dataset = found(f"torchvision:FGVCAircraft@{tmp_path}")
    assert counts(dataset) == ({"A320": 2, "Boeing 737-700": 2}, {"A320": 1, "Boeing 737-700": 1})
    assert (dataset.split.kind, dataset.metric) == ("trainval/test", "mean_class")
    assert dataset.split.test.paths == (
        "fgvc-aircraft-2013b/data/images/0000006.jpg",
        "fgvc-aircraft-2013b/data/images/0000005.jpg",
    )
    assert read_bytes(dataset.split.test, 0) == png()


def test_torchvision_cars_reads_matlab_labels(tmp_path):
    from scipy.io import savemat

    root = tmp_path / "stanford_cars"
    (root / "devkit").mkdir(parents=True)
    names = np.array([["AM General Hummer SUV 2000", "Acura TL Sedan 2012"]], dtype=object)
    savemat(root / "devkit" / "cars_meta.mat", {"class_names": names})
    fields = [("bbox_x1", object), ("class", object), ("fname", object)]
    for file, folder, labels in (
        ("devkit/cars_train_annos.mat", "cars_train", [2, 1, 2, 1]),
        ("cars_test_annos_withlabels.mat", "cars_test", [1, 2]),
    ):
        rows = np.empty((1, len(labels)), dtype=fields)
        for row, label in enumerate(labels):
            rows[0, row] = (1, label, f"{row + 1:05}.jpg")
            touch(root / folder / f"{row + 1:05}.jpg")
        savemat(root / file, {"annotations": rows})
    dataset = found(f"torchvision:StanfordCars@{tmp_path}")
    hummer, acura = names[0]
    assert counts(dataset) == ({hummer: 2, acura: 2}, {hummer: 1, acura: 1})
    assert (dataset.split.kind, dataset.metric) == ("train/test", "top1")
    assert dataset.split.train.paths[0] == "stanford_cars/cars_train/00002.jpg"


def test_torchvision_food(tmp_path):
    root = tmp_path / "food-101"
    (root / "meta").mkdir(parents=True)
    for part, numbers in (("train", (1, 2, 3)), ("test", (4,))):
        files = {name: [f"{name}/{n}" for n in numbers] for name in ("waffles", "apple_pie")}
        (root / "meta" / f"{part}.json").write_text(json.dumps(files))
        for path in [path for each in files.values() for path in each]:
            touch(root / "images" / f"{path}.jpg")
    dataset = found(f"torchvision:Food101@{tmp_path}")
    assert counts(dataset) == ({"apple_pie": 3, "waffles": 3}, {"apple_pie": 1, "waffles": 1})
    assert (dataset.split.kind, dataset.metric) == ("train/test", "top1")
    assert dataset.split.test.paths[1] == "food-101/images/waffles/4.jpg"
    assert read_bytes(dataset.split.test, 1) == png()


def test_torchvision_caltech_is_drawn_from_without_its_background(tmp_path):
    root = tmp_path / "caltech101" / "101_ObjectCategories"
    for name, count in (("BACKGROUND_Google", 5), ("Faces", 4), ("yin_yang", 3)):
        for number in range(1, count + 1):
            touch(root / name / f"image_{number:04}.jpg")
    dataset = found(f"torchvision:Caltech101@{tmp_path}", Recipe(test_per_class=2))
    assert counts(dataset) == ({"Faces": 2, "yin_yang": 1}, {"Faces": 2, "yin_yang": 2})
    assert (dataset.split.kind, dataset.metric) == ("seeded", "mean_class")
    assert read_bytes(dataset.split.test, 3) == png()


def test_torchvision_country211_trains_on_train_and_valid(tmp_path):
    for part, count in (("train", 3), ("valid", 2), ("test", 1)):
        for name in ("AD", "ZW"):
            for number in range(count):
                touch(tmp_path / "country211" / part / name / f"{number}.jpg")
    dataset = found(f"torchvision:Country211@{tmp_path}")
    assert counts(dataset) == ({"AD": 5, "ZW": 5}, {"AD": 1, "ZW": 1})
    assert (dataset.split.kind, dataset.metric) == ("train+valid/test", "top1")
    assert dataset.split.test.paths == ("country211/test/AD/0.jpg", "country211/test/ZW/0.jpg")


def test_torchvision_cifar100_takes_its_fine_labels(tmp_path, monkeypatch):
    from torchvision import datasets

    root = tmp_path / "cifar-100-python"
    root.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3072), np.uint8)
    for name, rows in (("train", slice(0, 4)), ("test", slice(4, 6))):
        fine = [0, 1, 0, 1][: len(pixels[rows])]
        batch = {"data": pixels[rows], "fine_labels": fine, "coarse_labels": [0] * len(fine)}
        (root / name).write_bytes(pickle.dumps(batch))
    names = {"fine_label_names": ["apple", "aquarium_fish"], "coarse_label_names": ["things"]}
    (root / "meta").write_bytes(pickle.dumps(names))
    kind = datasets.CIFAR100
    for each in ("train", "test"):  # without the checksums of the published files
        monkeypatch.setattr(kind, f"{each}_list", [[each, None]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": None})
    dataset = found(f"torchvision:CIFAR100@{tmp_path}")
    assert counts(dataset) == ({"apple": 2, "aquarium_fish": 2}, {"apple": 1, "aquarium_fish": 1})
    assert (dataset.split.kind, dataset.metric) == ("train/test", "top1")
    test = [
        np.asarray(Image.open(io.BytesIO(read_bytes(dataset.split.test, row)))) for row in (0, 1)
    ]
    np.testing.assert_array_equal(test, pixels[4:].reshape(2, 3, 32, 32).transpose(0, 2, 3, 1))
