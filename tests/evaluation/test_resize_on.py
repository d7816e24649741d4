"""`--resize-on device` from end to end, with a CPU as the device and a stand-in for nvJPEG."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import cog
from cog.errors import CogError
from cog.features.settings import Extraction
from cog.features.store.store import FeatureStore
from cog.images import nvjpeg
from cog.images.decoding import decode
from tests.support.runs import call_cog

SIDES = (40, 130, 200, 300)


@pytest.fixture(scope="module")
def photos(tmp_path_factory, wnids: Sequence[str]) -> Path:
    """JPEGs of many sizes, and a PNG, a truncated one and an unreadable one a concept."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number, wnid in enumerate(wnids[:3]):
        (root / wnid).mkdir()
        for index in range(12):
            low = rng.integers(0, 200, (5, 4, 3), dtype=np.uint8) + np.uint8(20 * number)
            size = SIDES[index % 4], SIDES[rng.integers(4)]
            image = Image.fromarray(low).resize(size, Image.Resampling.BICUBIC)
            image.save(root / wnid / f"{wnid}_{index}.jpg", quality=90)
        image.save(root / wnid / f"{wnid}_12.png")
        whole = (root / wnid / f"{wnid}_3.jpg").read_bytes()
        (root / wnid / f"{wnid}_13.jpg").write_bytes(whole[: len(whole) // 2])
    return root


@pytest.fixture(scope="module")
def models(tmp_path_factory, plug_in: Path) -> list[str]:
    """Two networks of different geometries; the second one is built on the first."""
    other = tmp_path_factory.mktemp("models") / "nets.py"
    lines = plug_in.read_text() + (
        "def oblong(): return cog.Model(Colours(), name='oblong', preprocess=cog.Preprocess("
        "resize=(20, 30), crop=None, interpolation='bilinear', mean=(0.5,) * 3))\n"
    )
    other.write_text(lines)
    return [f"{other}:load", f"{other}:oblong"]


@pytest.fixture(scope="module")
def options(photos: Path, models: list[str], tmp_path_factory, wnids) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("levels")
    (folder / "eligible.txt").write_text("\n".join(wnids[:3]) + "\n")
    words = ["--eligible", "eligible.txt", "--n-levels", 1, "--size", 3, "--out", "levels"]
    assert call_cog("build-levels", *words, cwd=folder).returncode == 0
    return {
        "model": models, "images": photos, "levels": folder / "levels", "test_per_class": 4,
        "min_train": 4, "probes": "knn", "seeds": "22", "device": "cpu", "batch_size": 5,
        "dtype": "float32", "chunk_rows": 10,
    }  # fmt: skip


@pytest.fixture(scope="module")
def on_cpu(options: dict[str, Any], tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cpu")
    cog.evaluate(out=out, **options)
    return out


@pytest.fixture(scope="module")
def on_device(options: dict[str, Any], tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("device")
    cog.evaluate(out=out, resize_on="device", **options)
    return out


def stores(out: Path) -> dict[str, FeatureStore]:
    paths = sorted(out.glob("*/features/*.zarr"))
    return {str(path.relative_to(out)): FeatureStore.open(path) for path in paths}


def check_equal(found: Path, wanted: Path) -> None:
    """Features within what a grey level in one pixel may change, and the same odd images."""
    ours, theirs = stores(found), stores(wanted)
    assert ours.keys() == theirs.keys()
    assert len(ours) == 4
    for name, store in ours.items():
        np.testing.assert_allclose(store.read()[0], theirs[name].read()[0], atol=1 / 255 / 10)
        assert store.truncated() == theirs[name].truncated()
        assert store.unreadable() == theirs[name].unreadable()
    assert sum(len(store.truncated()) for store in ours.values()) == 2 * 3


def test_features_are_those_of_the_cpu(on_cpu: Path, on_device: Path) -> None:
    check_equal(on_device, on_cpu)


def test_the_place_is_in_the_fingerprint_only_where_it_is_chosen(
    on_cpu: Path, on_device: Path
) -> None:
    ours, theirs = stores(on_device), stores(on_cpu)
    for name, store in ours.items():
        assert store.fingerprint == theirs[name].fingerprint | {"resize": "device"}
        assert "resize" not in theirs[name].fingerprint


def test_a_store_of_the_other_place_is_refused(
    on_cpu: Path, on_device: Path, options: dict[str, Any]
) -> None:
    for out, place in ((on_cpu, "device"), (on_device, "cpu")):
        with pytest.raises(CogError, match=r"something else .*\(resize: asked \w"):
            cog.evaluate(out=out, resize_on=place, **options)


def test_results_are_verified_with_and_without_their_features(on_device: Path, tmp_path) -> None:
    runs = shutil.copytree(on_device, tmp_path / "runs")
    assert call_cog("verify", runs, cwd=tmp_path).returncode == 0
    for features in runs.glob("*/features"):
        shutil.rmtree(features)
    done = call_cog("verify", runs, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


class StandIn:
    """In the place of the GPU: the CPU's decoder, which fails for large images."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def __call__(self, data: Sequence[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
        self.calls.append(len(data))
        found = [decode(each.numpy().tobytes()) for each in data]
        if any(image.shape[1] == SIDES[-1] for image in found):
            raise RuntimeError("nvJPEG: no")
        return found


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(nvjpeg, "decode_on_gpu", stand_in)
    return stand_in


def test_nvjpeg_decodes_whole_batches_for_all_models(
    gpu: StandIn, on_device: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    cog.evaluate(out=tmp_path, decoder="nvjpeg", resize_on="device", **options)
    check_equal(tmp_path, on_device)
    for name, store in stores(tmp_path).items():
        expected = stores(on_device)[name].fingerprint | {"decoder": "nvjpeg"}
        assert store.fingerprint == expected
    assert sum(count > 1 for count in gpu.calls) >= 4
    assert 1 in gpu.calls[1:]  # one by one where a batch failed


def test_an_image_that_only_then_is_found_unreadable_is_marked(
    options: dict[str, Any], photos: Path, wnids: Sequence[str], tmp_path: Path, monkeypatch
) -> None:
    """A plain and whole JPEG without its tables, which is found out where nvJPEG refuses it."""

    def refuse(data: Sequence[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
        raise RuntimeError("nvJPEG: no")

    copy = shutil.copytree(photos, tmp_path / "photos")
    path = copy / wnids[0] / f"{wnids[0]}_5.jpg"
    path.write_bytes(path.read_bytes().replace(b"\xff\xdb", b"\xff\xfe"))
    monkeypatch.setattr("cog.images.decoding.check_nvjpeg", lambda: None)
    monkeypatch.setattr(nvjpeg, "decode_on_gpu", refuse)
    monkeypatch.setattr("cog.features.extract.UNREADABLE_SHARE", 0.2)
    how = {"decoder": "nvjpeg", "resize_on": "device", "truncated": "refuse"}
    table = cog.evaluate(out=tmp_path / "runs", **options | {"images": copy} | how)
    assert (table["n_unreadable"] == 4).all()
    listed = (tmp_path / "runs" / "unreadable.csv").read_text()
    assert f"{wnids[0]}/{path.name}" in listed
    for store in stores(tmp_path / "runs").values():
        assert len(store.read()[0]) == store.rows - len(store.unreadable())


def test_a_device_that_fails_is_an_error_with_a_hint(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("out of memory")

    monkeypatch.setattr("cog.images.packed.resize", fails)
    with pytest.raises(CogError, match="5 images cannot be resized on cpu") as caught:
        cog.evaluate(out=tmp_path, resize_on="device", **options)
    assert "--batch-size" in str(caught.value.hint)


@pytest.mark.parametrize("how", [{}, {"resize_on": "cpu"}])
def test_nvjpeg_needs_the_resize_on_the_device(gpu: StandIn, how: dict[str, str]) -> None:
    with pytest.raises(CogError, match="leaves images on the GPU") as caught:
        Extraction(decoder="nvjpeg", **how)
    assert caught.value.hint == "add --resize-on device, or give --decoder torchvision"
    assert Extraction(decoder="nvjpeg", resize_on="device").decoder == "nvjpeg"


def test_an_unknown_place_is_refused() -> None:
    with pytest.raises(CogError, match="unknown resize-on 'gpu'"):
        Extraction(resize_on="gpu")


def test_processes_give_the_same_bytes(
    options: dict[str, Any], on_device: Path, tmp_path: Path
) -> None:
    cog.evaluate(out=tmp_path, resize_on="device", feed="processes", workers=2, **options)
    for name, store in stores(tmp_path).items():
        assert np.array_equal(store.read()[0], stores(on_device)[name].read()[0])
        assert store.truncated() == stores(on_device)[name].truncated()


def test_the_command_line_takes_it(
    options: dict[str, Any], on_device: Path, tmp_path: Path
) -> None:
    words: list[object] = []
    for name, value in options.items():
        if name not in ("model", "probes", "seeds"):
            words += [f"--{name.replace('_', '-')}", value]
    words += [word for model in options["model"] for word in ("--model", model)]
    words += ["--resize-on", "device", "--out", "runs"]
    done = call_cog("extract", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for name, store in stores(tmp_path / "runs").items():
        assert store.fingerprint == stores(on_device)[name].fingerprint
        assert np.array_equal(store.read()[0], stores(on_device)[name].read()[0])
