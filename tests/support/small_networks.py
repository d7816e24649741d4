"""Small networks, prepared images of random numbers, and whether two networks are equal."""

from __future__ import annotations

import torch
from torch import nn

from cog.images.preprocess import Preprocess

SMALL = Preprocess(8, 8)


class Net(nn.Module):
    """A small network with all that matters here: batch statistics, dropout, a bare parameter."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(3, 5, 3)
            self.norm = nn.BatchNorm2d(5)
            self.drop = nn.Dropout(0.5)
            self.scale = nn.Parameter(torch.randn(5))
            self.norm.running_mean.normal_()

    def forward(self, x):
        return self.drop(self.norm(self.conv(x))).mean((2, 3)) * self.scale


class Returns(nn.Module):
    """A network that returns what `function` makes of its input."""

    def __init__(self, function) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.function = function

    def forward(self, x):
        return self.function(x)


def prepared_images(count: int = 4, size: int = 8) -> torch.Tensor:
    """float32[count, 3, size, size], the same every time."""
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def alike(first: nn.Module, second: nn.Module) -> bool:
    """Whether two networks have the same tensors, to the bit."""
    one, two = first.state_dict(), second.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def features_of_resnet(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Features by the formula: the four stages, then the mean over positions."""
    with torch.no_grad():
        x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
        for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
            x = stage(x)
        return x.mean((2, 3))
