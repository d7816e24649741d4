"""Weights files: read without running code, loaded strictly, refused by name."""

from __future__ import annotations

import argparse
import os
import pickle
import re
import sys
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from cog.errors import CogError
from cog.models.weights.checkpoints import load_strictly, read_checkpoint
from cog.models.weights.published_names import RENAMES
from cog.models.weights.reading import read_safely, sha256_of
from cog.models.weights.renames import drop_tensors, strip_prefix


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
    path = write(tmp_path / "w.pth", {"folder": Path("/data")})
    with pytest.raises(CogError, match=r"pathlib(\._local)?\.PosixPath"):
        read_safely(path)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_harmless_things_beside_the_tensors_are_read_past(tmp_path, form):
    content = {
        "model": network().state_dict(),
        "args": argparse.Namespace(lr=0.1, arch="resnet50"),
        "best_err1": np.float64(22.5),
        "best_count": np.int64(3),
        "optimizer": torch.optim.SGD(network().parameters(), 0.1, momentum=0.9).state_dict(),
    }
    found = read_safely(write(tmp_path / "w.pth", content, form))
    assert found["args"].arch == "resnet50"
    assert float(found["best_err1"]) == 22.5
    assert list(read_checkpoint(tmp_path / "w.pth", "model")) == list(network().state_dict())


def test_numpy_numbers_of_files_written_before_numpy_2(tmp_path):
    path = write(tmp_path / "w.pth", {"err": np.float64(22.5), "w": torch.ones(1)}, "legacy")
    data = path.read_bytes()
    old, new = b"numpy.core.multiarray", b"numpy._core.multiarray"
    assert old in data or new in data
    path.write_bytes(data.replace(new, old))
    assert float(read_safely(path)["err"]) == 22.5


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_settings_of_yacs_are_read_without_yacs(tmp_path, form, monkeypatch):
    node = type("CfgNode", (dict,), {"__module__": "yacs.config"})
    for name in ("yacs", "yacs.config"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["yacs.config"].CfgNode = node
    config = node(DATA=node(IMG_SIZE=224))
    config.__dict__["__immutable__"] = True
    path = write(tmp_path / "w.pth", {"model": {"w": torch.ones(1)}, "config": config}, form)
    monkeypatch.undo()
    found = read_safely(path)["config"]
    assert found["DATA"]["IMG_SIZE"] == 224
    assert type(found) is OrderedDict  # nothing of that library's, installed or not


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize(
    "thing",
    [defaultdict(int), np.zeros(2), nn.Linear(1, 1), torch.save],
    ids=lambda x: type(x).__name__,
)
def test_nothing_else_is_read(tmp_path, form, thing):
    path = write(tmp_path / "w.pth", {"model": {"w": torch.ones(1)}, "thing": thing}, form)
    with pytest.raises(CogError, match=r"holds Python objects besides tensors \(\w+\.\S+\)"):
        read_checkpoint(path, "model")


def test_what_torch_may_read_elsewhere_is_unchanged(tmp_path):
    before = list(torch.serialization.get_safe_globals())
    read_safely(write(tmp_path / "w.pth", {"args": argparse.Namespace()}))
    with pytest.raises(CogError):
        read_safely(write(tmp_path / "p.pth", {"path": Path("/data")}))
    assert torch.serialization.get_safe_globals() == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "w.pth", weights_only=True)


def test_the_first_of_several_entries_is_used_and_tensors_without_one_if_allowed(tmp_path):
    ema, raw = ({"w": torch.full((1,), value)} for value in (1.0, 2.0))
    path = write(tmp_path / "w.pth", {"state_dict": raw, "state_dict_ema": ema})
    assert read_checkpoint(path, "state_dict_ema|state_dict")["w"] == 1
    assert read_checkpoint(path, "model|state_dict")["w"] == 2
    with pytest.raises(CogError, match="an entry 'model' or 'network'"):
        read_checkpoint(path, "model|network")
    bare = write(tmp_path / "bare.pth", raw)
    assert read_checkpoint(bare, "state_dict|")["w"] == 2


def test_the_state_of_pycls_with_the_lower_error_is_used(tmp_path):
    states = {"model_state": {"w": torch.ones(1)}, "ema_state": {"w": torch.zeros(1)}}
    for ema_error, expected in ((20.0, 0), (24.0, 1)):
        content = states | {"test_err": 22.0, "ema_err": ema_error, "cfg": "MODEL: effnet"}
        path = write(tmp_path / "w.pyth", content)
        assert read_checkpoint(path, "pycls")["w"] == expected


def test_one_weights_file_in_a_zip_is_read_through(tmp_path):
    inner = write(tmp_path / "inner.pth.tar", {"network": network().state_dict()})
    path = tmp_path / "release.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inner, "folder/inner.pth.tar")
        archive.writestr("folder/README.txt", "weights")
    assert list(read_checkpoint(path, "network")) == list(network().state_dict())
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(inner, "folder/other.pth")
    with pytest.raises(CogError, match=r"a zip with 2 weights files: folder/inner\.pth\.tar"):
        read_checkpoint(path, "network")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("README.txt", "nothing")
    with pytest.raises(CogError, match="a zip with no weights files"):
        read_checkpoint(tmp_path / "empty.zip")


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_a_zip_may_be_compressed_and_hold_any_form_of_file(tmp_path, form):
    inner = write(tmp_path / "inner", network().state_dict(), form)
    path = tmp_path / "model_best.pth.tar"  # as it is named in the cache
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(inner, "folder/inner.pth")
    before = sorted(tmp_path.iterdir())
    assert sorted(read_checkpoint(path)) == sorted(network().state_dict())
    assert sorted(tmp_path.iterdir()) == before


def test_code_in_a_file_in_a_zip_is_refused(tmp_path):
    target = tmp_path / "intruder-was-here"
    inner = write(tmp_path / "inner.pth", {"w": Intruder(target)})
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.write(inner, "inner.pth")
    with pytest.raises(CogError, match="its code"):
        read_checkpoint(tmp_path / "w.zip")
    assert not target.exists()


def test_files_that_macos_adds_to_a_zip_are_ignored(tmp_path):
    inner = write(tmp_path / "inner.pth", {"w": torch.ones(1)})
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.write(inner, "folder/inner.pth")
        archive.writestr("__MACOSX/folder/._inner.pth", b"\0\5\26\7")
        archive.writestr("folder/version", "1.0")
    assert read_checkpoint(tmp_path / "w.zip")["w"] == 1


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [("flags", 1, "encrypted"), ("method", 97, "compression"), ("data", None, "decompressing")],
)
def test_a_zip_that_cannot_be_unpacked_is_refused(tmp_path, place, value, reason):
    path = tmp_path / "w.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(write(tmp_path / "inner.pth", {"w": torch.ones(1)}), "inner.pth")
    content = bytearray(path.read_bytes())
    entry = content.find(b"PK\x01\x02")  # the table of contents repeats the header of the file
    if place == "data":
        content[39:entry] = b"\xff" * (entry - 39)
    else:
        content[{"flags": 6, "method": 8}[place]] = value
        content[entry + {"flags": 8, "method": 10}[place]] = value
    path.write_bytes(content)
    with pytest.raises(CogError, match=f"cannot be unpacked: .*{reason}"):
        read_checkpoint(path)


def test_a_call_of_the_system_is_named(tmp_path):
    class Caller:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/intruder-was-here",)

    path = write(tmp_path / "w.pth", {"w": Caller()})
    with pytest.raises(CogError, match=r"holds Python objects besides tensors \(\w+\.system\)"):
        read_checkpoint(path)
    assert not (tmp_path / "intruder-was-here").exists()


@pytest.mark.parametrize("protocol", [4, 5])
def test_a_newer_pickle_is_refused_unless_it_is_known_and_trusted(tmp_path, protocol):
    path = tmp_path / "w.pth"
    torch.save({"w": torch.ones(1)}, path, pickle_protocol=protocol)
    with pytest.raises(CogError, match=r"protocol 4 or 5.*its code"):
        read_checkpoint(path)
    assert read_checkpoint(path, trusted=sha256_of(path))["w"] == 1


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


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_of_a_known_hash_is_read_if_it_is_trusted(tmp_path):
    path = tmp_path / "w.pt"
    wanted = network().eval()
    torch.jit.save(torch.jit.trace(wanted, torch.zeros(1, 3, 3, 3)), path)
    found = read_checkpoint(path, trusted=sha256_of(path))
    assert torch.equal(found["0.weight"], wanted[0].weight)
    with pytest.raises(CogError, match=f"expected sha256 {'0' * 64}, found {sha256_of(path)}"):
        read_checkpoint(path, trusted="0" * 64)
    with pytest.raises(CogError, match=r"cannot be trusted: only the start"):
        read_checkpoint(path, trusted=sha256_of(path)[:8])


def test_a_pickle_of_a_known_hash_is_read_if_it_is_trusted(tmp_path):
    target = tmp_path / "intruder-was-here"
    path = write(tmp_path / "w.pth", {"model": {"w": torch.ones(1)}, "args": Intruder(target)})
    with pytest.raises(CogError, match="is not the official file"):
        read_checkpoint(path, "model", trusted="1" * 64)
    assert not target.exists()
    assert read_checkpoint(path, "model", trusted=sha256_of(path))["w"] == 1


def test_a_trusted_pickle_whose_code_is_absent_is_refused(tmp_path, monkeypatch):
    thing = type("Thing", (), {"__module__": "absent_module"})
    monkeypatch.setitem(sys.modules, "absent_module", ModuleType("absent_module"))
    sys.modules["absent_module"].Thing = thing
    path = write(tmp_path / "w.pth", {"model": {"w": torch.ones(1)}, "thing": thing()})
    monkeypatch.undo()
    with pytest.raises(CogError, match=r"its code fails: ModuleNotFoundError.*absent_module"):
        read_checkpoint(path, "model", trusted=sha256_of(path))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("form", ["pickle", "torchscript"])
def test_a_zip_around_a_program_is_trusted_by_the_hash_of_the_zip(tmp_path, form):
    inner, wanted = tmp_path / "inner.pt", network().eval()
    if form == "pickle":
        write(inner, {"model": wanted.state_dict(), "args": Path("/data")})
    else:
        torch.jit.save(torch.jit.trace(wanted, torch.zeros(1, 3, 3, 3)), inner)
    path = tmp_path / "w.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inner, "folder/inner.pt")
    with pytest.raises(CogError, match="its code"):
        read_checkpoint(path, "model|")
    found = read_checkpoint(path, "model|", trusted=sha256_of(path))
    assert torch.equal(found["0.weight"], wanted[0].weight)


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
def test_any_bytes_are_read_or_raise_a_cog_error(tmp_path, content):
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
    one = torch.ones(1)
    given = OrderedDict({"module.fc.bias": one})
    found = strip_prefix(given, ["module."])
    assert list(given) == ["module.fc.bias"]
    assert list(found) == ["fc.bias"]
    assert found["fc.bias"] is one


def test_names_without_the_prefix_and_names_that_fall_together_are_refused():
    tensors = {"module.w": torch.ones(1), "queue": torch.ones(1)}
    with pytest.raises(CogError, match=r"names that start with module\., found queue"):
        strip_prefix(tensors, ["module."])
    with pytest.raises(CogError, match="two tensors of the file have the name w"):
        strip_prefix({"module.w": torch.ones(1), "w": torch.ones(1)}, ["module.", ""])


def test_names_that_become_one_are_refused():
    both = {"stem.bn.bias": torch.ones(1), "bn1.bias": torch.ones(1)}
    with pytest.raises(CogError, match=r"the name bn1\.bias after renaming"):
        RENAMES["pycls"](both)


def test_layout_versions_survive_a_renaming(tmp_path):
    path = write(tmp_path / "w.pth", network().state_dict())
    found = strip_prefix(read_checkpoint(path), [""])
    assert found._metadata["1"]["version"] == 2  # BatchNorm2d's


def test_what_is_dropped_must_be_there():
    tensors = {"fc.weight": torch.ones(1), "fc.bias": torch.ones(1), "conv": torch.ones(1)}
    assert list(drop_tensors(tensors, ["fc.*"])) == ["conv"]
    with pytest.raises(CogError, match=r"no tensor head\.\*"):
        drop_tensors(tensors, ["head.*"])
    assert list(drop_tensors(tensors, ["?head.*", "?fc.*"])) == ["conv"]
