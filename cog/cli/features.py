"""`cog probe` and `cog export`: probes on any features, and features for other code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from cog.cli.options import SectionCommand, of_features, of_output, of_probes, probe_options

_PATH = click.Path(path_type=Path)


@click.command(cls=SectionCommand, short_help="Fit probes on any features.")
@of_features("--train", required=True, help="Features to learn from.")
@of_features("--test", required=True, help="Features to score on.")
@probe_options(probes=("logreg",))
@of_probes("--device", default="auto", help="auto, cpu, cuda[:n] or mps.")
@of_output("--json/--no-json", "as_json", default=False,
           help="Print one line: a list of rows.")  # fmt: skip
def probe(train: str, test: str, device: str, as_json: bool, **options: Any) -> None:
    """Fit probes on the features of --train and score them on --test.

    Features are a store (runs/NAME/features/NAME.zarr), the official X_Y.pth ({X, Y, name}), or an
    .npz with X and Y. Labels may be any whole numbers from 0; they are renumbered if need be.

    \b
    Example:
        cog probe --train features_train/X_Y.pth --test features_test/X_Y.pth --solver lbfgs
        cog probe --train a.npz --test b.npz --probe logreg,knn --shots all,1,4 --json
    """
    from cog.cli.terminal import Terminal
    from cog.evaluation.options import pick, read_options
    from cog.evaluation.probing import probe_features
    from cog.features.exchange import read_features
    from cog.features.forward import pick_device
    from cog.probes.settings import Probing
    from cog.recipe import OPTIONS, Recipe
    from cog.storage import storage_path

    probing = pick(Probing, options)
    recipe = Recipe(**read_options(OPTIONS, options))
    rows = []
    terminal = Terminal()
    sets = read_features(storage_path(train)), read_features(storage_path(test))
    watch = terminal.percent, terminal.notify
    for row in probe_features(*sets, probing, recipe, str(pick_device(device)), *watch):
        rows.append(row)
        if not as_json:
            terminal.result({"model": sets[0].name, "dataset": sets[1].name, **row})
    if as_json:
        click.echo(json.dumps(rows))


@click.command(short_help="Write features as an official X_Y.pth.")
@click.argument("store")
@click.option("--out", type=_PATH, required=True, metavar="X_Y.pth", help="The file to write.")
def export(store: str, out: Path) -> None:
    """Write the features of STORE in the layout of the benchmark's public code.

    {"X": float32[m, d], "Y": int64[m], "name": text}, by torch.save; unreadable images are left
    out, as that code does. STORE may also be an .npz with X and Y.

    \b
    Example:
        cog export runs/dino_resnet50/features/cog_l5-train.zarr --out features_train/X_Y.pth
    """
    from cog.features.exchange import read_features, write_features
    from cog.storage import storage_path

    write_features(out, read_features(storage_path(store)))
    click.echo(out)
