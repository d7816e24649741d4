"""Decoding against Pillow, preprocessing against torchvision's transforms on Pillow images."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms as reference
from torchvision.transforms import InterpolationMode

from cog.errors import CogError
from cog.images import decoding
from cog.images import preprocess as transforms
from cog.images.decoding import decode
from cog.images.headers import is_plain, jpeg_frame
from cog.images.jpeg_library import JpegLibrary
from cog.images.limits import MAX_PIXELS, Unreadable
from cog.images.preprocess import Preprocess

JPEG_TOLERANCE = 0  # both use libjpeg-turbo; another build of it might differ by 1 of 255

# Resizing, of 255, as the largest and the mean difference: against Pillow's horizontal and then
# vertical pass, the order of ours; and against one call of Pillow, which from version 13 begins
# with the cheaper pass and so rounds otherwise.
SAME_ORDER = (2, 0.1)
ANY_ORDER = (2, 0.3)


def photo(height: int = 61, width: int = 85) -> Image.Image:
    """Something with edges, gradients and noise."""
    rng = np.random.default_rng([height, width])
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 5) > 0], axis=-1)
    pixels = 127 + 90 * waves + rng.normal(0, 8, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def as_pillow(data: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).transpose(2, 0, 1)


def with_alpha(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


RGB, GREY, PALETTE = photo(), photo().convert("L"), photo().quantize(60)
CMYK_JPEG = encode(RGB.convert("CMYK"), "JPEG")
ADOBE = CMYK_JPEG.index(b"Adobe") - 4  # FF EE, length, then the text
EXIF = Image.Exif()
EXIF[0x0112] = 6  # turn by 90 degrees

LOSSLESS = {
    "L": encode(GREY, "PNG"),
    "LA": encode(with_alpha(GREY), "PNG"),
    "P": encode(PALETTE, "PNG"),
    "P, 4 bits": encode(RGB.quantize(12), "PNG"),
    "P, one transparent": encode(PALETTE, "PNG", transparency=3),
    "P, alpha of each": encode(PALETTE, "PNG", transparency=bytes(range(60))),
    "L, one transparent": encode(GREY, "PNG", transparency=90),
    "RGB, one transparent": encode(RGB, "PNG", transparency=(1, 2, 3)),
    "1": encode(RGB.convert("1"), "PNG"),
    "RGB": encode(RGB, "PNG"),
    "RGBA": encode(with_alpha(RGB), "PNG"),
    "16-bit grey": encode(
        Image.fromarray(np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)), "PNG"
    ),
    "BMP": encode(RGB, "BMP"),
    "BMP, palette": encode(PALETTE, "BMP"),
    "TIFF": encode(RGB, "TIFF"),
    "TIFF, deflated": encode(RGB, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF, CMYK": encode(RGB.convert("CMYK"), "TIFF"),
    "WebP": encode(RGB, "WEBP", lossless=True),
    "WebP, alpha": encode(with_alpha(RGB), "WEBP", lossless=True),
    "GIF": encode(PALETTE, "GIF"),
    "GIF, transparent": encode(PALETTE, "GIF", transparency=5),
    "GIF, animated": encode(PALETTE, "GIF", save_all=True, append_images=[PALETTE.rotate(180)]),
}
LOSSY = {
    "baseline": encode(RGB, "JPEG"),
    "progressive": encode(RGB, "JPEG", progressive=True),
    "4:4:4": encode(RGB, "JPEG", subsampling=0),
    "4:2:2": encode(RGB, "JPEG", subsampling=1),
    "quality 20": encode(RGB, "JPEG", quality=20),
    "RGB inside": encode(RGB, "JPEG", keep_rgb=True),
    "grey": encode(GREY, "JPEG"),
    "grey, progressive": encode(GREY, "JPEG", progressive=True),
    "restart markers": encode(RGB, "JPEG", restart_marker_rows=1),
    "EXIF says turn": encode(RGB, "JPEG", exif=EXIF),
    "CMYK": CMYK_JPEG,
    "CMYK, not Adobe's": CMYK_JPEG[:ADOBE] + CMYK_JPEG[ADOBE + 16 :],
    "YCCK": CMYK_JPEG[: ADOBE + 15] + b"\x02" + CMYK_JPEG[ADOBE + 16 :],
    "junk at the end": encode(RGB, "JPEG") + b"junk" * 9,
    "MPO": encode(RGB, "MPO", save_all=True, append_images=[RGB.rotate(180)]),
    "WebP": encode(RGB, "WEBP"),
}
DAMAGED = {
    "empty": b"",
    "garbage": bytes(range(256)) * 4,
    "text": b"<html>404</html>",
    "JPEG start alone": b"\xff\xd8\xff",
    "cut JPEG": LOSSY["baseline"][:-400],
    "cut progressive": LOSSY["progressive"][:-400],
    "cut header": LOSSY["baseline"][:200],
    "JPEG without end": LOSSY["baseline"][:-2],
    "cut PNG": LOSSLESS["RGB"][:-400],
    "PNG of wrong checksum": LOSSLESS["RGB"][:-20] + b"\0\1\2\3" + LOSSLESS["RGB"][-16:],
    "cut GIF": LOSSLESS["GIF"][:-400],
    "cut WebP": LOSSLESS["WebP"][:-400],
    "cut BMP": LOSSLESS["BMP"][:-400],
    "cut TIFF": LOSSLESS["TIFF"][:-400],
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_images_come_out_as_pillow_gives_them(kind: str) -> None:
    pixels = decode(LOSSLESS[kind])
    assert pixels.dtype == torch.uint8
    np.testing.assert_array_equal(pixels.numpy(), as_pillow(LOSSLESS[kind]))


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_images_come_out_as_pillow_gives_them(kind: str) -> None:
    ours, theirs = decode(LOSSY[kind]).numpy().astype(int), as_pillow(LOSSY[kind]).astype(int)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= JPEG_TOLERANCE


def test_the_kinds_of_jpeg_are_what_they_claim() -> None:
    plain = {kind for kind, data in LOSSY.items() if (f := jpeg_frame(data)) and is_plain(f)}
    assert set(LOSSY) - plain == {"CMYK", "CMYK, not Adobe's", "YCCK", "WebP"}
    four = [as_pillow(LOSSY[kind]) for kind in ("CMYK", "CMYK, not Adobe's", "YCCK")]
    assert not np.array_equal(four[0], four[2])
    assert b"Adobe" not in LOSSY["CMYK, not Adobe's"]
    assert decode(LOSSY["EXIF says turn"]).shape == (3, 61, 85)  # not turned


def test_plain_jpegs_do_not_need_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_decode_with_pillow", None)
    for kind in ("baseline", "progressive", "grey", "4:4:4", "RGB inside"):
        decode(LOSSY[kind])


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_images_are_unreadable_with_the_same_reason_each_time(kind: str) -> None:
    reasons = set()
    for _ in range(2):
        with pytest.raises(Unreadable) as caught:
            decode(DAMAGED[kind], truncated="refuse")
        reasons.add(str(caught.value))
    (reason,) = reasons
    assert reason
    assert "\n" not in reason
    assert "0x" not in reason


def test_far_too_large_images_are_refused_unread() -> None:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"")
    start = LOSSY["baseline"].index(b"\xff\xc0")
    jpeg = bytearray(LOSSY["baseline"])
    jpeg[start + 5 : start + 9] = struct.pack(">HH", 30_000, 30_000)
    for data in (png, bytes(jpeg)):
        with pytest.raises(Unreadable, match=r"30000|decompression bomb"):
            decode(data)
    for kind in ("JPEG", "PNG"):
        with pytest.raises(Unreadable, match="as long as wide"):
            decode(encode(Image.new("RGB", (1, 1001)), kind))
        assert decode(encode(Image.new("RGB", (1, 1000)), kind)).shape == (3, 1000, 1)
    assert Image.MAX_IMAGE_PIXELS is not None
    assert pytest.approx(MAX_PIXELS, abs=2) == 2 * Image.MAX_IMAGE_PIXELS


def test_warnings_of_pillow_do_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)  # 61 × 85 is more: a warning
    data = LOSSLESS["P, alpha of each"]
    with pytest.warns(Warning, match=r"Transparency|decompression"):
        Image.open(io.BytesIO(data)).convert("RGB")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode(data)
        decode(LOSSLESS["TIFF"])
    assert not caught


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(sorted(LOSSLESS)), seed=st.integers(0, 10**6))
def test_damage_gives_pixels_or_unreadable_and_nothing_else(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(LOSSLESS[kind])
    for index in rng.integers(0, len(data), 3):
        data[index] = rng.integers(256)
    with contextlib.suppress(Unreadable):
        assert decode(bytes(data)).shape[0] == 3


def test_what_the_library_refuses_pillow_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(decoding, "jpeg_library", lambda: JpegLibrary("none", "0", refuse))
    np.testing.assert_array_equal(decode(LOSSY["baseline"]).numpy(), as_pillow(LOSSY["baseline"]))


PREPROCESSES = {
    "224": Preprocess(),
    "even crop of odd": Preprocess(resize=57, crop=40),
    "odd crop of even": Preprocess(resize=48, crop=31),
    "bilinear": Preprocess(resize=40, crop=33, interpolation="bilinear"),
    "both sides": Preprocess(resize=(37, 53), crop=None),
    "both sides, crop": Preprocess(resize=(37, 53), crop=32),
    "larger crop": Preprocess(resize=40, crop=63),
    "larger odd crop": Preprocess(resize=31, crop=52),
    "crop larger by one": Preprocess(resize=(40, 90), crop=41),
    "other statistics": Preprocess(resize=32, crop=32, mean=(0.5, 0.4, 0.3), std=(0.5, 0.6, 0.7)),
}


def resize_in_one_call(preprocess: Preprocess, image: Image.Image) -> Image.Image:
    return reference.Resize(preprocess.resize, InterpolationMode(preprocess.interpolation))(image)


def resize_by_rows_first(preprocess: Preprocess, image: Image.Image) -> Image.Image:
    width, height = resize_in_one_call(preprocess, image).size
    mode = Image.Resampling[preprocess.interpolation.upper()]
    return image.resize((width, image.height), mode).resize((width, height), mode)


@pytest.mark.parametrize("size", [(61, 85), (85, 61), (50, 50), (300, 41)])
@pytest.mark.parametrize("name", PREPROCESSES)
def test_pixels_and_normalise_equal_torchvision_on_pillow(name: str, size: tuple[int, int]) -> None:
    preprocess, image = PREPROCESSES[name], photo(*size)
    pixels = preprocess.load(encode(image, "PNG"))
    assert pixels.dtype == torch.uint8
    assert pixels.shape == preprocess.shape
    assert pixels.is_contiguous()
    ours = preprocess.normalise(pixels[None])[0]
    assert ours.dtype == torch.float32
    crop = [reference.CenterCrop(preprocess.crop)] if preprocess.crop else []
    finish = reference.Compose(
        [*crop, reference.ToTensor(), reference.Normalize(preprocess.mean, preprocess.std)]
    )
    std = torch.tensor(preprocess.std).view(3, 1, 1)
    for resize, tolerance in ((resize_by_rows_first, SAME_ORDER), (resize_in_one_call, ANY_ORDER)):
        difference = (ours - finish(resize(preprocess, image))).abs() * std * 255
        assert difference.max() <= tolerance[0] + 1e-3
        assert difference.mean() <= tolerance[1]


def test_normalise_is_exact_and_leaves_its_input_alone() -> None:
    preprocess = PREPROCESSES["other statistics"]
    levels = torch.arange(256, dtype=torch.uint8).repeat(2, 3, 1, 1)
    expected = reference.Normalize(preprocess.mean, preprocess.std)(levels.float() / 255)
    assert torch.equal(preprocess.normalise(levels), expected)
    floats = levels.float()
    preprocess.normalise(floats)
    assert torch.equal(floats, levels.float())


@pytest.mark.parametrize("size", [(61, 85), (85, 61), (50, 50), (300, 41)])
@pytest.mark.parametrize("name", PREPROCESSES)
def test_the_decoder_pillow_is_torchvisions_transforms_to_the_bit(
    name: str, size: tuple[int, int]
) -> None:
    preprocess = PREPROCESSES[name]
    crop = [reference.CenterCrop(preprocess.crop)] if preprocess.crop else []
    finish = reference.Compose([*crop, reference.PILToTensor()])
    for data in (encode(photo(*size), "JPEG"), encode(photo(*size).convert("L"), "PNG")):
        image = Image.open(io.BytesIO(data)).convert("RGB")
        pixels = preprocess.load(data, "pillow")
        assert torch.equal(pixels, finish(resize_in_one_call(preprocess, image)))
        assert pixels.is_contiguous()


def test_the_decoder_pillow_does_without_other_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "jpeg_library", None)
    monkeypatch.setattr(transforms, "interpolate", None)
    for data in LOSSY.values():
        np.testing.assert_array_equal(decode(data, "pillow").numpy(), as_pillow(data))
        Preprocess(resize=40, crop=32).load(data, "pillow")
    for kind in ("cut JPEG", "JPEG start alone", "empty"):
        with pytest.raises(Unreadable):
            decode(DAMAGED[kind], "pillow", truncated="refuse")


def test_an_image_of_the_right_size_stays_as_it_is() -> None:
    pixels = decode(LOSSLESS["RGB"])
    assert torch.equal(Preprocess(resize=(61, 85), crop=None).pixels(pixels), pixels)


@pytest.mark.parametrize("crop", [61, 62, 63, 70, 86, 87])
@pytest.mark.parametrize("decoder", ["torchvision", "pillow"])
def test_every_byte_of_the_memory_for_pixels_is_written(crop: int, decoder: str) -> None:
    """What was there before does not shine through, beside an image that is smaller by one too."""
    preprocess, image = Preprocess(resize=(61, 85), crop=crop), decode(LOSSLESS["RGB"])
    black, white = (np.full(preprocess.shape, level, np.uint8) for level in (0, 255))
    assert torch.equal(*(preprocess.pixels(image, decoder, out=room) for room in (black, white)))


def test_threads_give_what_one_thread_gives() -> None:
    preprocess = Preprocess(resize=40, crop=32)
    kinds = [*LOSSY.values(), *LOSSLESS.values()] * 4
    with ThreadPoolExecutor(4) as pool:
        many = list(pool.map(preprocess.load, kinds))
    assert all(torch.equal(a, preprocess.load(data)) for a, data in zip(many, kinds, strict=True))


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux does")
@pytest.mark.parametrize("decoder", ["torchvision", "pillow"])
def test_a_decoding_thread_starts_no_threads(decoder: str) -> None:
    """As many of torch's as there are cores in each of as many as there are cores: far too many."""

    def threads() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    def started() -> int:
        before = threads()
        for data in (encode(photo(375, 500), "JPEG"), encode(photo(256, 256), "PNG")):
            for interpolation in ("bicubic", "bilinear"):
                Preprocess(256, 224, interpolation).load(data, decoder)
        return threads() - before

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(started).result() <= 0  # one of an earlier test may end meanwhile


def test_describe_has_every_field() -> None:
    assert Preprocess((256, 240), crop=None, interpolation="bilinear").describe() == {
        "resize": [256, 240],
        "crop": None,
        "interpolation": "bilinear",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }
    assert hash(Preprocess(mean=[0.5, 0.5, 0.5])) == hash(Preprocess(mean=(0.5, 0.5, 0.5)))


@pytest.mark.parametrize(
    "fields",
    [
        {"resize": 0},
        {"resize": 224.0},
        {"resize": (224,)},
        {"resize": (224, -1)},
        {"crop": 0},
        {"crop": None},
        {"interpolation": "bicubik"},
        {"mean": (0.5, 0.5)},
        {"mean": (0.5, 0.5, float("nan"))},
        {"std": (0.5, 0.5, 0.0)},
    ],
)
def test_impossible_fields_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(CogError):
        Preprocess(**fields)  # type: ignore[arg-type]
