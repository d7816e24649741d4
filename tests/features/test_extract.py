"""Features when memory is short: batches get smaller, rows stay in order, numbers stay equal."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cog.errors import CogError
from cog.features.failures import OutOfMemory
from cog.features.forward import Forward, embed, pick_device, pick_devices
from cog.images.preprocess import Preprocess
from cog.models.model import Model

SMALL = Preprocess(resize=16, crop=16)


class Hungry(torch.nn.Module):
    """Fails above a size of batch, as a device does that runs out of memory."""

    def __init__(
        self, most, error=RuntimeError, text="CUDA out of memory. Tried to allocate 2 GiB"
    ):
        super().__init__()
        self.most, self.error, self.text = most, error, text
        self.convolution = torch.nn.Conv2d(3, 8, 3)
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        if len(x) > self.most:
            raise self.error(self.text)
        return self.convolution(x).mean((2, 3))


def hungry(most, **of_error) -> Model:
    torch.manual_seed(0)
    return Model(Hungry(most, **of_error), preprocess=SMALL, name="hungry")


def images(rows=23):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (rows, 3, 16, 16), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("most", [1, 3, 11, 22])
def test_halved_batches_give_the_same_rows_in_order(most):
    said: list[str] = []
    forward = Forward(hungry(most), notify=said.append)
    expected = embed(hungry(1000), images())
    for _ in range(2):
        np.testing.assert_allclose(forward(images()), expected, rtol=1e-5, atol=1e-7)
    assert len(said) == 1
    assert "hungry runs out of memory on a batch of 23" in said[0]
    assert forward.fits is not None
    assert 1 <= forward.fits <= most
    assert max(forward.model.network.seen[-3:]) <= most  # it does not try the large one again


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MemoryError, ""),
        (torch.cuda.OutOfMemoryError, "whatever"),
        (RuntimeError, "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
        (RuntimeError, "MPS backend out of memory (MPS allocated: 9 GB)"),
        (RuntimeError, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    ],
)
def test_what_a_lack_of_memory_looks_like(error, text):
    forward = Forward(hungry(4, error=error, text=text))
    assert forward(images(8)).shape == (8, 8)
    assert forward.fits == 4


def test_a_batch_of_one_that_fails_is_an_error_with_a_hint():
    with pytest.raises(OutOfMemory, match="hungry runs out of memory on a batch of 1") as caught:
        Forward(hungry(0))(images(8))
    assert "--device" in caught.value.hint


def test_other_errors_are_not_tried_again():
    model = hungry(4, text="size of tensor a (3) must match the size of tensor b (4)")
    with pytest.raises(CogError, match="hungry fails on a batch of 8: RuntimeError: size"):
        Forward(model)(images(8))
    assert model.network.seen == [8]


def test_enough_memory_leaves_the_batch_whole():
    model = hungry(1000)
    assert np.array_equal(Forward(model)(images()), embed(model, images()))
    assert model.network.seen == [23, 23]


def test_devices_by_name(monkeypatch):
    cpu = torch.device("cpu")
    assert pick_devices("cpu,cpu") == (cpu, cpu)
    assert pick_device("cpu,cpu") == cpu
    with pytest.raises(CogError, match="unknown device 'tpu'"):
        pick_devices("cpu,tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert pick_devices("auto") == tuple(torch.device(f"cuda:{n}") for n in range(3))
    assert pick_devices("cuda:0,cuda:2") == (torch.device("cuda:0"), torch.device("cuda:2"))
    with pytest.raises(CogError, match="no device cuda:3"):
        pick_devices("cuda:1,cuda:3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_devices("auto") == (torch.device("cuda"),)
