"""A batch that does not fit on the GPU is halved until it does, and gives the same features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from cog.features.forward import Forward, OutOfMemory
from cog.images.preprocess import Preprocess
from cog.models.model import Model

ROWS = 64
BYTES_AN_IMAGE = 2**24  # that the network below takes


class Wasteful(torch.nn.Module):
    """Takes 16 MB an image on the way to its mean colours; on a CPU it fails over 10 images."""

    def __init__(self, most: int | None = None) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.0))
        self.most = most

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.most is not None and len(x) > self.most:
            raise torch.cuda.OutOfMemoryError("as a GPU would say")
        held = torch.ones(len(x), BYTES_AN_IMAGE // 4 if self.most is None else 1, device=x.device)
        return self.scale * x.mean((2, 3)) * held[:, :1]


@pytest.fixture
def little_memory(device) -> Iterator[None]:
    """The GPU's memory is taken but for some ten images, and given back in the end."""
    if device.type == "cpu":
        yield
        return
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    taken = torch.empty(free - 10 * BYTES_AN_IMAGE - 2**27, dtype=torch.uint8, device=device)
    yield
    del taken
    torch.cuda.empty_cache()


def test_a_batch_that_does_not_fit_is_halved(device, little_memory):
    told: list[str] = []
    network = Wasteful(most=10 if device.type == "cpu" else None).to(device)
    model = Model(network, preprocess=Preprocess(8, 8), name="wasteful")
    forward = Forward(model, notify=told.append)
    images = (
        torch.arange(ROWS, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 8, 8).contiguous()
    )
    features = forward(images)
    assert forward.fits is not None
    assert forward.fits < ROWS
    assert len(told) == 1
    expected = model.preprocess.normalise(images).mean((2, 3)).numpy()
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
def test_a_single_image_that_does_not_fit_is_an_error_with_a_hint(cuda):
    class Endless(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(1.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.empty(torch.cuda.mem_get_info()[1] + 2**30, dtype=torch.uint8, device=x.device)
            return x.mean((2, 3))

    model = Model(Endless().to(cuda), preprocess=Preprocess(8, 8), name="endless")
    with pytest.raises(OutOfMemory, match="endless runs out of memory on a batch of 1") as caught:
        Forward(model)(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    assert "--device" in caught.value.hint
