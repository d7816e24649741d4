"""The summary of a run of all attacks, and its place in docs/reliability.md."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.torture.attacks import ATTACKS
from tests.torture.harness import Outcome

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reliability.md"
START, END = "<!-- numbers: written by `make torture` -->\n", "<!-- end of numbers -->\n"


def summary(outcomes: Sequence[Outcome], command: str, seconds: float) -> str:
    """Markdown: what was run, a row an attack, and how the attempts of each came out."""
    order = [*ATTACKS]
    outcomes = sorted(outcomes, key=lambda outcome: order.index(outcome.name))
    faults = sum(len(outcome.faults) for outcome in outcomes)
    count = sum(sum(outcome.counts.values()) for outcome in outcomes)
    rows = "".join(map(_row, outcomes))
    details = "".join(_details(outcome) for outcome in outcomes if outcome.counts)
    return (
        f"`{command}` on {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {_where()}: "
        f"{count:,} trials in {seconds / 60:.0f} minutes, {faults or 'no'} faults."
        "\n\n| attack | what is tried | trials | faults |\n|---|---|--:|--:|\n"
        f"{rows}\n{details}"
    )


def write_summary(outcomes: Sequence[Outcome], command: str, seconds: float) -> None:
    """Replace the numbers in docs/reliability.md."""
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    text = summary(outcomes, command, seconds)
    DOCUMENT.write_text(f"{before}{START}\n{text}\n{END}{after}", encoding="utf-8")


def _where() -> str:
    """The commit, and the machine as far as it matters."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    )
    commit = f"commit {done.stdout.strip()}, " if done.returncode == 0 else ""
    cores = len(os.sched_getaffinity(0))
    return f"{commit}Python {platform.python_version()}, {platform.system()}, {cores} cores"


def _row(outcome: Outcome) -> str:
    about = ATTACKS[outcome.name].about
    if outcome.unable:
        return f"| {outcome.name} | {about} | not run: {outcome.unable} | |\n"
    trials = sum(outcome.counts.values()) + len(outcome.faults)
    return f"| {outcome.name} | {about} | {trials:,} | {len(outcome.faults)} |\n"


def _details(outcome: Outcome) -> str:
    """A list of what was attacked, with how many trials came out how."""
    found: dict[str, Counter[str]] = {}
    for text, n in outcome.counts.items():
        what, _, came = text.partition(": ")
        found.setdefault(what, Counter())[came] += n
    lines = []
    for what, counts in sorted(found.items()):
        came = ", ".join(f"{n:,} {text}".rstrip() for text, n in sorted(counts.items()))
        lines.append(f"- {what}: {came}\n")
    return f"<details><summary>{outcome.name}</summary>\n\n{''.join(lines)}\n</details>\n\n"
