"""Features of a device, in every precision, are those of the CPU in fp32."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torchvision.models import resnet18

from cog.evaluation.doctor.agreement import check_features
from cog.evaluation.doctor.speed import OF_DEVICE, precisions
from cog.features.forward import Forward, embed
from cog.images.preprocess import Preprocess
from cog.models.initialisation import seeded
from cog.models.model import Model
from tests.gpu.conftest import require
from tests.gpu.networks import small_transformer

PREPROCESS = Preprocess(resize=64, crop=64)


def networks() -> dict[str, torch.nn.Module]:
    with seeded():
        convolutional = resnet18(weights=None)
        convolutional.fc = torch.nn.Identity()
        return {"resnet18": convolutional.eval(), "transformer": small_transformer(64).eval()}


@pytest.fixture(scope="module")
def expected() -> dict[str, tuple[Model, torch.Tensor, np.ndarray]]:
    """Each network on the CPU, images, and their features there in fp32."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(8, 3, 5, 5, generator=generator)
    images = torch.nn.functional.interpolate(coarse, (64, 64), mode="bilinear").mul(255).byte()
    found = {}
    for name, network in networks().items():
        model = Model(network, preprocess=PREPROCESS, name=name)
        found[name] = model, images, embed(model, images)
    return found


@pytest.mark.parametrize("name", ["resnet18", "transformer"])
@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        *(("cpu", precision) for precision in OF_DEVICE["cpu"]),
        *(pytest.param("cuda", each, marks=pytest.mark.gpu) for each in OF_DEVICE["cuda"]),
    ],
)
def test_features_are_those_of_the_cpu(kind, expected, name, precision):
    device = require(kind)
    if precision not in precisions(device):
        pytest.skip(f"this GPU has no {precision}")
    model, images, features = expected[name]
    there = copy.deepcopy(model).to(device)
    check = check_features(name, precision, features, lambda: embed(there, images, precision))
    assert check.passed, check


@pytest.mark.parametrize("name", ["resnet18", "transformer"])
def test_smaller_batches_give_the_same_features(device, expected, name):
    model, images, features = expected[name]
    forward = Forward(copy.deepcopy(model).to(device))
    forward.fits = 3
    check = check_features(name, "fp32", features, lambda: forward(images))
    assert check.passed, check


def test_a_wrong_device_would_be_found(expected):
    """The comparison can fail: features of another network."""
    model, images, features = expected["resnet18"]
    other = copy.deepcopy(model)
    with torch.no_grad():
        next(other.network.parameters()).mul_(1.01)
    check = check_features("other", "fp32", features, lambda: embed(other, images))
    assert check.passed is False
