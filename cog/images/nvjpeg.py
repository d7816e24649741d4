"""nvJPEG: JPEGs decoded on a GPU, a whole batch at once. Its pixels differ a little from Pillow's.

In: the bytes of plain and whole JPEGs. Out: pixels on the GPU, or None where nvJPEG fails.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib import metadata

import torch
from PIL import Image

from cog.errors import CogError
from cog.images.headers import JpegFrame, is_plain, jpeg_frame
from cog.images.jpeg_library import RGB
from cog.images.limits import OF_JPEG_SCANS, TooCostly, memory_of

NVJPEG = "nvjpeg"
_EXIF = re.compile(rb"\xff\xe1(?=..Exif\0\0)", re.DOTALL)  # 0xFF 0xE1 is in no image data
_OTHER = b"\xff\xef"  # a segment that no decoder reads
# Channels that are stored as they are: Adobe's segment of transform 0, or a frame that names them.
_RGB_INSIDE = re.compile(
    rb"\xff\xee\x00\x0eAdobe.{6}\x00|\xff[\xc0\xc1]\x00\x11.{5}\x03R..G..B", re.DOTALL
)


def decodable(data: bytes) -> JpegFrame | None:
    """The frame of a JPEG that nvJPEG may decode: plain, of one scan, with its end, and no bomb.

    None for all else, which another decoder reads or refuses. nvJPEG may fill what is missing from
    a truncated JPEG without a word, and take red, green and blue for luminance and chroma.
    """
    try:
        frame = jpeg_frame(data)
        if frame is None or not is_plain(frame) or not frame.one_scan:
            return None
        memory_of(frame.height, frame.width, OF_JPEG_SCANS)
    except TooCostly:
        return None
    scan = data.rfind(b"\xff\xda")
    return None if data.rfind(b"\xff\xd9") < scan or _RGB_INSIDE.search(data, 0, scan) else frame


def check_nvjpeg() -> None:
    """Raise a CogError where nvJPEG cannot work on this machine."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG")
    data = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
    try:
        decode_on_gpu([data], torch.device("cuda"))
    except (RuntimeError, AttributeError, AssertionError, ImportError) as error:
        reason = str(error).partition("\n")[0]
        raise CogError(
            "the decoder nvjpeg needs CUDA and a torchvision or torchcodec built with nvJPEG: "
            f"{reason}",
            "give --decoder torchvision",
        ) from error


def nvjpeg_note() -> str:
    """What the user should know of whose nvJPEG decodes; empty if it is torchvision's."""
    name, _ = _operator()
    if name == "torchvision":
        return ""
    return f"without nvJPEG in torchvision, {name} {metadata.version(name)} decodes JPEGs by it"


def decode_batch(
    encoded: Sequence[torch.Tensor], device: torch.device
) -> list[torch.Tensor | None]:
    """Pixels uint8 [3, h, w] on the device of each uint8 [bytes] on the CPU.

    All are decoded by one call. If that fails, each is decoded alone, and is None where that fails
    too: nvJPEG refuses some JPEGs that other decoders read.
    """
    if not encoded:
        return []
    try:
        return list(decode_on_gpu(encoded, device))
    except RuntimeError:
        return [_alone(data, device) for data in encoded]


def _alone(data: torch.Tensor, device: torch.device) -> torch.Tensor | None:
    try:
        return decode_on_gpu([data], device)[0]
    except RuntimeError:
        return None


def decode_on_gpu(encoded: Sequence[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
    """What the operator gives: all that needs CUDA here. Tests put another there.

    torchvision's operator takes memory on the current stream and writes to it on another, which
    does not wait for work of the current one that may still read what was there before. So it takes
    memory on a stream where nothing else runs, and what it made is kept until its readers are done.

    Raises:
        RuntimeError: an image that nvJPEG refuses, or no GPU.
        ImportError: neither torchvision nor torchcodec has the operator.
    """
    _, decode = _operator()
    with torch.cuda.device(device):
        number = torch.cuda.current_device()
        computing, decoding = torch.cuda.current_stream(), _stream(number)
        with torch.cuda.stream(decoding):
            found = decode(list(encoded), RGB, torch.device("cuda", number))
        computing.wait_stream(decoding)
        for pixels in found:
            pixels.record_stream(computing)
    return found


@cache
def _operator() -> tuple[str, Callable[..., list[torch.Tensor]]]:
    """torchvision and its operator; where that is gone, those of torchcodec, its successor."""
    import torchvision  # noqa: F401  (it brings the operator)

    try:
        return "torchvision", torch.ops.image.decode_jpegs_cuda
    except AttributeError:
        import torchcodec.decoders  # noqa: F401  (likewise)

    operator = torch.ops.torchcodec_ns.decode_jpegs_cuda

    def decode(encoded: list[torch.Tensor], *how: object) -> list[torch.Tensor]:
        found: list[torch.Tensor] = operator([_without_exif(data) for data in encoded], *how)
        return found

    return "torchcodec", decode


def _without_exif(encoded: torch.Tensor) -> torch.Tensor:
    """The same JPEG, of which no orientation is known: torchcodec would turn the image by it."""
    data = _EXIF.sub(_OTHER, encoded.numpy().tobytes())
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


@cache
def _stream(number: int) -> torch.cuda.Stream:
    """The stream of a GPU on which memory for decoded images is taken."""
    return torch.cuda.Stream(number)  # type: ignore[no-untyped-call]
