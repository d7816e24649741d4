"""The protocol: a pretrained network in, accuracy on ImageNet-1K, levels and own datasets out.

In: models, levels, images, any labelled images. Out: one JSON file per cell, and runs/results.csv.
Its arguments are the options of the command line; `plan_from` makes a plan of them, and `run_plan`
does it.

- Nothing is chosen on test images: a probe uses them only for its metrics.

Source: Sariyildiz et al., ICCV 2021, section 4; its public code naver/cog.
Cost: one forward pass per image and model, then what the probes cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from cog.datasets.dataset import Named, Source
from cog.evaluation.models import ModelLike
from cog.evaluation.options import read_list
from cog.evaluation.plan import plan_from
from cog.evaluation.run import run_plan
from cog.progress import Progress, Silent
from cog.recipe import SEEDS, Recipe


def evaluate(
    model: ModelLike | Sequence[ModelLike],
    *,
    name: str | Sequence[str] = (),
    weights: str | Path | None = None,
    weights_key: str | None = None,
    pretrained: bool = True,
    pool: str | None = None,
    official_quirks: bool = False,
    trust_checkpoint: bool = False,
    images: str | Path | None = None,
    in1k: str | Path | None = None,
    datasets: Mapping[str, Source] | Sequence[Named] = (),
    test_sets: Mapping[str, Source] | Sequence[Named] = (),
    refit_shots: str | Sequence[int | None] = (),
    metrics: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    synsets: Mapping[str, str | Path] | Sequence[tuple[str, str | Path]] = (),
    suites: str | Sequence[str] = (),
    data: str | Path | None = None,
    download: bool = False,
    split: str | Path | None = None,
    image_key: str | None = None,
    levels: str | Path | None = None,
    only: str | Sequence[str] = (),
    allow_missing: bool = False,
    test_per_class: int | None = None,
    min_train: int | None = None,
    max_train: int | None = None,
    device: str = "auto",
    precision: str = "fp32",
    compile: bool = False,
    dtype: str = "float16",
    batch_size: int | None = None,
    decoder: str = "torchvision",
    truncated: str = "read",
    resize_on: str = "cpu",
    workers: int | None = None,
    feed: str = "auto",
    chunk_rows: int | None = None,
    tokens: str = "",
    views: int = 0,
    executor: str = "here",
    protocol: str | None = None,
    probes: str | Sequence[str] | None = None,
    solver: str | None = None,
    shots: str | Sequence[int | None] | None = None,
    shots_validation: str = "official",
    seeds: str | Sequence[int] = SEEDS,
    trials_per_round: int | None = None,
    lbfgs_early_stop: bool | None = None,
    products: str | None = None,
    norm: str | None = None,
    few_shot_draw: str | None = None,
    recipe: Recipe | None = None,
    controls: bool = False,
    out: str | Path = "runs",
    keep_heads: bool | None = None,
    discard_features: bool = False,
    log: str | Sequence[str] = (),
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Accuracy of frozen features on ImageNet-1K, levels and own datasets, one row per cell.

    Takes over what an earlier run with the same `out` finished. Usable inside a training script:
    the network's mode, its weights and the global random state stay as they were. Lists may also
    come as text, such as `only="L1,L5"`.

    Args:
        model: a name that `cog.load_model` takes, a `cog.Model`, or several of them.
        name: what to call the model in `out`, one a model. By default its own name.
        weights: file to read the weights from, for a model given by name.
        weights_key: which of a file's sets of weights, such as "model_ema"; see `cog.load_model`.
        pretrained: False for an untrained network, from a fixed seed.
        pool: tokens that make a transformer's feature: "cls", "avg", "cls+avg", or those of four
            layers: "last4:cls". By default the model's own.
        official_quirks: repeat the mistakes of the benchmark's published code.
        trust_checkpoint: run code in weights of a known sha256, or of a commit: see `load_model`.
        images: images of the levels: folders `<wnid>/*`, tars `<wnid>.tar`, a tar of those,
            WebDataset or Parquet shards, or a list. Without it, the levels are left out.
        in1k: ImageNet-1K, a folder with train/ and val/. Without it, in1k is left out.
        datasets: any labelled images, {name: source}; see `cog evaluate --help` for sources. A
            source may also be a function, as in file.py:function.
        test_sets: further test images of datasets, {"in1k/v2": source}; their classes are matched
            by name, by wnid, or by number.
        refit_shots: also refit heads on so many images a class of each test set's own domain.
        metrics: the headline metrics of datasets, {name: "mean_class"}. By default the one that
            the field uses for a dataset of torchvision, else "top1".
        synsets: tables by `cog synsets` with the synsets of datasets' classes, {name: path}, from
            which rows say how near these are to the seen ones. Classes that are wnids need none.
        suites: sets that papers report together: "cog", "transfer", "shift" or a TOML file.
        data: the folder where the sets of suites lie.
        download: download the files of "torchvision:NAME@ROOT" that are not there.
        split: official test lists, a folder or the pickle. Without it, a seeded split.
        image_key: the field of WebDataset samples that is their image: "seg.png" of KEY.seg.png.
        levels: folder that `cog build-levels` wrote. By default the official levels.
        only: datasets to evaluate: "in1k", "L1", own names, …; empty for all.
        allow_missing: go on without classes that are missing or have too few images.
        test_per_class: test images per class. By default the recipe's, 50.
        min_train: training images that a class needs. By default the recipe's, 732.
        max_train: training images used of a class, at most. By default the recipe's, 1300.
        device: "auto", "cpu", "mps", "cuda", "cuda:1", or several with commas between them: then
            a process for each makes features, and a network that is given stays where it is.
        precision: of the network: "fp32", "tf32" (a GPU from Ampere on), "bf16" or "fp16".
        compile: by torch.compile, which takes longer to start. The network given is not changed.
        dtype: of the features on disk: "float16" or "float32".
        batch_size: images in a forward pass. By default 64 on a CPU, 256 on a GPU.
        decoder: of JPEGs: "torchvision", "pillow" or, with resize_on="device", "nvjpeg".
        truncated: images that are cut off or broken: "read" as far as they go, as in the official
            code, or "refuse" them as unreadable.
        resize_on: where images are resized: "cpu", or "device" beside the network.
        workers: threads or processes that decode. By default one per core.
        feed: what they are: "threads", "processes" or "auto": processes for many images on a GPU.
        chunk_rows: images in a chunk of features. By default about a minute of work.
        tokens: patch tokens for the probe "attentive": "all", its default, or "grid:7" for 7 × 7
            means.
        views: random crops of each training image for the probe "augmented"; 0 gives it 8.
        executor: "here", or "ray" for a Ray cluster.
        protocol: how models are evaluated: a name of `cog protocols list`, by default "cog", the
            benchmark's own. What it fixes is refused where it is given otherwise.
        probes: probes to fit; see `cog evaluate --help`. By default logreg, knn, ncm and retrieval.
        solver: of logreg: "sgd" (the official protocol and the default) or "lbfgs".
        shots: training images per class, such as (1, 5, None); None, or "all" in text, for all of
            them, which is the default.
        shots_validation: where N shots validate: on others ("official") or "within" the N.
        seeds: seeds of the probes.
        trials_per_round: SGD trials trained together. By default the recipe's, 10.
        lbfgs_early_stop: end the path of decays once validation falls. By default the recipe's,
            True.
        products: of SGD's matrices: "float32", "tf32", "bfloat16" or "float16". By default the
            recipe's, "float32".
        norm: of features, for logreg, ridge and mlp: "l2" (to length 1, the recipe's default),
            "none", or "standard" (each number by mean and deviation of the training images).
        few_shot_draw: of N shots: the N of the search also for the final fit ("once", the recipe's
            default), or N others, and a start and batches for each trial of SGD ("official").
        recipe: numbers of the protocol, where no other argument gives one; else the official ones.
        controls: add to each model its controls, as rows of models called NAME+CONTROL:
            shuffled-labels, random-features and untrained; and images+raw-pixels. They are outside
            of ranks and means.
        out: folder or URL of the results.
        keep_heads: keep the fitted layers, by which later test sets are scored. By default those of
            at most 16 MiB, and all where there are test sets.
        discard_features: remove the features of a dataset once its cells are done.
        log: trackers that get each row of the results once: "wandb", "mlflow", "tensorboard".
        progress: what watches the run. By default nothing is shown.

    Returns:
        The cells asked for, with the columns of `cog.results.columns`; accuracies in percent.

    Raises:
        CogError: whatever stops the run, with what to do about it.
    """
    given = dict(locals())  # every argument by its name, as the command line has its options
    trackers, watched = read_list("log", log) if log else (), progress or Silent()
    plan = plan_from(given, progress.notify if progress else None)
    return run_plan(plan, watched, discard_features=discard_features, log=trackers)
