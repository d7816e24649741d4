"""`open_clip:`: the image tower of small networks, against open_clip itself."""

from __future__ import annotations

import io
import logging
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save, save_file
from torch import nn

from cog.errors import CogError
from cog.images.preprocess import Preprocess
from cog.models.load import load_model
from tests.support.small_networks import alike, prepared_images

open_clip = pytest.importorskip("open_clip", reason="pip install 'imagenet-cog[open_clip]'")

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
    model = load_model(f"open_clip:{name}/laion2b_s1", weights=path, notify=notices.append)
    size = model.preprocess.shape[1]
    x = prepared_images(2, size)
    wanted = embedding(reference, x)
    assert not torch.allclose(wanted.norm(dim=1), torch.ones(2))
    assert torch.equal(model.embed(x), wanted)
    assert (model.dim, notices) == (12, [])
    assert alike(model.network, reference.visual)
    assert model.name == f"open_clip-{name}-laion2b_s1"
    assert model.seen_data == "LAION-2B"


def test_the_text_tower_is_dropped(tmp_path):
    torch.save(clip("tiny-vit").state_dict(), tmp_path / "w.pt")
    model = load_model("open_clip:tiny-vit/laion2b_s1", weights=tmp_path / "w.pt")
    before = model.fingerprint
    count = sum(part.numel() for part in model.network.parameters())
    patches, tokens, width = 3 * 16 * 16, 5, 32
    block = 12 * width**2 + 13 * width
    rest = width + tokens * width + 2 * 2 * width + width * 12
    assert count == patches * width + 2 * block + rest
    tensors = clip("tiny-vit").state_dict()
    tensors["token_embedding.weight"] += 1
    torch.save(tensors, tmp_path / "w.pt")
    assert load_model("open_clip:tiny-vit/laion2b_s1", weights=tmp_path / "w.pt").fingerprint == (
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
        load_model("open_clip:tiny-vit", weights=tmp_path / "w.pt")


def test_older_layouts_of_open_clip_are_renamed(tmp_path):
    """Text towers without `text.`, and temperatures of another number of dimensions."""
    reference = clip("tiny-timm")
    old = {key.removeprefix("text."): value for key, value in reference.state_dict().items()}
    assert "positional_embedding" in old
    old["logit_scale"] = old["logit_scale"].reshape(1)
    torch.save(old, tmp_path / "w.pt")
    model = load_model("open_clip:tiny-timm/laion2b_s1", weights=tmp_path / "w.pt")
    assert alike(model.network, reference.visual)


@pytest.mark.parametrize("content", [{"state_dict": 3}, [1], {"a": torch.ones(1), "b": 2}])
def test_other_files_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(CogError, match=r"expected (tensors by name|nothing but tensors)"):
        load_model("open_clip:tiny-vit", weights=tmp_path / "w.pt")


def test_a_pickle_is_refused_before_open_clip_sees_it(tmp_path):
    torch.save({"state_dict": {}, "opt": Path("x")}, tmp_path / "w.pt")
    with pytest.raises(CogError, match="refused, because reading it would run its code"):
        load_model("open_clip:tiny-vit", weights=tmp_path / "w.pt")


def test_the_tag_decides_about_quick_gelu(tmp_path):
    """open_clip loads such a tag into a network with the other activation, and only warns."""
    plain, quick = clip("tiny-vit"), clip("tiny-vit", force_quick_gelu=True)
    assert alike(plain, quick)
    torch.save(plain.state_dict(), tmp_path / "w.pt")
    notices: list[str] = []
    x = prepared_images(2, 32)
    for name, reference in (("laion2b_s1", plain), ("openai", quick)):
        model = load_model(
            f"open_clip:tiny-vit/{name}", weights=tmp_path / "w.pt", notify=notices.append
        )
        assert torch.equal(model.embed(x), embedding(reference, x))
    assert not torch.allclose(embedding(plain, x), embedding(quick, x), atol=1e-3)
    assert notices == ["the activation is QuickGELU, as recorded for openai"]


@pytest.mark.parametrize("mode", ["shortest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_open_clip_s_preprocessing_is_its_own(tmp_path, monkeypatch, mode, interpolation):
    """The oracle: the transform that open_clip makes for the network and the tag."""
    tag = TAG | {"resize_mode": mode, "interpolation": interpolation}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED["tiny-vit"], "laion2b_s1", tag)
    model = load_model("open_clip:tiny-vit/laion2b_s1", pretrained=False)
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
        load_model("open_clip:tiny-vit/laion2b_s1", pretrained=False)
    assert "file.py:function" in caught.value.hint


def test_open_clip_without_a_tag(tmp_path):
    notices: list[str] = []
    bare = load_model("open_clip:tiny-vit", pretrained=False, notify=notices.append)
    assert len(notices) == 1
    assert "preprocessing and activation are open_clip's for tiny-vit" in notices[0]
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    assert bare.preprocess == Preprocess(32, 32, "bicubic", mean, std)
    assert bare.seen_data == ""
    with pytest.raises(CogError, match="names no weights; its tags: laion2b_s1, openai") as caught:
        load_model("open_clip:tiny-vit")
    assert "write open_clip:tiny-vit/laion2b_s1" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("tiny-vut", "tiny-vit"), ("ViT-B/16", "ViT-B-16"), ("tiny-vit/opnai", "openai")],
)
def test_an_unknown_name_of_open_clip_shows_the_nearest(name, nearest):
    with pytest.raises(CogError, match="unknown") as caught:
        load_model(f"open_clip:{name}")
    assert nearest in caught.value.hint


def test_untrained_open_clip_is_the_same_bits_and_leaves_all_else_alone():
    root = logging.getLogger()
    before = torch.random.get_rng_state(), list(root.handlers), root.manager.disable
    first = load_model("open_clip:tiny-coca/openai", pretrained=False).fingerprint
    torch.rand(3)
    assert load_model("open_clip:tiny-coca/openai", pretrained=False).fingerprint == first
    torch.random.set_rng_state(before[0])
    load_model("open_clip:tiny-coca/openai", pretrained=False)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (list(root.handlers), root.manager.disable) == before[1:]
    assert open_clip.get_model_config("tiny-coca") == CONFIGS["tiny-coca"]


def test_a_missing_extra_gives_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(CogError, match="open_clip is not installed") as caught:
        load_model("open_clip:ViT-B-16/openai")
    assert caught.value.hint == "pip install 'imagenet-cog[open_clip]'"


@pytest.mark.parametrize("form", ["open_clip_model__safetensors", "open_clip_pytorch_model__bin"])
def test_a_tag_s_weights_come_from_the_hub(hub, form):
    reference, buffer = clip("tiny-vit"), io.BytesIO()
    torch.save(reference.state_dict(), buffer)
    tensors = save(reference.state_dict()) if "safe" in form else buffer.getvalue()
    hub.put("me/clip", **{form: tensors})
    model = load_model("open_clip:tiny-vit/laion2b_s1")
    assert alike(model.network, reference.visual)


@pytest.mark.parametrize(
    ("name", "pretrained"),
    [
        ("ViT-B-16/openai", True),
        ("roberta-ViT-B-32", False),  # the record of its text tower is on the hub
    ],
)
def test_without_a_connection_the_error_comes_at_once(offline, name, pretrained, pauses):
    with pytest.raises(CogError, match=f"cannot download {offline}") as caught:
        load_model(f"open_clip:{name}", pretrained=pretrained)
    assert pauses == []
    assert "--weights FILE" in caught.value.hint
