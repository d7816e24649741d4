"""A small part of every attack; `make torture` does the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.torture.attacks import ATTACKS
from tests.torture.harness import run
from tests.torture.readers import READERS

SEED = 13
A_PART = {
    "kills": range(12),
    "failing calls": range(14),
    "damaged files": [i for i, name in enumerate(READERS) if name != "results.parquet"],
    "damaged images": range(9),
    "together": [2, 6],
    "environments": [1, 10, 26, 33],
    "store machine": [0],
    "object storage": [1],
    "cluster": [0],
}
LONG = {"cluster"}
SOME_JOBS = ("evaluate", "build-levels again", "export", "results", "check-data")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long if name in LONG else ()) for name in ATTACKS],
)
def test_a_part_of_the_attack_finds_no_fault(name, tmp_path):
    attack = ATTACKS[name]
    if name in ("kills", "failing calls"):
        attack = replace(attack, prepare=lambda folder: ATTACKS[name].prepare(folder, SOME_JOBS))
    outcome = run(attack, SEED, tmp_path, A_PART[name])
    if outcome.unable:
        pytest.skip(outcome.unable)
    assert not outcome.faults, "\n\n".join(str(fault["what"]) for fault in outcome.faults)
    assert outcome.attempts == len(A_PART[name])
