"""The predictions of a finished cell: classes, each once an image, with the ranks of the cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cog.datasets.right_classes import RightClasses
from cog.evaluation.verify.findings import BrokenError, Finding, beside, why
from cog.results.cells import predictions_file, ranks_file
from cog.results.predictions import KeptPredictions, most_bytes, read_predictions
from cog.results.ranks import KeptRanks
from cog.small_files import NotReadable, read_small
from cog.storage import StoragePath


def kept_predictions(path: StoragePath, n_test: int, n_classes: int) -> KeptPredictions | None:
    """The predictions beside a cell; None where there are none.

    Raises:
        BrokenError: the file is damaged.
    """
    file = predictions_file(path)
    try:
        return read_predictions(read_small(file, most_bytes(n_test)), n_test, n_classes)
    except FileNotFoundError:
        return None
    except (OSError, NotReadable) as error:
        expected = f"the predictions of {n_test:,} test images"
        raise BrokenError(Finding(str(file), expected, why(error), beside(path))) from error


def fits(right: RightClasses | None, row: Mapping[str, Any], n_test: int) -> bool:
    """Whether the right classes of the test images are known, where these have several."""
    return "n_unlabelled" not in row or (right is not None and len(right.counts) == n_test)


def predicted_ranks(
    predictions: KeptPredictions, labels: NDArray[np.int64], right: RightClasses | None
) -> NDArray[np.int64]:
    """The ranks of images by their predictions; of several right classes the smallest counts."""
    if right is None:
        return predictions.ranks(labels)
    once_a_class = replace(predictions, highest=predictions.highest[right.images])
    return right.smallest(once_a_class.ranks(right.classes))


def agreement(
    path: StoragePath,
    predictions: KeptPredictions,
    n_classes: int,
    ranks: KeptRanks | None,
    predicted: NDArray[np.int64],
) -> Iterator[Finding]:
    """Whether the predictions are classes, each once an image, and have the ranks that are kept."""
    file = predictions_file(path)
    ordered = np.sort(predictions.highest, axis=1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] < n_classes)).any(axis=1)
    if twice.any():
        found = f"a class twice for image {int(twice.argmax()):,}"
        yield Finding(str(file), "each class once", found, beside(path))
    if ranks is None:
        return
    width = predictions.highest.shape[1]
    other = predicted != np.minimum(ranks.ranks, width)
    if other.any():
        expected = f"the ranks that {ranks_file(path)} has"
        found = f"others for {int(other.sum()):,} images"
        yield Finding(str(file), expected, found, beside(path))
