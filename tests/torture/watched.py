"""Many inputs through one function in a forked process whose time and memory are watched.

The process says which input it is at. One that takes too long, too much memory, or ends the process
is named, and the inputs after it go on in a new process.
"""

from __future__ import annotations

import mmap
import os
import resource
import struct
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.forked import start
from tests.torture.harness import Fault

Check = Callable[[int, Path], str]
"""number of an input, a folder → how it came out; anything but a Fault that it raises is a fault"""
MEGABYTE = 1 << 20


def input_name(number: int) -> str:
    """The file in which a check keeps its input; it stays where something does not hold."""
    return f"input-{number}"


_AT = struct.Struct("q")


@dataclass(frozen=True)
class Limits:
    """What one input may cost: seconds of processor time, and bytes of memory beyond the start."""

    seconds: float
    memory: int


def watch(check: Check, count: int, folder: Path, limits: Limits) -> Counter[str]:
    """Put inputs 0 … count − 1 through `check`; gives how many came out how.

    Raises:
        Fault: for some inputs something does not hold; they lie in the folder, by their number.
    """
    progress = folder / "at"
    progress.write_bytes(_AT.pack(-1))
    results, faults, first = folder / "results", [], 0
    while first < count:
        process = start(_work, check, range(first, count), folder, limits)
        verdict = _until_end(process, progress, limits)
        (at,) = _AT.unpack(progress.read_bytes())
        if verdict is None:
            break
        faults.append(f"input {at}: {verdict}")
        first = at + 1
    counts: Counter[str] = Counter()
    for line in results.read_text().splitlines() if results.exists() else ():
        kind, _, text = line.partition("\t")
        if kind == "fault":
            faults.append(text.replace("\\n", "\n"))
        else:
            counts[kind] += 1
    if faults:
        raise Fault(_grouped(faults))
    return counts


def _grouped(faults: list[str]) -> str:
    """Faults that come from the same place once, with how many there are."""
    alike: dict[str, list[str]] = {}
    for text in faults:
        *before, last = text.strip().split("\n")
        kind = "\n".join(before[1:]) or last.partition(": ")[2]
        alike.setdefault(kind, []).append(text)
    return "\n\n".join(f"{len(group)} times: {group[0].strip()}" for group in alike.values())


def _until_end(process, progress: Path, limits: Limits) -> str | None:
    """Wait for a process; why it did not end well, if so."""
    began, last = time.monotonic(), -2
    while process.exitcode is None:
        process.join(0.05)
        (at,) = _AT.unpack(progress.read_bytes())
        if at != last:
            last, began, used = at, time.monotonic(), _processor_seconds(process.pid)
        elif _processor_seconds(process.pid) - used > limits.seconds * 1.5:
            process.kill()
            process.join()
            return f"still at work after {limits.seconds * 1.5:g} s of processor time"
        elif time.monotonic() - began > limits.seconds * 30:
            process.kill()
            process.join()
            return f"waits for something: no end after {limits.seconds * 30:g} s"
    return None if process.exitcode == 0 else f"the process ended with {process.exitcode}"


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _work(check: Check, numbers: range, folder: Path, limits: Limits) -> None:
    """Check inputs one by one in this process."""
    most = 2 * limits.memory + (2 << 30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(folder)
    with (folder / "stderr").open("w") as said:  # libraries print there
        os.dup2(said.fileno(), 2)
    with (folder / "at").open("r+b") as file, (folder / "results").open("a", buffering=1) as log:
        shared = mmap.mmap(file.fileno(), _AT.size)
        for number in numbers:
            _AT.pack_into(shared, 0, number)
            try:
                with _measured(limits):
                    came = check(number, folder)
            except BaseException as error:
                why = str(error) if isinstance(error, Fault) else _traced(error)
                log.write(f"fault\tinput {number}: {why}".replace("\n", "\\n") + "\n")
            else:
                log.write(f"{came}\n")
                (folder / input_name(number)).unlink(missing_ok=True)


def _traced(error: BaseException) -> str:
    """The lines of the program and of the tests that an error came through, and the error."""
    frames = [
        f"{Path(frame.filename).name}:{frame.lineno} {frame.line}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "/cog/" in frame.filename or "/tests/" in frame.filename
    ]
    last = traceback.format_exception_only(error)[-1].strip()
    return "\n  ".join(["", *frames[-5:]]) + f"\n{last[:300]}"


@contextmanager
def _measured(limits: Limits) -> Iterator[None]:
    """Raise Fault where a block takes too long or too much memory."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins at what there is now
    before, began = _kilobytes("VmRSS"), time.process_time()
    yield
    seconds, memory = time.process_time() - began, (_kilobytes("VmHWM") - before) * 1024
    if seconds > limits.seconds:
        raise Fault(f"takes {seconds:.1f} s of processor time")
    if memory > limits.memory:
        raise Fault(f"takes {memory / MEGABYTE:,.0f} MB of memory")


def _kilobytes(name: str) -> int:
    with Path("/proc/self/status").open(encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))
