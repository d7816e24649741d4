"""`cog doctor`: a machine looked at, measured, and compared with its own CPU, in about a minute.

In: a device, perhaps images and a model. Out: a `Diagnosis`.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cog.cores import usable_cores
from cog.errors import CogError
from cog.evaluation.doctor import agreement, pixels, speed
from cog.evaluation.doctor.bottleneck import Speeds, bottleneck
from cog.evaluation.doctor.checks import Check, not_tried
from cog.evaluation.doctor.disk import Disk, disk_rates
from cog.evaluation.doctor.machine import Machine, look, peak_memory
from cog.features.forward import embed, pick_device
from cog.images.decoding import DEFAULT_DECODER, decode
from cog.images.drawn import drawn_images
from cog.images.find import find_images
from cog.images.image_list import ImageList, choose, read_bytes
from cog.images.limits import Unreadable
from cog.images.nvjpeg import NVJPEG
from cog.images.preprocess import Preprocess
from cog.levels.files import read_levels
from cog.models.initialisation import seeded
from cog.models.load import load_model
from cog.models.model import Model
from cog.object_storage import Url
from cog.progress import Notify
from cog.recipe import WNID
from cog.storage import nearest_folder, storage_path

SECONDS = 60.0  # for all of it, roughly
DRAWN, FILES, COMPARED = 64, 32, 16  # images that are drawn, are kept encoded, are compared
CLASSES, MOST_IMAGES = 8, 4096  # of --images
FORMAT = 1  # of the JSON document


@dataclass(frozen=True)
class Diagnosis:
    """What `cog doctor` found."""

    machine: Machine
    disk: Disk
    model: str
    images: str
    speeds: Speeds
    bottleneck: str
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    """what could not be measured, and why"""
    peak_memory: int
    """bytes of this process"""
    gpu_peak_memory: int
    """bytes of the GPU that its network and features took; 0 without one"""
    seconds: float

    @property
    def agrees(self) -> bool:
        """Whether no check failed."""
        return not any(check.passed is False for check in self.checks)

    def as_json(self) -> str:
        """All of it as one JSON object."""
        content: dict[str, Any] = {"doctor": FORMAT, "agrees": self.agrees, **asdict(self)}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def diagnose(
    device: str = "auto",
    images: Path | None = None,
    model: str | None = None,
    out: str = "runs",
    notify: Notify = lambda _: None,
    seconds: float | None = None,
) -> Diagnosis:
    """Look at this machine, measure it, and compare its device with its CPU.

    Args:
        device: auto, cpu, cuda, cuda:1 or mps.
        images: a root as `cog evaluate` takes it; by default photographs are drawn.
        model: a name that `cog.load_model` takes; by default an untrained ResNet-50.
        out: where results would go: the disk there is measured.
        notify: takes a line for every step.
        seconds: how long it may take, roughly, by default a minute; each measurement gets a part.
            On a GPU the network is also compiled, which takes as long as it takes.

    Raises:
        CogError: no such device, model or images.
        OSError: nothing can be written at `out`.
    """
    begun = time.perf_counter()
    seconds = SECONDS if seconds is None else seconds
    where = pick_device(device)
    own = untrained_resnet50() if model is None else load_model(model, notify=notify)
    path = storage_path(out)
    notify("measuring the disk")
    disk = disk_rates(path, seconds / 30)
    beside = None if isinstance(path, Url) else nearest_folder(path)
    with tempfile.TemporaryDirectory(prefix=".cog-doctor-", dir=beside) as scratch:
        folder = Path(scratch)
        listed = drawn_images(folder / "images", DRAWN) if images is None else some_images(images)
        setting = speed.Setting(
            own, listed, readable(listed), usable_cores(), seconds / 20, folder, notify
        )
        return _diagnose(where, disk, images, setting, begun)


def _diagnose(
    where: torch.device, disk: Disk, images: Path | None, setting: speed.Setting, begun: float
) -> Diagnosis:
    """The diagnosis, with the model still on the CPU."""
    machine = look(where)
    checks = list(checks_of(where, setting))
    speeds = speed.measure(setting)
    on_gpu = where.type == "cuda"
    return Diagnosis(
        machine=machine,
        disk=disk,
        model=setting.model.name,
        images="drawn, 500 × 375" if images is None else str(images),
        speeds=speeds,
        bottleneck=bottleneck(speeds),
        checks=tuple(checks),
        notes=tuple(setting.refused),
        peak_memory=peak_memory(),
        gpu_peak_memory=torch.cuda.max_memory_allocated(where) if on_gpu else 0,
        seconds=time.perf_counter() - begun,
    )


def checks_of(where: torch.device, setting: speed.Setting) -> Iterator[Check]:
    """Every comparison; afterwards the model is on the device."""
    model, notify = setting.model, setting.notify
    files = setting.files[:COMPARED]
    notify("comparing pixels")
    yield pixels.check_decoded(files, model.preprocess)
    for decoder in (DEFAULT_DECODER, NVJPEG):
        yield pixels.check_resized(files, model.preprocess, where, decoder)
    notify("comparing features")
    yield from _features(where, model, files)
    notify("comparing probes")
    for solver in ("lbfgs", "sgd"):  # Apple's GPUs have no float64: probes are fitted on the CPU
        yield agreement.check_probe(solver, torch.device("cpu") if where.type == "mps" else where)
    yield agreement.check_graph(where)


def _features(where: torch.device, model: Model, files: Sequence[bytes]) -> Iterator[Check]:
    """Features of the device in each precision against those of the CPU in fp32."""
    images = pixels.loaded(files, model.preprocess)
    expected = embed(model, images)
    yield agreement.check_features(
        "features, one by one", "fp32", expected, lambda: one_by_one(model, images)
    )
    model.to(where)
    for precision in speed.precisions(where):
        name = f"features, {precision} on {where.type}"
        if (where.type, precision) == ("cpu", "fp32"):
            yield not_tried(name, "those of the CPU", "no GPU")
        else:
            yield agreement.check_features(
                name, precision, expected, partial(embed, model, images, precision)
            )


def one_by_one(model: Model, images: torch.Tensor) -> NDArray[np.float32]:
    """Features in fp32, a batch an image."""
    return np.concatenate([embed(model, images[row : row + 1]) for row in range(len(images))])


def untrained_resnet50() -> Model:
    """A ResNet-50 from a fixed seed: it costs what a trained one does."""
    from torchvision.models import resnet50

    with seeded():
        network = resnet50(weights=None)
    network.fc = torch.nn.Identity()
    return Model(network.eval(), preprocess=Preprocess(), name="resnet50-untrained")


def some_images(root: Path) -> ImageList:
    """Images of a few classes of a root, at most 4,096, as an image list.

    Raises:
        CogError: there are none.
    """
    names = sorted(path.name.partition(".")[0] for path in root.iterdir()) if root.is_dir() else []
    own = list(dict.fromkeys(name for name in names if WNID.fullmatch(name)))
    some = own[:: max(1, len(own) // CLASSES)][:CLASSES] or known_concepts()
    listing = find_images(root, some)
    filled = [wnid for wnid, paths in listing.paths.items() if paths][:CLASSES]
    each = MOST_IMAGES // max(1, len(filled))
    rows = {wnid: np.arange(min(each, len(listing.paths[wnid]))) for wnid in filled}
    return choose(listing, rows, "train")


def readable(images: ImageList) -> tuple[bytes, ...]:
    """The first images that can be read, encoded: at most 32.

    Raises:
        CogError: there are none among the first hundred or so.
    """
    found: list[bytes] = []
    for row in range(min(len(images), 4 * FILES)):
        data = read_bytes(images, row)
        with suppress(Unreadable):
            decode(data)
            found.append(data)
        if len(found) == FILES:
            break
    if not found:
        raise CogError(
            f"expected images under {images.root}, found none that can be read",
            "give --images another folder, or leave it out: images are then drawn",
        )
    return tuple(found)


def known_concepts() -> list[str]:
    """The concepts of ImageNet-1K and of the official levels."""
    levels = read_levels()
    return [*levels.seen, *levels.table["wnid"]]
