"""The stores of a run: where they are, what they are made from, opened or created.

In: runs, picture lists, settings. Out: open stores; one that holds anything else is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cog.features.executors.share import Share
from cog.features.run import Run
from cog.features.settings import Extraction
from cog.features.store.store import FORMAT, FeatureStore
from cog.images.decoding import DEFAULT_DECODER, Unreadable, decode
from cog.images.image_list import ImageList, read_bytes
from cog.storage import Place


def feature_fingerprint(run: Run, images: ImageList, settings: Extraction) -> dict[str, Any]:
    """Everything that the numbers of a store depend on, ready for JSON."""
    made_from = {
        "format": FORMAT,
        "model": run.fingerprint,
        "preprocess": run.model.preprocess.describe(),
        "images": images.fingerprint,
        "rows": len(images),
        "precision": settings.precision,
        "dtype": settings.dtype,
    }
    if settings.decoder != DEFAULT_DECODER:  # stores from before there was a choice stay valid
        made_from["decoder"] = settings.decoder
    return made_from


def store_path(run: Run, dataset: str, split: str) -> Place:
    """Where a run keeps the features of one split of one dataset."""
    return run.folder / "features" / f"{dataset}-{split}.zarr"


def refuse_other_features(
    runs: Sequence[Run], dataset: str, lists: Sequence[ImageList], settings: Extraction
) -> None:
    """Refuse stores in the way that hold features of something else, before anything is written.

    Raises:
        CogError: another model, picture list, preprocessing, precision or dtype.
    """
    for run in runs:
        for images in lists:
            _open_store(run, dataset, images, settings)


def _open_store(
    run: Run, dataset: str, images: ImageList, settings: Extraction
) -> FeatureStore | None:
    """The store that goes on, or None where there is none, or an empty one of something else."""
    path = store_path(run, dataset, images.split)
    if not FeatureStore.is_there(path):
        return None
    store = FeatureStore.open(path)
    wanted = feature_fingerprint(run, images, settings)
    if store.fingerprint != wanted and not store.done_chunks():
        return None
    store.require(wanted)
    return store


def _forget_mended(
    store: FeatureStore, images: ImageList, settings: Extraction, share: Share
) -> None:
    """Drop the chunks of a share with pictures that could not be read and now can."""
    for row in store.unreadable():
        if not share.has(row // store.chunk_rows):
            continue
        try:
            decode(read_bytes(images, row), settings.decoder)
        except Unreadable:
            continue
        store.forget_chunk(row // store.chunk_rows)


def open_stores(
    runs: Sequence[Run],
    dataset: str,
    images: ImageList,
    settings: Extraction,
    share: Share,
    at_once: int,
    seconds: Callable[[Sequence[Run]], float],
) -> dict[Run, FeatureStore]:
    """The store of every run for one picture list, opened where it exists, else created.

    `at_once`: how many chunks this worker makes at once. `seconds`: what one picture costs under
    some runs together; asked only where a store is new.
    """
    stores: dict[Run, FeatureStore] = {}
    new: list[Run] = []
    for run in runs:
        store = _open_store(run, dataset, images, settings)
        if store is None:
            new.append(run)
        else:
            store.clear_partial()
            _forget_mended(store, images, settings, share)
            stores[run] = store
    if new:
        rows_each = len(images) // (share.workers * at_once)
        chunk_rows = settings.chunk_rows or _rows_a_chunk(seconds(new), settings, rows_each)
        for run in new:
            path = store_path(run, dataset, images.split)
            made_from = feature_fingerprint(run, images, settings)
            FeatureStore.remove_empty(path, made_from)
            stores[run] = FeatureStore.create(
                path,
                images.labels,
                dim=run.model.dim,
                dtype=settings.dtype,
                chunk_rows=min(chunk_rows, len(images)),
                fingerprint=made_from,
            )
            chunk_rows = stores[run].chunk_rows  # another worker's, if it was quicker
    return stores


def _rows_a_chunk(seconds: float, settings: Extraction, rows_each: int) -> int:
    """About a minute of work, as a whole number of batches; `seconds` is what a picture costs.

    At most an eighth of the rows that each device of each worker is to make: none waits long for
    one that has a chunk more.
    """
    batch = settings.batch_size or 1
    return max(1, min(int(60 / seconds), 65_536, rows_each // 8) // batch) * batch
