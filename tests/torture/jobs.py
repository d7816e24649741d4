"""Commands on a small benchmark, and what they leave behind when nothing disturbs them."""

from __future__ import annotations

import csv
import json
import re
import resource
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cog.csv_text import rows_as_csv
from tests.support.failing_calls import COUNTED, STRUCK
from tests.support.forked import Started, start_cog
from tests.support.runs import PLUG_IN, WNIDS, draw_images
from tests.torture.harness import Fault

CLASSES = WNIDS[:4]
HANGS = 240  # seconds; the slowest job takes six on an idle core
GIGABYTE = 1 << 30
_OF_DATA = "--levels levels --test-per-class 2 --min-train 3"
_OF_MODEL = "--batch-size 2 --chunk-rows 2 --workers 1 --device cpu"
_RUN = f"--images images {_OF_DATA} {_OF_MODEL}"
_FIT = "--probe ncm,ridge --seeds 22"
_BUILD = "build-levels --eligible eligible.txt"
_STORE = "done/colours/features/cog_l1"


@dataclass(frozen=True)
class Job:
    """A command line of `cog` that is run in a folder of its own.

    `says`: what it prints is always the same. `first`: a command that goes before, undisturbed.
    `discards`: it makes files that are not there in the end.
    """

    name: str
    command: str
    says: bool = False
    first: str = ""
    discards: bool = False


JOBS = {
    job.name: job
    for job in (
        Job("evaluate", f"evaluate --model nets.py:load {_RUN} {_FIT} --out out"),
        Job("extract", f"extract --model nets.py:load {_RUN} --out out"),
        Job("build-levels", f"{_BUILD} --n-levels 2 --size 2 --out out"),
        Job("build-levels again", f"{_BUILD} --n-levels 2 --size 2 --out out --overwrite",
            first=f"{_BUILD} --n-levels 1 --size 3 --out out"),
        Job("export", f"export {_STORE}-train.zarr --out out/X_Y.pth"),
        Job("results", "results done --out out/t.csv --parquet out/t.parquet"),
        Job("results as text", "results done --format markdown", says=True),
        Job("check-data", f"check-data images {_OF_DATA} --decode --workers 1 --report out/c.csv"),
        Job("probe", f"probe --train {_STORE}-train.zarr --test {_STORE}-test.zarr --probe ncm "
                     "--seeds 22"),
        Job("levels explore", "levels explore levels --out out/explorer.html"),
        Job("levels check", "levels check levels"),
        Job("verify", "verify done", says=True),
        Job("compare", "compare done done", says=True),
        Job("models check", "models check nets.py:load"),
        Job("store verify", "store verify done"),
        Job("store rm", "store rm --yes out",
            first=f"extract --model nets.py:load {_RUN} --out out"),
        Job("evaluate tars", f"evaluate --model nets.py:load --images tars {_OF_DATA} {_OF_MODEL} "
                             f"{_FIT} --out out"),
        Job("evaluate another", f"evaluate --model nets.py:another {_RUN} {_FIT} --out out",
            first=f"evaluate --model nets.py:load {_RUN} {_FIT} --out out"),
        Job("evaluate, controls", f"evaluate --model nets.py:load {_RUN} --probe ncm --controls "
                                  "--out out"),
        Job("evaluate again", f"evaluate --model nets.py:load {_RUN} {_FIT} --out done"),
        Job("evaluate, discard", f"evaluate --model nets.py:load {_RUN} {_FIT} --out out "
                                 "--discard-features", discards=True),
        Job("report", "report done --levels levels --out out/report.html"),
        Job("report figures", "report done --levels levels --out out/report.html --svg out/svg"),
    )
}  # fmt: skip


def make_benchmark(folder: Path) -> Path:
    """Images in folders and in tars, levels, a model, and a finished run of them: `folder`."""
    folder.mkdir(parents=True)
    draw_images(folder / "images", CLASSES, 5)
    (folder / "tars").mkdir()
    for wnid in CLASSES:
        shutil.make_archive(str(folder / "tars" / wnid), "tar", folder / "images" / wnid)
    (folder / "eligible.txt").write_text("\n".join(CLASSES) + "\n")
    (folder / "nets.py").write_text(PLUG_IN)
    for command in (
        f"{_BUILD} --n-levels 2 --size 2 --out levels",
        f"evaluate --model nets.py:load {_RUN} {_FIT} --out done",
    ):
        done = call(command, folder)
        if done.returncode:
            raise Fault(f"`cog {command}` fails undisturbed: {done.stderr}")
    tidy_up(folder)
    return folder


def call(
    command: str,
    folder: Path,
    before: Callable[[], object] = int,
    seconds: float = HANGS,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run `cog` in a forked process; Fault if it hangs. `before` is called in that process."""
    return ended(begin(command, folder, before, **environment), seconds)


def begin(
    command: str,
    folder: Path,
    before: Callable[[], object] = int,
    number: int = 0,
    **environment: str,
) -> Started:
    """Start `cog` in a forked process."""
    before = partial(_limit, before)
    return start_cog(*command.split(), cwd=folder, before=before, number=number, **environment)


def ended(started: Started, seconds: float = HANGS) -> subprocess.CompletedProcess[str]:
    """Wait for its end; Fault if it hangs."""
    started.process.join(seconds)
    if started.process.exitcode is None:
        started.process.kill()
        raise Fault(f"`{' '.join(started.words)}` still ran after {seconds} s")
    return started.ended()


def _limit(before: Callable[[], object]) -> None:
    """Limits that keep the machine alive, whatever an attack does; then what the attack does."""
    for kind, most in (
        (resource.RLIMIT_DATA, 8 * GIGABYTE),
        (resource.RLIMIT_FSIZE, 2 * GIGABYTE),
        (resource.RLIMIT_CPU, HANGS),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    before()


_CONTROL = re.compile(rf"\.std(out|err)-\d+|{STRUCK}|{COUNTED}")  # files of this harness


def tidy_up(folder: Path) -> None:
    """Remove the files of this harness."""
    for path in folder.iterdir():
        if _CONTROL.fullmatch(path.name):
            path.unlink()


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file by its relative name, without what may differ: see `comparable`."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if not _CONTROL.fullmatch(name) and path.is_file():
            found[name] = comparable(name, path.read_bytes())
    return found


def comparable(name: str, data: bytes) -> bytes:
    """Files without times, hashes of what has times, and commands; others as they are."""
    try:
        if "/cells/" in name and name.endswith(".json"):
            cell = json.loads(data)
            del cell["row"]["seconds"]
            return json.dumps(cell).encode()
        if name.endswith("run.json"):  # the last of several commands on one folder writes it
            return json.dumps(json.loads(data) | {"command": ""}).encode()
        if "/ranks/" in name or "/predictions/" in name:  # they have the hash of their cell
            return json.dumps(json.loads(data) | {"cell": ""}).encode()
        if name.endswith("mistakes.json"):  # each entry has the hash of its row
            entries = json.loads(data).items()
            return json.dumps({cell: entry | {"row": ""} for cell, entry in entries}).encode()
        if name == "out/c.csv":  # a class that is checked again comes last
            return b"\n".join(sorted(data.splitlines()))
        if name.endswith("results.csv"):
            rows = [*csv.reader(data.decode().splitlines())]
            column = rows[0].index("seconds")
            return rows_as_csv(row[:column] + row[column + 1 :] for row in rows).encode()
    except (ValueError, KeyError, TypeError, IndexError):
        pass
    return data
