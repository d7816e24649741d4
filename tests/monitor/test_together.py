"""Two processes of a distributed job share an evaluation, and hear of each other's errors."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.colour_images import COLOURS, draw_own
from tests.support.forked import start
from tests.support.runs import HANGS_SECONDS


def run(rank: int, folder: Path) -> None:
    """What each of two processes does: train with DDP, monitor, and fail; it notes what it saw."""
    import torch
    import torch.distributed as dist
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    import cog
    from tests.support.small_networks import Net

    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2,
        timeout=timedelta(seconds=120),
    )  # fmt: skip
    told: list[str] = []

    def monitor(**options):
        return cog.Monitor(
            datasets={"own": folder / "own"}, per_class=3, preprocess=cog.Preprocess(6, 6),
            batch_size=16, notify=told.append, **options,
        )  # fmt: skip

    def feature(network, x):
        if rank == 1:
            raise ValueError("this process alone")
        return network(x)

    seen: dict[str, object] = {}
    shared, network = monitor(every=2), DistributedDataParallel(Net())
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    found = []
    for step in range(3):
        network(torch.full((2, 3, 8, 8), float(rank + step))).sum().backward()
        optimiser.step()
        optimiser.zero_grad()
        found.append(shared.step(network, step))
    seen["shared"] = found
    seen["memory"] = shared.memory_bytes
    seen["buffers"] = network.module.norm.running_mean.tolist()
    seen["alone"] = monitor(share=False).evaluate(network)
    seen["budget"] = monitor(max_seconds=1e-9).evaluate(network)
    network.module.scale.data[0] = torch.nan if rank else 1.0
    seen["broken"] = shared.evaluate(network)
    try:
        monitor(feature=feature).evaluate(Net())
    except (ValueError, cog.CogError) as error:
        seen["error"] = f"{type(error).__name__}: {error}"
    sharded = Net()
    sharded.norm.eval()
    usual = monitor().evaluate(sharded)
    fully_shard(sharded)
    seen["sharded"] = [usual, monitor().evaluate(sharded)]
    seen["told"] = told
    (folder / f"{rank}.json").write_text(json.dumps(seen))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("job")
    draw_own(folder, {name: name for name in COLOURS}, 3, 3)
    processes = [start(run, rank, folder) for rank in range(2)]
    for process in processes:
        process.join(HANGS_SECONDS)
    assert [process.exitcode for process in processes] == [0, 0]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def numbers(found: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in found.items() if key != "cog/seconds"}


def test_every_process_has_the_numbers_of_one_that_does_all(seen):
    first, second = seen
    assert first["shared"] == second["shared"]
    assert [bool(found) for found in first["shared"]] == [True, False, True]
    assert numbers(first["shared"][2]) == numbers(first["alone"])
    assert numbers(second["alone"]) != numbers(first["alone"])  # of its own batch statistics
    assert first["buffers"] != second["buffers"]  # which it has again
    assert first["memory"] == second["memory"] == 36 * 3 * 6 * 6  # of 72 images


def test_they_agree_on_a_smaller_sample(seen):
    first, second = seen
    assert first["budget"] == second["budget"]
    assert first["budget"]["cog/per_class"] == 3  # less than two of two is none


def test_what_goes_wrong_in_one_is_known_to_both(seen):
    first, second = seen
    assert str(first["broken"]["cog/own/knn/top1"]) == "nan"
    assert str(second["broken"]["cog/own/knn/top1"]) == "nan"
    assert first["error"].startswith("CogError: process 1: ")
    assert "this process alone" in first["error"]
    assert "this process alone" in second["error"]


def test_a_network_that_is_divided_among_them_has_its_numbers(seen):
    for each in seen:
        usual, sharded = each["sharded"]
        assert numbers(usual) == numbers(sharded)


def test_one_process_speaks_for_both(seen):
    first, second = seen
    assert any("in each of 2 processes" in line for line in first["told"])
    assert not any("in each of 2 processes" in line for line in second["told"])
