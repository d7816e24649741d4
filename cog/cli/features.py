"""`cog probe` and `cog export`: probes on any features, and features for other code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cog.cli import completion
from cog.cli.help import GroupedCommand
from cog.cli.options import (
    of_features,
    of_machine,
    of_output,
    probe_options,
    protocol_option,
    without_defaults_of_protocols,
)
from cog.errors import CogError

if TYPE_CHECKING:
    from cog.cli.terminal import Terminal

_PATH = click.Path(path_type=Path)


@click.command(cls=GroupedCommand, short_help="Fit probes on any features.")
@of_features("--train", shell_complete=completion.path, common=True, help="Features to learn from.")
@of_features("--apply", shell_complete=completion.path, common=True, metavar="HEAD",
             help="Or a head that a fit has left: nothing is fitted. HEAD is "
                  "runs/NAME/heads/*.safetensors.")  # fmt: skip
@of_features(
    "--test",
    shell_complete=completion.path,
    common=True,
    required=True,
    help="Features to score on.",
)
@protocol_option
@probe_options(probes=("logreg",))
@of_machine(
    "--device",
    shell_complete=completion.one_of("auto", "cpu", "mps", "cuda"),
    common=True,
    default="auto",
    help="auto, cpu, cuda[:n] or mps.",
)
@of_output("--heads", shell_complete=completion.path, common=True, metavar="DIR",
           help="Keep the fitted layers of logreg, ridge and ncm here, for --apply.")  # fmt: skip
@of_output("--json/--no-json", "as_json", common=True, default=False,
           help="Print one line: a list of rows.")  # fmt: skip
def probe(
    train: str | None,
    apply: str | None,
    test: str,
    device: str,
    heads: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Fit probes on the features of --train and score them on --test, or --apply a fitted one.

    Features are a store (runs/NAME/features/NAME.zarr), the official X_Y.pth ({X, Y, name}), or an
    .npz with X and Y. Labels may be any whole numbers from 0; they are renumbered if need be.

    --apply takes the head of a fit, and answers among the classes of --test alone. These are
    matched by name where both are of runs, or where the features have `classes`, a list of names;
    else labels count the classes of the head from 0.

    \b
    Example:
        cog probe --train features_train/X_Y.pth --test features_test/X_Y.pth --solver lbfgs
        cog probe --train a.npz --test b.npz --probe logreg,knn --shots all,1,4 --json
        cog probe --train a.npz --test b.npz --protocol dinov2-logreg --seeds 22
        cog probe --apply runs/dino/heads/in1k--logreg-sgd--all--22.safetensors --test c.npz
    """
    from cog.cli.terminal import Terminal

    terminal = Terminal()
    if (train is None) == (apply is None):
        raise CogError("expected either --train or --apply", "give the one of them that is meant")
    if apply is not None:
        rows = _applied(apply, test, device, terminal)
    else:
        rows = _fitted(train, test, device, heads, options, terminal)
    shown = []
    for names, row in rows:
        shown.append(row)
        if not as_json:
            terminal.result({**names, **row})
    if as_json:
        click.echo(json.dumps(shown))


Rows = Iterator[tuple[dict[str, str], dict[str, Any]]]
"""what the table calls model and dataset, and the row"""


def _applied(head: str, test: str, device: str, terminal: Terminal) -> Rows:
    """The row of a head that was fitted before."""
    from cog.evaluation.applying import apply_head, read_named
    from cog.features.forward import pick_device
    from cog.storage import storage_path

    _refuse_options_of_fits()
    features = read_named(storage_path(test))
    where = str(pick_device(device))
    model, row = apply_head(storage_path(head), features, where, terminal.notify)
    yield {"model": model, "dataset": features.name}, row


def _fitted(
    train: str | None,
    test: str,
    device: str,
    heads: str | None,
    options: dict[str, Any],
    terminal: Terminal,
) -> Rows:
    """The rows of the probes that are asked for, as they are fitted."""
    from cog.evaluation.applying import read_named
    from cog.evaluation.options import pick, read_options
    from cog.evaluation.probing import probe_features
    from cog.evaluation.protocols.fixing import with_protocol
    from cog.features.forward import pick_device
    from cog.probes.settings import Probing
    from cog.recipe import OPTIONS
    from cog.storage import storage_path

    options = with_protocol(without_defaults_of_protocols(options))
    probing = pick(Probing, options)
    recipe = replace(options["recipe"], **read_options(OPTIONS, options))
    probing.refuse_draw(recipe)
    sets = read_named(storage_path(str(train))), read_named(storage_path(test))
    watch = terminal.percent, terminal.notify
    where = None if heads is None else storage_path(heads)
    names = {"model": sets[0].name, "dataset": sets[1].name}
    for row in probe_features(*sets, probing, recipe, str(pick_device(device)), *watch, where):
        yield names, row


def _refuse_options_of_fits() -> None:
    """Refuse options of a fit that are given beside --apply."""
    context = click.get_current_context()
    ours = {"apply", "test", "device", "as_json"}
    given = [
        option.opts[0] for option in context.command.params
        if option.name not in ours
        and context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    ]  # fmt: skip
    if given:
        raise CogError(
            f"--apply takes a head as it was fitted, and {', '.join(given)} is for fits",
            f"leave out {', '.join(given)}, or give --train in place of --apply",
        )


@click.command(short_help="Write features as an official X_Y.pth.")
@click.argument("store", shell_complete=completion.path)
@click.option("--out", type=_PATH, required=True, metavar="X_Y.pth", help="The file to write.")
def export(store: str, out: Path) -> None:
    """Write the features of STORE in the layout of the benchmark's public code.

    {"X": float32[m, d], "Y": int64[m], "name": text}, by torch.save; unreadable images are left
    out, as that code does. STORE may also be an .npz with X and Y. A further test set of a dataset
    has the names of its classes as well, and so have classes without images: {"classes": [text]}.

    \b
    Example:
        cog export runs/dino_resnet50/features/cog_l5-train.zarr --out features_train/X_Y.pth
    """
    from cog.evaluation.applying import read_named, without_plain_names
    from cog.features.exchange import write_features
    from cog.storage import storage_path

    write_features(out, without_plain_names(read_named(storage_path(store)), store))
    click.echo(out)
