"""The numbers of the protocol, in one place, each with its source."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from cog.errors import unknown_name

WNID = re.compile(r"n\d{8}")
"""how a concept is written: n and the offset of a noun synset in WordNet 3.0, eight digits"""

IN1K = "in1k"
"""what options, lists and results call ImageNet-1K, the dataset of the seen concepts"""

LEVEL = "cog_l"
"""what they call the dataset of a level, followed by its number: cog_l1, cog_l2, …"""

UNSEEN = "IN-1K"
"""the only training data for which the levels hold unseen concepts"""

REFIT = "+refit"
"""what the name of a test set ends with where heads are refitted on it; no name given has a `+`"""

TOP1 = "top1"
"""the headline metric of a dataset, unless the field uses another one for it"""

MEAN_CLASS = "mean_class"
"""the headline metric of sets with classes of unequal size: the mean of the classes' top-1"""

HEADLINES = (TOP1, "top5", MEAN_CLASS)
"""what `--metric NAME=METRIC` takes"""

CUT_HEIGHTS = (1, 2, 4, 8)
"""where the tree of the classes is cut for top-1 (ours): in ImageNet-1K e.g. sharks, turtles,
ungulates, placental mammals"""

PRODUCTS = ("float32", "tf32", "bfloat16", "float16")
"""how SGD may make matrix products; all but the first round the factors"""

NORMS = ("l2", "none", "standard")
"""how features are scaled for the probes that do not compare by cosine"""

FEW_SHOT_DRAWS = ("once", "official")
"""of N shots: whether the final fit has the N images of the search"""

TIES = ("strongest", "middle")
"""which of the decays that are best on the validation images L-BFGS takes"""

LATER = (
    "protocol", "norm", "lbfgs_ties", "augmented_rates", "few_shot_draw",
    "lbfgs_c", "lbfgs_c_ends", "lbfgs_bias_decays", "fit_dtype",
    "lars_rates", "lars_epochs", "lars_warmup", "lars_batch",
    "attentive_rates", "attentive_decay", "attentive_epochs", "attentive_least_steps",
)  # fmt: skip
"""fields of `Recipe` that version 0.1 did not have"""


@dataclass(frozen=True)
class Recipe:
    """What the benchmark fixes (Sariyildiz et al., ICCV 2021, and its public code naver/cog).

    Every result carries a hash of it: results of different recipes are never mixed.
    """

    # images (section 3.3 of the paper; the public test lists)
    test_per_class: int = 50
    min_train: int = 732
    max_train: int = 1300
    split_seed: int = 22  # ours: the official split is a list, not a seed

    # probe (public code: logreg.py, feature_ops.py, main_logreg.py)
    validation_share: float = 0.2
    trials: int = 30
    trials_per_round: int = 10  # ours, trained together; officially 1: each knows all before
    lr_low: float = 1e-1
    lr_high: float = 1e2
    wd_low: float = 1e-12
    wd_high: float = 1e-4
    epochs: int = 100
    batch_size: int = 1024
    momentum: float = 0.9

    norm: str = "l2"  # of the features, one of NORMS; officially to length 1
    products: str = "float32"  # of SGD's matrices, one of PRODUCTS
    few_shot_draw: str = "once"  # of N shots, one of FEW_SHOT_DRAWS; officially anew to end with

    # of an option that version 0.1 had: stored results were hashed with these, so they stay as is
    sgd_early_stop: bool = field(default=False, init=False, repr=False)
    sgd_stages: tuple[tuple[int, float], ...] = field(
        default=((10, 0.5), (25, 0.4), (50, 0.5)), init=False, repr=False
    )

    # L-BFGS path (ours): full-batch fits, warm-started from strong to weak decay
    lbfgs_decays: tuple[float, ...] = tuple(10 ** (-4 - half / 2) for half in range(9))  # to 1e-8
    lbfgs_early_stop: bool = True  # once the validation accuracy has fallen by its standard error
    lbfgs_ties: str = "strongest"  # of equally good decays, one of TIES
    lbfgs_tolerance: float = 1e-4  # of the objective, on the gain still possible
    lbfgs_iterations: int = 1000

    # of protocols by name alone (cog/evaluation/protocols/)
    lbfgs_c: tuple[float, ...] = ()  # in place of decays: scikit-learn's C, 1 / (decay · rows)
    lbfgs_c_ends: tuple[float, ...] = ()  # in place of both: C between two ends, by TPE
    lbfgs_bias_decays: bool = True  # scikit-learn's do not
    fit_dtype: str = "float32"  # in which L-BFGS makes its products

    # LARS behind batch norm (MAE: main_linprobe.py, with the base rate 0.1; the others are ours)
    lars_rates: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    lars_epochs: int = 90
    lars_warmup: int = 10
    lars_batch: int = 16_384

    # k nearest neighbours (DINO has 10, 20, 100, 200 and 0.07; few shots want fewer)
    knn_neighbours: tuple[int, ...] = (1, 5, 10, 20, 50, 100, 200)
    knn_temperature: float = 0.07
    knn_validation: int = 20_000  # ours: validation images, at most; enough to choose k

    # ridge regression (ours)
    ridge_penalties: tuple[float, ...] = tuple(10 ** (half / 2) for half in range(-16, 1))

    # perceptron (ours; no two papers have the same)
    mlp_hidden: int = 1024
    mlp_rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    mlp_decay: float = 1e-2
    mlp_epochs: int = 30
    mlp_least_steps: int = 300  # where few images make few batches

    # linear probe on augmented views (ours; MoCo, DINO and MAE have one rate each)
    augmented_rates: tuple[float, ...] = tuple(10 ** (half / 2) for half in range(-8, 5))

    # attention over patch tokens (CAPI has ten rates, three decays and 10 epochs of ImageNet-1K)
    attentive_rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3)
    attentive_decay: float = 1e-3
    attentive_epochs: int = 10
    attentive_least_steps: int = 300  # where few images make few batches

    protocol: str = "cog"  # the name of one of cog/evaluation/protocols/

    def __post_init__(self) -> None:
        """Refuse unknown names here, before hours of work on features."""
        if self.norm not in NORMS:
            raise unknown_name("norm", self.norm, NORMS)
        if self.lbfgs_ties not in TIES:
            raise unknown_name("rule for ties", self.lbfgs_ties, TIES)
        if self.products not in PRODUCTS:
            raise unknown_name("kind of products", self.products, PRODUCTS)
        if self.few_shot_draw not in FEW_SHOT_DRAWS:
            raise unknown_name("few-shot draw", self.few_shot_draw, FEW_SHOT_DRAWS)

    def recorded(self) -> dict[str, Any]:
        """What is written and hashed; fields of `LATER` only where they are not what 0.1 had alone.

        >>> "norm" in Recipe().recorded(), Recipe(norm="none").recorded()["norm"]
        (False, 'none')
        """
        fields = asdict(self)
        for name in LATER:
            if fields[name] == getattr(Recipe, name):
                del fields[name]
        return fields


OPTIONS = (
    "test_per_class", "min_train", "max_train",
    "trials_per_round", "lbfgs_early_stop", "products", "norm", "few_shot_draw",
)  # fmt: skip
"""the fields that are options of the commands and of `cog.evaluate`"""

_MOST_DIGITS = 9  # of a level: more are a name
SEEDS = (22, 37, 45, 77, 93)  # public code: the five seeds of every probe


CONTROLS = ("shuffled-labels", "random-features", "untrained", "raw-pixels")
"""what `cog evaluate --controls` adds to a model; cog/evaluation/controls.py says what each is"""

CONTROL_FAMILY = "control"
"""the column `family` of controls"""


def control_name(model: str, control: str) -> str:
    """What the results call a control of a model; no model's own name has a `+`."""
    return f"{model}+{control}"


def control_of(name: str) -> str:
    """The control that a model of the results is; empty for a model.

    >>> control_of("dino+untrained"), control_of("dino"), control_of("a+b")
    ('untrained', '', '')
    """
    control = name.rpartition("+")[2]
    return control if control != name and control in CONTROLS else ""


def parted(dataset: str) -> tuple[str, str]:
    """The dataset and the further test set of it that a full name has; "" for its own.

    >>> parted("in1k/v2"), parted("in1k")
    (('in1k', 'v2'), ('in1k', ''))
    """
    base, _, test_set = dataset.partition("/")
    return base, test_set


def is_refit(dataset: str) -> bool:
    """Whether a dataset is a test set with probes that are fitted on images of its own domain.

    >>> is_refit("real/sketch+refit"), is_refit("real/sketch")
    (True, False)
    """
    return dataset.endswith(REFIT)


def fitted_on(dataset: str) -> str:
    """The dataset whose training images the probes of a dataset learn from.

    >>> fitted_on("real/sketch"), fitted_on("real/sketch+refit"), fitted_on("in1k")
    ('real', 'real/sketch+refit', 'in1k')
    """
    return dataset if is_refit(dataset) else parted(dataset)[0]


def file_name(dataset: str) -> str:
    """What the names of files call a dataset or a test set; no name has an `@`.

    >>> file_name("in1k/v2"), file_name("in1k")
    ('in1k@v2', 'in1k')
    """
    return dataset.replace("/", "@")


def dataset_of_file(name: str) -> str:
    """The dataset or test set that a part of a file's name is of.

    >>> dataset_of_file("in1k@v2")
    'in1k/v2'
    """
    return name.replace("@", "/")


def level_number(dataset: str) -> int | None:
    """The number of the level that a dataset is; None for any other dataset.

    >>> level_number("cog_l3"), level_number("in1k")
    (3, None)
    """
    number = dataset.removeprefix(LEVEL)
    digits = number != dataset and number.isdecimal() and len(number) <= _MOST_DIGITS
    return int(number) if digits else None


def of_levels(dataset: str) -> bool:
    """Whether a dataset is ImageNet-1K or a level; others are labelled images of the user's.

    >>> of_levels("in1k"), of_levels("cog_l3"), of_levels("flowers")
    (True, True, False)
    """
    return dataset == IN1K or level_number(dataset) is not None
