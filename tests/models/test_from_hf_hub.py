"""`hf-hub:` and the weights of `timm:`, with a hub on this machine in place of the real one."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save, save_file
from torch import nn

from cog.errors import CogError
from cog.images.preprocess import Preprocess
from cog.models.load import load_model
from tests.support.hostile_files import changed, holds
from tests.support.hub_server import COMMIT, point_to
from tests.support.small_networks import alike, prepared_images


def timm_network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return timm.create_model("test_resnet", pretrained=False, num_classes=7).eval()


RECORD = {
    "architecture": "test_resnet",
    "num_classes": 7,
    "num_features": 384,
    "pretrained_cfg": {
        "tag": "mine_in21k",
        "input_size": [3, 96, 96],
        "test_input_size": [3, 128, 128],
        "crop_pct": 0.75,
        "test_crop_pct": 1.0,
        "crop_mode": "center",
        "interpolation": "bilinear",
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.3, 0.4],
        "num_classes": 7,
        "first_conv": "conv1.0",
        "classifier": "fc",
    },
}


def as_bytes(record: object) -> bytes:
    return json.dumps(record).encode()


@pytest.mark.parametrize("form", ["model__safetensors", "pytorch_model__bin"])
@pytest.mark.parametrize("revision", ["", COMMIT])
def test_a_repository_gives_its_network_and_its_preprocessing(hub, form, revision):
    network = timm_network()
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    weights = save(network.state_dict()) if "safe" in form else buffer.getvalue()
    hub.put("me/net", revision or "main", config_json=as_bytes(RECORD), **{form: weights})
    notices: list[str] = []
    name = f"me/net@{revision}" if revision else "me/net"
    model = load_model(f"hf-hub:{name}", notify=notices.append)
    network.reset_classifier(0)
    x = prepared_images(2, 96)
    assert torch.equal(model.embed(x), network(x).detach())
    assert model.preprocess == Preprocess(128, 96, "bilinear", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    assert model.name.startswith("hf-hub-me-net")
    assert (model.seen_data, notices) == ("IN-21K", [])


def test_what_was_loaded_once_loads_without_the_hub(hub, tmp_path, monkeypatch, pauses):
    buffer = io.BytesIO()
    torch.save(timm_network().state_dict(), buffer)
    hub.put("me/net", config_json=as_bytes(RECORD), pytorch_model__bin=buffer.getvalue())
    first = load_model("hf-hub:me/net").fingerprint
    point_to("http://127.0.0.1:9", tmp_path / "hub-cache", monkeypatch)
    assert load_model("hf-hub:me/net").fingerprint == first
    assert pauses == []


def test_a_repository_with_a_local_weights_file_or_untrained(hub, tmp_path):
    hub.put("me/net", config_json=as_bytes(RECORD))
    network = timm_network()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    model = load_model("hf-hub:me/net", weights=tmp_path / "w.safetensors")
    network.reset_classifier(0)
    assert alike(model.network, network)
    assert model.seen_data == ""
    bare = load_model("hf-hub:me/net", pretrained=False)
    assert bare.preprocess == model.preprocess
    assert bare.fingerprint == load_model("hf-hub:me/net", pretrained=False).fingerprint
    assert not alike(bare.network, network)
    with pytest.raises(CogError, match=r"me/net has no model.safetensors or pytorch_model.bin"):
        load_model("hf-hub:me/net")


def test_a_local_folder_of_the_same_layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "net"
    folder.mkdir()
    with pytest.raises(CogError, match=r"net has no config.json"):
        load_model("hf-hub:./net")
    (folder / "config.json").write_bytes(as_bytes(RECORD))
    network = timm_network()
    save_file(network.state_dict(), folder / "model.safetensors")
    model = load_model("hf-hub:./net")
    network.reset_classifier(0)
    assert alike(model.network, network)
    assert model.preprocess.shape == (3, 96, 96)


@pytest.mark.parametrize("change", ["missing", "unexpected", "of another shape"])
def test_a_repository_s_weights_are_loaded_strictly(hub, change):
    tensors = dict(timm_network().state_dict())
    name = "layer2.0.conv1.weight"
    if change == "missing":
        del tensors[name]
    elif change == "unexpected":
        name = "layer2.0.conv9.weight"
    if change != "missing":
        tensors[name] = torch.ones(1)
    hub.put("me/net", config_json=as_bytes(RECORD), model__safetensors=save(tensors))
    with pytest.raises(CogError, match=f"1 {change}: {name}"):
        load_model("hf-hub:me/net")


def test_a_repository_s_pickle_is_not_run(hub):
    buffer = io.BytesIO()
    torch.save({"state_dict": {}, "opt": Path("x")}, buffer)
    hub.put("me/net", config_json=as_bytes(RECORD), pytorch_model__bin=buffer.getvalue())
    with pytest.raises(CogError, match="refused, because reading it would run its code"):
        load_model("hf-hub:me/net")


@pytest.mark.parametrize(
    ("record", "message", "hint"),
    [
        ({"model_type": "vit", "architectures": ["ViT"]}, r"transformers \(vit\)", "library=timm"),
        ({}, "found none", "library=timm"),
        ([1], "found none", "library=timm"),
        ({"architecture": "resnet_of_2050"}, "has no resnet_of_2050", "--upgrade timm"),
        (RECORD | {"model_args": {"no_such": 1}}, r"cannot make hf-hub:me/net \(TypeError", ""),
    ],
)
def test_a_repository_of_another_layout(hub, record, message, hint):
    hub.put("me/net", config_json=as_bytes(record))
    with pytest.raises(CogError, match=message) as caught:
        load_model("hf-hub:me/net", pretrained=False)
    assert hint in caught.value.hint
    hub.put("me/other", README__md=b"")
    with pytest.raises(CogError, match=r"me/other has no config.json"):
        load_model("hf-hub:me/other")
    hub.put("me/third", config_json=b"<html>")
    with pytest.raises(CogError, match=r"is not JSON"):
        load_model("hf-hub:me/third")


def test_a_repository_that_is_not_there_or_closed(hub):
    with pytest.raises(CogError, match=r"no repository or revision \S*/me/absent\n"):
        load_model("hf-hub:me/absent")
    with pytest.raises(CogError, match=r"no repository or revision \S*/me/absent/tree/v2\n"):
        load_model("hf-hub:me/absent@v2")
    hub.status = 403
    with pytest.raises(CogError, match="accepted its terms") as caught:
        load_model("hf-hub:me/net")
    assert "hf auth login" in caught.value.hint
    for name in ("", "net", "a/b/c", "me/net@"):
        with pytest.raises(CogError, match="expected OWNER/MODEL"):
            load_model(f"hf-hub:{name}")


@pytest.mark.parametrize(
    ("spec", "pretrained"),
    [("timm:test_resnet", True), ("hf-hub:me/net", True), ("hf-hub:me/net", False)],
)
def test_without_a_connection_the_error_comes_at_once(offline, spec, pretrained, pauses):
    with pytest.raises(CogError, match=f"cannot download {offline}") as caught:
        load_model(spec, pretrained=pretrained)
    assert pauses == []
    assert "--weights FILE" in caught.value.hint


def test_a_busy_hub_is_asked_again(hub, monkeypatch):
    """What is slow or busy is left to the hub library, which waits and asks again."""
    hub.put("me/net", config_json=as_bytes(RECORD))
    hub.status = 503
    pauses = []

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        hub.status = 0

    monkeypatch.setattr(time, "sleep", wait)
    assert load_model("hf-hub:me/net", pretrained=False).dim
    assert pauses == [1]


def test_timm_s_own_weights_come_from_the_hub(hub):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = timm.create_model("test_resnet", pretrained=False)
    hub.put("timm/test_resnet.r160_in1k", model__safetensors=save(network.state_dict()))
    model = load_model("timm:test_resnet")
    network.reset_classifier(0)
    assert alike(model.network, network)
    assert model.seen_data == "IN-1K"
    asked = set(hub.asked)
    assert asked == {
        f"{verb} /timm/test_resnet.r160_in1k/resolve/{revision}/model.safetensors"
        for verb, revision in (("HEAD", "main"), ("GET", "main"))
    }


def test_seen_data_of_a_local_file_needs_a_tag(tmp_path):
    network = timm.create_model("test_resnet", pretrained=False)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    for name, seen in (("test_resnet", ""), ("test_resnet.r160_in1k", "IN-1K")):
        assert load_model(f"timm:{name}", weights=tmp_path / "w.safetensors").seen_data == seen
    assert load_model("timm:test_resnet.r160_in1k", pretrained=False).seen_data == ""


def test_a_record_with_any_value_in_any_place_is_read_or_refused(tmp_path):
    """As a stranger's config.json may have it: each value in turn is something else."""
    (tmp_path / "m").mkdir()
    save_file(timm_network().state_dict(), tmp_path / "m" / "model.safetensors")
    for text in list(changed(RECORD))[::3]:
        (tmp_path / "m" / "config.json").write_text(text)
        holds(lambda: load_model(f"hf-hub:{tmp_path / 'm'}", pretrained=False))
