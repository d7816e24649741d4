"""Which code, which libraries and which command made a result."""

from __future__ import annotations

import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def cog_version() -> str:
    """The version of this package."""
    try:
        return version("imagenet-cog")
    except PackageNotFoundError:  # a clone without an install
        return "0+unknown"


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
    found = {}
    for name in ("imagenet-cog", "torch", "torchvision", "timm", "numpy", "optuna", "zarr"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a clone without an install
            found[name] = "unknown"
    return found
