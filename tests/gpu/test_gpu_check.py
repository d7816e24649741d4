"""tools/gpu_check.sh and benchmarks/gpu.py, as they run on a machine with a GPU; here on a CPU."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.support.runs import HANGS_SECONDS

ROOT = Path(__file__).parents[2]
CHECK = ROOT / "tools" / "gpu_check.sh"
SMALL = Namespace(small=True, device="cpu")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def timing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu", ROOT / "benchmarks" / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_check(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(CHECK)], capture_output=True, text=True, cwd=tmp_path,
        env=environment(tmp_path) | variables, timeout=HANGS_SECONDS,
    )  # fmt: skip


def environment(tmp_path: Path) -> dict[str, str]:
    """That of a check, which may itself run these tests: they do not take over its own options."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("COG_GPU")}
    own = {"PYTHON": sys.executable, "TMPDIR": str(tmp_path), "COG_WHEELS": str(tmp_path / "none")}
    return outer | own


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a GPU")
def test_a_machine_without_a_gpu_is_told_so(tmp_path):
    done = run_check(tmp_path)
    assert done.returncode == 2
    (line,) = map(json.loads, done.stdout.splitlines())
    assert line["verdict"] == "cannot start"
    assert line["why"].startswith("no GPU")
    assert list(tmp_path.iterdir()) == []


def test_what_a_python_lacks_is_named(tmp_path):
    """A Python without any package: the one of this process, without its site."""
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    bare.chmod(0o755)
    done = run_check(tmp_path, PYTHON=str(bare))
    assert done.returncode == 2
    why = json.loads(done.stdout.splitlines()[-1])["why"]
    assert "lacks torch torchvision numpy" in why
    assert "wheels" in why


def test_what_a_package_needs_in_turn_is_named(tmp_path):
    """zarr 3.4 needs msgspec, which 3.3 did not: here a zarr that needs what nobody has."""
    package = tmp_path / "site" / "zarr"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import msgspec_of_nobody")
    done = run_check(tmp_path, PYTHONPATH=str(package.parent))
    assert done.returncode == 2
    why = json.loads(done.stdout.splitlines()[-1])["why"]
    assert "lacks msgspec_of_nobody (which zarr needs): give PYTHON" in why


@pytest.mark.long
def test_the_whole_check_runs_on_a_cpu(tmp_path):
    done = run_check(tmp_path, COG_GPU_CHECK_DEVICE="cpu", COG_GPU_CHECK_SECONDS="1500")
    lines = [json.loads(text) for text in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines[-1]["verdict"] == "ok"
    named = [line.get("check") or line.get("benchmark") for line in lines[:-1]]
    assert named[:2] == ["cog doctor", "tests/gpu"]
    assert lines[0]["found"]["agrees"] is True
    assert {"decode", "feed", "forward", "together"} <= lines[0]["found"]["speeds"].keys()
    assert " passed" in lines[1]["summary"]
    steps = "lbfgs", "sgd", "forward-resnet50", "forward-vit"
    assert list(dict.fromkeys(named[2:])) == [f"gpu: {step}" for step in steps]


@pytest.mark.long
def test_an_end_of_the_check_ends_what_it_runs(tmp_path):
    process = subprocess.Popen(
        ["bash", str(CHECK)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment(tmp_path) | {"COG_GPU_CHECK_DEVICE": "cpu"},
    )  # fmt: skip
    for text in process.stderr:
        if text.startswith("comparing"):  # by `cog doctor`
            break
    process.terminate()
    process.communicate(timeout=60)  # until all that have its streams are gone
    assert process.returncode == 143
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["lbfgs", "sgd"])
def test_a_solver_is_timed_and_its_share_of_products_told(timing, step):
    *_, line = lines = list(timing.STEPS[step](CPU, SMALL))
    assert lines[0]["rows"] == 3000
    assert 0 < lines[0]["seconds"] < 600
    assert 0 < lines[0]["share"] < 1
    assert (line["target"], line["met"]) == (timing.TARGETS[step], None)


def test_the_pipeline_is_timed_alone_and_together(timing):
    (line,) = timing.STEPS["pipeline"](CPU, SMALL)
    rates = line["images/s"]
    assert list(rates) == ["decode, one core", "feed", "copy", "network", "together"]
    assert rates["together"].keys() == line["share"].keys()
    assert all(share > 0 for share in line["share"].values())


def test_the_forward_pass_is_timed_in_every_precision_and_order(timing, monkeypatch):
    monkeypatch.setattr(timing, "compiled_line", lambda *_: {"compile": True})
    first, second, compiled = timing.STEPS["forward-resnet50"](CPU, SMALL)
    assert (first["precision"], second["precision"]) == ("fp32", "bf16")
    assert first["images/s, channels first"] > 0
    assert first["images/s, channels last"] > 0
    assert compiled == {"compile": True}


def test_a_network_that_cannot_be_compiled_is_told(timing, monkeypatch):
    def refuse(network):
        raise RuntimeError("no compiler here")

    monkeypatch.setattr("cog.features.compiled.compiled", refuse)
    line = timing.compiled_line(timing.small_model(), "fp32", 2, 0.01)
    assert "no compiler here" in line["refused"]


def test_the_targets_are_for_two_cards(timing, monkeypatch):
    real = Namespace(small=False, device="cuda")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    cuda = torch.device("cuda")
    assert timing.target("lbfgs", 19.0, cuda, real)["met"] is True
    assert timing.target("lbfgs", 21.0, cuda, real)["met"] is False
    assert timing.target("lbfgs", 21.0, CPU, real)["met"] is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "another card")
    assert timing.target("lbfgs", 21.0, cuda, real)["met"] is None


@pytest.mark.parametrize(
    ("code", "bound", "failure"),
    [
        ("print('{}')", 60, ""),
        ("import sys; sys.exit(3)", 60, "it ended with status 3"),
        ("import time; time.sleep(99)", 0.5, "it took more than its 0 s, and was ended"),
        ("print('{\"met\": false}')", 60, "its target is missed"),
    ],
)
def test_a_step_that_fails_or_takes_too_long_is_told(timing, monkeypatch, code, bound, failure):
    monkeypatch.setattr(timing, "command_of", lambda *_: [sys.executable, "-S", "-c", code])
    assert timing.run_step("sgd", bound, SMALL) == failure
