"""Damaged images of every format through the decoders and through check-data's look at them."""

from __future__ import annotations

from collections import Counter
from functools import cache, partial
from pathlib import Path

import numpy as np

from cog.images.limits import MAX_MEMORY
from tests.torture.costly_images import costly_image
from tests.torture.harness import Attack, Attempt, Fault
from tests.torture.image_seeds import image_seeds
from tests.torture.mutations import mutated
from tests.torture.watched import Limits, input_name, watch

BATCH, FIRST = 50, 20  # images of an attempt; the first of each format is short
COSTLY = 0.1  # of the images ask for much
LIMITS = Limits(seconds=10, memory=MAX_MEMORY)
_seeds = cache(image_seeds)


def _prepare(folder: Path) -> Attempt:
    formats = [*_seeds()]

    def attempt(rng: np.random.Generator, number: int, folder: Path) -> Counter[str]:
        kind, seed = formats[number % len(formats)], int(rng.integers(2**62))
        count = FIRST if number < len(formats) else BATCH
        counts = watch(partial(_check, kind, seed), count, folder, LIMITS)
        return Counter({f"{kind}: {came}": n for came, n in counts.items()})

    return attempt


def _check(kind: str, seed: int, number: int, folder: Path) -> str:
    """Decode one image both ways; what a refusal says is one line of printable text."""
    from cog.datasets.check.image import check_image
    from cog.images.decoding import Unreadable, decode

    rng = np.random.default_rng([seed, number])
    own = _seeds()[kind]
    others = own if rng.random() < 0.8 else [*_seeds().values()][int(rng.integers(len(_seeds())))]
    data = own[int(rng.integers(len(own)))]
    data = costly_image(rng, kind, data) if rng.random() < COSTLY else mutated(rng, data, others)
    (folder / input_name(number)).write_bytes(data)
    try:
        pixels = decode(data, ("torchvision", "pillow")[int(rng.integers(2))])
        if pixels.ndim != 3 or pixels.shape[0] != 3 or str(pixels.dtype) != "torch.uint8":
            raise Fault(f"decoded to {pixels.dtype} {tuple(pixels.shape)}")
        came = "decoded"
    except Unreadable as error:
        if not str(error).strip() or not str(error).isprintable():
            raise Fault(f"the reason {str(error)!r} cannot be shown") from error
        came = "unreadable"
    check_image("a.jpg", data)
    return came


DAMAGED_IMAGES = Attack("damaged images", "images of nine formats with flipped bits, cuts, spliced "
                        "and repeated pieces, and small files that declare much, through both "
                        "decoders and check-data", 3, _prepare)  # fmt: skip
