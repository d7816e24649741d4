"""How near datasets are to the seen concepts: `--synsets`, and the columns of it in every row."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import cog
from cog.cli.main import main
from cog.errors import CogError
from cog.evaluation.distances import distance_of
from cog.evaluation.verify.verify import verify
from cog.levels.files import read_levels
from cog.recipe import CUT_HEIGHTS
from cog.results.distances import read_distance
from cog.results.files import read_results
from cog.results.mistakes import cut_column
from cog.wordnet.taxonomy import load_taxonomy
from tests.support.labelled_images import draw

OPTIONS = {"probes": "ncm", "seeds": "22", "device": "cpu"}
MEANT = {"cat": "n02121808", "hot dog": "n07697537", "zebra": "n02391049"}
BOTH = ["similarity", "seen_similarity"]
CUTS = [cut_column(height) for height in CUT_HEIGHTS]


def write_table(path: Path, meant: dict[str, str]) -> Path:
    path.write_text("class,wnid\n" + "".join(f"{key},{wnid}\n" for key, wnid in meant.items()))
    return path


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    """Three classes in train/ and test/, and the table of their synsets beside them."""
    root = tmp_path_factory.mktemp("own")
    for part in ("train", "test"):
        draw(root / part, dict.fromkeys(MEANT, 3))
    write_table(root / "synsets.csv", MEANT)
    return root


@pytest.fixture(scope="module")
def model() -> cog.Model:
    import torch

    preprocess = cog.Preprocess(resize=8, crop=8, mean=(0, 0, 0), std=(1, 1, 1))
    return cog.Model(torch.nn.Flatten(), preprocess=preprocess, name="pixels")


@pytest.fixture(scope="module")
def given(own, images, levels_folder) -> dict[str, object]:
    """The arguments of a run of two levels and the three classes."""
    return {
        **OPTIONS, "images": images, "levels": levels_folder, "test_per_class": 4, "min_train": 4,
        "datasets": {"own": own}, "synsets": {"own": own / "synsets.csv"},
    }  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory, model, given) -> tuple[Path, pd.DataFrame]:
    out = tmp_path_factory.mktemp("distances") / "runs"
    return out, cog.evaluate(model, out=out, **given)


def test_official_levels_are_as_near_as_levels_csv_says_and_in1k_is_itself(wordnet):
    levels = read_levels()
    assert distance_of(wordnet, levels.seen, levels)["similarity"] == 1
    for number in levels.numbers:
        found = distance_of(wordnet, levels.wnids(number), levels)
        expected = levels.rows(number)["similarity"]
        assert found["similarity"] == pytest.approx(expected.mean(), rel=1e-12)
        assert found["to_seen"]["quartiles"][2] == pytest.approx(expected.median(), rel=1e-12)
        assert sum(found["from_seen"]["histogram"]) == 1000


def test_rows_have_what_cog_similarity_says_of_two_sets(runs, tmp_path, levels_folder):
    """The levels of these tests have the official seen concepts, and their classes are wnids."""
    _, table = runs
    by = table.set_index("dataset")[BOTH]
    lists = {"own": MEANT.values()} | {
        f"cog_l{number}": read_levels(levels_folder).wnids(number) for number in (1, 2)
    }
    for name, wnids in lists.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(wnids))
        words = ["similarity", str(tmp_path / f"{name}.txt"), "in1k", "--json"]
        spreads = json.loads(CliRunner().invoke(main, words, catch_exceptions=False).stdout)
        assert by.loc[name].tolist() == [spread["mean"] for spread in spreads]
    assert by.loc["own", "similarity"] > 0.9  # cats and zebras are near to seen ones
    assert by.loc["own", "seen_similarity"] < by.loc["own", "similarity"]


def test_the_table_of_results_has_them_and_cells_do_not(runs, levels_folder):
    out, table = runs
    written = read_results(out / "results.csv")
    pd.testing.assert_frame_equal(written[BOTH], table[BOTH])
    assert table[BOTH].notna().all(axis=None)
    for cell in (out / "pixels" / "cells").iterdir():
        row = json.loads(cell.read_text())["row"]
        assert not {"similarity", "mistake_similarity"} & row.keys()
    proof = verify(out, levels=levels_folder)
    assert not proof.faults


def test_run_json_has_the_sha256_of_the_table(runs, own):
    run = json.loads((runs[0] / "pixels" / "run.json").read_text())
    sha256 = hashlib.sha256((own / "synsets.csv").read_bytes()).hexdigest()
    assert run["synsets"] == {"own": {"table": str(own / "synsets.csv"), "sha256": sha256}}
    document = read_distance(runs[0], "own")
    assert document["table_sha256"] == sha256
    assert document["wnids"] == list(MEANT.values())  # the classes are sorted
    assert read_distance(runs[0], "none") == {}


def test_again_computes_nothing_and_an_edited_table_moves_these_columns_alone(
    runs, model, given, tmp_path, monkeypatch
):
    out, table = runs

    def fail(*_: object) -> None:
        raise AssertionError("computed again")

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    with monkeypatch.context() as patch:
        patch.setattr("cog.evaluation.distances.load_taxonomy", fail)
        pd.testing.assert_frame_equal(cog.evaluate(model, out=out, **given), table)
    edited = write_table(tmp_path / "edited.csv", {**MEANT, "cat": "n02119789"})  # a fox
    again = cog.evaluate(model, out=out, **{**given, "synsets": {"own": edited}})
    own = again["dataset"] == "own"
    moved = [*BOTH, "mistake_similarity"]
    assert table.loc[own, moved].notna().all(axis=None)
    assert (again.loc[own, moved] != table.loc[own, moved]).all(axis=None)
    others = [*moved, "mistake_height", *CUTS]
    pd.testing.assert_frame_equal(again.drop(columns=others), table.drop(columns=others))
    written = read_results(out / "results.csv")
    pd.testing.assert_frame_equal(written[others], again[others])
    pd.testing.assert_frame_equal(again[~own], table[~own])
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed <= {"own.json", "run.json", "mistakes.json"}
    pd.testing.assert_frame_equal(cog.evaluate(model, out=out, **given), table)


def test_classes_that_are_wnids_need_no_table_and_others_have_no_distance(tmp_path, model, own):
    for part in ("train", "test"):
        draw(tmp_path / "wnids" / part, dict.fromkeys(MEANT.values(), 2))
        draw(tmp_path / "odd" / part, dict.fromkeys([*MEANT.values(), "n00000001"], 2))
    datasets = {"plain": own, "wnids": tmp_path / "wnids", "odd": tmp_path / "odd"}
    table = cog.evaluate(model, datasets=datasets, out=tmp_path / "runs", **OPTIONS)
    known = table.set_index("dataset")["similarity"]
    assert known["wnids"] > 0.9
    assert known[["plain", "odd"]].isna().all()
    assert not (tmp_path / "runs" / "splits" / "distances" / "plain.json").exists()


def test_a_test_set_has_the_distance_of_the_classes_that_it_has(tmp_path, model, own):
    some = ("cat", "hot dog")
    draw(tmp_path / "some", dict.fromkeys(some, 2))
    draw(tmp_path / "all", dict.fromkeys(MEANT, 2))
    test_sets = {"own/some": tmp_path / "some", "own/all": tmp_path / "all"}
    table = cog.evaluate(
        model, datasets={"own": own}, synsets={"own": own / "synsets.csv"}, test_sets=test_sets,
        out=tmp_path / "runs", **OPTIONS,
    )  # fmt: skip
    of = table.set_index("test_set")
    levels = read_levels(None)
    found = distance_of(load_taxonomy("bundled"), tuple(MEANT[name] for name in some), levels)
    assert of.loc["some", BOTH].to_dict() == {name: found[name] for name in BOTH}
    assert of.loc["all", BOTH].to_dict() == of.loc["", BOTH].to_dict()
    assert of.loc["some", "similarity"] != of.loc["", "similarity"]
    pd.testing.assert_frame_equal(read_results(tmp_path / "runs")[BOTH], table[BOTH])
    file = tmp_path / "runs" / "splits" / "distances" / "own@some.json"
    document = json.loads(file.read_text())
    assert (document["dataset"], document["classes"]) == ("own/some", list(some))
    assert verify(tmp_path / "runs").faults == ()
    file.write_text(json.dumps(document | {"similarity": 0.5}))
    assert str(file) in {fault.file for fault in verify(tmp_path / "runs").faults}


def test_a_damaged_file_is_named_and_made_again(runs, model, given, tmp_path):
    out, table = runs
    path = out / "splits" / "distances" / "own.json"
    for damage in ("{", "[]", '{"similarity": "near", "seen_similarity": 1}'):
        path.write_text(damage)
        said: list[str] = []
        own = read_results(out, ["dataset=own"], said.append)
        assert own[BOTH].isna().all(axis=None)
        assert [line.split(" ")[0] for line in said] == [str(path)]
        pd.testing.assert_frame_equal(cog.evaluate(model, out=out, **given), table)
        assert read_distance(out, "own")


def test_cog_verify_computes_them_again(runs, levels_folder, tmp_path):
    out = shutil.copytree(runs[0], tmp_path / "runs")
    path = out / "splits" / "distances" / "own.json"
    sound = json.loads(path.read_text())
    for change, expected in (
        ({"similarity": sound["similarity"] + 1e-6}, "similarity"),
        ({"seen_similarity": None}, "seen_similarity"),
        ({"wnids": sound["wnids"][:2]}, "a synset for each class"),
        ({"wnids": [*sound["wnids"][:2], "n00000001"]}, "synsets of WordNet"),
    ):
        path.write_text(json.dumps(sound | change))
        own = [
            fault for fault in verify(out, levels=levels_folder).faults if "own.json" in fault.file
        ]
        assert [fault.expected.startswith(expected) for fault in own] == [True]
    path.write_text(json.dumps(sound))
    assert not verify(out, levels=levels_folder).faults


def test_tables_that_do_not_fit_are_refused_before_any_work(tmp_path, model, own):
    few = write_table(tmp_path / "few.csv", {"cat": "n02121808"})
    run = {"datasets": {"own": own}, "out": tmp_path / "runs", **OPTIONS}
    with pytest.raises(CogError, match=r"own: .*no row for 2 of the 3 classes"):
        cog.evaluate(model, synsets={"own": few}, **run)
    with pytest.raises(CogError, match="unknown dataset of --synsets"):
        cog.evaluate(model, synsets={"owl": few}, **run)
    with pytest.raises(CogError, match="two tables of synsets for own"):
        cog.evaluate(model, synsets=[f"own={few}", f"own={few}"], **run)
    assert not (tmp_path / "runs").exists()


def test_the_command_line_takes_tables_and_says_their_notes(tmp_path, own, plug_in):
    table = write_table(tmp_path / "more.csv", {**MEANT, "unicorn": "n09491492"})
    words = ["evaluate", "--model", f"{plug_in}:load", "--dataset", f"own={own}", "--synsets",
             f"own={table}", "--device", "cpu", "--out", str(tmp_path / "runs"),
             "--dry-run"]  # fmt: skip
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert "1 rows are of no class here" in done.output
    assert not (tmp_path / "runs").exists()


def test_check_data_checks_the_table(tmp_path, own):
    few = write_table(tmp_path / "few.csv", {"cat": "n02121808"})
    sound = write_table(tmp_path / "sound.csv", {**MEANT, "unicorn": "n09491492"})
    check = ["check-data", "--dataset", f"own={own}", "--synsets"]
    done = CliRunner().invoke(main, [*check, f"own={few}"])
    assert done.exit_code == 1
    assert f"synsets    {few}: {few} has no row for 2 of the 3 classes" in done.stdout
    assert done.stdout.endswith("not sound\n")
    done = CliRunner().invoke(main, [*check, f"own={sound}"])
    assert (done.exit_code, done.stdout[-6:]) == (0, "sound\n")
    assert "own: " in done.stderr
    assert "1 rows are of no class here" in done.stderr
    assert "unknown dataset of --synsets" in str(
        CliRunner().invoke(main, [*check, f"owl={sound}"]).exception
    )
