"""A monitor on a GPU: the numbers of the CPU, and the GPU's random states as they were."""

from __future__ import annotations

import pytest
import torch

import cog
from tests.support.colour_images import COLOURS, draw_own
from tests.support.small_networks import Net


@pytest.fixture
def monitor(tmp_path):
    own = draw_own(tmp_path, {name: name for name in COLOURS}, 4, 3)
    return cog.Monitor(datasets={"own": own}, per_class=3, preprocess=cog.Preprocess(6, 6))


def test_a_network_on_a_device_has_the_numbers_of_the_cpu(monitor, device):
    usual, there = monitor.evaluate(Net()), monitor.evaluate(Net().to(device))
    for key in ("cog/own/knn/top1", "cog/own/ridge/top1"):
        assert abs(there[key] - usual[key]) < 3  # one of 36 images


@pytest.mark.gpu
def test_random_states_autocast_and_switches_of_a_gpu_stay(monitor, cuda):
    class Random(Net):
        def forward(self, x):
            return super().forward(x) + torch.rand(1, device=x.device)

    network = Random().to(cuda)
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        state = torch.cuda.get_rng_state(cuda)
        with torch.autocast("cuda", torch.bfloat16):
            first, second = (monitor.evaluate(network)["cog/own/knn/top1"] for _ in range(2))
            assert torch.is_autocast_enabled("cuda")
            network(torch.ones(2, 3, 8, 8, device=cuda)).sum().backward()
        assert first == second
        assert torch.backends.cuda.matmul.allow_tf32
        assert network.conv.weight.grad is not None
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False
    monitor.evaluate(network)
    torch.cuda.set_rng_state(state, cuda)
    monitor.evaluate(network)
    assert torch.equal(torch.cuda.get_rng_state(cuda), state)
