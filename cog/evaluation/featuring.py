"""The features of one dataset in a run: made, with what is written beside them, or removed."""

from __future__ import annotations

from collections.abc import Sequence

from cog.datasets.dataset import Dataset
from cog.datasets.splits import write_split
from cog.evaluation.plan import Plan
from cog.features.bad_images import record_bad_images
from cog.features.executors.executor import Executor
from cog.features.executors.share import ALL, Share
from cog.features.extract import Stores, describe_devices, extract
from cog.features.model_run import ModelRun, write_model_run
from cog.features.run_stores import store_path
from cog.features.same_images import same_images_note
from cog.features.store.files import remove_store
from cog.images.image_list import ImageList
from cog.progress import Progress
from cog.recipe import of_levels, parted


def discard_features_of(plan: Plan, datasets: Sequence[Dataset]) -> None:
    """Remove the features of some datasets of a plan."""
    settings = plan.extraction
    for model_run in plan.extracted:
        for dataset in datasets:
            for images in dataset.own_lists:
                remove_store(store_path(model_run, dataset.name, images.split, settings))


def make_features(
    plan: Plan,
    dataset: Dataset,
    lists: Sequence[ImageList],
    model_runs: Sequence[ModelRun],
    executor: Executor,
    progress: Progress,
    share: Share = ALL,
) -> list[Stores]:
    """Make features of one dataset; writes run.json, the split, and lists of bad images."""
    devices = describe_devices(model_runs, executor)
    for model_run in (run for run in plan.model_runs if run.of_features in model_runs):
        write_model_run(model_run, {**devices[model_run.of_features], **plan.settings})
    write_split(dataset.split, plan.out / "splits", dataset.name)
    name = dataset.of_features
    stores = extract(model_runs, name, lists, plan.extraction, executor, progress, share)
    own = dataset.own_lists
    pairs = zip(lists, stores, strict=True)
    first = [of_list[model_runs[0]] for images, of_list in pairs if any(images is o for o in own)]
    for line in record_bad_images(plan.out, dataset.name, own, first):
        progress.notify(line)
    if len(stores) == 2 and not of_levels(parted(dataset.name)[0]):
        train, test = (
            (images, of[model_runs[0]]) for images, of in zip(lists, stores, strict=True)
        )
        whole = not (train[1].missing_chunks() or test[1].missing_chunks())
        if whole and (note := same_images_note(dataset.name, train, test)):
            progress.notify(note)
    return stores
