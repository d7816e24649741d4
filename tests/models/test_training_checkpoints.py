"""What training programs save: sets of weights, prefixes and entries; and zips that are bombs."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest
import timm
import torch

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
        f"{file} has the sets of weights state_dict and state_dict_ema: "
        "state_dict_ema (a mean over the training) is read"
    ]


def test_which_of_two_entries_is_read_is_said_for_any_layout(tmp_path: Path):
    tensors = {"a": torch.ones(1), "b": torch.ones(2)}
    torch.save({"model": tensors, "model_ema": other(tensors)}, tmp_path / "a.pth")
    said: list[str] = []
    read_checkpoint(tmp_path / "a.pth", "state_dict|model|", notify=said.append)
    assert said == [f"{tmp_path / 'a.pth'} has the sets of weights model and model_ema: "
                    "model is read"]  # fmt: skip


@pytest.mark.parametrize("prefix", ["model.", "module.backbone.", "student.encoder.net."])
def test_a_common_prefix_is_named_in_the_hint(
    tmp_path: Path, weights: dict[str, torch.Tensor], prefix: str
):
    content = {f"{prefix}{name}": tensor for name, tensor in weights.items()}
    shown = prefix.removeprefix("module.")  # which timm takes off
    for given in (content, {"state_dict": content}):
        with pytest.raises(CogError, match="does not fit the network") as caught:
            load(tmp_path / "a.ckpt", given)
        assert f"begin with {shown!r}" in caught.value.hint
        assert f"removeprefix({shown!r})" in caught.value.hint


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
    assert "entries student, teacher hold tensors" in caught.value.hint
    assert "['teacher']" in caught.value.hint
    with pytest.raises(CogError, match="nothing but tensors") as caught:
        read_checkpoint(tmp_path / "a.pth", "state_dict|model|")
    assert "entries student, teacher hold tensors" in caught.value.hint


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
