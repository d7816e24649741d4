"""How images are fed: by how many workers of which kind, and how they are decoded."""

from __future__ import annotations

from dataclasses import dataclass

from cog.images.decoding import DEFAULT_DECODER
from cog.images.truncated import READ

FEEDS = ("auto", "threads", "processes")
RESIZED_ON = ("cpu", "device")


@dataclass(frozen=True)
class Feeding:
    """How images are read, decoded and resized."""

    workers: int  # threads or processes
    kind: str = "auto"  # auto | threads | processes
    decoder: str = DEFAULT_DECODER
    truncated: str = READ
    resize_on: str = "cpu"  # cpu | device: there the pixels come `packed`
