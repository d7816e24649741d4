"""TensorBoard: event files beside the record of what was logged; `tensorboard --logdir OUT`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cog.errors import CogError
from cog.storage import StoragePath


def check() -> None:
    """Nothing has to be reached."""


def open_run(folder: StoragePath, model: str, run: str, about: Mapping[str, Any]) -> TensorBoardRun:
    """A writer into the folder `tensorboard` of `folder`; event files that are there stay.

    Raises:
        CogError: `folder` is a URL.
    """
    if not isinstance(folder, Path):
        raise CogError(
            "--log tensorboard writes files, and --out is a URL",
            "give an --out on disk, or --log wandb or mlflow",
        )
    return TensorBoardRun(folder / "tensorboard", about if not run else {})


class TensorBoardRun:
    """The event file of one model."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        """`about`: what the tab TEXT says; empty where an earlier run has said it."""
        from torch.utils.tensorboard import SummaryWriter

        self.run = str(folder.name)
        self._writer = SummaryWriter(str(folder))
        if about:
            lines = [f"| {name} | {value} |" for name, value in about.items()]
            self._writer.add_text("model", "\n".join(["| | |", "|---|---|", *lines]))

    def log(self, values: Mapping[str, float], seed: int) -> None:
        """Write numbers; their step is the seed."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, seed)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()
