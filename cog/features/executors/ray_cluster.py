"""A Ray cluster: work on any of its nodes, done again where a node dies.

In: work. Out: what its tasks give, as they end.

- A part of the items is a Ray task. It asks for one GPU and the cores that go with one, or, in a
  cluster without GPUs, for the cores of a node; Ray starts it where these are free.
- A bundle goes into Ray's object store once, models and plug-ins' code included. The nodes need
  this package, and see `--out` and the images under the same paths (or URLs).
- Ray starts a task again, elsewhere if need be, when its process or node dies. That is sound: two
  tasks with the same items write the same bytes.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cog.cores import usable_cores
from cog.errors import CogError
from cog.features.executors.crossing import from_bytes, to_bytes
from cog.features.executors.device import Bundle, Device, Item, Result, Work
from cog.features.settings import Extraction
from cog.interruption import handlers_kept
from cog.models.model import Model
from cog.progress import Notify, Notifying

_NODES_NEED = (
    "repair that and run the same command to go on; the nodes need what this machine has: "
    "packages, paths, and the folder of a plug-in's file (or set PYTHONPATH to its copy)"
)
RETRIES = 3  # of a task whose process or node died
ITEMS_A_TASK = 4  # at most, of `spread`: what a node that dies loses, and how often a bar moves


@dataclass(frozen=True)
class Cluster:
    """A cluster to work on, and what each task asks of it."""

    device: str  # of a task: cuda | cpu
    cores: int  # of a task
    at_once: int  # tasks
    settings: Extraction
    notify: Notify

    @property
    def each_at_once(self) -> int:
        """How many tasks fit probes at once."""
        return self.at_once

    @classmethod
    def connect(cls, settings: Extraction, notify: Notify) -> Cluster:
        """The cluster of RAY_ADDRESS ("auto": this machine's), else one that is started here.

        The device is auto (GPUs where there are any), cuda or cpu; `workers` are the cores of a
        task, by default those of the smallest node, divided among its GPUs.

        Raises:
            CogError: Ray is not installed, cannot be reached, or has no such devices.
        """
        ray = _ray()
        if not ray.is_initialized():
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no reports to its makers
            os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # the first one is raised
            address = os.environ.get("RAY_ADDRESS") or "local"
            try:
                _reach(address)
                cores_here = {"num_cpus": usable_cores()} if address == "local" else {}
                with handlers_kept():
                    ray.init(address, log_to_driver=False, logging_level="error", **cores_here)
            except (OSError, ValueError, RuntimeError) as error:
                raise CogError(
                    f"no Ray cluster at {address}: {error}",
                    "start one with `ray start --head`, or unset RAY_ADDRESS to use this machine",
                ) from error
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return cls(*_requests(nodes, settings.device, settings.workers), settings, notify)

    def kind(self, model: Model) -> str:
        """The kind of device that every task has: cpu or cuda."""
        return self.device

    def spread(
        self, work: Work[Bundle, Item, Result], bundle: Bundle, items: Sequence[Item]
    ) -> Iterator[Result]:
        """Ranges of items, small enough that the whole cluster is busy until the end."""
        size = min(ITEMS_A_TASK, max(1, len(items) // (4 * self.at_once)))
        parts = [items[start : start + size] for start in range(0, len(items), size)]
        return self._results(work, [(bundle, parts)])

    def each(
        self, work: Work[Bundle, Item, Result], bundles: Iterable[tuple[Bundle, Sequence[Item]]]
    ) -> Iterator[Result]:
        """The items of each bundle, in as many parts as tasks run at once."""
        parts = [
            (bundle, [items[start :: self.at_once] for start in range(self.at_once)][: len(items)])
            for bundle, items in bundles
        ]
        return self._results(work, parts)

    def _results(
        self,
        work: Work[Bundle, Item, Result],
        bundles: Sequence[tuple[Bundle, Sequence[Sequence[Item]]]],
    ) -> Iterator[Result]:
        """The results of a task for each part of each bundle, as the tasks end.

        `work` is a function of a module. When this iterator is closed, tasks that run are stopped.

        Raises:
            CogError: a task raised it, or its process died more than RETRIES times.
        """
        ray = _ray()
        gpus = 1 if self.device == "cuda" else 0
        task = ray.remote(num_cpus=self.cores, num_gpus=gpus, max_retries=RETRIES)(_run)
        there = self.device, self.settings, self.cores, str(Path.cwd())
        waiting = []
        try:
            for bundle, parts in bundles:
                sent = ray.put(to_bytes(bundle, "the work"))  # once for all of its tasks
                waiting += [task.remote(work, sent, part, *there) for part in parts]
            while waiting:
                done, waiting = ray.wait(waiting)
                results, said = _got(done[0])
                for text in said:
                    self.notify(text)
                yield from results
        finally:
            for left in waiting:
                ray.cancel(left)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise CogError(
            "--executor ray needs Ray, which is not installed",
            "pip install 'imagenet-cog[ray]'",
        ) from error
    return ray


def _reach(address: str) -> None:
    """Raise OSError where nothing answers at host:port within seconds; Ray tries for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "//" not in host:
        socket.create_connection((host, int(port)), timeout=5).close()


def _requests(
    nodes: Sequence[dict[str, float]], device: str, cores: int | None
) -> tuple[str, int, int]:
    """Kind of device, cores of a task, and tasks at once, on nodes with these resources.

    >>> _requests([{"CPU": 16.0, "GPU": 8.0}, {"CPU": 4.0}], "auto", None)
    ('cuda', 2, 8)
    >>> _requests([{"CPU": 16.0, "GPU": 8.0}, {"CPU": 4.0}], "cpu", None)
    ('cpu', 4, 5)

    Raises:
        CogError: no node has such a device or so many cores.
    """
    gpus = [node for node in nodes if node.get("GPU", 0) >= 1]
    kind = {"auto": "cuda" if gpus else "cpu"}.get(device, device)
    usable = gpus if kind == "cuda" else [node for node in nodes if node.get("CPU", 0) >= 1]
    if kind not in ("cuda", "cpu") or not usable:
        raise CogError(
            f"no node of the Ray cluster has a device {device!r}",
            "give --device auto, cuda or cpu (Ray says which GPU), or add nodes to the cluster",
        )
    shares = [node.get("CPU", 0) / (node["GPU"] if kind == "cuda" else 1) for node in usable]
    each = cores or max(1, int(min(shares)))
    if kind == "cuda":
        tasks = sum(min(int(node["GPU"]), int(node.get("CPU", 0)) // each) for node in usable)
    else:
        tasks = sum(int(node["CPU"]) // each for node in usable)
    if not tasks:
        raise CogError(
            f"no node of the Ray cluster has {each} cores for a task", "give fewer --workers"
        )
    return kind, each, tasks


def _run(
    work: Work[Bundle, Item, Result],
    sent: bytes,
    items: Sequence[Item],
    kind: str,
    settings: Extraction,
    cores: int,
    folder: str,
) -> tuple[list[Result], list[str]]:
    """On a node: the results of one part, and the lines to pass on."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise CogError(
            f"a node of the Ray cluster does not see {folder}",
            "run in a folder that all nodes share",
        ) from error
    torch.set_num_threads(cores)
    said: list[str] = []
    device = Device(torch.device(kind), settings, cores, Notifying(said.append), moves=True)
    return list(work(from_bytes(sent), items, device)), said


def _got(task: Any) -> Any:
    """The result of a task; its error is raised as a CogError."""
    ray = _ray()
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, CogError):
            raise error.cause from error
        text = f"{type(error.cause).__name__}: {error.cause}"
        text = " ".join(text.split()).partition(" traceback:")[0]  # Ray's own errors quote one
        raise CogError(f"a task failed on the cluster: {text}", _NODES_NEED) from error
    except ray.exceptions.RayError as error:
        raise CogError(
            f"a task was lost {RETRIES + 1} times on the cluster: {error}",
            "run the same command to go on; give a smaller --batch-size if memory is short",
        ) from error
