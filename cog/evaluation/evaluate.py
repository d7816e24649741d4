"""The protocol: a pretrained network in, accuracy on ImageNet-1K, levels and own datasets out.

In: models, levels, images, any labelled images. Out: one JSON file per cell, and runs/results.csv.

- A cell is one result: model × dataset × probe × solver × shots × seed (cog/evaluation/cells.py).
  It is done when its file exists with the hashes asked for now: recipe, levels, split, features.
- For each dataset, one pass over the images makes the features that models still need; then every
  probe is fitted on them. Each cell is written when it is done.
- Several workers on one folder divide chunks and cells by their numbers
  (cog/features/executors/share.py). A worker does not wait for the others: it makes its chunks of
  all datasets, then fits those of its cells whose features are there. A run without a share does
  the rest.
- Nothing is chosen on test images: a probe uses them only for its metrics.

Source: Sariyildiz et al., ICCV 2021, section 4; its public code naver/cog.
Cost: one forward pass per image and model, then what the probes cost.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from cog.datasets.dataset import Dataset, Named, Source
from cog.errors import Interrupted
from cog.evaluation.cells import PROTOCOL, Cell, with_what_mistakes_cost
from cog.evaluation.distances import write_distances
from cog.evaluation.featuring import discard_features_of, make_features
from cog.evaluation.fits import lists_needed
from cog.evaluation.models import ModelLike
from cog.evaluation.plan import Plan, plan_from
from cog.evaluation.probing import probe_cells
from cog.features.executors.device import Device
from cog.features.executors.executor import Executor, executor_for
from cog.features.executors.share import ALL, Share
from cog.features.extract import Stores
from cog.features.feeder.processes import pools_kept
from cog.features.model_run import sweep_runs
from cog.features.store.store import FeatureStore
from cog.interruption import in_order
from cog.progress import Progress, Silent
from cog.recipe import SEEDS, Recipe
from cog.results.distances import with_distance
from cog.results.files import write_results
from cog.results.suites import write_suites
from cog.results.table import tidy


def evaluate(
    model: ModelLike | Sequence[ModelLike],
    *,
    name: str | Sequence[str] = (),
    weights: str | Path | None = None,
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
    executor: str = "here",
    probes: str | Sequence[str] = ("logreg", "knn", "ncm", "retrieval"),
    solver: str = "sgd",
    shots: str | Sequence[int | None] = (None,),
    shots_validation: str = "official",
    seeds: str | Sequence[int] = SEEDS,
    trials_per_round: int | None = None,
    lbfgs_early_stop: bool | None = None,
    products: str | None = None,
    norm: str | None = None,
    recipe: Recipe | None = None,
    controls: bool = False,
    out: str | Path = "runs",
    keep_heads: bool | None = None,
    discard_features: bool = False,
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
        pretrained: False for an untrained network, from a fixed seed.
        pool: tokens that make a transformer's feature: "cls", "avg", "cls+avg", or those of four
            layers: "last4:cls". By default the model's own.
        official_quirks: repeat the mistakes of the benchmark's published code.
        trust_checkpoint: run code in weights of a known sha256, or of a torch hub's commit.
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
        executor: "here", or "ray" for a Ray cluster.
        probes: probes to fit; see `cog evaluate --help`.
        solver: of logreg: "sgd" (the official protocol) or "lbfgs".
        shots: training images per class; None, or "all" in text, for all of them.
        shots_validation: where N shots validate: on others ("official") or "within" the N.
        seeds: seeds of the probes.
        trials_per_round: SGD trials trained together. By default the recipe's, 10.
        lbfgs_early_stop: end the path of decays once validation falls. By default the recipe's,
            True.
        products: of SGD's matrices: "float32", "tf32", "bfloat16" or "float16". By default the
            recipe's, "float32".
        norm: of features, for logreg, ridge and mlp: "l2" (to length 1, the recipe's default),
            "none", or "standard" (each number by mean and deviation of the training images).
        recipe: numbers of the protocol, where no other argument gives one; else the official ones.
        controls: add to each model its controls, as rows of models called NAME+CONTROL:
            shuffled-labels, random-features and untrained; and images+raw-pixels. They are outside
            of ranks and means.
        out: folder or URL of the results.
        keep_heads: keep the fitted layers, by which later test sets are scored. By default those of
            at most 16 MiB, and all where there are test sets.
        discard_features: remove the features of a dataset once its cells are done.
        progress: what watches the run. By default nothing is shown.

    Returns:
        The cells asked for, with the columns of `cog.results.columns`; accuracies in percent.

    Raises:
        CogError: whatever stops the run, with what to do about it.
    """
    given = dict(locals())  # every argument by its name, as the command line has its options
    return run_plan(plan_from(given), progress or Silent(), discard_features=discard_features)


@in_order()
@pools_kept()
def run_plan(
    plan: Plan, progress: Progress, share: Share = ALL, discard_features: bool = False
) -> pd.DataFrame:
    """Do what is not done of a plan, or of one worker's share; gives the rows of its cells.

    For a plan without cells it makes the features of every model, and there are no rows.
    """
    sweep_runs(plan.out, plan.model_runs)
    cells = len(share.of(plan.cells))
    rows: list[dict[str, Any]] = []
    distances = write_distances(plan, progress.notify)
    write_suites(plan.out, plan.suites)
    try:
        with executor_for(plan.extraction, plan.devices, progress) as executor:
            for datasets in plan.groups() if share.is_all else [plan.datasets]:
                for row in _rows(plan, datasets, executor, progress, share):
                    rows.append(with_distance(row, distances))
                    progress.result(row)
                if rows:
                    write_results(plan.out, PROTOCOL, progress.notify)
                if discard_features:
                    discard_features_of(plan.extracted, datasets)
    except KeyboardInterrupt as error:
        if rows:
            write_results(plan.out, PROTOCOL, progress.notify)
        done = f"; {len(rows)} of {cells} cells done" if cells else ""
        raise Interrupted(f"run the same command to go on{done}") from error
    if not share.is_all:
        progress.notify(f"worker {share}: {_outcome(plan, len(rows), cells)}")
    return tidy(with_what_mistakes_cost(plan.out, rows))


def _rows(
    plan: Plan, datasets: Sequence[Dataset], executor: Executor, progress: Progress, share: Share
) -> Iterator[dict[str, Any]]:
    """The rows of a share on some datasets: those that are done, then the others as they come.

    All features are made before the first probe is fitted. Cells that need the chunks of other
    workers are left out.
    """
    todo: dict[str, list[tuple[bool, Cell]]] = {dataset.name: [] for dataset in datasets}
    for number, cell in enumerate(plan.cells):
        if cell.dataset in todo:
            row = cell.finished()
            if row is None:
                todo[cell.dataset].append((share.has(number), cell))
            elif share.has(number):
                yield row
    stores = {}
    for dataset in datasets:
        wanted = [cell for _, cell in todo[dataset.name]]
        if model_runs := plan.wanted_features(wanted):
            lists = lists_needed(dataset, wanted)
            stores[dataset.name] = make_features(
                plan, dataset, lists, model_runs, executor, progress, share
            )
    for dataset in datasets:
        own = [cell for is_own, cell in todo[dataset.name] if is_own]
        fits = _fits(plan, dataset, own, stores.get(dataset.name, []), progress, share)
        yield from executor.each(_fit, fits)


Fit = tuple[Plan, Sequence[FeatureStore]]
"""the cells of one model on one dataset, and the stores of its training and test features"""


def _fits(
    plan: Plan,
    dataset: Dataset,
    cells: Sequence[Cell],
    stores: Sequence[Stores],
    progress: Progress,
    share: Share,
) -> Iterator[tuple[Fit, Sequence[int]]]:
    """The cells of each model, by their indices; without those that wait for features."""
    for model_run in dict.fromkeys(cell.model_run for cell in cells):
        alone = tuple(cell for cell in cells if cell.model_run is model_run)
        pair = [of_list[model_run.of_features] for of_list in stores]
        missing = 0 if share.is_all else sum(len(store.missing_chunks()) for store in pair)
        if missing:
            name = f"{model_run.model.name} {dataset.name}"
            progress.notify(f"{name}: {missing} chunks are not made yet; {len(alone)} cells wait")
        else:
            one = replace(plan, model_runs=(model_run,), datasets=(dataset,), cells=alone)
            yield (one, pair), range(len(alone))


def _fit(fit: Fit, indices: Sequence[int], device: Device) -> Generator[dict[str, Any], None, None]:
    """Fit some of the cells; gives their rows."""
    plan, stores = fit
    cells = [plan.cells[index] for index in indices]
    yield from probe_cells(plan, plan.datasets[0], stores, cells, device)


def _outcome(plan: Plan, done: int, cells: int) -> str:
    """What a worker has done of its share, and what finishes the run."""
    if not plan.cells:
        left = sum(len(FeatureStore.open(path).missing_chunks()) for path in plan.store_paths())
        others = f"; {left} chunks of other workers are not made yet" if left else ""
        return f"all its chunks are made{others}"
    waiting = cells - done
    return (
        f"{done} of its {cells} cells are done"
        + (f"; {waiting} wait for the chunks of other workers" if waiting else "")
        + ". When all workers have ended, the same command without --worker does what is left and "
        "writes results.csv" + (" (or run all of them again)" if waiting else "")
    )
