"""Packed batches: decoded images in a slot, and the same pixels on the device as by the CPU."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from cog.errors import CogError
from cog.images import nvjpeg, packing
from cog.images.decoding import check_decoder, decode, decode_for
from cog.images.limits import Unreadable
from cog.images.nvjpeg import decodable
from cog.images.packed import Packed, Unpacked
from cog.images.packing import DECODED, ENCODED, KIND, RESIZED, Part, slot_bytes, table_in
from cog.images.preprocess import Preprocess

CPU = torch.device("cpu")
GEOMETRIES = (Preprocess(40, 32), Preprocess((30, 50), None, "bilinear"))
PARTS = (slice(0, 5), slice(5, 8))


def encoded(height: int, width: int, kind: str = "JPEG", **options: object) -> bytes:
    rng = np.random.default_rng([height, width])
    small = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((width, height)).save(file, kind, **options)
    return file.getvalue()


CUT = encoded(70, 90)[:-300]
IMAGES = (
    encoded(61, 85), encoded(375, 500), b"no image", encoded(61, 86), CUT,
    encoded(20, 30, "PNG"), encoded(90, 200, progressive=True), encoded(300, 200, quality=95),
)  # fmt: skip
"""one is unreadable, one is truncated, and one of a small bucket is in the other part"""


def pack(
    images: Sequence[bytes] = IMAGES,
    decoder: str = "torchvision",
    truncated: str = "read",
    parts: Sequence[slice] = PARTS,
) -> tuple[Packed, dict[int, str], dict[int, str]]:
    """A batch in a slot full of noise with room for more; why rows are unreadable, or truncated."""
    capacity = len(images) + 3
    size = slot_bytes(capacity, GEOMETRIES)
    slot = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    reasons, cut_off = {}, {}
    for part in reversed(parts):
        own = Part(slot, capacity, part, GEOMETRIES, decoder, truncated)
        for row in range(part.start, part.stop):
            try:
                if why := own.put(row, images[row]):
                    cut_off[row] = why
            except Unreadable as error:
                reasons[row] = str(error)
    packed = Packed(torch.from_numpy(slot), capacity, len(images), GEOMETRIES, truncated)
    return packed, reasons, cut_off


def kinds(packed: Packed) -> list[int]:
    return table_in(packed.slot.numpy(), packed.capacity)[: packed.rows, KIND].tolist()


def unpacked(packed: Packed) -> Unpacked:
    return packed.on(CPU, lambda tensor: tensor)


def check(found: Unpacked, images: Sequence[bytes] = IMAGES, unreadable: Sequence[int] = (2,)):
    for geometry in GEOMETRIES:
        pixels = found.pixels[geometry]
        assert pixels.shape == (len(images), *geometry.shape)
        for row, data in enumerate(images):
            wanted = torch.zeros(geometry.shape, dtype=torch.uint8)
            if row not in unreadable:
                wanted = geometry.pixels(decode(data))
            assert (pixels[row].int() - wanted.int()).abs().max() <= 1, row


def test_a_batch_of_parts_is_resized_as_on_the_cpu() -> None:
    packed, reasons, cut_off = pack()
    check(unpacked(packed))
    assert reasons.keys() == {2}
    assert cut_off == {4: decode_for(len, CUT)[1]}
    assert kinds(packed) == [DECODED, DECODED, 0, *[DECODED] * 5]


def test_truncated_images_may_be_refused() -> None:
    packed, reasons, cut_off = pack(truncated="refuse")
    check(unpacked(packed), unreadable=(2, 4))
    assert reasons.keys() == {2, 4}
    assert not cut_off


def test_a_slot_may_be_used_again() -> None:
    packed, *_ = pack()
    slot = packed.slot.numpy()
    part = Part(slot, packed.capacity, slice(0, len(IMAGES)), GEOMETRIES, "torchvision", "read")
    part.put(3, IMAGES[3])
    check(unpacked(packed), unreadable=[row for row in range(len(IMAGES)) if row != 3])


def test_a_batch_without_any_image_is_black() -> None:
    packed, reasons, _ = pack([b"", b"no"], parts=[slice(0, 2)])
    check(unpacked(packed), [b"", b"no"], unreadable=(0, 1))
    assert reasons.keys() == {0, 1}


def test_what_has_no_room_is_resized_where_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of two rows with 4 pages each; a row that is resized takes two."""
    monkeypatch.setattr(packing, "PAGES_A_ROW", 4)
    large, fits, small = encoded(375, 500), encoded(200, 300), encoded(40, 50)
    for images, expected in (
        ([large, small], [RESIZED, DECODED]),
        ([fits, small], [DECODED, DECODED]),
        ([fits, fits], [DECODED, RESIZED]),  # 6 pages, of which 2 were kept for the second
        ([b"no", large], [0, RESIZED]),
    ):
        packed, *_ = pack(images, parts=[slice(0, 2)])
        assert kinds(packed) == expected
        check(unpacked(packed), images, unreadable=[0] if images[0] == b"no" else [])


def test_a_very_large_image_is_resized_where_it_is_decoded() -> None:
    images = [encoded(1025, 1024), encoded(1024, 1024)]
    packed, *_ = pack(images, parts=[slice(0, 2)])
    assert kinds(packed) == [RESIZED, RESIZED]  # 64 pages are more than both have
    packed, *_ = pack([*images, *IMAGES], parts=[slice(0, 10)])
    assert kinds(packed)[:2] == [RESIZED, DECODED]
    check(unpacked(packed), [*images, *IMAGES], unreadable=(4,))


class StandIn:
    """A GPU's decoder: torchvision's on the CPU, which fails for some images."""

    def __init__(self, fails: Sequence[bytes] = (), raises: type[Exception] = RuntimeError) -> None:
        self.fails = fails
        self.raises = raises
        self.calls: list[int] = []

    def __call__(self, data: Sequence[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
        self.calls.append(len(data))
        if any(each.numpy().tobytes() in self.fails for each in data):
            raise self.raises("nvJPEG: no")
        return [decode(each.numpy().tobytes()) for each in data]


def test_nvjpeg_is_one_call_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = StandIn()
    monkeypatch.setattr(nvjpeg, "decode_on_gpu", stand_in)
    packed, reasons, cut_off = pack(decoder="nvjpeg")
    assert kinds(packed) == [ENCODED] * 2 + [0, ENCODED] + [DECODED] * 3 + [ENCODED]
    assert not stand_in.calls  # workers need no GPU
    found = unpacked(packed)
    assert stand_in.calls == [4]
    check(found)
    assert (reasons.keys(), cut_off.keys()) == ({2}, {4})
    assert (found.reasons, found.truncated) == ({}, {})


@pytest.mark.parametrize("truncated", ["read", "refuse"])
def test_what_nvjpeg_refuses_is_decoded_by_the_cpu(
    truncated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain JPEGs: two whole ones, and one without the tables that its pixels need."""
    whole = encoded(61, 85)
    broken = whole.replace(b"\xff\xdb", b"\xff\xfe")
    images = [whole, encoded(61, 86), broken]
    stand_in = StandIn(images[1:])
    monkeypatch.setattr(nvjpeg, "decode_on_gpu", stand_in)
    packed, *_ = pack(images, "nvjpeg", truncated, [slice(0, 3)])
    assert kinds(packed) == [ENCODED] * 3
    found = unpacked(packed)
    assert stand_in.calls == [3, 1, 1, 1]
    noted, other = found.truncated, found.reasons
    if truncated == "refuse":
        noted, other = other, noted
    assert noted == {2: decode_for(len, broken)[1]}
    assert noted[2]
    assert other == {}
    check(found, images, unreadable=list(found.reasons))


def test_an_image_of_another_size_than_its_header_says_is_decoded_by_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    black = torch.zeros((3, 8, 8), dtype=torch.uint8)
    monkeypatch.setattr(nvjpeg, "decode_on_gpu", lambda data, device: [black for _ in data])
    images = [encoded(61, 85)]
    check(unpacked(pack(images, "nvjpeg", parts=[slice(0, 1)])[0]), images, unreadable=())


def test_an_error_that_is_not_of_an_image_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvjpeg, "decode_on_gpu", StandIn(IMAGES, AttributeError))
    with pytest.raises(AttributeError):
        unpacked(pack(decoder="nvjpeg")[0])


def test_nvjpeg_gets_plain_and_whole_jpegs_alone() -> None:
    frame = decodable(IMAGES[1])
    assert frame is not None
    assert (frame.height, frame.width) == (375, 500)
    cmyk = io.BytesIO()
    Image.new("CMYK", (9, 9)).save(cmyk, "JPEG")
    strip, rgb = encoded(8, 8192), encoded(61, 85, keep_rgb=True)
    named = rgb.replace(b"Adobe", b"other")
    for data in (b"", b"no", CUT, IMAGES[5], IMAGES[6], cmyk.getvalue(), strip, rgb, named):
        assert decodable(data) is None


def test_the_check_of_nvjpeg_asks_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = StandIn()
    monkeypatch.setattr(nvjpeg, "decode_on_gpu", stand_in)
    check_decoder("nvjpeg")
    assert stand_in.calls == [1]
    monkeypatch.setattr(nvjpeg, "decode_on_gpu", StandIn(raises=AssertionError))
    check_decoder("nvjpeg")


class Watched:
    """In the place of torch.cuda and of the operator: what was asked, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.on = "computing"
        nvjpeg._stream.cache_clear()
        for name, value in {
            "device": lambda device: self.within(f"{device}"),
            "current_device": lambda: 1,
            "current_stream": lambda: self,
            "Stream": lambda number: f"stream of {number}",
            "stream": self.within,
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(nvjpeg, "_operator", lambda: ("torchvision", self.decode))

    @contextmanager
    def within(self, what: str) -> Iterator[None]:
        before, self.on = self.on, what
        yield
        self.on = before

    def decode(self, data: list[object], mode: int, device: torch.device) -> list[object]:
        self.asked.append(f"decode {len(data)}, mode {mode}, to {device}, on {self.on}")
        return [SimpleNamespace(record_stream=self.record_stream) for _ in data]

    def wait_stream(self, stream: str) -> None:
        self.asked.append(f"{self.on} waits for {stream}")

    def record_stream(self, stream: object) -> None:
        assert stream is self
        self.asked.append("kept")


def test_memory_of_decoded_images_is_kept_until_it_has_been_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The operator writes on a stream of its own, whatever the current one still reads there."""
    watched = Watched(monkeypatch)
    data = [torch.zeros(3, dtype=torch.uint8)] * 2
    assert len(nvjpeg.decode_on_gpu(data, torch.device("cuda:1"))) == 2
    nvjpeg._stream.cache_clear()
    assert watched.asked == [
        "decode 2, mode 3, to cuda:1, on stream of 1",
        "cuda:1 waits for stream of 1",
        "kept",
        "kept",
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without CUDA")
def test_nvjpeg_without_cuda_is_refused() -> None:
    with pytest.raises(CogError, match="nvjpeg needs CUDA") as caught:
        check_decoder("nvjpeg")
    assert caught.value.hint == "give --decoder torchvision"
    assert "\n" not in str(caught.value.what)
