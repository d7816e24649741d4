"""From encoded bytes to the input of a network: decode, resize, centre crop, normalise."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import interpolate

from cog.errors import CogError, unknown_name
from cog.images.decoding import DEFAULT_DECODER, decode
from cog.images.imagenet import IMAGENET_MEAN, IMAGENET_STD

INTERPOLATIONS = ("bicubic", "bilinear")
ROUNDINGS = ("even", "down")


@dataclass(frozen=True)
class Preprocess:
    """The preprocessing that a network needs; networks of equal `geometry` share one resizing.

    Resizing is antialiased and works on uint8, like Pillow's. Values differ from Pillow's by at
    most 2 of 255, and not at all if the decoder is `pillow`.

    Args:
        resize: pixels of the short side (the aspect ratio stays), or (height, width).
        crop: side of the square cut from the centre; None keeps what `resize` gives.
        interpolation: bicubic or bilinear.
        mean: of the three channels, for pixels in 0…1; ImageNet's by default.
        std: their standard deviations, likewise.
        rounding: of a centre crop that begins at half a pixel: `even` as in torchvision, or `down`
            as in transformers.
    """

    resize: int | tuple[int, int] = 224
    crop: int | None = 224
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    rounding: str = "even"

    def __post_init__(self) -> None:
        """Turn lists into tuples, and refuse values that make no sense."""
        for name in ("resize", "mean", "std"):
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        if self.interpolation not in INTERPOLATIONS:
            raise unknown_name("interpolation", self.interpolation, INTERPOLATIONS)
        if self.rounding not in ROUNDINGS:
            raise unknown_name("rounding", self.rounding, ROUNDINGS)
        self._check_sides()
        for name in ("mean", "std"):
            value = getattr(self, name)
            if len(value) != 3 or not all(abs(number) < float("inf") for number in value):
                raise _wrong(name, value, "three finite numbers")
        if not all(number > 0 for number in self.std):
            raise _wrong("std", self.std, "three numbers above 0")

    def _check_sides(self) -> None:
        """Refuse sides that are not whole numbers, or that do not fix the size."""
        both = isinstance(self.resize, tuple)
        sides = self.resize if isinstance(self.resize, tuple) else (self.resize, self.resize)
        if len(sides) != 2 or not all(map(_is_side, sides)):
            raise _wrong("resize", self.resize, "a short side in pixels, or (height, width)")
        if not _is_side(self.crop) and not (both and self.crop is None):
            expected = "a side in pixels" + (" or None" if both else ", as resize has one side")
            raise _wrong("crop", self.crop, expected)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the result of `pixels`."""
        if self.crop is not None:
            return (3, self.crop, self.crop)
        assert isinstance(self.resize, tuple)  # checked in _check_sides
        return (3, *self.resize)

    @property
    def geometry(self) -> Preprocess:
        """The same with ImageNet's mean and std: equal for all that give the same `pixels`.

        >>> Preprocess(mean=(0.5, 0.5, 0.5)).geometry == Preprocess()
        True
        """
        return replace(self, mean=IMAGENET_MEAN, std=IMAGENET_STD)

    def pixels(
        self,
        image: torch.Tensor,
        decoder: str = DEFAULT_DECODER,
        out: NDArray[np.uint8] | None = None,
    ) -> torch.Tensor:
        """Resize and crop uint8 [3, h, w] to uint8 [3, H, W]; Pillow resizes for its own decoder.

        Black fills a crop that is larger than the image, as in torchvision. The result lies in
        `out` if that is given: an array uint8 [3, H, W].
        """
        if out is None:
            out = np.empty(self.shape, np.uint8)
        height, width = self.resized(image.shape[1], image.shape[2])
        resized = resize(image, (height, width), self.interpolation, decoder)
        # numpy copies: torch would start threads in each that decodes
        _put_centre(resized, out, self.rounding)
        return torch.from_numpy(out)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width after resizing; the long side is rounded down, as in torchvision."""
        if isinstance(self.resize, tuple):
            return self.resize
        if height < width:
            return self.resize, int(self.resize * width / height)
        return int(self.resize * height / width), self.resize

    def normalise(self, batch: torch.Tensor) -> torch.Tensor:
        """Scale uint8 [b, 3, H, W] to 0…1, subtract the mean, divide by the std; gives float32."""
        mean, std = (_channels(values, batch.device) for values in (self.mean, self.std))
        return batch.to(torch.float32, copy=True).div_(255).sub_(mean).div_(std)

    def load(self, data: bytes, decoder: str = DEFAULT_DECODER) -> torch.Tensor:
        """Pixels uint8 [3, H, W] of an encoded image; `decoder` is one of `decoding.DECODERS`.

        Raises:
            Unreadable: as `decode` does.
        """
        return self.pixels(decode(data, decoder), decoder)

    def describe(self) -> dict[str, Any]:
        """The fields, ready for JSON; they enter the fingerprint of features.

        The usual rounding is left out: stored features from before the choice stay valid.

        >>> Preprocess((256, 256), crop=224).describe()["resize"]
        [256, 256]
        """
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if (name, value) != ("rounding", "even")
        }

    def in_words(self) -> str:
        """The fields in one line for people, mean and std rounded.

        >>> Preprocess(256, crop=224).in_words()
        'resize 256, crop 224, bicubic, mean 0.485 0.456 0.406, std 0.229 0.224 0.225'
        """
        resize = self.resize if isinstance(self.resize, int) else "{} × {}".format(*self.resize)
        crop = "no crop" if self.crop is None else f"crop {self.crop}"
        crop += " rounded down" * (self.rounding == "down")
        mean, std = (
            " ".join(f"{number:.3g}" for number in numbers) for numbers in (self.mean, self.std)
        )
        return f"resize {resize}, {crop}, {self.interpolation}, mean {mean}, std {std}"


def resize(
    image: torch.Tensor, size: tuple[int, int], interpolation: str, decoder: str
) -> NDArray[np.uint8]:
    """Resize uint8 [3, h, w] to a height and width, antialiased; by Pillow for its own decoder."""
    if image.shape[1:] == size:
        return image.numpy()
    if decoder == "pillow":
        whole = Image.fromarray(image.permute(1, 2, 0).numpy())
        mode = Image.Resampling[interpolation.upper()]
        return np.array(whole.resize(size[::-1], mode)).transpose(2, 0, 1)
    return interpolate(image[None], size, mode=interpolation, antialias=True)[0].numpy()


def _put_centre(image: NDArray[np.uint8], out: NDArray[np.uint8], rounding: str) -> None:
    """Copy the centre of [3, h, w] to [3, H, W], on black where it is smaller."""
    if image.shape != out.shape:
        (top, above), (left, before) = (
            crop_offsets(side, crop, rounding)
            for side, crop in zip(image.shape[1:], out.shape[1:], strict=True)
        )
        if any(side < crop for side, crop in zip(image.shape, out.shape, strict=True)):
            out.fill(0)
        _, height, width = out.shape
        image = image[:, top : top + height, left : left + width]
        _, height, width = image.shape
        out = out[:, above : above + height, before : before + width]
    np.copyto(out, image)


def crop_offsets(side: int, crop: int, rounding: str = "even") -> tuple[int, int]:
    """Where a centre crop begins in an image's side, and where the image begins in the crop.

    Rounded as by torchvision's CenterCrop, half to even, or down; and down beside black.

    >>> crop_offsets(375, 224), crop_offsets(223, 224), crop_offsets(220, 224)
    ((76, 0), (0, 0), (0, 2))
    >>> crop_offsets(375, 224, "down")
    (75, 0)
    """
    if side <= crop:
        return 0, (crop - side) // 2
    return (round((side - crop) / 2) if rounding == "even" else (side - crop) // 2), 0


@lru_cache(maxsize=64)
def _channels(values: tuple[float, float, float], device: torch.device) -> torch.Tensor:
    """A number for each channel, on a device; kept there, as a copy would wait for its work."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(3, 1, 1)


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _wrong(name: str, value: object, expected: str) -> CogError:
    return CogError(
        f"Preprocess: expected {name} to be {expected}, found {value!r}",
        "write it like cog.Preprocess(resize=256, crop=224, interpolation='bicubic')",
    )
