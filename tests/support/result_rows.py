"""Made rows of results, for the tests of tables and pages: as many as asked, from a seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cog.results.cells import write_cell
from cog.results.table import tidy

DATASETS = ("in1k", "cog_l1", "cog_l2", "cog_l3", "cog_l4", "cog_l5")
SHOTS = (1, 2, 4, 8, 16, 32, 64, 128, "all")
SEEDS = (22, 37, 45, 77, 93)
FAMILIES = ("supervised", "self-supervised", "regularized", "web-data")
MODELS = ("a", "b", "c")
ODD_NAMES = ("a,b", 'say "hi"', "<script>alert(1)</script>", "größe-模型", "100%_of & more")


def made_rows(
    models: Sequence[str],
    datasets: Sequence[str] = DATASETS,
    shots: Sequence[int | str] = ("all",),
    seeds: Sequence[int] = SEEDS,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """A row for each model × dataset × shots × seed, as `cog.evaluation.evaluate` writes them."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, model in enumerate(models):
        skill = rng.normal(scale=4)
        for step, dataset in enumerate(datasets):
            for few in shots:
                lost = 0 if few == "all" else 30 / (1 + np.log2(few))
                for one in seeds:
                    top1 = float(
                        np.clip(72 - 6 * step + skill - lost + rng.normal(scale=0.4), 1, 99)
                    )
                    rows.append(
                        {
                            "model": model, "dataset": dataset, "probe": "logreg", "solver": "sgd",
                            "shots": few, "seed": one, "n_classes": 1000, "complete": True,
                            "top1": top1, "top5": min(100.0, top1 + 15), "mean_class": top1,
                            "top1_low": top1 - 0.4, "top1_high": top1 + 0.4,
                            "seed_decides": "validation split, trials, start, batches",
                            "seen_data": "IN-1K" if number % 7 else "WIT-400M",
                            "family": FAMILIES[number % len(FAMILIES)],
                            "parameters": 23_508_032 + 1_000_000 * number,
                            "lr": 0.1, "wd": 1e-5, "n_train": 800_000, "n_validation": 200_000,
                            "n_test": 50_000, "n_unreadable": 0, "dim": 2048,
                            "feature_bytes": 4_300_800_000, "split": "official",
                            "precision": "fp32", "dtype": "float16", "device": "cuda",
                            "trials_per_round": 10, "products": "float32",
                            "protocol": "cog-1", "recipe_hash": "r" * 16, "levels_hash": "l" * 16,
                            "split_hash": f"{dataset:_<16}", "features_hash": f"{number:016}",
                            "model_fingerprint": f"{number:016}", "cog_version": "0.1.0",
                            "torch_version": "2.6.0", "timm_version": "1.0.15", "seconds": 60.0,
                        }
                    )  # fmt: skip
    return rows


def one_row(
    model: str = "a",
    dataset: str = "cog_l1",
    shots: int | str = "all",
    seed: int = 22,
    top1: float = 50.0,
    complete: bool = True,
) -> dict[str, Any]:
    """A row with what a result needs, and little else."""
    return {
        "model": model, "dataset": dataset, "probe": "logreg", "solver": "sgd", "shots": shots,
        "seed": seed, "top1": top1, "top5": top1, "n_classes": 9, "complete": complete,
        "protocol": "cog-1",
    }  # fmt: skip


def table_of(
    models: Sequence[str] = MODELS,
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda row: {},
    **options: Any,
) -> pd.DataFrame:
    """The tidy table of made rows, each with the values that `change` gives for it."""
    return tidy(row | change(row) for row in made_rows(models, **options))


def only_row(table: pd.DataFrame, **wanted: Any) -> Any:
    """The only row with these values."""
    rows = table[np.logical_and.reduce([table[name] == value for name, value in wanted.items()])]
    assert len(rows) == 1
    return rows.iloc[0]


def three_seeds(models: Sequence[str] = ("a", "b"), **options: Any) -> list[dict[str, Any]]:
    """Made rows on three datasets with three seeds."""
    given = {"datasets": DATASETS[:3], "seeds": SEEDS[:3], **options}
    return made_rows(models, **given)


def changed_rows(
    rows: Sequence[dict[str, Any]],
    wanted: dict[str, Any] | None = None,
    by: float = 0.0,
    **values: Any,
) -> list[dict[str, Any]]:
    """Copies of rows; those that match `wanted` get other values, and top-1 moves `by` points."""
    copies = [dict(row) for row in rows]
    for row in copies:
        if all(row[name] == value for name, value in (wanted or {}).items()):
            row |= values
            for name in ("top1", "top1_low", "top1_high"):
                row[name] += by
    return copies


def write_runs(runs: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Rows as the cells of a runs folder; the folder of the n-th model is called model-n."""
    names = list(dict.fromkeys(row["model"] for row in rows))
    for row in rows:
        cell = (
            f"{row['dataset']}--{row['probe']}-{row['solver']}--{row['shots']}--{row['seed']}.json"
        )
        path = runs / f"model-{names.index(row['model'])}" / "cells" / cell
        trials = [
            {"lr": 0.1 * step, "wd": 10.0**-step, "validation_top1": 50.0 + step}
            for step in (1, 2, 3)
        ]
        write_cell(path, {"hashes": {}, "row": json.loads(json.dumps(row)), "trials": trials})
    return runs
