"""The options that commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cog.cli import completion
from cog.cli.help import Decorator, section
from cog.models.sources.table import written_forms
from cog.probes.settings import VALIDATIONS, Probing
from cog.probes.table import PROBES
from cog.progress import Notify
from cog.recipe import FEW_SHOT_DRAWS, NORMS, PRODUCTS, Recipe


def together(*options: Decorator) -> Decorator:
    """One decorator that adds several options, in their order."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def say(text: str) -> None:
    """Print a line on stderr."""
    click.echo(text, err=True)


def say_and_keep(lines: list[str]) -> Notify:
    """A function that says each line that it gets, and adds it to `lines`."""

    def notify(text: str) -> None:
        lines.append(text)
        say(text)

    return notify


_PATH = click.Path(path_type=Path)
_COUNT = click.IntRange(min=1)
_of_models, _of_data = section("Models"), section("Images and datasets")
of_features, of_probes, of_output = section("Features"), section("Probes"), section("Output")
of_machine = section("Where it runs")

TRUNCATED_HELP = (
    "Images that are cut off or broken: read, as far as they go, as the official code does; or "
    "refuse, as unreadable."
)
where_option = click.option(
    "--where",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Only these rows; with COLUMN!=VALUE all but these. May be given again.",
)
model_options = together(
    _of_models("--weights", common=True, type=_PATH, help="Read the weights from this file."),
    _of_models("--weights-key", metavar="KEY",
               help="Which of a checkpoint's sets of weights, by its entry and, with dots, what "
                    "stands before the names: model_ema, or teacher.backbone."),
    _of_models("--pretrained/--no-pretrained", default=True,
               help="--no-pretrained leaves each --model of this command untrained, a "
                    "file.py:function too: random weights from a fixed seed."),
    _of_models("--pool", metavar="POOL",
               help="Tokens that make a transformer's feature: cls, avg or cls+avg; last4:cls "
                    "those of four layers; pooler, for hf: alone, what the network makes of them. "
                    " [default: as `cog models show` says]"),
    _of_models("--official-quirks/--no-official-quirks", default=False,
               help="Repeat the mistakes of the benchmark's published code."),
    _of_models("--trust-checkpoint/--no-trust-checkpoint", default=False,
               help="Run code in weights of a known sha256, or of a commit of torch-hub: or hf:; "
                    "read weights of hf: that are not safetensors."),
)  # fmt: skip
dataset_options = together(
    _of_data("--dataset", "datasets", common=True, multiple=True, metavar="NAME=SOURCE",
             help="Any labelled images: a folder with train/ and test/. SOURCE may also have val/ "
                  "for test/, each with a folder a class of any name; be a folder of such folders; "
                  "Parquet or WebDataset shards; a list of `path label split` lines; "
                  "train2018.json of iNaturalist; file.py:function; or torchvision:NAME@ROOT. May "
                  "be given again."),
    _of_data("--test-set", "test_sets", multiple=True, metavar="DATASET/NAME=SOURCE",
             help="Further test images of a dataset's classes, such as in1k/v2: its probes are "
                  "scored on them too. SOURCE is as of --dataset, or real.json for in1k/real. "
                  "May be given again."),
    _of_data("--metric", "metrics", multiple=True, metavar="NAME=METRIC",
             help="The headline metric of a --dataset: top1, top5 or mean_class.  [default: the "
                  "field's for torchvision's sets, else top1]"),
    _of_data("--synsets", multiple=True, metavar="NAME=FILE.csv",
             help="The synsets of the classes of a --dataset, a table by `cog synsets`: rows then "
                  "say how near its classes are to the seen ones, and what mistakes cost. Classes "
                  "that are wnids need none. May be given again."),
    _of_data("--suite", "suites",
             shell_complete=completion.suite, common=True, multiple=True, metavar="NAME|FILE.toml",
             help="Sets that papers report: see `cog suites list`. Each has its own protocol. May "
                  "be given again."),
    _of_data("--data", common=True, type=_PATH, metavar="ROOT",
             help="Where the sets of --suite lie."),
    _of_data("--download/--no-download", default=False,
             help="Download the files of torchvision:NAME@ROOT that are not there."),
    _of_data("--in1k", common=True, type=_PATH, metavar="ROOT",
             help="ImageNet-1K with train/ and val/. Without it, in1k is left out."),
    _of_data("--split", type=_PATH, metavar="DIR|FILE.pkl",
             help="Official test lists of --images (lines `wnid/file label`), or the official "
                  "pickle; without it, a seeded split."),
    _of_data("--image-key", metavar="FIELD",
             help="Of WebDataset samples with several images, the one: jpg, seg.png, …"),
    _of_data("--levels", common=True, type=_PATH, metavar="DIR",
             help="Levels by `cog build-levels`.  [default: official]"),
    _of_data("--only", shell_complete=completion.datasets, common=True, metavar="LIST",
             help="Only these, such as in1k,L1,NAME.  [default: all]"),
    _of_data("--test-per-class", type=_COUNT, metavar="N", default=Recipe.test_per_class,
             help="Test images per class, where they are drawn by a seed."),
    _of_data("--min-train", type=_COUNT, metavar="N", default=Recipe.min_train,
             help="Training images that a class of --images needs."),
)  # fmt: skip
run_options = together(
    _of_models("--model", common=True, multiple=True, required=True, metavar="NAME",
               shell_complete=completion.model,
               help="One of `cog models list`, or as timm:NAME. Such forms are "
                    f"{written_forms()}. May be given again."),
    _of_models("--name", multiple=True,
               help="What to call the model in the results; one for each --model."),
    model_options,
    _of_models("--controls/--no-controls", default=False,
               help="Add to each model, outside of ranks: shuffled labels, random features, "
                    "untrained; and raw pixels."),
    _of_data("--images", common=True, type=_PATH, metavar="ROOT",
             help="Images of the levels, as ROOT/<wnid>/*. ROOT may also have <wnid>.tar, a tar of "
                  "those, WebDataset or Parquet shards, or be a list. Without it, levels are left "
                  "out."),
    dataset_options,
    _of_data("--refit-shots", metavar="LIST",
             help="Also refit heads on so many images a class of each --test-set's own domain, "
                  "1,10,all, and test them on its others: rows DATASET/NAME+refit."),
    _of_data("--max-train", type=_COUNT, metavar="N", default=Recipe.max_train,
             help="Training images that are used of a class."),
    _of_data("--allow-missing/--no-allow-missing", default=False,
             help="Leave out classes that are missing or short, and mark the rows."),
    of_features("--precision",
                shell_complete=completion.one_of("fp32", "tf32", "bf16", "fp16"), default="fp32",
                help="Of the network: fp32, tf32 (GPUs from Ampere on), bf16 or fp16."),
    of_features("--dtype",
                shell_complete=completion.one_of("float16", "float32"), default="float16",
                help="Of the features on disk: float16 or float32."),
    of_features("--decoder", default="torchvision",
                shell_complete=completion.one_of("torchvision", "pillow", "nvjpeg"),
                help="Of JPEGs: torchvision, pillow (resizes too, to the bit), or nvjpeg on a GPU, "
                     "with --resize-on device."),
    of_features("--resize-on",
                shell_complete=completion.one_of("cpu", "device"), default="cpu", metavar="NAME",
                help="Where images are resized: cpu; or device, so that workers do a third less: "
                     "about one pixel in a million differs, by 1 of 255."),
    of_features("--truncated", default="read", metavar="NAME", help=TRUNCATED_HELP,
                shell_complete=completion.one_of("read", "refuse")),
    of_features("--chunk-rows", type=_COUNT, metavar="N",
                help="Images in a chunk of features.  [default: about a minute of work]"),
    of_features("--tokens", metavar="all|grid:N",
                help="Patch tokens of each image for the probe `attentive`: all, or the means of a "
                     "grid of N × N.  [default: all for that probe]"),
    of_features("--views", type=_COUNT, metavar="A",
                help="Random crops of each training image, whose features are made once, for the "
                     "probe `augmented`.  [default: 8 for that probe]"),
    of_machine("--device", common=True, default="auto", metavar="LIST",
               shell_complete=completion.one_of("auto", "cpu", "mps", "cuda"),
               help="auto (all GPUs), cpu, mps, or cuda:0,cuda:2. Several share the work."),
    of_machine("--batch-size", type=_COUNT, metavar="N",
               help="Images in a forward pass.  [default: 64 on a CPU, 256 on a GPU]"),
    of_machine("--compile/--no-compile", default=False,
               help="Compile the network by torch.compile: slower to start, then faster."),
    of_machine("--workers", common=True, type=_COUNT, metavar="N",
               help="Threads or processes that decode.  [default: one per core]"),
    of_machine("--feed", default="auto", metavar="KIND",
               shell_complete=completion.one_of("auto", "threads", "processes"),
               help="What decodes: threads, or processes, which a fast GPU needs. auto: "
                    "processes for many images on a GPU with four cores or more."),
    of_machine("--executor", shell_complete=completion.one_of("here", "ray"), default="here",
               help="here, or ray: on the Ray cluster of RAY_ADDRESS, else on one of its own."),
    of_machine("--worker", metavar="R/W",
               help="Do the share of worker R (from 0) of W workers with the same --out."),
)  # fmt: skip
output_options = together(
    of_output("--out", shell_complete=completion.path, common=True, default="runs", metavar="PATH",
              help="Folder or s3:// URL of features and results."),
    of_output("--dry-run/--no-dry-run", common=True, default=False,
              help="Print the plan, and the disk and time that it needs, and stop."),
)  # fmt: skip


protocol_option = of_probes(
    "--protocol",
    shell_complete=completion.protocol,
    default=Recipe.protocol,
    metavar="NAME",
    common=True,
    help="One of `cog protocols list`: how to evaluate. It fixes some of the options here.",
)


def without_defaults_of_protocols(options: dict[str, Any]) -> dict[str, Any]:
    """The options of the command that runs; None for a default of one that its protocol fixes."""
    from cog.evaluation.protocols.table import PROTOCOLS

    context, protocol = click.get_current_context(), PROTOCOLS.get(options["protocol"])
    defaults = {
        name
        for name in (protocol.options if protocol else ())
        if context.get_parameter_source(name) is ParameterSource.DEFAULT
    }
    return {name: None if name in defaults else value for name, value in options.items()}


def probe_options(probes: Sequence[str]) -> Decorator:
    """How probes are fitted; `probes`: those that are fitted by default."""
    return together(
        of_probes("--probe", "probes", common=True, metavar="LIST", default=",".join(probes),
                  shell_complete=completion.probes,
                  help=f"What to fit. There are {', '.join(PROBES)}."),
        of_probes("--solver", default=Probing.solver, metavar="NAME", help=_solvers_help(),
                  shell_complete=completion.solver),
        of_probes("--shots", common=True, default="all", metavar="LIST",
                  help="Training images per class, such as all,1,4."),
        of_probes("--shots-validation",
                  shell_complete=completion.one_of(*VALIDATIONS), default=Probing.shots_validation,
                  metavar="NAME", help="Where N shots validate: official, on images beside the N; "
                  "within, on some of the N."),
        of_probes("--few-shot-draw", metavar="NAME", default=Recipe.few_shot_draw,
                  shell_complete=completion.one_of(*FEW_SHOT_DRAWS),
                  help="Of N shots: once, the final fit has the N of the search; official, N "
                       "others, and SGD's trials each a start and batches of their own."),
        of_probes("--seeds", common=True, default=",".join(map(str, Probing.seeds)),
                  metavar="LIST", help="Seeds of the probes."),
        of_probes("--trials-per-round", type=_COUNT, metavar="N", default=Recipe.trials_per_round,
                  help="SGD trials trained together; 1 is the official order."),
        of_probes("--lbfgs-early-stop/--no-lbfgs-early-stop", default=Recipe.lbfgs_early_stop,
                  help="End the path of decays once validation falls."),
        of_probes("--products", metavar="KIND", default=Recipe.products,
                  shell_complete=completion.one_of(*PRODUCTS),
                  help="Of SGD's matrices: float32, tf32, bfloat16 or float16."),
        of_probes("--norm",
                  shell_complete=completion.one_of(*NORMS), metavar="NAME", default=Recipe.norm,
                  help="Of features, for logreg, ridge and mlp: l2 (to length 1), none, or "
                       "standard (each number, by training images). Others take cosines."),
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
