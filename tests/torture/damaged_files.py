"""Damaged tars, Parquet files, pickles, features, weights, cells, tables, levels and stores."""

from __future__ import annotations

import shutil
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from cog.errors import CogError
from tests.support.forked import start
from tests.torture.disturbed import check_answer
from tests.torture.harness import Attack, Attempt, Fault
from tests.torture.jobs import make_benchmark
from tests.torture.mutations import mutated
from tests.torture.readers import READERS, Reader, make_inputs, nothing
from tests.torture.watched import MEGABYTE, Limits, input_name, watch

BATCH, FIRST = 200, 10  # inputs of an attempt; the first of each reader is short
LIMITS = Limits(seconds=20, memory=1024 * MEGABYTE)
BY_COMMAND = 0.04  # of the inputs go through the command line too


def _prepare(folder: Path) -> Attempt:
    benchmark = make_benchmark(folder / "benchmark")
    process = start(make_inputs, benchmark)  # there, as it needs torch
    process.join()
    if process.exitcode:
        raise Fault("the files to be damaged cannot be made")
    names = [*READERS]

    def attempt(rng: np.random.Generator, number: int, folder: Path) -> Counter[str]:
        name, seed = names[number % len(names)], int(rng.integers(2**62))
        inputs = folder / "inputs"
        shutil.copytree(benchmark, inputs, symlinks=True)
        count = FIRST if number < len(names) else BATCH
        counts = watch(partial(_check, name, seed), count, folder, LIMITS)
        shutil.rmtree(inputs)
        return Counter({f"{name}: {came}": n for came, n in counts.items()})

    return attempt


def _check(name: str, seed: int, number: int, folder: Path) -> str:
    """Damage one file, read it, and put the file back; the first time, undamaged, it is read."""
    reader, rng = READERS[name], np.random.default_rng([seed, number])
    inputs = folder / "inputs"
    if name == "indexes":  # they are of these very files, with their times
        reader.read(inputs)
    files = [path for path in sorted(inputs.glob(reader.pattern)) if path.is_file()]
    file, others = files[int(rng.integers(len(files)))], [path.read_bytes() for path in files]
    whole = file.read_bytes()
    before = reader.read(inputs) if reader.same or number == 0 else None
    file.write_bytes(mutated(rng, whole, others, reader.text))
    shutil.copy(file, folder / input_name(number))
    came = "read"
    try:
        try:
            found = reader.read(inputs)
        except CogError as error:
            came = "refused"
            if not (error.what.strip() and error.hint.strip()):
                raise Fault("an error or a hint without words") from error
        else:
            if reader.same and found != before:
                raise Fault("what is read is not what was kept")
        if reader.command and (reader.read is nothing or rng.random() < BY_COMMAND):
            _by_command(reader, inputs)
    finally:
        file.write_bytes(whole)
    return came


def _by_command(reader: Reader, inputs: Path) -> None:
    """The command line answers with a result, or with findings, or in two lines."""
    from tests.support.runs import call_cog

    done = call_cog(*reader.command.split(), cwd=inputs)
    try:
        check_answer(done)
    except Fault as fault:
        raise Fault(f"`cog {reader.command}`: {fault}") from fault


DAMAGED_FILES = Attack("damaged files", "tars, shards, Parquet, pickles, .npz, .pth, safetensors, "
                       "cells, tables, lists, levels and stores with flipped bits, cuts, pieces "
                       "and other values, through their readers and commands", 4,
                       _prepare)  # fmt: skip
