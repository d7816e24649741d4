"""How fast this machine makes features: each step alone, and all of them together.

In: a model, an image list, settings. Out: images a second, or seconds an image.

- What repeats itself (a forward pass, a copy, a decoded image) warms up first, and then goes on for
  some seconds: the median counts.
- Of a stream of batches counts what comes once it flows: neither what starts it, nor what it had
  ready at its first batch.
- `cog doctor` shows these rates, and the dry run multiplies by them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch

from cog.features.chunks import Gap, Gaps, make_chunks
from cog.features.executors.device import Device
from cog.features.feeder.batch import Batch
from cog.features.feeder.feed import feed
from cog.features.forward import Forward
from cog.features.model_run import ModelRun
from cog.features.settings import Extraction, batch_size, feeding_for
from cog.features.store.store import FeatureStore
from cog.images.decoding import decode_for
from cog.images.image_list import ImageList
from cog.images.preprocess import Preprocess
from cog.models.model import Model
from cog.progress import Silent

FILLING = 0.2  # of the seconds of a stream, after its first batch: they do not count


def median_seconds(work: Callable[[], object], seconds: float) -> float:
    """The median of the seconds that `work` takes; the first go warms up and does not count.

    At least one other go, and as many as begin within `seconds`, the first go included.
    """
    begun = time.perf_counter()
    work()
    taken: list[float] = []
    while not taken or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def decode_rate(
    files: Sequence[bytes], preprocess: Preprocess, settings: Extraction, seconds: float
) -> float:
    """Images a second that one core decodes, resizes and crops, of encoded images in memory."""

    def work() -> None:
        for data in files:
            decode_for(
                lambda image: preprocess.pixels(image, settings.decoder),
                data,
                settings.decoder,
                settings.truncated,
            )

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return len(files) / median_seconds(work, seconds)
    finally:
        torch.set_num_threads(threads)


def feed_rate(
    images: ImageList,
    slices: Sequence[slice],
    preprocesses: Iterable[Preprocess],
    settings: Extraction,
    device: Device,
    seconds: float,
) -> float:
    """Images a second that all workers of a device together read, decode and resize.

    Stops after `seconds`, or with the last of the slices.
    """
    feeding = feeding_for(settings, device.device, device.threads, images.split)
    return flow(feed(images, slices, preprocesses, feeding), seconds)


def copy_rate(preprocess: Preprocess, rows: int, device: torch.device, seconds: float) -> float:
    """Images a second that are copied to a GPU, from pinned memory, in batches of `rows`."""
    pixels = torch.zeros((rows, *preprocess.shape), dtype=torch.uint8).pin_memory()

    def work() -> None:
        pixels.to(device, non_blocking=True)
        torch.cuda.synchronize(device)

    return rows / median_seconds(work, seconds)


def seconds_an_image(
    forward: Forward, settings: Extraction, seconds: float = 0.0, rows: int | None = None
) -> float:
    """Seconds that a forward pass costs an image, in batches of `rows`, by default small ones.

    A compiled network takes batches of one size alone.
    """
    kind = forward.model.device.type
    rows = rows or min(batch_size(kind, settings), 8 if kind == "cpu" else 64)
    rows = forward.compile_rows or rows
    return batch_seconds(forward, rows, seconds) / rows


def batch_seconds(forward: Forward, rows: int, seconds: float) -> float:
    """Seconds from one batch of `rows` images to the next, as extraction runs them.

    Where copies run beside the device's work, a batch is started before the features of the one
    before are fetched.
    """
    grey = torch.full((rows, *forward.model.preprocess.shape), 128, dtype=torch.uint8)
    if not forward.transfers.beside:
        return median_seconds(lambda: forward(grey), seconds)
    grey = grey.pin_memory()
    started = [forward.start(grey)]

    def work() -> None:
        started.append(forward.start(grey))
        started.pop(0).result()

    found = median_seconds(work, seconds)
    started.pop().result()
    forward.finish()
    return found


def together_rate(
    model: Model,
    images: ImageList,
    settings: Extraction,
    device: Device,
    folder: Path,
    seconds: float,
) -> float:
    """Images a second from files to features in a store, which is made in a folder, by extraction.

    Stops after `seconds`, or with the last image.
    """
    rows = batch_size(model.device.type, settings, images.split)
    chunk_rows = min(len(images), settings.chunk_rows or 8 * rows)
    store = FeatureStore.create(
        folder / "doctor.zarr",
        images.labels,
        dim=model.dim,
        dtype=settings.dtype,
        chunk_rows=chunk_rows,
        fingerprint={"measurement": model.name},
    )
    chunks = range(-(-len(images) // chunk_rows))
    gap = Gap(ModelRun(folder, model, ""), store, frozenset(chunks))
    return flow(make_chunks(Gaps((gap,), images, settings), chunks, device), seconds)


def flow(batches: Iterator[Batch], seconds: float) -> float:
    """Images a second of a stream of batches, which is closed after `seconds` from its first.

    Where it ends before it flows, its start counts too.
    """
    begun = time.perf_counter()
    told: list[tuple[float, int]] = []  # when a batch came, and its images
    for batch in batches:
        told.append((time.perf_counter(), batch.rows.stop - batch.rows.start))
        if told[-1][0] - told[0][0] >= seconds:
            break
    getattr(batches, "close", lambda: None)()
    return rate_of(begun, told, FILLING * seconds)


def rate_of(begun: float, told: Sequence[tuple[float, int]], filling: float) -> float:
    """Images a second of batches that came at some moments, from those after the filling on.

    >>> rate_of(0.0, [(5.0, 8), (5.5, 8), (6.0, 8), (7.0, 8)], filling=0.2)
    10.666666666666666
    >>> rate_of(0.0, [(4.0, 8)], filling=0.2)
    2.0
    """
    flows = [(moment, count) for moment, count in told if moment >= told[0][0] + filling]
    if len(flows) < 2:
        flows = [(begun, 0), *told]
    passed = flows[-1][0] - flows[0][0]
    return sum(count for _, count in flows[1:]) / max(passed, 1e-9)


def own_device(device: torch.device, settings: Extraction, threads: int) -> Device:
    """A device on which models are already, and that reports nothing."""
    return Device(device, settings, threads, Silent(), moves=False)
