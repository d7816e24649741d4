"""`--test-set in1k/real=real.json`: several right classes of ImageNet-1K's validation images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import cog
import cog.evaluation.estimate
from cog.datasets.reassessed import N_IMAGES
from cog.datasets.right_classes import RightClasses
from cog.errors import CogError
from cog.evaluation.estimate import estimate
from cog.evaluation.plan import plan_from
from cog.evaluation.verify.verify import verify
from cog.features.executors.executor import executor_for
from cog.progress import Silent
from cog.results.mcnemar import Discordant
from cog.results.mistakes import nearest_right
from cog.results.paired import Pairs, read_run
from cog.results.predictions import read_predictions
from cog.results.ranks import read_ranks
from cog.results.summary import wide
from cog.wordnet.class_tree import class_tree
from cog.wordnet.concept_lists import read_wnids
from tests.support.colour_images import quarters

OFFICIAL = sorted(read_wnids("in1k"))
NUMBERS = (1, 2, 10, 282, 285, 751)  # goldfish, great white shark, brambling, two cats, a car
WNIDS = [OFFICIAL[number] for number in NUMBERS]
PER_CLASS = 8
OPTIONS = {
    "probes": "ncm,logreg,knn,retrieval", "solver": "lbfgs", "seeds": "22", "device": "cpu",
    "allow_missing": True,
}  # fmt: skip


def draw(file: Path, label: int, rng: np.random.Generator) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    colour = np.array([label * 40, 250 - label * 35, (label * 97) % 251])
    pixels = (colour + rng.normal(scale=90, size=(6, 6, 3))).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(file, "PNG")


@pytest.fixture(scope="module")
def model() -> cog.Model:
    return quarters()


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Six classes of ImageNet-1K, with few validation images under their published names."""
    root, rng = tmp_path_factory.mktemp("in1k"), np.random.default_rng(0)
    for label, wnid in enumerate(WNIDS):
        for number in range(10):
            draw(root / "train" / wnid / f"{wnid}_{number}.JPEG", label, rng)
        for number in range(PER_CLASS):
            name = f"ILSVRC2012_val_{1 + label + 6 * number:08}.JPEG"
            draw(root / "val" / wnid / name, label, rng)
    return root


@pytest.fixture(scope="module")
def labels() -> list[list[int]]:
    """Right classes as the published file has them: none, one, several, the own one or not."""
    rng = np.random.default_rng(1)
    found: list[list[int]] = [[] for _ in range(N_IMAGES)]
    for number in range(6 * PER_CLASS):
        own = NUMBERS[number % 6]
        kind = number // 6
        if kind == 0:
            continue  # without a right class
        if kind == 1:
            found[number] = [999]  # of a class that is not there
        elif kind == 2:
            found[number] = [int(each) for each in rng.permutation([*NUMBERS, 500])[:3]]
        else:
            found[number] = [NUMBERS[(number + kind) % 6], own] if kind % 2 else [own]
    return found


@pytest.fixture(scope="module")
def file(tmp_path_factory, labels) -> Path:
    path = tmp_path_factory.mktemp("labels") / "real.json"
    path.write_text(json.dumps(labels))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory, images, model, file) -> tuple[Path, pd.DataFrame]:
    out = tmp_path_factory.mktemp("real") / "runs"
    sets = {"in1k/real": file}
    return out, cog.evaluate(model, in1k=images, test_sets=sets, out=out, **OPTIONS)


def of(table: pd.DataFrame, test_set: str) -> pd.DataFrame:
    return table[table["test_set"] == test_set].set_index("probe")


def kept(out: Path, dataset: str, probe: str, m: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The highest classes and the ranks of a cell, and the file of each test image."""
    (path,) = out.glob(f"*/predictions/{dataset}--{probe}-*.json")
    highest = read_predictions(path.read_bytes(), m, len(WNIDS)).highest
    ranks = read_ranks((path.parent.parent / "ranks" / path.name).read_bytes(), m).ranks
    lines = (out / "splits" / "test" / f"{dataset}.txt").read_text().splitlines()
    return highest, ranks, [line.rpartition(" ")[0] for line in lines]


def test_an_answer_is_right_if_it_is_any_of_the_right_classes(runs, labels):
    """The definition of the published code: the mean of `pred in labels` of images with labels."""
    out, table = runs
    rows = of(table, "real")
    assert set(rows.index) == {"ncm", "logreg", "knn"}  # retrieval knows of one class alone
    for probe, row in rows.iterrows():
        highest, ranks, paths = kept(out, "in1k@real", probe, int(row["n_test"]))
        numbers = [int(Path(path).name[15:23]) - 1 for path in paths]
        answers = np.array(NUMBERS)[highest]
        places = [
            [place for place, answer in enumerate(of_image) if answer in labels[number]]
            for of_image, number in zip(answers, numbers, strict=True)
        ]
        right = [bool(own) and own[0] == 0 for own in places]
        assert row["top1"] == pytest.approx(100 * np.mean(right))
        assert row["top5"] == pytest.approx(100 * np.mean([bool(own) for own in places]))
        assert [own[0] if own else 5 for own in places] == ranks.tolist()
        own = of(table, "").loc[probe, "top1"]
        assert row["top1"] != own
    assert (rows["n_test"] + rows["n_unlabelled"] == 6 * PER_CLASS).all()
    assert set(rows["n_unlabelled"]) == {12}
    assert set(rows["n_classes"]) == {6}
    assert set(rows["split"]) == {"several right classes"}


def test_every_image_is_predicted_as_in_the_dataset_itself(runs):
    out, table = runs
    for probe in ("ncm", "logreg", "knn"):
        first, second = (
            kept(out, name, probe, int(of(table, test_set).loc[probe, "n_test"]))
            for name, test_set in (("in1k", ""), ("in1k@real", "real"))
        )
        taken_for = dict(zip(first[2], first[0].tolist(), strict=True))
        assert [taken_for[path] for path in second[2]] == second[0].tolist()


def test_no_feature_is_made_twice(runs, images, model, file, tmp_path):
    out, table = runs
    names = sorted(path.name for path in out.glob("*/features/*"))
    assert names == ["in1k-test.zarr", "in1k-train.zarr"]
    assert set(of(table, "real")["feature_bytes"]) == {0}
    own = tmp_path / "runs"
    given = OPTIONS | {"probes": "ncm,logreg", "in1k": images, "out": own}
    cog.evaluate(model, **given)
    written = {path: path.stat().st_mtime_ns for path in own.rglob("*.zarr/**/*") if path.is_file()}
    assert len(written) > 4
    later = cog.evaluate(model, test_sets={"in1k/real": file}, **given)
    assert written == {path: path.stat().st_mtime_ns for path in written}
    same = of(later, "real")["top1"]
    assert same.to_dict() == of(table, "real")["top1"][same.index].to_dict()


def test_cog_verify_proves_it_and_finds_another_label(runs, tmp_path):
    out, _ = runs
    assert verify(out).faults == ()
    right = out / "splits" / "right" / "in1k@real.txt"
    before = right.read_text()
    lines = before.splitlines()
    several = next(n for n, line in enumerate(lines) if len(line.split()) > 1)
    lines[several] = lines[several].split()[0]
    right.write_text("".join(f"{line}\n" for line in lines))
    assert any("split_hash" in fault.expected for fault in verify(out).faults)
    lines[several] = "no label"
    right.write_text("".join(f"{line}\n" for line in lines))
    assert any(str(right) == fault.file for fault in verify(out).faults)
    right.write_text(before)


def test_accuracies_by_class_are_those_of_one_class_an_image(runs):
    out, table = runs
    row = of(table, "real").loc["ncm"]
    (path,) = out.glob("*/classes/in1k@real--ncm-*.csv")
    classes = pd.read_csv(path)
    assert classes["n_test"].sum() == row["n_test"]
    hits = (classes["top1"].fillna(0) * classes["n_test"]).sum() / classes["n_test"].sum()
    assert hits == pytest.approx(row["top1"])


def test_the_nearest_right_class_counts():
    tree = class_tree(tuple(WNIDS))
    right = RightClasses.of([[0, 3], [5, 4], [2], [1, 2]])
    # a tiger cat is near the Egyptian cat; a right answer is itself; 6 is no class
    found = nearest_right(np.array([4, 5, 6, 2]), right.classes, right.counts, tree)
    assert found.tolist() == [3, 5, 2, 2]


def test_what_mistakes_cost_is_by_the_nearest_right_class(runs):
    out, table = runs
    row, tree = of(table, "real").loc["ncm"], class_tree(tuple(WNIDS))
    right = [line.split() for line in (out / "splits/right/in1k@real.txt").read_text().splitlines()]
    classes = sorted({int(label) for line in right for label in line})
    assert len(classes) == len(WNIDS)  # labels count a thousand classes, the tree six
    (file,) = out.glob("*/predictions/in1k@real--ncm-*.json")
    first = read_predictions(file.read_bytes(), len(right), len(WNIDS)).highest[:, :1]
    heights = [
        int(tree.pair_heights(own, np.repeat(taken, len(own))).min())
        for line, taken in zip(right, first, strict=True)
        if taken not in (own := np.array([classes.index(int(label)) for label in line]))
    ]
    assert len(heights) == round(len(right) * (100 - row["top1"]) / 100)
    assert row["mistake_height"] == pytest.approx(np.mean(heights))
    assert row["top1_height1"] >= row["top1"]


def test_an_image_that_cannot_be_read_is_left_out_of_both(images, model, labels, file, tmp_path):
    root = tmp_path / "in1k"
    shutil.copytree(images, root)
    lost = sorted(root.glob("val/*/*"))[20]
    number = int(lost.name[15:23]) - 1
    assert labels[number]
    lost.write_bytes(b"")
    for part in sorted(root.glob("train/*/*")):  # only one of a hundred may be unreadable
        (part.parent / f"more_{part.name}").write_bytes(part.read_bytes())
    given = OPTIONS | {"probes": "ncm", "in1k": root, "out": tmp_path / "runs"}
    table = cog.evaluate(model, test_sets={"in1k/real": file}, **given)
    rows = table.set_index("test_set")
    assert rows["n_unreadable"].to_dict() == {"": 1, "real": 1}
    assert rows["n_test"].to_dict() == {"": 47, "real": 35}
    proof = verify(tmp_path / "runs")
    assert proof.faults == ()
    assert any("images were left out" in note for note in proof.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[1], [2]]", "found 2 of them"),
        ("[1", "cannot read"),
        (json.dumps([[1000]] * N_IMAGES), r"found \[1000\] for image 1 "),
        (json.dumps([[1]] * (N_IMAGES - 1) + [[True]]), "for image 50,000"),
        (json.dumps([3] * N_IMAGES), "found 3 for image 1 "),
        (json.dumps([[]] * N_IMAGES), "no image of in1k has a right class"),
    ],
)
def test_another_file_is_refused(content, message, images, model, tmp_path):
    file = tmp_path / "real.json"
    file.write_text(content)
    with pytest.raises(CogError, match=message):
        cog.evaluate(
            model, in1k=images, test_sets={"in1k/real": file}, out=tmp_path / "runs", **OPTIONS
        )
    assert not (tmp_path / "runs").exists()


def test_other_datasets_and_other_names_are_refused(images, model, file, tmp_path):
    given = {"out": tmp_path / "runs", **OPTIONS}
    own = {"own": images / "train"}
    with pytest.raises(CogError, match="not of own"):
        cog.evaluate(model, datasets=own, test_sets={"own/real": file}, **given,
                     test_per_class=2)  # fmt: skip
    root = tmp_path / "in1k"
    shutil.copytree(images, root)
    first = sorted(root.glob("val/*/*"))[0]
    first.rename(first.with_name("a.JPEG"))
    with pytest.raises(CogError, match="1 of 48 test images have no number"):
        cog.evaluate(model, in1k=root, test_sets={"in1k/real": file}, **given)


def test_after_features_were_discarded_the_test_images_alone_are_made_again(
    runs, images, model, file, tmp_path, monkeypatch
):
    out = tmp_path / "runs"
    given = OPTIONS | {"probes": "ncm,logreg", "in1k": images, "out": out}
    cog.evaluate(model, discard_features=True, **given)
    assert not [*out.glob("*/features/*")]
    monkeypatch.setattr(cog.evaluation.estimate, "SECONDS", 0.01)
    for sets, to_decode in (({}, 0), ({"in1k/real": file}, 6 * PER_CLASS)):
        plan = plan_from({"model": model, "name": (), "test_sets": sets, **given})
        with executor_for(plan.extraction, plan.devices, Silent()) as executor:
            assert estimate(plan, executor).to_decode == to_decode
    later = cog.evaluate(model, test_sets={"in1k/real": file}, **given)
    assert [path.name for path in out.glob("*/features/*")] == ["in1k-test.zarr"]
    own = of(later, "real")["top1"]
    assert own.to_dict() == of(runs[1], "real")["top1"][own.index].to_dict()
    assert verify(out).faults == ()
    cog.evaluate(model, test_sets={"in1k/real": file}, discard_features=True, **given)
    assert not [*out.glob("*/features/*")]
    assert verify(out).faults == ()


def test_controls_and_few_shots_have_it_too(images, model, file, tmp_path):
    given = OPTIONS | {"probes": "ncm,knn", "shots": "all,2", "controls": True}
    table = cog.evaluate(
        model, in1k=images, test_sets={"in1k/real": file}, out=tmp_path / "runs", **given
    )
    key = ["model", "probe", "shots"]
    own, real = (
        {tuple(each) for each in table.loc[table["test_set"] == name, key].to_numpy().tolist()}
        for name in ("", "real")
    )
    assert own == real
    assert len(own) == 4 * 4
    assert verify(tmp_path / "runs").faults == ()


def test_tables_and_paired_tests_have_its_rows_and_a_plan_no_store_of_it(
    runs, images, file, tmp_path, model
):
    out, table = runs
    assert "in1k/real" in wide(table)
    run = read_run(out, print)
    pairs = Pairs(run, run, {}, print)
    keys = [key for key in run.cells if key[1] == "in1k/real"]
    assert len(keys) == 3
    assert {pairs.discordant(key) for key in keys} == {Discordant(0, 0, 36)}
    given = {"model": model, "name": (), "in1k": images, "out": tmp_path / "new", **OPTIONS}
    plain, more = (plan_from(given | sets) for sets in ({}, {"test_sets": {"in1k/real": file}}))
    assert plain.store_paths() == more.store_paths()
    assert len(more.cells) == len(plain.cells) + 3
