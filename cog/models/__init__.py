"""Pretrained networks under one name each: `load_model(spec)` gives a frozen `Model`.

A spec is one of
- a name of the table zoo.csv, or an alias of one: `sup_resnet50`, `dino`;
- `timm:NAME`, `torchvision:NAME[@WEIGHTS]`, `hf-hub:OWNER/MODEL` or `open_clip:MODEL/TAG`, with the
  library's own record of the preprocessing;
- `torch-hub:OWNER/REPO:COMMIT:ENTRY`, whose code is only run where `trust_checkpoint` says so;
- `file.py:function`, a function without arguments that returns a `cog.Model`.

torch loads when a model is first needed: the table can be read without it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cog.errors import CogError

if TYPE_CHECKING:
    import torch

    from cog.models.model import Model as Model

__all__ = ["Model", "load_model", "safe_name"]

LONGEST_NAME = 120  # bytes are 255 at most on common file systems, and suffixes are added


def load_model(
    spec: str,
    *,
    weights: str | Path | None = None,
    pretrained: bool = True,
    pool: str | None = None,
    official_quirks: bool = False,
    trust_checkpoint: bool = False,
    name: str | None = None,
    device: str | torch.device = "cpu",
    notice: Callable[[str], None] | None = None,
) -> Model:
    """Load the network that `spec` names, frozen, with its preprocessing.

    `weights`: a local file of the official layout, read in place of a download. `pretrained=False`
    gives the same architecture untrained, from a fixed seed: the same bits in every process. The
    global random state is neither used nor changed. `pool`: which tokens of a transformer make the
    feature, `cls`, `avg` or `cls+avg`, in place of the model's own; `last4:cls` of four layers.
    `official_quirks` repeats the mistakes of the benchmark's published code. `trust_checkpoint`
    reads weights that are a program, if they are, byte for byte, the known file, and runs the code
    of a torch hub. `notice` is told what an alias means and the like; without it the logger `cog`
    is, at level INFO.

    Raises:
        CogError: unknown name, wrong or unreadable weights, no network, a plug-in that fails.
    """
    from cog.models import sources

    if weights is not None and not pretrained:
        raise CogError(
            f"both weights ({weights}) and an untrained network are asked for",
            "leave out --weights or --no-pretrained",
        )
    wanted = sources.Wanted(
        None if weights is None else Path(weights),
        pretrained,
        pool,
        official_quirks,
        trust_checkpoint,
    )
    model = sources.load(spec, wanted, notice or logging.getLogger("cog").info)
    if name:
        model.name = safe_name(name)
    return model.to(device)


def safe_name(text: str) -> str:
    """The name of a run's folder: `text` with only characters that no file system minds.

    >>> safe_name("timm:resnet18")
    'timm-resnet18'
    >>> safe_name("nets/my net.py:load")
    'nets-my-net.py-load'

    Raises:
        CogError: nothing is left.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:LONGEST_NAME].rstrip(".-")
    if not name:
        raise CogError(f"{text!r} leaves no usable name", "give --name with letters or digits")
    return name


def __getattr__(name: str) -> Any:
    """Import `Model`, and with it torch, when it is first asked for."""
    if name == "Model":
        from cog.models.model import Model

        return Model
    raise AttributeError(f"module 'cog.models' has no attribute {name!r}")
