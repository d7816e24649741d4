"""From images to results.csv as users run it: results, interruptions, refusals."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import PIL
import pytest
import torch
from PIL import Image

import cog
import cog.evaluation.estimate
from cog.errors import CogError
from cog.evaluation.plan import plan_from
from cog.evaluation.verify.verify import verify
from cog.images.jpeg_library import jpeg_library
from cog.progress import Notifying
from cog.recipe import Recipe
from cog.results.cells import read_cell
from cog.results.columns import columns
from tests.support.forked import start_cog
from tests.support.image_files import make_tar
from tests.support.runs import call_cog, draw_images

QUICK = Recipe(trials=3, epochs=4)


@pytest.fixture
def options(images, levels_folder, tmp_path):
    """Options of `cog.evaluate` for the small images."""
    return {
        "images": images,
        "levels": levels_folder,
        "out": tmp_path / "runs",
        "test_per_class": 4,
        "min_train": 4,
        "probes": ("logreg",),
        "solver": "lbfgs",
        "seeds": (22,),
        "recipe": QUICK,
    }


def arguments(options, *more) -> list[object]:
    """The same as arguments of the command line."""
    return [
        "evaluate", "--images", options["images"], "--levels", options["levels"],
        "--out", options["out"], "--test-per-class", 4, "--min-train", 4, "--probe", "logreg",
        "--solver", "lbfgs", "--seeds", "22", *more,
    ]  # fmt: skip


def without_times(path: Path) -> str:
    return pd.read_csv(path).drop(columns="seconds").to_csv()


def test_evaluate_gives_a_row_per_dataset_and_learns_the_colours(options, plug_in):
    table = cog.evaluate(f"{plug_in}:load", **options)
    assert list(table.columns) == [column.name for column in columns()]
    assert list(table["dataset"]) == ["cog_l1", "cog_l2"]
    assert (table["top1"] > 90).all()
    assert (table["n_train"] == 24).all()
    assert (table["n_test"] == 12).all()
    assert (table["n_classes"] == 3).all()
    assert table["complete"].all()
    assert (table["parameters"] == 1).all()
    assert (table["feature_bytes"] == (24 + 12) * 12 * 2).all()
    on_disk = pd.read_csv(options["out"] / "results.csv")
    assert list(on_disk["top1"]) == list(table["top1"])
    assert (options["out"] / "splits" / "test" / "cog_l1.txt").read_text().count("\n") == 12
    versions = json.loads((options["out"] / "colours" / "run.json").read_text())["versions"]
    library = jpeg_library()
    assert versions["decoder of JPEGs"] == f"{library.name} {library.version}"
    assert versions["pillow"].startswith(PIL.__version__)


@pytest.mark.parametrize("gone", [("simplejpeg",), ("simplejpeg", "torchvision")])
def test_a_run_without_the_usual_decoder_says_once_what_decodes(
    gone, options, plug_in, monkeypatch
):
    said: list[str] = []
    jpeg_library.cache_clear()
    with monkeypatch.context() as patch:
        for name in gone:
            patch.setitem(sys.modules, name, None)
        plan_from({"model": f"{plug_in}:load", **options}, said.append)
    jpeg_library.cache_clear()
    (line,) = [line for line in said if "decodes JPEGs" in line]
    assert line.startswith(f"without a decoder of {' and '.join(gone)}, ")
    assert ("pillow" in line and "times as slowly" in line) is (len(gone) == 2)


def test_k_nn_the_nearest_mean_and_retrieval_come_with_it(options, plug_in, wnids):
    del options["probes"]
    table = cog.evaluate(f"{plug_in}:load", **options | {"seeds": (22, 37), "shots": (None, 2)})
    counts = table.groupby(["probe", "shots"], sort=False).size().to_dict()
    assert counts == {
        ("logreg", 2): 4, ("logreg", "all"): 4,  # two data sets, two seeds
        ("knn", 2): 4, ("knn", "all"): 2,  # with all images a seed decides next to nothing
        ("ncm", 2): 4, ("ncm", "all"): 2,
        ("retrieval", "all"): 2,
    }  # fmt: skip
    assert (table["top1"] > 60).all()
    knn, ncm = (table[table["probe"] == probe] for probe in ("knn", "ncm"))
    assert knn["k"].notna().all()
    assert (ncm["seed_decides"] == "nothing").all()
    assert (table["top1_low"] <= table["top1"]).all()
    assert (table["top1"] <= table["top1_high"]).all()
    assert np.allclose(table["mean_class"], table["top1"])  # as many test images in each class


def test_accuracies_of_the_classes_lie_beside_the_cell(options, plug_in, wnids):
    table = cog.evaluate(f"{plug_in}:load", **options)
    folder = options["out"] / "colours" / "classes"
    classes = pd.read_csv(folder / "cog_l1--logreg-lbfgs--all--22.csv")
    assert len(classes) == 3
    assert list(classes["wnid"]) == sorted(set(classes["wnid"]) & set(wnids))
    assert list(classes["n_test"]) == [4, 4, 4]
    assert classes["top1"].mean() == pytest.approx(table["mean_class"][0])


def test_where_few_shots_validate_is_part_of_a_result(options, plug_in):
    asked = options | {"shots": (4,)}
    beside = cog.evaluate(f"{plug_in}:load", **asked)
    within = cog.evaluate(f"{plug_in}:load", **asked | {"shots_validation": "within"})
    assert list(beside["n_validation"]) == [3, 3]  # a fifth of 8 images, of 3 classes
    assert list(within["n_validation"]) == [3, 3]
    assert set(within["shots_validation"]) == {"within"}
    assert list(within["n_train"]) == [12, 12]
    cell = options["out"] / "colours" / "cells" / "cog_l1--logreg-lbfgs--4--22.json"
    assert read_cell(cell)["row"]["shots_validation"] == "within"


def test_images_that_say_nothing_give_chance(options, plug_in, tmp_path, wnids):
    images = draw_images(tmp_path / "grey", wnids, 54, alike=True)
    table = cog.evaluate(f"{plug_in}:load", **options | {"images": images, "test_per_class": 30})
    chance, images = 100 / 3, 90
    sigma = 100 * np.sqrt(1 / 3 * 2 / 3 / images)
    assert (abs(table["top1"] - chance) < 3 * sigma).all()


def test_a_finished_cell_is_taken_over_and_a_changed_recipe_is_not(options, plug_in):
    first = cog.evaluate(f"{plug_in}:load", **options)
    cells = sorted((options["out"] / "colours" / "cells").glob("*.json"))
    written = [cell.stat().st_mtime_ns for cell in cells]
    again = cog.evaluate(f"{plug_in}:load", **options)
    assert [cell.stat().st_mtime_ns for cell in cells] == written
    pd.testing.assert_frame_equal(first, again)
    cog.evaluate(f"{plug_in}:load", **options | {"recipe": Recipe(lbfgs_decays=(1e-3,))})
    assert all(cell.stat().st_mtime_ns > old for cell, old in zip(cells, written, strict=True))


def test_sgd_and_few_shots(options, plug_in):
    table = cog.evaluate(f"{plug_in}:load", **options | {"solver": "sgd", "shots": (1, 2, None)})
    assert list(table["shots"]) == [1, 2, "all"] * 2
    assert list(table["n_train"]) == [3, 6, 24] * 2
    cell = read_cell(options["out"] / "colours" / "cells" / "cog_l1--logreg-sgd--1--22.json")
    assert len(cell["trials"]) == QUICK.trials


def test_twice_gives_the_same_bytes_but_for_times(options, plug_in, tmp_path):
    for out in ("a", "b"):
        cog.evaluate(f"{plug_in}:load", **options | {"out": tmp_path / out, "solver": "sgd"})
    assert without_times(tmp_path / "a/results.csv") == without_times(tmp_path / "b/results.csv")


def test_several_models_share_a_pass_and_give_what_they_give_alone(options, plug_in, tmp_path):
    both = cog.evaluate([f"{plug_in}:load", f"{plug_in}:another"], **options)
    alone = cog.evaluate(f"{plug_in}:another", **options | {"out": tmp_path / "alone"})
    shared = both[both["model"] == "another"].reset_index(drop=True)
    pd.testing.assert_frame_equal(shared.drop(columns="seconds"), alone.drop(columns="seconds"))


def test_two_models_under_one_name_are_refused(options, plug_in):
    with pytest.raises(CogError, match="two models are called colours"):
        cog.evaluate([f"{plug_in}:load", f"{plug_in}:other"], **options)
    cog.evaluate(f"{plug_in}:load", **options)
    with pytest.raises(CogError, match="holds another model under that name"):
        cog.evaluate(f"{plug_in}:other", **options)
    table = cog.evaluate(f"{plug_in}:other", **options, name="twice")
    assert set(table["model"]) == {"twice"}


def test_another_image_list_is_refused(options, plug_in, tmp_path, images):
    cog.evaluate(f"{plug_in}:load", **options)
    fewer = shutil.copytree(images, tmp_path / "fewer")
    next(fewer.glob("*/*_11.png")).unlink()
    for function in ("load", "another"):  # another model must not be compared on other images
        with pytest.raises(CogError, match="is of another split of cog_l"):
            cog.evaluate(f"{plug_in}:{function}", **options | {"images": fewer})
    shutil.rmtree(options["out"] / "splits")
    with pytest.raises(CogError, match=r"holds features of something else .*images: asked"):
        cog.evaluate(f"{plug_in}:load", **options | {"images": fewer})


def test_a_training_script_keeps_its_network_and_its_random_state(options):
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3),
        torch.nn.BatchNorm2d(4),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    ).train()
    network[1].eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    model = cog.Model(network, preprocess=cog.Preprocess(resize=16, crop=16), name="epoch3")
    cog.evaluate(model, **options)
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in network] == [True, False, True, True]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert model.name == "epoch3"


def test_missing_classes_stop_or_are_marked(options, plug_in, tmp_path, images, wnids):
    images = shutil.copytree(images, tmp_path / "some")
    shutil.rmtree(images / wnids[0])
    done = call_cog(
        *arguments(options | {"images": images}, "--model", f"{plug_in}:load"), cwd=tmp_path
    )
    assert done.returncode == 2
    assert wnids[0] in done.stderr
    assert "--allow-missing" in done.stderr
    assert not options["out"].exists()
    table = cog.evaluate(f"{plug_in}:load", **options | {"images": images, "allow_missing": True})
    assert sorted(table["n_classes"]) == [2, 3]
    assert list(table["complete"]) == [n == 3 for n in table["n_classes"]]


def test_unreadable_images_are_named_and_counted(options, plug_in, tmp_path, wnids):
    images = draw_images(tmp_path / "many", wnids, 60)
    bad = images / wnids[0] / f"{wnids[0]}_7.png"
    bad.write_bytes(bad.read_bytes()[:40])
    models = [f"{plug_in}:load", f"{plug_in}:another"]
    table = cog.evaluate(models, **options | {"images": images}, discard_features=True)
    named = pd.read_csv(options["out"] / "unreadable.csv")
    assert list(named["path"]) == [f"{wnids[0]}/{wnids[0]}_7.png"]
    assert sorted(table["n_unreadable"]) == [0, 0, 1, 1]
    for number in range(20, 24):
        (images / wnids[0] / f"{wnids[0]}_{number}.png").write_bytes(b"")
    with pytest.raises(CogError, match="cannot be read, more than 1%"):
        cog.evaluate(models[0], **options | {"images": images, "out": tmp_path / "other"})


def test_features_are_kept_or_discarded(options, plug_in):
    cog.evaluate(f"{plug_in}:load", **options)
    features = options["out"] / "colours" / "features"
    assert len(list(features.iterdir())) == 4
    again = cog.evaluate(f"{plug_in}:load", **options, discard_features=True)
    assert list(features.iterdir()) == []
    pd.testing.assert_frame_equal(again, cog.evaluate(f"{plug_in}:load", **options))
    assert list(features.iterdir()) == []


class Shifted(torch.nn.Module):
    """Mean colours and a constant: next to 4096, float16 has steps of 4."""

    def __init__(self, shift):
        super().__init__()
        self.shift = torch.nn.Parameter(torch.tensor(shift))

    def forward(self, x):
        return x.mean((2, 3)) + self.shift


def test_float16_keeps_the_accuracy_of_float32(options, tmp_path, wnids):
    """On a task with errors, and within a tolerance that a coarser type would break."""
    options |= {
        "images": draw_images(tmp_path / "spread", wnids, 60, spread=0.1),
        "test_per_class": 40,
    }

    def difference(shift):
        """Of the two types, in test images of 120 per level."""
        model = cog.Model(Shifted(shift), preprocess=cog.Preprocess(resize=16, crop=16), name="m")
        half, full = (
            cog.evaluate(model, **options | {"out": tmp_path / f"{dtype}-{shift}", "dtype": dtype})
            for dtype in ("float16", "float32")
        )
        assert full["top1"].between(45, 90).all()
        return 1.2 * abs(half["top1"] - full["top1"])

    assert (difference(0.0) <= 2).all()
    assert (difference(4096.0) > 2).any()


@pytest.mark.parametrize(
    ("function", "message"), [("huge", "--dtype float32"), ("broken", "NaN or infinity")]
)
def test_features_that_cannot_be_kept_are_refused(options, plug_in, tmp_path, function, message):
    done = call_cog(*arguments(options, "--model", f"{plug_in}:{function}"), cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.split("error: ")[1].strip().splitlines()) == 2
    assert not (options["out"] / "results.csv").exists()


def test_dry_run_prints_the_plan_and_writes_nothing(options, plug_in, tmp_path, monkeypatch):
    monkeypatch.setattr(cog.evaluation.estimate, "SECONDS", 0.01)
    done = call_cog(*arguments(options, "--model", f"{plug_in}:load", "--dry-run"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cog_l2" in done.stdout
    assert "cells: 0 of 2 done" in done.stdout
    assert "images: 72 to decode" in done.stdout
    assert "in1k is left out" in done.stderr
    assert not options["out"].exists()


def test_the_image_key_goes_through_every_command_and_into_run_json(
    options, plug_in, tmp_path, images, wnids
):
    """Shards of photographs, each with a grey view of it that says nothing of its class."""
    grey = io.BytesIO()
    Image.new("RGB", (20, 18), (90, 90, 90)).save(grey, "PNG")
    members = []
    for number, path in enumerate(sorted(images.glob("*/*.png"))):
        members += [(f"{number:03}.cls", path.parent.name.encode())]
        members += [
            (f"{number:03}.png", path.read_bytes()),
            (f"{number:03}.seg.png", grey.getvalue()),
        ]
    (tmp_path / "shards").mkdir()
    make_tar(tmp_path / "shards" / "s-0.tar", members)
    options |= {"images": tmp_path / "shards"}
    common = arguments(options, "--model", f"{plug_in}:load")
    done = call_cog(*common, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "72 KEY.seg.png (another field)" in done.stderr
    plain = pd.read_csv(options["out"] / "results.csv")
    assert (plain["top1"] > 90).all()
    lines = (options["out"] / "splits" / "train" / "cog_l1.txt").read_text()
    assert lines.count("\n") == 24
    assert ".seg." not in lines
    assert "image_key" not in json.loads((options["out"] / "colours" / "run.json").read_text())
    done = call_cog(*common, "--image-key", "seg.png", cwd=tmp_path)
    assert done.returncode == 2  # of another split
    options |= {"out": tmp_path / "other"}
    other = cog.evaluate(f"{plug_in}:load", **options, image_key="seg.png")
    assert (other["top1"] < 50).all()
    run = json.loads((options["out"] / "colours" / "run.json").read_text())
    assert run["image_key"] == "seg.png"
    assert verify(options["out"], options["levels"]).faults == ()
    words = ["check-data", options["images"], "--levels", options["levels"], "--decode",
             "--test-per-class", 4, "--min-train", 4, "--image-key"]  # fmt: skip
    done = call_cog(*words, "seg.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "duplicate" in done.stdout
    done = call_cog(*words, "cls", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2


def test_extract_then_evaluate_reads_no_image_again(options, plug_in, tmp_path, images):
    images = shutil.copytree(images, tmp_path / "copy")
    common = arguments(options | {"images": images}, "--model", f"{plug_in}:load")
    of_probes = ("--probe", "logreg", "--solver", "lbfgs", "--seeds", "22")
    without_probe = [argument for argument in common[1:] if argument not in of_probes]
    done = call_cog("extract", *without_probe, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(".zarr") == 4
    for image in images.glob("*/*.png"):
        image.write_bytes(b"")
    done = call_cog(*common, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (options["out"] / "results.csv").exists()


def test_wide_results(options, plug_in, tmp_path):
    cog.evaluate(f"{plug_in}:load", **options)
    done = call_cog("results", options["out"], "--wide", cwd=tmp_path)
    assert done.stdout.splitlines()[0].startswith("probe,solver,shots,model,cog_l1,cog_l2")


STOPS = (  # chunks that are there, how the run is stopped, its exit status and what it says
    (2, signal.SIGKILL, -signal.SIGKILL, ""),
    (5, signal.SIGINT, 130, "interrupted: run the same command to go on; 0 of 2 cells done"),
    (14, signal.SIGTERM, 143, "terminated: run the same command to go on; 1 of 2 cells done"),
    (16, signal.SIGUSR1, 138, "(SIGUSR1): run the same command to go on; 1 of 2 cells done"),
)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(options, plug_in, tmp_path):
    """Killed and interrupted among the first features, terminated when one dataset is done."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    common = ["--model", f"{plug_in}:slow", "--batch-size", 2, "--chunk-rows", 4]
    done = call_cog(*arguments(options | {"out": whole}, *common), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    command = arguments(options | {"out": broken}, *common)
    for chunks, stop, status, message in STOPS:
        run = start_cog(*command, cwd=tmp_path)
        while len(list(broken.glob("*/features/*/features/c/*/0"))) < chunks:
            assert run.process.is_alive(), run.ended()
            time.sleep(0.005)
        os.kill(run.process.pid, stop)
        ended = run.ended()
        assert ended.returncode == status
        assert message in ended.stderr
    done = call_cog(*arguments(options | {"out": broken}, *common), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert without_times(broken / "results.csv") == without_times(whole / "results.csv")
    for chunk in whole.glob("*/features/*/*/c/**/*"):
        if chunk.is_file():
            assert chunk.read_bytes() == (broken / chunk.relative_to(whole)).read_bytes()


BAD_INPUT = {
    "no such folder": (["--images", "nowhere"], "there is no nowhere"),
    "unknown level": (["--only", "L7"], "unknown dataset 'l7'"),
    "in1k without its images": (["--only", "in1k"], "in1k was asked for"),
    "unknown probe": (["--probe", "logrek"], "unknown probe 'logrek'"),
    "unknown solver": (["--solver", "adam"], "unknown solver 'adam'"),
    "unknown precision": (["--precision", "fp17"], "unknown precision 'fp17'"),
    "unknown products": (["--products", "float8"], "unknown kind of products 'float8'"),
    "unknown device": (["--device", "tpu"], "unknown device 'tpu'"),
    "a seed below 0": (["--seeds=-1"], "found -1"),
    "a name that is taken": (["--name", "splits"], "cannot be called splits"),
    "too many names": (["--name", "a", "--name", "b"], "a name for each model, 1; found 2"),
    "out is a file": (["--out", "file"], "file"),
    "split without lists": (["--split", "."], "no test lists"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gives_two_lines_and_status_2(options, plug_in, tmp_path, case):
    wrong, message = BAD_INPUT[case]
    (tmp_path / "file").write_text("")
    done = call_cog(*arguments(options, "--model", f"{plug_in}:load"), *wrong, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr[done.stderr.index("error: ") :].strip().splitlines()) == 2, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_an_edited_plug_in_is_another_model(options, plug_in, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(plug_in.read_text())
    cog.evaluate(f"{mine}:load", **options)
    mine.write_text(plug_in.read_text().replace("avg_pool2d(x, 2)", "max_pool2d(x, 2)"))
    with pytest.raises(CogError, match="holds another model under that name"):
        cog.evaluate(f"{mine}:load", **options)


def test_a_mended_image_is_read_again(options, plug_in, tmp_path, wnids):
    images = draw_images(tmp_path / "some", wnids, 12)
    bad = images / wnids[0] / f"{wnids[0]}_7.png"
    whole = bad.read_bytes()
    bad.write_bytes(b"")
    options |= {"images": images}
    with pytest.raises(CogError, match="cannot be read, more than 1%") as error:
        cog.evaluate(f"{plug_in}:load", **options)
    assert "run the command again" in error.value.hint
    bad.write_bytes(whole)
    table = cog.evaluate(f"{plug_in}:load", **options)
    assert (table["n_unreadable"] == 0).all()


def test_a_refused_run_leaves_the_other_one_as_it_was(options, plug_in):
    cog.evaluate(f"{plug_in}:load", **options)
    files = {path: path.read_bytes() for path in options["out"].rglob("*") if path.is_file()}
    for change in ({"dtype": "float32"}, {"max_train": 5}):
        with pytest.raises(CogError, match=r"something else|another split"):
            cog.evaluate(f"{plug_in}:load", **options | change)
    assert {
        path: path.read_bytes() for path in options["out"].rglob("*") if path.is_file()
    } == files


def test_the_remedy_for_overflow_works_as_it_is_said(options, plug_in):
    with pytest.raises(CogError, match="does not fit in float16"):
        cog.evaluate(f"{plug_in}:huge", **options)
    assert len(cog.evaluate(f"{plug_in}:huge", **options, dtype="float32")) == 2


def test_the_remedy_for_features_that_vanish_works_as_it_is_said(options, plug_in):
    with pytest.raises(CogError, match="too small for float16") as caught:
        cog.evaluate(f"{plug_in}:tiny", **options)
    assert "--dtype float32" in caught.value.hint
    tiny = cog.evaluate(f"{plug_in}:tiny", **options, dtype="float32")
    plain = cog.evaluate(f"{plug_in}:load", **options, dtype="float32")
    assert tiny["top1"].tolist() == plain["top1"].tolist()


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: torch.nn.Conv2d(3, 4, 8, 8).bfloat16(), "network.float()"),
        (lambda: torch.nn.Conv2d(3, 4, 8, 8).half(), "network.float()"),
        (lambda: torch.nn.Conv2d(3, 4, 8, 8).double(), "network.float()"),
        (lambda: torch.nn.LazyConv2d(4, 8, 8), "load them before"),
        (lambda: torch.nn.Conv2d(3, 4, 8, 8, device="meta"), "load them before"),
    ],
    ids=["bf16", "half", "double", "lazy", "meta"],
)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_that_cannot_run_on_float32_images_is_two_lines(options, make, hint, precision):
    network = torch.nn.Sequential(make(), torch.nn.Flatten())
    model = cog.Model(network, preprocess=cog.Preprocess(resize=16, crop=16), name="odd")
    with pytest.raises(CogError) as caught:
        cog.evaluate(model, **options, precision=precision, device="cpu")
    assert hint in caught.value.hint


def test_classes_with_fewer_images_than_shots_are_told_once_and_recorded(options, plug_in):
    few = options | {"shots": (1, 64), "seeds": (22, 37), "probes": "ncm,ridge"}
    told = []
    table = cog.evaluate(f"{plug_in}:load", **few, progress=Notifying(told.append))
    assert table.groupby("shots")["n_short"].unique().map(list).to_dict() == {1: [0], 64: [3]}
    said = [line for line in told if "fewer than" in line]
    (line,) = said
    assert line.startswith("cog_l1, cog_l2: 64 shots: 3 of 3 classes have fewer than 64 images")


def test_a_damaged_run_json_is_an_error(options, plug_in):
    (options["out"] / "colours").mkdir(parents=True)
    (options["out"] / "colours" / "run.json").write_text("{}")
    with pytest.raises(CogError, match=r"run\.json is damaged"):
        cog.evaluate(f"{plug_in}:load", **options)


def test_a_network_that_fails_on_a_batch_is_named(options):
    class OnlyOne(torch.nn.Module):
        def forward(self, x):
            if len(x) > 1:
                raise RuntimeError("boom")
            return x.mean((2, 3))

    model = cog.Model(OnlyOne(), preprocess=cog.Preprocess(resize=16, crop=16), name="one")
    with pytest.raises(CogError, match=r"one fails on a batch of 8: RuntimeError: boom"):
        cog.evaluate(model, **options)
