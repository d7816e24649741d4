"""A kill between a write and its rename leaves nothing for ever: the next command removes it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from cog.partial_files import ABANDONED_SECONDS, partial_file, partial_name, sweep
from cog.storage import files_below, write_text
from tests.support.forked import start, start_cog
from tests.support.result_rows import made_rows, write_runs
from tests.support.runs import HANGS_SECONDS

EVALUATE = (
    "evaluate --model {net}:load --images {images} --levels {levels} --only L1 --test-per-class 4 "
    "--min-train 4 --probe ncm --seeds 22 --device cpu --out {tmp}/runs"
)
PAGE = "levels explore {levels} --images {images} --out {tmp}/page.html"
COMMANDS = [  # the command, and a file or folder that it renames
    ("build-levels --eligible {levels}/../eligible.txt --n-levels 2 --size 3 --out {tmp}/lv", "lv"),
    (
        "build-levels --eligible {levels}/../eligible.txt --n-levels 2 --size 3 --out {tmp}/made "
        "--overwrite",
        "levels.csv",
    ),
    ("export {tmp}/a.npz --out {tmp}/X_Y.pth", "X_Y.pth"),
    ("results {made} --out {tmp}/table.csv", "table.csv"),
    ("results {made} --parquet {tmp}/table.parquet", "table.parquet"),
    ("compare {made} {made} --csv {tmp}/moved.csv", "moved.csv"),
    ("report {made} --out {tmp}/report.html", "report.html"),
    ("report {made} --out {tmp}/report.html --svg {tmp}/figures", "accuracy.svg"),
    (PAGE, "page.html"),
    (PAGE, "jpg"),
    (
        "check-data {images} --levels {levels} --only L1 --test-per-class 4 --min-train 4 "
        "--report {tmp}/check.csv",
        "check.csv",
    ),
    (EVALUATE, "results.csv"),
    (EVALUATE, "run.json"),
    (EVALUATE, "cog_l1.txt"),
    (EVALUATE, "cog_l1-train.zarr"),
    (EVALUATE, "cog_l1--ncm-exact--all--22.csv"),
    (EVALUATE, "cog_l1--ncm-exact--all--22.json"),
]


def killed_at(name: str, words: list[str], cwd: Path) -> None:
    """`cog`, which ends as by SIGKILL when it is about to rename what is called `name`."""
    from cog.cli.main import run

    replace = Path.replace

    def replace_or_end(self: Path, target: Path) -> Path:
        if Path(target).name.endswith(name):
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)

    Path.replace = replace_or_end  # this process is of no further use
    os.chdir(cwd)
    os.environ["COG_HOME"] = str(cwd / "cog-home")
    sys.stdout, sys.stderr = ((cwd / ".said").open("a") for _ in range(2))
    sys.argv = words
    run()


def left_over(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if ".partial" in path.name)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return write_runs(tmp_path_factory.mktemp("made") / "runs", made_rows(("a", "b"), seeds=(22,)))


@pytest.mark.parametrize(("command", "name"), COMMANDS, ids=lambda text: text.split(" {")[0])
def test_the_same_command_removes_what_a_kill_left(
    command, name, made, images, levels_folder, plug_in, tmp_path
):
    if "--parquet" in command:
        pytest.importorskip("pyarrow", reason="pip install 'imagenet-cog[parquet]'")
    places = {
        "made": made, "images": images, "levels": levels_folder, "net": plug_in, "tmp": tmp_path,
    }  # fmt: skip
    words = command.format(**places).split()
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "a.npz", X=rng.normal(size=(6, 3)).astype(np.float32), Y=np.arange(6) % 2)
    (tmp_path / "made").mkdir()
    for file in levels_folder.iterdir():
        (tmp_path / "made" / file.name).write_bytes(file.read_bytes())
    process = start(killed_at, name, ["cog", *words], tmp_path)
    process.join(HANGS_SECONDS)
    assert process.exitcode == -signal.SIGKILL, (tmp_path / ".said").read_text()
    assert left_over(tmp_path)
    done = start_cog(*words, cwd=tmp_path).ended()
    assert done.returncode == 0, done.stderr
    assert left_over(tmp_path) == []
    assert any(path.name.endswith(name) for path in tmp_path.rglob("*"))


@pytest.fixture(scope="module")
def of_a_dead_process() -> str:
    """A file name for `a` that a process gave which has ended."""
    process = start(os.getpid)
    process.join(HANGS_SECONDS)
    name = partial_name(Path("a")).name
    return name.replace(f".{os.getpid()}.", f".{process.pid}.")


def test_only_what_nobody_writes_and_only_our_names_are_swept(tmp_path, of_a_dead_process):
    dead, theirs, ours = (
        tmp_path / of_a_dead_process,
        tmp_path / ".a.partial",
        partial_name(tmp_path / "a"),
    )
    elsewhere = tmp_path / ".a.elsewhere-1.1.0123abcd.partial"
    for path in (dead, theirs, ours, elsewhere):
        path.touch()
    os.utime(theirs, (0, 0))
    assert sweep(tmp_path) == 1
    assert set(tmp_path.iterdir()) == {theirs, ours, elsewhere}
    long_ago = elsewhere.stat().st_mtime - ABANDONED_SECONDS - 1
    os.utime(elsewhere, (long_ago, long_ago))
    assert sweep(tmp_path) == 1
    assert set(tmp_path.iterdir()) == {theirs, ours}
    assert sweep(tmp_path / "nowhere") == 0


def test_a_link_with_such_a_name_goes_and_what_it_names_stays(tmp_path, of_a_dead_process):
    kept = tmp_path / "kept"
    write_text(kept / "a", "a")
    (tmp_path / of_a_dead_process).symlink_to(kept, target_is_directory=True)
    assert sweep(tmp_path) == 1
    assert files_below(tmp_path) == {"kept/a": 1}


def test_the_first_file_of_a_folder_sweeps_it(tmp_path, of_a_dead_process):
    for path in (tmp_path / of_a_dead_process, tmp_path / "new" / of_a_dead_process):
        path.parent.mkdir(exist_ok=True)
        path.mkdir()
        (path / "half").touch()
    with partial_file(tmp_path / "b") as partial:
        partial.touch()
    assert files_below(tmp_path).keys() == {"b", f"new/{of_a_dead_process}/half"}
    write_text(tmp_path / "new" / "c", "")
    assert files_below(tmp_path).keys() == {"b", "new/c"}
