"""`cog doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cog.cli import completion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cog.evaluation.doctor.doctor import Diagnosis
    from cog.evaluation.doctor.machine import Machine

A_LINE = 5  # versions


@click.command(short_help="Is this machine right, and how fast is it?")
@click.option("--device", default="auto", show_default=True, metavar="NAME",
              help="auto (the first GPU, if any), cpu, cuda, cuda:1 or mps.")  # fmt: skip
@click.option("--images", type=click.Path(path_type=Path), metavar="ROOT",
              help="Images to read, as of `cog evaluate`.  [default: drawn ones]")  # fmt: skip
@click.option(
    "--model",
    metavar="NAME",
    shell_complete=completion.model,
    help="Any model.  [default: an untrained ResNet-50]",
)
@click.option("--out", shell_complete=completion.path, default="runs", show_default=True,
              help="Where results will go: the disk there is measured.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def doctor(
    context: click.Context,
    device: str,
    images: Path | None,
    model: str | None,
    out: str,
    as_json: bool,
) -> None:
    """Measure this machine for a minute, or two, and compare its GPU with its CPU.

    Shows versions, the cores and memory that may be used, and the disk; how many images a second
    are decoded, fed, copied and go through the network, alone and together, and what bounds them;
    and whether pixels, features and probes agree. Needs no images, weights or network, and no GPU.
    Exit status 1 if something disagrees.

    \b
    Example:
        cog doctor
        cog doctor --device cuda --images /data/imagenet21k --model dino --out /data/runs
    """
    from cog.cli.terminal import Terminal
    from cog.evaluation.doctor.doctor import diagnose

    terminal = Terminal()
    found = diagnose(device, images, model, out, terminal.notify)
    if as_json:
        click.echo(found.as_json(), nl=False)
    else:
        for line in _lines(found):
            click.echo(line)
    context.exit(0 if found.agrees else 1)


def _lines(found: Diagnosis) -> Iterator[str]:
    """A diagnosis for people."""
    parts: dict[str, Sequence[Sequence[str]]]
    parts = {"machine": _machine(found), "speed": _speeds(found), "agreement": _checks(found)}
    for title, rows in parts.items():
        yield title
        yield from _columns(rows)
        yield ""
    yield from _ends(found)


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows with their columns below each other; the last one is as long as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join(["", *padded, row[-1]]).rstrip()


def _machine(found: Diagnosis) -> list[tuple[str, str]]:
    """What the machine is."""
    from cog.cli.terminal import bytes_of
    from cog.plain_text import printable

    machine, disk = found.machine, found.disk
    numbers = [f"{name} {number}" for name, number in machine.versions.items()]
    limit = machine.memory_limit
    limited = f", of which a control group gives {bytes_of(limit)}" if limit else ""
    gpu = (
        f"{machine.gpu}, {bytes_of(machine.gpu_memory)}, {bytes_of(machine.gpu_free)} free, "
        f"driver {machine.driver or 'unknown'}, {machine.gpus} in all"
    )
    versions = [
        ("" if start else "versions", ", ".join(numbers[start : start + A_LINE]))
        for start in range(0, len(numbers), A_LINE)
    ]
    return [
        ("system", machine.system),
        ("processor", machine.processor),
        ("cores", _cores(machine)),
        ("memory", bytes_of(machine.memory) + limited),
        ("GPU", gpu if machine.gpu else "none used"),
        (
            "disk",
            f"{printable(disk.path)}: writes {bytes_of(disk.write)}/s, "
            f"reads {bytes_of(disk.read)}/s",
        ),
        *versions,
    ]


def _cores(machine: Machine) -> str:
    """The cores that are used, and why not all."""
    why = []
    if machine.cores_to_run_on < machine.cores_of_machine:
        why.append(f"its affinity allows {machine.cores_to_run_on}")
    if machine.quota is not None:
        why.append(f"a control group gives {machine.quota:g}")
    reasons = f" ({', '.join(why)})" if why else ""
    return f"{machine.cores} of {machine.cores_of_machine}{reasons}"


def _speeds(found: Diagnosis) -> list[tuple[str, str, str]]:
    """The rates, alone and together; numbers end below each other."""
    from cog.evaluation.doctor.bottleneck import shown
    from cog.plain_text import printable

    speeds = found.speeds
    rows = [("decoding, one core", "", shown(speeds.decode))]
    cores = f"{speeds.cores} core{'s' if speeds.cores != 1 else ''}"
    for option, rate in speeds.feed.items():
        rows.append((f"reading and decoding, {cores}", option, shown(rate)))
    copy = "–" if speeds.copy is None else shown(speeds.copy)
    rows.append(("copy to the device", "", copy))
    for option, rate in speeds.forward.items():
        rows.append((f"network: {printable(found.model)}", option, shown(rate)))
    for option, rate in speeds.together.items():
        rows.append(("all together", option, shown(rate)))
    width = max(len(rate) for *_, rate in rows)
    head = f"images: {printable(found.images)}", "", f"{'images/s':>{width}}"
    return [head, *((step, option, f"{rate:>{width}}") for step, option, rate in rows)]


def _checks(found: Diagnosis) -> list[tuple[str, str, str, str]]:
    """What was compared."""
    from cog.plain_text import printable

    verdicts = {True: "ok", False: "FAILED", None: "–"}
    return [
        (verdicts[check.passed], check.name, check.expected, printable(check.found))
        for check in found.checks
    ]


def _ends(found: Diagnosis) -> Iterator[str]:
    """The sentences below the tables."""
    from cog.cli.terminal import bytes_of
    from cog.plain_text import printable

    yield found.bottleneck
    for note in found.notes:
        yield f"not measured: {printable(note)}"
    on_gpu = f", {bytes_of(found.gpu_peak_memory)} of the GPU" if found.machine.gpu else ""
    yield f"peak memory: {bytes_of(found.peak_memory)}{on_gpu}; took {found.seconds:.0f} s"
    for check in found.checks:
        if check.passed is False:
            yield printable(f"{check.name}: expected {check.expected}, found {check.found}")
            yield printable(f"  {check.hint}")
    yield "agrees" if found.agrees else "does not agree"
