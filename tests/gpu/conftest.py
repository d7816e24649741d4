"""What runs on a GPU is compared with a CPU; every comparison also runs on a CPU alone.

A test that takes `device` runs twice: on the CPU with the quick tests, where it compares like with
like and so tests the comparison, and on the first GPU, marked `gpu`: `make test-gpu` runs those.
"""

from __future__ import annotations

import pytest
import torch

DEVICES = ("cpu", pytest.param("cuda", marks=pytest.mark.gpu))


@pytest.fixture(params=DEVICES)
def device(request) -> torch.device:
    """The CPU, and the first GPU."""
    return require(request.param)


@pytest.fixture
def cuda() -> torch.device:
    """The first GPU, for tests that have no meaning on a CPU: mark them `gpu`."""
    return require("cuda")


def require(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU: torch.cuda.is_available() is False")
    return torch.device(name)
