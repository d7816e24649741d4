"""nvJPEG: JPEGs decoded on a GPU, a whole batch at once. Its pixels differ a little from Pillow's.

In: the bytes of plain and whole JPEGs. Out: pixels on the GPU, or None where nvJPEG fails.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache

import torch
from PIL import Image

from cog.errors import CogError
from cog.images.headers import JpegFrame, is_plain, jpeg_frame
from cog.images.limits import OF_JPEG_SCANS, TooCostly, memory_of

NVJPEG = "nvjpeg"
_RGB = 3  # torchvision.io.ImageReadMode.RGB


def decodable(data: bytes) -> JpegFrame | None:
    """The frame of a JPEG that nvJPEG may decode: plain, with its end, of one scan and no bomb.

    None for all else, which another decoder reads or refuses. nvJPEG may fill what is missing from
    a truncated JPEG without a word.
    """
    try:
        frame = jpeg_frame(data)
        if frame is None or not is_plain(frame) or not frame.one_scan:
            return None
        memory_of(frame.height, frame.width, OF_JPEG_SCANS)
    except TooCostly:
        return None
    return frame if data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda") else None


def check_nvjpeg() -> None:
    """Raise a CogError where nvJPEG cannot work on this machine."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG")
    data = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
    try:
        decode_on_gpu([data], torch.device("cuda"))
    except (RuntimeError, AttributeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise CogError(
            f"the decoder nvjpeg needs CUDA and a torchvision built with nvJPEG: {reason}",
            "give --decoder torchvision",
        ) from error


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
    """What torchvision's operator gives: all that needs CUDA here. Tests put another in its place.

    The operator takes memory on the current stream and writes to it on another, which does not wait
    for work of the current one that may still read what was there before. So it takes memory on a
    stream where nothing else runs, and what it made is kept until its readers are done.

    Raises:
        RuntimeError: an image that nvJPEG refuses, or no GPU.
        AttributeError: torchvision was built without the operator.
    """
    import torchvision  # noqa: F401  (it brings the operator)

    with torch.cuda.device(device):
        number = torch.cuda.current_device()
        computing, decoding = torch.cuda.current_stream(), _stream(number)
        with torch.cuda.stream(decoding):
            found: list[torch.Tensor] = torch.ops.image.decode_jpegs_cuda(
                list(encoded), _RGB, torch.device("cuda", number)
            )
        computing.wait_stream(decoding)
        for pixels in found:
            pixels.record_stream(computing)
    return found


@cache
def _stream(number: int) -> torch.cuda.Stream:
    """The stream of a GPU on which memory for decoded images is taken."""
    return torch.cuda.Stream(number)  # type: ignore[no-untyped-call]
