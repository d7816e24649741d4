"""A mistake that concerns several levels, datasets or models is said once, with their names."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from cog.cli.main import main
from cog.datasets.check.check import check_data
from cog.datasets.dataset import DatasetOptions, Named
from cog.datasets.find import find_datasets
from cog.errors import CogError, one_error
from cog.evaluation.plan import plan_from
from cog.levels.files import read_levels
from cog.progress import said_once
from cog.recipe import Recipe
from tests.support.runs import WNIDS, draw_images

RECIPE = Recipe(test_per_class=2, min_train=4)
LEVELS = "cog_l1, cog_l2"


@pytest.fixture(scope="module")
def levels(levels_folder):
    return read_levels(levels_folder)


def move_down(root: Path) -> None:
    for folder in list(root.iterdir()):
        files = list(folder.iterdir())
        (folder / "images").mkdir()
        for file in files:
            file.rename(folder / "images" / file.name)


def rename(root: Path, suffix: str) -> None:
    for file in list(root.glob("*/*")):
        file.rename(file.with_suffix(suffix))


MISTAKES = {
    "another folder": (lambda root: [each.rename(root.parent / each.name) for each in
                                     root.iterdir()], {}, "none of the 6 classes"),
    "too few images": (lambda root: None, {"recipe": Recipe(test_per_class=2, min_train=90)},
                       "6 of 6 classes are missing or short"),
    "too few, left out": (lambda root: None, {"recipe": Recipe(test_per_class=2, min_train=90),
                          "allow_missing": True}, "two classes or more of each dataset"),
    "one level down": (move_down, {}, "its folder has no images, but 6 in images/"),
    "another format": (lambda root: rename(root, ".heic"), {}, "no images, but 6 .heic"),
    "no lists": (lambda root: (root / "lists").mkdir(), {"split": "lists"}, "no test lists"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_all_levels_is_said_once(mistake, levels, tmp_path):
    spoil, options, words = MISTAKES[mistake]
    root = draw_images(tmp_path / "images", WNIDS, 6)
    spoil(root)
    lists = root / "lists" if "split" in options else None
    given = DatasetOptions(
        images=root, split=lists, allow_missing=options.get("allow_missing", False)
    )
    with pytest.raises(CogError) as caught:
        find_datasets(given, levels, options.get("recipe", RECIPE))
    assert caught.value.what.startswith(f"{LEVELS}: ")
    assert caught.value.what.count(words) == 1
    assert caught.value.what.count("cog_l") == 2
    assert len(caught.value.what) < 500


def test_mistakes_that_differ_are_all_said_with_a_hint_each(levels, tmp_path):
    own = (Named("a", tmp_path / "none"), Named("b", tmp_path / "none"))
    options = DatasetOptions(images=tmp_path, datasets=own)
    with pytest.raises(CogError) as caught:
        find_datasets(options, levels, RECIPE)
    assert caught.value.what.count(f"there is no {tmp_path / 'none'}") == 1
    assert f"{LEVELS}: none of the 6 classes" in caught.value.what
    assert f"{LEVELS}: give the folder" in caught.value.hint
    assert "a, b: there is no" in caught.value.what
    assert "a, b: give" in caught.value.hint


def test_the_check_of_images_says_all_datasets_and_each_mistake_once(levels, tmp_path):
    own = (Named("a", tmp_path / "none"), Named("b", tmp_path / "none"))
    with pytest.raises(CogError) as caught:
        check_data(DatasetOptions(images=tmp_path, datasets=own), levels, RECIPE)
    assert caught.value.what.startswith(f"{LEVELS}: none of the 6 classes")
    assert caught.value.what.endswith(f"; a, b: there is no {tmp_path / 'none'}")


def test_findings_with_one_cause_are_a_line(levels_folder, tmp_path):
    root = draw_images(tmp_path / "images", WNIDS, 6)
    move_down(root)
    done = CliRunner().invoke(main, ["check-data", str(root), "--levels", str(levels_folder),
                                     "--min-train", "4", "--test-per-class", "2"])  # fmt: skip
    assert done.exit_code == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("  misplaced")]
    assert all(wnid in line for wnid in WNIDS)


def test_what_is_left_of_a_level_alone_is_its_own(levels, tmp_path):
    """One class of one level is short: the other level has no part in the message."""
    root = draw_images(tmp_path / "images", WNIDS, 6)
    lacking = levels.wnids(2)[0]
    for file in (root / lacking).iterdir():
        file.unlink()
    with pytest.raises(CogError, match=r"^cog_l2: 1 of 3 classes") as caught:
        find_datasets(DatasetOptions(images=root), levels, RECIPE)
    assert lacking in caught.value.what


def test_an_error_of_classes_is_pickled_as_what_one_reads(levels, tmp_path):
    with pytest.raises(CogError) as caught:
        find_datasets(DatasetOptions(images=tmp_path, only=("L1",)), levels, RECIPE)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.what, again.hint) == (caught.value.what, caught.value.hint)


def test_lines_of_one_name_stay_apart_though_they_differ_in_numbers_alone():
    shots = [(name, f"{n} shots: 3 classes have fewer") for name in "ab" for n in (64, 128)]
    assert list(said_once(shots, numbers=True)) == [
        "a, b: 64 shots: 3 classes have fewer", "a, b: 128 shots: 3 classes have fewer",
    ]  # fmt: skip


def test_errors_with_one_text_are_one():
    found = one_error([("a", CogError("x", "do y")), ("b", CogError("x", "do y"))])
    assert (found.what, found.hint) == ("a, b: x", "do y")


def test_notices_of_levels_and_models_are_said_once(plug_in, levels_folder, tmp_path):
    """Of a run of two models on two levels whose folders have the same odd entries."""
    images = draw_images(tmp_path / "images", WNIDS, 6)
    for folder in images.iterdir():
        (folder / "notes.txt").write_text("")
        (folder / "link.png").symlink_to("nowhere.png")
    said: list[str] = []
    models = [f"{plug_in}:load", f"{plug_in}:another"]
    options = {
        "model": models, "images": images, "levels": levels_folder, "out": tmp_path / "runs",
        "probes": "knn,retrieval", "test_per_class": 1, "min_train": 4,
    }  # fmt: skip
    plan_from(options, said.append)
    kinds = [re.sub(r"\d[\d,.]*", "#", line.partition(": ")[2]) for line in said]
    assert len(set(kinds)) == len(kinds) >= 4
    assert sum(line.startswith("colours, another: resize") for line in said) == 1
    assert f"{LEVELS}: retrieval is left out: no class has two test images" in said
    (broken,) = [line for line in said if "entries are broken" in line]
    assert broken.startswith("cog_l1: 3 entries")
    assert broken.endswith("(likewise, with other numbers: cog_l2)")
