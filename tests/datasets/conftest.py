"""Fixtures of the tests of datasets."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Indexes go to a folder of the test if they cannot lie beside their file."""
    monkeypatch.setenv("COG_HOME", str(tmp_path / "cog-home"))
    return tmp_path / "cog-home"
