"""`Monitor`: a network in training, evaluated in seconds on a fixed sample of the datasets.

- The sample is drawn once: some training and test images of every class, by a seed (sample.py).
  The first evaluation decodes it, and it stays in memory as uint8 (pixels.py).
- An evaluation makes features of it and fits probes on them (evaluation.py, fitting.py), and leaves
  the training script as it was (undisturbed.py).
- In a distributed job the processes share the images, and the first one fits (together.py).
- It keeps within a number of seconds, if asked (budget.py).
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from cog.datasets.dataset import Dataset, DatasetOptions, Source
from cog.datasets.find import find_datasets
from cog.datasets.labelled.names import short_name
from cog.errors import CogError, unknown_name
from cog.evaluation.options import pick, read_options
from cog.evaluation.plan import refuse_unvalidated
from cog.features.precision import PRECISIONS
from cog.images.preprocess import Preprocess
from cog.levels.files import read_levels
from cog.levels.table import Levels
from cog.models.model import Model
from cog.monitor.budget import LEAST, Budget, sizes
from cog.monitor.evaluation import Evaluation, Settings
from cog.monitor.fitting import Probes
from cog.monitor.live_network import Feature
from cog.monitor.pixels import MB, Pixels, bytes_of, decode, refuse_too_much
from cog.monitor.sample import draw_sample
from cog.monitor.together import processes_here
from cog.probes.metrics import METRICS
from cog.probes.settings import Probing
from cog.probes.table import PROBES, TAKES
from cog.progress import Notify
from cog.recipe import IN1K, OPTIONS, Recipe

LEVELS = ("L1", "L3", "L5")
SOURCES = ("images", "in1k", "datasets", "split", "image_key", "allow_missing")
"""the arguments that `cog.evaluate` has too, for where images are"""


def on_stderr(text: str) -> None:
    """Print a line for the user, as a monitor does by default."""
    print(f"cog.Monitor: {text}", file=sys.stderr)


class Monitor:
    """Evaluates a network while it trains, on a few images of every class, kept in memory.

    The images are found and drawn at once, and decoded by the first evaluation (or by `prepare`).
    Numbers are those of the sample: they rank networks, and lie below those of `cog.evaluate`,
    whose probes learn from all images. docs/monitor.md says how far they agree.

    Args:
        images, in1k, datasets, split, image_key, allow_missing: where images are, as in
            `cog.evaluate`. What is given is evaluated.
        test_per_class, min_train, max_train, norm, recipe: the split and the numbers of the
            protocol, as there.
        levels: such as "L1,L3,L5", which is the default where there are `images`.
        levels_folder: a folder that `cog build-levels` wrote. By default the official levels.
        per_class: training images, and as many test images, of each class; fewer where a class
            has fewer. Training images of the sample train in the dataset's own split.
        classes: of each dataset so many, drawn by the seed. By default all.
        probes: names of probes, as in `cog.evaluate`.
        solver: of logreg: "lbfgs", or "sgd", which takes minutes.
        metrics: of each probe: "top1", "top5" or "mean_class".
        preprocess: how images are prepared for the network.
        feature: a function of (network, images float[b, 3, h, w]) that gives the features [b, d].
            By default what the network returns.
        every: steps between the evaluations of `step`.
        max_seconds: that an evaluation may take. A sample that needs more is cut, in a fixed order:
            images a class are halved down to 2, then datasets are left out, the last one first.
            A notice and the numbers say so. Decoding, which happens once, does not count.
        precision: of the network: "fp32", "tf32", "bf16" or "fp16", whatever
            autocast is outside.
        batch_size: images in a forward pass.
        workers: threads that decode. By default one per core.
        share: whether the processes of a distributed job share the work; then all of them must call
            the monitor at the same steps. If not, the process that calls it does all.
        seed: of the sample, of the probes, and of a network that draws numbers in eval mode.
        notify: takes a line for the user. By default they are printed on stderr.

    Raises:
        CogError: images or options that cannot be used, with what to do about it.
    """

    def __init__(
        self,
        *,
        images: str | Path | None = None,
        in1k: str | Path | None = None,
        datasets: Mapping[str, Source] | Sequence[str] = (),
        levels: str | Sequence[str] | None = None,
        levels_folder: str | Path | None = None,
        split: str | Path | None = None,
        image_key: str | None = None,
        allow_missing: bool = False,
        test_per_class: int | None = None,
        min_train: int | None = None,
        max_train: int | None = None,
        norm: str | None = None,
        recipe: Recipe | None = None,
        per_class: int = 10,
        classes: int | None = None,
        probes: str | Sequence[str] = ("knn", "ridge"),
        solver: str = "lbfgs",
        metrics: str | Sequence[str] = ("top1",),
        preprocess: Preprocess = Preprocess(),  # noqa: B008 # frozen
        feature: Feature | None = None,
        every: int = 1000,
        max_seconds: float | None = None,
        precision: str = "fp32",
        batch_size: int = 64,
        workers: int | None = None,
        share: bool = True,
        seed: int = 22,
        notify: Notify = on_stderr,
    ) -> None:
        """Find the images and draw the sample."""
        given = dict(locals())
        _check(given)
        self.every, self.share, self.notify = every, share, notify
        self._workers = workers
        self._probes = _probes(given)
        self._settings = Settings(preprocess, feature, precision, batch_size, seed)
        found = _find(given, self._probes.recipe)
        for dataset in found:
            refuse_unvalidated(dataset, self._probes.probing.results())
        self._budget = Budget(max_seconds, sizes(per_class, len(found)))
        counts = self._budget.counts
        self._samples = tuple(draw_sample(each, counts, classes, seed) for each in found)
        self._processes = processes_here(share)
        self._pixels: tuple[Pixels, ...] = ()
        for dataset in found:
            for note in dataset.split.notes:
                self._tell(f"{dataset.name}: {note}")

    @property
    def memory_bytes(self) -> int:
        """The memory that the images of the sample take in this process."""
        return bytes_of(self._samples, self._settings.preprocess, self._processes.count)

    def prepare(self) -> None:
        """Decode the sample; what the first evaluation does otherwise.

        In a distributed job each process decodes its share of the images.

        Raises:
            CogError: it takes more than half of the memory, or an image cannot be read from its
                disk.
        """
        processes = processes_here(self.share)
        if self._pixels and processes == self._processes:
            return
        self._processes, begun = processes, time.perf_counter()
        machines = processes.by_each(platform.node)
        sharers = machines.count(platform.node())
        unreadable = sum(processes.by_each(partial(self._decode, sharers)))
        if processes.first:
            seconds = time.perf_counter() - begun
            names = ", ".join(sample.name for sample in self._samples)
            count = sum(map(len, self._samples))
            each = f" in each of {processes.count} processes" if processes.count > 1 else ""
            left_out = f", {unreadable:,} that cannot be read are left out" if unreadable else ""
            self.notify(
                f"{names}: {count:,} images decoded in {seconds:.0f} s, they take "
                f"{self.memory_bytes / MB:,.1f} MB of memory{each}{left_out}"
            )

    def _decode(self, sharers: int) -> int:
        """Decode the images of this process; gives how many of them cannot be read.

        `sharers`: how many processes with as much share the memory of this machine.
        """
        refuse_too_much(sharers * self.memory_bytes)
        self._pixels = tuple(
            decode(
                each,
                self._processes.share(len(each)),
                self._settings.preprocess,
                self._workers,
            )
            for each in self._samples
        )
        return sum(each.unreadable for each in self._pixels)

    def step(self, network: nn.Module | Model, step: int) -> dict[str, float]:
        """The numbers of the network if `step` is a multiple of `every`, else an empty dict."""
        return {} if step % self.every else self.evaluate(network)

    def evaluate(self, network: nn.Module | Model) -> dict[str, float]:
        """The numbers of the network as it is now, for a logger.

        The network may be wrapped by DDP or torch.compile, of any float type, on any device. Its
        mode, buffers and gradients, random states and autocast stay as they were.

        Returns:
            cog/L1/knn/top1 and the like in percent, NaN where features are not finite; and
            cog/per_class, cog/datasets and cog/seconds: how large the sample was and what the
            evaluation took. In a distributed job every process has the same dict.

        Raises:
            CogError: the network fails, or does not give one vector an image.
        """
        self.prepare()
        evaluation = Evaluation(
            self._samples, self._pixels, self._settings, self._probes, self._budget,
            self._processes, self._tell,
        )  # fmt: skip
        return evaluation.run(network)

    def _tell(self, text: str) -> None:
        """A line for the user, from the first process alone."""
        if self._processes.first:
            self.notify(text)


def _check(given: Mapping[str, Any]) -> None:
    """Refuse numbers that make no sense, by CogErrors."""
    if given["per_class"] < LEAST:
        raise CogError(
            f"expected per_class from {LEAST} up, found {given['per_class']}: one image of a class "
            "trains, another one chooses settings",
            "give per_class=10",
        )
    for name in ("every", "batch_size", "workers"):
        if given[name] is not None and given[name] < 1:
            raise CogError(f"expected {name} from 1 up, found {given[name]}", f"give {name}=64")
    if given["max_seconds"] is not None and not given["max_seconds"] > 0:
        raise CogError(f"expected max_seconds above 0, found {given['max_seconds']}", "give 30")
    if given["precision"] not in PRECISIONS:
        raise unknown_name("precision", given["precision"], PRECISIONS)


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    """Names of a list, which may come as text."""
    names = given.split(",") if isinstance(given, str) else given
    return tuple(dict.fromkeys(name.strip() for name in names))


def _probes(given: Mapping[str, Any]) -> Probes:
    """The probes that the arguments of a monitor ask for; raises CogError for unknown names."""
    metrics = _names(given["metrics"])
    for name in metrics:
        if name not in METRICS:
            raise unknown_name("metric", name, METRICS)
    options = {name: given[name] for name in ("probes", "solver")} | {"seeds": (given["seed"],)}
    probing = pick(Probing, options)
    for name in probing.probes:
        if (takes := PROBES[name].takes) != "pooled":
            pooled = [other for other, probe in PROBES.items() if probe.takes == "pooled"]
            raise CogError(
                f"a monitor has one vector an image, and {name} takes {TAKES[takes]}",
                f"give probes of {', '.join(pooled)}",
            )
    recipe = replace(given["recipe"] or Recipe(), **read_options(OPTIONS, given))
    if recipe.protocol != Recipe.protocol:
        raise CogError(
            f"a monitor has no protocols, found {recipe.protocol} in its recipe",
            f"give probes=, norm= and numbers of the recipe as `cog protocols show "
            f"{recipe.protocol}` has them",
        )
    return Probes(probing, recipe, metrics)


def _find(given: Mapping[str, Any], recipe: Recipe) -> tuple[Dataset, ...]:
    """The datasets that the arguments of a monitor ask for."""
    benchmark = read_levels(given["levels_folder"])
    options = pick(DatasetOptions, {name: given[name] for name in SOURCES})
    only = _levels(given["levels"], options.images is not None, benchmark)
    if only:
        in1k = (IN1K,) if options.in1k else ()
        only = (*only, *in1k, *(each.name for each in options.datasets))
    return find_datasets(replace(options, only=only), benchmark, recipe)


def _levels(given: str | Sequence[str] | None, images: bool, benchmark: Levels) -> tuple[str, ...]:
    """The levels that are asked for; by default those of `LEVELS` that there are."""
    known = [f"L{number}" for number in benchmark.numbers]
    if given is None:
        return tuple(name for name in LEVELS if name in known) if images else ()
    names = _names(given)
    for name in names:
        if short_name(name) not in map(str.lower, known):
            raise unknown_name("level", name, known)
    return names
