"""Weights & Biases: a run a model, in the project that WANDB_PROJECT names, else `cog`.

The library's own variables hold: WANDB_MODE=offline writes into WANDB_DIR, for `wandb sync` later.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from cog.errors import CogError
from cog.results.trackers.table import PROJECT
from cog.storage import StoragePath


def check() -> None:
    """Log in, which may ask for a key at a terminal.

    Raises:
        CogError: there is no key, and nobody to ask; or wandb is switched off, and would drop what
            it gets.
    """
    import wandb

    mode = os.environ.get("WANDB_MODE", "online")
    if mode == "disabled":
        raise CogError(
            "--log wandb would write nothing: WANDB_MODE is disabled",
            "leave out --log wandb, or set WANDB_MODE=offline to sync later",
        )
    if mode in ("offline", "dryrun"):
        return
    try:
        logged_in = wandb.login()
    except Exception as error:  # of wandb: no terminal to ask at, a key that is none
        raise _no_login(f"{type(error).__name__}: {error}") from error
    if not logged_in:
        raise _no_login("there is no key")


def _no_login(why: str) -> CogError:
    return CogError(
        f"--log wandb cannot log in: {' '.join(why.split())[:200]}",
        "type: wandb login; or set WANDB_API_KEY, or WANDB_MODE=offline to sync later",
    )


def open_run(folder: StoragePath, model: str, run: str, about: Mapping[str, Any]) -> WandbRun:
    """A run of wandb with the id `run`, else a new one; several may be open."""
    return WandbRun(model, run, about)


class WandbRun:
    """The run of one model."""

    def __init__(self, model: str, run: str, about: Mapping[str, Any]) -> None:
        """`run`: the id of an earlier one, or empty."""
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=model,
            id=run or None,
            resume="allow",
            reinit="create_new",
            config=dict(about),
        )
        self._run.define_metric("*", step_metric="seed")
        self.run = str(self._run.id)

    def log(self, values: Mapping[str, float], seed: int) -> None:
        """Hand numbers to wandb's own process, with the seed beside them."""
        self._run.log({**values, "seed": seed})

    def close(self) -> None:
        """Wait until all is written or sent."""
        self._run.finish()
