"""Truncated images, cut and broken at many points, against Pillow with its switch on."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageFile

from cog.images.decoding import FORMATS, decode, decode_for
from cog.images.limits import Unreadable
from cog.images.truncated import pillow_reads_truncated

# What a process of its own says of each image without and with the switch: None where Pillow fails.
PILLOW = f"""
import io, pickle, sys, warnings
import numpy as np
from PIL import Image, ImageFile

def pixels(data, switch):
    ImageFile.LOAD_TRUNCATED_IMAGES = switch
    try:
        image = Image.open(io.BytesIO(data), formats={FORMATS})
        image.load()
        image.info.pop("transparency", None)
        return np.array(image.convert("RGB")).transpose(2, 0, 1)
    except Exception:
        return None

warnings.simplefilter("ignore")
answers = [(pixels(data, False), pixels(data, True)) for data in pickle.load(sys.stdin.buffer)]
pickle.dump(answers, sys.stdout.buffer)
"""


def photo() -> Image.Image:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:53, :67]
    waves = np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 5) > 0], axis=-1)
    return Image.fromarray(
        (127 + 90 * waves + rng.normal(0, 9, waves.shape)).clip(0, 255).astype("u1")
    )


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


RGB = photo()
GREY16 = Image.fromarray(np.arange(53 * 67, dtype=np.uint16).reshape(53, 67) * 9)
WHOLE = {
    "JPEG": encode(RGB, "JPEG"),
    "JPEG, progressive": encode(RGB, "JPEG", progressive=True),
    "JPEG, grey": encode(RGB.convert("L"), "JPEG"),
    "JPEG, restart markers": encode(RGB, "JPEG", restart_marker_blocks=3),
    "JPEG, CMYK": encode(RGB.convert("CMYK"), "JPEG"),
    "PNG": encode(RGB, "PNG"),
    "PNG, palette": encode(RGB.quantize(), "PNG"),
    "PNG, alpha": encode(RGB.convert("RGBA"), "PNG"),
    "PNG, 16 bits": encode(GREY16, "PNG"),
    "GIF": encode(RGB, "GIF"),
    "BMP": encode(RGB, "BMP"),
    "TIFF": encode(RGB, "TIFF"),
    "TIFF, deflated": encode(RGB, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF, JPEG": encode(RGB, "TIFF", compression="jpeg"),
    "WebP": encode(RGB, "WEBP"),
    "WebP, lossless": encode(RGB, "WEBP", lossless=True),
    "PPM": encode(RGB, "PPM"),
    "JPEG 2000": encode(RGB, "JPEG2000"),
    "JPEG 2000, no boxes": encode(RGB, "JPEG2000", no_jp2=True),
}
READ_IN_PART = {kind for kind in WHOLE if not kind.startswith(("TIFF, ", "WebP"))}


def damaged(data: bytes, seed: int) -> list[bytes]:
    """Cuts everywhere, and bytes that are changed, left out, or zero."""
    rng = np.random.default_rng(seed)
    size = len(data)
    found = [
        data[:cut] for cut in {*np.linspace(1, size - 9, 24).astype(int), *range(size - 8, size)}
    ]
    for number in range(12):
        changed = bytearray(data)
        at = int(rng.integers(2, size - 40))
        put = (b"", bytes(30), bytes([number * 21]))[number % 3]
        changed[at : at + 1 + 13 * (number % 3)] = put
        found.append(bytes(changed))
    return found


@pytest.fixture(scope="module")
def answers() -> dict[bytes, tuple[np.ndarray | None, np.ndarray | None]]:
    """What Pillow says of every image, without and with its switch, in a process of its own."""
    images = [each for kind in WHOLE for each in (WHOLE[kind], *damaged(WHOLE[kind], 0))]
    done = subprocess.run(
        [sys.executable, "-c", PILLOW], input=pickle.dumps(images), capture_output=True, check=True
    )
    return dict(zip(images, pickle.loads(done.stdout), strict=True))


def answer(data: bytes, decoder: str = "torchvision") -> tuple[np.ndarray | None, str]:
    try:
        pixels, why = decode_for(lambda pixels: pixels.numpy(), data, decoder)
    except Unreadable as error:
        return None, str(error)
    return pixels, why


@pytest.mark.parametrize("decoder", ["torchvision", "pillow"])
@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_there_is_read_as_pillow_reads_it(kind: str, decoder: str, answers) -> None:
    counts: Counter[str] = Counter()
    for data in (WHOLE[kind], *damaged(WHOLE[kind], 0)):
        strict, lenient = answers[data]
        pixels, why = answer(data, decoder)
        counts["whole" if strict is not None else "none" if lenient is None else "part"] += 1
        if lenient is None:
            assert pixels is None
            assert why
        else:
            np.testing.assert_array_equal(pixels, lenient)
            assert bool(why) == (strict is None)
    assert counts["whole"]
    assert bool(counts["part"]) == (kind in READ_IN_PART)


def test_refused_images_are_unreadable_for_the_reason_that_marks_them_else(answers) -> None:
    for data in damaged(WHOLE["JPEG"], 0):
        strict, lenient = answers[data]
        _, why = answer(data)
        if strict is None:
            with pytest.raises(Unreadable) as caught:
                decode(data, truncated="refuse")
            assert str(caught.value) == why
        else:
            np.testing.assert_array_equal(decode(data, truncated="refuse").numpy(), lenient)


def test_threads_with_other_wishes_and_the_user_do_not_meet(answers) -> None:
    """Pillow's switch is one for the whole process."""
    parts = [d for kind in ("PNG", "GIF", "JPEG, CMYK") for d in damaged(WHOLE[kind], 0)]
    parts = [data for data in parts if answers[data][0] is None and answers[data][1] is not None]
    seen: set[bool] = set()
    stop = threading.Event()

    def user() -> None:
        while not stop.is_set():
            seen.add(bool(ImageFile.LOAD_TRUNCATED_IMAGES))

    def refused(data: bytes) -> bool:
        try:
            decode(data, truncated="refuse")
        except Unreadable:
            return True
        return False

    watcher = threading.Thread(target=user)
    watcher.start()
    with ThreadPoolExecutor(4) as pool:
        refusing = pool.map(refused, parts * 5)
        reading = pool.map(lambda data: answer(data)[1], parts * 5)
        assert all(refusing)
        assert all(reading)
    stop.set()
    watcher.join()
    assert seen == {False}
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@pytest.mark.parametrize("users", [True, False])
def test_the_users_own_setting_is_seen_and_comes_back(
    users: bool, answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", users)
    cut = WHOLE["PNG"][:-60]
    assert answer(cut)[1]  # truncated, whatever the user has
    with pytest.raises(Unreadable):
        decode(cut, truncated="refuse")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is users
    with pillow_reads_truncated(not users), ThreadPoolExecutor(1) as pool:
        assert bool(ImageFile.LOAD_TRUNCATED_IMAGES) is not users
        assert pool.submit(lambda: bool(ImageFile.LOAD_TRUNCATED_IMAGES)).result() is users
    assert ImageFile.LOAD_TRUNCATED_IMAGES is users


def test_a_setting_that_the_user_changes_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    with pillow_reads_truncated(False):
        ImageFile.LOAD_TRUNCATED_IMAGES = True
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True
