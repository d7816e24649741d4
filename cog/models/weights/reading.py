"""The content of a weights file, read without running code of the file.

Safetensors, and torch files, old and new, with `weights_only=True`. Besides tensors and plain
values a torch file may contain a few harmless objects of published files: an argparse.Namespace of
options, numpy numbers, settings of yacs. Anything else is a program, TorchScript too. It is refused
unless the user trusts the file and its sha256 is the known one.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
import zipfile
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from cog.errors import CogError
from cog.models.weights.dry_reading import refuse_endless_hashes
from cog.models.weights.zips import refuse_zip_bomb

SUFFIXES = (".pth", ".pth.tar", ".pt", ".ckpt", ".bin", ".pyth", ".safetensors", ".weights")

HINT = "save its tensors alone: safetensors.torch.save_file(state_dict, 'weights.safetensors')"


def harmless() -> list[Any]:
    """The objects that `weights_only` may make besides tensors, by the names in files."""
    # numpy 2 moved its private module: files from before and after have different names
    scalar: Any = np.float64(0).__reduce__()[0]
    dtypes = [type(np.dtype(kind)) for kind in ("f8", "f4", "f2", "i8", "i4", "?")]
    return [
        Namespace,
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *dtypes,
        (OrderedDict, "yacs.config.CfgNode"),  # a dictionary; read without yacs
    ]


def read_safely(path: Path, trusted: str = "") -> Any:
    """The content of a weights file, with tensors on the CPU; no code of the file is run.

    A zip with one weights file in it is read as that file.

    Args:
        path: the file.
        trusted: the full SHA-256 of a file whose code may be run, and of no other file.

    Raises:
        CogError: no such file, not a weights file, or content that would run code.
    """
    if not path.is_file():
        raise CogError(f"no weights file {path}", "give --weights the path of a file")
    with path.open("rb") as file:
        start = file.read(16)
    if start.lstrip()[:1] == b"<":
        raise CogError(f"{path} is a web page, not weights", "download it again with a browser")
    source = _inside_zip(path) if start[:4] == b"PK\x03\x04" else path
    if isinstance(source, bytes):
        start = source[:16]
    try:
        return _read(source, start)
    except CogError as error:
        raise CogError(f"{path} is refused: {error.what}", error.hint) from error
    except Exception as error:  # a damaged file makes the readers raise nearly anything
        refusal = _refusal(path, error, start)
        if not trusted or "its code" not in refusal.what:
            raise refusal from error
    return _run(path, source, trusted)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file(source: Path | bytes) -> Path | io.BytesIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source


def _read(source: Path | bytes, start: bytes) -> Any:
    if start[8:9] == b"{":
        from safetensors.torch import load, load_file

        return load(source) if isinstance(source, bytes) else load_file(source)
    refuse_endless_hashes(source)
    with warnings.catch_warnings(), torch.serialization.safe_globals(harmless()):
        warnings.simplefilter("ignore")  # torch warns before it refuses TorchScript
        mapped = isinstance(source, Path) and start[:2] == b"PK"  # reads only what is used
        return torch.load(_file(source), map_location="cpu", weights_only=True, mmap=mapped)


def _run(path: Path, source: Path | bytes, trusted: str) -> Any:
    """The content of a trusted file that is a program: TorchScript's tensors, or a pickle."""
    if len(trusted) != 64:
        raise CogError(
            f"{path} cannot be trusted: only the start of the official file's sha256 is known, "
            f"{trusted}",
            HINT,
        )
    found = sha256_of(path)
    if found != trusted:
        raise CogError(
            f"{path} is not the official file: expected sha256 {trusted}, found {found}",
            "get the official file, or leave out --trust-checkpoint",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        try:
            script: Any = torch.jit.load(_file(source), map_location="cpu")  # type: ignore[no-untyped-call]
            return script.state_dict()
        except RuntimeError:  # not TorchScript
            pass
        try:
            return torch.load(_file(source), map_location="cpu", weights_only=False)
        except Exception as error:  # any: often a module that is not installed
            raise CogError(
                f"{path}: its code fails: {type(error).__name__}: {error}", HINT
            ) from error


def _inside_zip(path: Path) -> Path | bytes:
    """The one weights file in an ordinary zip; the path itself if torch wrote the zip.

    Raises:
        CogError: several weights files, none, or one that cannot be unpacked, or is a zip bomb.
    """
    try:
        refuse_zip_bomb(path)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any(name.endswith(("/data.pkl", "/constants.pkl")) for name in names):
                return path
            inside = [  # macOS adds a file ._NAME beside each
                name
                for name in names
                if name.lower().endswith(SUFFIXES) and not PurePosixPath(name).name.startswith("._")
            ]
            if len(inside) == 1:
                return archive.read(inside[0])
    except zipfile.BadZipFile:
        return path  # damaged: torch says so
    except CogError:
        raise
    except Exception as error:  # zlib and zipfile raise nearly anything for damaged zips
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CogError(
            f"{path} is a zip that cannot be unpacked: {reason}", "download it again, or unpack it"
        ) from error
    raise CogError(
        f"{path} is a zip with {len(inside) or 'no'} weights files{': ' * bool(inside)}"
        f"{', '.join(inside[:3])}",
        "unpack it, and give --weights one file of it",
    )


def _refusal(path: Path, error: Exception, start: bytes) -> CogError:
    message = str(error)
    objects = re.search(r"[Uu]nsupported (?:global: GLOBAL|GLOBAL|class) (\S+)", message)
    if "TorchScript" in message:
        what = "is TorchScript, which is a program"
    elif objects:
        what = f"holds Python objects besides tensors ({objects[1]})"
    elif start[:2] == b"PK" and "Unsupported operand 149" in message:  # what protocol 4 begins with
        what = "is pickled in a newer way (protocol 4 or 5) than torch can check"
    else:
        # torch's message about bytes that are not a pickle is advice to turn off the safety
        advice = message.startswith("Weights only load failed") or not message
        reason = type(error).__name__ if advice else message.splitlines()[0][:80]
        return CogError(
            f"{path} is not a whole weights file ({reason})",
            "give a safetensors or torch file; if it is one, it is damaged: download it again",
        )
    return CogError(
        f"{path} {what}; it is refused, because reading it would run its code",
        f"{HINT}; or give --trust-checkpoint, if the table has the sha256 of the whole file",
    )
