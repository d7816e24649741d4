"""One evaluation of a live network: features of the sample, probes on them, within the budget."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cog.features.forward import Forward
from cog.images.preprocess import Preprocess
from cog.models.failures import require_loaded
from cog.monitor.budget import Budget
from cog.monitor.fitting import Probes
from cog.monitor.live_network import NAME, Feature, LiveFeatures, live_model
from cog.monitor.pixels import Pixels
from cog.monitor.sample import Rows, Sample
from cog.monitor.together import Processes
from cog.monitor.undisturbed import undisturbed
from cog.progress import Notify

_TIMED = 0.02  # of the budget: batches grow until one takes that long


@dataclass(frozen=True)
class Settings:
    """How a network makes features."""

    preprocess: Preprocess
    feature: Feature | None
    precision: str
    batch_size: int
    seed: int


@dataclass(frozen=True)
class Made:
    """Features that one process made."""

    rows: Rows
    """[m], of the sample"""
    features: NDArray[np.float32]
    """[m, d]"""
    n_broken: int
    """rows of them that were not finite"""


@dataclass
class Evaluation:
    """One evaluation, by one of the processes that share it."""

    samples: tuple[Sample, ...]
    pixels: tuple[Pixels, ...]
    settings: Settings
    probes: Probes
    budget: Budget
    processes: Processes
    tell: Notify
    begun: float = field(default_factory=lambda: time.perf_counter())

    def run(self, network: object) -> dict[str, float]:
        """The numbers of a network; see `Monitor.evaluate`."""
        model = live_model(network, self.settings.preprocess, self.settings.feature)
        require_loaded(model.network, NAME)
        forward = Forward(model, self.settings.precision, self.tell)
        forward.memory_format = torch.contiguous_format
        with undisturbed(model.network, model.device, self.settings.seed):
            self._take_buffers_of_first(model.network)
            if self.budget.is_open:
                self._choose_size(forward)
            size = self.budget.size
            figures, done = self._figures(forward)
            seconds = self._clock()
        self._after(done, seconds)
        return figures | {
            "cog/per_class": float(size.per_class),
            "cog/datasets": float(done),
            "cog/seconds": seconds,
        }

    def _take_buffers_of_first(self, network: nn.Module) -> None:
        """Give this process the first one's buffers, for the length of the evaluation.

        Under DDP batch statistics differ between processes from one training step to the next, and
        those of the first are the ones that are saved.
        """
        if self.processes.count == 1:
            return
        own = list(network.buffers())
        first = self.processes.by_first(lambda: [buffer.cpu() for buffer in own])
        for buffer, numbers in zip(own, first, strict=True):
            buffer.copy_(numbers)

    def _clock(self) -> float:
        """Seconds since the begin: the same in every process, which waits for the first one."""
        return self.processes.by_first(lambda: time.perf_counter() - self.begun)

    def _figures(self, forward: Forward) -> tuple[dict[str, float], int]:
        """The numbers of the datasets that there is time for, and how many these are."""
        figures: dict[str, float] = {}
        size, timed = self.budget.size, self.budget.seconds is not None
        elapsed = self._clock() if timed else 0.0
        for number in range(size.datasets):
            if not self.budget.has_time_for(number, elapsed):
                return figures, number
            sample, pixels = self.samples[number], self.pixels[number]
            make = partial(self._features, forward, sample, pixels, size.per_class)
            every = self.processes.by_each(make)
            figures |= self.processes.by_first(partial(self._fit, sample, every, forward))
            if timed:
                before, elapsed = elapsed, self._clock()
                self.budget.learn(number, elapsed - before)
        return figures, size.datasets

    def _fit(self, sample: Sample, every: list[Made], forward: Forward) -> dict[str, float]:
        """The numbers of a dataset, by the features of all processes."""
        if broken := sum(each.n_broken for each in every):
            self.tell(f"{sample.name}: the features of {broken:,} images have NaN or infinity")
            return self.probes.undefined(sample)
        rows = np.concatenate([each.rows for each in every])
        features = np.concatenate([each.features for each in every if len(each.rows)])
        order = np.argsort(rows)
        device = str(forward.model.device)
        return self.probes.fit(sample, rows[order], features[order], device, self.tell)

    def _features(self, forward: Forward, sample: Sample, pixels: Pixels, per_class: int) -> Made:
        """The features of this process's images of a sample.

        Every process makes as many forward passes, of as many images: those of a network that is
        divided among processes wait for one another.
        """
        network = forward.model.network
        assert isinstance(network, LiveFeatures)
        network.n_broken = 0
        own = np.flatnonzero(sample.fewest[pixels.rows] <= per_class)
        count = self.processes.largest_share(sample.fewest <= per_class)
        padded = np.concatenate([own, np.repeat(own[-1:], count - len(own))])
        made = []
        for start in range(0, count, self.settings.batch_size):
            at = torch.from_numpy(padded[start : start + self.settings.batch_size])
            images = pixels.images[at] if len(at) else self._black(1)
            made.append(forward(images))
        features = np.concatenate(made)[: len(own)]
        return Made(pixels.rows[own], features, int(network.n_broken) if len(own) else 0)

    def _black(self, count: int) -> Tensor:
        shape = (count, *self.settings.preprocess.shape)
        return torch.zeros(shape, dtype=torch.uint8, device="cpu")

    def _choose_size(self, forward: Forward) -> None:
        """Time a few batches, and cut the sample to what the budget has time for."""
        assert self.budget.seconds is not None
        images = self.pixels[0].images[: self.settings.batch_size]
        images = images if len(images) else self._black(1)
        dim = self.processes.by_each(lambda: forward(images[:1]).shape[1])[0]  # the first is slow
        rows, took = 1, 0.0
        while rows <= len(images) and took < _TIMED * self.budget.seconds:
            took = max(self.processes.by_each(partial(_seconds, forward, images[:rows])))
            each, rows = took / rows, 2 * rows
        table = self.processes.by_first(lambda: self._estimates(each, dim, forward))
        self.budget.start(partial(_looked_up, table))
        size, largest = self.budget.size, self.budget.sizes[0]
        if size != largest:
            self.tell(f"to keep within {self.budget.seconds:g} s: {self._in_words()}")

    def _estimates(self, each: float, dim: int, forward: Forward) -> dict[tuple[int, int], float]:
        """Seconds of every dataset at every number of images a class; `each`: of an image."""
        device = str(forward.model.device)
        found = {}
        for number, sample in enumerate(self.samples):
            for count in self.budget.counts:
                rows = sample.rows(count)
                share = self.processes.largest_share(sample.fewest <= count)
                probes = self.probes.seconds(sample, rows, dim, device)
                found[number, count] = each * share + probes
        return found

    def _after(self, done: int, seconds: float) -> None:
        """Say what an evaluation left out, and cut the next ones if it was too slow."""
        size = self.budget.size
        if left := [each.name for each in self.samples[done : size.datasets]]:
            self.tell(f"no time was left for {', '.join(left)}")
        self.budget.end(seconds, whole=not left)
        if self.budget.size != size:
            self.tell(f"an evaluation took {seconds:.1f} s; from the next on: {self._in_words()}")
        elif self.budget.seconds and seconds > self.budget.seconds:
            least = f"the smallest sample takes {seconds:.1f} s: {self._in_words()}"
            self.tell(f"max_seconds={self.budget.seconds:g} cannot be kept: {least}")

    def _in_words(self) -> str:
        """The size in words."""
        size = self.budget.size
        names = ", ".join(each.name for each in self.samples[: size.datasets])
        return f"{size.per_class} images a class of {names}"


def _seconds(forward: Forward, images: Tensor) -> float:
    """Seconds of a forward pass."""
    begun = time.perf_counter()
    forward(images)
    return time.perf_counter() - begun


def _looked_up(table: Mapping[tuple[int, int], float], number: int, per_class: int) -> float:
    """Seconds of a dataset, by its number, at so many images a class; it can be pickled."""
    return table[number, per_class]
