"""Pillow-SIMD, which resizes otherwise than Pillow, is noticed; its presence is simulated."""

from __future__ import annotations

from importlib import metadata
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL
import pytest

from cog.features.run_stores import feature_fingerprint
from cog.features.settings import Extraction
from cog.images.decoding import decoder_note
from cog.images.image_list import ImageList
from cog.images.pillow_simd import pillow_simd
from cog.images.preprocess import Preprocess

IMAGES = ImageList("", "folder", ("n1/1.png",), np.zeros(1, np.int64), ("n1",), "train")


def install(monkeypatch: pytest.MonkeyPatch, code: str, fork: str | None) -> None:
    """As if PIL had that version, and Pillow-SIMD were installed in the other."""
    version = metadata.version

    def found(name: str) -> str:
        if name != "pillow-simd":
            return version(name)
        if fork is None:
            raise metadata.PackageNotFoundError(name)
        return fork

    monkeypatch.setattr(PIL, "__version__", code)
    monkeypatch.setattr(metadata, "version", found)


@pytest.mark.parametrize(
    ("code", "fork", "is_fork"),
    [
        ("13.0.0", None, False),
        ("9.5.0.post2", "9.5.0.post2", True),
        ("9.5.0.post2", None, True),  # without metadata, or under another name
        ("13.0.0", "9.5.0.post2", False),  # Pillow installed over it
        ("14.0", "14.0", True),
    ],
)
def test_the_version_in_the_code_says_whose_it_is(
    code: str, fork: str | None, is_fork: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, code, fork)
    assert pillow_simd() == (code if is_fork else "")


def test_it_is_in_the_fingerprint_where_it_resizes_and_there_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model_run: Any = SimpleNamespace(
        fingerprint="m", model=SimpleNamespace(preprocess=Preprocess(), tokens=1)
    )
    kinds = ("torchvision", "cpu"), ("pillow", "device"), ("pillow", "cpu")
    settings = [Extraction(decoder=decoder, resize_on=where) for decoder, where in kinds]
    before = [feature_fingerprint(model_run, IMAGES, each) for each in settings]
    assert before[2]["decoder"] == "pillow"
    install(monkeypatch, "9.5.0.post2", "9.5.0.post2")
    after = [feature_fingerprint(model_run, IMAGES, each) for each in settings]
    assert after[:2] == before[:2]
    assert after[2] == before[2] | {"decoder": "pillow-simd"}


def test_the_user_hears_of_it_where_it_resizes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decoder_note("pillow") == ""
    install(monkeypatch, "9.5.0.post2", None)
    assert "Pillow-SIMD 9.5.0.post2" in decoder_note("pillow")
    assert "SIMD" not in decoder_note("torchvision") + decoder_note("pillow", resizes=False)
