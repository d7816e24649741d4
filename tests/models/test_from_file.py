"""`file.py:function`: networks of the user's own."""

from __future__ import annotations

import sys

import pytest
import torch

from cog.errors import CogError
from cog.models.load import load_model
from tests.support.plug_ins import plugin
from tests.support.small_networks import Net


def test_files_of_one_name_do_not_mix(tmp_path):
    specs = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / "neighbour_of_mine.py").write_text("")
        code = f"import neighbour_of_mine\ndef load(): return cog.Model(Net({seed}), preprocess=P)"
        specs.append(plugin(folder, code))
    first, second = (load_model(spec).fingerprint for spec in specs)
    assert first != second
    assert load_model(specs[0]).fingerprint == first
    assert "mine" not in sys.modules


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def load(): return nn.Identity()", "returned a Identity, not a cog.Model"),
        ("def load(): raise KeyError('lost')", "load failed: KeyError: 'lost'"),
        ("def load(path): return None", "failed: TypeError: load"),
        ("1 / 0", r"mine.py failed: ZeroDivisionError"),
        ("def load(:", r"mine.py failed: SyntaxError"),
        ("def laod(): pass", "unknown function of .* 'load'"),
    ],
)
def test_a_plug_in_that_fails_says_why(tmp_path, code, message):
    with pytest.raises(CogError, match=message):
        load_model(plugin(tmp_path, code))


def test_a_plug_in_that_is_not_there(tmp_path):
    with pytest.raises(CogError, match="no file"):
        load_model(f"{tmp_path}/absent.py:load")
    with pytest.raises(CogError, match="names no function"):
        load_model("mine.py")
    spec = plugin(tmp_path, "def load(): return cog.Model(Net(), preprocess=P)")
    with pytest.raises(CogError, match=r"takes no weights.*w\.pth") as caught:
        load_model(spec, weights=tmp_path / "w.pth")
    assert "def load(weights=None)" in caught.value.hint


def test_a_plug_in_is_given_a_file_of_weights(tmp_path):
    code = """
def load(weights=None):
    return cog.Model(Net(), preprocess=P, name=weights.stem if weights else "own")
"""
    spec = plugin(tmp_path, code)
    assert load_model(spec).name == "own"
    assert load_model(spec, weights=tmp_path / "epoch3.pth").name == "epoch3"


def test_a_plug_in_is_called_by_its_own_name_unless_another_is_given(tmp_path):
    spec = plugin(tmp_path, "def load(): return cog.Model(Net(), preprocess=P, name='my net')")
    assert load_model(spec).name == "my-net"
    assert load_model(spec, name="run 7").name == "run-7"
    unnamed = plugin(tmp_path, "def load(): return cog.Model(Net(), preprocess=P)")
    assert load_model(unnamed).name == "Net"


def test_an_untrained_plug_in_forgets_all_that_it_learned(tmp_path):
    for seed in (1, 2):
        spec = plugin(tmp_path, f"def load(): return cog.Model(Net({seed}), preprocess=P)")
        model = load_model(spec, pretrained=False)
        if seed == 1:
            first = model.network.state_dict()
    second = model.network.state_dict()
    assert all(torch.equal(second[key], value) for key, value in first.items())
    assert torch.equal(model.network.norm.running_mean, torch.zeros(5))
    assert 0 < model.network.scale.abs().max() < 0.1
    loaded, made = load_model(spec).network.state_dict(), Net(2).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in made.items())


def test_an_untrained_plug_in_that_cannot_be_drawn_anew_is_refused(tmp_path):
    code = """
def load():
    network = Net()
    network.norm.reset_parameters = lambda how: None
    return cog.Model(network, preprocess=P)
"""
    with pytest.raises(CogError, match=r"norm, a BatchNorm\S+, cannot be drawn anew: TypeError"):
        load_model(plugin(tmp_path, code), pretrained=False)


@pytest.mark.parametrize("code", ["import sys; sys.exit(3)", "def load(): raise SystemExit(3)"])
def test_a_plug_in_that_ends_the_program_is_refused(tmp_path, code):
    with pytest.raises(CogError, match="failed: SystemExit: 3"):
        load_model(plugin(tmp_path, code))
