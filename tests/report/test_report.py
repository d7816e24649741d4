"""The page and the figures of `cog report`: what they hold, without a browser."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cog.cli.report import report
from cog.csv_text import table_as_csv
from cog.errors import CogError
from cog.levels.files import read_levels
from cog.report.build import default_out, write_page
from cog.report.figures import figures, means_over_levels, write_figures
from cog.report.page_data import as_columns, read_page_data
from cog.results.files import read_results
from cog.results.summary import ranking, summary, wide
from cog.results.table import tidy
from tests.support.report_pages import (
    DOMAINS,
    MODELS,
    NEAR,
    SEEDS,
    TASKS,
    held,
    made_page,
    table_of,
    three_axes_rows,
    write_distances,
)
from tests.support.result_rows import made_rows, write_runs


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return made_page(tmp_path_factory.mktemp("report"))


def test_every_value_of_the_results_is_in_the_page_to_the_last_digit(made):
    expected = read_results(made.runs).astype(object)
    found = table_of(held(made.page, "results"))
    assert list(found) == list(expected)
    for name in expected:
        pairs = zip(found[name], expected[name].where(expected[name].notna(), None), strict=True)
        assert all(here == there for here, there in pairs), name


def test_the_page_draws_from_the_summary_of_the_tables(made):
    expected = summary(read_results(made.runs))
    found = table_of(held(made.page, "data")["summary"])
    for name in ("model", "dataset", "shots", "top1", "se", "error", "seconds"):
        assert found[name].tolist() == expected[name].tolist(), name
    ranks = ranking(expected).melt(["probe", "solver", "shots", "model"], var_name="dataset")
    by = ["model", "dataset", "shots"]
    found_ranks = found.set_index(by)["rank"]
    for row in ranks.itertuples():
        here = found_ranks[row.model, row.dataset, row.shots]
        assert (here is None) == pd.isna(row.value)
        assert here is None or here == row.value


def test_the_page_is_one_file_and_names_no_script_of_its_own(made):
    text = made.page.read_text(encoding="utf-8")
    assert "<script>alert" not in text
    for asks in ('<script src="', "<link ", "@import", '<img src="http'):
        assert asks not in text


def test_accuracies_by_concept_are_means_over_seeds_in_the_order_of_the_levels(made):
    values = held(made.page, "data")
    (one,) = values["classes"]
    assert one["model"] == MODELS[0]
    wnids = table_of(values["concepts"])["wnid"].tolist()
    assert wnids == made.levels.table["wnid"].tolist()
    for level in made.levels.numbers:
        for at, wnid in enumerate(made.levels.rows(level)["wnid"].head(11)):
            mean = np.mean([(7 * at + seed) % 100 for seed in SEEDS]) if at < 10 else None
            assert one["top1"][wnids.index(wnid)] == mean


def test_concepts_of_a_level_in_other_datasets_do_not_count(tmp_path):
    """A dataset of the user's may have the same wnids: among fewer classes, an easier task."""
    levels = read_levels()
    rows = [row | {"levels_hash": levels.fingerprint[:16] if row["dataset"] != "own" else ""}
            for row in made_rows(("a",), ("cog_l1", "own"), seeds=(22,))]  # fmt: skip
    runs = write_runs(tmp_path / "runs", rows)
    wnid = levels.wnids(1)[0]
    for dataset, top1 in (("cog_l1", 40), ("own", 90)):
        path = runs / "model-0" / "classes" / f"{dataset}--logreg-sgd--all--22.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"wnid,n_test,top1\n{wnid},50,{top1}\n", encoding="utf-8")
    data = read_page_data(runs, levels)
    assert [top1 for top1 in data.classes[0]["top1"] if top1 is not None] == [40]


def test_trials_are_those_of_the_cells_and_the_chosen_one_is_marked(made):
    trials = held(made.page, "data")["trials"]
    assert {one["model"] for one in trials} == set(MODELS)
    for one in trials:
        assert one["lr"] == [0.1, 0.2, 0.1 * 3] * len(SEEDS)
        assert one["chosen"] == [0, 1, 0] * len(SEEDS)


def test_results_of_other_levels_have_no_concepts_and_the_page_says_so(tmp_path):
    runs = write_runs(tmp_path, made_rows(["one"], seeds=(22,)))
    data = read_page_data(runs, read_levels())
    assert data.classes == []
    assert "llllllllllllllll" in data.why


def test_results_of_several_protocols_are_refused(tmp_path):
    rows = made_rows(["one", "two"], seeds=(22,))
    for row in rows:
        row["recipe_hash"] = row["model"]
    with pytest.raises(CogError, match="recipe_hash differs"):
        read_page_data(write_runs(tmp_path, rows), read_levels())


def test_a_file_of_results_is_enough(tmp_path, made):
    path = tmp_path / "results.csv"
    path.write_text(table_as_csv(tidy(made_rows(["one"]))), encoding="utf-8")
    data = read_page_data(path, made.levels)
    assert len(data.results) == 30
    assert data.trials == []


def test_the_mean_over_levels_is_that_of_the_wide_table(made):
    rows = made.data.table[made.data.table["shots"] == "all"]
    expected = wide(made.data.results).query("shots == 'all'").set_index("model")["levels"]
    pd.testing.assert_series_equal(
        means_over_levels(rows).sort_index(), expected.sort_index(), check_names=False
    )


def test_columns_with_few_values_are_kept_as_codes():
    found = as_columns(pd.DataFrame({"few": ["a", "b"] * 8, "many": np.arange(16) / 7}))
    assert found["few"] == {"values": ["a", "b"], "codes": [0, 1] * 8}
    assert found["many"] == [value / 7 for value in range(16)]


def test_figures_are_files_that_can_be_read(made, tmp_path):
    names = [name for name, _ in figures(made.data, "plain")]
    assert len(names) == len(set(names)) == 16
    paths = write_figures(made.data, tmp_path, "svg", "plain")
    assert [path.stem for path in paths] == names
    text = {path.stem: path.read_text(encoding="utf-8") for path in paths}
    for drawn in text.values():
        assert ElementTree.fromstring(drawn).tag.endswith("svg")
    shown = "".join(ElementTree.fromstring(text["accuracy"]).itertext())
    best = means_over_levels(made.data.table[made.data.table["shots"] == "all"]).index[:4]
    assert all(name in shown for name in best)


def rows_of(chart):
    (values,) = chart.to_dict()["datasets"].values()
    return pd.DataFrame(values)


def test_all_datasets_stand_on_one_axis_by_their_distance_and_levels_are_joined(tmp_path):
    """Two of the user's own beside in1k and two levels; nobody knows how near one of them is."""
    rows = made_rows(("a", "b"), datasets=("in1k", "cog_l1", "cog_l2", "pets", "odd"))
    runs = write_runs(tmp_path, rows)
    write_distances(
        runs, {name: NEAR[name] for name in ("in1k", "cog_l1", "cog_l2")} | {"pets": 0.9}
    )
    data = read_page_data(runs, read_levels())
    made = dict(figures(data, "a"))
    drawn = rows_of(made["distance"]).drop_duplicates("place").set_index("place")
    assert drawn["near"].to_dict() == {"IN-1K": 1, "L1": 0.845, "L2": 0.692, "pets": 0.9}
    assert drawn["joined"].to_dict() == {"IN-1K": True, "L1": True, "L2": True, "pets": False}
    values = rows_of(made["distance"]).set_index(["model", "dataset"])["value"]
    expected = data.table.set_index(["model", "dataset"])["top1"]
    assert values.to_dict() == expected[expected.index.get_level_values(1) != "odd"].to_dict()
    gains = rows_of(made["distance-difference"]).set_index(["model", "dataset"])["value"]
    assert gains["b", "pets"] == pytest.approx(expected["b", "pets"] - expected["a", "pets"])
    assert set(gains["a"]) == {0}


def test_without_distances_there_is_no_such_figure(tmp_path):
    runs = write_runs(tmp_path, made_rows(("a", "b"), seeds=(22,)))
    assert not [
        name for name, _ in figures(read_page_data(runs, read_levels()), "a") if "dist" in name
    ]


@pytest.mark.parametrize(("models", "there"), [(("a", "b"), False), (("a", "b", "c"), True)])
def test_ranks_are_drawn_of_three_models_or_more(tmp_path, models, there):
    runs = write_runs(tmp_path, made_rows(models, seeds=(22,)))
    names = [name for name, _ in figures(read_page_data(runs, read_levels()), None)]
    assert ("ranks" in names) is there


def test_the_command_writes_page_and_images(made, tmp_path):
    command = [str(made.runs), "--out", str(tmp_path / "page.html"), "--png", str(tmp_path / "png")]
    done = CliRunner().invoke(report, command, catch_exceptions=False)
    assert done.exit_code == 0
    files = done.stdout.split()
    assert files[0] == str(tmp_path / "page.html")
    assert len(files) == 14  # no baseline: no figures of differences
    for file in files[1:]:
        with open(file, "rb") as image:  # noqa: PTH123
            assert image.read(8) == b"\x89PNG\r\n\x1a\n"


def test_a_baseline_that_is_no_model_is_refused(made, tmp_path):
    with pytest.raises(CogError, match="plane"):
        write_figures(made.data, tmp_path, "svg", "plane")


def test_only_cells_that_are_results_are_on_the_page(tmp_path):
    """One is cut short, one of another protocol, two are the same: the page knows of none."""
    rows = made_rows(("a", "b", "c", "d", "e"), seeds=(22,))
    runs = write_runs(tmp_path, rows)
    cells = [runs / f"model-{number}" / "cells" for number in range(5)]
    for cell in cells[0].iterdir():
        cell.write_text('{"hashes": {}, "row"')
    for cell in cells[1].iterdir():
        cell.write_text(cell.read_text().replace("cog-1", "cog-0"))
    for cell in cells[2].iterdir():
        cell.with_stem(f"{cell.stem}--again").write_bytes(cell.read_bytes())
    said: list[str] = []
    data = read_page_data(runs, read_levels(), said.append)
    named = [line.count(f"{runs}/") for line in said]
    assert named == [6, 6] + 12 * [2]
    assert set(data.table["model"]) == {"d", "e"}
    assert {one["model"] for one in data.trials} == {"d", "e"}


def test_a_table_of_classes_that_is_cut_short_is_named_and_left_out(made, tmp_path):
    runs = shutil.copytree(made.runs, tmp_path / "runs")
    files = sorted(runs.glob("*/classes/*.csv"))
    files[0].write_text("wnid,n_test,top1\nn0")
    files[1].write_bytes(b"\xff\xfe")
    files[2].write_text("a,b\n1,2\n")
    said: list[str] = []
    data = read_page_data(runs, made.levels, said.append)
    assert [line.split(" ")[0] for line in said] == [str(path) for path in files[:3]]
    assert len(data.classes) == len(made.data.classes)


def test_rows_may_be_chosen(made):
    data = read_page_data(made.runs, made.levels, conditions=[f"model={MODELS[0]}", "shots=all"])
    assert set(data.table["model"]) == {MODELS[0]}
    assert {one["model"] for one in data.trials} == {MODELS[0]}


def test_a_protocol_may_be_chosen(tmp_path):
    rows = made_rows(("a", "b", "c"), datasets=("in1k",), seeds=(22,))
    rows[2]["protocol"] = "cog-2"
    said: list[str] = []
    runs = write_runs(tmp_path, rows)
    data = read_page_data(runs, read_levels(), said.append, ["protocol=cog-2"])
    assert set(data.table["model"]) == {"c"}
    (line,) = said
    assert line.count(f"{runs}/") == 2


@pytest.mark.parametrize("datasets", [("in1k",), ("in1k", "cog_l1")])
def test_models_without_all_levels_stand_out_where_no_model_has_them(tmp_path, datasets):
    rows = made_rows(("a", "b"), datasets=datasets, seeds=(22,))
    other = made_rows(("c",), datasets=("cog_l2",), seeds=(22,)) if len(datasets) > 1 else []
    data = read_page_data(write_runs(tmp_path, rows + other), read_levels())
    made = dict(figures(data, None))
    (values,) = made["accuracy"].to_dict()["datasets"].values()
    slots = {row["slot"] for row in values}
    assert slots >= {1, 2}


def test_models_that_lack_classes_are_not_the_best(made):
    """`another` lacks classes (see report_pages): whatever its mean, it comes last."""
    own = made.data.table.query("probe == 'logreg' and shots == 'all'").copy()
    own.loc[own["model"] == "another", "top1"] = 99.0
    assert means_over_levels(own).index[-1] == "another"


def test_a_baseline_of_another_fit_leaves_out_the_differences(tmp_path):
    rows = made_rows(("a", "b"), seeds=(22,))
    rows += [row | {"probe": "knn", "solver": "exact"} for row in made_rows(("kn",), seeds=(22,))]
    data = read_page_data(write_runs(tmp_path, rows), read_levels())
    assert "difference" not in dict(figures(data, "kn"))
    assert "difference" in dict(figures(data, "a"))


def test_the_page_lies_in_the_folder_of_runs_whatever_that_is_called():
    assert default_out(Path("runs.v2")) == Path("runs.v2/report.html")
    assert default_out(Path("runs/results.csv")) == Path("runs/report.html")


def test_names_of_figures_are_names_of_files(tmp_path):
    rows = made_rows(("a",), ("in1k",), shots=(4, "all"))
    rows += [row | {"test_set": "v2"} for row in rows]
    (tmp_path / "results.csv").write_text(table_as_csv(tidy(rows)), encoding="utf-8")
    data = read_page_data(tmp_path / "results.csv", read_levels())
    names = [name for name, _ in figures(data, None)]
    assert "few-shot-in1k@v2" in names
    assert not [name for name in names if "/" in name]


def test_figures_have_an_axis_each_and_no_lines_between_tasks(tmp_path):
    (tmp_path / "results.csv").write_text(table_as_csv(tidy(three_axes_rows())), encoding="utf-8")
    data = read_page_data(tmp_path / "results.csv", read_levels())
    assert data.why == "The results come without accuracies by concept."  # test sets have no levels
    drawn = {name: chart.to_dict() for name, chart in figures(data, "dino")}
    assert {"accuracy", "domains", "tasks", "tasks-difference", "domains-log-odds"} <= set(drawn)
    places = {
        name: set(re.findall(r'"place": "([^"]+)"', json.dumps(chart)))
        for name, chart in drawn.items()
    }
    assert places["accuracy"] == {"IN-1K", "L1", "L2", "L3", "L4", "L5"}
    assert places["domains"] == {f"in1k/{name}" for name in DOMAINS}
    assert places["tasks"] == set(TASKS)
    assert set(data.table["solver"]) == {"lbfgs+sgd"}  # sets by their own protocols side by side
    value = data.table.set_index(["model", "dataset"])["value"]["dino", "pets"]
    assert value == data.results.query("model == 'dino' and dataset == 'pets'")["mean_class"].mean()


def test_a_page_of_own_datasets_alone_has_no_levels(tmp_path, made):
    rows = made_rows(("dino", "moco"), ("animals", "food"), seeds=SEEDS)
    text = table_as_csv(tidy([row | {"levels_hash": ""} for row in rows]))
    (tmp_path / "results.csv").write_text(text, encoding="utf-8")
    levels = read_levels()
    data = read_page_data(tmp_path / "results.csv", levels)
    page = write_page(data, levels, tmp_path / "report.html").read_text(encoding="utf-8")
    for part in ('id="levels"', 'href="#levels"', "<li>Levels:"):
        assert part not in page
        assert part in made.page.read_text(encoding="utf-8")
