"""The dataset that a source of labelled images is, in whichever form it lies there."""

from __future__ import annotations

from pathlib import Path

from cog.datasets.dataset import Dataset, DatasetOptions, Named, Source
from cog.datasets.labelled.folders import find_folders
from cog.datasets.labelled.labelled import Labelled, split_labelled
from cog.errors import CogError
from cog.recipe import Recipe

FORMS = "a folder with train/ and test/, each with a folder a class; or a folder of such folders"


def labelled_dataset(named: Named, options: DatasetOptions, recipe: Recipe) -> Dataset:
    """A dataset of labelled images with its split.

    Raises:
        CogError: no such source, nothing labelled in it, or what `split_labelled` refuses.
    """
    labelled = find_labelled(named.source)
    split = split_labelled(labelled, recipe, allow_missing=options.allow_missing)
    return Dataset(named.name, split, len(labelled.classes), labelled.metric)


def find_labelled(source: Source) -> Labelled:
    """The labelled images of a source.

    Raises:
        CogError: no such source, or nothing labelled in it.
    """
    root = Path(str(source))
    if not root.exists():
        raise CogError(f"there is no {root}", f"give {FORMS}")
    found = find_folders(root) if root.is_dir() else None
    if found is None:
        raise CogError(f"found no labelled images in {root}", f"give {FORMS}")
    return found
