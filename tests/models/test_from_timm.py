"""`timm:`: strictly loaded through timm's own renaming."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from cog.errors import CogError
from cog.models.load import load_model
from cog.models.weights.timm_rules import TRAINED_OPTIONS, is_loose, load_timm_file, renaming_of
from tests.support.small_networks import prepared_images


@pytest.fixture
def official(tmp_path) -> tuple[Path, nn.Module]:
    """A file in the layout that timm publishes, and the network that it came from."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = timm.create_model("resnet10t", pretrained=False).eval()
    path = tmp_path / "resnet10t.pth"
    torch.save(network.state_dict(), path)
    return path, network


def test_timm_weights_give_timm_s_features(official):
    path, network = official
    model = load_model("timm:resnet10t", weights=path)
    x = prepared_images(2, 176)
    with torch.no_grad():
        wanted = network.forward_head(network.forward_features(x), pre_logits=True)
    assert torch.equal(model.embed(x), wanted)
    assert model.name == "timm-resnet10t"


@pytest.mark.parametrize("change", ["missing", "unexpected", "of another shape"])
def test_timm_weights_that_do_not_fit_are_named(official, change):
    path, _ = official
    tensors = torch.load(path, weights_only=True)
    name = "layer2.0.conv1.weight"
    if change == "missing":  # with num_classes=0 timm would load this file without a word
        del tensors[name]
    elif change == "unexpected":
        name = "layer2.0.conv9.weight"
        tensors[name] = torch.ones(1)
    else:
        tensors[name] = torch.ones(1)
    torch.save(tensors, path)
    with pytest.raises(CogError, match=f"1 {change}: {name}"):
        load_model("timm:resnet10t", weights=path)
    assert nn.Module.load_state_dict.__module__ == "torch.nn.modules.module"


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"fc.0.weight": torch.ones(2, 2), "fc.2.bias": torch.ones(2)},
        {"fc.weight": torch.ones(5, 512), "fc.bias": torch.ones(5)},
    ],
)
def test_a_file_with_another_classifier_or_none_gives_the_same_features(official, head):
    path, _ = official
    whole, notices = load_model("timm:resnet10t", weights=path), []
    tensors = torch.load(path, weights_only=True)
    body = {name: tensor for name, tensor in tensors.items() if not name.startswith("fc.")}
    torch.save(body | head, path)
    model = load_model("timm:resnet10t", weights=path, notify=notices.append)
    assert model.fingerprint == whole.fingerprint
    assert [line.partition(": ")[2][:22] for line in notices] == ["has another classifier"]
    torch.save({name: x for name, x in body.items() if name != "conv1.0.weight"} | head, path)
    with pytest.raises(CogError, match=r"1 missing: conv1\.0\.weight"):
        load_model("timm:resnet10t", weights=path)


def test_a_missing_classifier_that_timm_does_not_remove_is_an_error(official, monkeypatch):
    path, network = official
    tensors = {k: x for k, x in network.state_dict().items() if not k.startswith("fc.")}
    torch.save(tensors, path)
    monkeypatch.setattr(type(network), "reset_classifier", lambda *_: None)
    with pytest.raises(CogError, match=r"2 missing: fc\.bias, fc\.weight"):
        load_model("timm:resnet10t", weights=path)


def test_a_classifier_for_a_network_without_one_is_left_out_and_said(official):
    path, network = official
    bare = timm.create_model("resnet10t", pretrained=False, num_classes=0)
    notices: list[str] = []
    load_timm_file(bare, path, notices.append)
    assert torch.equal(bare.conv1[0].weight, network.conv1[0].weight)
    assert len(notices) == 1


def test_timm_s_own_renaming_is_applied(tmp_path):
    """The layout of ConvNeXt's authors: wrapped in `model`, other names for stem, stages, norms."""
    network = timm.create_model("convnext_atto", pretrained=False).eval()
    authors = {}
    for name, tensor in network.state_dict().items():
        name = name.replace("stem.", "downsample_layers.0.").replace("head.fc.", "head.")
        name = re.sub(r"stages\.(\d)\.downsample\.", r"downsample_layers.\1.", name)
        name = re.sub(r"stages\.(\d)\.blocks\.", r"stages.\1.", name)
        name = name.replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        authors[name.replace("head.norm.", "norm.")] = tensor
    assert len(set(authors) & set(network.state_dict())) < len(authors) / 2
    torch.save({"model": authors}, tmp_path / "w.pth")
    model = load_model("timm:convnext_atto", weights=tmp_path / "w.pth")
    network.reset_classifier(0)
    x = prepared_images(1, 64)
    assert torch.equal(model.embed(x), network(x).detach())


def test_a_pickle_is_refused_before_timm_sees_it(tmp_path):
    torch.save({"state_dict": {}, "opt": Path("x")}, tmp_path / "w.pth")
    with pytest.raises(CogError, match="refused, because reading it would run its code"):
        load_model("timm:resnet10t", weights=tmp_path / "w.pth")


def test_where_timm_is_loose_nothing_random_may_be_left(tmp_path):
    tensors = timm.create_model("dla46_c", pretrained=False).state_dict()
    path, notices = tmp_path / "w.pth", []
    del tensors["level0.1.weight"]  # a norm's, constant before training
    tensors["queue"] = torch.ones(1)
    torch.save(tensors, path)
    load_model("timm:dla46_c", weights=path, notify=notices.append)
    assert len(notices) == 1
    assert "1 missing: level0.1.weight; 1 unexpected: queue" in notices[0]
    del tensors["level0.0.weight"]
    torch.save(tensors, path)
    with pytest.raises(CogError, match=r"2 missing: level0\.0\.weight"):
        load_model("timm:dla46_c", weights=path)


class Asked(Exception):
    """What a family of timm asks timm's builder for."""


def test_every_name_of_timm_is_loaded_as_timm_loads_it(monkeypatch):
    """What timm asks its builder for (a renaming, a loose load, options) is what our rules say."""

    def build(cls, variant, pretrained, **options):
        raise Asked(options)

    for name, module in list(sys.modules.items()):
        if name.startswith("timm.models.") and hasattr(module, "build_model_with_cfg"):
            monkeypatch.setattr(module, "build_model_with_cfg", build)

    names = [*timm.list_models(pretrained=True), *timm.list_models("mobilenetv5*_enc")]
    assert [name for name in names if not loaded_as_by_timm(name)] == []


def loaded_as_by_timm(name: str) -> bool:
    architecture = name.partition(".")[0]
    record = timm.models.get_pretrained_cfg(name)
    full = f"{architecture}.{record.tag if record else ''}"
    trained, ours = asked(name, True), asked(name, False, **TRAINED_OPTIONS.get(architecture, {}))
    return (
        is_loose(full) != trained.get("pretrained_strict", True)
        and same_function(trained.get("pretrained_filter_fn"), renaming_of(full))
        and shown(trained) == shown(ours)
    )


def shown(options: dict) -> str:
    """Options as text, without addresses in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(options))


def asked(name: str, pretrained: bool, **options: object) -> dict:
    with pytest.raises(Asked) as caught:
        timm.create_model(name, pretrained=pretrained, **options)
    return caught.value.args[0]


def same_function(theirs, ours) -> bool:
    """Whether two renamings are one; where timm has none, ours must be none too."""
    if theirs is None or ours is None:
        return theirs is ours
    if "<locals>" in getattr(theirs, "__qualname__", ""):  # another function in every call
        tensors = {"pos_embed.0": 1, "cls_token.1": 2, "blocks.0.norm.weight": 3}
        return theirs(tensors) == ours(tensors)
    options = dict(getattr(theirs, "keywords", {}))
    if options == {"prefix": ""}:  # the default
        options = {}
    return (getattr(theirs, "func", theirs), options) == (ours.func, ours.keywords)


def test_what_timm_sets_for_its_own_weights_is_set(tmp_path):
    network = timm.create_model("fbnetc_100", pretrained=False)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    model = load_model("timm:fbnetc_100", weights=tmp_path / "w.pth")
    assert (network.bn1.eps, model.network.bn1.eps) == (1e-5, 1e-3)


def test_timm_without_published_weights_says_so():
    with pytest.raises(CogError, match="timm publishes no weights for convnext_atto_rms"):
        load_model("timm:convnext_atto_rms")


@pytest.mark.parametrize(
    "name",
    ["resnet10t", "vit_tiny_patch16_224", "convnext_tiny.fb_in22k_ft_in1k_384", "efficientnet_b0"],
)
def test_timm_preprocessing_is_timm_s_own(name):
    """The oracle: the transform that timm itself makes for the network's train-time size."""
    network = timm.create_model(name, pretrained=False)
    config = timm.data.resolve_model_data_config(network)
    steps = timm.data.create_transform(**config, is_training=False).transforms
    resize, crop, normalise = steps[0], steps[1], steps[-1]
    found = load_model(f"timm:{name}", pretrained=False).preprocess
    size = resize.size if isinstance(resize.size, int) else tuple(resize.size)
    assert found.resize == size
    assert (found.crop or size[0]) == crop.size[0]
    assert found.interpolation == resize.interpolation.value
    assert found.mean == pytest.approx(normalise.mean.tolist())
    assert found.std == pytest.approx(normalise.std.tolist())
