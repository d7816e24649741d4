"""Means by axis of generalization: over new concepts, new domains and new tasks.

In: the tidy table. Out: for each model and fit, the mean over the sets of an axis of the headline
metric of each set, and of its log odds, as papers report them, each with its error.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from cog.probes.table import PROBES
from cog.recipe import (
    IN1K,
    NORMS,
    control_of,
    fitted_on,
    is_refit,
    level_number,
    of_levels,
    parted,
)
from cog.results.columns import FIT
from cog.results.headline import Z95, inner_share, joined_error, log_odds, with_headline
from cog.results.suites import NOTHING_KNOWN, Suites
from cog.results.table import with_full_names

CONCEPTS, DOMAINS, REFITS, TASKS = AXES = ("concepts", "domains", "refits", "tasks")
_BY = [*FIT, "model"]


def axis_of(dataset: str) -> str:
    """The axis that a dataset is of; none for ImageNet-1K, of which the axes lead away.

    New domains with heads that are refitted there stand apart.

    >>> [axis_of(name) for name in ("in1k", "cog_l2", "in1k/v2", "in1k/v2+refit", "flowers")]
    ['', 'concepts', 'domains', 'refits', 'tasks']
    """
    if is_refit(dataset):
        return REFITS
    if level_number(dataset) is not None:
        return CONCEPTS
    if "/" in dataset:
        return DOMAINS
    return "" if dataset == IN1K else TASKS


def axis_means(results: pd.DataFrame, suites: Suites = NOTHING_KNOWN) -> pd.DataFrame:
    """Means over the sets of each axis that is there, indexed by probe, solver, shots and model.

    Columns of each axis, here `tasks`: `tasks`, the mean of the headline metrics in percent, and
    `tasks_error`; `tasks_log_odds` and `tasks_log_odds_error`; `tasks_sets`, over how many sets.
    Beside them, each with names of axes: `partial`, where the model lacks sets, or classes of sets,
    that the table has for its fit or that `suites` left out; `mixed`, where the sets have several
    protocols (see `protocols_of`). Controls have no means.

    - The log odds of a set are ln(p / (1 − p)), with p the mean over seeds, kept half a test image
      away from 0 and 1.
    - error² of a mean over n sets = (Σ e² + Σ t²) / n², one standard error squared. t is that of a
      set from the draw of its test images: (high − low) / (2 · 1.96) of top-1's 95 % interval,
      which stands for that of other metrics too; the sets have other images, so these are
      independent. e is that from the seeds, of a dataset and all its test sets together, as one
      probe is scored on them: s / √seeds of the sum of their values for each seed.
    - For log odds every value and t is multiplied by the slope there, 1 / (100 · p · (1 − p)).
    - An error that is not known (one seed; no interval) counts as 0; NaN where none is known. That
      of the choice of sets is no part: it is of these sets.
    """
    rows = with_headline(results)
    rows = rows[rows["model"].map(control_of) == ""]
    rows = rows.assign(
        axis=rows["dataset"].map(axis_of),
        of_test=(rows["top1_high"] - rows["top1_low"]).astype(float) / (2 * Z95),
        complete=rows["complete"].fillna(False).astype(bool),
    )
    index = rows.set_index(_BY).index.unique()
    found: dict[str, Any] = {}  # a Series each
    flags: dict[str, Any] = {}  # a Series of bool each
    for axis in AXES:
        own = rows[rows["axis"] == axis]
        if not own.empty:
            found |= {name: each.reindex(index) for name, each in _means(own, axis).items()}
            flags[axis] = _is_partial(own, axis, suites, index)
            found[f"{axis}_sets"] = found[f"{axis}_sets"].fillna(0).astype("Int64")
    means = pd.DataFrame(found, index)
    several = {key for key, groups in protocols_of(results, suites).items() if groups[1:]}
    means["partial"] = [" ".join(axis for axis in flags if flags[axis][key]) for key in index]
    means["mixed"] = [
        " ".join(axis for axis in AXES if (*key[:-1], axis) in several) for key in index
    ]
    return means


def _means(rows: pd.DataFrame, axis: str) -> dict[str, pd.Series[float]]:
    """The columns of one axis, from its rows."""
    table = rows.groupby([*_BY, "dataset"], as_index=False).agg(
        value=("value", "mean"), of_test=("of_test", "mean"), n_test=("n_test", "first")
    )
    n_test = table["n_test"].astype(float)
    share = inner_share(table["value"], n_test)
    table = table.assign(
        log_odds=log_odds(table["value"], n_test), slope=1 / (100 * share * (1 - share)), points=1.0
    )
    groups = table.groupby(_BY)
    sets = groups["dataset"].size()
    slopes = table[[*_BY, "dataset", "slope", "points"]]
    rows = rows.merge(slopes, on=[*_BY, "dataset"], validate="many_to_one")
    found: dict[str, pd.Series[float]] = {}
    for name, value, scale in (
        (axis, "value", "points"),
        (f"{axis}_log_odds", "log_odds", "slope"),
    ):
        squares = (table["of_test"] * table[scale]) ** 2
        of_images = squares.groupby([table[key] for key in _BY]).sum(min_count=1) ** 0.5
        of_seeds = _seed_error(rows.assign(value=rows["value"] * rows[scale]))
        found[name] = groups[value].mean()
        found[f"{name}_error"] = joined_error(of_images, of_seeds.reindex(sets.index)) / sets
    return found | {f"{axis}_sets": sets.astype(float)}


def _seed_error(rows: pd.DataFrame) -> pd.Series[float]:
    """The standard error over seeds of the sum of `value` over sets, for each model and fit.

    Sets that one probe is scored on rise and fall together, the others do not. Of the former, only
    seeds count that all of them have.
    """
    rows = rows.assign(base=rows["dataset"].map(fitted_on))
    of_probe = [*_BY, "base"]
    rows = rows.assign(sets=rows.groupby(of_probe)["dataset"].transform("nunique"))
    sums = rows.groupby([*of_probe, "seed"]).agg(
        value=("value", "sum"), there=("value", "count"), sets=("sets", "first")
    )
    errors = sums[sums["there"] == sums["sets"]].groupby(of_probe)["value"].sem()
    squares: pd.Series[float] = (errors**2).groupby(_BY).sum(min_count=1)
    return squares**0.5


def _is_partial(rows: pd.DataFrame, axis: str, suites: Suites, index: pd.Index[Any]) -> Any:
    """Whether a model lacks sets of an axis, or classes of them: a Series of bool by `index`.

    `rows` are those of the axis. A fit of which it has none lacks nothing: it has no mean.
    """
    groups = rows.groupby(_BY)
    sets = groups["dataset"].nunique()
    missing = {n for names in suites.left_out.values() for n in names if axis_of(n) == axis}
    there = rows.groupby(list(FIT))["dataset"].agg(set)
    wanted = [len(there[key[:-1]] | missing) for key in sets.index]
    flags = (sets < wanted) | ~groups["complete"].all()
    return pd.Series([flags.get(key, key[:-1] in there.index) for key in index], index)


def protocols_of(
    results: pd.DataFrame, suites: Suites = NOTHING_KNOWN
) -> dict[tuple[Any, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """The protocols of each fit and axis, and the sets of each, by (probe, solver, shots, axis).

    A protocol is the solver, the norm of features and, for probes that a suite's protocol concerns,
    what that says. Sets of one solver alone may have several. Rows may be `joined_solvers`.
    """
    solver = results["own_solver"] if "own_solver" in results else results["solver"]
    axis = results["dataset"].map(axis_of)
    rows = results[[*FIT, "dataset", "norm"]].assign(own=solver, axis=axis)
    rows = rows[rows["axis"] != ""].drop_duplicates()
    found: dict[tuple[Any, ...], dict[str, list[str]]] = {}
    for row in rows.to_dict("records"):
        groups = found.setdefault(tuple(row[name] for name in (*FIT, "axis")), {})
        groups.setdefault(_protocol(row, suites), []).append(row["dataset"])
    return {
        key: tuple((protocol, tuple(sets)) for protocol, sets in groups.items())
        for key, groups in found.items()
    }


def _protocol(row: dict[Any, Any], suites: Suites) -> str:
    entry = PROBES.get(row["probe"])
    if entry and entry.by_cosine:
        return str(row["own"])
    own = f"{row['own']}, norm {row['norm'] or NORMS[0]}"
    said = suites.protocols.get(parted(row["dataset"])[0])
    return f"{own}: {said}" if said else own


def axis_notes(results: pd.DataFrame, suites: Suites) -> list[str]:
    """What people must know of the means of a table: which sets they lack, and which they join."""
    results = joined_solvers(with_full_names(results))
    there = set(results["dataset"])
    notes = []
    for suite, names in sorted(suites.left_out.items()):
        if lacking := [name for name in names if name not in there]:
            axes = dict.fromkeys(axis_of(name) for name in lacking)
            over = " and ".join(axis for axis in AXES if axis in axes)
            partial = f": means over {over} are partial" if over else ""
            notes.append(f"{', '.join(lacking)} of the suite {suite} were missing{partial}")
    protocols = protocols_of(results, suites).items()
    for axis, groups in dict.fromkeys((key[-1], groups) for key, groups in protocols if groups[1:]):
        parts = "; ".join(f"{', '.join(sets)} by {protocol}" for protocol, sets in groups)
        notes.append(f"means over {axis} join sets of several protocols: {parts}")
    return notes


def joined_solvers(results: pd.DataFrame) -> pd.DataFrame:
    """The results with one solver a probe and shots, such as `lbfgs+sgd`, where sets decide it.

    So the sets of suites stand in one row, each by its own protocol. Results stay as they are
    where a set has results of several solvers, or ImageNet-1K and the levels do not share one.
    `own_solver` is what the solver was.
    """
    kinds = results["dataset"].mask(results["dataset"].map(of_levels), "")  # share one recipe
    by = [results["probe"], results["shots"]]
    solvers = results["solver"].groupby([*by, kinds]).transform("nunique")
    decided = solvers.groupby(by).transform("max") == 1
    names = results["solver"].groupby(by).transform(lambda own: "+".join(sorted(set(own))))
    joined = results["solver"].mask(decided, names)
    return results.assign(solver=joined, own_solver=results["solver"])
