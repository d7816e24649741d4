"""`torch-hub:`: entry points of a repository, run only where they are trusted."""

from __future__ import annotations

import sys
import warnings
import zipfile
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cog.errors import CogError
from cog.images.preprocess import Preprocess
from cog.models.load import load_model
from cog.models.model import Model
from cog.models.sources import from_torch_hub
from tests.support.hub_server import COMMIT
from tests.support.small_networks import prepared_images

trusting = partial(load_model, trust_checkpoint=True)

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
    model = trusting(f"torch-hub:{folder}:features", notify=notices.append)
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
            trusting(f"torch-hub:{folder}:{entry}")
        except CogError:
            assert entry == "breaks"
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (sys.path, warnings.filters) == before[1:]
    assert sys.modules["helpers"] is mine
    assert not (tmp_path / "torch").exists()


def test_repositories_with_modules_of_one_name_do_not_mix(tmp_path):
    wide = repository(tmp_path / "wide", HELPERS.replace("WIDTH = 6", "WIDTH = 9"))
    narrow = repository(tmp_path / "narrow")
    dims = [trusting(f"torch-hub:{folder}:features").dim for folder in (wide, narrow, wide)]
    assert dims == [9, 6, 9]


def test_another_code_is_another_model(tmp_path):
    folder = repository(tmp_path / "repo")
    spec = f"torch-hub:{folder}:features"
    first = trusting(spec).fingerprint
    assert trusting(spec).fingerprint == first
    (folder / "README.md").write_text("no code")
    assert trusting(spec).fingerprint == first
    (folder / "models").mkdir()
    (folder / "models" / "more.py").write_text("A = 1")
    assert trusting(spec).fingerprint != first


def test_a_classifier_is_removed_with_a_message(tmp_path):
    folder = repository(tmp_path / "repo")
    notices: list[str] = []
    model = load_model(
        f"torch-hub:{folder}:classifier", trust_checkpoint=True, notify=notices.append
    )
    assert model.dim == 6
    assert notices[1:] == ["the last layer, a classifier of 1000 classes, is removed"]
    x = prepared_images(2, 224)
    assert torch.equal(model.embed(x), model.network[0](x).detach())
    odd = load_model(
        f"torch-hub:{folder}:side_branch", trust_checkpoint=True, notify=notices.append
    )
    assert odd.dim == 1000
    assert "they are the feature" in notices[-1]


def test_local_weights_are_loaded_strictly(tmp_path):
    folder = repository(tmp_path / "repo")
    spec, path = f"torch-hub:{folder}:classifier", tmp_path / "w.safetensors"
    tensors = trusting(f"torch-hub:{folder}:plain").network.state_dict()
    tensors = {f"0.{key}": value + 1 for key, value in tensors.items()}
    tensors |= {"1.weight": torch.ones(1000, 6), "1.bias": torch.ones(1000)}
    save_file(tensors, path)
    model = trusting(spec, weights=path)
    assert torch.equal(model.network[0].conv.weight, tensors["0.conv.weight"])
    del tensors["1.bias"]
    save_file(tensors, path)
    with pytest.raises(CogError, match=r"1 missing: 1\.bias"):
        trusting(spec, weights=path)


@pytest.mark.parametrize("entry", ["features", "plain"])
def test_untrained_networks_of_an_entry_point(tmp_path, entry):
    folder = repository(tmp_path / "repo")
    notices: list[str] = []
    first = load_model(
        f"torch-hub:{folder}:{entry}",
        pretrained=False,
        trust_checkpoint=True,
        notify=notices.append,
    )
    assert not torch.equal(first.network.conv.weight, torch.ones(6, 3, 8, 8))
    torch.rand(1)
    again = trusting(f"torch-hub:{folder}:{entry}", pretrained=False)
    assert again.fingerprint == first.fingerprint
    assert len(notices) == 1
    trusting(f"torch-hub:{folder}:{entry}", notify=notices.append)
    told = [text for text in notices if "has no option pretrained" in text]
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
            load_model(f"torch-hub:{name}")
        assert "--trust-checkpoint" in caught.value.hint
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("trust", [True, False])
@pytest.mark.parametrize("reference", ["main", "v1.0", COMMIT[:12], COMMIT.upper()])
def test_a_branch_is_refused_as_a_commit(reference, trust):
    with pytest.raises(CogError, match="expected a commit of 40 digits") as caught:
        load_model(f"torch-hub:me/repo:{reference}:net", trust_checkpoint=trust)
    assert "write torch-hub:me/repo:COMMIT:net" in caught.value.hint


@pytest.mark.parametrize("name", ["", "net", "me/repo", "me/repo:net", ":net", "a:b:c:d"])
def test_a_name_of_another_form(name):
    with pytest.raises(CogError, match=f"found torch-hub:{name}") as caught:
        trusting(f"torch-hub:{name}")
    assert "OWNER/REPO:COMMIT:ENTRY" in caught.value.hint
    assert ("there is no folder me/repo" in caught.value.what) == (name == "me/repo:net")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("breaks", "breaks of .*hubconf.py failed: OSError: no network"),
        ("number", "makes a int, not a network"),
        ("featurs", "unknown entry point .*'featurs'"),
        ("a_map", ", found float32"),
    ],
)
def test_an_entry_point_without_a_network_is_refused(tmp_path, entry, message):
    folder = repository(tmp_path / "repo")
    with pytest.raises(CogError, match=message):
        trusting(f"torch-hub:{folder}:{entry}")


def test_a_folder_without_a_hubconf_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CogError, match=r"has no hubconf\.py"):
        trusting(f"torch-hub:{tmp_path / 'empty'}:net")
    folder = repository(tmp_path / "repo")
    (folder / "hubconf.py").write_text("dependencies = ['torch', 'no_such_package']")
    with pytest.raises(CogError, match="needs no_such_package") as caught:
        trusting(f"torch-hub:{folder}:net")
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

    monkeypatch.setattr(from_torch_hub, "fetch", fetch)
    name = f"me/repo:{COMMIT}:features"
    first = trusting(f"torch-hub:{name}")
    assert first.name == "torch-hub-me-repo-0123456789-features"
    assert trusting(f"torch-hub:{name}").fingerprint == first.fingerprint
    assert asked == [f"https://github.com/me/repo/archive/{COMMIT}.zip"]
    kept = [path.name for path in (tmp_path / "home" / "torch-hub").iterdir()]
    assert kept == [f"me_repo_{COMMIT}"]
    assert isinstance(first, Model)


def test_an_archive_that_is_not_a_zip_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("COG_HOME", str(tmp_path / "home"))
    (tmp_path / "a.zip").write_text("<html>")
    monkeypatch.setattr(from_torch_hub, "fetch", lambda *_: tmp_path / "a.zip")
    with pytest.raises(CogError, match="is not a zip archive"):
        trusting(f"torch-hub:me/repo:{COMMIT}:net")
    assert list((tmp_path / "home").rglob("*")) == []
