"""`cog models show` of every form of name: nothing is downloaded; what would need it is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

import cog
from cog.errors import CogError
from cog.models.describe import describe_model
from cog.models.sources.table import FORMS
from tests.support.plug_ins import plugin


def shown(spec: str, **options: bool) -> dict[str, str]:
    return dict(describe_model(spec, notify=lambda _: None, **options))


@pytest.fixture
def no_connection(offline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """No file in the caches, and a hub that does not answer."""
    monkeypatch.setenv("COG_HOME", str(tmp_path / "home"))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a download")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    return offline


def test_timm_tells_of_a_network_and_of_weights_that_are_not_here(no_connection: str):
    facts = shown("timm:test_vit.r160_in1k")
    untrained = cog.load_model("timm:test_vit", pretrained=False)
    assert facts["weights"] == (f"{no_connection}/timm/test_vit.r160_in1k (not downloaded yet)")
    assert facts["dim"] == str(untrained.dim) == "64"
    assert facts["parameters"] == f"{untrained.n_parameters:,}"
    assert facts["feature"] == "class token"
    assert facts["seen_data"] == "IN-1K"
    assert facts["crop"] == "160"
    assert "needs a download" not in facts
    assert shown("timm:test_vit")["weights"].endswith("r160_in1k (not downloaded yet)")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("test_resnet", "global average pool"),
        ("test_convnext", "global average pool"),
        ("test_vit3", "attention pool"),
        ("test_vit", "class token"),
    ],
)
def test_the_feature_of_a_network_of_timm_is_what_its_classifier_takes(name: str, words: str):
    model = cog.load_model(f"timm:{name}", pretrained=False)
    assert model.feature == words


def test_torchvision_names_the_tag_that_is_meant(no_connection: str, tmp_path: Path):
    facts = shown("torchvision:squeezenet1_1")
    url = "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"
    assert facts["weights"] == f"IMAGENET1K_V1, {url} (not downloaded yet)"
    assert facts["dim"] == "512"
    assert facts["seen_data"] == "IN-1K"
    here = tmp_path / "home" / "weights" / "squeezenet1_1-b8a52dc0.pth"
    here.parent.mkdir(parents=True)
    here.write_bytes(b"weights")
    assert shown("torchvision:squeezenet1_1")["weights"].endswith(f", {here}")


def test_a_repository_that_is_not_here_needs_a_download(no_connection: str):
    facts = shown("hf-hub:somebody/model@v2")
    assert facts["weights"] == f"{no_connection}/somebody/model/tree/v2 (not downloaded yet)"
    assert "config.json" in facts["needs a download"]
    assert "cog models check hf-hub:somebody/model@v2" in facts["needs a download"]
    assert "dim" not in facts


def test_a_repository_of_transformers_likewise(no_connection: str):
    pytest.importorskip("transformers")
    facts = shown("hf:somebody/model")
    assert facts["weights"] == f"{no_connection}/somebody/model (not downloaded yet)"
    assert "config.json" in facts["needs a download"]


def test_a_folder_of_transformers_is_asked(tmp_path: Path, no_connection: str):
    pytest.importorskip("transformers")
    from tests.support import small_transformers as small

    folder = small.save("dinov2", tmp_path / "dinov2")
    facts = shown(f"hf:{folder}")
    loaded = cog.load_model(f"hf:{folder}")
    assert facts["weights"] == f"{folder}, {folder / 'model.safetensors'}"
    assert facts["feature"] == loaded.feature != ""
    assert (facts["dim"], facts["name"]) == (str(loaded.dim), loaded.name)


def test_a_folder_is_shown_with_its_weights(tmp_path: Path, no_connection: str):
    network = timm.create_model("test_vit", pretrained=False)
    record = {
        "architecture": "test_vit",
        "pretrained_cfg": {"tag": "dino", **network.pretrained_cfg},
    }
    (tmp_path / "config.json").write_text(json.dumps(record))
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    facts = shown(f"hf-hub:{tmp_path}")
    assert facts["weights"] == f"{tmp_path}, {tmp_path / 'model.safetensors'}"
    assert (facts["dim"], facts["feature"]) == ("64", "class token")


def test_a_torch_hub_runs_only_if_it_is_trusted(tmp_path: Path):
    (tmp_path / "hubconf.py").write_text(
        "import torch\ndef net(pretrained=True):\n    assert not pretrained\n"
        "    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())\n"
    )
    with pytest.raises(CogError, match="is a program"):
        shown(f"torch-hub:{tmp_path}:net")
    facts = shown(f"torch-hub:{tmp_path}:net", trust_checkpoint=True)
    assert (facts["dim"], facts["feature"]) == ("3", "output of the network")
    assert "makes or fetches" in facts["weights"]
    commit = "0" * 40
    facts = shown(f"torch-hub:nobody/nothing:{commit}:net", trust_checkpoint=True)
    assert f"nobody/nothing/archive/{commit}.zip" in facts["needs a download"]


def test_a_file_of_the_user_s_tells_of_its_own_model(tmp_path: Path):
    spec = plugin(
        tmp_path,
        "def load(): return cog.Model(nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()), "
        "preprocess=P, seen_data='mine', feature='corners')",
    )
    facts = shown(spec)
    assert (facts["dim"], facts["feature"], facts["seen_data"]) == ("12", "corners", "mine")


def test_open_clip_tells_of_a_tag(no_connection: str):
    pytest.importorskip("open_clip")
    facts = shown("open_clip:RN50/openai")
    assert facts["seen_data"] == "WIT-400M"
    assert facts["dim"] == "1024"
    assert "projected" in facts["feature"]
    assert "not downloaded yet" in facts["weights"]


def test_every_form_says_where_its_weights_are():
    for form in FORMS:
        assert callable(form.published)
        module = __import__(f"cog.models.sources.{form.file}", fromlist=["published"])
        assert callable(module.published), form.written


def test_an_unknown_name_of_a_form_shows_the_nearest():
    with pytest.raises(CogError, match="unknown timm model") as caught:
        shown("timm:resnet181")
    assert "resnet18" in caught.value.hint
