"""Pixels that a device resizes, and those that nvJPEG decodes, are those of the CPU."""

from __future__ import annotations

import pytest

from cog.evaluation.doctor.pixels import check_decoded, check_resized
from cog.images.drawn import draw_photograph
from cog.images.preprocess import Preprocess

GEOMETRIES = (
    Preprocess(),
    Preprocess(resize=256, crop=224, interpolation="bilinear"),
    Preprocess(resize=(96, 128), crop=None),
)


@pytest.fixture(scope="module")
def files(real_images) -> list[bytes]:
    """Drawn photographs, and images of other sizes."""
    return [*map(draw_photograph, range(4)), *real_images]


@pytest.mark.parametrize("preprocess", GEOMETRIES, ids=str)
def test_images_resized_on_the_device_are_those_of_the_cpu(device, files, preprocess):
    check = check_resized(files, preprocess, device, "torchvision")
    assert check.passed, check


@pytest.mark.gpu
@pytest.mark.parametrize("preprocess", GEOMETRIES, ids=str)
def test_nvjpeg_gives_nearly_the_pixels_of_the_cpu(cuda, files, preprocess):
    check = check_resized(files, preprocess, cuda, "nvjpeg")
    if check.passed is None:
        pytest.skip(check.found)
    assert check.passed, check


def test_the_quick_decoder_gives_the_pixels_of_pillow(files):
    assert check_decoded(files, Preprocess()).passed
