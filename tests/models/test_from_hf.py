"""`hf:`: small networks of every family, saved by transformers, against transformers itself."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from cog.errors import CogError
from cog.models.load import load_model
from cog.models.tokens import with_tokens

its = pytest.importorskip("transformers", reason="pip install 'imagenet-cog[transformers]'")

from tests.support import small_transformers as small  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def quiet():
    its.logging.set_verbosity_error()
    its.utils.logging.disable_progress_bar()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of an entry of `SAVED`, made when it is first asked for."""
    root, made = tmp_path_factory.mktemp("hf"), {}

    def find(name: str) -> Path:
        if name not in made:
            made[name] = small.save(name, root / name)
        return made[name]

    return find


@pytest.fixture(scope="module")
def photographs() -> list[bytes]:
    """Encoded images: drawn ones of several shapes, and real ones where COG_IMAGES has them."""
    real = sorted(Path(os.environ.get("COG_IMAGES", "/nowhere")).glob("*/*"))[::400][:2]
    rng, made = np.random.default_rng(0), [path.read_bytes() for path in real]
    for height, width in ((75, 100), (91, 66), (40, 41)):
        coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file, "PNG")
        made.append(file.getvalue())
    return made


def opened(photographs: list[bytes]) -> list[Image.Image]:
    return [Image.open(io.BytesIO(data)).convert("RGB") for data in photographs]


@pytest.mark.parametrize("name", small.SAVED)
def test_a_folder_gives_the_features_and_the_pixels_of_transformers(name, folder, photographs):
    saved, notices = small.SAVED[name], []
    model = load_model(f"hf:{folder(name)}", notify=notices.append)
    processor = its.AutoImageProcessor.from_pretrained(folder(name))
    wanted = processor(opened(photographs), return_tensors="pt")["pixel_values"]
    pixels = torch.stack([model.preprocess.load(data) for data in photographs])
    far = (model.preprocess.normalise(pixels) - wanted).abs().amax((0, 2, 3))
    assert (far * torch.tensor(model.preprocess.std) * 255).max() <= 2 + 1e-3  # of float32
    with torch.no_grad():
        expected = saved.feature(small.its_own(name, folder(name)), wanted)
    assert (model.embed(wanted) - expected).abs().max() <= 1e-5
    assert expected.std(0).max() > 1e-3  # images differ: the feature is none of a constant
    assert model.feature == saved.words
    unused = [line.partition("not used: ")[2] for line in notices if "not used" in line]
    assert unused == [", ".join(saved.notices)] * bool(saved.notices)


@pytest.fixture
def prepared() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def states(network, x):
    """What leaves the last two layers, and the final norm of a ViT."""
    found = network(pixel_values=x, output_hidden_states=True).hidden_states[-2:]
    return [network.layernorm(tokens) for tokens in found]


def tokens(network, x):
    return network(pixel_values=x).last_hidden_state


def inner(network):
    """The network of an image tower, which before transformers 5.x is inside its class."""
    return getattr(network, "vision_model", network)


POOLS = {
    ("vit", "avg"): lambda m, x: tokens(m, x)[:, 1:].mean(1),
    ("vit", "cls+avg"): lambda m, x: torch.cat(
        [tokens(m, x)[:, 0], tokens(m, x)[:, 1:].mean(1)], 1),
    ("vit", "last2:cls"): lambda m, x: torch.cat([s[:, 0] for s in states(m, x)], 1),
    ("dinov2_with_registers", "avg"): lambda m, x: tokens(m, x)[:, 5:].mean(1),
    ("dinov2_with_registers", "last2:cls+avg"): lambda m, x: torch.cat(
        [part for s in states(m, x) for part in (s[:, 0], s[:, 5:].mean(1))], 1),
    ("deit", "avg"): lambda m, x: tokens(m, x)[:, 2:].mean(1),
    ("dinov2", "pooler"): lambda m, x: m(x).pooler_output,
    ("beit", "cls"): lambda m, x: m.pooler.layernorm(tokens(m, x)[:, 0]),
    ("clip", "avg"): lambda m, x: inner(m).post_layernorm(tokens(m, x))[:, 1:].mean(1),
    ("clip", "last2:cls"): lambda m, x: torch.cat(
        [inner(m).post_layernorm(s)[:, 0] for s in
         m(x, output_hidden_states=True).hidden_states[-2:]], 1),
    ("clip", "pooler"): lambda m, x: m(x).pooler_output,
    ("siglip", "avg"): lambda m, x: tokens(m, x).mean(1),
    ("hiera", "pooler"): lambda m, x: m(x).pooler_output,
}  # fmt: skip


@pytest.mark.parametrize(("name", "pool"), POOLS)
def test_a_pool_takes_the_tokens_that_its_name_says(name, pool, folder, prepared):
    model = load_model(f"hf:{folder(name)}", pool=pool)
    with torch.no_grad():
        expected = POOLS[name, pool](small.its_own(name, folder(name)), prepared)
    assert (model.embed(prepared) - expected).abs().max() <= 1e-5
    other = pickle.loads(pickle.dumps(model))  # as for another process, after a forward pass
    assert torch.equal(other.embed(prepared), model.embed(prepared))
    assert model.name.endswith(f"-{pool.replace(':', '-').replace('+', '-')}")


@pytest.mark.parametrize(
    ("name", "pool", "hint"),
    [
        ("swin", "cls", "--pool avg or pooler"),
        ("resnet", "avg", "--pool pooler"),
        ("vit_mae", "pooler", "--pool cls or avg or cls+avg; or tokens of up to 2 layers"),
        ("vit", "last3:cls", "up to 2 layers, as last2:cls"),
        ("hiera", "last2:avg", "--pool avg or pooler"),
        ("vit", "last2:pooler", "cls+avg or pooler"),
    ],
)
def test_a_pool_that_a_family_does_not_have_is_refused_with_those_that_it_has(
    name, pool, hint, folder
):
    with pytest.raises(CogError, match=f"has no feature '{pool}'".replace("+", r"\+")) as caught:
        load_model(f"hf:{folder(name)}", pool=pool)
    assert hint in caught.value.hint


def test_mae_gives_the_same_twice_and_sees_every_patch(folder, prepared):
    model = load_model(f"hf:{folder('vit_mae')}", pool="avg")
    assert torch.equal(model.embed(prepared), model.embed(prepared))
    for row in range(0, 32, 8):  # one patch of each row after another
        changed = prepared.clone()
        changed[:, :, row, 31 - row] += 1
        assert not torch.equal(model.embed(changed), model.embed(prepared))


def test_the_pooler_of_a_vit_needs_its_weights(folder, tmp_path):
    with pytest.raises(CogError, match=r"2 missing: pooler\.dense\.bias, pooler\.dense\.weight"):
        load_model(f"hf:{folder('vit')}", pool="pooler")


def copied(folder: Path, to: Path, drop: tuple[str, ...] = ("model.safetensors",)) -> Path:
    to.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.name not in drop:
            (to / path.name).write_bytes(path.read_bytes())
    return to


SPOILT = {
    "removed": ("1 missing", "encoder.layer.1.norm1.weight"),
    "added": ("1 unexpected", "encoder.layer.2.norm1.weight"),
    "misshapen": ("1 of another shape", "encoder.layer.1.norm1.weight"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_weights_are_loaded_strictly(how, folder, tmp_path):
    tensors = load_file(folder("dinov2") / "model.safetensors")
    told, key = SPOILT[how]
    tensors[key] = tensors["encoder.layer.1.norm1.weight"].clone()[
        : 9 if how == "misshapen" else 32
    ]
    if how == "removed":
        del tensors[key]
    save_file(tensors, copied(folder("dinov2"), tmp_path / "m") / "model.safetensors")
    with pytest.raises(CogError) as caught:
        load_model(f"hf:{tmp_path / 'm'}")
    assert f"{told}: {key}" in caught.value.what


def test_without_a_norm_of_the_pooler_in_the_file_tokens_stay_as_they_are_and_it_says_so(folder):
    notices: list[str] = []
    load_model(f"hf:{folder('hiera_masked')}", notify=notices.append)
    assert any("not normalised" in line for line in notices)
    with pytest.raises(CogError, match=r"2 missing: pooler\.layernorm"):
        load_model(f"hf:{folder('hiera_masked')}", pool="pooler")


def test_shards_and_other_files_of_weights(folder, tmp_path, prepared):
    expected = load_model(f"hf:{folder('vit')}")
    tensors = load_file(folder("vit") / "model.safetensors")
    parts = {"a.safetensors": list(tensors)[::2], "b.safetensors": list(tensors)[1::2]}
    sharded = copied(folder("vit"), tmp_path / "sharded")
    for name, keys in parts.items():
        save_file({key: tensors[key] for key in keys}, sharded / name)
    index = {"weight_map": {key: name for name, keys in parts.items() for key in keys}}
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    pickled = copied(folder("vit"), tmp_path / "pickled")
    torch.save(tensors, pickled / "pytorch_model.bin")
    with pytest.raises(CogError, match=r"has no model\.safetensors") as caught:
        load_model(f"hf:{pickled}")
    assert "add --trust-checkpoint" in caught.value.hint
    with pytest.raises(CogError, match="is not of safetensors"):
        load_model(f"hf:{sharded}", weights=pickled / "pytorch_model.bin")
    for model in (
        load_model(f"hf:{sharded}"),
        load_model(f"hf:{pickled}", trust_checkpoint=True),
        load_model(f"hf:{pickled}", weights=folder("vit") / "model.safetensors"),
    ):
        assert model.fingerprint == expected.fingerprint
        assert torch.equal(model.embed(prepared), expected.embed(prepared))
    (sharded / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../x"}}')
    with pytest.raises(CogError, match="in another folder"):
        load_model(f"hf:{sharded}")


def test_half_precision_in_the_file_is_float32_in_the_network(folder, tmp_path):
    tensors = load_file(folder("clip") / "model.safetensors")
    halved = {key: value.half() if value.is_floating_point() else value
              for key, value in tensors.items()}  # fmt: skip
    save_file(halved, copied(folder("clip"), tmp_path / "m") / "model.safetensors")
    network = load_model(f"hf:{tmp_path / 'm'}").network
    assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}
    assert not any("text" in name for name, _ in network.named_modules())


def test_untrained_needs_no_weights_and_is_the_same_each_time(folder, tmp_path):
    bare = copied(folder("vit"), tmp_path / "m")
    model = load_model(f"hf:{bare}", pretrained=False)
    torch.rand(1)
    assert model.fingerprint == load_model(f"hf:{bare}", pretrained=False).fingerprint
    assert model.fingerprint != load_model(f"hf:{folder('vit')}").fingerprint


def test_settings_without_tensors_are_part_of_what_a_model_is(folder, tmp_path):
    """Heads of attention change the features, and no tensor."""
    changed = copied(folder("vit"), tmp_path / "m", drop=())
    record = json.loads((changed / "config.json").read_text())
    (changed / "config.json").write_text(json.dumps(record | {"transformers_version": "9"}))
    known = load_model(f"hf:{folder('vit')}").fingerprint
    assert load_model(f"hf:{changed}").fingerprint == known
    (changed / "config.json").write_text(json.dumps(record | {"num_attention_heads": 4}))
    assert load_model(f"hf:{changed}").fingerprint != known


OTHER_LAYOUTS = [
    ({"architecture": "resnet18"}, r"found one of timm \(resnet18\)", "write hf-hub:"),
    ({}, "with a model_type, found none", "file.py:function"),
    ({"model_type": "vit_of_2050"}, "has no model_type 'vit_of_2050'", "--upgrade transformers"),
    ({"model_type": "bert"}, "which tokens of bert make a feature", "file.py:function"),
    ({"model_type": "aimv2", "hidden_size": 8}, "expected a vision_config", "@REVISION"),
    ({"model_type": "siglip2"}, "NaFlex", "siglip2-base-patch16-224"),
    ({"model_type": "vit", "quantization_config": {"bits": 4}}, "is quantized", "made from"),
    ({"model_type": "vit", "hidden_size": "x"}, "transformers (refuses|cannot make)", "again"),
]


@pytest.mark.parametrize(("record", "told", "hint"), OTHER_LAYOUTS)
def test_another_layout_is_said_with_the_form_to_write(record, told, hint, folder, tmp_path):
    made = copied(folder("vit"), tmp_path / "m", drop=())
    (made / "config.json").write_text(json.dumps(record))
    with pytest.raises(CogError, match=told) as caught:
        load_model(f"hf:{made}")
    assert hint in caught.value.hint


def test_timm_s_form_points_to_this_one(folder):
    with pytest.raises(CogError, match=r"one of transformers \(vit\)") as caught:
        load_model(f"hf-hub:{folder('vit')}")
    assert caught.value.hint.startswith(f"write hf:{folder('vit')}")


def test_files_that_are_missing_are_named(folder, tmp_path):
    for name in ("config.json", "preprocessor_config.json"):
        made = copied(folder("vit"), tmp_path / name, drop=(name,))
        with pytest.raises(CogError, match=f"has no .*{name}") as caught:
            load_model(f"hf:{made}")
        assert "save_pretrained" in caught.value.hint
    with pytest.raises(CogError, match="there is no folder"):
        load_model(f"hf:{tmp_path / 'nowhere'}")
    for name in ("net", "a/b/c", "me/net@"):
        with pytest.raises(CogError, match="expected OWNER/MODEL"):
            load_model(f"hf:{name}")


def test_the_settings_of_a_whole_processor_are_read_and_two_that_differ_are_not(folder, tmp_path):
    made = copied(folder("clip"), tmp_path / "m", drop=())
    record = json.loads((made / "preprocessor_config.json").read_text())
    whole = {"processor_class": "CLIPProcessor", "image_processor": record | {"resample": 2}}
    (made / "processor_config.json").write_text(json.dumps(whole))
    with pytest.raises(CogError, match="settings of one image processor"):
        load_model(f"hf:{made}")
    (made / "preprocessor_config.json").unlink()
    assert load_model(f"hf:{made}").preprocess.interpolation == "bilinear"


def test_an_image_size_that_the_network_does_not_take_is_refused(folder, tmp_path):
    made = copied(folder("vit"), tmp_path / "m", drop=())
    record = json.loads((made / "preprocessor_config.json").read_text())
    record["size"] = {"height": 48, "width": 48}
    (made / "preprocessor_config.json").write_text(json.dumps(record))
    with pytest.raises(CogError, match=r"fails on float32\[1, 3, 48, 48\]"):
        load_model(f"hf:{made}")


def test_without_transformers_the_message_is_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CogError) as caught:
        load_model("hf:me/net")
    assert caught.value.hint == "pip install 'imagenet-cog[transformers]'"


def test_an_old_transformers_is_refused(monkeypatch):
    monkeypatch.setattr(sys.modules["transformers"], "__version__", "4.56.2")
    with pytest.raises(CogError, match=r"expected transformers 4\.57 or later, found 4\.56\.2"):
        load_model("hf:me/net")


@pytest.mark.parametrize("name", ["vit", "dinov2_with_registers", "vit_mae", "swin", "clip"])
def test_patch_tokens_lie_where_their_patches_are(name, folder):
    """A bright square moves over the image: the token that changes most is the one under it."""
    model = with_tokens(load_model(f"hf:{folder(name)}"), "all")
    side = round(model.tokens**0.5)
    grey = torch.full((1, 3, 32, 32), 0.1)
    for row, column in ((0, side - 1), (side - 1, 0), (1, 2)):
        spot, size = grey.clone(), 32 // side
        spot[:, :, row * size : (row + 1) * size, column * size : (column + 1) * size] += 0.5
        change = (model.embed(spot) - model.embed(grey)).reshape(side**2, -1).norm(dim=1)
        assert int(change.argmax()) == row * side + column


@pytest.mark.parametrize("name", ["hiera", "dinov3_convnext"])
def test_tokens_in_another_order_are_refused(name, folder):
    with pytest.raises(CogError, match="row by row"):
        with_tokens(load_model(f"hf:{folder(name)}"), "grid:2")
