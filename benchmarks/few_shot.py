"""Why few-shot accuracies differ from the public code's: its path, with one difference at a time.

    python benchmarks/few_shot.py [--shots 4,16] [--seeds 80] [--rows 6000 --dim 128 --classes 40]
                                  [--only loop,more,cog] [--digits]

Synthetic features as benchmarks/probe.py makes them, or the digits of scikit-learn. For each seed
the fifth of every class that validates and the N images of the search are drawn once, and are those
of every arm; the public path is the plain loop of reference_probe.py, which shares nothing with
cog. The arms:
- public: each trial and the final fit have a start and batches of their own, and the final fit has
  N images drawn anew from all for training.
- anew from the rest: the same, but drawn from the images that do not validate.
- final start: the final fit begins as the best trial did, on images drawn anew.
- final images: the final fit has the N of the search, but a start of its own.
- both: the best trial over again, which is the head that the validation images have chosen.
- trials alike: the trials share one start and batches; the final fit is the public one.
- trials alike, both: as cog does by default.
- float16: public, on features rounded to it.
- rounds of 10: public, but trials are proposed ten at a time.
- ours, ours official: cog itself in rounds of one, with `--few-shot-draw once` and `official`; its
  draws are its own.

A JSON line for each N: mean top-1 on the test rows in percent ± its standard error over the seeds,
and of every other arm the mean difference to the public one, paired by seed, with its error. Of
cog's own arms no draw is that of the loop, so that their pairs share the data alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import optuna
import reference_probe
import torch
from differences import digits
from probe import synthetic
from scipy.stats import sem
from torch import Tensor
from torch.nn import functional

from cog.probes.data import ProbeData, ProbeSettings
from cog.probes.logreg import logreg
from cog.recipe import Recipe

Pair = tuple[float, float]
Rows = Tensor


@dataclass(frozen=True)
class Found:
    """What a search chose."""

    lr: float
    wd: float
    state: Tensor
    """of the generator, before the best trial began"""


def features(data: ProbeData, rounded: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training features and labels, test features and labels; features have length 1."""
    x, y = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    test_x, test_y = torch.from_numpy(data.test_x), torch.from_numpy(data.test_y)
    if rounded:
        x, test_x = x.half().float(), test_x.half().float()
    return functional.normalize(x), y, functional.normalize(test_x), test_y


def draw(y: Tensor, rows: Rows, shots: int) -> Rows:
    """N rows a class, of these rows."""
    own = [rows[y[rows] == label] for label in y.unique()]
    return torch.cat([each[torch.randperm(len(each))[:shots]] for each in own])


def search(fit: Callable[[float, float], float], seed: int, per_round: int, alike: bool) -> Found:
    """Thirty trials by TPE; those that are alike begin at one state of the generator."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=per_round > 1)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    first, states = torch.get_rng_state(), []
    for _ in range(reference_probe.TRIALS // per_round):
        asked = [study.ask() for _ in range(per_round)]
        pairs = [
            (each.suggest_float("lr", *reference_probe.LR, log=True),
             each.suggest_float("wd", *reference_probe.WD, log=True))
            for each in asked
        ]  # fmt: skip
        for trial, pair in zip(asked, pairs, strict=True):
            if alike:
                torch.set_rng_state(first)
            states.append(torch.get_rng_state())
            study.tell(trial, fit(*pair))
    best = study.best_trial
    return Found(best.params["lr"], best.params["wd"], states[best.number])


class Loop:
    """The plain loop on the draws of one seed."""

    def __init__(self, data: ProbeData, shots: int, seed: int, rounded: bool = False) -> None:
        """Draw what every arm shares; `rounded`: features have been float16."""
        self.seed, self.shots, self.classes = seed, shots, data.n_classes
        self.x, self.y, self.test_x, self.test_y = features(data, rounded)
        torch.manual_seed(seed)
        self.fitted, self.held = reference_probe.split(self.y)
        self.few = draw(self.y, self.fitted, shots)
        self.everything = torch.arange(len(self.y))

    def search(self, per_round: int = 1, alike: bool = False) -> Found:
        """What the trials choose."""
        torch.manual_seed(self.seed + 10_000)
        x, y = self.x, self.y

        def fit(lr: float, wd: float) -> float:
            model = reference_probe.fit(x[self.few], y[self.few], self.classes, lr, wd)
            return reference_probe.top1(model, x[self.held], y[self.held])

        return search(fit, self.seed, per_round, alike)

    def final(self, found: Found, drawn_from: Rows | None, own_start: bool = True) -> float:
        """Top-1 of the final fit, on the N of the search or on N drawn anew from some rows."""
        torch.manual_seed(self.seed + 20_000)
        rows = self.few if drawn_from is None else draw(self.y, drawn_from, self.shots)
        if not own_start:
            torch.set_rng_state(found.state)
        model = reference_probe.fit(self.x[rows], self.y[rows], self.classes, found.lr, found.wd)
        return reference_probe.top1(model, self.test_x, self.test_y)


def arms_of_loop(data: ProbeData, shots: int, seed: int) -> dict[str, float]:
    """Top-1 of the arms that have the public search."""
    loop = Loop(data, shots, seed)
    public = loop.search()
    return {
        "public": loop.final(public, loop.everything),
        "anew from the rest": loop.final(public, loop.fitted),
        "final start": loop.final(public, loop.everything, own_start=False),
        "final images": loop.final(public, None),
        "both": loop.final(public, None, own_start=False),
    }


def more_arms_of_loop(data: ProbeData, shots: int, seed: int) -> dict[str, float]:
    """Top-1 of the arms with searches of their own."""
    loop, half = Loop(data, shots, seed), Loop(data, shots, seed, rounded=True)
    alike = loop.search(alike=True)
    return {
        "trials alike": loop.final(alike, loop.everything),
        "trials alike, both": loop.final(alike, None, own_start=False),
        "float16": half.final(half.search(), half.everything),
        "rounds of 10": loop.final(loop.search(per_round=10), loop.everything),
    }


def arms_of_cog(data: ProbeData, shots: int, seed: int) -> dict[str, float]:
    """Top-1 of cog by each of its draws."""
    recipe = Recipe(trials_per_round=1)
    arms = {"ours": recipe, "ours official": replace(recipe, few_shot_draw="official")}
    return {
        name: logreg(data, ProbeSettings("sgd", shots, seed, each, "cpu")).top1
        for name, each in arms.items()
    }


ARMS = {"loop": arms_of_loop, "more": more_arms_of_loop, "cog": arms_of_cog}


def line(shots: int, values: dict[str, list[float]]) -> dict[str, object]:
    """What is printed of one N."""
    found = {name: np.array(each) for name, each in values.items()}
    said: dict[str, object] = {"measured": "few shots", "shots": shots}
    for name, own in found.items():
        said[name] = f"{own.mean():.2f} ± {sem(own):.2f}"
        if name != "public" and "public" in found:
            less = own - found["public"]
            said[name] = f"{said[name]}, {less.mean():+.2f} ± {sem(less):.2f}"
    return said


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shots", default="4,16")
    parser.add_argument("--seeds", type=int, default=80)
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--classes", type=int, default=40)
    parser.add_argument("--separation", type=float, default=0.7)
    parser.add_argument("--only", default="loop,more,cog")
    parser.add_argument("--digits", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    size = options.rows, options.dim, options.classes
    data = digits() if options.digits else synthetic(*size, separation=options.separation)
    for shots in map(int, options.shots.split(",")):
        values: dict[str, list[float]] = {}
        for seed in range(options.seeds):
            for arms in options.only.split(","):
                for name, value in ARMS[arms](data, shots, seed).items():
                    values.setdefault(name, []).append(value)
        print(json.dumps(line(shots, values), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
