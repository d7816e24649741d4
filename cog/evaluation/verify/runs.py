"""The hashes of cells against what they are made from: run.json, splits, levels, stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from cog.evaluation.verify.findings import RESTORE, Finding, Found, differing, renamed
from cog.evaluation.verify.splits import KeptSplit, split_file
from cog.features.feeder.feeding import RESIZED_ON
from cog.features.run_stores import made_from
from cog.hashes import short_hash
from cog.images.decoding import DECODERS
from cog.images.image_list import ImageList
from cog.images.pillow_simd import PILLOW_SIMD
from cog.images.truncated import TRUNCATED
from cog.images.views import MOST_VIEWS
from cog.levels.table import Levels
from cog.recipe import IN1K, level_number, of_levels
from cog.results.columns import full_name
from cog.storage import StoragePath

Rows = Mapping[StoragePath, Mapping[str, Any]]
"""the row of each cell, by its file"""
LATER = "run.json keeps those of the last run alone, so that these cannot be computed again"


def check_run(folder: StoragePath, run: Mapping[str, Any], rows: Rows) -> Iterator[Found]:
    """Whether the cells of one model are of the model, recipe and levels that run.json has."""
    path = folder / "run.json"
    model = str(run.get("model"))
    if model != folder.name:
        yield Finding(str(path), f"the model {folder.name}", model, renamed(model))
    wrong = [name for name in ("model_fingerprint", "levels") if not _is_hash(run.get(name))]
    for name in wrong:
        yield Finding(str(path), f"a sha256 as {name}", str(run.get(name))[:80], RESTORE)
    if not rows or wrong:
        return
    fingerprint, levels = run["model_fingerprint"][:16], run["levels"][:16]
    yield from differing(rows, "model_fingerprint", [fingerprint], path)
    yield from differing(rows, "dim", [run.get("dim")], path)
    yield from differing(rows, "seen_data", [run.get("seen_data")], path)
    yield from _other_recipes(rows, run, path)
    of_any = {file: row for file, row in rows.items() if of_levels(full_name(row))}
    yield from differing(of_any, "levels_hash", [levels], path, may_change=LATER)


def _other_recipes(rows: Rows, run: Mapping[str, Any], path: StoragePath) -> Iterator[Found]:
    """The cells of other recipes than run.json has, for all datasets or for one of a suite."""
    recipes: Mapping[str, Any] = run.get("recipes") or {}
    every: dict[str, dict[StoragePath, Mapping[str, Any]]] = {}
    for file, row in rows.items():
        names = (full_name(row), row["dataset"])
        name = next((name for name in names if name in recipes), "")
        every.setdefault(name, {})[file] = row
    for name, own in every.items():
        recipe = short_hash(recipes[name] if name else run.get("recipe"))
        yield from differing(own, "recipe_hash", [recipe], path, may_change=LATER)


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64


def check_features_hash(
    folder: StoragePath,
    run: Mapping[str, Any],
    rows: Rows,
    kept: KeptSplit,
    stores: Sequence[Mapping[str, Any]],
) -> Iterator[Found]:
    """Whether the cells of one model on one dataset are of the features that they name.

    `stores`: the fingerprints of the training and the test store, where both are kept. Else they
    are made again from run.json and the split, with every decoder, each way with truncated
    images, compiled and not, and resized on either device: run.json keeps the last ones.
    """
    row = next(iter(rows.values()))
    if len(stores) == len(kept.split.feature_lists):
        hashes, source = [short_hash(list(stores))], str(folder / "features")
    else:
        made = possible_fingerprints(run, row, kept.split.feature_lists)
        hashes, source = [short_hash(each) for each in made], str(folder / "run.json")
    if any(row.get("features_hash") not in hashes for row in rows.values()):
        yield from differing(rows, "features_hash", hashes[:1], source)


def possible_fingerprints(
    run: Mapping[str, Any], row: Mapping[str, Any], lists: Sequence[ImageList]
) -> list[list[dict[str, Any]]]:
    """The fingerprints that the features of some lists may have, in each way to make them.

    Of a `row` and run.json these are the model, the preprocessing, the precision and the dtype.
    """
    model, preprocess = run.get("model_fingerprint", ""), run.get("preprocess", {})
    how, views = (str(row.get("precision")), str(row.get("dtype"))), views_of(run)
    tokens = run["tokens"] if isinstance(run.get("tokens"), int) else 1
    return [
        [
            made_from(
                model,
                preprocess,
                images,
                *how,
                decoder,
                truncated,
                compiled,
                resize_on,
                views if images.split == "train" else 0,
                tokens,
            )
            for images in lists
        ]
        for decoder, truncated, compiled, resize_on in product(
            (*DECODERS, PILLOW_SIMD), TRUNCATED, (False, True), RESIZED_ON
        )
    ]


def views_of(run: Mapping[str, Any]) -> int:
    """Augmented views of each training image, as run.json has them."""
    extraction = run.get("extraction")
    views = extraction.get("views", 0) if isinstance(extraction, Mapping) else 0
    return views if isinstance(views, int) and 0 <= views <= MOST_VIEWS else 0


def check_split_hash(
    runs: StoragePath, dataset: str, rows: Rows, kept: KeptSplit
) -> Iterator[Found]:
    """Whether the cells of a dataset, of all models, are of the split that is kept."""
    yield from differing(rows, "split_hash", [kept.hash], split_file(runs, dataset, "*"))


def wanted_classes(levels: Levels, dataset: str) -> tuple[str, ...]:
    """The sorted wnids of a dataset; none where the levels do not have it."""
    if dataset == IN1K:
        return levels.seen
    number = level_number(dataset)
    return levels.wnids(number) if number in levels.numbers else ()
