"""The compiled network: batches of one size, what is said, and the network that stays as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import cog
from cog.errors import CogError
from cog.features.failures import OutOfMemory
from cog.features.forward import Forward, embed, forward_of
from cog.features.model_run import ModelRun
from cog.features.run_stores import feature_fingerprint
from cog.features.settings import Extraction
from cog.images.image_list import ImageList
from cog.images.preprocess import Preprocess
from cog.models.model import Model
from tests.support.small_networks import Net

SMALL = Preprocess(resize=8, crop=8)


@pytest.fixture
def shapes(monkeypatch) -> list[tuple[int, ...]]:
    """The shapes that the compiled network gets; in place of torch's compiler, which takes long."""
    seen: list[tuple[int, ...]] = []

    def compile(function, *, dynamic, options):
        assert not dynamic

        def run(x):
            seen.append(tuple(x.shape))
            return function(x)

        return run

    monkeypatch.setattr(torch, "compile", compile)
    monkeypatch.setattr("torch._inductor.list_options", list)
    return seen


def net(seed=0) -> Model:
    return Model(Net(seed), preprocess=SMALL, name="net")


def pixels_of(rows) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (rows, 3, 8, 8), generator=generator, dtype=torch.uint8)


def test_there_is_one_shape_and_short_batches_lose_the_rows_that_fill_them(shapes):
    said: list[str] = []
    forward = forward_of(net(), Extraction(batch_size=5, compile=True), said.append)
    for rows in (5, 3, 1):
        found = forward(pixels_of(rows))
        np.testing.assert_allclose(found, embed(net(), pixels_of(rows)), rtol=1e-5, atol=1e-6)
    assert set(shapes) == {(5, 3, 8, 8)}
    (line,) = said
    assert line.startswith("net: --compile took ")
    assert line.endswith(" s to start, for batches of 5")


def test_without_the_option_nothing_is_compiled(shapes):
    forward_of(net(), Extraction(batch_size=5), lambda _: None)(pixels_of(5))
    assert shapes == []


def test_a_batch_that_does_not_fit_is_compiled_in_a_smaller_size(shapes, monkeypatch):
    forward = Forward(net(), compile_rows=7)

    def most_four(x):
        if len(x) > 4:
            raise RuntimeError("CUDA out of memory")
        return x.flatten(1)

    monkeypatch.setattr(forward.model.network, "forward", most_four)
    expected = SMALL.normalise(pixels_of(7)).flatten(1).numpy()
    assert np.array_equal(forward(pixels_of(7)), expected)
    assert [shape[0] for shape in shapes] == [7, 3, 3, 3]
    monkeypatch.setattr(forward.model.network, "forward", lambda x: most_four(x.repeat(5, 1, 1, 1)))
    with pytest.raises(OutOfMemory, match="on a batch of 1"):
        forward(pixels_of(2))


def test_what_cannot_be_compiled_is_an_error_with_a_hint(monkeypatch):
    def no_compiler(function, **_):
        def run(x):
            raise RuntimeError("No working C++ compiler found in config.cpp.cxx: (None, 'g++')")

        return run

    monkeypatch.setattr(torch, "compile", no_compiler)
    monkeypatch.setattr("torch._inductor.list_options", list)
    with pytest.raises(CogError, match="net cannot be compiled: RuntimeError: No working C") as no:
        Forward(net(), compile_rows=2)(pixels_of(2))
    assert "leave out --compile" in no.value.hint
    assert "g++" in no.value.hint


def test_only_compiled_features_have_it_in_their_fingerprint(tmp_path):
    """So that stores of before stay valid."""
    listing = ImageList(str(tmp_path), "folder", ("a",), np.zeros(1, np.int64), ("n1",), "test")
    model_run = ModelRun(tmp_path, net(), "abc")
    plain = feature_fingerprint(model_run, listing, Extraction())
    compiled = feature_fingerprint(model_run, listing, Extraction(compile=True))
    assert "compile" not in plain
    assert compiled == {**plain, "compile": True}


def test_a_run_says_that_it_is_compiled_and_does_not_go_on_otherwise(
    shapes, images, levels_folder, plug_in, tmp_path
):
    """With the option from the arguments to the fingerprint of the features."""
    options = {
        "images": images, "levels": levels_folder, "only": "L1", "out": tmp_path / "runs",
        "test_per_class": 4, "min_train": 4, "probes": "knn", "seeds": "22", "device": "cpu",
        "batch_size": 5,
    }  # fmt: skip
    cog.evaluate(f"{plug_in}:load", compile=True, **options)
    assert {shape[0] for shape in shapes} == {5}
    (run,) = tmp_path.glob("runs/*/run.json")
    assert json.loads(run.read_text())["extraction"]["compile"]
    with pytest.raises(CogError, match="compile: asked none given, found True"):
        cog.evaluate(f"{plug_in}:load", **options)
    with pytest.raises(CogError, match="tf32: the device cpu has no TF32"):
        cog.evaluate(f"{plug_in}:load", precision="tf32", **options)


PROGRAM = """
import hashlib, sys, torch
from cog.features.forward import Forward, embed
from tests.features.test_compiled import net, pixels_of
torch.set_num_threads(1)
models = [net(seed) for seed in (0, 1)]
before = [{**vars(part)} for model in models for part in model.network.modules()]
digest = hashlib.sha256()
for model in models:
    forward = Forward(model, compile_rows=4)
    found = torch.from_numpy(forward(pixels_of(7)[:4])), torch.from_numpy(forward(pixels_of(7)[4:]))
    expected = torch.from_numpy(embed(model, pixels_of(7)))
    assert (torch.cat(found) - expected).abs().max() <= 1e-5 * expected.abs().max()
    digest.update(torch.cat(found).numpy().tobytes())
assert before == [{**vars(part)} for model in models for part in model.network.modules()]
print(digest.hexdigest())
"""


@pytest.mark.long
def test_two_processes_compile_to_the_same_bytes_and_leave_the_network_alone(tmp_path: Path):
    """With torch's own compiler, each in a folder of its own."""
    found = []
    for name in ("one", "two"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM],
            env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / name)},
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
    assert found[0] == found[1]
