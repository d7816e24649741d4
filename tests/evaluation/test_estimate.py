"""What a dry run says: counts are exact, times follow from what was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

import cog.evaluation.estimate
from cog.cli.terminal import estimate_lines
from cog.evaluation.estimate import Estimate, Measured, estimate
from cog.evaluation.run import run_plan
from cog.features.executors.executor import executor_for
from cog.features.executors.share import Share
from cog.progress import Silent
from tests.support.runs import make_plan


@pytest.fixture
def plan(images, levels_folder, plug_in, tmp_path, monkeypatch):
    monkeypatch.setattr(cog.evaluation.estimate, "SECONDS", 0.01)
    models = [f"{plug_in}:load", f"{plug_in}:another"]
    return make_plan(
        models, images=images, levels=levels_folder, out=tmp_path / "runs", test_per_class=4,
        min_train=8, chunk_rows=8, batch_size=4, probes=("ncm",),
    )  # fmt: skip


def estimated(plan, share=None):
    with executor_for(plan.extraction, plan.devices, Silent()) as executor:
        return estimate(plan, executor, share or Share())


def test_counts_of_a_run_that_has_not_begun(plan, images):
    found = estimated(plan)
    assert (found.cells_done, found.cells) == (0, 4)  # the nearest mean wants one seed
    assert found.to_decode == 6 * 12
    assert found.decodes_saved == 6 * 12
    assert found.preprocessings == 1
    assert found.crops == (72, 72)
    assert found.feature_bytes == 2 * 72 * 12 * 2
    sizes = [path.stat().st_size for path in images.rglob("*.png")]
    assert min(sizes) <= found.measured.bytes <= max(sizes)
    assert all(seconds > 0 for seconds in (*found.measured.forward, found.measured.decode))


def test_a_worker_counts_its_share(plan):
    found = [estimated(plan.without_cells(), Share(worker, 3)) for worker in range(3)]
    assert [one.to_decode for one in found] == [24, 24, 24]
    run_plan(plan.without_cells(), Silent(), Share(1, 3))
    after = [estimated(plan.without_cells(), Share(worker, 3)) for worker in range(3)]
    # chunks of 8 of 24 training images and 12 test images a level: 3 and 2
    assert [one.to_decode for one in after] == [2 * (8 + 8), 0, 2 * 8]
    assert not any("probes" in line or "cells" in line for line in estimate_lines(after[0]))


def test_what_is_saved_is_what_chunks_have_in_common(plan):
    """One model lacks the odd chunks, the other the even ones: each image is decoded once."""
    for run, worker in zip(plan.model_runs, (0, 1), strict=True):
        run_plan(replace(plan, model_runs=(run,)).without_cells(), Silent(), Share(worker, 2))
    found = estimated(plan.without_cells())
    assert sum(found.crops) == 72
    assert (found.to_decode, found.decodes_saved) == (72, 0)


def test_stores_of_other_chunks_are_filled_in_passes_of_their_own(plan):
    for run, chunk_rows in zip(plan.model_runs, (8, 12), strict=True):
        extraction = replace(plan.extraction, chunk_rows=chunk_rows)
        one = replace(plan, model_runs=(run,), extraction=extraction)
        one = one.without_cells()
        run_plan(one, Silent(), Share(8, 9))  # none of their chunks: the stores alone
    found = estimated(plan.without_cells())
    assert (found.to_decode, found.decodes_saved) == (144, 0)


def test_a_worker_counts_its_cells(plan):
    found = [estimated(plan, Share(worker, 3)) for worker in range(3)]
    assert [one.cells for one in found] == [2, 1, 1]


def test_features_that_are_there_are_not_counted(plan):
    run_plan(plan.without_cells(), Silent())
    found = estimated(plan)
    assert (found.to_decode, found.feature_bytes, found.decodes_saved) == (0, 0, 0)
    assert found.extract_seconds == 0


MADE = Estimate(
    cells_done=1, cells=6, to_decode=1000, decodes_saved=1000, preprocessings=2, names=("a", "b"),
    kind="cpu", at_once=2, probe_seconds=50.0, crops=(1000, 500), feature_bytes=3_000_000,
    held_bytes=0,
    free_bytes=None, measured=Measured(decode=0.01, bytes=2e6, forward=(0.1, 0.2)),
)  # fmt: skip


def test_on_a_cpu_times_add_up_and_on_a_gpu_the_slower_decides():
    assert MADE.extract_seconds == pytest.approx((100 + 100 + 10) / 2)
    assert replace(MADE, kind="cuda").extract_seconds == pytest.approx((100 + 100) / 2)
    slow = replace(MADE.measured, decode=1.0)
    assert replace(MADE, kind="cuda", measured=slow).extract_seconds == pytest.approx(1000 / 2)


def test_lines_say_what_was_counted():
    text = "\n".join(estimate_lines(MADE))
    assert "1,000 to decode, 2.0 GB to read" in text
    assert "decoded once for 2 models (2 resizes): 1,000 decodes saved" in text
    assert "3.0 MB to write" in text
    assert "decoding 100/s; a 10.0/s, b 5.0/s" in text
    assert "on 2 devices (cpu), each 500 images" in text
    assert "probes: about 50 s" in text
