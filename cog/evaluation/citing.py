"""What a paper with these results should cite: `cog cite`.

In: a folder of runs or a results.csv, and names of models, suites and protocols. Out: the
publications, each with what it is cited for, and what no table here knows and must be found by
hand. Nothing is downloaded and no model is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cog.datasets.suites.suite import SuiteSet, read_suite, suite_names
from cog.errors import unknown_name
from cog.evaluation.protocols.table import PROTOCOLS
from cog.models.sources.table import FORMS, Form, find_form
from cog.models.zoo import ZooRow, find_row, read_zoo
from cog.papers import Paper, find_paper, read_papers
from cog.progress import Notify
from cog.recipe import control_of, of_levels, parted
from cog.results.cells import protocol_name
from cog.results.columns import full_name
from cog.results.distances import measures_of
from cog.results.files import is_table, read_results
from cog.storage import StoragePath
from cog.wordnet.measures import MEASURES

SOFTWARE = "cog_software"
ALWAYS = {
    "sariyildiz2021concept": "the benchmark and its levels",
    SOFTWARE: "the program that computed the results",
    "miller1995wordnet": "WordNet, the tree of the concepts",
    "fellbaum1998wordnet": "WordNet, the tree of the concepts",
    "deng2009imagenet": "ImageNet-21K, the images of the levels",
    "russakovsky2015imagenet": "ImageNet-1K, the seen concepts",
}
"""what every result of the benchmark rests on"""


@dataclass
class Citations:
    """What is cited, in order, and what must be found by hand."""

    reasons: dict[str, list[str]] = field(default_factory=dict)
    """what each publication is cited for, by its key"""
    by_hand: list[str] = field(default_factory=list)
    """a sentence for each thing that no table here knows"""

    def add(self, keys: Iterable[str], reason: str) -> None:
        """Cite publications for a reason; each is listed once, with all its reasons."""
        for key in keys:
            reasons = self.reasons.setdefault(key, [])
            if reason not in reasons:
                reasons.append(reason)

    def papers(self) -> list[tuple[Paper, tuple[str, ...]]]:
        """Each publication with its reasons."""
        known = read_papers()
        return [(find_paper(key, known), tuple(why)) for key, why in self.reasons.items()]


def cite(
    runs: StoragePath | None = None,
    *,
    models: Iterable[str] = (),
    suites: Iterable[str] = (),
    protocols: Iterable[str] = (),
    notify: Notify | None = None,
) -> Citations:
    """What results with these models, suites and protocols rest on, and those of `runs`.

    Args:
        runs: a folder of runs, or a results.csv: its models, datasets, protocol and measure.
        models: names as `cog.load_model` takes them.
        suites: names of `cog suites list`, or TOML files.
        protocols: names of `cog protocols list`.
        notify: takes a line for each cell of `runs` that is left out.

    Raises:
        CogError: an unknown name, or no results in `runs`.
    """
    found = Citations()
    for key, reason in ALWAYS.items():
        found.add([key], reason)
    measures = {"lin"} if runs is None or is_table(runs) else set(measures_of(runs)) or {"lin"}
    for name in sorted(measures):
        if name in MEASURES:
            found.add([MEASURES[name].paper], f"the measure {name}")
    for name in protocols:
        _add_protocol(found, name)
    for name in suites:
        _add_suite(found, name)
    for name in models:
        _add_model(found, name)
    if runs is not None:
        _add_runs(found, runs, notify)
    return found


def _add_protocol(found: Citations, name: str) -> None:
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    found.add(PROTOCOLS[name].papers, f"the protocol {name}")


def _add_suite(found: Citations, name: str) -> None:
    suite = read_suite(name)
    found.add(suite.cite, f"the suite {suite.name}")
    for label, each in suite.every.items():
        _add_set(found, label, each)


def _add_set(found: Citations, name: str, each: SuiteSet) -> None:
    if each.cite:
        found.add(each.cite, f"the dataset {name}")
    else:
        found.by_hand.append(f"the dataset {name}: {each.paper or 'its file names no paper'}")


def _add_model(found: Citations, name: str) -> None:
    """A model by the name that `cog.load_model` takes."""
    form, _ = find_form(name)
    if form is None:
        row = find_row(name)
        found.add(row.papers, f"the model {row.name}")
    else:
        _add_form(found, form, name)


def _add_form(found: Citations, form: Form, name: str) -> None:
    """A model that a library or the user's own file gives: no table here knows its paper."""
    found.add(form.papers, f"the library of the model {name}")
    found.by_hand.append(
        f"the model {name}: the paper of its network and of its weights, which "
        f"{form.publisher} may name"
    )


def _add_runs(found: Citations, runs: StoragePath, notify: Notify | None) -> None:
    """What the rows of a folder of runs name."""
    rows: list[Any] = read_results(runs, (), notify).to_dict("records")
    for name in sorted({protocol_name(str(row["protocol"])) for row in rows}):
        if name in PROTOCOLS:
            found.add(PROTOCOLS[name].papers, f"the protocol {name}")
    sizes = {full_name(row): row["n_classes"] for row in rows}
    for name, n_classes in sizes.items():
        _add_dataset(found, name, n_classes)
    for name in dict.fromkeys(str(row["model"]) for row in rows):
        if not control_of(name):
            _add_model_run(found, name)


def _add_dataset(found: Citations, name: str, n_classes: object) -> None:
    """A dataset of a run: of a suite if it has the name and the classes of one of its sets."""
    name = name.removesuffix("+refit")
    if of_levels(name):
        return
    for suite in map(read_suite, suite_names()):
        each = suite.every.get(name)
        if each and (parted(name)[1] or each.classes == n_classes):
            _add_set(found, name, each)
            return
    found.by_hand.append(f"the dataset {name}: it is of no suite; cite where its images are from")


def _add_model_run(found: Citations, name: str) -> None:
    """A model by the name of its model run."""
    if row := _row_of(name):
        found.add(row.papers, f"the model {row.name}")
    elif forms := list(_forms_of(name)):
        _add_form(found, forms[0], name)
    else:
        found.by_hand.append(
            f"the model {name}: its name is in no table; give --model with the name that it was "
            "loaded by, or cite its paper"
        )


def _row_of(name: str) -> ZooRow | None:
    """The row of a model run's name: its own, or its own with what was chosen behind it."""
    fits = [
        row for row in read_zoo().values() if name == row.name or name.startswith(f"{row.name}-")
    ]
    return max(fits, key=lambda row: len(row.name), default=None)


def _forms_of(name: str) -> Iterator[Form]:
    """The forms whose names begin so: a model run of timm:resnet18 is called timm-resnet18."""
    prefixes = {form.written.partition(":")[0]: form for form in FORMS if not form.pattern}
    for prefix in sorted(prefixes, key=len, reverse=True):
        if name.startswith(f"{prefix}-"):
            yield prefixes[prefix]
