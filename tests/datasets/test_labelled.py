"""Datasets of any labelled images: classes of any name, splits, refusals."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from cog.cli.check_data import check_data as check_command
from cog.cli.main import main
from cog.datasets.check.check import check_data
from cog.datasets.dataset import DatasetOptions, Named
from cog.datasets.find import find_datasets
from cog.datasets.labelled.names import check_names
from cog.errors import CogError
from cog.levels.files import read_levels
from cog.recipe import Recipe
from tests.support.labelled_images import counts, draw, found


@pytest.mark.parametrize("test", ["test", "val", "valid", "Validation"])
def test_classes_have_any_names_and_the_split_is_that_of_the_folders(tmp_path, test):
    names = ["Kätzchen", "big dog", "10", "2", "日本", "n02085272"]
    draw(tmp_path / "train", dict.fromkeys(names, 3))
    draw(tmp_path / test, dict.fromkeys(names, 2))
    dataset = found(tmp_path)
    assert dataset.split.train.classes == dataset.split.test.classes == tuple(sorted(names))
    assert counts(dataset) == (dict.fromkeys(sorted(names), 3), dict.fromkeys(sorted(names), 2))
    assert (dataset.split.kind, dataset.n_wanted) == (f"train/{test}", 6)


def test_val_beside_test_is_not_used_and_that_is_said(tmp_path):
    for part in ("train", "val", "test"):
        draw(tmp_path / part, {"a": 2, "b": 2})
    dataset = found(tmp_path)
    assert dataset.split.kind == "train/test"
    assert any("val is not used" in note for note in dataset.split.notes)


def test_every_other_part_is_said_not_to_be_used(tmp_path):
    """Also a second one that could train; of names that differ in case, small letters go first."""
    for part in ("Train", "train", "training", "test"):
        draw(tmp_path / part, {"a": 2 if part == "train" else 1, "b": 1})
    dataset = found(tmp_path)
    assert (len(dataset.split.train), dataset.split.kind) == (3, "train/test")
    said = [note.split(" is not")[0] for note in dataset.split.notes]
    assert said == ["Train", "training"]


def test_folders_of_classes_alone_are_split_by_a_seeded_draw(tmp_path):
    draw(tmp_path, {"a": 6, "b": 9})
    recipe = Recipe(test_per_class=2)
    dataset = found(tmp_path, recipe)
    assert counts(dataset) == ({"a": 4, "b": 7}, {"a": 2, "b": 2})
    assert not set(dataset.split.train.paths) & set(dataset.split.test.paths)
    assert dataset.split.kind == "seeded"
    assert any("--test-per-class" in note for note in dataset.split.notes)
    again = found(tmp_path, recipe)
    assert again.split.test.fingerprint == dataset.split.test.fingerprint
    draw(tmp_path, {"c": 9})  # another class does not move the others' draws
    paths = set(found(tmp_path, recipe).split.test.paths)
    assert set(dataset.split.test.paths) < paths
    assert {path.partition("/")[0] for path in paths - set(dataset.split.test.paths)} == {"c"}


def test_a_class_with_one_image_cannot_be_drawn_from(tmp_path):
    draw(tmp_path, {"a": 6, "b": 9, "lonely": 1})
    with pytest.raises(CogError, match="lonely: 1 of 3 images") as caught:
        found(tmp_path, Recipe(test_per_class=2))
    assert "--test-per-class" in caught.value.hint
    dataset = found(tmp_path, Recipe(test_per_class=2), allow_missing=True)
    assert (dataset.split.left_out, dataset.n_classes, dataset.n_wanted) == (("lonely",), 2, 3)


def test_a_class_that_only_trains_stays_as_an_answer(tmp_path):
    draw(tmp_path / "train", {"a": 2, "b": 2, "c": 1})
    draw(tmp_path / "test", {"a": 1, "b": 1})
    dataset = found(tmp_path)
    assert counts(dataset) == ({"a": 2, "b": 2, "c": 1}, {"a": 1, "b": 1, "c": 0})
    assert any("1 classes have no test images" in note for note in dataset.split.notes)


def test_a_class_that_only_tests_is_refused_or_left_out(tmp_path):
    draw(tmp_path / "train", {"Cat": 2, "dog": 2, "cow": 2})
    draw(tmp_path / "test", {"cat": 1, "dog": 1, "cow": 1})
    with pytest.raises(CogError, match=r"cat: no training images \(but there are of Cat\)"):
        found(tmp_path)
    dataset = found(tmp_path, allow_missing=True)
    assert dataset.split.test.classes == ("Cat", "cow", "dog")
    assert dataset.split.left_out == ("cat",)


def test_names_that_differ_in_case_alone_are_two_classes_and_that_is_said(tmp_path):
    for part in ("train", "test"):
        draw(tmp_path / part, {"a": 2, "A": 3, "b": 1})
    dataset = found(tmp_path)
    assert dataset.split.train.classes == ("A", "a", "b")
    assert any("case alone" in note and "A and a" in note for note in dataset.split.notes)


def test_one_name_in_two_forms_of_unicode_is_one_class(tmp_path):
    draw(tmp_path / "train", {"caf\u00e9": 2, "b": 2})
    draw(tmp_path / "test", {"cafe\u0301": 1, "b": 1})  # as macOS wrote it
    assert counts(found(tmp_path))[1] == {"b": 1, "caf\u00e9": 1}
    draw(tmp_path / "train", {"cafe\u0301": 2})
    with pytest.raises(CogError, match="differ only in how Unicode"):
        found(tmp_path)


def test_one_class_is_refused(tmp_path):
    for part in ("train", "test"):
        draw(tmp_path / part, {"a": 2})
    with pytest.raises(CogError, match="two classes or more, found 1"):
        found(tmp_path)


def test_a_split_without_test_images_is_refused(tmp_path):
    draw(tmp_path / "train", {"a": 2, "b": 2})
    draw(tmp_path / "test", {"a": 0, "b": 0})
    with pytest.raises(CogError, match="no test images"):
        found(tmp_path)


def test_thirty_thousand_classes(tmp_path):
    names = [f"class {number}" for number in range(30_000)]
    for part in ("train", "test"):
        for name in names:
            (tmp_path / part / name).mkdir(parents=True)
            (tmp_path / part / name / "a.png").touch()
    dataset = found(tmp_path)
    assert dataset.n_classes == len(dataset.split.test) == 30_000
    assert dataset.split.test.labels[-1] == 29_999


def test_more_bad_classes_than_a_line_holds_are_counted(tmp_path):
    draw(tmp_path / "train", {"a": 1, "b": 1})
    draw(tmp_path / "test", {f"{number:03}": 1 for number in range(40)})
    with pytest.raises(CogError, match=r"40 of 42 classes .* and 30 more"):
        found(tmp_path)


@pytest.mark.parametrize(
    "name", ["", "a/b", "a b", ".hidden", "é", "in1k", "IN1K", "L1", "cog_l2", "a--b", "x" * 65]
)
def test_names_that_cannot_be_used(name):
    with pytest.raises(CogError, match="a dataset cannot be called"):
        check_names([name])


def test_names_must_be_unique_but_for_case():
    check_names(["a", "b", "in1k-v2", "L1x"])
    with pytest.raises(CogError, match="differs in case alone"):
        check_names(["Pets", "pets"])


def test_nothing_to_evaluate_is_refused():
    with pytest.raises(CogError, match="nothing to evaluate") as caught:
        find_datasets(DatasetOptions(), read_levels(None), Recipe())
    assert "--dataset NAME=SOURCE" in caught.value.hint


def test_nothing_to_evaluate_is_said_before_a_model_is_loaded(tmp_path):
    given = ["evaluate", "--model", f"{tmp_path}/absent.py:load", "--out", str(tmp_path / "runs")]
    assert "nothing to evaluate" in str(CliRunner().invoke(main, given).exception)


def test_only_takes_names_of_datasets(tmp_path):
    for name in ("Pets", "art"):
        for part in ("train", "test"):
            draw(tmp_path / name / part, {"a": 2, "b": 2})
    own = tuple(Named(name, tmp_path / name) for name in ("Pets", "art"))
    levels = read_levels(None)
    wanted = find_datasets(DatasetOptions(datasets=own, only=("pets",)), levels, Recipe())
    assert [dataset.name for dataset in wanted] == ["Pets"]
    with pytest.raises(CogError, match="petz"):
        find_datasets(DatasetOptions(datasets=own, only=("petz",)), levels, Recipe())


def test_check_data_lists_what_a_run_would_refuse_and_reads_the_rest(tmp_path):
    draw(tmp_path / "train", {"a": 2, "b": 2})
    draw(tmp_path / "test", {"a": 1, "b": 1, "c": 1})
    (tmp_path / "train" / "a" / "empty.png").write_bytes(b"")
    options = DatasetOptions(datasets=(Named("own", tmp_path),))
    checked = check_data(options, read_levels(None), Recipe(), decode=True)
    assert {each[:4] for each in checked.findings if each.finding != "odd"} == {
        ("own", "c", "", "missing"), ("own-train", "a", "a/empty.png", "unreadable"),
    }  # fmt: skip
    assert [(part.dataset, len(part.images)) for part in checked.parts] == [
        ("own-train", 5), ("own-test", 3),
    ]  # fmt: skip
    assert not checked.sound
    assert checked.to_fetch() == {}


def test_the_command_checks_a_dataset_without_a_root(tmp_path):
    for part in ("train", "test"):
        draw(tmp_path / part, {"a": 2, "b": 2})
    said = CliRunner().invoke(check_command, ["--dataset", f"own={tmp_path}"])
    assert (said.exit_code, said.output.splitlines()[-1]) == (0, "sound")


def test_one_part_alone_is_refused_with_what_to_give(tmp_path):
    draw(tmp_path / "train", {"a": 2, "b": 2})
    with pytest.raises(CogError, match="has train/, but not both") as caught:
        found(tmp_path)
    assert str(tmp_path / "train") in caught.value.hint
    assert found(tmp_path / "train", Recipe(test_per_class=1)).split.kind == "seeded"


def test_a_class_may_be_called_train(tmp_path):
    draw(tmp_path, {"train": 3, "bus": 3})
    assert found(tmp_path, Recipe(test_per_class=1)).split.train.classes == ("bus", "train")


def test_the_headline_metric_may_be_named(tmp_path):
    for part in ("train", "test"):
        draw(tmp_path / part, {"a": 2, "b": 2})
    assert found(tmp_path, metrics=(("own", "mean_class"),)).metric == "mean_class"
    with pytest.raises(CogError, match="mean_clas"):
        found(tmp_path, metrics=(("own", "mean_clas"),))
    with pytest.raises(CogError, match="owl"):
        found(tmp_path, metrics=(("owl", "mean_class"),))
