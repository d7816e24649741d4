"""A Ray cluster: pieces of work on any of its nodes, done again where a node dies.

In: a function, what it works on, its pieces. Out: what it gives for each piece, as it comes.

- A piece is a Ray task. It asks for one GPU and the cores that go with one, or, in a cluster
  without GPUs, for the cores of a node; Ray starts it where these are free.
- What a piece works on goes into Ray's object store once, models and plug-ins' code included. The
  nodes need this package, and see `--out` and the images under the same paths (or URLs).
- A task whose process or node dies is started again, elsewhere if need be. That is sound as every
  piece does only what is missing, and two that do the same write the same bytes.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from cog.errors import CogError
from cog.models.sources.from_file import imported_files

Bundle = TypeVar("Bundle")
Piece = TypeVar("Piece")
Result = TypeVar("Result")
Notify = Callable[[str], None]

_NODES_NEED = (
    "the same command goes on once that is repaired; the nodes need what this machine has: "
    "packages, paths, and modules beside a plug-in's file (set PYTHONPATH to their folder)"
)
RETRIES = 3  # of a task whose process or node died


@dataclass(frozen=True)
class Cluster:
    """A cluster to work on, and what each task asks of it."""

    kind: str  # of the tasks' device: cuda | cpu
    cores: int  # of a task
    tasks: int  # that run at once
    notify: Notify

    @classmethod
    def connect(cls, device: str, cores: int | None, notify: Notify) -> Cluster:
        """The cluster of RAY_ADDRESS ("auto": this machine's), else one that is started here.

        `device`: auto (GPUs where there are any), cuda or cpu. `cores` a task; by default those of
        the smallest node, divided among its GPUs.

        Raises:
            CogError: Ray is not installed, cannot be reached, or has no such devices.
        """
        ray = _ray()
        if not ray.is_initialized():
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
            address = os.environ.get("RAY_ADDRESS") or "local"
            try:
                _reach(address)
                ray.init(address, log_to_driver=False, logging_level="error")
            except (OSError, ValueError, RuntimeError) as error:
                raise CogError(
                    f"no Ray cluster at {address}: {error}",
                    "start one with `ray start --head`, or unset RAY_ADDRESS to use this machine",
                ) from error
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return cls(*_requests(nodes, device, cores), notify)

    def __len__(self) -> int:
        """How many tasks run at once."""
        return self.tasks

    def each(
        self,
        function: Callable[[Bundle, Piece, torch.device, Notify], Result],
        work: Sequence[tuple[Bundle, Sequence[Piece]]],
    ) -> Iterator[Result]:
        """What `function(bundle, piece, device, note)` gives for all pieces, as they are done.

        `function` is a module's, and is called on a node. When this iterator is closed, tasks that
        have not ended are stopped.

        Raises:
            CogError: what a task raised; or it died more than RETRIES times.
        """
        ray = _ray()
        gpus = 1 if self.kind == "cuda" else 0
        task = ray.remote(num_cpus=self.cores, num_gpus=gpus, max_retries=RETRIES)(_run)
        there = self.kind, self.cores, str(Path.cwd())
        waiting = []
        try:
            for bundle, pieces in work:
                sent = _sent(bundle)
                waiting += [task.remote(function, sent, piece, *there) for piece in pieces]
            while waiting:
                done, waiting = ray.wait(waiting)
                result, notes = _got(done[0])
                for text in notes:
                    self.notify(text)
                yield result
        finally:
            for left in waiting:
                ray.cancel(left)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise CogError(
            "--executor ray wants Ray, which is not installed",
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
    """The kind of device, the cores a task, and the tasks at once, for nodes with such resources.

    >>> _requests([{"CPU": 16.0, "GPU": 8.0}, {"CPU": 4.0}], "auto", None)
    ('cuda', 2, 8)
    >>> _requests([{"CPU": 16.0, "GPU": 8.0}, {"CPU": 4.0}], "cpu", None)
    ('cpu', 4, 5)

    Raises:
        CogError: no node has what is asked for.
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


def _sent(bundle: object) -> Any:
    """A bundle in the object store; plug-ins travel as code, for no node can import them."""
    ray = _ray()
    for module in imported_files():
        ray.cloudpickle.register_pickle_by_value(module)
    try:
        return ray.put(bundle)
    except Exception as error:  # whatever a stranger's network raises
        raise CogError(
            f"a model cannot be sent to the cluster: {type(error).__name__}: {error}",
            "use --worker r/w, with a process for each device",
        ) from error


def _run(
    function: Callable[[Bundle, Piece, torch.device, Notify], Result],
    bundle: Bundle,
    piece: Piece,
    kind: str,
    cores: int,
    folder: str,
) -> tuple[Result, list[str]]:
    """On a node: one piece, and what there is to tell."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise CogError(
            f"a node of the Ray cluster does not see {folder}",
            "run in a folder that all nodes share",
        ) from error
    torch.set_num_threads(cores)
    notes: list[str] = []
    return function(bundle, piece, torch.device(kind), notes.append), notes


def _got(task: Any) -> Any:
    """What a task gave, or its error as ours."""
    ray = _ray()
    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, CogError):
            raise error.cause from error
        told = f"{type(error.cause).__name__}: {error.cause}"
        told = " ".join(told.split()).partition(" traceback:")[0]  # Ray's own errors quote one
        raise CogError(f"a task failed on the cluster: {told}", _NODES_NEED) from error
    except ray.exceptions.RayError as error:
        raise CogError(
            f"a task was lost {RETRIES + 1} times on the cluster: {error}",
            "the same command goes on; give a smaller --batch-size if memory is short",
        ) from error
