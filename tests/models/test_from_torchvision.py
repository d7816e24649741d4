"""`torchvision:`: networks with their record, without their classifier."""

from __future__ import annotations

import re

import pytest
import torch
import torchvision
from torch import nn

from cog.errors import CogError
from cog.images.preprocess import Preprocess
from cog.models.load import load_model
from cog.models.sources.from_torchvision import drop_classifier
from tests.support.small_networks import features_of_resnet, prepared_images


def test_torchvision_weights_give_the_features_before_the_classifier(tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        network = torchvision.models.resnet18(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    model = load_model("torchvision:resnet18@IMAGENET1K_V1", weights=tmp_path / "w.pth")
    x = prepared_images(2, 224)
    torch.testing.assert_close(model.embed(x), features_of_resnet(network, x), atol=1e-5, rtol=1e-5)
    assert model.name == "torchvision-resnet18-IMAGENET1K_V1"
    assert model.preprocess == Preprocess(256, 224, "bilinear")


@pytest.mark.long
def test_densenet_s_old_names_are_read(tmp_path):
    network = torchvision.models.densenet121(weights=None)
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name): tensor
        for name, tensor in network.state_dict().items()
    }
    assert set(old) != set(network.state_dict())
    torch.save(old, tmp_path / "w.pth")
    model = load_model("torchvision:densenet121", weights=tmp_path / "w.pth")
    assert torch.equal(model.network.features.conv0.weight, network.features.conv0.weight)
    assert model.dim == 1024


FEATURE_SIZES = {  # by the papers: what the last layer of each family takes
    "alexnet": 4096,
    "convnext_tiny": 768,
    "efficientnet_b0": 1280,
    "googlenet": 1024,
    "inception_v3": 2048,
    "maxvit_t": 512,
    "mnasnet0_5": 1280,
    "mobilenet_v3_small": 1024,
    "regnet_y_400mf": 440,
    "shufflenet_v2_x0_5": 1024,
    "squeezenet1_0": 512,
    "swin_t": 768,
    "vgg11": 4096,
    "vit_b_32": 768,
}


@pytest.mark.long
@pytest.mark.parametrize(("name", "dim"), FEATURE_SIZES.items())
def test_every_torchvision_family_loses_its_classifier(name, dim):
    assert load_model(f"torchvision:{name}", pretrained=False).dim == dim


def test_a_network_without_a_last_layer_is_refused():
    for network in (nn.Sequential(nn.ReLU()), nn.Sequential(nn.Linear(3, 7))):
        with pytest.raises(CogError, match="does not end in a layer with 10 outputs"):
            drop_classifier(network, 10)


def test_networks_for_other_tasks_are_refused():
    for name in ("fasterrcnn_resnet50_fpn", "fcn_resnet50", "r3d_18", "quantized_resnet18"):
        with pytest.raises(CogError, match="detects, segments, reads video or is quantized"):
            load_model(f"torchvision:{name}")
