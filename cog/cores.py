"""How many processor cores this process may use, which may be fewer than the machine has."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """The cores that this process may use, at least 1.

    Those that it may run on (`taskset`, Slurm, `docker --cpuset-cpus`), or fewer where a container
    has a quota of processor time (`docker --cpus`).
    """
    quota = cgroup_quota()
    cores = _cores_to_run_on()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _cores_to_run_on() -> int:
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on; PYTHON_CPU_COUNT changes it
        return os.process_cpu_count() or 1
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def cgroup_quota() -> float | None:
    """The cores' worth of time that the process's control groups have, None if all there is.

    A group shares the quota of every group above it, so the smallest one holds.
    """
    quotas = [quota for folder in _cgroups() if (quota := _quota_of(folder)) is not None]
    return min(quotas, default=None)


def _cgroups() -> list[Path]:
    """The control groups of this process that may have a quota, of version 2 and of version 1."""
    found: list[Path] = []
    try:
        lines = OWN_CGROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return []
    for line in lines:  # 0::/path, or number:controllers:/path
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        roots = [CGROUPS] if not controllers else []
        if "cpu" in controllers.split(","):
            roots = [CGROUPS / "cpu", CGROUPS / controllers]
        for root in roots:
            own = root / path.lstrip("/")  # a container may see its own group as the root
            found += [own, *(each for each in own.parents if each.is_relative_to(root))]
    return found


def _quota_of(folder: Path) -> float | None:
    """The quota of one group in cores; None if it has none."""
    try:
        two = folder / "cpu.max"
        if two.is_file():
            quota, period = two.read_text(encoding="ascii").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii")
            period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii")
        return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else None
    except (OSError, ValueError):  # no such file; "max"
        return None
