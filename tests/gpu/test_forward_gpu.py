"""The pipeline of batches on a GPU: the features of a CPU, no wait, copies under the computing."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from cog.features.chunks import make_chunks
from cog.features.executors.device import Device
from cog.features.feeder.slots import mapped, memory_file
from cog.features.forward import Forward, embed
from cog.features.pinned import pinned
from cog.features.precision import require_precision
from cog.images.preprocess import Preprocess
from cog.models.model import Model
from cog.progress import Silent
from tests.features import test_forward as on_a_cpu
from tests.support.labelled_images import draw

SMALL = Preprocess(resize=32, crop=32)
gpu = pytest.mark.gpu


def network(seed: int = 0, width: int = 64) -> nn.Module:
    """Two convolutions and a linear layer: all that TF32 and channels_last are about."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, width, 3), nn.ReLU(), nn.Conv2d(width, width, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 128),
    ).eval()  # fmt: skip


def model_on(device: torch.device, **kind) -> Model:
    return Model(network(**kind), preprocess=SMALL, name="net").to(device)


def batches(count: int, rows: int, side: int = 32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (count, rows, 3, side, side)
    return list(torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8))


def assert_close(found, expected, share=1e-5):
    length = np.linalg.norm(expected, axis=1)
    assert (np.linalg.norm(found - expected, axis=1) <= share * length).all()


def test_batches_in_a_row_give_the_features_of_a_cpu(device):
    """From ordinary memory, which is used again as soon as two more batches were started."""
    forward, slots, late, found = Forward(model_on(device)), [], [], []
    for pixels in batches(6, 9):
        slot = slots.pop(0).copy_(pixels) if len(slots) == 2 else pixels.clone()
        slots.append(slot)
        late.append(forward.start(slot))
        if len(late) == 2:
            found.append(late.pop(0).result())
    found.append(late.pop().result())
    model = model_on(torch.device("cpu"))
    for features, pixels in zip(found, batches(6, 9), strict=True):
        assert_close(features, embed(model, pixels))


@gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_nothing_in_a_start_waits_for_the_device(cuda):
    """torch raises an error where a call would."""
    model, (pixels,) = model_on(cuda), batches(1, 64)
    forward = Forward(model)
    forward(pixels)
    for given in (pixels, pixels.pin_memory(), pixels.to(cuda)):
        torch.cuda.set_sync_debug_mode("error")
        try:
            pending = forward.start(given)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert_close(pending.result(), embed(model, pixels))


class Products(nn.Module):
    """A product as long as `rounds` says, and a feature."""

    def __init__(self) -> None:
        super().__init__()
        self.square = nn.Parameter(torch.eye(4096))
        self.rounds = 1

    def forward(self, x):
        square = self.square
        for _ in range(self.rounds):
            square = square @ self.square
        return x.mean((2, 3)) + square[0, :3]


def seconds(work) -> float:
    """The least of four, to the end of what the device was given."""
    taken = []
    for _ in range(4):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return min(taken)


@gpu
def test_the_next_batch_is_copied_while_this_one_is_computed(cuda):
    preprocess = Preprocess(resize=224, crop=224)
    model = Model(Products(), preprocess=preprocess).to(cuda)
    forward = Forward(model)
    pixels = [part.pin_memory() for part in batches(2, 512, 224)]

    copy = seconds(lambda: [part.to(cuda, non_blocking=True) for part in pixels * 5])
    there = [part.to(cuda) for part in pixels]
    while (compute := seconds(lambda: [forward(part) for part in there * 5])) < 1.5 * copy:
        model.network.rounds *= 2

    def pipeline() -> None:
        late = forward.start(pixels[0])
        for part in (pixels * 5)[1:]:
            started = forward.start(part)
            late.result()
            late = started
        late.result()

    assert seconds(pipeline) < compute + 0.6 * copy


def test_chunks_of_several_models_are_those_of_a_cpu(device, tmp_path, monkeypatch):
    """One of them has a chunk already."""
    monkeypatch.setattr("cog.features.chunks.feed", on_a_cpu.fed(None))
    stores = {}
    for place in {torch.device("cpu"), device}:
        models = [on_a_cpu.net(seed).to(place) for seed in (0, 1)]
        gaps = on_a_cpu.gaps_of(tmp_path / str(place), models, {"net1": (0, 2)})
        there = Device(place, gaps.settings, 1, Silent(), moves=True)
        assert len(list(make_chunks(gaps, range(3), there))) == 5
        stores[place] = [gap.store for gap in gaps.of]
    first, expected = stores[device][0].read()[0], stores[torch.device("cpu")][0].read()[0]
    assert_close(first, expected)
    assert stores[device][1].done_chunks() == [0, 2]


@gpu
def test_a_mapped_file_is_registered_and_copied_from_as_it_is(cuda):
    file = memory_file(2**20)
    memory = torch.from_numpy(mapped(file, 2**20))
    with pinned(memory, cuda) as registered:
        assert registered
        assert memory.is_pinned()
        assert memory[4096:].is_pinned()
        assert memory.pin_memory().data_ptr() == memory.data_ptr()
    assert not memory.is_pinned()


@gpu
def test_memory_that_is_registered_twice_is_left_alone_and_no_error_stays(cuda):
    memory = torch.zeros(2**16, dtype=torch.uint8)
    with pinned(memory, cuda) as first, pinned(memory, cuda) as second:
        assert (first, second) == (True, False)
        assert torch.ones(3, device=cuda).sum().item() == 3


LATE = """
import os
import torch
from cog.errors import CogError
from cog.features.forward import Forward
from cog.images.preprocess import Preprocess
from cog.models.model import Model

class Beyond(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
    def forward(self, x):
        return x.flatten(1)[:, torch.full((4,), 10**6, device=x.device)]

model = Model(Beyond(), preprocess=Preprocess(8, 8), name="beyond").to("cuda")
forward = Forward(model)
pending = forward.start(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
try:
    pending.result()
except CogError as error:
    print(error.what, flush=True)
os._exit(0)  # as torch ends a process that frees memory of a lost device
"""


PLUGIN = """
import cog, torch

class Beyond(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))

    def forward(self, x):
        return x.flatten(1)[:, torch.full((4,), 10**8 if len(x) > 40 else 0, device=x.device)]

def load():
    return cog.Model(Beyond(), preprocess=cog.Preprocess(32, 32), name="beyond")
"""


@gpu
def test_the_command_line_ends_in_two_lines_when_the_device_is_lost(cuda, tmp_path):
    """torch alone would abort the process, with a page of frames."""
    draw(tmp_path / "images", {"one": 60, "two": 60})
    (tmp_path / "beyond.py").write_text(PLUGIN)
    words = [sys.executable, "-m", "cog", "evaluate", "--model", "beyond.py:load", "--probe", "ncm"]
    done = subprocess.run(
        [*words, "--dataset", "drawn=images", "--test-per-class", "10"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith("error: beyond fails on a batch of 64")
    assert hint.startswith(" hint: ")


@gpu
def test_an_error_of_the_device_comes_with_the_result(cuda):
    """In a process of its own, as the device is lost for the one that has it."""
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "beyond fails on a batch of 2" in done.stdout


@gpu
def test_the_layout_of_images_is_the_same_each_time_and_changes_no_feature(cuda):
    model, (pixels,) = model_on(cuda), batches(1, 16)
    formats = {Forward(model).memory_format for _ in range(3)}
    assert len(formats) == 1
    assert_close(Forward(model)(pixels), embed(model, pixels))
    assert model.network[0].weight.is_contiguous()


@gpu
def test_tf32_is_rounded_and_fp32_is_not(cuda):
    require_precision("tf32", cuda)
    model, (pixels,) = model_on(cuda, width=256), batches(1, 16)
    exact = embed(model_on(torch.device("cpu"), width=256), pixels)
    assert_close(embed(model, pixels), exact)
    torch.set_float32_matmul_precision("high")  # as a training script may have it
    try:
        assert_close(embed(model, pixels), exact)
    finally:
        torch.set_float32_matmul_precision("highest")
    found = Forward(model, "tf32")(pixels)
    assert_close(found, exact, 1e-2)
    with pytest.raises(AssertionError):
        assert_close(found, exact)


@gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_compiled_network_gives_its_features(cuda, precision):
    model, (pixels,) = model_on(cuda), batches(1, 16)
    forward = Forward(model, precision, compile_rows=16)
    found = np.concatenate([forward(pixels[:12]), forward(pixels[12:])])
    assert_close(found, embed(model, pixels, precision), 1e-5 if precision == "fp32" else 3e-2)
