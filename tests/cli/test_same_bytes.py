"""The same input gives the same bytes in another folder, with nothing of the machine in them."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import numpy as np
import pytest

from cog.storage import files_below
from tests.support.result_rows import made_rows, write_runs
from tests.support.runs import call_cog

COMMANDS = [
    "build-levels --eligible eligible.txt --n-levels 2 --size 3 --out lv",
    "export a.npz --out X_Y.pth",
    "results runs --out table.csv",
    "results runs --parquet table.parquet",
    "compare runs runs --csv moved.csv",
    "report runs --out report.html --svg figures",
    "report runs --out report.html --png figures",
    "levels explore lv --images images --out page.html",
    "check-data images --levels lv --only L1 --decode --test-per-class 4 --min-train 4 "
    "--report check.csv",
]


@pytest.fixture(scope="module")
def places(images, levels_folder, tmp_path_factory) -> list[Path]:
    """Two folders with equal content at different places."""
    found = []
    for name in ("one", "another"):
        place = tmp_path_factory.mktemp(name) / "here"
        write_runs(place / "runs", made_rows(("a", "b"), seeds=(22,)))
        (place / "eligible.txt").write_text((levels_folder.parent / "eligible.txt").read_text())
        rng = np.random.default_rng(0)
        np.savez(place / "a.npz", X=rng.normal(size=(6, 3)).astype("f4"), Y=np.arange(6) % 2)
        (place / "images").symlink_to(images, target_is_directory=True)
        found.append(place)
    return found


@pytest.mark.parametrize("command", COMMANDS, ids=lambda text: text.split(" --out")[0])
def test_the_same_command_elsewhere_writes_the_same_bytes(command, places):
    if "--parquet" in command:
        pytest.importorskip("pyarrow", reason="pip install 'imagenet-cog[parquet]'")
    written = []
    for place in places:
        before = files_below(place).keys()
        done = call_cog(*command.split(), cwd=place)
        assert done.returncode in (0, 1), done.stderr
        written.append({n: (place / n).read_bytes() for n in files_below(place) if n not in before})
    assert written[0]
    assert written[0].keys() == written[1].keys()
    assert [name for name in written[0] if written[0][name] != written[1][name]] == []
    words = [*map(str, places), f".{os.getpid()}."]
    for name, data in written[0].items():
        page = name.endswith(".html")  # its scripts may have any such word
        more = [] if page else ["partial", f".{platform.node()}"]
        assert [word for word in [*words, *more] if word.encode() in data] == [], name
