"""Augmented views: drawn for an image and a number alone, with the pixels of torchvision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as by_pillow
from torchvision.transforms.v2 import functional as by_tensors

from cog.images.preprocess import Preprocess
from cog.images.views import AREA, RATIO, View, draw_view, put_views, view_pixels

SIZES = [(375, 500), (64, 64), (40, 300), (7, 5), (1, 1), (500, 120)]


def photo(height: int, width: int) -> torch.Tensor:
    rng = np.random.default_rng([height, width])
    low = rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)
    whole = np.array(Image.fromarray(low).resize((width, height), Image.Resampling.BICUBIC))
    return torch.from_numpy(whole).permute(2, 0, 1)


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_those_of_torchvision(size, interpolation) -> None:
    """`resized_crop`, of which RandomResizedCrop is the draw, then `hflip`."""
    image, geometry = photo(*size), Preprocess(224, 224, interpolation=interpolation)
    mode = InterpolationMode(interpolation)
    for number in range(4):
        view = draw_view("a/a_1.jpg", number, *size)
        box = view.top, view.left, view.height, view.width, [224, 224], mode
        expected = by_tensors.resized_crop(image, *box)
        other = by_pillow.resized_crop(Image.fromarray(image.permute(1, 2, 0).numpy()), *box)
        if view.flipped:
            expected, other = by_tensors.horizontal_flip(expected), by_pillow.hflip(other)
        assert np.array_equal(view_pixels(image, view, geometry), expected.numpy())
        exact = view_pixels(image, view, geometry, "pillow")
        assert np.array_equal(exact, np.array(other).transpose(2, 0, 1))


@pytest.mark.parametrize("size", SIZES)
def test_views_lie_within_their_image_and_the_ranges(size) -> None:
    height, width = size
    for number in range(50):
        view = draw_view("x", number, height, width)
        assert 0 <= view.top <= height - view.height
        assert 0 <= view.left <= width - view.width
        assert min(view.height, view.width) >= 1


def test_areas_ratios_and_flips_are_spread_as_torchvision_spreads_them() -> None:
    """Against its own draws; the means of 3,000 have standard errors below 0.007."""
    from torchvision.transforms import RandomResizedCrop

    views = [draw_view("n1/n1_2.jpg", number, 375, 500) for number in range(3000)]
    torch.manual_seed(0)
    image = torch.zeros(3, 375, 500)
    theirs = [RandomResizedCrop.get_params(image, AREA, RATIO) for _ in range(3000)]
    ours = [(view.top, view.left, view.height, view.width) for view in views]
    for of in (
        lambda top, left, height, width: height * width / (375 * 500),
        lambda top, left, height, width: np.log(width / height),
        lambda top, left, height, width: top / 375,
        lambda top, left, height, width: left / 500,
    ):
        found, wanted = (np.array([of(*box) for box in boxes]) for boxes in (ours, theirs))
        assert abs(found.mean() - wanted.mean()) < 0.03
        assert abs(found.std() - wanted.std()) < 0.02
    assert abs(np.mean([view.flipped for view in views]) - 0.5) < 0.03


def test_a_view_depends_on_its_path_and_number_alone() -> None:
    draws = {draw_view(path, number, 99, 99) for path in ("a", "b") for number in range(5)}
    assert len(draws) == 10
    few, many = (np.empty((1 + count, 3, 8, 8), np.uint8) for count in (2, 5))
    for out in (few, many):
        put_views(photo(40, 30), "a", Preprocess(8, 8), "torchvision", out)
    assert np.array_equal(few, many[:3])
    assert np.array_equal(few[0], Preprocess(8, 8).pixels(photo(40, 30)).numpy())


def test_a_long_image_has_the_largest_centred_crop() -> None:
    """No crop within the ratios lies within one pixel by 400."""
    view = draw_view("a", 0, 1, 400)
    assert (view.top, view.left, view.height) == (0, (400 - view.width) // 2, 1)
    assert view.width == 1
    assert isinstance(view, View)
