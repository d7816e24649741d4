"""The forms of a model's name, one entry each, and the file beside this one that loads it.

In: nothing. Out: `FORMS`, which the loading, the help and the error for an unknown name read.
To add a form: a file with a function `load(name, options, notify)`, and its entry here. The file
is imported when it is first used, since torch and its friends take seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cog.models.model import Model
    from cog.models.options import LoadOptions
    from cog.progress import Notify

    Load = Callable[[str, LoadOptions, Notify], Model]
    """loads the network of a name, on the CPU; pool and quirks are applied afterwards"""


@dataclass(frozen=True)
class Form:
    """One form of a model's name."""

    written: str
    """as people see it, such as timm:NAME"""
    load: Load
    pattern: str = ""
    """of its names, where no prefix marks them: a regular expression, its group is for `load`"""


def _late(module: str) -> Load:
    """The function `load` of a file beside this one, which is imported when it is called."""

    def load(name: str, options: LoadOptions, notify: Notify) -> Model:
        model: Model = import_module(f"cog.models.sources.{module}").load(name, options, notify)
        return model

    return load


FORMS = (
    Form("timm:NAME", _late("from_timm")),
    Form("torchvision:NAME", _late("from_torchvision")),
    Form("hf-hub:OWNER/MODEL", _late("from_hf_hub")),
    Form("open_clip:MODEL/TAG", _late("from_open_clip")),
    Form("torch-hub:OWNER/REPO:COMMIT:ENTRY", _late("from_torch_hub")),
    Form("file.py:function", _late("from_file"), r"(.*\.py(?::[^:]*)?)"),
)
"""all forms but the names of zoo.csv, which have no mark of their own"""


def find_form(spec: str) -> tuple[Form | None, str]:
    """The form of a name and what its `load` takes of it; None and the name for one of zoo.csv.

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
