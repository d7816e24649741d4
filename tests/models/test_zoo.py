"""The table of models: every published layout loads strictly and gives the features it means."""

from __future__ import annotations

import fnmatch
import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import timm
import torch
from click.testing import CliRunner
from PIL import Image
from torchvision import transforms

from cog.cli.main import main
from cog.errors import CogError
from cog.models import zoo
from cog.models.load import load_model
from cog.models.model import Model
from cog.models.pooling import Pooled, pooled
from cog.models.quirks import QUIRKS
from cog.models.seen_data import seen_data_of_tag
from cog.models.sources import from_zoo as zoo_source
from cog.models.weights.checkpoints import read_checkpoint
from cog.models.zoo import ACCESS, find_row, read_zoo
from tests.support import transformer_layouts
from tests.support.official_layouts import LAYOUTS, igpt_clusters
from tests.support.transformer_layouts import CfgNode, simmim

ZOO = read_zoo()
TOLERANCE = 1e-5  # of the largest feature
WHOLE = (
    "sup_resnet50", "mocov2_resnet50", "infomin_resnet50", "obow_resnet50", "swav_resnet50",
    "dino_resnet50", "dino_resnet50/full", "compress_resnet50", "cutmix_resnet50",
    "relabel_resnet50/bare", "advrobust_resnet50", "mopro_resnet50", "mocov3_resnet50",
    "trex_resnet50/full", "sup_inception-v3", "deit_small", "clip_resnet50", "clip_resnet50/timm",
    "dinov2_vits14", "convnext_tiny", "t2tvit_t14", "nat_m4", "efficientnet_b1",
    "efficientnet_b1/ema", "simclrv2_resnet50", "byol_resnet50",
)  # fmt: skip
"""quick: one of every layout, on its smallest network; all others take minutes"""

SHORT = (
    "deit_small_distilled", "dino_vits16/full", "ibot_vits16", "mocov3_vits16", "msn_vits16",
    "dinov3_vits16", "dinov3_vits16plus", "beit_vitb16", "cae_vitb16", "maskfeat_vitb16",
    "unic_vitb16", "dinov2_vitb14_reg", "ummae-ft_vitb16", "deit3_vits16", "dbotft_vitb16",
    "unic_l_vitl14", "peco_vitb16", "cim_vitb16",
)  # fmt: skip
"""quick with two of their blocks; whole ones are among the long tests"""

SPOILT = tuple(
    name
    for name in (*WHOLE, *SHORT)
    if name not in ("sup_inception-v3", "dinov3_vits16plus") and "/" not in name
)


LARGER = ("mage_vitl16", "ummae-ft_swinl")
"""a smaller network of the table has their code; test_own_networks.py has their names and sizes"""


def quick_or_long(quick: tuple[str, ...]) -> list[Any]:
    return [
        pytest.param(name, marks=() if name in quick else pytest.mark.long)
        for name in LAYOUTS
        if name not in LARGER
    ]


def images(shape: tuple[int, ...], count: int = 2) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(5))


def with_two_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the row's network, and every file, two blocks."""
    row = ZOO[name]
    rows = ZOO | {name: replace(row, options={**row.options, "depth": 2})}
    monkeypatch.setattr(zoo, "read_zoo", lambda: rows)
    monkeypatch.setattr(transformer_layouts, "BLOCKS", 2)


# --- the files -------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", quick_or_long(WHOLE))
def test_the_published_file_gives_the_features_that_it_means(entry, tmp_path):
    model = compare_with_reference(entry, tmp_path)
    assert model.n_parameters == ZOO[entry.partition("/")[0]].parameters


@pytest.mark.parametrize("entry", SHORT)
def test_the_published_layout_of_two_blocks_gives_the_features_that_it_means(
    entry, tmp_path, monkeypatch
):
    with_two_blocks(entry.partition("/")[0], monkeypatch)
    compare_with_reference(entry, tmp_path)


def compare_with_reference(entry: str, folder: Path) -> Model:
    name = entry.partition("/")[0]
    layout = LAYOUTS[entry]()
    whole_map = any(part in ZOO[name].architecture for part in ("resnet50_clip", "inception"))
    shape = zoo_source.preprocess_of(ZOO[name]).shape
    x = images(shape if whole_map or not is_convolutional(name) else (3, 96, 96))
    with torch.no_grad():
        expected = layout.features(x)
    path = folder / "weights.pth"
    torch.save(layout.content, path)
    del layout  # as large as the network, up to 5 GB: both at once would need twice the memory
    if name.startswith("igpt"):
        clusters = {"clusters": igpt_clusters().tolist()}
        (folder / "preprocessor_config.json").write_text(json.dumps(clusters))
    model = load_model(name, weights=path)
    path.unlink()
    found = model.embed(x)
    assert found.shape == expected.shape == (2, ZOO[name].dim)
    assert (found - expected).abs().max() <= TOLERANCE * expected.abs().max()
    return model


def is_convolutional(name: str) -> bool:
    """Whether the network takes images of any size."""
    kinds = ("resnet", "nat_m4", "efficientnet", "convnext")
    return any(kind in ZOO[name].architecture for kind in kinds)


def entry_in(content: Any, name: str) -> str:
    """The entry of a file's content that the row reads its tensors from; empty if they lie bare."""
    nested = "ema_state|model_state" if ZOO[name].nested == "pycls" else ZOO[name].nested
    return next((key for key in nested.split("|") if key and key in content), "")


def a_tensor_of_the_network(tensors: dict[str, torch.Tensor], name: str) -> str:
    """A name in the file that ends up in the network: one of its widest matrices."""
    patterns = [pattern.removeprefix("?") for pattern in ZOO[name].drop]
    kept = [
        key
        for key in tensors
        if not any(fnmatch.fnmatch(key, pattern) for pattern in patterns) and tensors[key].ndim > 1
    ]
    return max(kept, key=lambda key: (tensors[key].numel(), key))


@pytest.mark.parametrize("entry", quick_or_long(SPOILT))
def test_a_tensor_that_is_missing_renamed_or_misshapen_is_named(entry, monkeypatch):
    name = entry.partition("/")[0]
    if entry in SHORT:
        with_two_blocks(name, monkeypatch)
    row = find_row(name)
    content = LAYOUTS[entry]().content
    nested = entry_in(content, name)
    key = a_tensor_of_the_network(content[nested] if nested else content, name)
    monkeypatch.setattr(zoo_source, "_clusters", lambda *_: igpt_clusters())
    network = zoo_source.make_network(row)
    if not row.head_in_file:
        zoo_source.drop_head(network, row)
    for spoil in (remove, rename, reshape):
        tensors = dict(content[nested] if nested else content)
        spoilt = {**content, nested: tensors} if nested else tensors
        named = spoil(tensors, key)
        monkeypatch.setattr("cog.models.weights.loading.read_safely", lambda *_, c=spoilt: c)
        with pytest.raises(CogError) as caught:
            zoo_source.fill_network(network, row, Path("spoilt.pth"))
        told = caught.value.what
        if name in RENAMED:  # the network's own names are told
            found = rf"tensors 1 \w.*{named.rpartition('.')[2]}"
            assert re.search(found, told), told
        else:
            assert named.removeprefix("module.") in told or leaf_of(named) in told, told


RENAMED = (
    "nat_m4",
    "efficientnet_b1",
    "efficientnet_b4",
    "simclrv2_resnet50",
    "clip_resnet50",
    "convnext_tiny",
    "convnext_base_22k",
    "dinov3_vits16plus",
    "maskfeat_mvits",
    "mage_vitb16",
)


def leaf_of(name: str) -> str:
    """What every prefix leaves of a name: its last three parts."""
    return ".".join(name.split(".")[-3:])


def remove(tensors: dict[str, torch.Tensor], key: str) -> str:
    del tensors[key]
    return key


def rename(tensors: dict[str, torch.Tensor], key: str) -> str:
    tensors[f"{key}_strange"] = tensors.pop(key)
    return f"{key}_strange"


def reshape(tensors: dict[str, torch.Tensor], key: str) -> str:
    tensors[key] = tensors[key][..., :-1]
    return key


def test_settings_of_yacs_beside_the_tensors_are_read_past(tmp_path, monkeypatch):
    yacs, config = ModuleType("yacs"), ModuleType("yacs.config")
    config.CfgNode = CfgNode
    path = tmp_path / "weights.pth"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "yacs", yacs)
        patch.setitem(sys.modules, "yacs.config", config)
        content = simmim({"cls_token": torch.ones(1)})
        torch.save(content | {"config": CfgNode(model=CfgNode(name="simmim"))}, path)
    assert "encoder.cls_token" in read_checkpoint(path, "model")


# --- the table -------------------------------------------------------------------------------


RESNETS = (
    "simclrv2", "mocov2", "byol", "mochi", "infomin", "obow", "swav", "dino", "barlow", "compress",
    "mixup", "manifold-mixup", "cutmix", "relabel", "advrobust", "mealv2", "mopro", "ssup", "swsup",
    "clip",
)  # fmt: skip
OTHERS = (
    "sup_resnet50", "sup_resnet152", "sup_vgg19", "sup_inception-v3", "deit_small",
    "deit_small_distilled", "deit_base_distilled_384", "t2tvit_t14", "nat_m4", "efficientnet_b1",
    "efficientnet_b4",
)  # fmt: skip


def test_the_benchmark_has_its_31_models():
    wanted = {*OTHERS, *(f"{name}_resnet50" for name in RESNETS)}
    assert {row.name for row in ZOO.values() if row.benchmark} == wanted
    assert len(wanted) == 31
    for short in RESNETS:
        assert find_row(short).name == f"{short}_resnet50"


def test_names_and_aliases_are_unique():
    names = [name for row in ZOO.values() for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))
    files = [row.cache_file for row in ZOO.values() if row.file]
    assert len(files) == len(set(files))


@pytest.mark.parametrize("row", ZOO.values(), ids=lambda row: row.name)
def test_a_row_is_complete(row):
    assert row.access in ACCESS
    assert row.family
    assert 2010 < row.year < 2030
    assert row.seen_data
    assert row.source.startswith("https://")
    assert row.architecture.partition(":")[0] in ("torchvision", "timm", "cog")
    assert bool(row.urls) == bool(row.file) == (row.access != "unpublished")
    assert row.feature
    assert row.licence
    assert row.official_preprocess
    assert row.parameters > 1e6
    if not row.file:
        assert row.note
    assert set(row.quirks) <= set(QUIRKS)


def test_an_unpublished_model_takes_a_file_of_one_s_own(monkeypatch):
    with_two_blocks("cim_vitb16", monkeypatch)
    for name in ("peco_vitb16", "cim_vitb16"):
        with pytest.raises(CogError, match=f"{name}: its weights are not published") as caught:
            load_model(name)
        assert "--weights FILE" in caught.value.hint
    assert untrained("cim_vitb16").dim == 768


def test_every_layout_belongs_to_a_row_and_every_row_to_a_test():
    tested = {entry.partition("/")[0] for entry in LAYOUTS}
    assert tested == set(ZOO)


# --- preprocessing ---------------------------------------------------------------------------

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5,) * 3, (0.5,) * 3)
OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
SIDES = {
    "deit_base_distilled_384": 384, "efficientnet_b1": 240, "efficientnet_b4": 380, "nat_m4": 240,
    "sup_inception-v3": 299, "simmim_swinb": 192, "igpt_small": 32, "igpt_medium": 32,
    "igpt_large": 32, "ummae_swint": 256, "ummae-ft_swint": 256, "ummae-ft_swinl": 256,
    "ummae-ft_pvts": 256, "mage_vitb16": 256, "mage_vitl16": 256,
}  # fmt: skip
STATISTICS = {
    **dict.fromkeys(("sup_inception-v3", "beit_vitb16", "siglip_vitb16", "siglip2_vitb16",
                     "pe_core_vitb16", "igpt_small", "igpt_medium", "igpt_large"), HALF),
    **dict.fromkeys(("clip_resnet50", "eva02_vitb14", "openclip_vitb16", "aimv2_vitl14"), OPENAI),
    **dict.fromkeys(("simclrv2_resnet50", "mage_vitb16", "mage_vitl16"), ((0.0,) * 3, (1.0,) * 3)),
    "maskfeat_mvits": ((0.45,) * 3, (0.225,) * 3),
}  # fmt: skip
SQUASHED = ("siglip_vitb16", "siglip2_vitb16", "pe_core_vitb16")


def preparations() -> dict[tuple[Any, ...], str]:
    """What rows have, and what is expected of them → the first row with both."""
    firsts: dict[tuple[Any, ...], str] = {}
    for row in ZOO.values():
        side, squashed = SIDES.get(row.name, 224), row.name in SQUASHED
        expected = (side, squashed, *STATISTICS.get(row.name, IMAGENET))
        firsts.setdefault((zoo_source.preprocess_of(row), *expected), row.name)
    return firsts


@pytest.mark.parametrize(
    ("preprocess", "side", "squashed", "mean", "std"),
    preparations(),
    ids=preparations().values(),
)
def test_images_are_prepared_as_the_reference_does(
    preprocess, side, squashed, mean, std, real_images
):
    """torchvision's transforms on Pillow images: the usual pipeline of the field."""
    bicubic = transforms.InterpolationMode.BICUBIC
    resize = transforms.Resize((side, side) if squashed else side, bicubic)
    reference = transforms.Compose(
        [resize, transforms.CenterCrop(side), transforms.ToTensor(),
         transforms.Normalize(mean, std)]
    )  # fmt: skip
    for data in real_images:
        with Image.open(io.BytesIO(data)) as image:
            expected = reference(image.convert("RGB"))
        found = preprocess.normalise(preprocess.load(data)[None])[0]
        assert found.shape == expected.shape
        difference = (found - expected).abs() * torch.tensor(std).view(3, 1, 1) * 255
        assert difference.mean() < 0.5  # of 255: uint8 resizing rounds once more than Pillow's


# --- quirks, pools, licences --------------------------------------------------------------------


def untrained(name: str, **options: Any) -> Any:
    return load_model(name, pretrained=False, **options)


def test_quirks_repeat_the_published_mistakes():
    right, quirky = untrained("nat_m4"), untrained("nat_m4", official_quirks=True)
    assert (right.preprocess.crop, quirky.preprocess.crop) == (240, 224)
    assert quirky.name == "nat_m4-official-quirks"
    quirky = untrained("clip", official_quirks=True)
    assert quirky.preprocess.mean == IMAGENET[0]
    assert quirky.network.stem.conv1.conv.weight.dtype == torch.float16
    assert quirky.network.stem.conv1.bn.weight.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(CogError, match="in float16"):
        quirky.embed(images((3, 224, 224), 1))
    right, quirky = untrained("simclrv2"), untrained("simclrv2", official_quirks=True)
    x = images((3, 224, 224), 1)
    assert quirky.preprocess.mean == IMAGENET[0]
    assert right.fingerprint != quirky.fingerprint
    assert not torch.allclose(right.embed(x), quirky.embed(x), rtol=1e-3)


@pytest.mark.long
def test_clip_s_quirk_computes_in_half_precision(tmp_path):
    """Against the network of OpenAI's code in float16, as open_clip keeps it."""
    pytest.importorskip("open_clip")
    from open_clip.model import convert_weights_to_fp16
    from open_clip.modified_resnet import ModifiedResNet

    content, path = LAYOUTS["clip_resnet50"]().content, tmp_path / "weights.pth"
    content = {name: tensor.half().to(tensor.dtype) for name, tensor in content.items()}
    torch.save(content, path)
    quirky, right = (load_model("clip", weights=path, official_quirks=on) for on in (True, False))
    path.unlink()
    network = ModifiedResNet((3, 4, 6, 3), output_dim=1024, heads=32, image_size=224).eval()
    convert_weights_to_fp16(network)
    visual = {name[7:]: value for name, value in content.items() if name.startswith("visual.")}
    network.load_state_dict(visual)
    x = images((3, 224, 224), 1)
    with torch.no_grad():
        expected = network(x.half()).float()
    found, exact = quirky.embed(x), right.embed(x)
    off, unlike = (found - expected).abs().max(), (exact - expected).abs().max()
    assert off < unlike / 10  # on one machine they were the same bits
    assert torch.equal(found, found.half().float())
    assert quirky.fingerprint != right.fingerprint


def test_quirks_of_a_model_without_any_are_refused():
    with pytest.raises(CogError, match="no quirk for sup_resnet50"):
        untrained("sup", official_quirks=True)
    with pytest.raises(CogError, match="not a model of the benchmark"):
        untrained("timm:resnet18", official_quirks=True)


def test_pools_of_a_transformer():
    model = untrained("timm:test_vit", pool="cls")
    x = images(model.preprocess.shape)
    tokens = model.network.network.eval().forward_features(x).detach()
    pools = {pool: untrained("timm:test_vit", pool=pool) for pool in ("cls", "avg", "cls+avg")}
    assert torch.allclose(pools["cls"].embed(x), tokens[:, 0])
    assert torch.allclose(pools["avg"].embed(x), tokens[:, 1:].mean(1), atol=1e-6)
    both = torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1)
    assert torch.allclose(pools["cls+avg"].embed(x), both, atol=1e-6)
    assert len({each.fingerprint for each in pools.values()}) == 3


def test_another_pool_than_the_row_s_is_in_the_name():
    assert untrained("deit_small", pool="cls").name == "deit_small"
    assert untrained("deit_small", pool="cls+avg").name == "deit_small-cls-avg"


def test_several_layers_in_a_row():
    """DINO's probe: class tokens of the last blocks, each after the final norm."""
    model = untrained("timm:test_vit", pool="last4:cls")
    assert (model.dim, model.name) == (4 * 64, "timm-test_vit-last4-cls")
    network, x, outcomes = model.network.network.eval(), images(model.preprocess.shape, 1), []
    hooks = [
        block.register_forward_hook(lambda *call: outcomes.append(call[2]))
        for block in network.blocks[-4:]
    ]
    with torch.no_grad():
        network.forward_features(x)
        for hook in hooks:
            hook.remove()
        expected = torch.cat([network.norm(tokens)[:, 0] for tokens in outcomes], 1)
    assert torch.allclose(model.embed(x), expected, atol=1e-5)
    one, same = (untrained("timm:test_vit", pool=pool) for pool in ("last1:cls+avg", "cls+avg"))
    assert torch.allclose(one.embed(x), same.embed(x))
    with pytest.raises(CogError, match="only its last layer"):
        untrained("t2tvit_t14", pool="last2:cls")


def test_distillation_tokens_are_not_patches():
    model = untrained("deit_small_distilled", pool="avg")
    x = images((3, 224, 224), 1)
    tokens = model.network.network.eval().forward_features(x).detach()
    assert tokens.shape[1] == 198
    assert torch.allclose(model.embed(x), tokens[:, 2:].mean(1), atol=1e-6)


def test_pools_that_a_network_cannot_have_are_refused():
    with pytest.raises(CogError, match="no tokens"):
        untrained("sup", pool="avg")
    with pytest.raises(CogError, match="max"):
        untrained("timm:test_vit", pool="max")
    bare = timm.create_model("vit_tiny_patch16_224", class_token=False, global_pool="avg")
    with pytest.raises(CogError, match="no class token"):
        pooled(Pooled(bare, "avg"), "cls")


def test_a_pool_works_for_libraries_too():
    model = untrained("timm:vit_tiny_patch16_224", pool="cls+avg")
    assert model.dim == 384
    assert model.name == "timm-vit_tiny_patch16_224-cls-avg"


def test_loading_weights_with_a_restricted_licence_says_so(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(LAYOUTS["swav_resnet50"]().content, path)
    said: list[str] = []
    load_model("swav", weights=path, notify=said.append)
    assert any("CC-BY-NC-4.0" in line for line in said)
    assert any("swav means swav_resnet50" in line for line in said)


def test_models_carry_the_facts_of_their_row():
    sup = untrained("sup")
    assert sup.seen_data == ""  # it has learnt from nothing
    assert (sup.family, sup.n_parameters) == ("supervised", ZOO["sup_resnet50"].parameters)
    assert seen_data_of_tag("fb_dino") == "IN-1K"
    assert ZOO["clip_resnet50"].seen_data == "WIT-400M"


def test_the_number_of_heads_of_moco_v3_decides_the_features():
    """Twelve heads of MoCo-v3: six load the same tensors, and give other features."""
    row = ZOO["mocov3_vits16"]
    assert row.options == {"num_heads": 12}
    content = LAYOUTS["mocov3_vits16"]()
    spoilt = replace(row, options={})
    network = zoo_source.make_network(spoilt)
    zoo_source.drop_head(network, spoilt)
    tensors = {
        key.removeprefix("module.base_encoder."): value
        for key, value in content.content["state_dict"].items()
        if key.startswith("module.base_encoder.") and "head" not in key
    }
    network.eval().load_state_dict(tensors, strict=True)
    x = images((3, 224, 224), 1)
    with torch.no_grad():
        assert not torch.allclose(network(x), content.features(x), rtol=0.01)


# --- as a user does it --------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("name", [row.name for row in ZOO.values() if row.benchmark])
def test_cog_models_check_passes_for_each_of_the_31(name, tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(LAYOUTS[name]().content, path)
    done = CliRunner().invoke(main, ["models", "check", name, "--weights", str(path)])
    path.unlink()
    assert done.exit_code == 0, done.output
    assert done.stdout.count(": ") >= 4
    assert "FAILED" not in done.stdout
    assert f"float32[4, {ZOO[name].dim}], all finite" in done.stdout
