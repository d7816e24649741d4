"""The rates of a machine: decoding, feeding, copying, the forward pass, and all of them together.

In: a model on its device, images. Out: `Speeds`. All is measured by cog/features/rates.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch

from cog.errors import CogError
from cog.evaluation.doctor.bottleneck import Speeds
from cog.features import rates
from cog.features.feeder.batch import cut
from cog.features.feeder.processes import pools_kept
from cog.features.forward import forward_of
from cog.features.precision import require_precision
from cog.features.settings import Extraction, batch_size
from cog.images.decoding import DEFAULT_DECODER
from cog.images.drawn import again_and_again
from cog.images.image_list import ImageList
from cog.models.model import Model
from cog.progress import Notify

OF_DEVICE = {  # the precisions worth measuring; fp16 takes a CPU a second an image
    "cpu": ("fp32", "bf16"),
    "cuda": ("fp32", "tf32", "bf16", "fp16"),
    "mps": ("fp32", "fp16"),
}
FEEDS = {
    "cuda": ("--resize-on device", "--resize-on device --decoder nvjpeg")
}  # beside the default
CPU_BATCH = 16  # images: a CPU is as fast as with more, and several batches fit into the seconds
MOST_A_CORE = 2_500  # images a second: lists are long enough for that


@dataclass(frozen=True)
class Setting:
    """What is measured: a model on its device, images, cores, and for how long."""

    model: Model
    images: ImageList
    files: tuple[bytes, ...]
    """some of them, encoded, that can be read"""
    workers: int
    seconds: float
    """of each measurement"""
    folder: Path
    """where features go, and are removed"""
    notify: Notify
    refused: list[str] = field(default_factory=list)
    """what could not be measured, and why, a line each"""

    @property
    def kind(self) -> str:
        """Of the device: cpu, cuda or mps."""
        return self.model.device.type

    def extraction(self, options: str = "") -> Extraction:
        """How features are made for the measurements, with options of the command line."""
        words = options.split()
        given = dict(pairwise(words))
        return Extraction(
            device=str(self.model.device),
            precision=given.get("--precision", "fp32"),
            compile="--compile" in words,
            dtype="float32",  # which keeps any model's features, however small
            batch_size=CPU_BATCH if self.kind == "cpu" else None,
            workers=self.workers,
            decoder=given.get("--decoder", DEFAULT_DECODER),
            resize_on=given.get("--resize-on", "cpu"),
        )

    def long_list(self) -> ImageList:
        """The images again and again, enough for the seconds."""
        size = batch_size(self.kind, self.extraction())
        rows = int(self.workers * MOST_A_CORE * max(self.seconds, 1))
        return again_and_again(self.images, max(rows, 8 * size))

    def tried(self, option: str, measure: Callable[[], float]) -> Mapping[str, float]:
        """A rate under the name of its option; nothing where that is refused here."""
        try:
            return {option: measure()}
        except CogError as error:
            self.refused.append(f"{option}: {error.what}")
        except RuntimeError as error:  # of the device
            self.refused.append(f"{option}: {str(error).partition(chr(10))[0]}")
        return {}


def precisions(device: torch.device) -> list[str]:
    """The precisions that a device has and that are worth measuring."""
    found = []
    for precision in OF_DEVICE[device.type]:
        with suppress(CogError):
            require_precision(precision, device)
            found.append(precision)
    return found


@pools_kept()
def measure(setting: Setting) -> Speeds:
    """Every step alone, and all together: as by default, and with what is fastest."""
    model = setting.model
    plain = setting.extraction()
    images = setting.long_list()
    setting.notify("measuring decoding and reading")
    decode = rates.decode_rate(setting.files, model.preprocess, plain, setting.seconds / 2)
    feed = {"": feed_rate(setting, images, "")}
    for option in FEEDS.get(setting.kind, ()):
        feed |= setting.tried(option, partial(feed_rate, setting, images, option))
    copy = None
    if setting.kind == "cuda":
        rows = batch_size(setting.kind, plain)
        copy = rates.copy_rate(model.preprocess, rows, model.device, setting.seconds / 4)
    setting.notify("measuring the network")
    forward = network_rates(setting)
    setting.notify("measuring all together")
    together = together_rates(setting, images, feed, forward)
    return Speeds(setting.kind, setting.workers, decode, feed, copy, forward, together)


def feed_rate(setting: Setting, images: ImageList, options: str) -> float:
    """Images a second of the feeder alone."""
    how = setting.extraction(options)
    slices = list(cut(slice(0, len(images)), batch_size(setting.kind, how)))
    preprocesses = (setting.model.preprocess,)
    device = rates.own_device(setting.model.device, how, setting.workers)
    return rates.feed_rate(images, slices, preprocesses, how, device, setting.seconds)


def network_rates(setting: Setting) -> dict[str, float]:
    """The network alone: in each precision, and on a GPU compiled in the fastest."""
    found: dict[str, float] = {}
    for precision in precisions(setting.model.device):
        option = f"--precision {precision}"
        found |= setting.tried(option, partial(network_rate, setting, option))
    if found and setting.kind == "cuda":
        option = f"{fastest(found)} --compile"
        found |= setting.tried(option, partial(network_rate, setting, option))
    return found


def fastest(found: Mapping[str, float]) -> str:
    """The option of the highest rate."""
    return max(found, key=found.__getitem__)


def network_rate(setting: Setting, options: str) -> float:
    """Images a second of the network alone."""
    how = setting.extraction(options)
    rows = batch_size(setting.kind, how)
    forward = forward_of(setting.model, how, setting.notify)
    return 1 / rates.seconds_an_image(forward, how, setting.seconds, rows)


def together_rates(
    setting: Setting, images: ImageList, feed: Mapping[str, float], forward: Mapping[str, float]
) -> dict[str, float]:
    """From files to features on disk: as by default, in the fastest precision, and fed otherwise.

    Not compiled: that would be compiled again.
    """
    plain = {option: rate for option, rate in forward.items() if "--compile" not in option}
    if not plain:
        return {}
    options = [next(iter(plain)), fastest(plain)]
    options += [f"{options[1]} {option}" for option in feed if option]
    found: dict[str, float] = {}
    for option in dict.fromkeys(options):
        found |= setting.tried(option, partial(together_rate, setting, images, option))
    return found


def together_rate(setting: Setting, images: ImageList, options: str) -> float:
    """From files to features on disk."""
    how = setting.extraction(options)
    device = rates.own_device(setting.model.device, how, setting.workers)
    folder = setting.folder / options.replace(" ", "")
    return rates.together_rate(setting.model, images, how, device, folder, 1.5 * setting.seconds)
