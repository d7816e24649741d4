"""Truncated images from end to end: read, marked, counted; refused; and results from before."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import cog
from cog.errors import CogError
from cog.features.feeder import part as feeder
from cog.features.store.store import FeatureStore
from cog.images.decoding import decode_for
from cog.progress import Notifying
from tests.support.runs import call_cog, draw_images


@pytest.fixture
def photos(tmp_path: Path, wnids: tuple[str, ...]) -> Path:
    """24 images of each of three concepts; one is cut off."""
    root = draw_images(tmp_path / "photos", wnids[:3], 24)
    cut_off(root / wnids[0] / f"{wnids[0]}_7.png")
    return root


@pytest.fixture
def levels(tmp_path: Path, wnids: tuple[str, ...]) -> Path:
    (tmp_path / "eligible.txt").write_text("\n".join(wnids[:3]) + "\n")
    words = ["--eligible", "eligible.txt", "--n-levels", 1, "--size", 3, "--out", "levels"]
    built = call_cog("build-levels", *words, cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    return tmp_path / "levels"


@pytest.fixture
def options(photos: Path, levels: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "images": photos,
        "levels": levels,
        "out": tmp_path / "runs",
        "test_per_class": 6,
        "min_train": 6,
        "probes": ("knn", "ncm"),
        "seeds": (22,),
        "batch_size": 4,
        "chunk_rows": 4,
    }


def cut_off(path: Path) -> bytes:
    """Cut a file in half; gives what it was."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return whole


def stores(out: Path) -> list[FeatureStore]:
    return [FeatureStore.open(path) for path in sorted(out.glob("*/features/*.zarr"))]


def files(out: Path) -> dict[str, tuple[bytes, int]]:
    """The bytes of every feature chunk and cell, and when they were written."""
    found = [*out.glob("*/features/*/*/c/**/*"), *out.glob("*/cells/*")]
    return {
        str(path.relative_to(out)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in found
        if path.is_file()
    }


def test_a_truncated_image_is_read_marked_and_counted(options, plug_in, photos, wnids):
    said: list[str] = []
    table = cog.evaluate(f"{plug_in}:load", **options, progress=Notifying(said.append))
    name = f"{wnids[0]}/{wnids[0]}_7.png"
    assert (table["n_truncated"] == 1).all()
    assert (table["n_unreadable"] == 0).all()
    assert (table["n_train"] + table["n_test"] == 72).all()
    out = options["out"]
    for file in (out / "truncated.csv", out / "truncated" / "cog_l1.csv"):
        assert name in file.read_text()
    listed = pd.read_csv(out / "truncated.csv")
    assert listed.columns.tolist() == ["dataset", "split", "path", "reason"]
    assert listed["path"].tolist() == [name]
    assert not (out / "unreadable.csv").exists()
    assert f"cog_l1: 1 truncated, listed in {out / 'truncated.csv'}" in said
    assert sum(len(store.truncated()) for store in stores(out)) == 1
    assert not any(store.unreadable() for store in stores(out))


def test_its_features_are_those_of_the_pixels_that_pillow_fills(options, plug_in, photos, wnids):
    cog.evaluate(f"{plug_in}:load", **options)
    path = photos / wnids[0] / f"{wnids[0]}_7.png"
    pixels, why = decode_for(lambda pixels: pixels, path.read_bytes())
    assert why
    assert not pixels[:, -1].any()  # the last row is missing: black in a PNG
    filled = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(filled, "PNG")
    path.write_bytes(filled.getvalue())
    cog.evaluate(f"{plug_in}:load", **options | {"out": options["out"].parent / "whole"})
    for ours, whole in zip(
        stores(options["out"]), stores(options["out"].parent / "whole"), strict=True
    ):
        assert ours.fingerprint == whole.fingerprint
        np.testing.assert_array_equal(ours.read()[0], whole.read()[0])


def test_refused_they_are_unreadable_and_other_features(options, plug_in, wnids):
    lenient = options | {"probes": ("knn",)}
    cog.evaluate(f"{plug_in}:load", **lenient)
    with pytest.raises(CogError, match="truncated: asked refuse, found none given"):
        cog.evaluate(f"{plug_in}:load", **lenient, truncated="refuse")
    other = lenient | {"out": options["out"].parent / "refused"}
    with pytest.raises(CogError, match="1 of 72 images of cog_l1 cannot be read") as caught:
        cog.evaluate(f"{plug_in}:load", **other, truncated="refuse")
    assert f"1 image file is truncated ({wnids[0]}/{wnids[0]}_7.png)" in caught.value.what
    with pytest.raises(CogError, match="unknown truncated 'ignore'"):
        cog.evaluate(f"{plug_in}:load", **lenient, truncated="ignore")


def test_options_of_the_commands(options, plug_in, tmp_path):
    words = ["--images", options["images"], "--levels", options["levels"], "--out", "there",
             "--test-per-class", 6, "--min-train", 6, "--model", f"{plug_in}:load"]  # fmt: skip
    for command in (["extract", *words], ["evaluate", "--probe", "knn", *words]):
        done = call_cog(*command, "--truncated", "refuse", cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert "cannot be read, more than 1%" in done.stderr
    done = call_cog(*["evaluate", "--probe", "knn", *words], "--out", "read", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 truncated, listed in read/truncated.csv" in done.stderr
    checked = ["check-data", options["images"], "--levels", options["levels"], "--decode",
               "--test-per-class", 6, "--min-train", 6, "--report", "report.csv"]  # fmt: skip
    for more, status, finding in (
        ([], 0, "truncated"),
        (["--truncated", "refuse"], 1, "unreadable"),
        ([], 0, "truncated"),
    ):
        done = call_cog(*checked, *more, cwd=tmp_path)
        assert done.returncode == status, done.stdout + done.stderr
        assert f"1 {finding}" in done.stdout
        assert pd.read_csv(tmp_path / "report.csv")["finding"].tolist().count(finding) == 1


def as_before(out: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[[], object]) -> None:
    """Run as version 0.1 did: truncated images are unreadable, under the hashes of now."""

    def strict(use: Any, data: bytes, decoder: str, _: str) -> tuple[Any, str]:
        return decode_for(use, data, decoder, "refuse")

    with monkeypatch.context() as patch:
        patch.setattr(feeder, "decode_for", strict)
        patch.setattr("cog.features.extract.UNREADABLE_SHARE", 0.1)
        run()
    for path in out.glob("*/cells/*.json"):
        cell = json.loads(path.read_text())
        del cell["row"]["n_truncated"]
        path.write_text(json.dumps(cell, indent=1) + "\n")


def test_results_from_before_that_left_them_out_are_made_again(options, plug_in, monkeypatch):
    out = options["out"]
    as_before(out, monkeypatch, lambda: cog.evaluate(f"{plug_in}:load", **options))
    (before,) = [store for store in stores(out) if store.unreadable()]
    old = files(out)
    table = cog.evaluate(f"{plug_in}:load", **options)
    assert (table["n_truncated"] == 1).all()
    assert (table["n_unreadable"] == 0).all()
    new = files(out)
    (row,) = FeatureStore.open(before.path).truncated()
    chunk = str((before.path / f"features/c/{row // 4}/0").relative_to(out))
    remade = {name for name in old if old[name] != new[name] and "/features/" in name}
    assert {name for name in remade if "features/c/" in name.partition(".zarr/")[2]} == {chunk}
    assert all(old[name] != new[name] for name in old if "/cells/" in name)
    fresh = cog.evaluate(f"{plug_in}:load", **options | {"out": out.parent / "fresh"})
    pd.testing.assert_frame_equal(table.drop(columns="seconds"), fresh.drop(columns="seconds"))
    assert cog.evaluate(f"{plug_in}:load", **options).equals(table)
    assert files(out) == new


@pytest.mark.parametrize("discard", [False, True])
def test_results_from_before_without_them_stand_as_they_are(
    discard, options, plug_in, photos, wnids, monkeypatch
):
    shutil.rmtree(photos)
    draw_images(photos, wnids[:3], 24)
    (photos / wnids[0] / f"{wnids[0]}_7.png").write_bytes(b"")  # in no version an image
    out = options["out"]

    def run() -> pd.DataFrame:
        return cog.evaluate(f"{plug_in}:load", **options, discard_features=discard)

    as_before(out, monkeypatch, run)
    old = files(out)
    table = run()
    assert files(out) == old
    assert (table["n_unreadable"] == 1).all()
    assert table["n_truncated"].isna().all()


def test_results_from_before_whose_list_is_gone_are_made_again(options, plug_in, monkeypatch):
    out = options["out"]
    as_before(out, monkeypatch, lambda: cog.evaluate(f"{plug_in}:load", **options))
    shutil.rmtree(out / "unreadable")
    assert (cog.evaluate(f"{plug_in}:load", **options)["n_truncated"] == 1).all()


def test_a_mended_image_is_whole_from_then_on(options, plug_in, photos, wnids):
    path = photos / wnids[0] / f"{wnids[0]}_8.png"
    whole = cut_off(path)
    assert (cog.evaluate(f"{plug_in}:load", **options)["n_truncated"] == 2).all()
    path.write_bytes(whole)
    more = options | {"probes": ("ridge",)}  # as for unreadable ones: when features are wanted
    assert (cog.evaluate(f"{plug_in}:load", **more)["n_truncated"] == 1).all()
    assert wnids[0] + "_8" not in (options["out"] / "truncated.csv").read_text()


def test_workers_and_one_alone_give_the_same_record(options, plug_in, tmp_path):
    cog.evaluate(f"{plug_in}:load", **options)
    words = ["evaluate", "--images", options["images"], "--levels", options["levels"], "--out",
             "shared", "--test-per-class", 6, "--min-train", 6, "--model", f"{plug_in}:load",
             "--probe", "knn,ncm", "--seeds", 22, "--batch-size", 4, "--chunk-rows", 4]  # fmt: skip
    for more in (["--worker", "0/2"], ["--worker", "1/2"], []):
        done = call_cog(*words, *more, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    shared = tmp_path / "shared"
    for name in ("truncated.csv", "truncated/cog_l1.csv"):
        assert (shared / name).read_bytes() == (options["out"] / name).read_bytes()
    for ours, alone in zip(stores(shared), stores(options["out"]), strict=True):
        assert ours.truncated() == alone.truncated()
        np.testing.assert_array_equal(ours.read()[0], alone.read()[0])


@pytest.mark.parametrize("name", ["truncated", "truncated.csv"])
def test_names_of_the_records_are_no_names_of_models(name, options, plug_in):
    with pytest.raises(CogError, match=f"a model cannot be called {name}"):
        cog.evaluate(f"{plug_in}:load", **options, name=name)
