"""The step of SGD that is recorded once as a CUDA graph does what the plain step does."""

from __future__ import annotations

import pytest
import torch

from cog.evaluation.doctor.agreement import graph_steps, largest_difference
from cog.probes.sgd import fit_sgd
from tests.support.probe_data import QUICK, clusters, features


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


@pytest.mark.gpu
@pytest.mark.parametrize("recordable", [True, False])
def test_steps_replayed_on_a_gpu_give_the_layers_of_the_cpu(cuda, monkeypatch, recordable):
    """One batch of an epoch is full, and replayed; where a step cannot be recorded it just runs."""
    replays = []

    class CountedGraph(torch.cuda.CUDAGraph):
        def replay(self):
            replays.append(1)
            super().replay()

    def refuse(graph):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", CountedGraph)
    if not recordable:
        monkeypatch.setattr(torch.cuda, "graph", refuse)
    lrs, wds = [0.1, 1.0, 7.0], [1e-4, 1e-12, 1e-3]
    on_cpu, on_gpu = (
        fit_sgd(features(clusters(), torch.float32, device), lrs, wds, 6, QUICK, seed=22).cpu()
        for device in ("cpu", "cuda")
    )
    torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-3, atol=1e-4)
    assert len(replays) == (QUICK.epochs if recordable else 0)
