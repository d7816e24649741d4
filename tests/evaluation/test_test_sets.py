"""`--test-set DATASET/NAME=SOURCE`: probes of a dataset scored on further images of its classes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import cog
import cog.evaluation.estimate
from cog.datasets.test_sets import match_classes
from cog.errors import CogError
from cog.evaluation.estimate import estimate
from cog.evaluation.fits import FitData
from cog.evaluation.plan import plan_from
from cog.evaluation.verify.verify import verify
from cog.features.executors.executor import executor_for
from cog.features.store.store import FeatureStore
from cog.probes.head import read_head
from cog.progress import Silent
from cog.results.compare_runs import compare_runs
from cog.results.mixing import where
from cog.results.summary import wide
from cog.small_files import NotReadable
from tests.support.colour_images import COLOURS, draw_own, quarters
from tests.support.colour_images import draw_colours as draw

OPTIONS = {"probes": "ncm,logreg,knn,retrieval", "solver": "lbfgs", "seeds": "22", "device": "cpu"}


@pytest.fixture(scope="module")
def model() -> cog.Model:
    """A model whose features are the mean colour of four quarters."""
    return quarters()


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """A dataset of 12 colours, and further images of them: numbered folders, and four alone."""
    root = tmp_path_factory.mktemp("colours")
    same = {name: name for name in COLOURS}
    draw_own(root, same, 12, 5)
    draw(root / "same", same, 5, 90, 2)
    draw(root / "numbers", {str(n): name for n, name in enumerate(COLOURS)}, 5, 90, 2)
    (root / "numbers" / "classes.txt").write_text("".join(f"{name}\n" for name in COLOURS))
    draw(root / "four", {name: name for name in ("c01", "c04", "c05", "c10")}, 5, 120, 3)
    return root


def sets(images: Path, *names: str) -> dict[str, str]:
    return {f"own/{name}": str(images / name) for name in names}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, images, model) -> tuple[Path, pd.DataFrame]:
    """The dataset with two test sets in one run."""
    out = tmp_path_factory.mktemp("shift") / "runs"
    return out, cog.evaluate(
        model,
        datasets={"own": images / "own"},
        test_sets=sets(images, "numbers", "four"),
        out=out,
        **OPTIONS,
    )


def top1(table: pd.DataFrame, test_set: str) -> pd.Series:
    return table[table["test_set"] == test_set].set_index("probe")["top1"]


def test_the_same_images_have_the_same_accuracies(runs):
    _, table = runs
    assert set(table["dataset"]) == {"own"}
    own, numbers = top1(table, ""), top1(table, "numbers")
    assert numbers.to_dict() == own.to_dict()
    assert 20 < own["logreg"] < 100
    split = table.set_index("test_set")["split"]
    assert set(split["numbers"]) == {"classes by number"}


def test_a_set_of_fewer_classes_is_scored_among_these_alone(runs, images, model):
    out, table = runs
    rows = table[table["test_set"] == "four"].set_index("probe")
    assert set(rows.index) == {"ncm", "logreg", "retrieval"}  # knn cannot answer with some alone
    assert set(rows["n_classes"]) == {4}
    assert set(rows["n_fit_classes"]) == {12}
    head, about = read_head(
        (out / "quarters/heads/own--ncm-exact--all--22.safetensors").read_bytes()
    )
    assert about["dataset"] == "own"
    store = FeatureStore.open(out / "quarters" / "features" / "own@four-test.zarr")
    x, y = store.read()
    assert y.max() == 3
    unit = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    outputs = unit @ head.layer[[1, 4, 5, 10], :-1].T.astype(np.float64)
    assert rows.loc["ncm", "top1"] == pytest.approx(100 * (outputs.argmax(1) == y).mean())


def test_a_test_set_added_later_is_scored_without_training_images(runs, images, model):
    out, _ = runs
    own = out.parent / "later"
    probes = OPTIONS | {"probes": "ncm,logreg"}
    given = {"datasets": {"own": images / "own"}, "out": own, **probes}
    cog.evaluate(model, discard_features=True, **given)
    heads = {path: path.stat().st_mtime_ns for path in own.glob("*/heads/*")}
    assert len(heads) == 2
    table = cog.evaluate(model, test_sets=sets(images, "same"), **given)
    assert top1(table, "same").to_dict() == top1(table, "").to_dict()
    stores = [path.name for path in own.glob("*/features/*.zarr")]
    assert stores == ["own@same-test.zarr"]  # nothing was fitted, so nothing learnt from was made
    assert heads == {path: path.stat().st_mtime_ns for path in own.glob("*/heads/*")}
    assert not verify(own).faults
    shutil.rmtree(own / "quarters" / "heads")
    for cell in own.glob("*/cells/own@same*"):
        cell.unlink()
    again = cog.evaluate(model, test_sets=sets(images, "same"), **given)
    assert top1(again, "same").to_dict() == top1(table, "same").to_dict()


def test_a_dry_run_counts_what_a_later_test_set_needs(tmp_path, images, model, monkeypatch):
    """144 training images where a probe without a head is fitted again, and none where one is."""
    monkeypatch.setattr(cog.evaluation.estimate, "SECONDS", 0.01)
    given = {"model": model, "datasets": {"own": images / "own"}, "out": tmp_path, **OPTIONS}
    further = {**given, "test_sets": sets(images, "same", "numbers")}

    def decodes(**options: object) -> tuple[int, float]:
        plan = plan_from({**further, **options})
        with executor_for(plan.extraction, plan.devices, Silent()) as executor:
            found = estimate(plan, executor)
        return found.to_decode, found.probe_seconds

    assert decodes()[0] == 144 + 60 + 2 * 60
    cog.evaluate(discard_features=True, **given)
    assert decodes()[0] == 144 + 2 * 60
    assert decodes(probes="ncm,logreg") == (2 * 60, 0)
    assert decodes(probes="ncm", keep_heads=False)[1] > 0


def test_again_takes_everything_over(runs, images, model):
    out, table = runs
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    again = cog.evaluate(
        model,
        datasets={"own": images / "own"},
        test_sets=sets(images, "numbers", "four"),
        out=out,
        **OPTIONS,
    )
    pd.testing.assert_frame_equal(again, table)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_cog_verify_proves_test_sets(runs):
    assert verify(runs[0]).faults == ()


def test_tables_have_a_column_a_test_set(runs):
    _, table = runs
    columns = list(wide(table))
    assert [name for name in columns if name.startswith("own") and not name.endswith("_se")] == [
        "own", "own/four", "own/numbers",
    ]  # fmt: skip
    assert (compare_runs(table, table).numbers["verdict"] == "equal").all()
    assert "own/four" in set(compare_runs(table, table).numbers["dataset"])
    assert set(where(table, ["dataset=own/four"])["test_set"]) == {"four"}
    both = where(table, ["dataset=own/four", "dataset=own/numbers"])
    assert set(both["test_set"]) == {"four", "numbers"}
    assert set(where(table, ["dataset!=own/four"])["test_set"]) == {"", "numbers"}
    with pytest.raises(CogError, match="unknown dataset 'own/five'"):
        where(table, ["dataset=own/five"])


def test_classes_are_matched_by_number_not_by_text():
    wnids = [f"n{number:08}" for number in range(1000)]
    folders = sorted(map(str, range(1000)))
    assert folders[2] == "10"
    found, by = match_classes(folders, wnids)
    assert by == "number"
    assert all(found[str(number)] == wnid for number, wnid in enumerate(wnids))


def test_numbers_of_a_longer_list_of_classes_match_none():
    """ImageNet-V2 with a dataset of a hundred classes: 0…99 are others than its own hundred."""
    hundred = [f"n{number:08}" for number in range(0, 1000, 10)]
    assert match_classes([*map(str, range(1000))], hundred) == ({}, "number")
    assert match_classes(["0", "2"], ["cat", "dog"], ["dog", "cat"]) == ({}, "number")
    assert match_classes(["0", "1"], ["cat", "dog"], ["dog", "ox"])[0] == {"0": "dog"}


def test_test_sets_are_left_out_with_their_dataset(images, model, tmp_path):
    options = {
        "model": model, "datasets": {"own": images / "own", "other": images / "own"},
        "test_sets": {**sets(images, "same"), "other/four": images / "four"},
        "out": tmp_path / "runs", **OPTIONS,
    }  # fmt: skip
    plan = plan_from({**options, "only": "other"})
    assert [dataset.name for dataset in plan.datasets] == ["other", "other/four"]
    assert "own/same" not in plan.sources
    with pytest.raises(CogError, match="unknown dataset of --test-set 'owm'"):
        plan_from({**options, "test_sets": {"owm/x": images / "same"}, "only": "other"})


def test_a_head_that_goes_during_a_run_does_not_make_test_images_train(runs, images, model):
    out, _ = runs
    given = {"datasets": {"own": images / "own"}, "test_sets": sets(images, "numbers")}
    test_set = plan_from({"model": model, "out": out, **given, **OPTIONS}).datasets[1]
    store = FeatureStore.open(out / "quarters" / "features" / "own@numbers-test.zarr")
    with pytest.raises(CogError, match=r"a head that was there .* there no more"):
        _ = FitData(test_set, "", [store]).fitted


def test_what_cannot_be_a_test_set_is_refused(images, model, tmp_path):
    given = {"datasets": {"own": images / "own"}, "out": tmp_path / "runs", **OPTIONS}
    odd = draw(tmp_path / "odd", {"c01": "c01", "other": "c02"}, 2, 10, 1)
    one = draw(tmp_path / "one", {"c01": "c01"}, 2, 10, 1)
    for test_sets, message in (
        ({"own/x": odd}, "own/x: 1 of 2 classes are none of own: other"),
        ({"nothing/x": odd}, "dataset of --test-set"),
        ({"own": odd}, "cannot be called 'own'"),
        ({"own/x": odd, "own/X": odd}, "own/X is there twice"),
        ({"own/x": tmp_path / "absent"}, "own/x: there is no"),
        ({"own/x": one}, "own/x: expected images of two classes of own or more, found c01 alone"),
        ({"in1k/x": odd}, "in1k/x has further images of in1k, which is not evaluated\ngive --in1k"),
        ({"L1/x": odd}, "L1/x has further images of cog_l1, .*\ngive --images"),
    ):
        with pytest.raises(CogError, match=message):
            cog.evaluate(model, test_sets=test_sets, **given)
    assert not (tmp_path / "runs").exists()


def test_a_damaged_head_is_no_head(tmp_path):
    for data in (b"", b"x" * 100, (8).to_bytes(8, "little") + b'{"a": 1}'):
        with pytest.raises(NotReadable):
            read_head(data)
