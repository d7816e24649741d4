"""MLflow: a run a model, at MLFLOW_TRACKING_URI, in the experiment that its variable names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from cog.errors import CogError
from cog.results.trackers.table import PROJECT
from cog.storage import StoragePath


def check() -> None:
    """Find or make the experiment.

    Raises:
        CogError: the server or folder cannot be used.
    """
    _client_and_experiment()


def _client_and_experiment() -> tuple[Any, str]:
    """A client, and the id of the experiment."""
    import mlflow

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or PROJECT
    try:
        client = mlflow.MlflowClient()
        found = client.get_experiment_by_name(name)
        return client, str(found.experiment_id if found else client.create_experiment(name))
    except Exception as error:  # of mlflow and of what it talks by: any
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise CogError(
            f"--log mlflow cannot use {mlflow.get_tracking_uri()}: {reason}",
            "set MLFLOW_TRACKING_URI to your server, such as http://127.0.0.1:5000",
        ) from error


def open_run(folder: StoragePath, model: str, run: str, about: Mapping[str, Any]) -> MlflowRun:
    """The run of MLflow with the id `run`, else a new one."""
    client, experiment = _client_and_experiment()
    if run:
        client.set_terminated(run, status="RUNNING")
    else:
        run = client.create_run(experiment, run_name=model).info.run_id
        for name, value in about.items():
            client.log_param(run, name, value)
    return MlflowRun(client, run)


class MlflowRun:
    """The run of one model."""

    def __init__(self, client: Any, run: str) -> None:
        """`run`: its id."""
        self._client, self.run = client, run

    def log(self, values: Mapping[str, float], seed: int) -> None:
        """Write numbers; their step is the seed."""
        for name, value in values.items():
            self._client.log_metric(self.run, allowed(name), value, step=seed)

    def close(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self.run)


def allowed(name: str) -> str:
    """A name with only characters that MLflow takes in the name of a metric.

    >>> allowed("real/sketch+refit/ridge-exact/all/top1")
    'real/sketch.refit/ridge-exact/all/top1'
    """
    return re.sub(r"[^\w\-. /]", ".", name)
