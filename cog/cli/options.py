"""The options that evaluate and extract share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from cog.probes.settings import Probing
from cog.probes.table import PROBES
from cog.recipe import SEEDS

Command = TypeVar("Command", bound=Callable[..., Any])


def comma_list(read: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    """A reader of `22,37` or `L1,L5`: a tuple of what `read` makes of each part, each once."""

    def parts(text: str) -> tuple[Any, ...]:
        found = tuple(read(part.strip()) for part in text.split(",") if part.strip())
        if not found:
            raise ValueError(text)
        return tuple(dict.fromkeys(found))

    return parts


def read_shots(text: str) -> int | None:
    """`all`, or a number of images a class."""
    if text == "all":
        return None
    shots = int(text)
    if shots < 1:
        raise ValueError(text)
    return shots


_PATH = click.Path(path_type=Path)
_COUNT = click.IntRange(min=1)
where_option = click.option(
    "--where",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Only these rows; with COLUMN!=VALUE all but these. May be given again.",
)
_MODEL_OPTIONS = (
    click.option("--weights", type=_PATH, help="Read the weights from this file."),
    click.option("--pretrained/--no-pretrained", default=True, show_default=True,
                 help="Or untrained, from a fixed seed."),
    click.option("--pool", metavar="POOL",
                 help="Tokens that make a transformer's feature: cls, avg or cls+avg; last4:cls "
                      "those of four layers.  [default: as `cog models show` says]"),
    click.option("--official-quirks/--no-official-quirks", default=False,
                 help="Repeat the mistakes of the benchmark's published code."),
    click.option("--trust-checkpoint/--no-trust-checkpoint", default=False,
                 help="Run code in weights of a known sha256, or of a torch hub's commit."),
)  # fmt: skip
_RUN_OPTIONS = (
    click.option("--model", multiple=True, required=True, metavar="NAME",
                 help="A name of `cog models list`, timm:NAME, torchvision:NAME, "
                      "hf-hub:OWNER/MODEL, open_clip:MODEL/TAG, "
                      "torch-hub:OWNER/REPO:COMMIT:ENTRY or file.py:function."),
    click.option("--name", multiple=True, help="What to call the run; one for each --model."),
    *_MODEL_OPTIONS,
    click.option("--images", type=_PATH, required=True, metavar="ROOT",
                 help="Images of the levels: ROOT/<wnid>/*, ROOT/<wnid>.tar, a tar of those, "
                      "WebDataset or Parquet shards, or a list."),
    click.option("--in1k", type=_PATH, metavar="ROOT",
                 help="ImageNet-1K with train/ and val/; without it, in1k is left out."),
    click.option("--split", type=_PATH, metavar="DIR|FILE.pkl",
                 help="Official test lists (lines `wnid/file label`), or the official pickle; "
                      "without it, a seeded split."),
    click.option("--levels", type=_PATH, metavar="DIR",
                 help="Levels made by `cog build-levels`; by default the official ones."),
    click.option("--only", type=comma_list(str), metavar="LIST",
                 help="Datasets: in1k,L1,…  [default: all]"),
    click.option("--test-per-class", type=_COUNT, help="Test images a class.  [default: 50]"),
    click.option("--min-train", type=_COUNT,
                 help="Training images that a class needs.  [default: 732]"),
    click.option("--max-train", type=_COUNT,
                 help="Training images that are used of a class.  [default: 1300]"),
    click.option("--allow-missing/--no-allow-missing", default=False, show_default=True,
                 help="Go on without classes that are missing or short, and mark the rows."),
    click.option("--device", default="auto", show_default=True, metavar="LIST",
                 help="auto (all GPUs), cpu, mps, or cuda:0,cuda:2: they divide the chunks."),
    click.option("--worker", metavar="R/W",
                 help="Make the share of worker R (from 0) of W, that write to the same --out."),
    click.option("--executor", default="here", show_default=True,
                 help="here, or ray: on the Ray cluster of RAY_ADDRESS, else on one of its own."),
    click.option("--precision", default="fp32", show_default=True,
                 help="Of the network: fp32, bf16 or fp16."),
    click.option("--dtype", default="float16", show_default=True,
                 help="Of the features on disk: float16 or float32."),
    click.option("--batch-size", type=_COUNT,
                 help="Images a forward pass.  [default: 64 on a CPU, 256 on a GPU]"),
    click.option("--decoder", default="torchvision", show_default=True,
                 help="Of JPEGs: torchvision, pillow (resizes too, to the bit) or nvjpeg (GPU)."),
    click.option("--workers", type=_COUNT, help="Decoding threads.  [default: one a core]"),
    click.option("--chunk-rows", type=_COUNT,
                 help="Images a chunk of features.  [default: about a minute of work]"),
    click.option("--out", default="runs", show_default=True,
                 help="Where runs and results go: a folder, or s3://BUCKET/FOLDER."),
    click.option("--dry-run/--no-dry-run", default=False,
                 help="Print the plan, the disk and the time it expects, and stop."),
)  # fmt: skip


def probe_option(default: Sequence[str]) -> Callable[[Command], Command]:
    """The option `--probe`: the kinds of probes to fit, `default` where it is not given."""
    return click.option(
        "--probe", "probes", type=comma_list(str), metavar="LIST", default=",".join(default),
        show_default=True, help=f"Probes to fit: {', '.join(PROBES)}.",
    )  # fmt: skip


def _solvers_help() -> str:
    """The solvers of each probe that has several."""
    return " ".join(
        f"Of {name}: "
        + " or ".join(f"{solver} ({entry.about})" for solver, entry in probe.solvers.items())
        + "."
        for name, probe in PROBES.items()
        if len(probe.solvers) > 1
    )


_PROBE_OPTIONS = (
    click.option("--solver", default=Probing.solver, show_default=True, metavar="NAME",
                 help=_solvers_help()),
    click.option("--trials-per-round", type=_COUNT,
                 help="SGD trials trained together; 1 is the official order.  [default: 10]"),
    click.option("--sgd-early-stop/--no-sgd-early-stop", default=None,
                 help="Give up SGD trials that lag behind in their round.  [default: no]"),
    click.option("--lbfgs-early-stop/--no-lbfgs-early-stop", default=None,
                 help="End the path of decays once validation stops rising.  [default: yes]"),
    click.option("--products", metavar="KIND",
                 help="Of SGD's matrices: float32, tf32, bfloat16 or float16.  [default: float32]"),
    click.option("--shots", type=comma_list(read_shots), metavar="LIST", default="all",
                 show_default=True, help="Images a class to train on: all,1,2,4,…"),
    click.option("--shots-validation", default="official", show_default=True,
                 help="Of N shots: official validates on images beside the N, within on some."),
    click.option("--seeds", type=comma_list(int), default=",".join(map(str, SEEDS)),
                 show_default=True, metavar="LIST", help="Seeds of the probes."),
)  # fmt: skip


def probe_options(command: Command) -> Command:
    """Add the options that evaluate and probe share."""
    for option in reversed(_PROBE_OPTIONS):
        command = option(command)
    return command


def run_options(command: Command) -> Command:
    """Add the options that evaluate and extract share."""
    for option in reversed(_RUN_OPTIONS):
        command = option(command)
    return command


def model_options(command: Command) -> Command:
    """Add the options of how a model is loaded."""
    for option in reversed(_MODEL_OPTIONS):
        command = option(command)
    return command
