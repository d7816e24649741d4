"""A runs folder with odd names, concepts and trials, and its page: for tests of `cog report`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cog.levels.files import read_levels
from cog.levels.table import Levels
from cog.report.build import write_page
from cog.report.page_data import PageData, read_page_data
from cog.results.columns import full_name
from cog.results.distances import distances_folder
from tests.support.result_rows import DATASETS, ODD_NAMES, made_rows, write_runs

MODELS = (*ODD_NAMES, "plain", "another")
SEEDS = (22, 37)
NEAR = dict(zip(DATASETS, (1.0, 0.845, 0.692, 0.575, 0.445, 0.198), strict=True))


@dataclass(frozen=True, eq=False)
class Made:
    """The folder, what was read of it, and the page."""

    runs: Path
    levels: Levels
    data: PageData
    page: Path


def made_page(folder: Path) -> Made:
    """Seven models on six datasets with two numbers of shots and two seeds, and its page."""
    levels = read_levels()
    rows = made_rows(MODELS, shots=(4, "all"), seeds=SEEDS)
    levels_hash = levels.fingerprint[:16]
    for row in rows:
        row["levels_hash"] = levels_hash
        row |= {"lr": 0.1 * 2, "wd": 10.0**-2}  # the second trial of write_runs
        if row["model"] == "another":
            row["complete"] = False
    runs = write_runs(folder / "runs", rows)
    write_distances(runs, NEAR)
    for seed in SEEDS:
        write_classes(runs / "model-0", levels, seed)
    data = read_page_data(runs, levels)
    return Made(runs, levels, data, write_page(data, levels, folder / "report.html"))


def write_distances(runs: Path, near: dict[str, float]) -> None:
    """How near each dataset is to the seen concepts, as a run keeps it."""
    folder = distances_folder(runs)
    folder.mkdir(parents=True)
    for dataset, similarity in near.items():
        document = {"similarity": similarity, "seen_similarity": similarity / 2}
        (folder / f"{dataset}.json").write_text(json.dumps(document), encoding="utf-8")


def write_classes(model: Path, levels: Levels, seed: int) -> None:
    """Accuracies by concept of one model: of each level the first ten concepts."""
    for level in levels.numbers:
        wnids = levels.rows(level)["wnid"].head(10)
        lines = [f"{wnid},50,{(7 * place + seed) % 100}" for place, wnid in enumerate(wnids)]
        path = model / "classes" / f"cog_l{level}--logreg-sgd--all--{seed}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["wnid,n_test,top1", *lines, ""]), encoding="utf-8")


def held(page: Path, name: str) -> Any:
    """What a page has in its script element of that id."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text)
    assert found is not None
    return json.loads(found.group(1))


def table_of(columns: dict[str, Any]) -> pd.DataFrame:
    """Columns as a page has them, as a table again."""
    return pd.DataFrame(
        {
            name: column
            if isinstance(column, list)
            else [column["values"][code] for code in column["codes"]]
            for name, column in columns.items()
        },
        dtype=object,
    )


DOMAINS = ("v2", "r", "a", "sketch", "real")
TASKS = (
    "aircraft", "cars", "dtd", "eurosat", "flowers", "pets", "food101", "sun397", "inat2018",
    "inat2019",
)  # fmt: skip


def three_axes_rows(models: tuple[str, ...] = ("dino", "resnet50", "moco")) -> list[dict[str, Any]]:
    """Concepts by SGD, five further test sets, ten tasks of which eight are by L-BFGS."""
    rows = made_rows(models, seeds=SEEDS)
    for number, name in enumerate(DOMAINS):
        own = made_rows(models, ("in1k",), seeds=SEEDS, seed=number)
        rows += [
            row | {"test_set": name, "top1": row["top1"] - 8 * number, "split_hash": name}
            for row in own
        ]
    for name in TASKS:
        own = made_rows(models, (name,), seeds=SEEDS, seed=len(name))
        small = {} if name.startswith("inat") else {"solver": "lbfgs", "norm": "none"}
        metric = {"metric": "mean_class"} if name in ("aircraft", "flowers", "pets") else {}
        rows += [
            row | small | metric | {"mean_class": row["top1"] - 3}
            for row in own
            if (name, row["model"]) != ("inat2019", models[-1])
        ]
    levels_hash = read_levels().fingerprint[:16]
    of_levels = {"in1k", *DATASETS}
    return [
        row | {"levels_hash": levels_hash if full_name(row) in of_levels else ""} for row in rows
    ]
