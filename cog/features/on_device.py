"""Packed batches to pixels on the device of the networks.

In: a batch as the feeder gives it. Out: the same batch with pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cog.errors import CogError
from cog.features.feeder.batch import Batch
from cog.features.transfers import Transfers
from cog.images.preprocess import Preprocess
from cog.tf32 import tf32


def with_pixels(batch: Batch, preprocesses: Iterable[Preprocess], transfers: Transfers) -> Batch:
    """The batch with its pixels; a packed one is resized on the device, which is not waited for.

    Raises:
        CogError: the device fails, for example as it has too little memory.
    """
    if batch.packed is None:
        return batch
    try:
        with tf32(matrices=False, convolutions=False):
            found = batch.packed.on(transfers.device, transfers.send)
    except RuntimeError as error:
        text = " ".join(str(error).split())
        raise CogError(
            f"{len(batch.readable)} images cannot be resized on {transfers.device}: {text}",
            "give a smaller --batch-size, or --resize-on cpu",
        ) from error
    readable = batch.readable.copy()
    readable[list(found.reasons)] = False
    first = batch.rows.start
    return replace(
        batch,
        pixels={each: found.pixels[each.geometry] for each in preprocesses},
        packed=None,
        readable=readable,
        reasons=batch.reasons | {first + row: why for row, why in found.reasons.items()},
        truncated=batch.truncated | {first + row: why for row, why in found.truncated.items()},
    )
