"""`load_model`: a model by any form of its name, trained from a file or untrained."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import asdict

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from cog.errors import CogError
from cog.images.preprocess import Preprocess
from cog.models.load import load_model
from cog.models.zoo import find_row, read_zoo
from cog.storage import safe_name
from tests.support.plug_ins import plugin
from tests.support.small_networks import features_of_resnet, prepared_images


@given(st.text(max_size=300))
def test_a_safe_name_is_safe_and_stays_as_it_is(text):
    try:
        name = safe_name(text)
    except CogError:
        return
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert name[0] not in ".-"
    assert name[-1] not in ".-"
    assert len(name) <= 120
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("spec", "nearest"),
    [
        ("sup_resnet5", "sup_resnet50"),
        ("dinno", "dino"),
        ("resnet18", "timm:resnet18"),
        ("resnet18", "torchvision:resnet18"),
        ("resnet1888", "file.py:function"),
        ("timm:resnet181", "resnet18"),
        ("timm:resnet18.a1_in2k", "resnet18.a1_in1k"),
        ("torchvision:resnte50", "resnet50"),
        ("torchvision:resnet50@imagenet1k_v3", "IMAGENET1K_V2"),
    ],
)
def test_an_unknown_name_shows_the_nearest(spec, nearest):
    with pytest.raises(CogError, match="unknown") as caught:
        load_model(spec)
    assert nearest in caught.value.hint


def test_untrained_networks_are_the_same_bits_in_every_process():
    spec = "torchvision:squeezenet1_1"
    code = f"import cog; print(cog.load_model({spec!r}, pretrained=False).fingerprint)"
    prepare = "import torch; torch.manual_seed(5); torch.rand(3); "
    done = subprocess.run(
        [sys.executable, "-c", prepare + code], capture_output=True, text=True, check=True
    )
    torch.rand(1)
    assert done.stdout.strip() == load_model(spec, pretrained=False).fingerprint


@pytest.mark.parametrize("spec", ["timm:resnet10t", "torchvision:squeezenet1_1", "plug-in"])
def test_loading_neither_uses_nor_changes_the_global_generator(tmp_path, spec):
    if spec == "plug-in":
        spec = plugin(tmp_path, "def load(): return cog.Model(nn.Sequential(nn.Conv2d(3, 2, 8), "
                                "nn.Flatten()), preprocess=P)")  # fmt: skip
    before = torch.random.get_rng_state()
    first = load_model(spec, pretrained=False).fingerprint
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(7)
    assert load_model(spec, pretrained=False).fingerprint == first


def test_weights_for_an_untrained_network_are_refused(tmp_path):
    with pytest.raises(CogError, match="both a weights file"):
        load_model("dino", weights=tmp_path / "w.pth", pretrained=False)


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    """An independent reference: torchvision's network, with statistics that are not 0 and 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = torchvision.models.resnet50(weights=None).eval()
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(std=0.1)
                part.running_var.uniform_(0.5, 2.0)
    return network


@pytest.mark.parametrize(("name", "form"), [("sup_resnet50", "legacy"), ("dino_resnet50", "zip"),
                                            ("sup_resnet50", "safetensors")])  # fmt: skip
def test_an_official_file_gives_the_features_of_the_reference(tmp_path, resnet, name, form):
    tensors = dict(resnet.state_dict())
    if name == "dino_resnet50":
        del tensors["fc.weight"], tensors["fc.bias"]
    path = tmp_path / "official.pth"
    if form == "safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=form == "zip")
    notices: list[str] = []
    model = load_model(name, weights=path, notify=notices.append)
    path.unlink()  # 100 MB
    assert model.name == name
    assert model.dim == find_row(name).dim == 2048
    x = prepared_images(2, 224)
    torch.testing.assert_close(model.embed(x), features_of_resnet(resnet, x), atol=1e-5, rtol=1e-5)
    assert model.preprocess == Preprocess(224, 224, "bicubic")
    count = sum(parameter.numel() for parameter in model.network.parameters())
    assert count == find_row(name).parameters == 23_508_032
    assert any("not, byte for byte" in text for text in notices) == (name == "sup_resnet50")


def test_one_model_s_file_is_refused_for_another(tmp_path, resnet):
    path = tmp_path / "official.pth"
    torch.save(resnet.state_dict(), path)
    with pytest.raises(CogError, match=r"tensors 2 unexpected: fc\.weight, fc\.bias"):
        load_model("dino_resnet50", weights=path)
    tensors = {"layer1.0.conv2.weight": torch.ones(1), "queue": torch.ones(2)}
    torch.save(tensors, path)
    with pytest.raises(CogError) as caught:
        load_model("sup_resnet50", weights=path)
    assert "missing: conv1.weight, bn1.weight, bn1.bias and" in caught.value.what
    assert "1 unexpected: queue" in caught.value.what
    expected = "layer1.0.conv2.weight (expected [64, 64, 3, 3], found [1])"
    assert expected in caught.value.what


@pytest.mark.parametrize("spec", ["sup_resnet50", "torchvision:squeezenet1_1", "timm:resnet10t"])
def test_a_weights_file_that_is_not_there(tmp_path, spec):
    with pytest.raises(CogError, match="no weights file"):
        load_model(spec, weights=tmp_path / "absent.pth")


def test_an_alias_says_what_it_means(tmp_path):
    notices: list[str] = []
    model = load_model("dino", pretrained=False, notify=notices.append)
    assert notices == ["dino means dino_resnet50"]
    assert model.name == "dino_resnet50"


def test_without_notify_messages_go_to_the_logger(caplog):
    caplog.set_level("INFO", logger="cog")
    load_model("dino", pretrained=False)
    assert "dino means dino_resnet50" in caplog.text


def test_without_weights_the_address_is_asked_and_named(tmp_path, monkeypatch):
    monkeypatch.setenv("COG_HOME", str(tmp_path))
    asked = []

    def no_network(request, timeout):
        asked.append(request.full_url)
        raise urllib.error.HTTPError(request.full_url, 403, "no network", None, None)

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    for spec in ("sup_resnet50", "dino_resnet50", "torchvision:resnet18"):
        with pytest.raises(CogError, match=r"cannot download .*no network"):
            load_model(spec)
    files = ["resnet50-19c8e357.pth", "dino_resnet50_pretrain.pth", "resnet18-f37072fd.pth"]
    assert [url.rpartition("/")[2] for url in asked] == files


def test_the_table_is_whole():
    zoo = read_zoo()
    assert {"sup_resnet50", "dino_resnet50"} <= set(zoo)
    names = [*zoo, *(alias for row in zoo.values() for alias in row.aliases)]
    assert len(names) == len(set(names))
    for row in zoo.values():
        assert safe_name(row.name) == row.name
        assert all(url.startswith("https://") for url in row.urls)
        json.dumps(asdict(row))
