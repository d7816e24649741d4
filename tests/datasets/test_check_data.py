"""Checking a copy of the images: what is missing, short, damaged, odd; continuing a report."""

from __future__ import annotations

import csv
import io
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import cog.datasets.check.check
from cog.cli.check_data import check_data as command
from cog.datasets.check.check import DataCheck, check_data
from cog.datasets.check.report import HEADER
from cog.datasets.dataset import DatasetOptions
from cog.datasets.find import kind_of
from cog.datasets.imagenet1k import in1k_lists
from cog.datasets.splits import split_images
from cog.errors import CogError
from cog.levels.files import read_levels
from cog.levels.table import Levels
from cog.recipe import Recipe
from tests.support.image_files import MAKERS, make_parquet, make_tars

RECIPE = Recipe(test_per_class=2, min_train=3, max_train=10)


@pytest.fixture
def levels(levels_folder: Path) -> Levels:
    return read_levels(levels_folder)


def draw(seed: int, kind: str = "JPEG", mode: str = "RGB") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(data, kind)
    return data.getvalue()


@pytest.fixture
def files(levels: Levels) -> dict[str, bytes]:
    """Six good images of every concept of both levels."""
    wnids = (*levels.wnids(1), *levels.wnids(2))
    return {
        f"{wnid}/{wnid}_{number}.JPEG": draw(10 * index + number)
        for index, wnid in enumerate(wnids)
        for number in range(6)
    }


def write(root: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def found(result: DataCheck) -> set[tuple[str, str]]:
    return {(each.finding, each.path or each.wnid) for each in result.findings}


def check(root: Path, levels: Levels, **options: object) -> DataCheck:
    return check_data(DatasetOptions(root), levels, RECIPE, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("decode", [False, True])
def test_a_sound_copy_has_no_findings(
    decode: bool, files: dict[str, bytes], levels: Levels, tmp_path: Path
) -> None:
    result = check(write(tmp_path / "a", files), levels, decode=decode)
    assert result.sound
    assert result.findings == result.notes == ()
    assert result.to_fetch() == {}
    assert [(part.dataset, part.n_wanted, len(part.images)) for part in result.parts] == [
        ("cog_l1", 3, 18),
        ("cog_l2", 3, 18),
    ]


def spoil(files: dict[str, bytes], wnids: tuple[str, ...]) -> dict[str, bytes]:
    """One concept missing, one short, one with images of every fault."""
    missing, short, faulty = wnids[:3]
    changed = {path: data for path, data in files.items() if not path.startswith(missing)}
    for number in (1, 2):
        del changed[f"{short}/{short}_{number}.JPEG"]
    first = files[f"{faulty}/{faulty}_0.JPEG"]
    return changed | {
        f"{faulty}/{faulty}_1.JPEG": first,
        f"{faulty}/{faulty}_2.JPEG": first[: len(first) // 2],
        f"{faulty}/{faulty}_3.JPEG": b"",
        f"{faulty}/{faulty}_4.JPEG": draw(4, "PNG"),
        f"{faulty}/{faulty}_5.JPEG": draw(5, "JPEG", "CMYK"),
        f"{faulty}/{faulty}_6.JPEG": first,
        f"{faulty}/{faulty}_7.JPEG": draw(7),
    }


def expected(wnids: tuple[str, ...], decode: bool) -> set[tuple[str, str]]:
    missing, short, faulty = wnids[:3]
    path = f"{faulty}/{faulty}_{{}}.JPEG".format
    always = {
        ("missing", missing),
        ("short", short),
        ("unreadable", path(3)),
        ("duplicate", path(1)),
        ("duplicate", path(6)),
    }
    return always | (
        {("truncated", path(2)), ("odd", path(4)), ("odd", path(5))} if decode else set()
    )


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("source", MAKERS)
def test_every_fault_is_found_in_every_source(
    source: str, decode: bool, files: dict[str, bytes], levels: Levels, tmp_path: Path
) -> None:
    wnids = levels.wnids(1)
    root = MAKERS[source](tmp_path / "images", spoil(files, wnids))
    result = check(root, levels, decode=decode)
    assert found(result) == expected(wnids, decode)
    assert not result.sound
    (fetch,) = result.to_fetch().values()
    assert fetch == tuple(sorted(wnids[:3]))
    assert {part.images.source for part in result.parts} == {source}


def test_parquet_whose_sizes_are_not_known_is_read(
    files: dict[str, bytes], levels: Levels, tmp_path: Path
) -> None:
    root = make_parquet(tmp_path / "a", spoil(files, levels.wnids(1)), "snappy")
    assert found(check(root, levels)) == expected(levels.wnids(1), decode=False)


def test_damaged_tars_are_found_and_the_others_checked(
    files: dict[str, bytes], levels: Levels, tmp_path: Path
) -> None:
    root = make_tars(tmp_path / "a", files)
    for wnid in (levels.wnids(1)[0], levels.wnids(2)[0]):
        (root / f"{wnid}.tar").write_bytes((root / f"{wnid}.tar").read_bytes()[:900])
    result = check(root, levels, decode=True)
    assert found(result) == {
        ("damaged", levels.wnids(1)[0]),
        ("damaged", levels.wnids(2)[0]),
    }
    assert [len(part.images) for part in result.parts] == [12, 12]


def test_only_the_chosen_levels_are_checked(
    files: dict[str, bytes], levels: Levels, tmp_path: Path
) -> None:
    root = write(tmp_path / "a", spoil(files, levels.wnids(1)))
    result = check_data(DatasetOptions(root, only=("L2",)), levels, RECIPE)
    assert result.sound
    assert [part.dataset for part in result.parts] == ["cog_l2"]


def test_a_folder_in_capitals_is_reported(
    files: dict[str, bytes], levels: Levels, tmp_path: Path
) -> None:
    root, wnid = write(tmp_path / "a", files), levels.wnids(1)[0]
    (root / wnid).rename(root / wnid.upper())
    result = check(root, levels)
    assert result.notes == (f"{wnid} is there as {wnid.upper()}: rename it to {wnid}",)
    assert found(result) == {("misplaced", wnid)}
    assert result.to_fetch() == {}  # it is there


def test_images_one_level_down_are_named_and_no_name_is_changed_to_itself(
    files: dict[str, bytes], levels: Levels, tmp_path: Path
) -> None:
    wnid = levels.wnids(1)[0]
    moved = {
        path.replace("/", "/images/") if wnid in path else path: data
        for path, data in files.items()
    }
    result = check(write(tmp_path / "a", moved), levels)
    (finding,) = result.findings
    assert finding[1:] == (
        wnid, "", "misplaced",
        "0 of 5: its folder has no images, but 6 in images/; give them one level up",
    )  # fmt: skip
    assert not result.sound
    assert result.to_fetch() == {}  # they are there
    (note,) = result.notes
    assert note.startswith(f"6 images in 1 sub-folders, such as {wnid}/images/, are not taken")


def test_what_evaluate_says_of_images_one_level_down(
    files: dict[str, bytes], levels: Levels, tmp_path: Path
) -> None:
    inside = {path.replace("/", "/images/"): data for path, data in files.items()}
    root, wnids = write(tmp_path / "a", inside), levels.wnids(1)
    with pytest.raises(CogError) as caught:
        split_images(root, wnids, RECIPE)
    assert (
        f"{', '.join(wnids)}: 0/5 (its folder has no images, but 6 in images/)" in caught.value.what
    )
    assert caught.value.hint.startswith("give them one level up, give --allow-missing")
    write(tmp_path / "in1k" / "train", {f"{levels.seen[0]}/images/a.JPEG": b""})
    write(tmp_path / "in1k" / "val", {f"{levels.seen[0]}/a.JPEG": b""})
    with pytest.raises(CogError, match=r"none in train \(its folder has no images, but 1 in "):
        in1k_lists(tmp_path / "in1k", levels.seen[:3])


@pytest.mark.skipif(os.name != "posix", reason="links are POSIX's")
def test_links_that_lead_nowhere_are_damage(
    files: dict[str, bytes], levels: Levels, tmp_path: Path
) -> None:
    root, wnid = write(tmp_path / "a", files), levels.wnids(1)[0]
    (root / wnid / "gone.JPEG").symlink_to("nowhere")
    report = tmp_path / "check.csv"
    result = check(root, levels, report=report)
    assert not result.sound
    assert found(result) == {("broken", f"{wnid}/gone.JPEG")}
    assert "a link that leads nowhere" in report.read_text()
    assert next(iter(result.to_fetch().values())) == (wnid,)
    (root / wnid / "gone.JPEG").unlink()
    (root / wnid / "notes.avif").touch()  # counted, but no damage
    result = check(root, levels)
    assert result.sound
    assert result.notes == ("1 entries of the folders are not images of a class: 1 .avif",)


@pytest.mark.skipif(os.name != "posix", reason="links are POSIX's")
@pytest.mark.parametrize("flat", [False, True])
def test_broken_links_of_in1k_are_damage_too(flat: bool, levels: Levels, tmp_path: Path) -> None:
    wnids = levels.seen[:3]
    write(tmp_path / "train", {f"{wnid}/{wnid}_1.JPEG": draw(n) for n, wnid in enumerate(wnids)})
    val = [f"ILSVRC2012_val_{n:08}.JPEG" for n in (1, 2, 3)]
    if flat:
        write(tmp_path / "val", {name: draw(n) for n, name in enumerate(val)})
        rows = [f"{name[:-5]},{wnid} 1" for name, wnid in zip(val, wnids, strict=True)]
        text = "\n".join(["ImageId,PredictionString", *rows])
        (tmp_path / "LOC_val_solution.csv").write_text(text)
    else:
        names = zip(wnids, val, strict=True)
        write(tmp_path / "val", {f"{w}/{name}": draw(n) for n, (w, name) in enumerate(names)})
    gone = "gone.JPEG" if flat else f"{wnids[1]}/gone.JPEG"
    (tmp_path / "val" / gone).symlink_to("nowhere")
    options = DatasetOptions(tmp_path, in1k=tmp_path, only=("in1k",))
    result = check_data(options, replace(levels, seen=wnids), RECIPE)
    assert [each[:4] for each in result.findings] == [
        ("in1k-test", "" if flat else wnids[1], gone, "broken")
    ]
    assert result.notes[0].startswith("val: 1 entries are broken: ")
    assert not result.sound
    assert result.to_fetch() == ({} if flat else {kind_of("in1k").release: (wnids[1],)})


def test_listed_images_must_be_there(
    files: dict[str, bytes], levels: Levels, tmp_path: Path
) -> None:
    root = write(tmp_path / "a", files)
    split = {
        wnid: {
            "train": np.array([f"{wnid}_{number}.JPEG" for number in (2, 3, 4, 5)]),
            "test": np.array([f"{wnid}_{number}.JPEG" for number in (0, 1)]),
        }
        for number in (1, 2)
        for wnid in levels.wnids(number)
    }
    (tmp_path / "split.pkl").write_bytes(pickle.dumps(split))
    wnid = levels.wnids(1)[0]
    (root / wnid / f"{wnid}_0.JPEG").rename(root / wnid / f"{wnid}_0.jpg")
    (root / wnid / f"{wnid}_4.JPEG").unlink()
    options = DatasetOptions(root, split=tmp_path / "split.pkl")
    result = check_data(options, levels, RECIPE)
    assert found(result) == {
        ("renamed", f"{wnid}/{wnid}_0.JPEG"),
        ("absent", f"{wnid}/{wnid}_4.JPEG"),
    }
    assert not result.sound
    (root / wnid / f"{wnid}_4.JPEG").write_bytes(draw(99))
    assert check_data(options, levels, RECIPE).sound  # a renamed image is found by evaluate too


def test_in1k_is_checked_too(files: dict[str, bytes], levels: Levels, tmp_path: Path) -> None:
    root = write(tmp_path / "a", files)
    own = {f"{wnid}/{wnid}_1.JPEG": draw(index) for index, wnid in enumerate(levels.seen[:3])}
    write(tmp_path / "in1k" / "train", own)
    write(tmp_path / "in1k" / "val", own | {next(iter(own)): b"broken"})
    options = DatasetOptions(root, in1k=tmp_path / "in1k", only=("in1k",))
    result = check_data(options, levels, RECIPE, decode=True)
    counts = result.counts
    assert counts["in1k", "missing"] == len(levels.seen) - 3
    assert counts["in1k-test", "unreadable"] == 1
    assert [len(part.images) for part in result.parts] == [3, 3]
    assert "officially 1,281,167" in result.notes[-1]
    assert "ILSVRC2012" in next(iter(result.to_fetch()))


# The report


def rows_of(report: Path) -> list[dict[str, str]]:
    with report.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The classes whose images were looked at."""
    seen: list[str] = []
    whole = cog.datasets.check.check._check

    def counted(unit):
        seen.append(unit.wnid)
        return whole(unit)

    monkeypatch.setattr(cog.datasets.check.check, "_check", counted)
    return seen


def test_a_report_is_continued_wherever_it_was_cut(
    files: dict[str, bytes], levels: Levels, tmp_path: Path, looked_at: list[str]
) -> None:
    report, wnids = tmp_path / "check.csv", levels.wnids(1)
    root = write(tmp_path / "a", spoil(files, wnids))
    first = check(root, levels, decode=True, report=report)
    assert len(looked_at) == 5  # one of six is missing
    whole = report.read_text()
    rows = rows_of(report)
    assert tuple(rows[0]) == HEADER
    assert sum(row["finding"] == "checked" for row in rows) == 5
    assert {(r["finding"], r["path"] or r["wnid"]) for r in rows if r["finding"] != "checked"} == (
        expected(wnids, decode=True)
    )
    for size in range(0, len(whole), 61):
        report.write_text(whole[:size])
        looked_at.clear()
        again = check(root, levels, decode=True, report=report)
        assert sorted(again.findings) == sorted(first.findings)
        assert sorted(report.read_text().splitlines()) == sorted(whole.splitlines())
    assert looked_at == [wnids[2], levels.wnids(2)[2]]  # what could not be read, and what was cut


def test_what_changed_is_checked_again(
    files: dict[str, bytes], levels: Levels, tmp_path: Path, looked_at: list[str]
) -> None:
    report, wnid = tmp_path / "check.csv", levels.wnids(1)[0]
    root = write(tmp_path / "a", files)
    check(root, levels, report=report)
    looked_at.clear()
    check(root, levels, report=report)
    assert looked_at == []
    (root / wnid / "new.JPEG").write_bytes(b"no image")
    assert check(root, levels, report=report).sound  # its bytes were not read
    assert looked_at == [wnid]
    looked_at.clear()
    assert not check(root, levels, report=report, decode=True).sound  # which was not done before
    assert len(looked_at) == 6
    looked_at.clear()
    result = check(root, levels, report=report)  # decoded before: no need to list
    assert looked_at == [wnid]
    (root / wnid / "new.JPEG").write_bytes(draw(77))
    result = check(root, levels, report=report, decode=True)
    assert result.sound


def test_another_file_is_not_overwritten(
    files: dict[str, bytes], levels: Levels, tmp_path: Path
) -> None:
    root, report = write(tmp_path / "a", files), tmp_path / "thesis.csv"
    report.write_text("my,precious\nresults,1\n")
    with pytest.raises(CogError, match="not a report of cog check-data"):
        check(root, levels, report=report)
    assert "precious" in report.read_text()


# The command


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(each) for each in arguments], catch_exceptions=False)


def test_the_command_reports_and_exits_with_1(
    files: dict[str, bytes], levels: Levels, levels_folder: Path, tmp_path: Path
) -> None:
    wnids, report = levels.wnids(1), tmp_path / "check.csv"
    root = write(tmp_path / "a", spoil(files, wnids))
    options = ("--levels", levels_folder, "--test-per-class", 2, "--min-train", 3)
    result = run(root, *options, "--decode", "--report", report, "--only", "L1")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("cog_l1     2 of 3 classes, 12 images decoded: ")
    for text in ("1 missing", "1 short", "1 truncated, 1 unreadable", "2 odd", "2 duplicate"):
        assert text in lines[0]
    assert f"  short      {wnids[1]}: 4 of 5" in lines
    assert "  --test-per-class and --min-train say how many images a class needs" in lines
    assert f"  {' '.join(wnids)}" in lines
    assert lines[-2:] == ["not sound", str(report)]
    result = run(root, *options, "--only", "L2")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "cog_l2     3 of 3 classes, 18 images: nothing to report",
        "sound",
    ]


@pytest.mark.skipif(os.name != "posix", reason="links are POSIX's")
def test_the_command_says_what_else_lies_in_the_folders(
    files: dict[str, bytes], levels: Levels, levels_folder: Path, tmp_path: Path
) -> None:
    root, wnid = write(tmp_path / "a", files), levels.wnids(1)[0]
    (root / wnid / "a.heic").touch()
    options = ("--levels", levels_folder, "--test-per-class", 2, "--min-train", 3, "--only", "L1")
    result = run(root, *options)
    assert result.exit_code == 0
    note = "1 entries of the folders are not images of a class: 1 .heic"
    assert note in result.output
    assert note in split_images(root, levels.wnids(1), RECIPE).notes  # evaluate and extract say it
    (root / wnid / "gone.jpg").symlink_to("nowhere")
    result = run(root, *options)
    assert result.exit_code == 1
    assert f"  broken     {wnid}/gone.jpg: a link that leads nowhere" in result.output
    assert "1 broken" in result.output
