"""Fixtures of the tests of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.image_files import everything, make_folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Indexes go to a folder of the test if they cannot lie beside their file."""
    monkeypatch.setenv("COG_HOME", str(tmp_path / "cog-home"))
    return tmp_path / "cog-home"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fingerprint of the folder tree."""
    return everything(make_folder(tmp_path_factory.mktemp("tree"))).fingerprint
