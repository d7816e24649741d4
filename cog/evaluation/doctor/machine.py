"""What a machine is: versions, cores and memory that may be used, the GPU and its driver."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from cog.cores import cgroup_memory, cgroup_quota, cores_there, machine_memory, usable_cores
from cog.images.jpeg_library import decoding_libraries
from cog.provenance import versions

DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Machine:
    """What there is on a machine, and how much of it this process may use."""

    system: str
    processor: str
    versions: dict[str, str]
    cores: int
    """that this process uses"""
    cores_of_machine: int
    cores_to_run_on: int
    """by its affinity"""
    quota: float | None
    """cores' worth of processor time of its control groups; None: all there is"""
    memory: int
    """bytes; 0: the system does not say"""
    memory_limit: int | None
    """bytes, of its control groups; None: all there is"""
    device: str
    """cpu, cuda:0, …"""
    gpu: str
    """its name; empty without one"""
    gpu_memory: int
    gpu_free: int
    gpus: int
    driver: str


def look(device: torch.device) -> Machine:
    """What this machine is, seen from one device."""
    on_gpu = device.type == "cuda"
    free, total = torch.cuda.mem_get_info(device) if on_gpu else (0, 0)
    cores_of_machine, cores_to_run_on = cores_there()
    return Machine(
        system=platform.platform(),
        processor=_processor(),
        versions=_versions(),
        cores=usable_cores(),
        cores_of_machine=cores_of_machine,
        cores_to_run_on=cores_to_run_on,
        quota=cgroup_quota(),
        memory=machine_memory() or 0,
        memory_limit=cgroup_memory(),
        device=str(device),
        gpu=torch.cuda.get_device_name(device) if on_gpu else "",
        gpu_memory=total,
        gpu_free=free,
        gpus=torch.cuda.device_count(),
        driver=_driver() if on_gpu else "",
    )


def peak_memory() -> int:
    """Bytes that this process held at most so far."""
    with suppress(OSError, IndexError, ValueError):  # unlike ru_maxrss, without its parent's
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    import resource  # which Windows lacks

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _versions() -> dict[str, str]:
    library, pillow = decoding_libraries().values()
    name, _, number = library.partition(" ")
    found = {"python": platform.python_version(), **versions(), name: number}
    found["pillow"] = pillow.removeprefix("pillow ")
    if torch.version.cuda:
        found["cuda"] = torch.version.cuda
        found["cudnn"] = str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    return found


def _processor() -> str:
    with suppress(OSError):
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def _driver() -> str:
    """The version of NVIDIA's driver, by its module or its tool; empty where neither says."""
    with suppress(OSError):
        found = re.search(r"\s(\d+\.\d+[\d.]*)\s", DRIVER.read_text(encoding="utf-8"))
        if found:
            return found[1]
    with suppress(OSError, subprocess.SubprocessError):
        words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        said = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout
        return said.partition("\n")[0].strip()
    return ""
