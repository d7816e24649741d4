"""What a script or notebook takes from a run: accuracies by class, and the page."""

from __future__ import annotations

import pytest
import torch

import cog
from tests.support.runs import draw_images

COLUMNS = ["model", "dataset", "probe", "solver", "shots", "seed", "class", "n_test", "top1"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("from-python")
    for part, count in (("train", 6), ("test", 4)):
        draw_images(folder / "photos" / part, ("red", "blue"), count)
    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())
    model = cog.Model(network, preprocess=cog.Preprocess(resize=16, crop=16), name="quarters")
    table = cog.evaluate(
        model, datasets={"photos": folder / "photos"}, probes="knn,ncm", seeds="22",
        device="cpu", out=folder / "runs",
    )  # fmt: skip
    return folder / "runs", table


def test_accuracies_by_class_have_the_mean_of_the_table(run):
    runs, table = run
    found = cog.class_accuracies(runs)
    assert list(found) == COLUMNS
    assert found["class"].tolist() == ["blue", "red"] * 2
    assert found["n_test"].tolist() == [4] * 4
    means = found.groupby(["model", "probe"])["top1"].mean()
    assert means.to_dict() == table.set_index(["model", "probe"])["top1"].to_dict()


def test_a_file_of_classes_that_is_damaged_is_said_and_left_out(run):
    runs, _ = run
    path = next((runs / "quarters" / "classes").glob("*ncm*"))
    whole = path.read_bytes()
    path.write_text("wnid,n_test\n")
    said = []
    found = cog.class_accuracies(runs, said.append)
    path.write_bytes(whole)
    assert set(found["probe"]) == {"knn"}
    assert len(said) == 1
    assert path.name in said[0]


def test_no_results_are_refused(tmp_path):
    with pytest.raises(cog.CogError, match="no finished cells"):
        cog.class_accuracies(tmp_path)
    with pytest.raises(cog.CogError, match="no finished cells"):
        cog.write_report(tmp_path)


def test_the_page_is_written_into_the_folder_or_where_it_is_asked(run, tmp_path):
    runs, _ = run
    page = cog.write_report(runs, baseline="quarters")
    assert page == runs / "report.html"
    assert "quarters" in page.read_text(encoding="utf-8")
    assert cog.write_report(str(runs), tmp_path / "page.html").is_file()
    with pytest.raises(cog.CogError, match="quartres"):
        cog.write_report(runs, baseline="quartres")
