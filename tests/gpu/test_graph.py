"""The step of SGD that is recorded once as a CUDA graph does what the plain step does."""

from __future__ import annotations

import pytest
import torch

from cog.evaluation.doctor.agreement import graph_steps, largest_difference


@pytest.mark.gpu
@pytest.mark.parametrize("products", ["float32", "tf32", "bfloat16", "float16"])
def test_the_recorded_step_is_the_plain_step(cuda, products):
    plain, recorded = (graph_steps(cuda, products, record) for record in (False, True))
    assert recorded.recorded
    assert largest_difference(plain.layers, recorded.layers) <= 1e-6


def test_steps_that_are_not_recorded_are_plain(device):
    """Twice the same steps: the comparison itself, on any device."""
    one, other = (graph_steps(device, "float32", False) for _ in range(2))
    assert not one.recorded
    assert largest_difference(one.layers, other.layers) <= 1e-6
    assert torch.isfinite(one.layers).all()
