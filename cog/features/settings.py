"""The settings of features: how they are made and kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cog.errors import CogError, unknown_name
from cog.features.feeder.feeding import FEEDS, Feeding
from cog.features.precision import PRECISIONS
from cog.images.decoding import DEFAULT_DECODER, check_decoder
from cog.images.truncated import READ, TRUNCATED

EXECUTORS = ("here", "ray")


@dataclass(frozen=True)
class Extraction:
    """How features are made and kept; the fingerprint of a store has what changes its numbers."""

    device: str = "auto"  # auto | cpu | cuda[:n] | mps, or several with commas
    precision: str = "fp32"  # fp32 | tf32 | bf16 | fp16: of the network's arithmetic
    compile: bool = False  # the network, by torch.compile
    dtype: str = "float16"  # float16 | float32: of the features on disk
    batch_size: int | None = None  # images; by default 64 on a CPU, 256 on a GPU
    workers: int | None = None  # that decode; by default one a core
    feed: str = "auto"  # auto | threads | processes: what the workers are
    chunk_rows: int | None = None  # by default about a minute of work
    decoder: str = DEFAULT_DECODER  # torchvision | pillow | nvjpeg
    truncated: str = READ  # read | refuse: images that are cut off or broken
    executor: str = "here"  # here | ray: where the work runs

    def __post_init__(self) -> None:
        """Refuse unknown names and numbers below 1."""
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)
        if self.dtype not in ("float16", "float32"):
            raise unknown_name("dtype", self.dtype, ("float16", "float32"))
        check_decoder(self.decoder)
        if self.truncated not in TRUNCATED:
            raise unknown_name("truncated", self.truncated, TRUNCATED)
        if self.feed not in FEEDS:
            raise unknown_name("feed", self.feed, FEEDS)
        if self.executor not in EXECUTORS:
            raise unknown_name("executor", self.executor, EXECUTORS)
        for name in ("batch_size", "workers", "chunk_rows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise CogError(
                    f"expected {name} from 1 up, found {value}",
                    f"give --{name.replace('_', '-')} a number from 1 up",
                )

    @property
    def on_cluster(self) -> bool:
        """Whether a Ray cluster makes the features, and not the devices here."""
        return self.executor == "ray"


def batch_size(kind: str, settings: Extraction) -> int:
    """Images in a forward pass on a kind of device: cpu, cuda or mps."""
    return settings.batch_size or (64 if kind == "cpu" else 256)


def feeding_for(settings: Extraction, device: torch.device, workers: int) -> Feeding:
    """How `workers` of this machine feed a device."""
    return Feeding(workers, settings.feed, settings.decoder, settings.truncated, device=device)
