"""The forms of a model's name, one entry each, and the file beside this one that loads it.

In: nothing. Out: `FORMS`, which loading, the help and the error for an unknown name read.
To add a form: a file with functions `load(name, options, notify)` and `published(name)`, and its
entry here. The file is imported when a name has this form, because torch and the libraries of
models take seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cog.models.model import Model
    from cog.models.options import LoadOptions
    from cog.progress import Notify


@dataclass(frozen=True)
class PublishedWeights:
    """The weights that a name means, found out without a download."""

    where: str
    """an address, or words"""
    here: Path | None = None
    """the file, if it is on this machine"""
    downloaded: bool = True
    """whether cog downloads them: else the user's code makes or fetches them"""
    seen_data: str = ""
    """what they learnt from, as far as their name says"""


@dataclass(frozen=True)
class Form:
    """One form of a model's name."""

    written: str
    """as people see it, such as timm:NAME"""
    file: str
    """the module beside this one"""
    pattern: str = ""
    """a regular expression for names without a prefix of their own; `load` takes its group"""
    pools: bool = False
    """whether `load` honours --pool itself"""
    papers: tuple[str, ...] = ()
    """what to cite for its library, keys of cog/papers.csv"""
    publisher: str = "its source"
    """who may name the paper of one of its models, for people"""

    def load(self, name: str, options: LoadOptions, notify: Notify) -> Model:
        """The model on the CPU; `name` is the part after the prefix."""
        model: Model = resolve_name(f"cog.models.sources.{self.file}:load")(name, options, notify)
        return model

    def published(self, name: str) -> PublishedWeights:
        """The weights that `load` would read, without a download and without the network."""
        found: PublishedWeights = resolve_name(f"cog.models.sources.{self.file}:published")(name)
        return found


FORMS = (
    Form(
        "timm:NAME", "from_timm", papers=("wightman2019timm",), publisher="its page at hf.co/timm"
    ),
    Form(
        "torchvision:NAME",
        "from_torchvision",
        papers=("torchvision2016",),
        publisher="its page at docs.pytorch.org/vision",
    ),
    Form(
        "hf-hub:OWNER/MODEL",
        "from_hf_hub",
        papers=("wightman2019timm",),
        publisher="its page at huggingface.co",
    ),
    Form(
        "hf:OWNER/MODEL",
        "from_hf",
        pools=True,
        papers=("wolf2020transformers",),
        publisher="its page at huggingface.co",
    ),
    Form(
        "open_clip:MODEL/TAG",
        "from_open_clip",
        papers=("ilharco2021openclip", "cherti2023reproducible"),
        publisher="open_clip's docs/PRETRAINED.md",
    ),
    Form(
        "torch-hub:OWNER/REPO:COMMIT:ENTRY",
        "from_torch_hub",
        publisher="the README of its repository",
    ),
    Form(
        "file.py:function", "from_file", r"(.*\.py(?::[^:]*)?)", publisher="the author of that file"
    ),
)
"""all forms but the names of zoo.csv, which have no prefix"""


def find_form(spec: str) -> tuple[Form | None, str]:
    """The form of a name, and what its `load` takes; None and the name itself for one of zoo.csv.

    >>> find_form("timm:resnet18")[1], find_form("nets/my.py:load")[1], find_form("dino")
    ('resnet18', 'nets/my.py:load', (None, 'dino'))
    """
    for form in FORMS:
        prefix = re.escape(form.written.partition(":")[0])
        found = re.fullmatch(form.pattern or f"{prefix}:(.*)", spec)
        if found:
            return form, found[1]
    return None, spec


def written_forms() -> str:
    """The forms as people write them, for help and errors."""
    return ", ".join(form.written for form in FORMS)
