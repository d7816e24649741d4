"""A feature store against a model in memory: written, killed, damaged, mended, opened again.

The features of a row follow from the fingerprint, the row, and whether its image can be read now.
So the model needs, for each chunk, only which of its images were unreadable when it was written.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support.failing_calls import STRUCK, Strike, library
from tests.support.forked import start
from tests.torture.harness import Attack, Attempt, Fault, Unable

DIM = 3
_PLACE = st.integers(0, 3)


class Stores(RuleBasedStateMachine):
    """One store at one path, and what must be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-", dir=Path.cwd()))
        self.path = self.folder / "a.zarr"
        self.there: dict[str, Any] | None = None  # fingerprint and chunk_rows
        self.chunks: dict[int, frozenset[int]] = {}  # chunk → its unreadable rows
        self.damaged: set[int] = set()
        self.unreadable: frozenset[int] = frozenset()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    # what a store should hold

    def rows(self) -> int:
        return int(self.there["fingerprint"]["rows"])

    def features(self, row: int) -> list[float]:
        name = self.there["fingerprint"]["model"]
        return [len(name) * 100 + row, row / 4, -row]

    def chunk(self, number: int) -> range:
        size = self.there["chunk_rows"]
        return range(number * size, min((number + 1) * size, self.rows()))

    def n_chunks(self) -> int:
        return -(-self.rows() // self.there["chunk_rows"])

    # what is done to it

    def open(self):
        from cog.features.store.store import FeatureStore

        return FeatureStore.open(self.path)

    def create(self, fingerprint: dict[str, Any], chunk_rows: int) -> None:
        """As open_stores does: an empty store of something else goes first."""
        from cog.features.store.store import FeatureStore

        FeatureStore.remove_empty(self.path, fingerprint)
        labels = np.arange(fingerprint["rows"], dtype=np.int64) % 5
        FeatureStore.create(self.path, labels, dim=DIM, dtype="float32", chunk_rows=chunk_rows,
                            fingerprint=fingerprint)  # fmt: skip

    def write(self, number: int, unreadable: frozenset[int]) -> None:
        rows = self.chunk(number)
        x = np.array([self.features(row) for row in rows], np.float32)
        readable = np.array([row not in unreadable for row in rows])
        reasons = {row: f"why {row}" for row in rows if row in unreadable}
        self.open().write_chunk(number, x, readable, reasons)

    def killed(self, step, at: int, after: bool) -> bool:
        """Do a step in a forked process that ends at one of its calls; whether it was reached."""
        child = os.fork()
        if child == 0:
            try:
                action = "kill after" if after else "kill before"
                Strike(("rename", "unlink", "mkdir", "write"), at, action).arm(self.folder)
                step()
            finally:
                os._exit(0)
        status = os.waitpid(child, 0)[1]
        for name in (STRUCK, ".counted"):
            (self.folder / name).unlink(missing_ok=True)
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL

    # rules

    @rule(model=st.sampled_from(["a", "bb"]), rows=st.sampled_from([1, 5, 8]),
          chunk_rows=st.integers(1, 4))  # fmt: skip
    def create_or_open(self, model: str, rows: int, chunk_rows: int) -> None:
        from cog.errors import CogError

        wanted = {"format": 1, "model": model, "rows": rows}
        full = self.there and self.there["fingerprint"] != wanted and self.chunks
        if full:
            with pytest.raises(CogError):
                self.create(wanted, chunk_rows)
            return
        self.create(wanted, chunk_rows)
        if self.there is None or self.there["fingerprint"] != wanted:
            self.there = {"fingerprint": wanted, "chunk_rows": chunk_rows}
            self.chunks, self.damaged = {}, set()

    @rule(chunk_rows=st.integers(1, 4), at=st.integers(1, 20), after=st.booleans())
    @precondition(lambda self: self.there is None)
    def killed_create(self, chunk_rows: int, at: int, after: bool) -> None:
        wanted = {"format": 1, "model": "a", "rows": 5}
        self.killed(partial(self.create, wanted, chunk_rows), at, after)
        if self.path.exists():  # it was whole
            self.there = {"fingerprint": wanted, "chunk_rows": chunk_rows}
            self.chunks, self.damaged = {}, set()

    @rule(place=_PLACE)
    @precondition(lambda self: self.there is not None)
    def write_chunk(self, place: int) -> None:
        number = place % self.n_chunks()
        if number in self.chunks:
            if number in self.damaged:
                return
            self.write(number, self.chunks[number])  # as a second worker does
            return
        unreadable = self.unreadable & {*self.chunk(number)}
        self.write(number, unreadable)
        self.chunks[number] = unreadable

    @rule(place=_PLACE, at=st.integers(1, 8), after=st.booleans())
    @precondition(lambda self: self.there is not None)
    def killed_write(self, place: int, at: int, after: bool) -> None:
        number = place % self.n_chunks()
        if number in self.chunks:
            return
        unreadable = self.unreadable & {*self.chunk(number)}
        self.killed(partial(self.write, number, unreadable), at, after)
        if number in self.open().done_chunks():
            self.chunks[number] = unreadable

    @rule(rows=st.frozensets(st.integers(0, 7), max_size=3))
    def other_images_are_unreadable(self, rows: frozenset[int]) -> None:
        self.unreadable = rows

    @rule(place=_PLACE, kill=st.booleans(), at=st.integers(1, 3), after=st.booleans())
    @precondition(lambda self: bool(self.chunks))
    def forget_chunk(self, place: int, kill: bool, at: int, after: bool) -> None:
        number = sorted(self.chunks)[place % len(self.chunks)]
        step = partial(self.open().forget_chunk, number)
        if kill:
            self.killed(step, at, after)
        else:
            step()
        if number not in self.open().done_chunks():
            del self.chunks[number]
            self.damaged.discard(number)
        else:
            assert kill, "a forgotten chunk is still there"

    @rule(place=_PLACE, array=st.sampled_from(["features", "readable"]), size=st.floats(0, 0.99))
    @precondition(lambda self: bool(self.chunks))
    def truncate(self, place: int, array: str, size: float) -> None:
        number = sorted(self.chunks)[place % len(self.chunks)]
        name = f"features/c/{number}/0" if array == "features" else f"readable/c/{number}"
        data = (self.path / name).read_bytes()
        (self.path / name).write_bytes(data[: int(size * len(data))])
        self.damaged.add(number)

    @rule(place=_PLACE)
    @precondition(lambda self: bool(self.chunks))
    def delete(self, place: int) -> None:
        number = sorted(self.chunks)[place % len(self.chunks)]
        (self.path / "features" / "c" / str(number) / "0").unlink()
        del self.chunks[number]
        self.damaged.discard(number)

    @rule()
    @precondition(lambda self: self.there is not None)
    def verify_and_repair(self) -> None:
        from cog.features.store.verify import repair, verify

        found = verify(self.path)
        assert not found.faults, found.faults
        assert {*found.bad} == self.damaged, (found.bad, self.damaged)
        repair(found)
        for number in self.damaged:
            del self.chunks[number]
        self.damaged = set()

    @rule(kill=st.booleans(), at=st.integers(1, 30), after=st.booleans())
    def remove(self, kill: bool, at: int, after: bool) -> None:
        from cog.features.store.files import remove_store

        step = partial(remove_store, self.path)
        if kill:
            self.killed(step, at, after)
        else:
            step()
        if not self.path.exists():
            self.there, self.chunks, self.damaged = None, {}, set()
        else:
            assert kill, "a removed store is still there"

    # what must hold after every step

    @invariant()
    def it_is_what_the_model_says(self) -> None:
        from cog.errors import CogError

        if self.there is None:
            assert not self.path.exists()
            return
        store = self.open()
        assert store.fingerprint == self.there["fingerprint"]
        assert store.chunk_rows == self.there["chunk_rows"]
        assert store.done_chunks() == sorted(self.chunks)
        whole = len(self.chunks) == self.n_chunks()
        try:
            x, y = store.read()
        except CogError:
            assert not whole or self.damaged, "a whole store cannot be read"
            return
        assert whole, "a store that lacks chunks was read"
        assert not self.damaged, "a damaged store was read"
        unreadable = frozenset().union(*self.chunks.values())
        kept = [row for row in range(self.rows()) if row not in unreadable]
        np.testing.assert_array_equal(
            x, np.array([self.features(row) for row in kept], np.float32).reshape(-1, DIM)
        )
        np.testing.assert_array_equal(y, [row % 5 for row in kept])
        assert store.unreadable() == {row: f"why {row}" for row in unreadable}

    @invariant()
    def killed_writers_leave_nothing_that_is_not_cleared(self) -> None:
        if self.there is not None:
            self.open().clear_partial()
            assert not list(self.folder.rglob("*.partial"))


def _run(seed: int, examples: int, steps: int, folder: Path) -> None:
    """Let hypothesis look for a sequence of steps that breaks the store."""
    os.chdir(folder)
    machine = hypothesis.seed(seed)(type("Seeded", (Stores,), {}))
    chosen = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
        suppress_health_check=list(hypothesis.HealthCheck), print_blob=False,
    )  # fmt: skip
    try:
        run_state_machine_as_test(machine, settings=chosen)
        said = ""
    except BaseException as error:
        notes = "\n".join(getattr(error, "__notes__", []))
        said = f"{type(error).__name__}: {error}\n{notes}"
    Path("result.json").write_text(json.dumps(said))


def _prepare(_: Path) -> Attempt:
    if library() is None:
        raise Unable("it needs Linux and a C compiler")

    def attempt(rng: np.random.Generator, number: int, folder: Path) -> Counter[str]:
        examples, steps = 6, 40
        process = start(_run, int(rng.integers(2**31)), examples, steps, folder)
        process.join(600)
        if process.exitcode != 0:
            process.kill()
            raise Fault(f"the machine ended with {process.exitcode}")
        said = json.loads((folder / "result.json").read_text())
        if said:
            raise Fault(said)
        return Counter({"sequences of up to 40 steps": examples})

    return attempt


STORE_MACHINE = Attack("store machine", "a feature store written, killed, deleted, truncated, "
                       "repaired, removed, opened again and claimed by other fingerprints, against "
                       "a model in memory", 1, _prepare)  # fmt: skip
