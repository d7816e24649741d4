"""Two sets of results compared: which numbers moved, by how much, and whether beyond noise.

In: two tidy tables (cog/results/table.py), and what is known of their test images (paired.py).
Out: a row for each mean over seeds, with its verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cog.errors import CogError, unknown_name
from cog.results.cells import refuse_several_protocols
from cog.results.columns import KEY, SETTING, causes
from cog.results.mcnemar import Discordant, joint_p, largest_difference, mcnemar_p
from cog.results.table import as_text, with_full_names

Floats = NDArray[np.floating]

EQUAL, WITHIN, MORE = "equal", "within noise", "more than noise"
PAIRED, INDEPENDENT = "same images", "independent"
ONLY_FIRST, ONLY_SECOND = "only in the first", "only in the second"
ONE = "compare runs of one protocol: evaluate the models of one run as those of the other"
_RUNS = ("first", "second")
_LEVEL = 0.95
_ROUNDING = 1e-9  # 72.4 − 72.1 is a little more than 0.3


@dataclass(frozen=True)
class Cause:
    """A column that says how numbers were made, and in which the two runs differ."""

    column: str
    changes: tuple[tuple[str, str], ...]
    """the values (first, second) that differ, the most frequent pair first"""
    rows: int  # how many differ


@dataclass(frozen=True)
class RunComparison:
    """What `compare_runs` found."""

    numbers: pd.DataFrame
    """a row a mean over seeds: `SETTING`, seeds, first, second, difference, noise, p, test, why,
    verdict; those that moved the most come first. Top-1, difference and noise are in percent
    points. `test` is `PAIRED`, with the `p` of McNemar's test, or `INDEPENDENT`, and `why` says why
    the images could not be paired; all three are empty for a number that is equal."""
    missing: pd.DataFrame
    """the rows that one of the two lacks: `KEY`, top1, verdict"""
    causes: tuple[Cause, ...]
    """what differs in how the numbers were made, in the order of `cog.results.columns.causes`"""
    rows: int  # how many are in both

    def moved(self, tolerance: float | None = None) -> pd.DataFrame:
        """The numbers that moved by more than `tolerance` points; None: by more than noise."""
        if tolerance is None:
            return self.numbers[self.numbers["verdict"] == MORE]
        within = self.numbers["difference"].abs() <= tolerance + _ROUNDING
        return self.numbers[~within]

    def table(self) -> pd.DataFrame:
        """The numbers, and below them those that one of the two lacks, with its count of seeds."""
        by = [*SETTING, "verdict"]
        grouped = self.missing.groupby(by, sort=False, as_index=False)
        lacking = grouped.agg(seeds=("seed", "size"), top1=("top1", "mean"))
        for name, verdict in (("first", ONLY_FIRST), ("second", ONLY_SECOND)):
            lacking[name] = lacking["top1"].where(lacking["verdict"] == verdict)
        parts = [part for part in (self.numbers, lacking.drop(columns="top1")) if len(part)]
        return pd.concat(parts, ignore_index=True)[list(self.numbers.columns)]


def compare_runs(
    first: pd.DataFrame,
    second: pd.DataFrame,
    discordant: Callable[[tuple[Any, ...]], Discordant | str] = lambda key: "",
) -> RunComparison:
    """Compare two tidy tables of results number by number; `second` minus `first`.

    `discordant` tells of a result, by the values of `KEY`, how many test images one of the two
    alone has right, or why it cannot.

    Rows are matched by `KEY`; a number is the mean top-1 over the seeds that both have. It is

    - equal, if it is the same to the last bit for every seed;
    - within noise, if |difference| ≤ √(a² + b²): a is the half width of the paired t interval at
      95 % over the seeds (0 with one seed), b is the noise of the test images;
    - more than noise otherwise, and so is every difference where the noise is not known.

    Where `discordant` tells of every seed, b is the largest difference that McNemar's exact test
    on the same images does not reject: with one seed the verdict is that of the test. With several
    it is the mean over the seeds, as if an image changed in all of them alike, so that b is too
    large rather than too small; p is twice the mean of theirs (`joint_p`).

    Elsewhere b joins the bootstrap intervals over test images, `top1_low` and `top1_high`, on the
    sides where the two numbers face each other. It treats the two sets of test images as
    independent: where they are the same ones, b is too large.

    Nothing is corrected for how many numbers are compared. Source of the latter b: Newcombe,
    Statistics in Medicine 17 (1998) 873, method 10, which squares and adds such sides of Wilson's
    intervals.

    Raises:
        CogError: no row is in both, or their protocols differ.
    """
    refuse_several_protocols([*first["protocol"], *second["protocol"]], "the two runs", ONE)
    first, second, keys = with_full_names(first), with_full_names(second), list(KEY)
    both = first.merge(
        second, on=keys, suffixes=[f"_{run}" for run in _RUNS], validate="one_to_one"
    )
    if both.empty:
        names = [", ".join(table["model"].unique()) for table in (first, second)]
        raise CogError(
            f"expected rows that both have, found none: the first has {names[0]}, "
            f"the second {names[1]}",
            "compare runs of the same models, datasets and seeds, or give --rename OLD=NEW",
        )
    all_rows = [first.assign(verdict=ONLY_FIRST), second.assign(verdict=ONLY_SECOND)]
    shown = pd.concat([table[[*keys, "top1", "verdict"]] for table in all_rows])
    missing = shown.drop_duplicates(keys, keep=False, ignore_index=True)
    return RunComparison(_numbers(both, discordant), missing, _causes(both), len(both))


def rename_models(
    first: pd.DataFrame, second: pd.DataFrame, names: Mapping[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rename models of `first` like those of `second` that they are compared with.

    With {"old": "new"}, old of the first is compared with new of the second. New of the first and
    old of the second are left out, so that both may come from one folder.

    Raises:
        CogError: a model is unknown, or two would get the same name.
    """
    if len(set(names.values())) < len(names):
        raise CogError(
            f"expected a new name for each, found {', '.join(names.values())}",
            "compare one model at a time",
        )
    for wanted, table in ((names.keys(), first), (names.values(), second)):
        known = table["model"].unique().tolist()
        for name in wanted:
            if name not in known:
                raise unknown_name("model", name, known)
    replaced = set(names.values()) - names.keys()
    gone = names.keys() - set(names.values())
    kept = first[~first["model"].isin(replaced)]
    return (
        kept.assign(model=kept["model"].map(lambda name: names.get(name, name))),
        second[~second["model"].isin(gone)],
    )


def _numbers(
    both: pd.DataFrame, discordant: Callable[[tuple[Any, ...]], Discordant | str]
) -> pd.DataFrame:
    """A row a mean over seeds, those that moved the most first."""
    from scipy.stats import t

    change = both["top1_second"] - both["top1_first"]
    rows = both.assign(difference=change, equal=change == 0)
    grouped = rows.groupby(list(SETTING), sort=False)
    means = grouped[[f"top1{end}_{run}" for run in _RUNS for end in ("", "_low", "_high")]].mean()
    difference = grouped["difference"].mean()
    seeds = grouped["difference"].size()
    quantiles = t.ppf((1 + _LEVEL) / 2, (seeds - 1).clip(lower=1))
    of_seeds = quantiles * grouped["difference"].std() / np.sqrt(seeds)
    equal = grouped["equal"].all()
    tests = pd.DataFrame(
        [_tested(some, discordant) for _, some in grouped],
        index=means.index,
    )
    of_images = tests["noise"].fillna(pd.Series(_image_noise(means, difference > 0), means.index))
    noise = np.hypot(of_seeds.fillna(0.0), of_images)
    within = difference.abs() <= noise + _ROUNDING
    verdict = np.select([equal, within], [EQUAL, WITHIN], MORE)
    table = means[["top1_first", "top1_second"]].set_axis(_RUNS, axis="columns")
    table.insert(0, "seeds", seeds)
    table = table.assign(difference=difference, noise=noise)
    table = table.assign(**{name: tests[name] for name in ("p", "test", "why")}, verdict=verdict)
    return table.iloc[np.argsort(-difference.abs(), kind="stable")].reset_index()


_EQUAL: dict[str, Any] = {"noise": np.nan, "p": np.nan, "test": "", "why": ""}


def _tested(
    rows: pd.DataFrame, discordant: Callable[[tuple[Any, ...]], Discordant | str]
) -> dict[str, Any]:
    """How the seeds of one number were tested on the same images, or why they were not."""
    if rows["equal"].all():
        return _EQUAL
    found = [discordant(key) for key in rows[list(KEY)].itertuples(index=False, name=None)]
    counts = [each for each in found if isinstance(each, Discordant)]
    if len(counts) < len(found):
        why = next(each for each in found if isinstance(each, str))
        return _EQUAL | {"test": INDEPENDENT, "why": why}
    noise = float(np.mean([largest_difference(each, _LEVEL) for each in counts]))
    return {"noise": noise, "p": joint_p([*map(mcnemar_p, counts)]), "test": PAIRED, "why": ""}


def _image_noise(means: pd.DataFrame, rises: pd.Series[bool]) -> Floats:
    """The noise of a difference from the intervals over test images; 0 where there are none."""

    def side(end: str, run: str) -> pd.Series[float]:
        return (means[f"top1_{end}_{run}"] - means[f"top1_{run}"]).fillna(0.0)

    facing_up = np.hypot(side("high", "first"), side("low", "second"))
    facing_down = np.hypot(side("low", "first"), side("high", "second"))
    return np.where(rises, facing_up, facing_down)


def _causes(both: pd.DataFrame) -> tuple[Cause, ...]:
    found = []
    for name in (column.name for column in causes()):
        texts = [both[f"{name}_{run}"].map(as_text).replace("", "none") for run in _RUNS]
        changes = Counter((one, two) for one, two in zip(*texts, strict=True) if one != two)
        if changes:
            ordered = tuple(change for change, _ in changes.most_common())
            found.append(Cause(name, ordered, changes.total()))
    return tuple(found)
