"""A small convolutional network, and its training on one CPU core in 15 seconds.

In: images and labels of the seen concepts. Out: a network float32[b, 3, 64, 64] → float32[b, 128]
whose features a probe can use.

- Four convolutions of stride 2, each with batch normalisation and ReLU, then average pooling.
- Trained as a classifier of the seen concepts (cross-entropy with smoothed labels, AdamW, one
  cycle of the learning rate) on mirrored and shifted copies in other light. The classifier is not
  kept.
- A seed decides everything; the global generators are not changed. Training runs on one thread:
  the weights do not depend on the number of cores, and no thread waits for another on a busy
  machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cog.models.initialisation import seeded

WIDTHS = (24, 48, 96, 128)
EPOCHS = 10
BATCH_SIZE = 64
LR = 4e-3  # the highest of the cycle
WD = 0.02
SMOOTHING = 0.1  # of the labels


def make_network(seed: int) -> nn.Sequential:
    """The untrained network, in eval mode: float32[b, 3, h, w] → float32[b, 128]."""
    layers: list[nn.Module] = []
    with seeded(seed):
        for before, width in zip((3, *WIDTHS), WIDTHS, strict=False):
            convolution = nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def train(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    normalise: Callable[[Tensor], Tensor],
    *,
    seed: int,
    epochs: int = EPOCHS,
    advance: Callable[[int], None] = lambda _: None,
) -> float:
    """Train `network` in place to tell the classes apart, and leave it in eval mode.

    `images`: uint8[m, 3, h, w]; `labels`: int64[m], 0…c − 1; `normalise`: uint8[b, 3, h, w] →
    float32, that of the preprocessing; `advance` is called with 1 after each epoch.
    Returns the mean loss of the last epoch, in nats.
    """
    generator = torch.Generator().manual_seed(seed)
    with seeded(seed):
        head = nn.Linear(WIDTHS[-1], int(labels.max()) + 1)
    weights = [*network.parameters(), *head.parameters()]
    # fused: its square roots are those of the processor, not of MKL (cog/demo/arithmetic.py)
    optimiser = torch.optim.AdamW(weights, lr=LR, weight_decay=WD, fused=True)
    starts = range(0, max(len(images) - BATCH_SIZE, 0) + 1, BATCH_SIZE)  # whole batches only
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, epochs * len(starts))
    network.to(memory_format=torch.channels_last)  # a sixth faster on CPUs
    network.train()
    with one_thread():
        for _ in range(epochs):
            losses = []
            order = torch.randperm(len(images), generator=generator)
            for start in starts:
                rows = order[start : start + BATCH_SIZE]
                x = vary(normalise(images[rows]), generator)
                loss = nn.functional.cross_entropy(
                    head(network(x)), labels[rows], label_smoothing=SMOOTHING
                )
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                cycle.step()
                losses.append(loss.item())
            advance(1)
    network.eval()
    return sum(losses) / len(losses)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes on one thread within, and on as many as before afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def vary(x: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror normalised images, shift the batch round the edge, and change light and tint.

    float32[b, 3, h, w] → the same shape.
    """
    b = len(x)
    mirrored = torch.rand(b, 1, 1, 1, generator=generator) < 0.5
    down, right = torch.randint(-6, 7, (2,), generator=generator).tolist()
    light = 1.0 + 0.3 * (2.0 * torch.rand(b, 1, 1, 1, generator=generator) - 1.0)
    tint = 0.3 * (2.0 * torch.rand(b, 3, 1, 1, generator=generator) - 1.0)
    x = torch.where(mirrored, x.flip(3), x).roll((down, right), (2, 3))
    return (x * light + tint).contiguous(memory_format=torch.channels_last)
