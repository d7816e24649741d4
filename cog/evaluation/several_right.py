"""Test images with several right classes, as probes see them: once for each of these classes.

A probe takes an image with one label, and says how many classes come before that. With several
right classes the image is given once for each. Of the ranks that it then has the smallest counts:
that of the class that is placed best, before which there are wrong classes alone.
"""

from __future__ import annotations

from dataclasses import replace

from cog.datasets.right_classes import RightClasses
from cog.probes.data import ProbeData, ProbeResult


def once_a_class(data: ProbeData, right: RightClasses | None) -> ProbeData:
    """The data with each test image once for each of its right classes."""
    if right is None:
        return data
    return replace(data, test_x=data.test_x[right.images], test_y=right.classes)


def once_an_image(result: ProbeResult, right: RightClasses | None) -> ProbeResult:
    """The result of the images, from that of `once_a_class`."""
    if right is None:
        return result
    ranks = right.smallest(result.ranks)
    highest = None if result.highest is None else result.highest[right.starts]
    return replace(result, ranks=ranks, highest=highest)
