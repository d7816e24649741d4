"""Samples of a WebDataset shard: which members belong together, and which of them is the image.

A member is `KEY.FIELD`. A sample has one image: `KEY.jpg`, `KEY.png`, … with a field of one part;
`KEY.seg.png` is another field, such as a mask. A key may have dots itself. It ends where the key of
a label does: the longest that has a `KEY.cls`, else the shortest that has a `KEY.json`, as masks
may have one too. In a sample without a label it ends before the longest field that other samples of
the shard have too. A number alone is never the first part of such a field.
"""

from __future__ import annotations

import re
import tarfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from cog.errors import CogError
from cog.images.listing import is_image

ANY = "*"
"""an image key that takes one image of every sample, `KEY.<suffix>` if there is one"""

_FIELDS_SHOWN = 5
_PARTS = 8  # of a field, at most: a name may have any number of dots


class Image(NamedTuple):
    """A member that is an image, and how its name is divided."""

    key: str
    field: str  # in small letters
    name: str
    member: tarfile.TarInfo


def read_image_key(text: str) -> str:
    """A field that holds images, as `--image-key` gives it.

    >>> read_image_key(".Seg.PNG")
    'seg.png'

    Raises:
        CogError: no image has such a field.
    """
    key = str(text).removeprefix(".").lower()
    if not re.fullmatch(r"[\w-]+(\.[\w-]+)*", key) or not is_image(f"x.{key}"):
        raise CogError(
            f"image-key cannot be {text!r}: expected what follows KEY. in the names of images",
            "give a field such as jpg or seg.png",
        )
    return key


def divide(
    members: Sequence[tuple[str, tarfile.TarInfo]],
    classed: Collection[str],
    described: Collection[str],
) -> list[Image]:
    """The images of a shard, each with its key and its field.

    `classed` are the keys that have a .cls; `described` those that have a .json.
    """
    times = Counter(tail for name, _ in members for tail in _tails(name))
    images = []
    for name, member in members:
        field = _field(name, classed, described, times)
        images.append(Image(name[: -len(field) - 1], field.lower(), name, member))
    return images


def _tails(name: str) -> Iterator[str]:
    """What may be the field of a member, the longest first.

    >>> list(_tails("a.b/img.000.seg.png"))
    ['000.seg.png', 'seg.png', 'png']
    """
    parts = name.rpartition("/")[2].split(".")
    for first in range(max(1, len(parts) - _PARTS), len(parts)):
        yield ".".join(parts[first:])


def _field(
    name: str, classed: Collection[str], described: Collection[str], times: Mapping[str, int]
) -> str:
    """The field of a member, as it is written."""
    tail, tails = "", list(_tails(name))
    for tail in reversed(tails):
        if name[: -len(tail) - 1] in classed:
            return tail
    for tail in tails:
        if name[: -len(tail) - 1] in described:
            return tail
    for tail in tails:
        if times[tail] > 1 and not tail.partition(".")[0].isdecimal():
            return tail
    return tail  # the last part alone


def choose_images(
    images: Sequence[Image], image_key: str, tar: str, skipped: Counter[str]
) -> list[Image]:
    """One image a sample, in the order of the shard; others are counted in `skipped`.

    Args:
        images: those of a shard.
        image_key: the field to take; empty for the one that has one part, or `ANY`.
        tar: the shard, for messages.
        skipped: how many members were left out, by reason.

    Raises:
        CogError: samples with several such images, or no sample with one.
    """
    samples: dict[str, list[Image]] = {}
    for image in images:
        samples.setdefault(image.key, []).append(image)
    chosen: list[Image] = []
    several: list[Image] = []
    for sample in samples.values():
        fit = [image for image in sample if _fits(image.field, image_key)]
        if image_key == ANY:
            fit = sorted(fit, key=lambda image: "." in image.field)[:1]
        if len({image.name for image in fit}) > 1:
            several += fit
        chosen += fit  # of one name: the tar is refused later
    if several:
        raise _several(several, tar, image_key)
    if images and not chosen:
        raise _none(images, tar, image_key)
    taken = {image.name for image in chosen}
    skipped.update(f"KEY.{each.field} (another field)" for each in images if each.name not in taken)
    return chosen


def _fits(field: str, image_key: str) -> bool:
    """Whether an image of this field may be the image of its sample."""
    return image_key in (ANY, field) or (not image_key and "." not in field)


def _several(images: Sequence[Image], tar: str, image_key: str) -> CogError:
    """The error for samples with several images."""
    samples, fields = len({image.key for image in images}), _fields(images)
    names = ", ".join(image.name for image in images if image.key == images[0].key)
    if len(fields) > 1:
        hint = f"choose one: --image-key {' or '.join(fields)}"
    else:
        hint = "give each image a key of its own"
    return CogError(f"{samples:,} samples of {tar} have several images, such as {names}", hint)


def _none(images: Sequence[Image], tar: str, image_key: str) -> CogError:
    """The error for a shard whose images all are other fields."""
    fields = _fields(images)
    return CogError(
        f"no sample of {tar} has an image KEY.{image_key or 'jpg, KEY.png or the like'}; found "
        + ", ".join(f"KEY.{field}" for field in fields),
        f"choose one: --image-key {' or '.join(fields)}",
    )


def _fields(images: Sequence[Image]) -> list[str]:
    """The fields that are there most often."""
    times = Counter(image.field for image in images)
    return [field for field, _ in times.most_common(_FIELDS_SHOWN)]
