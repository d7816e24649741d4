"""What training programs save: sets of weights, prefixes and entries; and zips that are bombs."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file as load_safetensors
from safetensors.torch import save_file

import cog
from cog.errors import CogError
from cog.models.weights.checkpoints import load_strictly, read_checkpoint
from cog.models.weights.reading import read_safely
from tests.support.hostile_files import holds
from tests.support.runs import call_cog

NAME = "timm:test_vit"


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return dict(timm.create_model("test_vit", pretrained=False).state_dict())


def other(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor + 1 for name, tensor in tensors.items()}


def load(file: Path, content: object) -> tuple[cog.Model, list[str]]:
    torch.save(content, file)
    said: list[str] = []
    return cog.load_model(NAME, weights=file, notify=said.append), said


def test_which_of_two_sets_is_read_is_said(tmp_path: Path, weights: dict[str, torch.Tensor]):
    file = tmp_path / "ema.pth.tar"
    alone, said = load(file, {"state_dict": other(weights), "epoch": 3})
    assert said == []
    both = {"state_dict": weights, "state_dict_ema": other(weights), "optimizer": {"state": {}}}
    model, said = load(file, both)
    assert model.fingerprint == alone.fingerprint
    assert said == [
        f"{file}: its weights state_dict_ema (a mean over the training) are read; "
        "--weights-key state_dict reads the others"
    ]


def test_which_of_two_entries_is_read_is_said_for_any_layout(tmp_path: Path):
    tensors = {"a": torch.ones(1), "b": torch.ones(2)}
    torch.save({"model": tensors, "model_ema": other(tensors)}, tmp_path / "a.pth")
    said: list[str] = []
    read_checkpoint(tmp_path / "a.pth", "state_dict|model|", notify=said.append)
    assert said == [f"{tmp_path / 'a.pth'}: its weights model are read; "
                    "--weights-key model_ema reads the others"]  # fmt: skip


@pytest.mark.parametrize("prefix", ["model", "module.backbone", "student.encoder.net"])
def test_a_prefix_that_is_all_that_stands_in_the_way_is_typed(
    tmp_path: Path, weights: dict[str, torch.Tensor], prefix: str
):
    content = {f"{prefix}.{name}": tensor for name, tensor in weights.items()}
    alone, _ = load(tmp_path / "alone.pth", weights)
    for given, key in ((content, prefix), ({"state_dict": content}, f"state_dict.{prefix}")):
        with pytest.raises(CogError, match="does not fit the network") as caught:
            load(tmp_path / "a.ckpt", given)
        assert caught.value.hint == f"give --weights-key {key}: all its tensors fit"
        model = cog.load_model(NAME, weights=tmp_path / "a.ckpt", weights_key=key)
        assert model.fingerprint == alone.fingerprint
        assert model.name == f"timm-test_vit-{key}"


def test_each_key_gives_its_own_weights_and_a_name_of_its_own(
    tmp_path: Path, weights: dict[str, torch.Tensor]
):
    file = tmp_path / "a.pth"
    fast, slow = dict(weights), other(weights)
    torch.save({"model": fast, "ema": {"module": slow, "decay": 0.9}, "epoch": 3}, file)
    usual = cog.load_model(NAME, weights=file)
    models = {
        key: cog.load_model(NAME, weights=file, weights_key=key) for key in ("model", "ema.module")
    }
    assert usual.fingerprint == models["model"].fingerprint != models["ema.module"].fingerprint
    assert [model.name for model in (usual, *models.values())] == [
        "timm-test_vit", "timm-test_vit-model", "timm-test_vit-ema.module"
    ]  # fmt: skip
    assert cog.load_model(NAME, weights=file, weights_key="model", name="own").name == "own"


def test_a_wrong_key_lists_what_is_there(tmp_path: Path, weights: dict[str, torch.Tensor]):
    file, count = tmp_path / "a.pth", len(weights)
    halves = {f"{part}.{name}": tensor for name, tensor in weights.items() for part in "ab"}
    torch.save({"model": weights, "both": halves, "optimizer": {"state": {}}}, file)
    with pytest.raises(CogError, match="no weights under 'modle'") as caught:
        cog.load_model(NAME, weights=file, weights_key="modle")
    # the key that would fit comes first; without one, all that is there
    assert caught.value.hint == "give --weights-key model or --weights-key both.a or " + (
        "--weights-key both.b: all its tensors fit"
    )
    with pytest.raises(CogError, match="no weights under 'modle'") as caught:
        read_checkpoint(file, key="modle")
    assert f"model ({count} tensors); both ({2 * count} tensors, such as both.a and both.b)" in (
        caught.value.hint
    )


def test_the_nearest_key_is_named_with_what_does_not_fit(
    tmp_path: Path, weights: dict[str, torch.Tensor]
):
    """As MoCo saves its training: two encoders with heads of their own size, and a queue."""
    tensors = {f"module.encoder_q.{name}": tensor for name, tensor in weights.items()}
    tensors |= {f"module.encoder_q.fc.{name}": torch.ones(2) for name in ("weight", "bias")}
    with pytest.raises(CogError) as caught:
        load(tmp_path / "a.pth", {"state_dict": tensors | {"module.queue": torch.ones(2)}})
    assert caught.value.hint == (
        "nearest is --weights-key state_dict.module.encoder_q, where fc.weight, fc.bias do not fit"
    )


@pytest.mark.parametrize("spec", ["dino_vits16", "torchvision:squeezenet1_1"])
def test_a_key_works_for_other_forms_of_names(tmp_path: Path, spec: str):
    network = cog.load_model(spec, pretrained=False).network
    if spec == "dino_vits16":
        tensors = network.network.state_dict()
        published = {f"backbone.{name}": tensor for name, tensor in tensors.items()}
        published["head.mlp.0.weight"] = torch.ones(2)
        content = {"student": other(published), "teacher": published}
    else:
        tensors = dict(torchvision.models.squeezenet1_1(weights=None).state_dict())
        halves = {name: tensor / 2 for name, tensor in tensors.items()}
        content = {"model": tensors, "model_ema": halves, "epoch": 3}
    file = tmp_path / "a.pth"
    torch.save(content, file)
    keys = list(content)[:2]
    models = [cog.load_model(spec, weights=file, weights_key=key) for key in keys]
    assert models[0].fingerprint != models[1].fingerprint
    if spec == "dino_vits16":
        usual = cog.load_model(spec, weights=file)
        assert usual.fingerprint == models[1].fingerprint
    else:
        with pytest.raises(CogError) as caught:
            cog.load_model(spec, weights=file)
        assert caught.value.hint == (
            "give --weights-key model or --weights-key model_ema: all its tensors fit "
            "(model_ema is a mean over the training)"
        )


def test_a_prefix_before_the_names_of_transformers_is_typed_too(tmp_path: Path):
    """As a training program saves a network of transformers that is a part of its own."""
    pytest.importorskip("transformers")
    from tests.support import small_transformers as small

    folder = small.save("dinov2", tmp_path / "dinov2")
    tensors = load_safetensors(folder / "model.safetensors")
    file = tmp_path / "last.safetensors"
    mine = {f"model.backbone.{name}": tensor for name, tensor in tensors.items()}
    save_file(mine | {"model.head.weight": torch.ones(2)}, file)
    with pytest.raises(CogError, match="does not fit the network") as caught:
        cog.load_model(f"hf:{folder}", weights=file)
    assert caught.value.hint == "give --weights-key model.backbone: all its tensors fit"
    model = cog.load_model(f"hf:{folder}", weights=file, weights_key="model.backbone")
    assert model.fingerprint == cog.load_model(f"hf:{folder}").fingerprint


def test_a_key_chooses_for_a_torch_hub_and_needs_a_file(tmp_path: Path):
    (tmp_path / "hubconf.py").write_text(
        "from torch import nn\ndef net():\n"
        "    return nn.Sequential(nn.Conv2d(3, 2, 224), nn.Flatten())\n"
    )
    spec, file = f"torch-hub:{tmp_path}:net", tmp_path / "a.pth"
    tensors = {"0.weight": torch.ones(2, 3, 224, 224), "0.bias": torch.zeros(2)}
    torch.save({"student": other(tensors), "teacher": tensors}, file)
    with pytest.raises(CogError) as caught:
        cog.load_model(spec, weights=file, trust_checkpoint=True)
    assert caught.value.hint.startswith("give --weights-key student or --weights-key teacher: all")
    model = cog.load_model(spec, weights=file, weights_key="teacher", trust_checkpoint=True)
    assert torch.equal(model.network[0].weight, tensors["0.weight"])
    with pytest.raises(CogError, match="fetches its own weights"):
        cog.load_model(spec, weights_key="teacher", trust_checkpoint=True)


def test_a_key_without_weights_to_choose_from_is_refused(tmp_path: Path):
    with pytest.raises(CogError, match="both weights"):
        cog.load_model(NAME, pretrained=False, weights_key="model")
    (tmp_path / "own.py").write_text("def load(weights=None): pass")
    with pytest.raises(CogError, match="takes no weights_key") as caught:
        cog.load_model(f"{tmp_path / 'own.py'}:load", weights_key="model")
    assert "--weights-key" in caught.value.hint


def test_weights_of_another_network_get_no_hint_of_a_prefix(tmp_path: Path):
    with pytest.raises(CogError) as caught:
        load_strictly(torch.nn.Linear(3, 2), {"other.thing": torch.ones(1)}, "a.pth")
    assert "official file" in caught.value.hint


def test_the_entries_that_hold_the_tensors_are_named(
    tmp_path: Path, weights: dict[str, torch.Tensor]
):
    """As DINO saves its training: student and teacher, each with its head."""
    content = {"student": weights, "teacher": other(weights), "epoch": 1, "loss": {"t": 0.1}}
    with pytest.raises(CogError, match="expected tensors by name, found 4 entries") as caught:
        load(tmp_path / "a.pth", content)
    assert caught.value.hint == (
        "give --weights-key student or --weights-key teacher: all its tensors fit "
        "(teacher is a mean over the training)"
    )
    with pytest.raises(CogError, match="expected tensors by name") as caught:
        read_checkpoint(tmp_path / "a.pth", "state_dict|model|")
    count = len(weights)
    assert f"student ({count} tensors); teacher ({count} tensors)" in caught.value.hint


@pytest.mark.parametrize("content", [[1, 2], {}, {"model": 3}, {"state_dict": None}, 7])
def test_files_without_tensors_are_said_to_be_so(tmp_path: Path, content: object):
    with pytest.raises(CogError, match="expected tensors by name, found"):
        load(tmp_path / "a.pth", content)


# Zips


def declaring(data: bytes, size: int) -> bytes:
    """The zip with another size declared for each of its files, in both places."""
    new = bytearray(data)
    for start, at in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        where = new.find(start)
        while where >= 0:
            struct.pack_into("<I", new, where + at, size)
            where = new.find(start, where + 4)
    return bytes(new)


def bombs() -> dict[str, bytes]:
    inner, torch_zip = io.BytesIO(), io.BytesIO()
    torch.save({"a": torch.zeros(1000)}, inner)
    with zipfile.ZipFile(torch_zip, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a/data.pkl", "a/data/0", "a/version"):
            archive.writestr(name, bytes(100_000))
    ordinary = io.BytesIO()
    with zipfile.ZipFile(ordinary, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.pth", inner.getvalue())
    return {
        "around a file of weights": declaring(ordinary.getvalue(), 0xF0000000),
        "written by torch": declaring(torch_zip.getvalue(), 0xF0000000),
    }


@pytest.mark.parametrize("kind", bombs())
def test_a_zip_bomb_is_refused_by_what_it_declares(tmp_path: Path, kind: str):
    file = tmp_path / "weights.zip"
    file.write_bytes(bombs()[kind])
    with pytest.raises(CogError, match=r"declares that its [\d,]+ bytes unpack to [\d,]+, more"):
        read_safely(file)
    done = call_cog("models", "check", NAME, "--weights", file, cwd=tmp_path)
    assert done.returncode == 2
    assert "declares that its" in done.stderr


def test_a_large_zip_of_large_weights_is_no_bomb(tmp_path: Path):
    """What is stored as it is may have any size; what is small may be zeros."""
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "a.pth", "a.pth")
    assert (tmp_path / "a.zip").stat().st_size < 100_000
    assert read_safely(tmp_path / "a.zip")["a"].shape == (1_000_000,)


# Pickles


ENDLESS = b")" + b"".join(b"q%ch%c\x86" % (number, number) for number in range(60))
BODIES = {
    "as a key": b"}" + ENDLESS + b"K\x01s.",
    "as keys": b"}(" + ENDLESS + b"K\x01u.",
    "in a set": b"cbuiltins\nset\n](" + ENDLESS + b"e\x85R.",
    "in a counter": b"ccollections\nCounter\n}(" + ENDLESS + b"K\x01u\x85R.",
    "as a key of a class": b"ccollections\nOrderedDict\n)R(" + ENDLESS + b"K\x01u.",
}


def as_torch_writes(body: bytes, form: str, crc: bool = True) -> bytes:
    """A file of torch with another pickle inside, in its zip or in its old form."""
    pickled = b"\x80\x02" + body
    if form == "old":
        start = io.BytesIO()
        torch.save({}, start, _use_new_zipfile_serialization=False)
        head = start.getvalue()
        return head[: head.index(b"}q", head.index(b"little")) - 2] + pickled
    usual, file = io.BytesIO(), io.BytesIO()
    torch.save({"a": torch.ones(2)}, usual)
    with zipfile.ZipFile(usual) as given, zipfile.ZipFile(file, "w") as archive:
        for name in given.namelist():
            archive.writestr(name, pickled if name.endswith("data.pkl") else given.read(name))
    data = bytearray(file.getvalue())
    if not crc:
        for start_of, at in ((b"PK\1\2", 16), (b"PK\3\4", 14)):
            struct.pack_into("<I", data, data.index(start_of) + at, 1)
    return bytes(data)


@pytest.mark.parametrize("form", ["zip", "old"])
@pytest.mark.parametrize("body", BODIES)
def test_tuples_whose_hash_takes_for_ever_are_refused(tmp_path: Path, body: str, form: str):
    for crc in (True, False):
        (tmp_path / "a.pth").write_bytes(as_torch_writes(BODIES[body], form, crc))
        assert "hold each other so often" in holds(lambda: read_safely(tmp_path / "a.pth"))


def test_tuples_of_ordinary_files_are_read(tmp_path: Path):
    sizes = tuple((number, (number, number)) for number in range(2000))
    content = {"a": torch.ones(2), "sizes": sizes, (1, (2, 3)): [sizes, sizes]}
    for new in (True, False):
        torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=new)
        assert read_safely(tmp_path / "a.pth")["sizes"] == sizes
