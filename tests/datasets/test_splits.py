"""Seeded splits, official test lists, and both read back from what was written."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cog.datasets.matching import match_listed
from cog.datasets.splits import Split, split_images, write_split
from cog.errors import CogError
from cog.images.image_list import ImageList
from cog.recipe import Recipe

WNIDS = ("n00000005", "n00000022", "n00000333", "n00004444")
SIZES = dict(zip(WNIDS, (7, 9, 14, 30), strict=True))
RECIPE = Recipe(test_per_class=3, min_train=4, max_train=10)


def make_images(root: Path, sizes: dict[str, int] = SIZES) -> Path:
    for wnid, size in sizes.items():
        (root / wnid).mkdir(parents=True)
        for number in range(size):
            (root / wnid / f"{wnid}_{number}.JPEG").touch()
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


def classes(images: ImageList) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {wnid: [] for wnid in images.classes}
    for path, label in zip(images.paths, images.labels, strict=True):
        assert path.startswith(images.classes[label] + "/")
        found[images.classes[label]].append(path)
    return found


def lists(folder: Path, lines: dict[str, list[str]]) -> Path:
    folder.mkdir()
    for name, content in lines.items():
        (folder / name).write_text("".join(f"{line}\n" for line in content))
    return folder


def official(wnids: tuple[str, ...], n: int = 2) -> list[str]:
    return [f"{w}/{w}_{i}.JPEG {label}" for label, w in enumerate(sorted(wnids)) for i in range(n)]


def assert_holds(split: Split, recipe: Recipe, sizes: dict[str, int]) -> None:
    train, test = classes(split.train), classes(split.test)
    for wnid, size in sizes.items():
        assert not set(train[wnid]) & set(test[wnid])
        assert len(set(test[wnid])) == len(test[wnid]) == recipe.test_per_class
        assert len(set(train[wnid])) == min(size - recipe.test_per_class, recipe.max_train)
    for images in (split.train, split.test):
        assert list(images.classes) == sorted(sizes)
        assert list(images.paths) == [
            p for wnid in images.classes for p in sorted(classes(images)[wnid])
        ]


def test_seeded_split_has_the_sizes_asked_for(root: Path) -> None:
    split = split_images(root, WNIDS, RECIPE)
    assert_holds(split, RECIPE, SIZES)
    assert split.kind == "seeded"
    assert split.left_out == ()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    n_test=st.integers(1, 4),
    low=st.integers(1, 3),
    more=st.integers(0, 30),
    seed=st.integers(0, 99),
)
def test_any_recipe_that_fits_is_kept(
    root: Path, n_test: int, low: int, more: int, seed: int
) -> None:
    recipe = Recipe(test_per_class=n_test, min_train=low, max_train=low + more, split_seed=seed)
    assert_holds(split_images(root, WNIDS, recipe), recipe, SIZES)


def test_a_class_is_split_alike_whatever_the_others_are(root: Path) -> None:
    whole, part = (split_images(root, wnids, RECIPE) for wnids in (WNIDS, WNIDS[1:]))
    for one, other in ((whole.train, part.train), (whole.test, part.test)):
        for wnid in WNIDS[1:]:
            assert classes(one)[wnid] == classes(other)[wnid]
    again = split_images(root, WNIDS[::-1], RECIPE)
    assert again.train.fingerprint == whole.train.fingerprint
    assert again.test.fingerprint == whole.test.fingerprint


def test_another_seed_is_another_split(root: Path) -> None:
    other = Recipe(test_per_class=3, min_train=4, max_train=10, split_seed=1)
    prints = {split_images(root, WNIDS, r).test.fingerprint for r in (RECIPE, other)}
    assert len(prints) == 2


def test_every_image_has_the_same_chance_to_test(root: Path) -> None:
    times: Counter[str] = Counter()
    for seed in range(300):
        recipe = Recipe(test_per_class=3, min_train=4, split_seed=seed)
        times.update(split_images(root, WNIDS[:2], recipe).test.paths)
    for wnid in WNIDS[:2]:
        expected = 300 * 3 / SIZES[wnid]
        counts = [times[f"{wnid}/{wnid}_{number}.JPEG"] for number in range(SIZES[wnid])]
        assert all(abs(count - expected) < 4 * expected**0.5 for count in counts)


def test_short_and_missing_classes_are_listed(root: Path) -> None:
    recipe, wnids = Recipe(test_per_class=3, min_train=5, max_train=10), (*WNIDS, "n00000009")
    with pytest.raises(CogError) as caught:
        split_images(root, wnids, recipe)
    assert "2 of 5 classes" in caught.value.what
    assert "n00000005: 7/8; n00000009: 0/8" in caught.value.what
    for option in ("--allow-missing", "--test-per-class", "--min-train"):
        assert option in caught.value.hint
    split = split_images(root, wnids, recipe, allow_missing=True)
    assert split.left_out == ("n00000005", "n00000009")
    assert split.train.classes == split.test.classes == WNIDS[1:]
    assert set(split.train.labels.tolist()) == {0, 1, 2}


def test_one_class_is_too_few(root: Path) -> None:
    with pytest.raises(CogError, match="two classes or more, found 1"):
        split_images(root, WNIDS[:1], RECIPE)
    recipe = Recipe(test_per_class=10, min_train=10, max_train=10)
    with pytest.raises(CogError, match="two classes or more, found 1"):
        split_images(root, WNIDS, recipe, allow_missing=True)


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 3, 2)])
def test_impossible_sizes_are_refused(sizes: tuple[int, int, int], root: Path) -> None:
    n_test, low, high = sizes
    with pytest.raises(CogError, match="min-train"):
        split_images(root, WNIDS, Recipe(test_per_class=n_test, min_train=low, max_train=high))


def test_official_lists_are_the_test_set_and_the_rest_trains(root: Path, tmp_path: Path) -> None:
    other = ["n00000001/n00000001_1.JPEG 0", "n00000022x/y.JPEG 9"]  # of other levels
    tests = lists(
        tmp_path / "lists", {"L1.txt": official(WNIDS), "L2.txt": other, "README.txt": ["Lists."]}
    )
    split = split_images(root, WNIDS, RECIPE, tests=tests)
    assert split.kind == "official-test"
    assert sorted(split.test.paths) == sorted(line.split()[0] for line in official(WNIDS))
    assert {wnid: len(paths) for wnid, paths in classes(split.train).items()} == {
        wnid: min(size - 2, 10) for wnid, size in SIZES.items()
    }
    assert not set(split.train.paths) & set(split.test.paths)


def test_lists_that_do_not_fit_are_refused(root: Path, tmp_path: Path) -> None:
    tests = lists(tmp_path / "a", {"L1.txt": official(WNIDS)})
    with pytest.raises(CogError, match=r"L1\.txt line 3: expected an image and label 0"):
        split_images(root, WNIDS[1:], RECIPE, tests=tests)
    for number, line in enumerate(("n00000005/a.JPEG", "n00000005/a.JPEG x", "n00000005/a b")):
        tests = lists(tmp_path / f"b{number}", {"L1.txt": [line]})
        with pytest.raises(CogError, match="line 1: expected an image and label 0"):
            split_images(root, WNIDS, RECIPE, tests=tests)
    absent = [f"n00000022/no{number}.JPEG 1" for number in range(30)]
    tests = lists(tmp_path / "c", {"L1.txt": official(WNIDS), "more.txt": absent[:5]})
    with pytest.raises(CogError, match="5 listed test images are not in") as caught:
        split_images(root, WNIDS, Recipe(min_train=1), tests=tests)
    assert "n00000022/no0.JPEG" in caught.value.what


def test_classes_without_test_list_are_short(root: Path, tmp_path: Path) -> None:
    lines = [line for line in official(WNIDS) if WNIDS[1] not in line]
    tests = lists(tmp_path / "lists", {"L1.txt": lines})
    with pytest.raises(CogError, match=f"{WNIDS[1]}: in no test list"):
        split_images(root, WNIDS, RECIPE, tests=tests)
    split = split_images(root, WNIDS, RECIPE, tests=tests, allow_missing=True)
    assert split.left_out == (WNIDS[1],)


@pytest.mark.parametrize("form", ["/{}", "\\{}", "//{}", "{}"])
def test_lines_may_have_slashes_as_names_of_the_pickle_may(
    form: str, root: Path, tmp_path: Path
) -> None:
    plain = lists(tmp_path / "plain", {"L1.txt": official(WNIDS)})
    lines = [form.format(line.replace("/", "\\")) for line in official(WNIDS)]
    tests = lists(tmp_path / "lists", {"L1.txt": lines})
    found, wanted = (split_images(root, WNIDS, RECIPE, tests=each).test for each in (tests, plain))
    assert found.paths == wanted.paths


def test_lists_that_name_no_class_are_not_mended_by_more_images(root: Path, tmp_path: Path) -> None:
    tests = lists(tmp_path / "lists", {"L1.txt": [f"x/{line}" for line in official(WNIDS)]})
    with pytest.raises(CogError, match="in no test list") as caught:
        split_images(root, WNIDS, RECIPE, tests=tests)
    assert caught.value.hint.startswith("give --split lists that name images of them")


def test_a_folder_without_lists_says_where_they_are(root: Path, tmp_path: Path) -> None:
    write_split(split_images(root, WNIDS, RECIPE), tmp_path, "cog_l1")
    with pytest.raises(CogError, match="no test lists") as caught:
        split_images(root, WNIDS, RECIPE, tests=tmp_path)
    assert str(tmp_path / "test") in caught.value.hint


@pytest.mark.parametrize("missing", [(), ("n00000001",)])
def test_a_written_split_comes_back_whole(
    missing: tuple[str, ...], root: Path, tmp_path: Path
) -> None:
    wnids = (*WNIDS, *missing)
    first = split_images(root, wnids, RECIPE, allow_missing=True)
    write_split(first, tmp_path, "cog_l3")
    again = split_images(root, wnids, RECIPE, tests=tmp_path / "test", allow_missing=True)
    assert again.kind == "official-test"
    assert again.test.fingerprint == first.test.fingerprint
    assert again.train.fingerprint == first.train.fingerprint
    line = (tmp_path / "train" / "cog_l3.txt").read_text().splitlines()[-1]
    assert line == f"{first.train.paths[-1]} {len(wnids) - 1}"


def test_an_equal_split_is_not_written_again(root: Path, tmp_path: Path) -> None:
    split = split_images(root, WNIDS, RECIPE)
    write_split(split, tmp_path, "cog_l1")
    before = {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))}
    assert [p.name for p in before if p.is_file()] == ["cog_l1.txt"] * 2
    write_split(split, tmp_path, "cog_l1")
    assert {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))} == before
    (tmp_path / "test" / "cog_l1.txt").write_text("old")
    write_split(split, tmp_path, "cog_l1")
    assert (tmp_path / "test" / "cog_l1.txt").read_text().startswith(f"{split.test.paths[0]} 0\n")


def test_listed_images_are_found_but_for_case_and_extension_and_each_once() -> None:
    there = ("n1/A.jpg", "n1/b.JPEG", "n1/c.d.png")
    found = match_listed(["n1/a", "n1/b.JPEG", "n1/b.JPEG", "n1/c.d.tif", "n1/e"], there)
    assert found.rows.tolist() == [0, 1, 2]
    assert found.absent == ["n1/e"]
    assert found.renamed == {"n1/a": "n1/A.jpg", "n1/c.d.tif": "n1/c.d.png"}
