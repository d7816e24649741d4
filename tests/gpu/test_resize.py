"""Resizing on the device, and nvJPEG, against the CPU."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
import simplejpeg
import torch
from PIL import Image

from cog.features.feeder.batch import Batch
from cog.features.on_device import with_pixels
from cog.features.transfers import Transfers
from cog.images.decoding import check_decoder, decode
from cog.images.nvjpeg import decode_batch, decode_on_gpu
from cog.images.packed import Packed, Unpacked
from cog.images.packing import Part, slot_bytes
from cog.images.preprocess import Preprocess
from cog.tf32 import tf32

GEOMETRIES = (Preprocess(), Preprocess(256, 224, "bilinear"), Preprocess((90, 120), None))
SIZES = [(375, 500), (500, 333), (64, 64), (30, 400), (1000, 900), (1, 1), (1200, 1300)]


def encoded(height: int, width: int, kind: str = "JPEG", **options: object) -> bytes:
    rng = np.random.default_rng([height, width])
    side = 4 + rng.integers(0, 5)
    low = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
    file = io.BytesIO()
    low.resize((width, height), Image.Resampling.BICUBIC).save(file, kind, **options)
    return file.getvalue()


def packed(images: Sequence[bytes], decoder: str) -> Packed:
    rows = len(images)
    slot = np.empty(slot_bytes(rows, GEOMETRIES), np.uint8)
    part = Part(slot, rows, slice(0, rows), GEOMETRIES, decoder, "read")
    for row, data in enumerate(images):
        part.put(row, data)
    return Packed(torch.from_numpy(slot), rows, rows, GEOMETRIES, "read")


def unpacked(images: Sequence[bytes], device: torch.device, decoder: str) -> Unpacked:
    return packed(images, decoder).on(device, lambda tensor: tensor.to(device))


def differences(found: Unpacked, images: Sequence[bytes]) -> torch.Tensor:
    """Int32 [geometries, b]: of each image the largest difference from the CPU's pixels."""
    largest = [
        [
            (pixels.cpu().int() - geometry.pixels(decode(data)).int()).abs().max()
            for pixels, data in zip(found.pixels[geometry], images, strict=True)
        ]
        for geometry in GEOMETRIES
    ]
    return torch.tensor(largest)


def test_pixels_are_those_of_the_cpu(device: torch.device) -> None:
    images = [encoded(*size) for size in SIZES] + [encoded(70, 90, "PNG")]
    found = unpacked(images, device, "torchvision")
    assert {pixels.device.type for pixels in found.pixels.values()} == {device.type}
    assert differences(found, images).max() <= 1


def test_no_weight_is_rounded_to_tf32(device: torch.device) -> None:
    """By `with_pixels`, wherever TF32 is allowed: then thousands of pixels would differ."""
    images = [encoded(375, 500 + side) for side in range(20)]
    batch = Batch(slice(0, 20), {}, np.ones(20, np.bool_), {}, {}, packed(images, "torchvision"))
    with tf32(matrices=True, convolutions=True):
        found = with_pixels(batch, GEOMETRIES, Transfers(device))
    wanted = torch.stack([GEOMETRIES[0].pixels(decode(data)) for data in images])
    assert (found.pixels[GEOMETRIES[0]].cpu() != wanted).float().mean() < 1e-4


def unsmoothed(data: bytes) -> torch.Tensor:
    """Uint8 [3, h, w] of a JPEG: libjpeg-turbo's, each number of its chroma repeated."""
    pixels = simplejpeg.decode_jpeg(data, fastupsample=True)
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


@pytest.mark.gpu
def test_nvjpeg_is_libjpeg_without_smoothing_of_chroma(cuda: torch.device) -> None:
    """So it is the CPU's decoder where chroma is whole, and near it where chroma is smooth."""
    check_decoder("nvjpeg")
    images = [
        encoded(*size, subsampling=chroma) for size in SIZES[:5] for chroma in ("4:4:4", "4:2:0")
    ]
    data = [torch.frombuffer(bytearray(each), dtype=torch.uint8) for each in images]
    found = decode_batch(data, cuda)
    for pixels, each in zip(found, images, strict=True):
        assert pixels is not None
        assert pixels.device.type == "cuda"
        assert (pixels.cpu().int() - unsmoothed(each).int()).abs().max() <= 1
    for pixels, each in zip(found[::2], images[::2], strict=True):  # 4:4:4
        assert (pixels.cpu().int() - decode(each).int()).abs().max() <= 1
    resized = unpacked(images, cuda, "nvjpeg")
    assert (resized.reasons, resized.truncated) == ({}, {})
    for geometry in GEOMETRIES:
        wanted = torch.stack([geometry.pixels(unsmoothed(data)) for data in images])
        assert (resized.pixels[geometry].cpu().int() - wanted.int()).abs().max() <= 2


@pytest.mark.gpu
def test_what_nvjpeg_refuses_is_decoded_by_the_cpu(cuda: torch.device) -> None:
    """A JPEG without its tables of quantisation, between whole ones."""
    whole = [encoded(375, 500), encoded(64, 64)]
    broken = encoded(100, 90).replace(b"\xff\xdb", b"\xff\xfe")
    found = unpacked([whole[0], broken, whole[1]], cuda, "nvjpeg")
    assert found.truncated.keys() <= {1}
    for geometry in GEOMETRIES:
        for row, data in ((0, whole[0]), (2, whole[1])):
            wanted = geometry.pixels(unsmoothed(data)).int()
            assert (found.pixels[geometry][row].cpu().int() - wanted).abs().max() <= 2


@pytest.mark.gpu
def test_memory_that_is_let_go_is_not_written_while_it_is_read(cuda: torch.device) -> None:
    """Batches follow each other without waiting; what each decoded is summed behind long work."""
    data = [torch.frombuffer(bytearray(encoded(375, 500)), dtype=torch.uint8)] * 16
    other = [torch.frombuffer(bytearray(encoded(375, 501)), dtype=torch.uint8)] * 16
    wanted = {id(batch): int(decode_on_gpu(batch[:1], cuda)[0].sum()) for batch in (data, other)}
    torch.cuda.synchronize()
    matrix = torch.ones(4096, 4096, device=cuda)
    sums = []
    for turn in range(20):
        batch = (data, other)[turn % 2]
        pixels = decode_on_gpu(batch, cuda)
        matrix = (matrix @ matrix).clamp_(0, 1)  # what reads the pixels comes late
        sums.append((wanted[id(batch)], torch.stack([image.sum() for image in pixels])))
        del pixels
    for expected, found in sums:
        assert (found == expected).all()
