"""A monitor in Lightning: its numbers go to all loggers of the trainer (extra `lightning`)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from cog.errors import CogError
from cog.monitor.monitor import Monitor

NAMES = ("lightning.pytorch", "pytorch_lightning")
"""what the library is imported as; both packages are the same code"""


def lightning_callback(monitor: Monitor, network: Callable[[Any], Any] | None = None) -> Any:
    """A callback for `Trainer(callbacks=[...])`, which evaluates after every `every` steps.

    All loggers get the dict, at the trainer's step; `trainer.callback_metrics` has it too, so that
    ModelCheckpoint and EarlyStopping may watch "cog/L1/knn/top1".

    Args:
        monitor: whose `every` counts optimizer steps, `trainer.global_step`.
        network: a function of the LightningModule that gives the network: `lambda module:
            module.backbone`. By default the LightningModule itself.

    Raises:
        CogError: Lightning is not installed.
    """

    class MonitorCallback(_library().Callback):  # type: ignore[misc]
        """Evaluates the network of a trainer."""

        last = 0  # steps so far: several batches may make one step, and one batch several

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            """Count from the step at which a training begins or goes on."""
            self.last = trainer.global_step

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            """Evaluate and log, if a multiple of `every` steps was reached."""
            before, self.last = self.last, trainer.global_step
            if before // monitor.every == self.last // monitor.every:
                return
            found = monitor.evaluate(network(pl_module) if network else pl_module)
            pl_module.log_dict(found, logger=False, on_step=True, on_epoch=False)
            for logger in trainer.loggers:
                logger.log_metrics(found, step=self.last)

        def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
            """How it goes to another process: the class is made there anew."""
            return lightning_callback, (monitor, network)

    return MonitorCallback()


def _library() -> Any:
    """Lightning under the name that the training script imports it by, else one that is there."""
    for name in (*(name for name in NAMES if name in sys.modules), *NAMES):
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in (name, name.partition(".")[0]):
                raise
    raise CogError("Lightning is not installed", "pip install 'imagenet-cog[lightning]'")
