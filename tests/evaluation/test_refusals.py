"""Why a store is refused: every field that its numbers depend on, named where it differs."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
import torch

import cog.features.run_stores
from cog.errors import CogError
from cog.evaluation.run import run_plan
from cog.features.store.store import FeatureStore
from cog.partial_files import partial_name
from cog.progress import Silent
from cog.recipe import Recipe
from tests.support.runs import make_plan

PLUG_IN = """
import torch
import cog

class Means(torch.nn.Module):
    def __init__(self, weights):
        super().__init__()
        state = torch.load(weights) if weights else {"scale": torch.ones(3)}
        self.scale = torch.nn.Parameter(state["scale"])
    def forward(self, x):
        return self.scale * x.mean((2, 3))

class Largest(Means):
    def forward(self, x):
        return self.scale * x.amax((2, 3))

def of(network, **prepared):
    return cog.Model(network, preprocess=cog.Preprocess(**{"resize": 16, "crop": 16, **prepared}),
                     name="means")
def load(weights=None): return of(Means(weights))
def largest(weights=None): return of(Largest(weights))
def smaller_crop(weights=None): return of(Means(weights), crop=14)
def larger_resize(weights=None): return of(Means(weights), resize=18)
def bilinear(weights=None): return of(Means(weights), interpolation="bilinear")
def half(weights=None): return of(Means(weights), mean=(0.5, 0.5, 0.5))
"""

FINGERPRINT = {
    "format": 1,
    "model": "abc",
    "preprocess": {"resize": 16, "crop": 16},
    "images": "def",
    "rows": 4,
    "precision": "fp32",
    "dtype": "float16",
    "decoder": "pillow",
}


def named(refusal: CogError) -> set[str]:
    """The fields that a refusal says differ."""
    assert refusal.hint
    return set(re.findall(r"(?:\(|; )(\w+): asked ", refusal.what))


@pytest.mark.parametrize("field", FINGERPRINT)
def test_each_field_is_named_alone_with_both_its_values(field):
    other = FINGERPRINT | {field: "other"}
    without = {key: value for key, value in FINGERPRINT.items() if key != field}
    sides = (FINGERPRINT, other), (other, FINGERPRINT), (FINGERPRINT, without)
    for found, asked in (*sides, (without, FINGERPRINT)):  # one side may lack it
        with pytest.raises(CogError, match="features of something else") as caught:
            FeatureStore(Path("a.zarr"), found, 4, 3, 4, "float16").require(asked)
        assert named(caught.value) == {field}
        new, old = (side.get(field, "none given") for side in (asked, found))
        assert f"asked {new}, found {old}" in caught.value.what


def test_fields_that_differ_are_named_together():
    other = FINGERPRINT | {"model": "x", "rows": 5}
    with pytest.raises(CogError) as caught:
        FeatureStore(Path("a.zarr"), FINGERPRINT, 4, 3, 4, "float16").require(other)
    assert named(caught.value) == {"model", "rows"}


@pytest.fixture(scope="module")
def plug_in(tmp_path_factory) -> Path:
    """Networks that differ in one thing each, and two files of weights beside them."""
    folder = tmp_path_factory.mktemp("refusals")
    (folder / "nets.py").write_text(PLUG_IN)
    for name, scale in (("first.pth", 2.0), ("second.pth", 3.0)):
        torch.save({"scale": torch.full((3,), scale)}, folder / name)
    return folder / "nets.py"


@pytest.fixture(scope="module")
def options(images, levels_folder, plug_in):
    """Options of a plan for the small images."""
    return {
        "images": images, "levels": levels_folder, "test_per_class": 4, "min_train": 4,
        "device": "cpu", "weights": plug_in.with_name("first.pth"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def features(options, plug_in, tmp_path_factory) -> Path:
    """A run's features alone: without the lists and run.json, which would refuse other images and
    other models first.
    """
    out = tmp_path_factory.mktemp("features")
    run_plan(make_plan(f"{plug_in}:load", out=out, **options).without_cells(), Silent())
    shutil.rmtree(out / "splits")
    (out / "means" / "run.json").unlink()
    return out


OTHERWISE = {
    "network": ("largest", {}, {"model"}),
    "weights file": ("load", {"weights": "second.pth"}, {"model"}),
    "crop": ("smaller_crop", {}, {"model", "preprocess"}),
    "resize": ("larger_resize", {}, {"model", "preprocess"}),
    "interpolation": ("bilinear", {}, {"model", "preprocess"}),
    "mean": ("half", {}, {"model", "preprocess"}),
    "split": ("load", {"recipe": Recipe(split_seed=23)}, {"images"}),
    "size of the split": ("load", {"test_per_class": 5}, {"images", "rows"}),
    "decoder": ("load", {"decoder": "pillow"}, {"decoder"}),
    "precision": ("load", {"precision": "bf16"}, {"precision"}),
    "dtype": ("load", {"dtype": "float32"}, {"dtype"}),
}


@pytest.mark.parametrize("case", OTHERWISE)
def test_features_made_otherwise_are_refused(options, plug_in, features, case):
    function, change, fields = OTHERWISE[case]
    if "weights" in change:
        change = {"weights": plug_in.with_name(change["weights"])}
    check_refused(f"{plug_in}:{function}", features, options | change, fields)


def check_refused(model: str, features: Path, options: dict, fields: set[str]) -> None:
    """No plan is made, the fields and the store are named, and nothing is written."""
    before = {path: path.read_bytes() for path in features.rglob("*") if path.is_file()}
    with pytest.raises(CogError, match="features of something else") as caught:
        make_plan(model, out=features, **options)
    assert named(caught.value) == fields
    assert f"{features / 'means' / 'features'}" in caught.value.what
    assert {path: path.read_bytes() for path in features.rglob("*") if path.is_file()} == before


def test_another_name_of_an_image_is_another_list(options, plug_in, features, tmp_path):
    images = shutil.copytree(options["images"], tmp_path / "renamed")
    for folder in images.iterdir():
        first = min(folder.iterdir())
        first.rename(first.with_stem(f"{first.stem}0"))
    check_refused(f"{plug_in}:load", features, options | {"images": images}, {"images"})


def test_another_version_of_the_numbers_is_refused(options, plug_in, features, monkeypatch):
    monkeypatch.setattr(cog.features.run_stores, "FORMAT", cog.features.run_stores.FORMAT + 1)
    check_refused(f"{plug_in}:load", features, options, {"format"})


def test_a_store_of_another_decoder_is_refused_for_the_default(options, plug_in, tmp_path):
    pillow = make_plan(f"{plug_in}:load", out=tmp_path, decoder="pillow", **options)
    run_plan(pillow.without_cells(), Silent())
    check_refused(f"{plug_in}:load", tmp_path, options, {"decoder"})


def test_what_changes_no_number_is_not_refused(options, plug_in, features):
    for change in (
        {"batch_size": 3}, {"chunk_rows": 2}, {"workers": 3}, {"device": "cpu,cpu"},
        {"min_train": 2}, {"only": "L1"}, {"seeds": (37,)},
    ):  # fmt: skip
        make_plan(f"{plug_in}:load", out=features, **options | change)


def test_run_json_names_the_preprocessing_that_differs(options, plug_in, tmp_path):
    run_plan(make_plan(f"{plug_in}:load", out=tmp_path, **options).without_cells(), Silent())
    with pytest.raises(CogError, match=r"holds another model .*\(crop 16, now 14; fingerprint"):
        make_plan(f"{plug_in}:smaller_crop", out=tmp_path, **options)
    with pytest.raises(CogError, match=r"holds another model under that name \(fingerprint"):
        make_plan(f"{plug_in}:largest", out=tmp_path, **options)


def test_half_written_files_beside_run_json_go(options, plug_in, tmp_path):
    left = tmp_path / "means" / partial_name(Path("run.json"))
    left.parent.mkdir()
    left.touch()
    os.utime(left, (0, 0))
    run_plan(make_plan(f"{plug_in}:load", out=tmp_path, **options).without_cells(), Silent())
    assert not left.exists()
