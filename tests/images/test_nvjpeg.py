"""nvJPEG by the successor of torchvision's operator, with a stand-in for the GPU's part."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from cog.images import nvjpeg
from cog.images.decoding import decoder_note

CPU = torch.device("cpu")


@pytest.fixture
def without_torchvisions(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """As if torchvision had no decoders of images any more."""
    monkeypatch.setattr(torch.ops, "image", torch.ops.no_such_library)
    nvjpeg._operator.cache_clear()
    yield monkeypatch
    nvjpeg._operator.cache_clear()


def turned() -> bytes:
    """A JPEG of 40 × 24 that its EXIF turns."""
    exif = Image.Exif()
    exif[0x0112] = 6
    levels = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_torchcodec_follows_and_turns_no_image(without_torchvisions) -> None:
    got: list[torch.Tensor] = []

    def decode_jpegs_cuda(encoded: list[torch.Tensor], mode: int, device: torch.device):
        got.extend(encoded)
        return [torch.zeros(mode, 24, 40, device=device)]

    stand_in = SimpleNamespace(decode_jpegs_cuda=decode_jpegs_cuda)
    without_torchvisions.setattr(torch.ops, "torchcodec_ns", stand_in)
    without_torchvisions.setattr(nvjpeg.metadata, "version", lambda name: f"1 of {name}")
    decoders = SimpleNamespace()
    without_torchvisions.setitem(sys.modules, "torchcodec", SimpleNamespace(decoders=decoders))
    without_torchvisions.setitem(sys.modules, "torchcodec.decoders", decoders)
    data = turned()
    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    name, decode = nvjpeg._operator()
    (found,) = decode([encoded], 3, CPU)
    assert name == "torchcodec"
    assert found.shape == (3, 24, 40)
    assert encoded.numpy().tobytes() == data  # a worker's memory stays as it is
    sent = got[0].numpy().tobytes()
    assert len(sent) == len(data)
    assert sent != data
    before, after = (Image.open(io.BytesIO(each)) for each in (data, sent))
    assert (before.getexif().get(0x0112), dict(after.getexif())) == (6, {})
    np.testing.assert_array_equal(np.array(before), np.array(after))
    note = decoder_note("nvjpeg")
    assert note == "without nvJPEG in torchvision, torchcodec 1 of torchcodec decodes JPEGs by it"


def test_nothing_is_said_of_torchvisions() -> None:
    assert nvjpeg._operator()[0] == "torchvision"
    assert nvjpeg.nvjpeg_note() == ""


def test_without_both_nvjpeg_is_refused(without_torchvisions) -> None:
    without_torchvisions.setitem(sys.modules, "torchcodec", None)
    with pytest.raises(nvjpeg.CogError, match="torchvision or torchcodec built with nvJPEG"):
        nvjpeg.check_nvjpeg()


def test_torchcodec_itself_turns_what_it_is_not_kept_from_turning() -> None:
    pytest.importorskip("torchcodec.decoders")
    encoded = torch.frombuffer(bytearray(turned()), dtype=torch.uint8)
    decode = torch.ops.torchcodec_ns.decode_jpeg
    assert decode(encoded, 3).shape == (3, 40, 24)
    assert decode(nvjpeg._without_exif(encoded), 3).shape == (3, 24, 40)
