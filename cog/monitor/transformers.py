"""A monitor in transformers' Trainer: its numbers go to whatever the trainer reports to."""

from __future__ import annotations

from typing import Any

from cog.errors import CogError
from cog.monitor.monitor import Monitor


def watch(trainer: Any, monitor: Monitor) -> Any:
    """Add a `TrainerCallback` that evaluates after every `every` steps; gives the callback.

    The dict goes through `trainer.log`: to `trainer.state.log_history` and to every tracker of
    `report_to`.

    Args:
        trainer: a `transformers.Trainer`, before `train()`.
        monitor: whose `every` counts optimizer steps. Models of transformers return several
            tensors, so it wants `feature=`.

    Raises:
        CogError: transformers is not installed.
    """

    class MonitorCallback(_base()):  # type: ignore[misc]
        """Evaluates the network of the trainer."""

        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> Any:
            """Evaluate and log, if the step is due."""
            if found := monitor.step(given["model"], state.global_step):
                due = control.should_log  # which a log resets: the loss is still to come
                trainer.log(found)
                control.should_log = due
            return control

    callback = MonitorCallback()
    trainer.add_callback(callback)
    return callback


def _base() -> Any:
    """The class of callbacks of transformers."""
    try:
        from transformers import TrainerCallback
    except ModuleNotFoundError as error:
        hint = "pip install 'imagenet-cog[transformers]'"
        raise CogError("transformers is not installed", hint) from error
    return TrainerCallback
