"""Which code and which libraries made a result."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def cog_version() -> str:
    """The version of this package."""
    try:
        return version("imagenet-cog")
    except PackageNotFoundError:  # a clone without an install
        return "0+unknown"


def versions() -> dict[str, str]:
    """The versions of the libraries that a number may depend on."""
    found = {}
    for name in ("imagenet-cog", "torch", "torchvision", "timm", "numpy", "optuna", "zarr"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a clone without an install
            found[name] = "unknown"
    return found
