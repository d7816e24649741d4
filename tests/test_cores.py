"""The cores that a process may use: those that it may run on, and its share of their time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cog import cores
from cog.cores import cgroup_memory, cgroup_quota, usable_cores, usable_memory


@pytest.fixture
def groups(tmp_path, monkeypatch) -> Path:
    """A folder in the place of /sys/fs/cgroup, for a process that may run on 16 cores."""
    monkeypatch.setattr(cores, "CGROUPS", tmp_path / "fs")
    monkeypatch.setattr(cores, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(cores, "_cores_to_run_on", lambda: 16)
    return tmp_path


def write(groups: Path, own: str, **files: str) -> None:
    (groups / "own").write_text(own)
    for name, text in files.items():
        path = groups / "fs" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        name = path.name.replace("_max", ".max").replace("cpu_cfs", "cpu.cfs")
        path.with_name(name.replace("memory_limit", "memory.limit")).write_text(text)


@pytest.mark.parametrize(
    ("own", "files", "quota", "usable"),
    [
        ("0::/\n", {"cpu_max": "max 100000\n"}, None, 16),
        ("0::/\n", {"cpu_max": "400000 100000\n"}, 4.0, 4),
        ("0::/\n", {"cpu_max": "150000 100000\n"}, 1.5, 2),
        ("0::/\n", {"cpu_max": "5000 100000\n"}, 0.05, 1),
        ("0::/\n", {"cpu_max": "6400000 100000\n"}, 64.0, 16),
        ("0::/a/b\n", {"a__b__cpu_max": "max 100000\n", "a__cpu_max": "300000 100000\n"}, 3.0, 3),
        ("0::/a/b\n", {"a__b__cpu_max": "200000 100000\n", "a__cpu_max": "300000 100000"}, 2.0, 2),
        ("0::/not/seen/here\n", {"cpu_max": "200000 100000\n"}, 2.0, 2),
        (
            "3:cpuset:/\n1:cpu,cpuacct:/job\n0::/\n",
            {"cpu__job__cpu_cfs_quota_us": "500000\n", "cpu__job__cpu_cfs_period_us": "100000\n"},
            5.0, 5,
        ),
        (
            "1:cpu:/\n", {"cpu__cpu_cfs_quota_us": "-1\n", "cpu__cpu_cfs_period_us": "100000\n"},
            None, 16,
        ),
        ("0::/\n", {"cpu_max": "nonsense"}, None, 16),
        ("0::/\n", {"cpu_max": "1 0"}, None, 16),
        ("", {}, None, 16),
    ],
)  # fmt: skip
def test_a_quota_of_a_container_holds_where_it_is_less(groups, own, files, quota, usable):
    write(groups, own, **files)
    assert cgroup_quota() == quota
    assert usable_cores() == usable


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        ("0::/\n", {"memory_max": "max\n"}, None),
        ("0::/a/b\n", {"a__b__memory_max": "max\n", "a__memory_max": "8000\n"}, 8000),
        ("0::/a/b\n", {"a__b__memory_max": "7000\n", "a__memory_max": "8000\n"}, 7000),
        ("4:memory:/job\n", {"memory__job__memory_limit_in_bytes": "9000\n"}, 9000),
        ("4:memory:/\n", {"memory__memory_limit_in_bytes": "9223372036854771712\n"}, None),
        ("4:cpu:/\n", {"cpu__memory_limit_in_bytes": "9000\n"}, None),
        ("0::/\n", {"memory_max": "nonsense"}, None),
    ],
)
def test_a_limit_of_memory_is_that_of_the_smallest_group(groups, own, files, limit):
    write(groups, own, **files)
    assert cgroup_memory() == limit


def test_the_memory_that_may_be_used_is_the_machines_or_less(groups, monkeypatch):
    monkeypatch.setattr(cores, "machine_memory", lambda: 10_000)
    assert usable_memory() == 10_000
    write(groups, "0::/job\n", job__memory_max="8000\n")
    assert usable_memory() == 8000
    monkeypatch.setattr(cores, "machine_memory", lambda: None)
    assert usable_memory() == 8000


def test_without_control_groups_there_is_no_quota(groups):
    assert cgroup_quota() is None
    assert cgroup_memory() is None


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux has such sets")
def test_cores_that_the_process_may_not_run_on_do_not_count(monkeypatch):
    monkeypatch.setattr(cores, "OWN_CGROUPS", Path("/nowhere"))
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert usable_cores() == len(before)


def test_every_pool_of_threads_asks_for_them():
    """`os.cpu_count` is in one place, as is memory, and no pool takes its own default."""
    package = Path(cores.__file__).parent
    texts = {path.name: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    for word in ("cpu_count", "SC_PHYS_PAGES", "memory.max"):
        assert {name for name, text in texts.items() if word in text} == {"cores.py"}
    assert not [name for name, text in texts.items() if "ThreadPoolExecutor()" in text]
