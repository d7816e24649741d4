"""Full disks and folders without rights: a plain error, and no file is cut off."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cog.evaluation.run import run_plan
from cog.progress import Silent
from tests.support.runs import call_cog, make_plan
from tests.support.stores import alone, chunk_files

# The disk is a tmpfs in a mount namespace of its own, which ends with the process that holds it.
HOLD = """
mount -t tmpfs -o "size=$2" tmpfs "$1" && echo mounted && while read -r options; do
    mount -o "remount,$options" "$1" && echo mounted
done
"""


@dataclass
class Disk:
    """A small disk, and the process in whose namespace it is mounted."""

    holder: subprocess.Popen[str]
    path: Path  # works outside of the namespace too

    def change(self, options: str) -> None:
        """Mount it again with other options: `size=64m`, `ro`, `rw`."""
        assert self.holder.stdin is not None
        self.holder.stdin.write(f"{options}\n")
        self.holder.stdin.flush()
        self.wait()

    def wait(self) -> None:
        """Wait until the holder says that the disk is mounted; skip where that is not allowed."""
        assert self.holder.stdout is not None
        assert self.holder.stderr is not None
        if self.holder.stdout.readline() != "mounted\n":
            pytest.skip(f"cannot mount a small disk: {self.holder.stderr.read().strip()}")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Disk]:
    """A tmpfs on `folder`; a user who is not root becomes it in a namespace of users."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare: a small disk cannot be mounted")
    folder.mkdir()
    rights = "-m" if os.geteuid() == 0 else "-rm"
    command = ["unshare", rights, "sh", "-c", HOLD, "sh", str(folder), size]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as holder:
        disk = Disk(holder, Path(f"/proc/{holder.pid}/root{folder}"))
        try:
            disk.wait()
            yield disk
        finally:
            holder.kill()


@pytest.fixture(scope="module")
def options(images, levels_folder):
    """Options of a plan for the small images, in chunks of few rows."""
    return {
        "images": images, "levels": levels_folder, "test_per_class": 4, "min_train": 4,
        "batch_size": 2, "chunk_rows": 3, "workers": 1,
    }  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(options, plug_in, tmp_path_factory) -> dict[str, bytes]:
    """The files of the stores of a run with room enough."""
    return alone(options, f"{plug_in}:load", tmp_path_factory.mktemp("undisturbed") / "runs")


@pytest.fixture
def extract(options, plug_in, tmp_path) -> Callable[[Path], subprocess.CompletedProcess[str]]:
    """`cog extract` into a folder."""
    arguments = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    command = ["extract", "--model", f"{plug_in}:load", "--device", "cpu", *arguments, "--out"]
    return lambda out: call_cog(*command, out, cwd=tmp_path)


def count_chunks(files: dict[str, bytes]) -> int:
    """Chunks of features among the files of stores."""
    return sum("/features/c/" in name for name in files)


def check_refusal(done: subprocess.CompletedProcess[str], what: str, where: Path) -> None:
    """One error and one hint: what happened, to which file, and what to do."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    error, hint = done.stderr[done.stderr.index("error: ") :].strip().splitlines()
    assert error.startswith(f"error: {what}: {where}"), error
    assert "--out" in hint


@pytest.mark.long
def test_a_full_disk_is_an_error_and_with_room_it_finishes(extract, undisturbed, tmp_path):
    """In between the disk is read-only: no finished chunk is lost."""
    with small_disk(tmp_path / "disk", "160k") as disk:
        out = disk.path / "runs"
        full = extract(out)
        check_refusal(full, "No space left on device", out)
        assert "free some space" in full.stderr
        made = chunk_files(out)
        assert 0 < count_chunks(made) < count_chunks(undisturbed)
        assert made.items() <= undisturbed.items()
        disk.change("size=64m,ro")
        check_refusal(extract(out), "Read-only file system", out)
        assert chunk_files(out) == made
        disk.change("size=64m,rw")
        done = extract(out)
        assert done.returncode == 0, done.stderr
        assert chunk_files(out) == undisturbed


@pytest.mark.parametrize("kilobytes", [4, 12, 28, 36, 44, 60, 100, 200, 260])
def test_a_disk_full_at_any_file_cuts_none_off(options, plug_in, undisturbed, tmp_path, kilobytes):
    """From the first file, through creation and chunks of both lists, to the last store."""
    with small_disk(tmp_path / "disk", f"{kilobytes}k") as disk:
        out = disk.path / "runs"
        plan = make_plan(f"{plug_in}:load", out=out, device="cpu", **options)
        with pytest.raises(OSError, match="No space left") as caught:
            run_plan(plan.without_cells(), Silent())
        assert caught.value.errno == errno.ENOSPC
        assert str(caught.value.filename).startswith(str(out))
        # every file is right or absent: none is cut off, and none is partial
        assert chunk_files(out).items() <= undisturbed.items()
        disk.change("size=64m")
        run_plan(plan.without_cells(), Silent())
        assert chunk_files(out) == undisturbed


def test_on_a_read_only_disk_nothing_is_created(options, plug_in, tmp_path):
    with small_disk(tmp_path / "disk", "1m") as disk:
        disk.change("ro")
        plan = make_plan(f"{plug_in}:load", out=disk.path / "runs", device="cpu", **options)
        with pytest.raises(OSError, match="Read-only file system") as caught:
            run_plan(plan.without_cells(), Silent())
        assert str(caught.value.filename).startswith(str(disk.path))
        assert list(disk.path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_an_error(extract, tmp_path):
    folder = tmp_path / "not_mine"
    folder.mkdir(mode=0o555)
    check_refusal(extract(folder / "runs"), "Permission denied", folder)
    assert list(folder.iterdir()) == []
