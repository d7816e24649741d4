"""Networks and layouts that no library has: what the whole files of test_zoo.py do not show.

Features of whole published files are compared in test_zoo.py; here are the sizes, the names that
must not be lost, TensorFlow's padding by itself, and Image GPT on a network small enough to be
computed by its formulas.
"""

from __future__ import annotations

import json
import math
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import resnet50

from cog.errors import CogError
from cog.models.networks import igpt, nat_m4, same_padding, t2t_vit
from cog.models.weights.checkpoints import load_strictly
from cog.models.weights.published_names import DENSENET, RENAMES
from cog.models.weights.renames import renamed as rename_tensors
from tests.support import odd_layouts as odd

# --- sizes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "tensors", "parameters"),
    [
        (t2t_vit.T2TViT, 184, 21_541_070),  # the frozen positions are counted
        (nat_m4.nat_m4, 417, 9_135_928),
        (same_padding.resnet50_same, 320, 25_557_032),
        (same_padding.resnet50_same_pool, 320, 25_557_032),
        (lambda: timm.create_model("efficientnet_b1"), 508, 7_794_184),
        (lambda: timm.create_model("efficientnet_b4"), 706, 19_341_616),
    ],
    ids=["t2t_vit", "nat_m4", "same", "same_pool", "b1", "b4"],
)
def test_networks_have_the_published_sizes(make, tensors, parameters):
    with torch.device("meta"):
        network = make()
    assert len(network.state_dict()) == tensors
    assert sum(part.numel() for part in network.parameters()) == parameters


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["nat_m4", "pycls", "simclr"])
@pytest.mark.parametrize(
    "strange", ["queue", "blocks.1.strange.weight", "s9.strange", "net.1.blocks.0.strange"]
)
def test_an_unknown_name_is_not_changed_so_that_the_strict_load_reports_it(layout, strange):
    assert list(RENAMES[layout]({strange: torch.ones(1)})) == [strange]


@pytest.mark.parametrize(
    ("layout", "published", "ours"),
    [
        ("mopro", "classifier.bias", "fc.bias"),
        ("unchunk_blocks", "blocks.0.11.norm1.bias", "blocks.11.norm1.bias"),
        ("swin", "layers.0.downsample.norm.bias", "layers.1.downsample.norm.bias"),
        ("convnext", "stages.1.0.pwconv1.bias", "stages.1.blocks.0.mlp.fc1.bias"),
        ("convnext", "downsample_layers.2.1.bias", "stages.2.downsample.1.bias"),
        ("convnext", "norm.bias", "head.norm.bias"),
        ("simclr", "net.2.blocks.0.net.3.0.bias", "layer2.0.bn2.bias"),
        ("nat_m4", "blocks.1.mobile_inverted_conv.point_linear.bn.bias", "blocks.1.0.bn3.bias"),
        ("nat_m4", "blocks.0.mobile_inverted_conv.point_linear.bn.bias", "blocks.0.0.bn2.bias"),
        ("pycls", "s3.b2.lin_proj_bn.bias", "blocks.2.1.bn3.bias"),
        ("pycls", "s1.b2.lin_proj_bn.bias", "blocks.0.1.bn2.bias"),
    ],
)
def test_a_published_name_becomes_the_network_s(layout, published, ours):
    assert list(RENAMES[layout]({published: torch.ones(1)})) == [ours]


def test_old_names_of_densenet_become_today_s():
    old = {"features.denselayer1.norm.1.bias": torch.ones(1)}
    assert list(rename_tensors(old, DENSENET)) == ["features.denselayer1.norm1.bias"]


FILES = {
    "nat_m4": odd.nat_tensors,
    "pycls": lambda: odd.pycls_tensors("b1"),
    "simclr": lambda: odd.resnet_tensors(odd.SIMCLR, odd.SIMCLR_BLOCK, counted=True),
}


@pytest.mark.parametrize("layout", FILES)
def test_a_renaming_changes_neither_its_input_nor_a_tensor(layout):
    tensors = OrderedDict(FILES[layout]())
    tensors._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    before = {name: value.clone() for name, value in tensors.items()}
    renamed = RENAMES[layout](tensors)
    assert list(tensors) == list(before)
    assert all(torch.equal(tensors[name], before[name]) for name in before)
    assert len(renamed) == len(tensors)
    assert renamed._metadata == tensors._metadata  # type: ignore[attr-defined]
    pairs = list(zip(before.values(), renamed.values(), strict=True))
    turned = [place for place, (old, new) in enumerate(pairs) if not torch.equal(old, new)]
    assert turned == ([0] if layout == "pycls" else [])  # pycls' stem takes BGR


def test_the_stem_of_pycls_is_turned_from_bgr_to_rgb():
    bgr = torch.randn(4, 3, 3, 3)
    rgb = RENAMES["pycls"]({"stem.conv.weight": bgr})["conv_stem.weight"]
    assert torch.equal(rgb, bgr[:, [2, 1, 0]])


@pytest.fixture(scope="module")
def efficientnet_b1():
    return timm.create_model("efficientnet_b1")


@pytest.mark.parametrize("shape", [(), (32,), (32, 27), (32, 3, 3, 3, 1), (32, 3, 3, 1)])
def test_a_misshapen_stem_of_pycls_is_refused_by_name(shape, efficientnet_b1):
    tensors = odd.pycls_tensors("b1")
    tensors["stem.conv.weight"] = torch.ones(shape)
    with pytest.raises(CogError, match=r"1 of another shape: conv_stem\.weight"):
        load_strictly(efficientnet_b1, RENAMES["pycls"](tensors), "EN-B1_dds_8gpu.pyth")


# --- T2T-ViT ----------------------------------------------------------------------------------


def test_t2t_vit_has_the_tokens_that_pooling_needs():
    network = t2t_vit.T2TViT()
    load_strictly(network.eval(), odd.t2t_tensors(), "81.7_T2T_ViTt_14.pth.tar")
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens = network.forward_features(x)
        scores = network(x)
    assert network.num_prefix_tokens == 1
    assert tokens.shape == (1, 197, 384)
    assert isinstance(network.head, nn.Linear)
    assert torch.equal(scores, network.head(tokens[:, 0]))


# --- TensorFlow's SAME --------------------------------------------------------------------------


@pytest.mark.parametrize("side", [8, 9])
def test_the_max_pool_pads_right_and_below_with_nothing(side):
    """Negative pixels only: padding with zeros would win every maximum that it is in."""
    x = -1 - torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    found = same_padding.resnet50_same_pool().maxpool(x)
    before = (side % 2,) * 2  # an odd side pads alike on both sides, an even one after only
    expected = torch.stack([
        torch.stack([
            x[:, :, max(0, 2 * i - before[0]) : 2 * i - before[0] + 3,
              max(0, 2 * j - before[1]) : 2 * j - before[1] + 3].amax((2, 3))
            for j in range(-(-side // 2))
        ], -1)
        for i in range(-(-side // 2))
    ], -2)  # fmt: skip
    assert torch.equal(found, expected)


def test_which_layers_pad_same():
    def strided(network: nn.Module) -> list[str]:
        return [name for name, part in network.named_modules() if "Same" in type(part).__name__]

    three = [f"layer{stage}.0.conv2" for stage in (2, 3, 4)]
    assert strided(same_padding.resnet50_same()) == ["conv1", "maxpool", *three]
    assert strided(same_padding.resnet50_same_pool()) == ["maxpool"]


def test_the_usual_padding_takes_the_same_tensors_and_gives_other_features():
    same, pool, plain = (
        make().eval()
        for make in (
            same_padding.resnet50_same, same_padding.resnet50_same_pool, lambda: resnet50(),
        )
    )  # fmt: skip
    for network in (pool, plain):
        load_strictly(network, same.state_dict(), "resnet50.pth")
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outcomes = [network(x) for network in (same, pool, plain)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        difference = (outcomes[one] - outcomes[other]).norm() / outcomes[one].norm()
        assert difference > 1e-3


# --- Image GPT ----------------------------------------------------------------------------------

DIM, LAYERS, HEADS, SIDE = 16, 4, 2, 4


@pytest.fixture
def small_igpt(monkeypatch):
    pytest.importorskip("transformers", reason="pip install 'imagenet-cog[transformers]'")
    monkeypatch.setitem(igpt.SIZES, "small", (DIM, LAYERS, HEADS, SIDE))
    return igpt.igpt("small").eval()


def colours() -> Tensor:
    return torch.rand(512, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1


def igpt_file() -> dict[str, Tensor]:
    """Hugging Face's names once the table has taken `transformer.` and `lm_head` off."""
    draw = odd.Drawer(14)
    draw.weight("wte.weight", 513, DIM)
    draw.weight("wpe.weight", SIDE**2, DIM)
    for number in range(LAYERS):
        block = f"h.{number}"
        for norm in ("ln_1", "ln_2"):
            draw.vector(f"{block}.{norm}.weight", DIM, 1)
        for name, inputs, outputs in (
            ("attn.c_attn", DIM, 3 * DIM), ("attn.c_proj", DIM, DIM),
            ("mlp.c_fc", DIM, 4 * DIM), ("mlp.c_proj", 4 * DIM, DIM),
        ):  # fmt: skip
            draw.weight(f"{block}.{name}.weight", inputs, outputs)
            draw.vector(f"{block}.{name}.bias", outputs)
    draw.vector("ln_f.weight", DIM, 1)
    return draw.tensors


def igpt_states(tensors: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """What each block reads, after its first norm, from the formulas of the paper's code.

    The norm divides by the root of the mean square and takes no mean off; gelu is x σ(1.702 x).
    """

    def norm(name: str, h: Tensor) -> Tensor:
        root = (h.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return h / root * tensors[f"{name}.weight"]

    def linear(name: str, h: Tensor) -> Tensor:
        return h @ tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    pixels = x.permute(0, 2, 3, 1).reshape(len(x), SIDE**2, 1, 3)
    ids = (pixels - colours()).square().sum(-1).argmin(-1)
    ids = torch.cat([torch.full((len(x), 1), 512), ids[:, :-1]], 1)
    h = tensors["wte.weight"][ids] + tensors["wpe.weight"]
    states = []
    later = torch.ones(SIDE**2, SIDE**2).triu(1).bool()
    for number in range(LAYERS):
        block = f"h.{number}"
        states.append(norm(f"{block}.ln_1", h))
        q, k, v = (
            part.unflatten(2, (HEADS, DIM // HEADS)).transpose(1, 2)
            for part in linear(f"{block}.attn.c_attn", states[-1]).chunk(3, 2)
        )
        scores = (q @ k.transpose(2, 3) / math.sqrt(DIM // HEADS)).masked_fill(later, -math.inf)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        h = h + linear(f"{block}.attn.c_proj", mixed)
        wide = linear(f"{block}.mlp.c_fc", norm(f"{block}.ln_2", h))
        h = h + linear(f"{block}.mlp.c_proj", wide * torch.sigmoid(1.702 * wide))
    return states


def test_igpt_is_the_mean_of_its_middle_layer(small_igpt):
    tensors = igpt_file()
    masks = {
        "h.0.attn.bias": torch.ones(1, 1, 4, 4), "h.0.attn.masked_bias": torch.tensor(-1e4)
    }  # fmt: skip
    named = RENAMES["igpt"]({**tensors, **masks, "clusters": colours()})
    load_strictly(small_igpt, named, "imagegpt-small.bin")
    x = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)) * 2 - 1
    with torch.no_grad():
        found = small_igpt(x)
    states = igpt_states(tensors, x)
    expected = states[LAYERS // 2].mean(1)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    for layer in (1, 3):  # its neighbours are other features
        assert not torch.allclose(found, states[layer].mean(1), rtol=0.01)


def test_igpt_keeps_no_cache_of_keys_and_values(small_igpt):
    caches = []
    small_igpt.transformer.register_forward_hook(
        lambda *call: caches.append(call[2].past_key_values)
    )
    with torch.no_grad():
        small_igpt(torch.zeros(1, 3, SIDE, SIDE))
    assert caches == [None]


def spoil(tensors: dict[str, Tensor], how: str) -> None:
    value = tensors.pop("h.1.mlp.c_fc.weight")
    if how == "renamed":
        tensors["h.1.mlp.c_fc.strange"] = value
    elif how == "misshapen":
        tensors["h.1.mlp.c_fc.weight"] = value[:, :-1]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("removed", r"1 missing: transformer\.h\.1\.mlp\.c_fc\.weight\n"),
        ("renamed", r"1 unexpected: transformer\.h\.1\.mlp\.c_fc\.strange\n"),
        ("misshapen", r"1 of another shape: transformer\.h\.1\.mlp\.c_fc\.weight \(expected"),
    ],
)
def test_a_tensor_of_igpt_that_does_not_fit_is_named(small_igpt, how, told):
    tensors = {**igpt_file(), "clusters": colours()}
    spoil(tensors, how)
    with pytest.raises(CogError, match=told):
        load_strictly(small_igpt, RENAMES["igpt"](tensors), "imagegpt-small.bin")


def test_without_transformers_the_message_is_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CogError) as caught:
        igpt.igpt("small")
    assert caught.value.hint == "pip install 'imagenet-cog[transformers]'"


def test_colours_of_both_published_files_are_read(tmp_path):
    values = colours().numpy()
    np.save(tmp_path / "kmeans_centers.npy", values)
    described = {"do_normalize": True, "clusters": values.tolist()}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(described))
    for name in ("kmeans_centers.npy", "preprocessor_config.json"):
        read = igpt.read_clusters(tmp_path / name)
        assert read.dtype == torch.float32
        assert torch.equal(read, colours())


NOT_COLOURS = {
    "list.json": b"[1]",
    "no-clusters.json": b"{}",
    "named.json": b'{"clusters": {"red": 1}}',
    "ragged.json": b'{"clusters": [[1, 2], [3]]}',
    "none.json": b'{"clusters": null}',
    "text.json": b"\xff",
    "empty.npy": b"",
    "text.npy": b"colours",
}


@pytest.mark.parametrize("name", NOT_COLOURS)
def test_a_file_without_colours_is_refused(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(NOT_COLOURS[name])
    refused(path)


@pytest.mark.parametrize(
    "values",
    [np.zeros((3, 512)), np.full((512, 3), 128.0), np.full((512, 3), np.nan),
     np.full((512, 3), "a"), np.full((512, 3), None, object)],
    ids=["turned", "bytes", "nan", "letters", "pickle"],
)  # fmt: skip
def test_an_array_without_colours_is_refused(values, tmp_path):
    path = tmp_path / "kmeans_centers.npy"
    np.save(path, values)
    refused(path)


def test_an_archive_of_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "kmeans_centers.npz", clusters=colours().numpy())
    refused(tmp_path / "kmeans_centers.npz")
    refused(tmp_path / "absent.npy")


def refused(path: Path) -> None:
    with pytest.raises(CogError, match=path.name) as caught:
        igpt.read_clusters(path)
    assert "kmeans_centers.npy" in caught.value.hint
