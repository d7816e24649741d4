"""Two processes on one device, each with its share, make the features that one process makes.

They are two workers of `--worker`, or the two that `--device` starts for a list of two.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from cog.features.store.store import FeatureStore
from tests.gpu.conftest import require
from tests.support.runs import HANGS_SECONDS, call_cog

STORES = ("cog_l1-train.zarr", "cog_l1-test.zarr", "cog_l2-train.zarr", "cog_l2-test.zarr")


@pytest.mark.parametrize(
    "name", [pytest.param("cpu", marks=pytest.mark.long),
             pytest.param("cuda", marks=pytest.mark.gpu)],
)  # fmt: skip
def test_two_processes_share_a_device(name, tmp_path, images, levels_folder, plug_in):
    device = require(name)
    words = [
        "extract", "--model", f"{plug_in}:load", "--images", images, "--levels", levels_folder,
        "--test-per-class", "4", "--min-train", "8", "--chunk-rows", "4", "--batch-size", "4",
        "--device", str(device), "--workers", "1",
    ]  # fmt: skip
    one = call_cog(*words, "--out", tmp_path / "one", cwd=tmp_path)
    assert one.returncode == 0, one.stderr
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "cog", *map(str, words),
             "--out", str(tmp_path / "two"), "--worker", f"{worker}/2"],
            cwd=tmp_path, env=os.environ | {"COG_HOME": str(tmp_path / "home")},
            stderr=subprocess.PIPE, text=True,
        )
        for worker in range(2)
    ]  # fmt: skip
    for process in started:
        _, said = process.communicate(timeout=HANGS_SECONDS)
        assert process.returncode == 0, said
    together = call_cog(
        *words[:-4], "--device", f"{device},{device}", "--workers", "2", "--out",
        tmp_path / "together", cwd=tmp_path,
    )  # fmt: skip
    assert together.returncode == 0, together.stderr
    for store, run in itertools.product(STORES, ("two", "together")):
        expected, found = (
            FeatureStore.open(tmp_path / each / "colours" / "features" / store).read()
            for each in ("one", run)
        )
        np.testing.assert_allclose(found[0], expected[0], rtol=2e-3, atol=1e-4)
        assert np.array_equal(found[1], expected[1])
