"""How attacks run: attempt by attempt until time is up, each from its own seed, faults kept.

An `Attack` prepares a folder and gives a function that makes one attempt there. It returns how it
came out, in a few words that are counted, and raises `Fault` where something does not hold. An
attempt depends on the seed, the attack and the number of the attempt alone, so that these three
bring a fault back.
"""

from __future__ import annotations

import json
import shutil
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Attempt = Callable[[np.random.Generator, int, Path], "Counter[str] | str"]
"""random numbers, the number of the attempt, an empty folder → how it came out"""


class Fault(AssertionError):
    """What does not hold; the text says what was done and what came of it."""


class Unable(Exception):
    """An attack that cannot run here; the text says what it lacks."""


@dataclass(frozen=True)
class Attack:
    """One kind of attack.

    Args:
        name: in one word.
        about: what is tried, for the summary.
        share: of the time, relative to the others.
        prepare: takes a folder that stays as long as the attack, and gives its `Attempt`. Some take
            the names of jobs too: those that they attack, in place of all.
    """

    name: str
    about: str
    share: float
    prepare: Callable[..., Attempt]


@dataclass
class Outcome:
    """What came of one attack."""

    name: str
    attempts: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[dict[str, str | int]] = field(default_factory=list)
    seconds: float = 0.0
    unable: str = ""

    def as_json(self) -> str:
        """One line."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, line: str) -> Outcome:
        """The inverse."""
        given = json.loads(line)
        return cls(**given | {"counts": Counter(given["counts"])})


def run(
    attack: Attack, seed: int, folder: Path, numbers: Iterable[int], seconds: float = float("inf")
) -> Outcome:
    """Make attempts with these numbers until time is up; folders of faults stay below `folder`."""
    outcome, begun = Outcome(attack.name), time.monotonic()
    home = folder / attack.name
    shutil.rmtree(home, ignore_errors=True)
    (home / "prepared").mkdir(parents=True)
    try:
        attempt = attack.prepare(home / "prepared")
    except Unable as reason:
        outcome.unable = str(reason)
        numbers = ()
    for number in numbers:
        if time.monotonic() - begun > seconds:
            break
        _try_once(attempt, attack.name, seed, number, home, outcome)
    outcome.seconds = time.monotonic() - begun
    if not outcome.faults:
        shutil.rmtree(home)
    return outcome


def _try_once(
    attempt: Attempt, name: str, seed: int, number: int, home: Path, outcome: Outcome
) -> None:
    """Make one attempt and add how it came out; all have the same folder, as files may name it."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
    folder = home / "attempt"
    folder.mkdir()
    outcome.attempts += 1
    try:
        came = attempt(rng, number, folder)
    except Exception as error:  # an attack that fails by itself is a fault to be looked at too
        text = str(error) if isinstance(error, Fault) else traceback.format_exc()
        kept = folder.rename(home / f"fault-{number}")
        outcome.faults.append({"number": number, "what": text, "kept": str(kept)})
        return
    outcome.counts.update([came] if isinstance(came, str) else came)
    shutil.rmtree(folder)
