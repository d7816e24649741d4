"""A small part of every attack; `make torture` does the rest."""

from __future__ import annotations

import pytest

from tests.torture.attacks import ATTACKS
from tests.torture.harness import run
from tests.torture.readers import READERS

SEED = 13
A_PART = {
    "kills": [*range(9), 19],
    "failing calls": [*range(9), 19, 38],
    "damaged files": [i for i, name in enumerate(READERS) if name != "results.parquet"],
    "damaged images": range(9),
    "together": [2, 6],
    "environments": [1, 10, 26, 33],
    "store machine": [0],
    "object storage": [1],
    "cluster": [0],
}
LONG = {"cluster"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long if name in LONG else ()) for name in ATTACKS],
)
def test_a_part_of_the_attack_finds_no_fault(name, tmp_path):
    outcome = run(ATTACKS[name], SEED, tmp_path, A_PART[name])
    if outcome.unable:
        pytest.skip(outcome.unable)
    assert not outcome.faults, "\n\n".join(str(fault["what"]) for fault in outcome.faults)
    assert outcome.attempts == len(A_PART[name])
