"""`hf:` from a hub on this machine, from a stranger's files, and with code beside the weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

import cog
from cog.errors import CogError
from cog.models.load import load_model
from tests.support.hostile_files import changed, holds
from tests.support.hub_server import COMMIT, point_to

its = pytest.importorskip("transformers", reason="pip install 'imagenet-cog[transformers]'")

from tests.support import small_transformers as small  # noqa: E402


@pytest.fixture(scope="module")
def vit(tmp_path_factory) -> Path:
    return small.save("vit", tmp_path_factory.mktemp("hf") / "vit")


def files(folder: Path) -> dict[str, bytes]:
    """The files of a folder by the names that `Hub.put` takes."""
    names = {path: path.name.replace(".json", "_json") for path in folder.glob("*.*")}
    return {name.replace(".", "__"): path.read_bytes() for path, name in names.items()}


def test_a_repository_is_read_at_one_commit_and_then_without_the_hub(
    vit, hub, tmp_path, monkeypatch, pauses
):
    given = files(vit)
    hub.put("me/net", config_json=given["config_json"])
    hub.put("me/net", COMMIT, **given)  # weights are at the commit of config.json alone
    model = load_model("hf:me/net")
    assert (model.name, model.commit) == ("hf-me-net", COMMIT)
    assert model.fingerprint == load_model(f"hf:{vit}").fingerprint
    point_to("http://127.0.0.1:9", tmp_path / "hub-cache", monkeypatch)
    assert load_model("hf:me/net").fingerprint == model.fingerprint
    assert pauses == []


@pytest.mark.parametrize("pretrained", [True, False])
def test_without_a_connection_the_error_comes_at_once(offline, pretrained, pauses):
    with pytest.raises(CogError, match=f"cannot download {offline}/me/net") as caught:
        load_model("hf:me/net", pretrained=pretrained)
    assert pauses == []
    assert "hf:./FOLDER" in caught.value.hint


def test_a_repository_with_pickled_weights_alone_says_what_to_type(vit, hub):
    given = files(vit)
    del given["model__safetensors"]
    for revision in ("main", COMMIT):
        hub.put("me/net", revision, **given, pytorch_model__bin=b"never read")
    with pytest.raises(CogError, match=r"has no model\.safetensors") as caught:
        load_model("hf:me/net")
    assert "add --trust-checkpoint" in caught.value.hint
    assert not any("pytorch_model" in line for line in hub.asked)


CODE = """
from pathlib import Path
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling
from .parts import SCALE

Path({mark!r}).touch()


class NetConfig(PretrainedConfig):
    model_type = "net_of_mine"


class Net(PreTrainedModel):
    config_class = NetConfig

    def __init__(self, config):
        super().__init__(config)
        self.head = torch.nn.Linear(3, 5)
        self.post_init()

    def forward(self, pixel_values):
        pooled = self.head(pixel_values.mean((2, 3))) * SCALE
        return BaseModelOutputWithPooling(last_hidden_state=None, pooler_output=pooled)
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """Where transformers copies the code that it runs: not the user's folder."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("modules")
        patch.setattr(its.dynamic_module_utils, "HF_MODULES_CACHE", str(folder))
        patch.setattr(sys, "path", list(sys.path))
        yield
    for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
        del sys.modules[name]


@pytest.fixture
def with_code(vit, tmp_path, modules):
    """(a folder whose network is a program, the file that the program makes when it runs)."""
    folder, mark = tmp_path / "net", tmp_path / "has-run"
    folder.mkdir()
    (folder / "net.py").write_text(CODE.format(mark=str(mark)))
    (folder / "parts.py").write_text("SCALE = 2\n")
    record = {"model_type": "net_of_mine",
              "auto_map": {"AutoConfig": "net.NetConfig", "AutoModel": "net.Net"}}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(record))
    (folder / "preprocessor_config.json").write_bytes(
        (vit / "preprocessor_config.json").read_bytes()
    )
    from safetensors.torch import save_file

    weight = torch.arange(15.0).reshape(5, 3)
    save_file({"head.weight": weight, "head.bias": torch.ones(5)}, folder / "model.safetensors")
    return folder, mark


def test_code_of_a_folder_runs_with_trust_alone(with_code):
    folder, mark = with_code
    with pytest.raises(CogError, match=r"is a program \(net\.py\)") as caught:
        load_model(f"hf:{folder}")
    assert "--trust-checkpoint" in caught.value.hint
    assert not mark.exists()
    model = load_model(f"hf:{folder}", trust_checkpoint=True)
    assert mark.exists()
    x = torch.ones(1, 3, 32, 32)
    assert model.embed(x)[0].tolist() == [8, 26, 44, 62, 80]
    assert model.feature == "its pooler_output"
    with pytest.raises(CogError, match="has no feature 'cls'"):
        load_model(f"hf:{folder}", trust_checkpoint=True, pool="cls")
    (folder / "parts.py").write_text("SCALE = 3\n")
    assert load_model(f"hf:{folder}", trust_checkpoint=True).code != model.code


def test_code_of_a_repository_needs_trust_and_all_digits_of_the_commit(with_code, hub):
    folder, mark = with_code
    for revision in ("main", COMMIT):
        hub.put("me/net", revision, **files(folder))
    for name, trust in (("me/net", True), ("me/net@main", True), (f"me/net@{COMMIT}", False)):
        with pytest.raises(CogError, match="is a program") as caught:
            load_model(f"hf:{name}", trust_checkpoint=trust)
        assert f"--model hf:me/net@{COMMIT} and --trust-checkpoint" in caught.value.hint
    assert not mark.exists()
    assert load_model(f"hf:me/net@{COMMIT}", trust_checkpoint=True).dim == 5


@pytest.mark.parametrize("entry", ["other/repository--net.Net", "../net.Net", "Net", 3])
def test_code_of_elsewhere_is_refused(entry, with_code):
    folder, mark = with_code
    record = json.loads((folder / "config.json").read_text())
    record["auto_map"]["AutoModel"] = entry
    (folder / "config.json").write_text(json.dumps(record))
    with pytest.raises(CogError, match="of the same folder, found"):
        load_model(f"hf:{folder}", trust_checkpoint=True)
    assert not mark.exists()


def test_any_value_of_a_stranger_s_files_is_read_or_refused(vit, tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    for path in vit.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    kept = ("model_type", "hidden_size", "image_size", "num_attention_heads", "patch_size")
    record = json.loads((vit / "config.json").read_text())
    documents = {
        "config.json": {key: record[key] for key in kept} | {"num_hidden_layers": 1},
        "preprocessor_config.json": json.loads((vit / "preprocessor_config.json").read_text()),
    }
    for name, document in documents.items():
        right = json.dumps(document)
        for text in list(changed(document))[::5]:
            (folder / name).write_text(text)
            holds(lambda: load_model(f"hf:{folder}", pretrained=False))
        (folder / name).write_text(right)


def test_a_folder_s_model_is_called_as_the_folder(vit, monkeypatch):
    monkeypatch.chdir(vit.parent)
    assert load_model("hf:./vit").name == "hf-vit"
    monkeypatch.chdir(vit)
    assert load_model("hf:.", pool="avg").name == "hf-vit-avg"


def test_a_folder_is_evaluated_and_its_feature_is_kept(vit, images, levels_folder, tmp_path):
    table = cog.evaluate(
        f"hf:{vit}", images=images, levels=levels_folder, out=tmp_path / "runs", test_per_class=4,
        min_train=4, probes="knn", seeds="22", device="cpu", name="mine",
    )  # fmt: skip
    assert set(table["probe"]) == {"knn"}
    assert len(table)
    record = json.loads((tmp_path / "runs" / "mine" / "run.json").read_text())
    assert record["feature"] == "the class token"
