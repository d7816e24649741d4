"""The weights cache: published files, fetched once."""

from __future__ import annotations

import os
import re
from pathlib import Path

from platformdirs import user_cache_dir

from cog.errors import CogError


def weights_folder() -> Path:
    """Where weights are kept: `weights` in COG_HOME, or in the user's cache folder for `cog`."""
    return Path(os.environ.get("COG_HOME") or user_cache_dir("cog")) / "weights"


def hash_prefix(file: str) -> str:
    """The start of the SHA-256 that a name such as resnet50-0676ba61.pth gives, or nothing.

    >>> hash_prefix("resnet50-0676ba61.pth"), hash_prefix("dino_resnet50_pretrain.pth")
    ('0676ba61', '')
    """
    found = re.search(r"-([0-9a-f]{8,64})\.", file)
    return found[1] if found else ""


def fetch(url: str, file: str = "", sha256: str = "") -> Path:
    """The path of a published weights file in the cache, downloaded if it is not there yet.

    `sha256`: the file's SHA-256, or the start of it; a download that differs is thrown away.

    Raises:
        CogError: no network, no such address, another content, or no place to write.
    """
    file = file or url.rpartition("/")[2]
    path = weights_folder() / file
    if path.is_file():
        return path
    from torch.hub import download_url_to_file

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # it writes beside the path and renames when the hash is right
        download_url_to_file(url, str(path), hash_prefix=sha256 or None)
    except (OSError, RuntimeError, ValueError) as error:
        raise CogError(
            f"cannot download {url} ({error})",
            f"fetch it elsewhere and put it at {path}, or give --weights FILE",
        ) from error
    return path
