"""Networks whose code lies beside their weights: run only with trust, and at one commit."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cog.errors import CogError
from cog.models.hf.files import COMMIT, Source
from cog.models.sources.from_file import OWN_FILE

NEEDED = ("AutoConfig", "AutoModel")


def has_code(record: Mapping[str, Any]) -> bool:
    """Whether a config.json is of a type that transformers does not have, with code beside it."""
    from transformers import CONFIG_MAPPING

    kind = record.get("model_type")
    return isinstance(kind, str) and kind not in CONFIG_MAPPING and bool(record.get("auto_map"))


def run_code(
    record: Mapping[str, Any], source: Source, revision: str | None, trust: bool
) -> tuple[Any, Any, str]:
    """The classes of configuration and network, and the SHA-256 of the files that define them.

    Args:
        record: the config.json.
        source: where its files are, at a commit.
        revision: what the user wrote after @.
        trust: whether code may run.

    Raises:
        CogError: no trust, no full commit, code of another repository, or code that fails.
    """
    entries = record["auto_map"] if isinstance(record["auto_map"], Mapping) else {}
    names = [str(entries.get(key)) for key in NEEDED]
    if not all(re.fullmatch(r"\w+\.\w+", name) for name in names):
        raise CogError(
            f"{source.name}: expected {' and '.join(NEEDED)} of auto_map to be FILE.CLASS of the "
            f"same folder, found {' and '.join(name[:80] for name in names)}",
            OWN_FILE,
        )
    files = [f"{name.partition('.')[0]}.py" for name in names]
    _require_trust(source, revision, trust, files)
    found = _with_imports(source, files)
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    folder = str(next(iter(found.values())).parent)
    try:
        config, network = (get_class_from_dynamic_module(name, folder) for name in names)
    except Exception as error:  # any: the code is not ours
        reason = " ".join(str(error).split())[:300]
        raise CogError(
            f"{source.name}: its code fails: {type(error).__name__}: {reason}", OWN_FILE
        ) from error
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(f"{name} {hashlib.sha256(found[name].read_bytes()).hexdigest()}\n".encode())
    return config, network, digest.hexdigest()


def _require_trust(source: Source, revision: str | None, trust: bool, files: list[str]) -> None:
    full = source.folder is not None or re.fullmatch(COMMIT, revision or "")
    if trust and full:
        return
    name = source.name if full else f"{source.name.partition('@')[0]}@{source.revision or 'COMMIT'}"
    raise CogError(
        f"{source.name}: its network is a program ({', '.join(sorted(set(files)))}), and loading "
        "the model runs it",
        f"read it; if you trust it, give --model {name} and --trust-checkpoint",
    )


def _with_imports(source: Source, files: list[str]) -> dict[str, Path]:
    """The files of code by name, with all that they import from beside them."""
    from transformers.dynamic_module_utils import get_relative_imports

    found: dict[str, Path] = {}
    left = list(files)
    while left:
        name = left.pop()
        if name in found:
            continue
        found[name] = source.find(name)
        for module in get_relative_imports(found[name]):
            if not re.fullmatch(r"\w+", module):
                raise CogError(f"{found[name]} imports .{module}, from another folder", OWN_FILE)
            left.append(f"{module}.py")
    return found
