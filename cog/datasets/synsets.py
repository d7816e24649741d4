"""The synsets of datasets' classes, from the tables that the user gives: `--synsets`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cog.datasets.check.report import SYNSETS, Finding
from cog.datasets.dataset import Dataset, DatasetOptions, Synsets
from cog.errors import CogError
from cog.levels.table import Levels
from cog.small_files import read_small
from cog.wordnet.synset_table import read_synsets
from cog.wordnet.taxonomy import Taxonomy, load_taxonomy


def with_synsets(
    datasets: Sequence[Dataset], options: DatasetOptions, levels: Levels
) -> tuple[Dataset, ...]:
    """The datasets, those with a table of synsets with what it says of their classes.

    Raises:
        CogError: a table that lacks a class of its dataset, or is no such table.
    """
    tables = dict(options.synsets)
    if not any(dataset.name in tables for dataset in datasets):
        return tuple(datasets)
    taxonomy = load_taxonomy(levels.recipe["wordnet"])
    return tuple(
        replace(dataset, synsets=_read(dataset, tables[dataset.name], taxonomy))
        if dataset.name in tables
        else dataset
        for dataset in datasets
    )


def check_table(
    dataset: str, classes: Sequence[str], table: Path, taxonomy: Taxonomy
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """What is wrong with a table for the classes of a dataset, and what its user should know."""
    try:
        found = read_synsets(table, taxonomy, classes)
    except CogError as error:
        return (Finding(dataset, "", str(table), SYNSETS, error.what),), ()
    return (), tuple(f"{dataset}: {note}" for note in found.notes)


def _read(dataset: Dataset, table: Path, taxonomy: Taxonomy) -> Synsets:
    try:
        found = read_synsets(table, taxonomy, dataset.split.train.classes)
    except CogError as error:
        raise CogError(f"{dataset.name}: {error.what}", error.hint) from error
    wnids = tuple(taxonomy.wnids[i] for i in found.synsets.tolist())
    return Synsets(str(table), hashlib.sha256(read_small(table)).hexdigest(), wnids, found.notes)
