"""Weights files: read without running code, loaded strictly, refused by name."""

from __future__ import annotations

import argparse
import pickle
import re
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from cog.errors import CogError
from cog.models.checkpoints import load_strictly, read_checkpoint, read_safely
from cog.models.download import fetch, hash_prefix, weights_folder
from cog.models.renames import RENAMES, drop_tensors, keep_prefix


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def write(path: Path, content: object, form: str = "zip") -> Path:
    if form == "safetensors":
        save_file(content, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    return path


class Intruder:
    """What a hostile pickle does: unpickling it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_every_form_is_read_whatever_its_name(tmp_path, form):
    wanted = network().state_dict()
    found = read_checkpoint(write(tmp_path / "weights.bin", wanted, form))
    assert sorted(found) == sorted(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_nested_layout_is_read_only_as_asked_for(tmp_path):
    tensors = network().state_dict()
    path = write(tmp_path / "w.pth", {"model": tensors, "epoch": 3})
    assert list(read_checkpoint(path, nested="model")) == list(tensors)
    with pytest.raises(CogError, match="found 2 entries, not tensors: model, epoch"):
        read_checkpoint(path)
    with pytest.raises(CogError, match="an entry 'teacher'"):
        read_checkpoint(path, nested="teacher")


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, form):
    target = tmp_path / "intruder-was-here"
    path = write(tmp_path / "w.pth", {"model": {}, "args": Intruder(target)}, form)
    with pytest.raises(CogError, match="refused, because reading it would run its code"):
        read_checkpoint(path, nested="model")
    assert not target.exists()


def test_the_refused_object_is_named(tmp_path):
    path = write(tmp_path / "w.pth", {"args": argparse.Namespace(lr=1)})
    with pytest.raises(CogError, match=r"argparse\.Namespace"):
        read_safely(path)


def test_a_plain_pickle_is_refused(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps({"weight": Intruder(tmp_path / "intruder-was-here")}))
    with pytest.raises(CogError):
        read_checkpoint(path)
    assert not (tmp_path / "intruder-was-here").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_refused(tmp_path):
    path = tmp_path / "w.pt"
    torch.jit.save(torch.jit.trace(network().eval(), torch.zeros(1, 3, 3, 3)), path)
    with pytest.raises(CogError, match="is TorchScript, which is a program"):
        read_checkpoint(path)


def test_a_web_page_and_half_a_file_are_refused(tmp_path):
    page = tmp_path / "page.pth"
    page.write_text("\n<!DOCTYPE html><html>sign in</html>")
    with pytest.raises(CogError, match="is a web page, not weights"):
        read_checkpoint(page)
    half = tmp_path / "half.pth"
    half.write_bytes(write(tmp_path / "w.pth", network().state_dict()).read_bytes()[:700])
    with pytest.raises(CogError, match="is not a whole weights file"):
        read_checkpoint(half)
    text = tmp_path / "README.md"
    text.write_text("# not weights")
    with pytest.raises(CogError, match="is not a whole weights file"):
        read_checkpoint(text)
    with pytest.raises(CogError, match="no weights file"):
        read_checkpoint(tmp_path / "absent.pth")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=80))
def test_no_bytes_raise_anything_but_a_cog_error(tmp_path, content):
    path = tmp_path / "noise.pth"
    for start in (b"", b"\x80\x02", b"PK\x03\x04", b"\x08\0\0\0\0\0\0\0{"):
        path.write_bytes(start + content)
        with pytest.raises(CogError):
            read_checkpoint(path)


def test_a_strict_load_gives_every_tensor():
    first, second = network(), network()
    load_strictly(second, first.state_dict(), "the file")
    x = torch.randn(2, 3, 3, 3)
    assert torch.equal(first.eval()(x), second.eval()(x))


def test_batch_counts_may_be_absent_as_in_old_files():
    tensors = {
        name: tensor
        for name, tensor in network().state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    load_strictly(network(), tensors, "the file")


@pytest.mark.parametrize("name", [name for name in network().state_dict() if "num_" not in name])
def test_each_missing_renamed_and_misshapen_tensor_is_named(name):
    tensors = OrderedDict(network().state_dict())
    tensor = tensors.pop(name)
    with pytest.raises(
        CogError, match=re.escape(f"w.pth does not fit the network; tensors 1 missing: {name}")
    ):
        load_strictly(network(), tensors, "w.pth")
    tensors["module." + name] = tensor
    with pytest.raises(CogError, match=re.escape(f"missing: {name}; 1 unexpected: module.{name}")):
        load_strictly(network(), tensors, "w.pth")
    del tensors["module." + name]
    tensors[name] = torch.ones(7, 5)
    shape = re.escape(f"1 of another shape: {name} (expected {list(tensor.shape)}, found [7, 5])")
    with pytest.raises(CogError, match=shape):
        load_strictly(network(), tensors, "w.pth")


def test_all_kinds_are_counted_at_once():
    tensors = {"0.weight": torch.ones(1), **{f"queue.{i}": torch.ones(1) for i in range(5)}}
    with pytest.raises(CogError) as caught:
        load_strictly(network(), tensors, "w.pth")
    assert "7 missing: 0.bias, 1.weight, 1.bias and 4 more" in caught.value.what
    assert "5 unexpected: queue.0, queue.1, queue.2 and 2 more" in caught.value.what
    assert "1 of another shape: 0.weight" in caught.value.what


def test_renamings_change_no_tensor_and_nothing_in_place():
    one, two = torch.ones(1), torch.zeros(1)
    given = OrderedDict({"module.fc.bias": one, "queue": two})
    found = keep_prefix(given, "module.")
    assert list(given) == ["module.fc.bias", "queue"]
    assert list(found) == ["fc.bias"]
    assert found["fc.bias"] is one
    assert RENAMES["strip_module"](given) == found


def test_layout_versions_survive_a_renaming(tmp_path):
    path = write(tmp_path / "w.pth", network().state_dict())
    found = keep_prefix(read_checkpoint(path), "")
    assert found._metadata["1"]["version"] == 2  # BatchNorm2d's


def test_what_is_dropped_must_be_there():
    tensors = {"fc.weight": torch.ones(1), "fc.bias": torch.ones(1), "conv": torch.ones(1)}
    assert list(drop_tensors(tensors, ["fc.*"])) == ["conv"]
    with pytest.raises(CogError, match=r"no tensor head\.\*"):
        drop_tensors(tensors, ["head.*"])


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("COG_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "weights"


def test_a_file_is_fetched_once_and_checked(tmp_path, cache):
    source = write(tmp_path / "net-abc.pth", network().state_dict())
    path = fetch(source.as_uri())
    assert path == cache / "net-abc.pth"
    assert path.read_bytes() == source.read_bytes()
    source.unlink()
    assert fetch(source.as_uri()) == path


def test_another_content_is_thrown_away(tmp_path, cache):
    source = write(tmp_path / "w.pth", network().state_dict())
    with pytest.raises(CogError, match="invalid hash value"):
        fetch(source.as_uri(), "w.pth", sha256="0123abcd")
    assert list(cache.iterdir()) == []


def test_no_network_names_the_address_the_place_and_the_option(tmp_path, cache):
    url = (tmp_path / "absent.pth").as_uri()
    with pytest.raises(CogError) as caught:
        fetch(url)
    assert url in caught.value.what
    assert str(cache / "absent.pth") in caught.value.hint
    assert "--weights" in caught.value.hint
    assert list(cache.iterdir()) == []


def test_the_cache_is_the_users_unless_cog_home_is_set(monkeypatch):
    monkeypatch.delenv("COG_HOME", raising=False)
    assert weights_folder().name == "weights"
    assert "cog" in weights_folder().parent.parts


def test_hash_prefixes_follow_the_hubs_convention():
    assert hash_prefix("https://x.org/models/resnet50-0676ba61.pth") == "0676ba61"
    assert hash_prefix("https://x.org/a-2021/last.pth") == ""
