"""Files that come from outside, one kind each: which files, and what reads them."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cog.csv_text import table_as_csv
from cog.errors import CogError
from tests.support.image_files import make_nested, make_parquet, make_shards
from tests.torture.jobs import CLASSES

LEVEL = sorted(CLASSES)
_OPTIONS = "--test-per-class 2 --min-train 3"


@dataclass(frozen=True)
class Reader:
    """One kind of file.

    Args:
        pattern: the files, below the folder of inputs; one of them is damaged at a time.
        read: reads what is in that folder; CogError where it refuses.
        command: the command line that reads it too, now and then.
        text: it is a text, whose words and numbers are exchanged too.
        same: what is read is what was read before the damage, or it is refused.
    """

    pattern: str
    read: Callable[[Path], Any]
    command: str = ""
    text: bool = False
    same: bool = False


def make_inputs(folder: Path) -> None:
    """Add to a benchmark (`make_benchmark`) the other files that are read."""
    import torch

    images = {
        str(path.relative_to(folder / "images")): path.read_bytes()
        for path in sorted((folder / "images").glob("*/*"))
    }
    make_nested(folder / "nested", images)
    make_shards(folder / "shards", images)
    make_parquet(folder / "parquet", images)
    make_parquet(folder / "packed", images, compression="snappy", suffix=False)
    for name in ("shards", "packed"):
        (folder / name / "synsets.txt").write_text("\n".join(LEVEL) + "\n")
    lines = [f"images/{path} {LEVEL.index(path[:9])}\n" for path in images]
    (folder / "synsets.txt").write_text("\n".join(LEVEL) + "\n")
    (folder / "all.txt").write_text("".join(lines))
    (folder / "lists").mkdir()
    (folder / "lists" / "all.txt").write_text(
        "".join(line.removeprefix("images/") for line in lines[::2])
    )
    (folder / "counts.csv").write_text("wnid,images\n" + "".join(f"{w},9\n" for w in LEVEL))
    split = {
        w: {
            part: np.array(sorted(p for p in images if p.startswith(w))[rows])
            for part, rows in (("train", slice(2, 5)), ("test", slice(0, 2)))
        }
        for w in LEVEL
    }
    for protocol in (0, 2, 4):
        (folder / f"split-{protocol}.pkl").write_bytes(pickle.dumps(split, protocol))
    (folder / "mapping.pkl").write_bytes(pickle.dumps([LEVEL[:2], LEVEL[2:]]))
    x, y = np.random.default_rng(0).normal(size=(24, 6)).astype("f4"), np.repeat(np.arange(3), 8)
    np.savez(folder / "a.npz", X=x, Y=y)
    np.savez_compressed(folder / "b.npz", X=x.astype("f2"), Y=y.astype("i4"))
    torch.save({"X": torch.from_numpy(x), "Y": torch.from_numpy(y), "name": "a"}, folder / "a.pth")
    torch.save({"state_dict": {"a.weight": torch.from_numpy(x)}, "epoch": 3}, folder / "w.pth.tar")
    torch.save({"w": torch.from_numpy(x)}, folder / "old.pth", _use_new_zipfile_serialization=False)
    from safetensors.torch import save_file

    save_file({"a.weight": torch.from_numpy(x)}, folder / "w.safetensors")
    from cog.results.files import as_parquet, fold

    (folder / "results.csv").write_bytes((folder / "done" / "results.csv").read_bytes())
    (folder / "results.parquet").write_bytes(as_parquet(fold(folder / "done")))


def _images(name: str, folder: Path) -> list[bytes]:
    from cog.images.find import find_images
    from cog.images.image_list import choose, read_bytes

    listing = find_images(folder / name, LEVEL, skip_damaged=True)
    rows = {wnid: np.arange(len(paths)) for wnid, paths in listing.paths.items()}
    images = choose(listing, rows, "train")
    return [read_bytes(images, row) for row in range(len(images))]


def _tars_indexed(folder: Path) -> list[bytes]:
    return _images("tars", folder)


def _split_pickle(folder: Path) -> None:
    from cog.datasets.official_pickles import read_split_file

    for file in folder.glob("split-*.pkl"):
        read_split_file(file, LEVEL)


def _mapping(folder: Path) -> None:
    from cog.datasets.official_pickles import refuse_another_mapping

    refuse_another_mapping(folder / "mapping.pkl", {1: LEVEL[:2], 2: LEVEL[2:]})


def _features(name: str, folder: Path) -> None:
    """Read them, and fit the cheapest probe, as labels of any size must end there."""
    from cog.evaluation.probing import probe_features
    from cog.features.exchange import read_features
    from cog.probes.settings import Probing
    from cog.recipe import Recipe

    found = read_features(folder / name)
    probing = Probing(probes=("ncm",), seeds=(22,))
    for _ in probe_features(found, found, probing, Recipe(), "cpu", _unwatched):
        pass


def _unwatched(_: str) -> Callable[[int, int], None]:
    return lambda *_: None


def _weights(folder: Path) -> None:
    from cog.models.weights.reading import read_safely

    for name in ("w.pth.tar", "old.pth", "w.safetensors"):
        read_safely(folder / name)


def _results(name: str, folder: Path) -> None:
    """Read them, and show one table of eight in every view and format."""
    from cog.results.files import read_results
    from cog.results.views import FORMATS, VIEWS, Shown

    found = read_results(folder / name, (), lambda _: None)
    if zlib.crc32(table_as_csv(found).encode()) % 8:
        return
    for view in VIEWS.values():
        shown = Shown(view, found, str(found["model"][0]), lambda _: None)
        for form in FORMATS.values():
            with suppress(CogError):  # a view may need results that are not there
                form(shown).encode()


def _page(folder: Path) -> None:
    import json

    from cog.levels.files import read_levels
    from cog.report.build import page_values
    from cog.report.page_data import as_columns, read_page_data

    data = read_page_data(folder / "done", read_levels(folder / "levels"), lambda _: None)
    json.dumps([page_values(data, None), as_columns(data.results)], allow_nan=False).encode()


def _levels(folder: Path) -> None:
    from cog.levels.check import check_levels
    from cog.levels.files import read_levels

    check_levels(folder / "levels")
    read_levels(folder / "levels", verify=False)


def _store(folder: Path) -> list[Any]:
    from cog.features.store.store import FeatureStore
    from cog.features.store.verify import find_stores, summarise, verify

    read = []
    for path in find_stores(folder / "done"):
        verify(path)
        summarise(path).lines()
        store = FeatureStore.open(path)
        x, y = store.read()
        read.append((str(path), str(x.dtype), x.tobytes(), y.tobytes()))
    return read


def _official_list(folder: Path) -> None:
    from cog.datasets.official_lists import read_lists

    read_lists(folder / "lists", LEVEL)


def _concepts(folder: Path) -> None:
    from cog.wordnet.concept_lists import read_wnids

    read_wnids(folder / "eligible.txt")


def _counts(folder: Path) -> None:
    from cog.wordnet.concept_lists import read_counts

    read_counts(folder / "counts.csv")


def nothing(_: Path) -> None:
    """Read by the command alone."""


_CHECK = f"check-data {{}} --levels levels {_OPTIONS}"
READERS: dict[str, Reader] = {
    "tars": Reader("tars/*.tar", partial(_images, "tars"), _CHECK.format("tars")),
    "tars of tars": Reader("nested/*.tar", partial(_images, "nested"), _CHECK.format("nested")),
    "shards": Reader("shards/*.tar", partial(_images, "shards"), _CHECK.format("shards")),
    "Parquet": Reader("parquet/data/*.parquet", partial(_images, "parquet"),
                      _CHECK.format("parquet")),
    "packed Parquet": Reader("packed/data/*.parquet", partial(_images, "packed"),
                             _CHECK.format("packed")),
    "indexes": Reader("tars/.cog-index/*.index", _tars_indexed, same=True),
    "lists of images": Reader("all.txt", partial(_images, "all.txt"), _CHECK.format("all.txt"),
                              text=True),
    "lists of classes": Reader("synsets.txt", partial(_images, "all.txt"), text=True),
    "split pickles": Reader("split-*.pkl", _split_pickle,
                            f"{_CHECK.format('images')} --split split-2.pkl"),
    "mapping pickles": Reader("mapping.pkl", _mapping),
    "split lists": Reader("lists/*.txt", _official_list,
                          f"{_CHECK.format('images')} --split lists",
                          text=True),
    "npz": Reader("a.npz", partial(_features, "a.npz")),
    "packed npz": Reader("b.npz", partial(_features, "b.npz")),
    "X_Y.pth": Reader("a.pth", partial(_features, "a.pth")),
    "weights": Reader("w.*", _weights),
    "old weights": Reader("old.pth", _weights),
    "cells": Reader("done/*/cells/*.json", partial(_results, "done"), "results done --wide",
                    text=True),
    "cells on a page": Reader("done/*/c*/*.*", _page, text=True),
    "results.csv": Reader("results.csv", partial(_results, "results.csv"), "results results.csv",
                          text=True),
    "results.parquet": Reader("results.parquet", partial(_results, "results.parquet")),
    "levels": Reader("levels/*", _levels, "levels explore levels --out explorer.html", text=True),
    "stores": Reader("done/*/features/*/**/*", _store, "store verify done", same=True),
    "lists of concepts": Reader("eligible.txt", _concepts, text=True),
    "image counts": Reader("counts.csv", _counts, text=True),
    "run.json": Reader("done/*/run.json", nothing,
                       f"extract --model nets.py:load --images images --levels levels {_OPTIONS} "
                       "--device cpu --workers 1 --out done", text=True),
}  # fmt: skip
