"""The feature stores of model runs: where they are, what they are made from, opened or created.

In: model runs, image lists, settings. Out: open stores; one of other features is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cog.features.executors.share import Share
from cog.features.model_run import ModelRun
from cog.features.settings import Extraction
from cog.features.store.files import is_there
from cog.features.store.store import FORMAT, FeatureStore
from cog.images.decoding import DEFAULT_DECODER, decode_for
from cog.images.image_list import ImageList, read_bytes
from cog.images.limits import Unreadable
from cog.images.pillow_simd import decoder_of_pixels
from cog.images.truncated import READ
from cog.images.views import describe_views
from cog.recipe import REFIT, file_name, fitted_on
from cog.storage import StoragePath


def feature_fingerprint(
    model_run: ModelRun, images: ImageList, settings: Extraction
) -> dict[str, Any]:
    """Everything that the numbers of a store depend on, ready for JSON."""
    preprocess = model_run.model.preprocess.describe()
    decoder = settings.decoder
    if settings.resize_on == "cpu":
        decoder = decoder_of_pixels(decoder)
    how = settings.precision, settings.dtype, decoder, settings.truncated, settings.compile
    where, views = settings.resize_on, settings.views_of(images.split)
    tokens = model_run.model.tokens
    return made_from(model_run.fingerprint, preprocess, images, *how, where, views, tokens)


def made_from(
    model: str,
    preprocess: dict[str, Any],
    images: ImageList,
    precision: str,
    dtype: str,
    decoder: str,
    truncated: str = READ,
    compiled: bool = False,
    resize_on: str = "cpu",
    views: int = 0,
    tokens: int = 1,
) -> dict[str, Any]:
    """The fingerprint of a store, from that of its model and what describes the preprocessing."""
    fingerprint = {
        "format": FORMAT,
        "model": model,
        "preprocess": preprocess,
        "images": images.fingerprint,
        "rows": len(images),
        "precision": precision,
        "dtype": dtype,
    }
    if decoder != DEFAULT_DECODER:  # stores from before the choice stay valid
        fingerprint["decoder"] = decoder
    if truncated != READ:  # likewise; chunks without an image that is read now go
        fingerprint["truncated"] = truncated
    if compiled:  # likewise
        fingerprint["compile"] = True
    if resize_on != "cpu":  # likewise
        fingerprint["resize"] = resize_on
    if views:  # likewise
        fingerprint["views"] = describe_views(views)
    if tokens > 1:  # likewise
        fingerprint["tokens"] = tokens
    return fingerprint


def store_path(model_run: ModelRun, dataset: str, split: str, settings: Extraction) -> StoragePath:
    """Where a model run has the features of one split of one dataset."""
    return features_file(model_run.folder, dataset, split, settings.views_of(split))


def features_file(folder: StoragePath, dataset: str, split: str, views: int = 0) -> StoragePath:
    """The store of one split of one dataset in the folder of a model run.

    That of training images is the dataset's, for its test sets too; that of test images is the test
    set's, for heads that are refitted on it too.
    """
    return folder / "features" / store_name(dataset, split, views)


def store_name(dataset: str, split: str, views: int = 0) -> str:
    """What the store of one split of one dataset is called, with so many views of each image.

    >>> store_name("real/sketch+refit", "test"), store_name("real/sketch+refit", "train")
    ('real@sketch-test.zarr', 'real@sketch+refit-train.zarr')
    >>> store_name("in1k", "train", views=8)
    'in1k-train+views8.zarr'
    """
    name = fitted_on(dataset) if split == "train" else dataset.removesuffix(REFIT)
    return f"{file_name(name)}-{split}{f'+views{views}' if views else ''}.zarr"


def crops_in(store: FeatureStore) -> int:
    """Crops of each image whose features lie one behind the other in a store: 1 + A of A views."""
    return 1 + int(store.fingerprint.get("views", {}).get("count", 0))


def tokens_in(store: FeatureStore) -> int:
    """Tokens of each image that lie one behind the other in a store."""
    return int(store.fingerprint.get("tokens", 1))


def refuse_other_features(
    model_runs: Sequence[ModelRun], dataset: str, lists: Sequence[ImageList], settings: Extraction
) -> None:
    """Refuse stores that hold features of something else, before anything is written.

    Raises:
        CogError: another model, image list, preprocessing, precision or dtype.
    """
    for model_run in model_runs:
        for images in lists:
            _open_store(model_run, dataset, images, settings)


def _open_store(
    model_run: ModelRun, dataset: str, images: ImageList, settings: Extraction
) -> FeatureStore | None:
    """The store of these features; None where there is none, or an empty one of other features."""
    path = store_path(model_run, dataset, images.split, settings)
    if not is_there(path):
        return None
    store = FeatureStore.open(path)
    wanted = feature_fingerprint(model_run, images, settings)
    if store.fingerprint != wanted and not store.done_chunks():
        return None
    store.require(wanted)
    return store


def _forget_mended(
    store: FeatureStore, images: ImageList, settings: Extraction, share: Share
) -> None:
    """Remove the chunks of a share with images that could not be read, or in part, and now can."""
    unreadable, truncated = store.unreadable(), store.truncated()
    mended: set[int] = set()
    for row in sorted({*unreadable, *truncated}):
        chunk = row // store.chunk_rows
        if chunk in mended or not share.has(chunk):
            continue
        data = read_bytes(images, row)
        try:
            _, cut_off = decode_for(len, data, settings.decoder, settings.truncated)
        except Unreadable:
            continue
        if row in unreadable or not cut_off:
            mended.add(chunk)
    for chunk in mended:
        store.forget_chunk(chunk)


def open_stores(
    model_runs: Sequence[ModelRun],
    dataset: str,
    images: ImageList,
    settings: Extraction,
    share: Share,
    at_once: int,
    seconds: Callable[[Sequence[ModelRun]], float],
) -> dict[ModelRun, FeatureStore]:
    """The store of every model run for one image list, opened where it exists, else created.

    `at_once`: how many chunks this worker makes at once. `seconds` measures what one image costs
    under some models together; it is called only where a store is new.
    """
    stores: dict[ModelRun, FeatureStore] = {}
    new: list[ModelRun] = []
    for model_run in model_runs:
        store = _open_store(model_run, dataset, images, settings)
        if store is None:
            new.append(model_run)
        else:
            store.clear_partial()
            _forget_mended(store, images, settings, share)
            stores[model_run] = store
    if new:
        rows_each = len(images) // (share.workers * at_once)
        crops = 1 + settings.views_of(images.split)
        chunk_rows = settings.chunk_rows or _rows_a_chunk(
            crops * seconds(new), settings, rows_each, crops, max(run.model.tokens for run in new)
        )
        for model_run in new:
            path = store_path(model_run, dataset, images.split, settings)
            fingerprint = feature_fingerprint(model_run, images, settings)
            FeatureStore.remove_empty(path, fingerprint)
            stores[model_run] = FeatureStore.create(
                path,
                images.labels,
                dim=crops * model_run.model.dim,
                dtype=settings.dtype,
                chunk_rows=min(chunk_rows, len(images)),
                fingerprint=fingerprint,
            )
            chunk_rows = stores[model_run].chunk_rows  # another worker's, if it was quicker
    return stores


def _rows_a_chunk(
    seconds: float, settings: Extraction, rows_each: int, crops: int, tokens: int
) -> int:
    """Rows that take about a minute, as a whole number of batches; `seconds`: of one image.

    At most an eighth of the rows that each device of each worker makes: so none waits long for one
    that has a chunk more. `crops` of an image share what a chunk and a batch may hold,
    and its `tokens` what a chunk may.
    """
    batch = (settings.batch_size or 1) // crops or 1
    return (
        max(1, min(int(60 / seconds), 65_536 // (crops * tokens), rows_each // 8) // batch) * batch
    )
