"""What tests of evaluation share."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import cog
import cog.features.extract
from tests.support.runs import WNIDS, draw_images


@pytest.fixture(scope="session")
def sound_options(tmp_path_factory, levels_folder, plug_in) -> dict[str, Any]:
    """The arguments of `cog.evaluate` that make `sound`; one image is unreadable."""
    images = draw_images(tmp_path_factory.mktemp("verify") / "images", WNIDS, 12)
    (images / WNIDS[0] / f"{WNIDS[0]}_0.png").write_bytes(b"")
    return {
        "model": [f"{plug_in}:load", f"{plug_in}:another"], "images": images,
        "levels": levels_folder, "test_per_class": 4, "min_train": 4, "probes": "knn,ncm",
        "seeds": "22", "shots": "all,2", "device": "cpu", "chunk_rows": 8,
    }  # fmt: skip


@pytest.fixture(scope="session")
def sound(tmp_path_factory, sound_options) -> Path:
    """Results of two models on two levels, with their levels beside."""
    runs = tmp_path_factory.mktemp("sound") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cog.features.extract, "UNREADABLE_SHARE", 0.1)
        cog.evaluate(out=runs, **sound_options)
    shutil.copytree(sound_options["levels"], runs / "levels")
    return runs
