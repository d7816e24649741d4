"""The trackers that `--log` takes, one entry each, and the file beside this one that writes to it.

A tracker's file has two functions:
- `check()` raises where a run could not be logged, before work begins;
- `open_run(folder, model, run, about)` goes on with the tracker's run that has the id `run`, or
  starts one where `run` is empty; gives an `OpenRun`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from cog.errors import CogError, unknown_name

PROJECT = "cog"
"""the project or experiment of a tracker whose own variables name no other"""


class OpenRun(Protocol):
    """A run of a tracker that takes numbers."""

    run: str
    """by which the tracker finds the run again"""

    def log(self, values: Mapping[str, float], seed: int) -> None:
        """Write numbers by name; when it returns, a kill of this process does not lose them."""
        ...

    def close(self) -> None:
        """End the run."""
        ...


@dataclass(frozen=True)
class Tracker:
    """One tracker."""

    module: str
    """what must be installed; the extra of cog has the tracker's name"""
    about: str
    """where the runs go, for the help"""


TRACKERS: dict[str, Tracker] = {
    "wandb": Tracker("wandb", "project WANDB_PROJECT or cog"),
    "mlflow": Tracker("mlflow", "MLFLOW_TRACKING_URI, experiment MLFLOW_EXPERIMENT_NAME or cog"),
    "tensorboard": Tracker("tensorboard", "OUT/MODEL/logged/tensorboard"),
}


def trackers_help() -> str:
    """What the option `--log` says."""
    named = "; ".join(f"{name} ({tracker.about})" for name, tracker in TRACKERS.items())
    return f"Write each row of the results once to {named}."


def require_known(name: str) -> None:
    """Refuse a tracker that is not one of `TRACKERS`.

    Raises:
        CogError: the nearest names.
    """
    if name not in TRACKERS:
        raise unknown_name("tracker", name, TRACKERS)


def tracker_file(name: str) -> Any:
    """The module of a tracker, ready to be written to.

    Raises:
        CogError: no such tracker, it is not installed, or it cannot be reached.
    """
    require_known(name)
    if find_spec(TRACKERS[name].module) is None:
        raise CogError(
            f"--log {name} needs {TRACKERS[name].module}, which is not installed",
            f"type: pip install 'imagenet-cog[{name}]'",
        )
    module = import_module(f"cog.results.trackers.{name}")
    module.check()
    return module
