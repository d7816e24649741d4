"""The scripts that made the committed oracle of similarities and the noun table, as modules."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

DICT = Path(os.environ.get("COG_WORDNET", "/usr/share/wordnet"))
needs_dict = pytest.mark.skipif(
    not (DICT / "data.noun").is_file(),
    reason="no WordNet dict folder: install wordnet-base or set COG_WORDNET",
)


def oracle_tool() -> ModuleType:
    """tools/make_similarity_oracle.py."""
    return _tool("make_similarity_oracle")


def table_tool() -> ModuleType:
    """tools/make_wordnet_table.py."""
    return _tool("make_wordnet_table")


def _tool(name: str) -> ModuleType:
    path = Path(__file__).parents[2] / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
