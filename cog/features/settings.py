"""The settings of features: how they are made and kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from cog.errors import CogError, unknown_name
from cog.features.feeder.feeding import FEEDS, RESIZED_ON, Feeding
from cog.features.precision import PRECISIONS
from cog.images.decoding import DEFAULT_DECODER, check_decoder
from cog.images.nvjpeg import NVJPEG
from cog.images.truncated import READ, TRUNCATED
from cog.images.views import MOST_VIEWS
from cog.models.tokens import read_grid

EXECUTORS = ("here", "ray")
_NAMES = {
    "precision": PRECISIONS,
    "dtype": ("float16", "float32"),
    "truncated": TRUNCATED,
    "resize_on": RESIZED_ON,
    "feed": FEEDS,
    "executor": EXECUTORS,
}


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
    resize_on: str = "cpu"  # cpu | device: where images are resized and cropped
    executor: str = "here"  # here | ray: where the work runs
    tokens: str = ""  # all | grid:N: patch tokens of an image; empty: the model's one vector
    views: int = 0  # augmented views of each training image; 0: none, but its centre crop alone

    def __post_init__(self) -> None:
        """Refuse unknown names and numbers below 1."""
        for name, known in _NAMES.items():
            value = getattr(self, name)
            if value not in known:
                raise unknown_name(name.replace("_", "-"), value, known)
        check_decoder(self.decoder)
        if self.decoder == NVJPEG and self.resize_on == "cpu":
            raise CogError(
                "the decoder nvjpeg leaves images on the GPU, where they are resized",
                "add --resize-on device, or give --decoder torchvision",
            )
        for name in ("batch_size", "workers", "chunk_rows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise CogError(
                    f"expected {name} from 1 up, found {value}",
                    f"give --{name.replace('_', '-')} a number from 1 up",
                )

        self._check_views()

    def _check_views(self) -> None:
        """Refuse views and tokens that cannot be made."""
        if self.tokens:
            read_grid(self.tokens)
        if self.tokens and self.views:
            raise CogError("features have views or tokens, not both", "leave out one of the two")
        if not 0 <= self.views <= MOST_VIEWS:
            raise CogError(
                f"expected views from 0 to {MOST_VIEWS}, found {self.views}", "give --views 8"
            )
        if self.views and self.resize_on != "cpu":
            raise CogError(
                "augmented views are cut and resized on the CPU alone",
                "leave out --resize-on device, or --views",
            )
        if self.views and self.batch_size is not None and self.batch_size <= self.views:
            raise CogError(
                f"expected a batch that holds an image's {1 + self.views} crops, "
                f"found --batch-size {self.batch_size}",
                f"give --batch-size {1 + self.views} or more, or fewer --views",
            )

    def recorded(self) -> dict[str, Any]:
        """What run.json says; fields that version 0.1 did not have only where they say something.

        >>> "views" in Extraction().recorded(), Extraction(views=8).recorded()["views"]
        (False, 8)
        """
        return {name: value for name, value in asdict(self).items()
                if value or name not in ("tokens", "views")}  # fmt: skip

    def views_of(self, split: str) -> int:
        """Augmented views of each image of a split: test images have their centre crop alone."""
        return self.views if split == "train" else 0

    @property
    def on_cluster(self) -> bool:
        """Whether a Ray cluster makes the features, and not the devices here."""
        return self.executor == "ray"


def batch_size(kind: str, settings: Extraction, split: str = "") -> int:
    """Images in a forward pass on a kind of device, cpu, cuda or mps; of a split with its views."""
    crops = settings.batch_size or (64 if kind == "cpu" else 256)
    return crops // (1 + settings.views_of(split))


def feeding_for(settings: Extraction, device: torch.device, workers: int, split: str) -> Feeding:
    """How `workers` of this machine feed a device with the images of a split."""
    how = settings.feed, settings.decoder, settings.truncated, settings.resize_on
    return Feeding(workers, *how, device, settings.views_of(split))
