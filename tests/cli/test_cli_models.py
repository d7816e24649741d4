"""`cog models`: results on stdout, talk on stderr, findings in the exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cog.cli.models import models
from cog.errors import CogError
from cog.models.zoo import read_zoo

PLUGIN = """
import cog, torch
from torch import nn


class Features(nn.Module):
    def forward(self, x):
        features = x.mean((2, 3))
        return features {change}


def load():
    return cog.Model(Features(), preprocess=cog.Preprocess(8, 8), name="mine")
"""


def call(*arguments: str):
    return CliRunner().invoke(models, arguments)


def write_plugin(folder: Path, change: str = "") -> str:
    path = folder / "mine.py"
    path.write_text(PLUGIN.format(change=change))
    return f"{path}:load"


def test_the_list_has_every_row():
    done = call("list")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["name", "family", "year", "size"]
    assert [line.split()[0] for line in lines[1:]] == list(read_zoo())


def test_the_json_list_is_the_table():
    found = json.loads(call("list", "--json").stdout)
    assert [row["name"] for row in found] == list(read_zoo())
    assert [*found[0]][:7] == [
        "name",
        "family",
        "year",
        "size",
        "dimension",
        "licence",
        "seen_data",
    ]


def test_the_list_does_not_load_torch():
    code = (
        "import sys; from cog.cli.models import models; "
        "models(['list'], standalone_mode=False); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_show_says_what_an_alias_means_and_where_the_weights_go(tmp_path, monkeypatch):
    monkeypatch.setenv("COG_HOME", str(tmp_path))
    done = call("show", "dino")
    assert done.stderr == "dino means dino_resnet50\n"
    path = tmp_path / "weights" / "dino_resnet50" / "dino_resnet50_pretrain.pth"
    assert f"{path} (not downloaded yet)" in done.stdout
    assert "Apache-2.0" in done.stdout
    assert call("show", "dino_resnet50").stderr == ""


def test_an_unknown_name_is_an_error():
    error = call("show", "sup_resnet51").exception
    assert isinstance(error, CogError)
    assert "sup_resnet50" in error.hint


def test_a_sound_plug_in_passes(tmp_path):
    done = call("check", write_plugin(tmp_path))
    assert done.exit_code == 0, done.output
    assert "float32[4, 3], all finite" in done.stdout
    assert done.stdout.count(" ok") == 5
    assert done.stdout.startswith("name                                    mine\n")


@pytest.mark.parametrize("change", ["- features.mean(0)", "* torch.nan", "[:, :, None]"])
def test_an_unsound_plug_in_is_a_finding(tmp_path, change):
    done = call("check", write_plugin(tmp_path, change))
    assert done.exit_code == 1, done.output
    assert "FAILED" in done.stdout


def test_stderr_says_what_an_alias_means():
    done = call("check", "dino", "--no-pretrained")
    assert done.exit_code == 0, done.output
    assert done.stderr == "dino means dino_resnet50\n"
    assert "float32[4, 2048], all finite" in done.stdout


def test_filters_of_the_list():
    def listed(*options):
        return [row["name"] for row in json.loads(call("list", "--json", *options).stdout)]

    assert len(listed("--benchmark")) == 31
    assert "mae_vitb16" in listed("--family", "masked-image")
    assert "dino_resnet50" not in listed("--family", "masked-image")
    assert "clip_resnet50" not in listed("--seen", "IN-1K")
    small = listed("--max-size", "10")
    assert "efficientnet_b1" in small
    assert "sup_resnet50" not in small
    assert {"swav_resnet50", "aimv2_vitl14", "nat_m4"}.isdisjoint(listed("--commercial"))
    assert set(listed("--state", "unpublished")) == {"peco_vitb16", "cim_vitb16"}
    error = call("list", "--family", "supervise").exception
    assert "supervised" in error.hint


def test_a_download_of_what_is_here_gives_its_path(tmp_path, monkeypatch):
    monkeypatch.setenv("COG_HOME", str(tmp_path))
    place = tmp_path / "weights" / "dino_resnet50" / "dino_resnet50_pretrain.pth"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"weights")
    assert call("download", "dino").stdout == f"{place}\n"
    assert "cached" in call("show", "dino").stdout
    error = call("download", "compress").exception
    assert "drive.google.com" in error.hint


def test_quirks_and_the_way_to_the_weights_are_shown():
    shown = call("show", "simclrv2").stdout
    assert "symmetric-max-pool" in shown
    assert "imagenet-statistics" in shown
    assert "Separius/SimCLRv2-Pytorch" in shown


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (".unknown", "output                                  FAILED: mine fails on float32[4"),
        ("* 1e-9", "kept by float16                         FAILED: the features of 4 of 4"),
    ],
)
def test_check_ends_with_a_verdict_and_status_1(tmp_path, change, said):
    done = call("check", write_plugin(tmp_path, change))
    assert done.exit_code == 1
    assert said in done.stdout
