"""Run all attacks for some minutes, print what they found, and write docs/reliability.md.

python -m tests.torture                              30 minutes, with a seed that is printed
python -m tests.torture --minutes 300 --write        longer, and the summary goes into the document
python -m tests.torture --only kills --seed 7        one attack
python -m tests.torture --only kills --seed 7 --attempt 12    one attempt, such as one with a fault

Exit status 0 if everything held, 1 if not. Each fault is printed with the command that repeats it
and the folder in which its files are kept.
"""

from __future__ import annotations

import argparse
import itertools
import os
import secrets
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.torture.attacks import ATTACKS
from tests.torture.harness import Attack, Outcome, run
from tests.torture.summary import summary, write_summary

AT_ONCE = 2  # attacks; each uses about one core


def main() -> None:
    """Read the command line and run."""
    given = _arguments()
    names = given.only or [*ATTACKS]
    given.keep.mkdir(parents=True, exist_ok=True)
    if given.result:  # a part of a run: see _in_a_process
        numbers = itertools.count() if given.attempt is None else [given.attempt]
        outcome = run(ATTACKS[names[0]], given.seed, given.keep, numbers, given.minutes * 60)
        given.result.write_text(outcome.as_json())
        return
    print(f"seed {given.seed}; faults are kept in {given.keep}", flush=True)
    begun, outcomes = time.monotonic(), []
    for outcome in _all_outcomes(names, given):
        outcomes.append(outcome)
        print(_told(outcome, given.seed), flush=True)
    command = f"python -m tests.torture --minutes {given.minutes:g} --seed {given.seed}"
    if given.write and not given.only:
        write_summary(outcomes, command, time.monotonic() - begun)
    else:
        print(summary(outcomes, command, time.monotonic() - begun))
    sys.exit(1 if any(outcome.faults for outcome in outcomes) else 0)


def _arguments() -> argparse.Namespace:
    minutes = 60 * float(os.environ.get("TORTURE_HOURS", "0.5"))
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=minutes, help="of all attacks together")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--only", action="append", choices=ATTACKS, metavar="ATTACK",
                        help=f"one of {', '.join(ATTACKS)}; may be given again")  # fmt: skip
    parser.add_argument("--attempt", type=int, help="this attempt alone")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir(), "cog-torture"),
                        help="the folder of the faults' files")  # fmt: skip
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md")
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _all_outcomes(names: Iterable[str], given: argparse.Namespace) -> Iterator[Outcome]:
    """Run attacks in processes of their own, those with the most time first."""
    chosen = sorted((ATTACKS[name] for name in names), key=lambda attack: -attack.share)
    at_once = min(AT_ONCE, len(chosen))
    a_share = given.minutes * at_once / sum(attack.share for attack in chosen)
    with ThreadPoolExecutor(at_once) as pool:
        running = [
            pool.submit(_in_a_process, attack, a_share * attack.share, given) for attack in chosen
        ]
        for done in as_completed(running):
            yield done.result()


def _in_a_process(attack: Attack, minutes: float, given: argparse.Namespace) -> Outcome:
    """Run one attack for its minutes; an attack that ends in any other way is a fault."""
    result = given.keep / f"{attack.name}.json"
    result.unlink(missing_ok=True)
    words = _words(attack.name, given.seed, given.attempt)
    more = ["--minutes", str(minutes), "--keep", str(given.keep), "--result", str(result)]
    done = subprocess.run(
        [sys.executable, *words[1:], *more], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, errors="replace",
    )  # fmt: skip
    if result.exists():
        return Outcome.from_json(result.read_text())
    fault = {"number": 0, "what": f"status {done.returncode}: {done.stderr[-3000:]}", "kept": ""}
    return Outcome(attack.name, faults=[fault])


def _words(name: str, seed: int, attempt: int | None) -> list[str]:
    """The command of one attack, or of one attempt."""
    words = ["python", "-m", "tests.torture", "--only", name, "--seed", str(seed)]
    return words if attempt is None else [*words, "--attempt", str(attempt)]


def _told(outcome: Outcome, seed: int) -> str:
    """What came of one attack, in lines."""
    if outcome.unable:
        return f"{outcome.name}: not run, {outcome.unable}"
    lines = [f"{outcome.name}: {outcome.attempts:,} attempts, {len(outcome.faults)} with faults"]
    for fault in outcome.faults:
        again = shlex.join(_words(outcome.name, seed, int(fault["number"])))
        lines.append(f"\nFAULT {fault['what']}\n  again: {again}\n  files: {fault['kept']}")
    return "\n".join(lines)
