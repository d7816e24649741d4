"""Which code, which libraries and which command made a result."""

from __future__ import annotations

import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

VERSION = "0.2.0"  # nowhere else: setup.cfg reads it from this line


def cog_version() -> str:
    """The version of the code that runs, whether it is installed or a clone."""
    return VERSION


def command() -> str:
    """What was typed, without the place of the program on this machine."""
    program, *words = sys.argv or [""]
    started_here = Path(program)
    is_ours = started_here.parent.name == "cog" and started_here.name == "__main__.py"
    if started_here.stem == "ipykernel_launcher":  # its words are of one session on one machine
        words = []
    return shlex.join(["cog" if is_ours else started_here.name, *words])


def versions() -> dict[str, str]:
    """The versions of the libraries that a number may depend on."""
    found = {"imagenet-cog": cog_version()}
    for name in ("torch", "torchvision", "timm", "numpy", "optuna", "zarr"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # on the path, but installed by no package manager
            found[name] = "unknown"
    return found
