"""Networks from elsewhere: `hf-hub:`, `open_clip:` and `torch-hub:`, without any network."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import threading
import time
import warnings
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import numpy as np
import open_clip
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save, save_file
from torch import nn

from cog.errors import CogError
from cog.images.preprocess import Preprocess
from cog.models.model import Model
from cog.models.sources import from_torch_hub as torch_hub_source
from cog.models.sources.from_open_clip import from_open_clip
from cog.models.sources.from_timm import from_hf_hub, from_timm
from cog.models.sources.from_torch_hub import from_torch_hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def images(count: int, size: int) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def alike(first: nn.Module, second: nn.Module) -> bool:
    one, two = first.state_dict(), second.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


# --- hf-hub: a hub of one's own on this machine -------------------------------------------------


class Hub(ThreadingHTTPServer):
    """A hub that answers as the real one does where timm asks: names of files, and their bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.status = 0  # what every question is answered with, where it is set

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, repository: str, revision: str = "main", **files: bytes) -> None:
        for name, content in files.items():
            path = name.replace("_json", ".json").replace("__", ".")
            self.files[f"/{repository}/resolve/{revision}/{path}"] = content


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool = False) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        content = self.server.files.get(self.path)
        if content is None or self.server.status:
            repository = self.path.partition("/resolve")[0]
            known = any(path.startswith(f"{repository}/") for path in self.server.files)
            self.send_response(self.server.status or 404)
            if self.server.status == 403:
                self.send_header("X-Error-Code", "GatedRepo")
            elif not self.server.status:
                self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{abs(hash(content)):x}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def point_to(url: str, cache: Path, monkeypatch) -> None:
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        point_to(server.url, tmp_path / "hub-cache", monkeypatch)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def offline(tmp_path, monkeypatch) -> str:
    """A hub at a port where nobody listens."""
    with Hub() as server:
        url = server.url
    point_to(url, tmp_path / "hub-cache", monkeypatch)
    return url


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
    model = from_hf_hub(name, None, True, notices.append)
    network.reset_classifier(0)
    x = images(2, 96)
    assert torch.equal(model.embed(x), network(x).detach())
    assert model.preprocess == Preprocess(128, 96, "bilinear", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    assert model.name.startswith("hf-hub-me-net")
    assert (model.seen_data, notices) == ("IN-21K", [])


def test_what_was_loaded_once_loads_without_the_hub(hub, tmp_path, monkeypatch):
    buffer = io.BytesIO()
    torch.save(timm_network().state_dict(), buffer)
    hub.put("me/net", config_json=as_bytes(RECORD), pytorch_model__bin=buffer.getvalue())
    first = from_hf_hub("me/net", None, True, print).fingerprint
    point_to("http://127.0.0.1:9", tmp_path / "hub-cache", monkeypatch)
    start = time.monotonic()
    assert from_hf_hub("me/net", None, True, print).fingerprint == first
    assert time.monotonic() - start < 3


def test_a_repository_with_weights_of_one_s_own_or_none(hub, tmp_path):
    hub.put("me/net", config_json=as_bytes(RECORD))
    network = timm_network()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    model = from_hf_hub("me/net", tmp_path / "w.safetensors", True, print)
    network.reset_classifier(0)
    assert alike(model.network, network)
    assert model.seen_data == ""
    bare = from_hf_hub("me/net", None, False, print)
    assert bare.preprocess == model.preprocess
    assert bare.fingerprint == from_hf_hub("me/net", None, False, print).fingerprint
    assert not alike(bare.network, network)
    with pytest.raises(CogError, match=r"me/net holds no model.safetensors or pytorch_model.bin"):
        from_hf_hub("me/net", None, True, print)


def test_a_local_folder_of_the_same_layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "net"
    folder.mkdir()
    with pytest.raises(CogError, match=r"net holds no config.json"):
        from_hf_hub("./net", None, True, print)
    (folder / "config.json").write_bytes(as_bytes(RECORD))
    network = timm_network()
    save_file(network.state_dict(), folder / "model.safetensors")
    model = from_hf_hub("./net", None, True, print)
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
        from_hf_hub("me/net", None, True, print)


def test_a_repository_s_pickle_is_not_run(hub):
    buffer = io.BytesIO()
    torch.save({"state_dict": {}, "opt": Path("x")}, buffer)
    hub.put("me/net", config_json=as_bytes(RECORD), pytorch_model__bin=buffer.getvalue())
    with pytest.raises(CogError, match="refused, because reading it would run its code"):
        from_hf_hub("me/net", None, True, print)


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
        from_hf_hub("me/net", None, False, print)
    assert hint in caught.value.hint
    hub.put("me/other", README__md=b"")
    with pytest.raises(CogError, match=r"me/other holds no config.json"):
        from_hf_hub("me/other", None, True, print)
    hub.put("me/third", config_json=b"<html>")
    with pytest.raises(CogError, match=r"is not JSON"):
        from_hf_hub("me/third", None, True, print)


def test_a_repository_that_is_not_there_or_closed(hub):
    with pytest.raises(CogError, match=r"no repository or revision \S*/me/absent\n"):
        from_hf_hub("me/absent", None, True, print)
    with pytest.raises(CogError, match=r"no repository or revision \S*/me/absent/tree/v2\n"):
        from_hf_hub("me/absent@v2", None, True, print)
    hub.status = 403
    with pytest.raises(CogError, match="accepted its terms") as caught:
        from_hf_hub("me/net", None, True, print)
    assert "hf auth login" in caught.value.hint
    for name in ("", "net", "a/b/c", "me/net@"):
        with pytest.raises(CogError, match="expected OWNER/MODEL"):
            from_hf_hub(name, None, True, print)


@pytest.mark.parametrize(
    ("load", "name", "pretrained"),
    [
        (from_timm, "test_resnet", True),
        (from_hf_hub, "me/net", True),
        (from_hf_hub, "me/net", False),
        (from_open_clip, "ViT-B-16/openai", True),
        (from_open_clip, "roberta-ViT-B-32", False),  # the record of its text tower is on the hub
    ],
)
def test_without_a_network_it_is_said_at_once(offline, load, name, pretrained):
    start = time.monotonic()
    with pytest.raises(CogError, match=f"cannot download {offline}") as caught:
        load(name, None, pretrained, print)
    assert time.monotonic() - start < 5
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
    assert from_hf_hub("me/net", None, False, print).dim
    assert pauses == [1]


def test_timm_s_own_weights_come_from_the_hub(hub):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = timm.create_model("test_resnet", pretrained=False)
    hub.put("timm/test_resnet.r160_in1k", model__safetensors=save(network.state_dict()))
    model = from_timm("test_resnet", None, True, print)
    network.reset_classifier(0)
    assert alike(model.network, network)
    assert model.seen_data == "IN-1K"
    asked = set(hub.asked)
    assert asked == {
        f"{verb} /timm/test_resnet.r160_in1k/resolve/{revision}/model.safetensors"
        for verb, revision in (("HEAD", "main"), ("GET", "main"))
    }


def test_what_a_local_file_has_seen_is_known_only_with_a_tag(tmp_path):
    network = timm.create_model("test_resnet", pretrained=False)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    for name, seen in (("test_resnet", ""), ("test_resnet.r160_in1k", "IN-1K")):
        assert from_timm(name, tmp_path / "w.safetensors", True, print).seen_data == seen
    assert from_timm("test_resnet.r160_in1k", None, False, print).seen_data == ""


# --- open_clip -------------------------------------------------------------------------------

TEXT = {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1}
VIT = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
CONFIGS = {
    "tiny-vit": {"embed_dim": 12, "vision_cfg": VIT, "text_cfg": TEXT},
    "tiny-resnet": {
        "embed_dim": 12,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
        "text_cfg": TEXT,
    },
    "tiny-timm": {
        "embed_dim": 12,
        "vision_cfg": {
            "timm_model_name": "test_vit",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 160,
        },
        "text_cfg": TEXT,
        "custom_text": True,
    },
    "tiny-coca": {
        "embed_dim": 12,
        "vision_cfg": VIT | {"attentional_pool": True, "attn_pooler_heads": 2,
                             "output_tokens": True},
        "text_cfg": TEXT | {"embed_cls": True, "output_tokens": True},
        "multimodal_cfg": TEXT | {"attn_pooler_heads": 2},
        "custom_text": True,
    },
}  # fmt: skip
TAG = {
    "url": "",
    "hf_hub": "me/clip/",
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.3, 0.4),
    "interpolation": "bilinear",
    "resize_mode": "squash",
}


@pytest.fixture(autouse=True)
def tiny_configs(monkeypatch):
    """Small networks beside open_clip's own, with one published tag each."""
    for name, config in CONFIGS.items():
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)
        tags = {"laion2b_s1": TAG, "openai": TAG | {"quick_gelu": True}}
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, tags)


def clip(name: str, **options) -> nn.Module:
    """open_clip's own network of both towers, with random weights."""
    root, disabled = logging.getLogger(), logging.root.manager.disable
    handlers = list(root.handlers)
    logging.disable()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(5)
        network = open_clip.create_model(name, **options).eval()
    logging.disable(disabled)
    root.handlers = handlers
    return network


def embedding(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """open_clip's own, where the image's tokens do not come beside it (CoCa)."""
    with torch.no_grad():
        found = network.encode_image(x, normalize=False)
    return found[0] if isinstance(found, tuple) else found


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("form", ["plain", "training", "safetensors"])
def test_open_clip_s_file_gives_its_image_embedding(tmp_path, name, form):
    reference = clip(name)
    tensors, path = reference.state_dict(), tmp_path / "w.pt"
    if form == "safetensors":
        save_file(tensors, path)
    elif form == "training":
        wrapped = {f"module.{key}": value for key, value in tensors.items()}
        torch.save({"epoch": 3, "state_dict": wrapped, "optimizer": {"state": {}}}, path)
    else:
        torch.save(tensors, path)
    notices: list[str] = []
    model = from_open_clip(f"{name}/laion2b_s1", path, True, notices.append)
    size = model.preprocess.shape[1]
    x = images(2, size)
    wanted = embedding(reference, x)
    assert not torch.allclose(wanted.norm(dim=1), torch.ones(2))
    assert torch.equal(model.embed(x), wanted)
    assert (model.dim, notices) == (12, [])
    assert alike(model.network, reference.visual)
    assert model.name == f"open_clip-{name}-laion2b_s1"
    assert model.seen_data == "LAION-2B"


def test_the_text_tower_is_let_go(tmp_path):
    torch.save(clip("tiny-vit").state_dict(), tmp_path / "w.pt")
    model = from_open_clip("tiny-vit/laion2b_s1", tmp_path / "w.pt", True, print)
    before = model.fingerprint
    count = sum(part.numel() for part in model.network.parameters())
    patches, tokens, width = 3 * 16 * 16, 5, 32
    block = 12 * width**2 + 13 * width
    rest = width + tokens * width + 2 * 2 * width + width * 12
    assert count == patches * width + 2 * block + rest
    tensors = clip("tiny-vit").state_dict()
    tensors["token_embedding.weight"] += 1
    torch.save(tensors, tmp_path / "w.pt")
    assert from_open_clip("tiny-vit/laion2b_s1", tmp_path / "w.pt", True, print).fingerprint == (
        before
    )


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("missing", "visual.transformer.resblocks.1.ln_1.weight"),
        ("missing", "token_embedding.weight"),
        ("unexpected", "visual.queue"),
        ("of another shape", "visual.proj"),
        ("of another shape", "visual.positional_embedding"),  # open_clip itself would resize it
    ],
)
def test_open_clip_s_file_is_loaded_strictly(tmp_path, name, tensor):
    tensors = dict(clip("tiny-vit").state_dict())
    if name == "missing":
        del tensors[tensor]
    else:
        tensors[tensor] = torch.ones(10, 32)
    torch.save(tensors, tmp_path / "w.pt")
    with pytest.raises(CogError, match=f"1 {name}: {re.escape(tensor)}"):
        from_open_clip("tiny-vit", tmp_path / "w.pt", True, print)


def test_older_layouts_of_open_clip_are_renamed(tmp_path):
    """Text towers without `text.`, and temperatures of another number of dimensions."""
    reference = clip("tiny-timm")
    old = {key.removeprefix("text."): value for key, value in reference.state_dict().items()}
    assert "positional_embedding" in old
    old["logit_scale"] = old["logit_scale"].reshape(1)
    torch.save(old, tmp_path / "w.pt")
    model = from_open_clip("tiny-timm/laion2b_s1", tmp_path / "w.pt", True, print)
    assert alike(model.network, reference.visual)


@pytest.mark.parametrize("content", [{"state_dict": 3}, [1], {"a": torch.ones(1), "b": 2}])
def test_other_files_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(CogError, match=r"expected (tensors by name|nothing but tensors)"):
        from_open_clip("tiny-vit", tmp_path / "w.pt", True, print)


def test_a_pickle_is_refused_before_open_clip_sees_it(tmp_path):
    torch.save({"state_dict": {}, "opt": Path("x")}, tmp_path / "w.pt")
    with pytest.raises(CogError, match="refused, because reading it would run its code"):
        from_open_clip("tiny-vit", tmp_path / "w.pt", True, print)


def test_the_tag_decides_about_quick_gelu(tmp_path):
    """open_clip loads such a tag into a network with the other activation, and only warns."""
    plain, quick = clip("tiny-vit"), clip("tiny-vit", force_quick_gelu=True)
    assert alike(plain, quick)
    torch.save(plain.state_dict(), tmp_path / "w.pt")
    notices: list[str] = []
    x = images(2, 32)
    for name, reference in (("laion2b_s1", plain), ("openai", quick)):
        model = from_open_clip(f"tiny-vit/{name}", tmp_path / "w.pt", True, notices.append)
        assert torch.equal(model.embed(x), embedding(reference, x))
    assert not torch.allclose(embedding(plain, x), embedding(quick, x), atol=1e-3)
    assert notices == ["the activation is QuickGELU, as recorded for openai"]


@pytest.mark.parametrize("mode", ["shortest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_open_clip_s_preprocessing_is_its_own(tmp_path, monkeypatch, mode, interpolation):
    """The oracle: the transform that open_clip makes for the network and the tag."""
    tag = TAG | {"resize_mode": mode, "interpolation": interpolation}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED["tiny-vit"], "laion2b_s1", tag)
    model = from_open_clip("tiny-vit/laion2b_s1", None, False, print)
    record = open_clip.transform.PreprocessCfg(**model.network.preprocess_cfg)
    transform = open_clip.transform.image_transform_v2(record, is_train=False)
    rng = np.random.default_rng(2)
    image = Image.fromarray(rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)).resize((140, 110))
    buffer = io.BytesIO()
    image.save(buffer, "png")
    found = model.preprocess.normalise(model.preprocess.load(buffer.getvalue())[None])[0]
    wanted = transform(image)
    assert found.shape == wanted.shape
    assert float((found - wanted).abs().max()) < 2.01 / 255 / min(TAG["std"])


def test_padded_images_are_refused(monkeypatch):
    tag = TAG | {"resize_mode": "longest"}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED["tiny-vit"], "laion2b_s1", tag)
    with pytest.raises(CogError, match="32 × 32, resize mode longest") as caught:
        from_open_clip("tiny-vit/laion2b_s1", None, False, print)
    assert "file.py:function" in caught.value.hint


def test_open_clip_without_a_tag(tmp_path):
    notices: list[str] = []
    bare = from_open_clip("tiny-vit", None, False, notices.append)
    assert len(notices) == 1
    assert "preprocessing and activation are open_clip's for tiny-vit" in notices[0]
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    assert bare.preprocess == Preprocess(32, 32, "bicubic", mean, std)
    assert bare.seen_data == ""
    with pytest.raises(CogError, match="names no weights; its tags: laion2b_s1, openai") as caught:
        from_open_clip("tiny-vit", None, True, print)
    assert "write open_clip:tiny-vit/laion2b_s1" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("tiny-vut", "tiny-vit"), ("ViT-B/16", "ViT-B-16"), ("tiny-vit/opnai", "openai")],
)
def test_an_unknown_name_of_open_clip_shows_the_nearest(name, nearest):
    with pytest.raises(CogError, match="unknown") as caught:
        from_open_clip(name, None, True, print)
    assert nearest in caught.value.hint


def test_untrained_open_clip_is_the_same_bits_and_leaves_all_else_alone():
    root = logging.getLogger()
    before = torch.random.get_rng_state(), list(root.handlers), root.manager.disable
    first = from_open_clip("tiny-coca/openai", None, False, print).fingerprint
    torch.rand(3)
    assert from_open_clip("tiny-coca/openai", None, False, print).fingerprint == first
    torch.random.set_rng_state(before[0])
    from_open_clip("tiny-coca/openai", None, False, print)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (list(root.handlers), root.manager.disable) == before[1:]
    assert open_clip.get_model_config("tiny-coca") == CONFIGS["tiny-coca"]


def test_a_missing_extra_gives_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(CogError, match="open_clip is not installed") as caught:
        from_open_clip("ViT-B-16/openai", None, True, print)
    assert caught.value.hint == "pip install 'imagenet-cog[open_clip]'"


@pytest.mark.parametrize("form", ["open_clip_model__safetensors", "open_clip_pytorch_model__bin"])
def test_a_tag_s_weights_come_from_the_hub(hub, form):
    reference, buffer = clip("tiny-vit"), io.BytesIO()
    torch.save(reference.state_dict(), buffer)
    tensors = save(reference.state_dict()) if "safe" in form else buffer.getvalue()
    hub.put("me/clip", **{form: tensors})
    model = from_open_clip("tiny-vit/laion2b_s1", None, True, print)
    assert alike(model.network, reference.visual)


# --- torch-hub -------------------------------------------------------------------------------

HUBCONF = """
dependencies = ["torch"]
import torch
from torch import nn
from helpers import WIDTH, Net

print("this is not for stdout")

def features(pretrained=False, **kwargs):
    net = Net()
    if pretrained:
        nn.init.ones_(net.conv.weight)
    return net

def classifier(pretrained=True):
    return nn.Sequential(Net(), nn.Linear(WIDTH, 1000))

def side_branch():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(WIDTH, 1000)
            self.body = Net()
        def forward(self, x):
            return self.head(self.body(x))
    return Odd()

def plain():
    return Net()

def breaks(pretrained=True):
    raise OSError("no network")

def number():
    return 3

def a_map():
    return nn.Conv2d(3, 2, 8)
"""
HELPERS = """
from torch import nn
WIDTH = 6
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, 8, 8)
    def forward(self, x):
        return self.conv(x).mean((2, 3))
"""


def repository(folder: Path, helpers: str = HELPERS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hubconf.py").write_text(HUBCONF)
    (folder / "helpers.py").write_text(helpers)
    return folder


def test_an_entry_point_of_a_folder(tmp_path, capsys):
    folder = repository(tmp_path / "repo")
    notices: list[str] = []
    model = from_torch_hub(f"{folder}:features", None, True, True, notices.append)
    weight = model.network.conv.weight
    assert torch.equal(weight, torch.ones_like(weight))
    assert (model.dim, model.name) == (6, "torch-hub-repo-features")
    assert model.preprocess == Preprocess()
    assert len(notices) == 1
    assert "short side 224, centre crop 224, bicubic" in notices[0]
    assert capsys.readouterr().out == ""


def test_nothing_is_left_changed(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    mine = type(sys)("helpers")
    monkeypatch.setitem(sys.modules, "helpers", mine)
    before = torch.random.get_rng_state(), list(sys.path), list(warnings.filters)
    folder = repository(tmp_path / "repo")
    for entry in ("features", "breaks"):
        try:
            from_torch_hub(f"{folder}:{entry}", None, True, True, print)
        except CogError:
            assert entry == "breaks"
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (sys.path, warnings.filters) == before[1:]
    assert sys.modules["helpers"] is mine
    assert not (tmp_path / "torch").exists()


def test_repositories_with_modules_of_one_name_do_not_mix(tmp_path):
    wide = repository(tmp_path / "wide", HELPERS.replace("WIDTH = 6", "WIDTH = 9"))
    narrow = repository(tmp_path / "narrow")
    dims = [
        from_torch_hub(f"{folder}:features", None, True, True, print).dim
        for folder in (wide, narrow, wide)
    ]
    assert dims == [9, 6, 9]


def test_another_code_is_another_model(tmp_path):
    folder = repository(tmp_path / "repo")
    spec = f"{folder}:features"
    first = from_torch_hub(spec, None, True, True, print).fingerprint
    assert from_torch_hub(spec, None, True, True, print).fingerprint == first
    (folder / "README.md").write_text("no code")
    assert from_torch_hub(spec, None, True, True, print).fingerprint == first
    (folder / "models").mkdir()
    (folder / "models" / "more.py").write_text("A = 1")
    assert from_torch_hub(spec, None, True, True, print).fingerprint != first


def test_a_classifier_is_taken_off_and_told(tmp_path):
    folder = repository(tmp_path / "repo")
    notices: list[str] = []
    model = from_torch_hub(f"{folder}:classifier", None, True, True, notices.append)
    assert model.dim == 6
    assert notices[1:] == ["the last layer, a classifier of 1000 classes, is taken off"]
    x = images(2, 224)
    assert torch.equal(model.embed(x), model.network[0](x).detach())
    odd = from_torch_hub(f"{folder}:side_branch", None, True, True, notices.append)
    assert odd.dim == 1000
    assert "taken as they are" in notices[-1]


def test_weights_of_one_s_own_are_loaded_strictly(tmp_path):
    folder = repository(tmp_path / "repo")
    spec, path = f"{folder}:classifier", tmp_path / "w.safetensors"
    tensors = from_torch_hub(f"{folder}:plain", None, True, True, print).network.state_dict()
    tensors = {f"0.{key}": value + 1 for key, value in tensors.items()}
    tensors |= {"1.weight": torch.ones(1000, 6), "1.bias": torch.ones(1000)}
    save_file(tensors, path)
    model = from_torch_hub(spec, path, True, True, print)
    assert torch.equal(model.network[0].conv.weight, tensors["0.conv.weight"])
    del tensors["1.bias"]
    save_file(tensors, path)
    with pytest.raises(CogError, match=r"1 missing: 1\.bias"):
        from_torch_hub(spec, path, True, True, print)


@pytest.mark.parametrize("entry", ["features", "plain"])
def test_untrained_networks_of_an_entry_point(tmp_path, entry):
    folder = repository(tmp_path / "repo")
    notices: list[str] = []
    first = from_torch_hub(f"{folder}:{entry}", None, False, True, notices.append)
    assert not torch.equal(first.network.conv.weight, torch.ones(6, 3, 8, 8))
    torch.rand(1)
    again = from_torch_hub(f"{folder}:{entry}", None, False, True, print)
    assert again.fingerprint == first.fingerprint
    assert len(notices) == 1
    from_torch_hub(f"{folder}:{entry}", None, True, True, notices.append)
    told = [text for text in notices if "takes no pretrained" in text]
    assert len(told) == (entry == "plain")


def test_code_runs_only_where_it_is_trusted(tmp_path):
    folder = repository(tmp_path / "repo")
    (folder / "hubconf.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    commit = f"me/repo:{COMMIT}:features"
    for name, program in (
        (f"{folder}:features", r"hubconf\.py is a program"),
        (commit, f"https://github.com/me/repo/blob/{COMMIT}/hubconf.py is a program"),
    ):
        with pytest.raises(CogError, match=program) as caught:
            from_torch_hub(name, None, True, False, print)
        assert "--trust-checkpoint" in caught.value.hint
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("trust", [True, False])
@pytest.mark.parametrize("reference", ["main", "v1.0", COMMIT[:12], COMMIT.upper()])
def test_a_branch_is_no_commit(reference, trust):
    with pytest.raises(CogError, match="expected a commit of 40 digits") as caught:
        from_torch_hub(f"me/repo:{reference}:net", None, True, trust, print)
    assert "write torch-hub:me/repo:COMMIT:net" in caught.value.hint


@pytest.mark.parametrize("name", ["", "net", "me/repo", "me/repo:net", ":net", "a:b:c:d"])
def test_a_name_of_another_form(name):
    with pytest.raises(CogError, match=f"found torch-hub:{name}") as caught:
        from_torch_hub(name, None, True, True, print)
    assert "OWNER/REPO:COMMIT:ENTRY" in caught.value.hint
    assert ("there is no folder me/repo" in caught.value.what) == (name == "me/repo:net")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("breaks", "breaks of .*hubconf.py failed: OSError: no network"),
        ("number", "makes a int, not a network"),
        ("featurs", "unknown entry point .*'featurs'"),
        ("a_map", "and got float32"),
    ],
)
def test_an_entry_point_that_gives_no_network(tmp_path, entry, message):
    folder = repository(tmp_path / "repo")
    with pytest.raises(CogError, match=message):
        from_torch_hub(f"{folder}:{entry}", None, True, True, print)


def test_a_folder_that_is_no_hub(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CogError, match=r"holds no hubconf\.py"):
        from_torch_hub(f"{tmp_path / 'empty'}:net", None, True, True, print)
    folder = repository(tmp_path / "repo")
    (folder / "hubconf.py").write_text("dependencies = ['torch', 'no_such_package']")
    with pytest.raises(CogError, match="needs no_such_package") as caught:
        from_torch_hub(f"{folder}:net", None, True, True, print)
    assert caught.value.hint == "pip install no_such_package"


def test_a_commit_is_downloaded_once(tmp_path, monkeypatch):
    monkeypatch.setenv("COG_HOME", str(tmp_path / "home"))
    folder = repository(tmp_path / "source")
    asked = []

    def fetch(urls: list[str], file: str) -> Path:
        asked.extend(urls)
        path = tmp_path / file
        with zipfile.ZipFile(path, "w") as archive:
            for code in folder.iterdir():
                if code.is_file():
                    archive.write(code, f"repo-{COMMIT}/{code.name}")
        return path

    monkeypatch.setattr(torch_hub_source, "fetch", fetch)
    name = f"me/repo:{COMMIT}:features"
    first = from_torch_hub(name, None, True, True, print)
    assert first.name == "torch-hub-me-repo-0123456789-features"
    assert from_torch_hub(name, None, True, True, print).fingerprint == first.fingerprint
    assert asked == [f"https://github.com/me/repo/archive/{COMMIT}.zip"]
    kept = [path.name for path in (tmp_path / "home" / "torch-hub").iterdir()]
    assert kept == [f"me_repo_{COMMIT}"]
    assert isinstance(first, Model)


def test_an_archive_that_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("COG_HOME", str(tmp_path / "home"))
    (tmp_path / "a.zip").write_text("<html>")
    monkeypatch.setattr(torch_hub_source, "fetch", lambda *_: tmp_path / "a.zip")
    with pytest.raises(CogError, match="is no zip archive"):
        from_torch_hub(f"me/repo:{COMMIT}:net", None, True, True, print)
    assert list((tmp_path / "home" / "torch-hub").iterdir()) == []
