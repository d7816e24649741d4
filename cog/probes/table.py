"""Every probe there is, one entry each: the rest of the program learns of a probe from here alone.

In: nothing. Out: `PROBES`, which these read when they need it:
- the command line, for its choices and its help;
- the plan, for the solver and the seeds of each result;
- the dry run, for the cost of a fit;
- results.csv, for the columns of hyper-parameters (`hyper_columns`).

To add a probe: a file beside this one with the functions of `Fit` and `Cost`, and its entry here.
The file is imported when one of them is first called: torch takes seconds, `cog --help` has 0.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cog.probes.cost import ProbeSize
    from cog.probes.data import OnProgress, ProbeData, ProbeResult, ProbeSettings

    Fit = Callable[[ProbeData, ProbeSettings, OnProgress], ProbeResult]
    """fits on the training images and ranks the classes of the test images"""
    Cost = Callable[[ProbeSize, ProbeSettings], float]
    """seconds of one fit, its search included, roughly"""


TAKES = {
    "pooled": "one vector an image",
    "tokens": "the tokens of --tokens",
    "views": "the views of --views",
}
"""what features of an image a probe may take, in words"""


@dataclass(frozen=True)
class Solver:
    """One way to fit a probe."""

    seed_decides: str
    """what the spread over seeds is a spread of; of N shots, also which images are drawn"""
    about: str = ""
    """for the help, where a probe has several"""
    recipe_columns: tuple[str, ...] = ()
    """fields of the recipe that only this solver uses and that results.csv shows"""


@dataclass(frozen=True)
class Probe:
    """What the program knows of one kind of probe."""

    fit: Fit
    cost: Cost
    solvers: Mapping[str, Solver]
    """by name, the official one first"""
    columns: tuple[str, ...] = ()
    """the hyper-parameters in `ProbeResult.hyper`; each is a column of numbers in results.csv"""
    first_seed_alone: bool = False
    """with all images a seed decides next to nothing: only the first one is fitted"""
    by_cosine: bool = False
    """it compares features by cosine, whatever the norm of the recipe"""
    takes: str = "pooled"
    """one of `TAKES`"""
    has_head: bool = False
    """it fits a linear layer, which may be kept, and may answer with some of the classes alone"""
    among_test: bool = False
    """it learns nothing, but asks each test image about the others: shots and seeds are nothing to
    it, and an image without another of its class has no part in its metrics"""

    @property
    def answers_some(self) -> bool:
        """Whether it can answer among some of the classes that it was fitted on."""
        return self.has_head or self.among_test

    @property
    def official_solver(self) -> str:
        """The name of the first solver."""
        return next(iter(self.solvers))


def _of_file(name: str, *first: object) -> tuple[Fit, Cost]:
    """The functions `name` and `cost` of the file `name`, imported when one is called.

    `first`: their first arguments, beside those of `Fit` and `Cost`.
    """

    def late(function: str) -> Callable[..., Any]:
        return partial(getattr(import_module(f"cog.probes.{name}"), function), *first)

    def fit(*args: Any) -> ProbeResult:
        from cog.probes.own_arithmetic import own_arithmetic

        with own_arithmetic():
            result: ProbeResult = late(name)(*args)
        return result

    return fit, lambda *args: late("cost")(*args)


DINO_NEIGHBOURS = (10, 20, 100, 200)
"""the fixed k that DINO's public code reports (eval_knn.py)"""


def _fixed_knn(k: int) -> Probe:
    """k-NN with k neighbours, which chooses nothing."""
    return Probe(
        *_of_file("knn_fixed", k),
        solvers={"exact": Solver(seed_decides="nothing")},
        columns=("k",),
        by_cosine=True,
        first_seed_alone=True,
    )


PROBES: dict[str, Probe] = {
    "logreg": Probe(
        *_of_file("logreg"),
        has_head=True,
        solvers={
            "sgd": Solver(
                seed_decides="validation split, trials, start, batches",
                about="the official protocol",
                recipe_columns=("trials_per_round", "products"),
            ),
            "lbfgs": Solver(seed_decides="validation split", about="faster"),
        },
        columns=("lr", "wd"),
    ),
    "knn": Probe(
        *_of_file("knn"),
        solvers={"exact": Solver(seed_decides="validation split")},
        columns=("k",),
        by_cosine=True,
        first_seed_alone=True,
    ),
    "ncm": Probe(
        *_of_file("ncm"),
        has_head=True,
        by_cosine=True,
        solvers={"exact": Solver(seed_decides="nothing")},
        first_seed_alone=True,
    ),
    "ridge": Probe(
        *_of_file("ridge"),
        has_head=True,
        solvers={"exact": Solver(seed_decides="validation split")},
        columns=("penalty",),
    ),
    "mlp": Probe(
        *_of_file("mlp"),
        solvers={"adamw": Solver(seed_decides="validation split, start, batches")},
        columns=("lr",),
    ),
    "augmented": Probe(
        *_of_file("augmented"),
        takes="views",
        has_head=True,
        solvers={
            "sgd": Solver(
                seed_decides="validation split, start, batches, views",
                recipe_columns=("products",),
            )
        },
        columns=("lr",),
    ),
    "attentive": Probe(
        *_of_file("attentive"),
        takes="tokens",
        solvers={"adamw": Solver(seed_decides="validation split, start, batches")},
        columns=("lr",),
    ),
    "retrieval": Probe(
        *_of_file("retrieval"),
        by_cosine=True,
        solvers={"exact": Solver(seed_decides="nothing")},
        first_seed_alone=True,
        among_test=True,
    ),
    "bn-linear": Probe(
        *_of_file("bn_linear"),
        has_head=True,
        solvers={"lars": Solver(seed_decides="validation split, start, batches")},
        columns=("lr",),
    ),
    **{f"knn-{k}": _fixed_knn(k) for k in DINO_NEIGHBOURS},
}


def scored(probe: str, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which test images, of labels int64[m], the metrics of a probe are made of: bool[m].

    All, also of a probe that this version does not know; but see `Probe.among_test`.
    """
    from cog.probes.metrics import has_another

    entry = PROBES.get(probe)
    return has_another(labels) if entry and entry.among_test else labels >= 0


def hyper_columns() -> tuple[str, ...]:
    """The columns of hyper-parameters that results.csv has: those of all probes, each once.

    Call it where the columns are needed and do not keep what it gives: `PROBES` may grow.

    >>> hyper_columns()
    ('lr', 'wd', 'k', 'penalty')
    """
    return tuple(dict.fromkeys(name for probe in PROBES.values() for name in probe.columns))
