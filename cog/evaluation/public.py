"""`cog.evaluate`: the whole protocol as one function."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cog.evaluation.evaluate import run_plan
from cog.evaluation.models import ModelLike
from cog.evaluation.plan import plan_from
from cog.progress import Progress, Silent
from cog.recipe import SEEDS, Recipe


def evaluate(
    model: ModelLike | Sequence[ModelLike],
    *,
    name: str | Sequence[str] = (),
    weights: str | Path | None = None,
    pretrained: bool = True,
    pool: str | None = None,
    official_quirks: bool = False,
    trust_checkpoint: bool = False,
    images: str | Path,
    in1k: str | Path | None = None,
    split: str | Path | None = None,
    levels: str | Path | None = None,
    only: str | Sequence[str] = (),
    allow_missing: bool = False,
    test_per_class: int | None = None,
    min_train: int | None = None,
    max_train: int | None = None,
    device: str = "auto",
    precision: str = "fp32",
    dtype: str = "float16",
    batch_size: int | None = None,
    decoder: str = "torchvision",
    workers: int | None = None,
    chunk_rows: int | None = None,
    executor: str = "here",
    probes: str | Sequence[str] = ("logreg", "knn", "ncm"),
    solver: str = "sgd",
    shots: str | Sequence[int | None] = (None,),
    shots_validation: str = "official",
    seeds: str | Sequence[int] = SEEDS,
    trials_per_round: int | None = None,
    sgd_early_stop: bool | None = None,
    lbfgs_early_stop: bool | None = None,
    products: str | None = None,
    recipe: Recipe | None = None,
    out: str | Path = "runs",
    discard_features: bool = False,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Accuracy of frozen features on ImageNet-1K and on every level, one row a cell.

    Takes over what an earlier run with the same `out` finished. Usable inside a training script:
    the network's mode, its weights and the global random state stay as they were. Lists may also
    come as text, such as `only="L1,L5"`.

    Args:
        model: a name that `cog.load_model` takes, a `cog.Model`, or several of them.
        name: what to call the model in `out`; one for each model. By default its own name.
        weights: file to read the weights from, for a model given by name.
        pretrained: False for an untrained network, from a fixed seed.
        pool: tokens that make a transformer's feature: "cls", "avg", "cls+avg", or those of four
            layers: "last4:cls". By default the model's own.
        official_quirks: repeat the mistakes of the benchmark's published code.
        trust_checkpoint: run code in weights of a known sha256, or of a torch hub's commit.
        images: images of the levels: folders `<wnid>/*`, tars `<wnid>.tar`, a tar of those,
            WebDataset or Parquet shards, or a list.
        in1k: ImageNet-1K, a folder with train/ and val/. Without it, in1k is left out.
        split: official test lists, a folder or the pickle. Without it, a seeded split.
        levels: folder that `cog build-levels` wrote. By default the official levels.
        only: datasets to evaluate: "in1k", "L1", …; empty for all.
        allow_missing: go on without classes that are missing or have too few images.
        test_per_class: test images per class. By default the recipe's, 50.
        min_train: training images that a class needs. By default the recipe's, 732.
        max_train: training images used of a class, at most. By default the recipe's, 1300.
        device: "auto", "cpu", "mps", "cuda", "cuda:1", or several with commas between them.
        precision: of the network: "fp32", "bf16" or "fp16".
        dtype: of the features on disk: "float16" or "float32".
        batch_size: images in a forward pass. By default 64 on a CPU, 256 on a GPU.
        decoder: of JPEGs: "torchvision", "pillow" or "nvjpeg".
        workers: decoding threads. By default one per core.
        chunk_rows: images in a chunk of features. By default about a minute of work.
        executor: "here", or "ray" for a Ray cluster.
        probes: probes to fit; see `cog evaluate --help`.
        solver: of logreg: "sgd" (the official protocol) or "lbfgs".
        shots: training images per class; None, or "all" in text, for all of them.
        shots_validation: where N shots validate: "official", on other images; "within", on some
            of the N.
        seeds: seeds of the probes.
        trials_per_round: SGD trials trained together. By default the recipe's, 10.
        sgd_early_stop: stop SGD trials that are behind. By default the recipe's, False.
        lbfgs_early_stop: end the path of decays once validation falls. By default the recipe's,
            True.
        products: of SGD's matrices: "float32", "tf32", "bfloat16" or "float16". By default the
            recipe's, "float32".
        recipe: numbers of the protocol that no other argument gives. By default the official ones.
        out: folder or URL of the results.
        discard_features: remove the features of a dataset once its cells are done.
        progress: what watches the run. By default nothing is shown.

    Returns:
        The cells asked for, with the columns of `cog.results.columns`; accuracies in percent.

    Raises:
        CogError: whatever stops the run, with what to do about it.
    """
    given = dict(locals())  # every argument by its name, as the command line has its options
    return run_plan(plan_from(given), progress or Silent(), discard_features=discard_features)
