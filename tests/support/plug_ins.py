"""Python files with a network, for `--model file.py:function`."""

from __future__ import annotations

from pathlib import Path

HEAD = """
import sys
import urllib.error
import urllib.request
sys.path.insert(0, {tests!r})
import cog, torch
from torch import nn
from tests.support.small_networks import Net
P = cog.Preprocess(8, 8)
"""


def plugin(folder: Path, code: str, function: str = "load") -> str:
    path = folder / "mine.py"
    path.write_text(HEAD.format(tests=str(Path(__file__).parents[2])) + code)
    return f"{path}:{function}"
