"""The dataset that a source of labelled images is, in whichever form it lies there.

To add a form: a file beside this one that gives a `Labelled`, and its lines in `find_labelled`.
"""

from __future__ import annotations

import re
from pathlib import Path

from cog.datasets.dataset import Dataset, DatasetOptions, Named
from cog.datasets.labelled.coco import annotations_in, find_in_coco
from cog.datasets.labelled.folders import find_folders, what_is_there
from cog.datasets.labelled.function import find_by_function, find_by_name
from cog.datasets.labelled.labelled import Labelled, split_labelled
from cog.datasets.labelled.published import PREFIX, find_published
from cog.datasets.labelled.shards import find_in_shards
from cog.datasets.labelled.text import SUFFIXES, find_in_list
from cog.errors import CogError
from cog.recipe import Recipe

FORMS = (
    "a folder with train/ and test/, each with a folder a class; a folder of such folders; Parquet "
    "or WebDataset shards; a list of `path label split` lines; train2018.json as COCO's; "
    "file.py:function; or torchvision:NAME@ROOT"
)
_FUNCTION = re.compile(r".+\.py:\w+")


def labelled_dataset(named: Named, options: DatasetOptions, recipe: Recipe) -> Dataset:
    """A dataset of labelled images with its split.

    Raises:
        CogError: no such source, nothing labelled in it, or what `split_labelled` refuses.
    """
    labelled = find_labelled(named, options)
    metric = dict(options.metrics).get(named.name)
    split = split_labelled(labelled, recipe, allow_missing=options.allow_missing)
    return Dataset(named.name, split, len(labelled.classes), metric or labelled.metric)


def find_labelled(named: Named, options: DatasetOptions) -> Labelled:
    """The labelled images of a source.

    Raises:
        CogError: no such source, or nothing labelled in it.
    """
    source = named.source
    if callable(source):
        return find_by_function(source)
    text = str(source)
    if text.startswith(PREFIX):
        return find_published(text, download=options.download)
    if _FUNCTION.fullmatch(text):
        return find_by_name(text)
    return _find_below(Path(text), options.image_key)


def _find_below(root: Path, image_key: str | None) -> Labelled:
    """The labelled images of a file, a folder, or a pattern of shards."""
    found = None
    if root.is_file() and root.suffix in SUFFIXES:
        return find_in_list(root)
    if labels := root if root.is_file() and root.suffix == ".json" else annotations_in(root):
        return find_in_coco(labels)
    if root.is_dir():
        found = find_folders(root)
    elif not root.exists() and not any(root.parent.glob(root.name)):
        raise CogError(f"there is no {root}", f"give {FORMS}")
    found = found or find_in_shards(root, image_key)
    if found is None:
        instead = what_is_there(root) if root.is_dir() else ""
        raise CogError(f"found no labelled images in {root}{instead}", f"give {FORMS}")
    return found
