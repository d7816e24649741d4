"""examples/monitor.py trains a small network and monitors it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "monitor.py"


@pytest.mark.usefixtures("one_thread")
def test_the_example_learns_and_says_so(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COG_HOME", str(tmp_path))
    spec = importlib.util.spec_from_file_location("example_monitor", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    logged = module.main()
    assert [row["step"] for row in logged] == [20, 40, 60]
    assert logged[-1]["loss"] < logged[0]["loss"]
    assert all(row["cog/unseen/knn/top1"] > 25 for row in logged)  # of four classes
    assert capsys.readouterr().out.count("cog/unseen/ridge/top1") == 3
