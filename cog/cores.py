"""How many processor cores and how much memory this process may use; a machine may have more."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")
NO_LIMIT = 2**60  # bytes of memory: version 1 writes a number like that for none


def usable_cores() -> int:
    """The cores that this process may use, at least 1.

    Those that it may run on (`taskset`, Slurm, `docker --cpuset-cpus`), or fewer where a container
    has a quota of processor time (`docker --cpus`).
    """
    quota = cgroup_quota()
    cores = _cores_to_run_on()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def cores_there() -> tuple[int, int]:
    """The cores of the machine, and those of them that this process may run on."""
    return os.cpu_count() or 1, _cores_to_run_on()


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


def usable_memory() -> int | None:
    """Bytes of memory that this process may use, as far as the system says."""
    known = [memory for memory in (machine_memory(), cgroup_memory()) if memory is not None]
    return min(known, default=None)


def machine_memory() -> int | None:
    """Bytes of memory of the machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def cgroup_memory() -> int | None:
    """Bytes of memory that the process's control groups may use, None if all there is."""
    limits = [limit for folder in _cgroups("memory") if (limit := _memory_of(folder)) is not None]
    return min(limits, default=None)


def _cgroups(controller: str = "cpu") -> list[Path]:
    """The control groups of this process that may limit it, of version 2 and of version 1."""
    found: list[Path] = []
    try:
        lines = OWN_CGROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return []
    for line in lines:  # 0::/path, or number:controllers:/path
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        roots = [CGROUPS] if not controllers else []
        if controller in controllers.split(","):
            roots = [CGROUPS / controller, CGROUPS / controllers]
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


def _memory_of(folder: Path) -> int | None:
    """The bytes that one group may use; None if it has no limit."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # no such file; "max"
            limit = int((folder / name).read_text(encoding="ascii"))
            return limit if limit < NO_LIMIT else None
    return None
