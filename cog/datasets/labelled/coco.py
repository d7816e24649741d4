"""Labels in JSON as COCO's, one for each image: so iNaturalist 2017, 2018 and 2019 are published.

In: `train2018.json`, or the folder that holds it. `val2018.json` beside it tests, as the labels of
the test images are not published. A `file_name` is a path from that folder. Out: classes by the
names of their categories, or by their ids where names are missing or not all different.
`categories.json` beside the two stands for the categories of both: iNaturalist's real names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cog.datasets.labelled.grouped import grouped, refuse_twice
from cog.datasets.labelled.labelled import Labelled
from cog.datasets.labelled.parts import tests_beside
from cog.errors import CogError
from cog.images.listing import Listing, is_image
from cog.images.sources.tars import leads_out
from cog.small_files import TEXT_BYTES, NotReadable, read_json, shown

NAMES = "categories.json"
_OF_A_YEAR = re.compile(r"train\d{4}\.json")
_LAYOUT = "images with id and file_name, categories with id, and one annotation for each image"
_PARTS = ("val", "valid", "validation", "test")  # test2018.json is there, without labels


def annotations_in(root: Path) -> Path | None:
    """The file of training labels in a folder, by its name with a year; None where there is none.

    Raises:
        CogError: there are several.
    """
    files = sorted(file for file in root.glob("train*.json") if _OF_A_YEAR.fullmatch(file.name))
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise CogError(f"{root} has labels of several years: {names}", f"give {files[0]}")
    return files[0] if files else None


def find_in_coco(file: Path) -> Labelled:
    """The images that a file of training labels and its file of test labels name.

    Raises:
        CogError: no test labels beside it, a file that is not of this layout, an image without a
            label or with several, or one that both parts have.
    """
    beside = tests_beside(file)
    part = next((part for part in _PARTS if part in beside), None)
    if part is None:
        raise CogError(
            f"no test labels beside {file}: expected {file.name.replace('train', 'val')}",
            "give the file of the training labels, such as train2018.json, with both files beside",
        )
    own = file.parent / NAMES
    real = _classes(_read(own), own) if own.is_file() else None
    train, test = (_labels(each, real) for each in (file, beside[part]))
    refuse_twice([*train, *test], str(file.parent))
    return Labelled(_listing(file, train), _listing(file, test), f"train/{part}")


def _labels(file: Path, real: Mapping[Any, str] | None) -> dict[str, str]:
    """The class of each image, by its path."""
    document = _read(file)
    if not (isinstance(document, dict) and document.get("annotations")):
        raise CogError(f"{file} has no labels", f"give a file of {_LAYOUT}")
    try:
        names = real or _classes(document["categories"], file)
        classes = {image: names[category] for image, category in document["annotations"]}
        paths = {image: path for image, path in document["images"]}  # noqa: C416 # checks pairs
    except (KeyError, TypeError, ValueError) as error:
        what = f"{file} has other fields than expected ({type(error).__name__}: {error})"
        raise CogError(what, f"give a file of {_LAYOUT}") from error
    _check_paths(list(paths.values()), file)
    if without := [path for image, path in paths.items() if image not in classes]:
        what = f"{len(without):,} of {len(paths):,} images of {file} have no label: {without[0]}"
        raise CogError(what, f"give a file of {_LAYOUT}")
    if len(document["annotations"]) > len(paths) or len(document["images"]) > len(paths):
        what = f"{file} has {len(document['annotations']):,} labels for {len(paths):,} images"
        raise CogError(what, f"give a file of {_LAYOUT}")
    return {path: classes[image] for image, path in paths.items()}


def _check_paths(paths: list[Any], file: Path) -> None:
    """Refuse what is no path of an image below the folder of the labels, or is there twice."""
    for path in paths:
        if not isinstance(path, str) or leads_out(path) or not is_image(path):
            what = f"{file}: {shown(str(path), 200)} is no path of an image below {file.parent}"
            raise CogError(what, "give paths of images from the folder of the labels")
    refuse_twice(paths, str(file))


def _read(file: Path) -> Any:
    """The document of a file; images and annotations as pairs, which take little memory."""
    try:
        return read_json(file, TEXT_BYTES, each_object=_short)
    except (NotReadable, OSError) as error:
        raise CogError(f"cannot read {file}: {error}", f"give a file of {_LAYOUT}") from error


def _short(found: dict[str, Any]) -> Any:
    """(id, path) of an image, (image's id, category's id) of an annotation; else as it is."""
    if "file_name" in found:
        return found.get("id"), found["file_name"]
    if "image_id" in found:
        return found["image_id"], found.get("category_id")
    return found


def _classes(categories: Any, file: Path) -> dict[Any, str]:
    """What the class of each category's id is called."""
    try:
        ids = [category["id"] for category in categories]
        names = [category.get("name") for category in categories]
        if len(set(ids)) < len(ids):
            raise ValueError("an id is there twice")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"{file} has no categories with ids ({type(error).__name__}: {error})"
        raise CogError(what, f"give a file of {_LAYOUT}") from error
    clear = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
    return dict(zip(ids, names if clear else map(str, ids), strict=True))


def _listing(file: Path, labels: Mapping[str, str]) -> Listing:
    return grouped(file.parent, "list", list(labels), list(labels.values()))
