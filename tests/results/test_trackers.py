"""Rows written to trackers: each once, by the real libraries, and none lost where one fails."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from cog.errors import CogError
from cog.results.trackers.logged import hash_of, logging_to, numbers_of
from cog.results.trackers.table import TRACKERS, OpenRun, tracker_file
from tests.support.result_rows import made_rows

ROWS = made_rows(["dino", "moco"], ["in1k", "cog_l1"], seeds=(22, 37))
KEY = "cog_l1/logreg-sgd/all/top1"


def log_all(names, runs: Path, rows=ROWS) -> list[str]:
    """Log rows in a run of their own; gives the lines for the user."""
    said: list[str] = []
    with logging_to(names, runs, said.append) as log:
        for row in rows:
            log(row)
    return said


class Recorder:
    """A tracker that keeps what it gets, and fails when it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, float, int]] = []
        self.opened: list[tuple[str, str]] = []
        self.closed = 0
        self.fails_at: int | None = None

    def check(self) -> None: ...

    def open_run(self, folder, model, run, about) -> OpenRun:
        self.opened.append((model, run))
        recorder = self

        class Run:
            def __init__(self) -> None:
                self.run = run or f"id-{model}"

            def log(self, values, seed) -> None:
                if recorder.fails_at is not None and len(recorder.got) >= recorder.fails_at:
                    raise ConnectionError("the server is away")
                recorder.got += [(model, name, value, seed) for name, value in values.items()]

            def close(self) -> None:
                recorder.closed += 1

        return Run()


@pytest.fixture
def recorder(monkeypatch):
    kept = Recorder()
    monkeypatch.setattr("cog.results.trackers.logged.tracker_file", lambda name: kept)
    return kept


def test_each_row_is_logged_once_whatever_was_stopped(recorder, tmp_path):
    assert log_all(["wandb"], tmp_path, ROWS[:3]) == []
    assert log_all(["wandb"], tmp_path) == []
    assert log_all(["wandb"], tmp_path) == []
    wanted = Counter(
        (row["model"], *pair, row["seed"]) for row in ROWS for pair in numbers_of(row).items()
    )
    assert Counter(recorder.got) == wanted
    assert [run for model, run in recorder.opened if model == "dino"] == ["", "id-dino"]
    assert recorder.closed == len(recorder.opened)


def test_a_result_made_from_something_else_is_logged_again(recorder, tmp_path):
    log_all(["wandb"], tmp_path)
    before = len(recorder.got)
    log_all(["wandb"], tmp_path, [row | {"top1": 1.0, "seconds": 9.0} for row in ROWS])
    assert len(recorder.got) == before
    log_all(["wandb"], tmp_path, [ROWS[0] | {"features_hash": "x" * 16}])
    assert len(recorder.got) == before + len(numbers_of(ROWS[0]))


def test_a_tracker_that_fails_costs_no_result_and_gets_the_rest_later(recorder, tmp_path):
    each = len(numbers_of(ROWS[0]))
    recorder.fails_at = 2 * each
    said = log_all(["wandb"], tmp_path)
    assert len(said) == 1
    assert "ConnectionError: the server is away" in said[0]
    recorder.fails_at = None
    assert log_all(["wandb"], tmp_path) == []
    assert len(recorder.got) == each * len(ROWS)


def test_a_run_that_its_tracker_no_longer_has_can_be_begun_anew(recorder, tmp_path, monkeypatch):
    def deleted(folder, model, run, about):
        raise LookupError(f"no run {run}")

    log_all(["wandb"], tmp_path, ROWS[:1])
    monkeypatch.setattr(recorder, "open_run", deleted)
    (said,) = log_all(["wandb"], tmp_path)
    record = tmp_path / ROWS[0]["model"] / "logged" / "wandb.json"
    assert said.endswith(f"remove {record} to begin a new one")


@pytest.mark.parametrize("content", ["", "[]", '{"run": 3, "rows": []}', '{"run": "a"}'])
def test_a_damaged_record_is_refused_by_name(recorder, tmp_path, content):
    path = tmp_path / "dino" / "logged" / "wandb.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(CogError, match=r"wandb\.json.*cannot be read") as raised:
        log_all(["wandb"], tmp_path)
    assert "remove it" in str(raised.value.hint)
    assert recorder.got == []


def test_unknown_and_missing_trackers(monkeypatch):
    with pytest.raises(CogError, match="wandd") as raised:
        tracker_file("wandd")
    assert "wandb" in str(raised.value.hint)
    monkeypatch.setattr("cog.results.trackers.table.find_spec", lambda name: None)
    for name in TRACKERS:
        with pytest.raises(CogError, match="not installed") as raised:
            tracker_file(name)
        assert f"imagenet-cog[{name}]" in str(raised.value.hint)


def test_hashes_are_of_key_and_causes():
    assert len({hash_of(row) for row in ROWS}) == len(ROWS)
    assert hash_of(ROWS[0]) == hash_of(ROWS[0] | {"seconds": 1.0})
    assert hash_of(ROWS[0]) != hash_of(ROWS[0] | {"test_set": "v2"})


@pytest.mark.filterwarnings("default")
def test_tensorboard_has_the_numbers_in_event_files(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log_all(["tensorboard"], tmp_path, ROWS[:3])
    log_all(["tensorboard"], tmp_path)
    read = EventAccumulator(str(tmp_path / "dino" / "logged" / "tensorboard")).Reload()
    points = [(point.step, point.value) for point in read.Scalars(KEY)]
    wanted = [row for row in ROWS if (row["model"], row["dataset"]) == ("dino", "cog_l1")]
    assert points == [(row["seed"], pytest.approx(row["top1"])) for row in wanted]


@pytest.mark.filterwarnings("default")
def test_mlflow_has_the_numbers_and_the_model(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    log_all(["mlflow"], tmp_path / "runs", ROWS[:3])
    log_all(["mlflow"], tmp_path / "runs")
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("cog")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["dino", "moco"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    run = next(run for run in runs if run.info.run_name == "dino")
    assert run.data.params["family"] == ROWS[0]["family"]
    history = client.get_metric_history(run.info.run_id, KEY)
    wanted = [row for row in ROWS if (row["model"], row["dataset"]) == ("dino", "cog_l1")]
    assert sorted((p.step, p.value) for p in history) == [(r["seed"], r["top1"]) for r in wanted]


@pytest.mark.filterwarnings("default")
def test_mlflow_that_cannot_be_used_is_said_before_work(tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "file" / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with pytest.raises(CogError, match="cannot use") as raised:
        log_all(["mlflow"], tmp_path / "runs")
    assert "MLFLOW_TRACKING_URI" in str(raised.value.hint)


@pytest.mark.filterwarnings("default")
def test_wandb_goes_on_with_its_run(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    taken: list[tuple[str, dict]] = []
    real = wandb.Run.log

    def log(self, values):
        taken.append((self.id, values))
        return real(self, values)

    monkeypatch.setattr(wandb.Run, "log", log)
    own = [row for row in ROWS if row["model"] == "dino"]
    log_all(["wandb"], tmp_path / "runs", own[:3])
    log_all(["wandb"], tmp_path / "runs", own)
    record = json.loads((tmp_path / "runs" / "dino" / "logged" / "wandb.json").read_text())
    assert [run for run, _ in taken] == [record["run"]] * len(own)
    assert [values for _, values in taken] == [numbers_of(r) | {"seed": r["seed"]} for r in own]
    folders = list((tmp_path / "wandb").glob(f"offline-run-*-{record['run']}"))
    assert folders
    assert all(list(folder.glob("*.wandb")) for folder in folders)


def test_wandb_that_is_switched_off_is_said_before_work(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with pytest.raises(CogError, match="WANDB_MODE is disabled"):
        log_all(["wandb"], tmp_path)
    assert list(tmp_path.iterdir()) == []  # nothing counts as logged


def test_wandb_without_a_key_is_said_before_work(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(wandb, "login", lambda: False)
    with pytest.raises(CogError, match="cannot log in") as raised:
        log_all(["wandb"], tmp_path)
    assert "WANDB_API_KEY" in str(raised.value.hint)
