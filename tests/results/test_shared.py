"""Results shared through a dataset of the hub: pushed, pulled, and never mixed."""

from __future__ import annotations

import csv
import io
import json
import threading
from contextlib import suppress

import pytest

from cog.cli.main import main
from cog.errors import CogError
from cog.results.files import as_parquet
from cog.results.shared import PROVENANCE, Shared, file_of, pull, push, read_name
from cog.results.table import tidy
from tests.support.hub_server import Hub, point_to
from tests.support.result_rows import made_rows, write_runs
from tests.support.runs import call_cog

pytest.importorskip("pyarrow")
SHARED = Shared("lab/results")
ROWS = made_rows(["dino", "moco"], ["in1k", "cog_l1"], seeds=(22, 37))
OF_DINO = [row for row in ROWS if row["model"] == "dino"]
OF_MOCO = [row for row in ROWS if row["model"] == "moco"]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    point_to(server.url, tmp_path / "hub", monkeypatch)
    monkeypatch.setenv("HF_TOKEN", "hf_made_up")
    yield server
    server.shutdown()
    server.server_close()


def said_by_push(rows) -> list[str]:
    lines: list[str] = []
    push(tidy(rows), SHARED, lines.append)
    return lines


def test_what_is_pushed_is_pulled(hub):
    table = tidy(ROWS)
    assert push(table, SHARED, print) == f"{hub.url}/datasets/lab/results"
    assert pull(SHARED).equals(table)
    _, files = hub.datasets["lab/results"][-1]
    assert {file_of("dino"), file_of("moco"), "README.md"} <= files.keys()
    assert pull(SHARED, ["model=moco"]).equals(tidy(OF_MOCO))


def test_a_file_says_who_pushed_it_when_and_how(hub):
    from pyarrow import parquet

    said_by_push(OF_DINO)
    _, files = hub.datasets["lab/results"][-1]
    metadata = parquet.read_schema(io.BytesIO(files[file_of("dino")])).metadata
    about = json.loads(metadata[PROVENANCE.encode()])
    assert about.keys() == {"pushed_by", "date", "cog_version", "command"}
    assert about["pushed_by"] == "ada"
    assert json.loads(hub.messages[-1]["description"]) == about
    assert hub.messages[-1]["summary"] == "Results of dino"


def test_others_add_and_correct(hub):
    assert said_by_push(OF_DINO[:3]) == ["dino: 3 new rows, 0 replaced, 0 the same"]
    assert said_by_push(OF_MOCO) == ["moco: 4 new rows, 0 replaced, 0 the same"]
    corrected = [OF_DINO[2] | {"top1": 12.5}, OF_DINO[1], OF_DINO[3]]
    assert said_by_push(corrected) == ["dino: 1 new rows, 1 replaced, 1 the same"]
    assert pull(SHARED).equals(tidy([OF_DINO[0], *corrected, *OF_MOCO]))


def test_the_same_again_makes_no_commit(hub):
    said_by_push(ROWS)
    commits = len(hub.datasets["lab/results"])
    assert said_by_push(ROWS) == [
        f"{model}: 0 new rows, 0 replaced, 4 the same" for model in ("dino", "moco")
    ]
    assert len(hub.datasets["lab/results"]) == commits


@pytest.mark.parametrize("change", [{"protocol": "other-1"}, {"recipe_hash": "x" * 16}])
def test_what_may_not_stand_in_one_table_is_refused(hub, change):
    said_by_push(OF_DINO)
    before = hub.latest("lab/results")
    with pytest.raises(CogError, match=next(iter(change))):
        said_by_push([row | change for row in OF_MOCO])
    assert hub.latest("lab/results") == before


def test_rows_of_several_protocols_are_not_shown_together(hub, tmp_path):
    """Neither own ones with pulled ones, nor where somebody put both there by other means."""
    said_by_push(OF_DINO)
    knn = [row | {"protocol": "dino-knn-1", "recipe_hash": "k" * 16} for row in OF_MOCO]
    write_runs(tmp_path / "runs", knn)
    runs = str(tmp_path / "runs")
    with pytest.raises(CogError, match="protocols cog, dino-knn, which never share a table"):
        main(["results", runs, "--pull", str(SHARED)], standalone_mode=False)
    hub.commit("lab/results", {file_of("moco"): as_parquet(tidy(knn))})
    with pytest.raises(CogError, match="protocols cog, dino-knn, which never share a table"):
        pull(SHARED)
    assert pull(SHARED, ["protocol=cog-1"]).equals(tidy(OF_DINO))


def test_another_model_with_the_same_name_is_refused(hub):
    said_by_push(OF_DINO)
    with pytest.raises(CogError, match="different models called dino") as raised:
        said_by_push([row | {"model_fingerprint": "f" * 16} for row in OF_DINO])
    assert "--name" in str(raised.value.hint)


def test_two_who_push_at_once_lose_nothing(hub):
    said_by_push(OF_DINO)
    hub.before_commit = lambda: hub.commit("lab/results", {"note.txt": b""})
    with pytest.raises(CogError) as raised:
        said_by_push(OF_MOCO)
    assert "run the same command again" in str(raised.value.hint)
    hub.before_commit = lambda: None
    said_by_push(OF_MOCO)
    assert pull(SHARED).equals(tidy(ROWS))


def test_a_revision_is_pulled_and_not_pushed_to(hub):
    said_by_push(OF_DINO)
    old = Shared("lab/results", hub.latest("lab/results"))
    said_by_push(OF_MOCO)
    assert pull(old).equals(tidy(OF_DINO))
    with pytest.raises(CogError, match="names a revision"):
        push(tidy(ROWS), old, print)


def test_a_foreign_file_is_named(hub):
    said_by_push(OF_DINO)
    hub.commit("lab/results", {"results/odd.parquet": b"PAR1 no"})
    with pytest.raises(CogError, match=r"odd\.parquet is no table of results"):
        pull(SHARED)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_what_the_hub_answers_is_said(hub, status, monkeypatch):
    with suppress(ImportError):  # its patience with a hub that is away
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
    hub.status = status
    with pytest.raises(CogError, match="hf:lab/results") as raised:
        push(tidy(ROWS), SHARED, print)
    if status != 500:
        assert "hf auth login" in str(raised.value.hint)


def test_no_such_dataset(hub):
    with pytest.raises(CogError, match="hf:lab/results") as raised:
        pull(SHARED)
    assert "spelling" in str(raised.value.hint)


@pytest.mark.parametrize("text", ["lab/results", "hf:results", "hf:a/b/c", "hf:a/b@", "hf:../b?c"])
def test_names_that_are_none(text):
    with pytest.raises(CogError, match="no dataset of the hub"):
        read_name(text)


def test_the_commands(hub, tmp_path):
    write_runs(tmp_path / "runs", OF_DINO)
    write_runs(tmp_path / "others", OF_MOCO)
    done = call_cog("results", "runs", "--push", "hf:lab/results", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{hub.url}/datasets/lab/results"
    assert "dino: 4 new rows" in done.stderr
    done = call_cog("results", "others", "--pull", "hf:lab/results", "--ranking", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    write_runs(tmp_path / "again", [OF_DINO[0] | {"top1": 5.0}])
    other = call_cog("results", "again", "--pull", "hf:lab/results", cwd=tmp_path)
    assert "again and hf:lab/results: two results for dino" in other.stderr
    assert "cog results again --push hf:lab/results" in other.stderr
    assert {"dino", "moco"} == {row["model"] for row in csv.DictReader(done.stdout.splitlines())}
    done = call_cog("results", "--pull", "hf:lab/results", "--out", "own.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "own.csv").read_text().count("\n") == 5
    done = call_cog("results", "runs", "--push", "hf:lab/results", "--wide", cwd=tmp_path)
    assert "with --where alone" in done.stderr
