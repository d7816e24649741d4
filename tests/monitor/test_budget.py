"""A budget of seconds is kept, by a clock of the test's own, and what is left out is said."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import cog
from cog.monitor.budget import Budget, sizes
from tests.support.colour_images import COLOURS, draw_own
from tests.support.small_networks import Net

TINY = cog.Preprocess(6, 6)


class Slow(Net):
    """A network that a clock says is slow: so many seconds an image."""

    def __init__(self, an_image: float) -> None:
        super().__init__()
        self.an_image, self.now = an_image, 0.0

    def forward(self, x):
        self.now += self.an_image * len(x)
        return super().forward(x)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    names = {name: name for name in list(COLOURS)[:4]}
    made = {key: tmp_path_factory.mktemp(key) for key in ("one", "two")}
    return {key: draw_own(root, names, 8, 8) for key, root in made.items()}


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def monitored(folders, told, monkeypatch):
    """A monitor with a budget, and the evaluation of a network by its own clock."""

    def make(max_seconds: float):
        monitor = cog.Monitor(
            datasets=folders, per_class=8, probes="ncm", preprocess=TINY, batch_size=16,
            max_seconds=max_seconds, notify=told.append,
        )  # fmt: skip
        monkeypatch.setattr("cog.monitor.fitting.Probes.seconds", lambda *_: 0.0)

        def evaluate(network: Slow) -> dict[str, float]:
            clock = SimpleNamespace(perf_counter=lambda: network.now)
            monkeypatch.setattr("cog.monitor.evaluation.time", clock)
            return monitor.evaluate(network)

        return evaluate

    return make


@pytest.mark.parametrize(
    ("an_image", "per_class", "datasets"),
    [(0.01, 8, 2), (0.1, 4, 2), (0.2, 2, 2), (0.35, 2, 1)],
)  # 128 images at 8 a class of two datasets of four classes, for 10 seconds
def test_the_largest_sample_is_taken_that_keeps_within_it(
    monitored, told, an_image, per_class, datasets
):
    evaluate, network = monitored(10), Slow(an_image)
    found = evaluate(network)
    assert (found["cog/per_class"], found["cog/datasets"]) == (per_class, datasets)
    assert found["cog/seconds"] <= 10
    assert ("cog/two/ncm/top1" in found) == (datasets == 2)
    cut = [line for line in told if line.startswith("to keep within 10 s: ")]
    named = "one, two" if datasets == 2 else "one"
    whole = (per_class, datasets) == (8, 2)
    assert cut == ([] if whole else [f"to keep within 10 s: {per_class} images a class of {named}"])


def test_a_network_that_becomes_slow_keeps_it_too(monitored, told):
    evaluate, network = monitored(10), Slow(0.01)
    assert evaluate(network)["cog/datasets"] == 2
    network.an_image = 0.1
    late = evaluate(network)  # 6.4 s for the first dataset: no time for the other
    assert "cog/two/ncm/top1" not in late
    assert late["cog/datasets"] == 1
    assert late["cog/seconds"] <= 10
    assert "no time was left for two" in told
    later = evaluate(network)
    assert (later["cog/per_class"], later["cog/datasets"]) == (4, 2)
    assert later["cog/seconds"] <= 10
    assert told[-1].endswith("from the next on: 4 images a class of one, two")
    network.an_image = 0.01
    assert evaluate(network)["cog/per_class"] == 4  # it never grows again


def test_what_cannot_be_kept_is_said(monitored, told):
    evaluate = monitored(0.1)
    found = evaluate(Slow(1))
    assert (found["cog/per_class"], found["cog/datasets"]) == (2, 1)
    assert told[-1].startswith("max_seconds=0.1 cannot be kept: the smallest sample takes ")


def test_without_a_budget_all_is_evaluated(folders):
    found = cog.Monitor(datasets=folders, per_class=8, probes="ncm", preprocess=TINY).evaluate(
        Net()
    )
    assert (found["cog/per_class"], found["cog/datasets"]) == (8, 2)


def test_the_order_of_sizes_is_fixed():
    assert [(each.per_class, each.datasets) for each in sizes(20, 2)] == [
        (20, 2), (10, 2), (5, 2), (2, 2), (2, 1),
    ]  # fmt: skip
    assert len(sizes(3, 1)) == 1
    assert Budget(None, sizes(3, 1)).has_time_for(0, 1e9)


def test_what_is_done_once_makes_later_datasets_no_slower():
    """Such as imports, where the first dataset is small and the next one large."""
    budget = Budget(30, sizes(10, 2))
    budget.start(lambda number, per_class: (0.01, 1.0)[number] * per_class)
    budget.learn(0, 1.4)
    assert budget.has_time_for(1, 1.4)
    budget.learn(0, 4.5)
    assert not budget.has_time_for(1, 4.5)
