"""What a weights file holds, read without running code of the file.

Safetensors, and torch files old and new with `weights_only=True`. Beside tensors and plain values a
torch file may hold the few harmless things that published files have: an argparse.Namespace of the
options, numpy numbers, settings of yacs. Anything else is a program and is refused, TorchScript
too, unless the file is, byte for byte, one that is known.
"""

from __future__ import annotations

import hashlib
import io
import re
import warnings
import zipfile
import zlib
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from cog.errors import CogError

SUFFIXES = (".pth", ".pth.tar", ".pt", ".ckpt", ".bin", ".pyth", ".safetensors", ".weights")

HINT = "save its tensors alone: safetensors.torch.save_file(state_dict, 'weights.safetensors')"


def harmless() -> list[Any]:
    """What `weights_only` may make beside tensors, under the names that files have for it."""
    # numpy 2 moved its private module: files written before and after name the function apart
    scalar: Any = np.float64(0).__reduce__()[0]
    dtypes = [type(np.dtype(kind)) for kind in ("f8", "f4", "f2", "i8", "i4", "?")]
    return [
        Namespace,
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *dtypes,
        (OrderedDict, "yacs.config.CfgNode"),  # a dictionary; yacs need not be installed
    ]


def read_safely(path: Path, trusted: str = "") -> Any:
    """What a weights file holds, tensors on the CPU; no code of the file is run.

    A zip with one weights file in it is read through.

    Args:
        path: the file.
        trusted: full SHA-256 of a file whose code may be run; only that very file is.

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
    if isinstance(source, io.BytesIO):
        start = source.getvalue()[:16]
    try:
        return _read(source, start)
    except Exception as error:  # a broken file makes the readers raise nearly anything
        refusal = _refusal(path, error, start)
        if not trusted or "its code" not in refusal.what:
            raise refusal from error
    return _run(path, source, trusted)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(source: Path | io.BytesIO, start: bytes) -> Any:
    if start[8:9] == b"{":
        from safetensors.torch import load, load_file

        return load(source.getvalue()) if isinstance(source, io.BytesIO) else load_file(source)
    with warnings.catch_warnings(), torch.serialization.safe_globals(harmless()):
        warnings.simplefilter("ignore")  # torch warns before it refuses TorchScript
        mapped = isinstance(source, Path) and start[:2] == b"PK"  # read where it is needed only
        return torch.load(source, map_location="cpu", weights_only=True, mmap=mapped)


def _run(path: Path, source: Path | io.BytesIO, trusted: str) -> Any:
    """The content of a known file that is a program: TorchScript's tensors, or a pickle."""
    if len(trusted) != 64:
        raise CogError(
            f"{path} is not the file that may be trusted: of that one's sha256 only the start, "
            f"{trusted}, is known",
            HINT,
        )
    found = sha256_of(path)
    if found != trusted:
        raise CogError(
            f"{path} is not the file that may be trusted: expected sha256 {trusted}, found {found}",
            "get the official file, or leave out --trust-checkpoint",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        try:
            return _script_tensors(source)
        except RuntimeError:  # not TorchScript
            _rewind(source)
        try:
            return torch.load(source, map_location="cpu", weights_only=False)
        except Exception as error:  # whatever its code raises, a module that is absent above all
            raise CogError(
                f"{path}: its code fails: {type(error).__name__}: {error}", HINT
            ) from error


def _script_tensors(source: Path | io.BytesIO) -> Any:
    _rewind(source)
    file = str(source) if isinstance(source, Path) else source
    script: Any = torch.jit.load(file, map_location="cpu")  # type: ignore[no-untyped-call]
    return script.state_dict()


def _rewind(source: Path | io.BytesIO) -> None:
    if isinstance(source, io.BytesIO):
        source.seek(0)


def _inside_zip(path: Path) -> Path | io.BytesIO:
    """The one weights file in an ordinary zip; the path itself if torch wrote the zip.

    Raises:
        CogError: several weights files, or none, or one that cannot be unpacked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any(name.endswith(("/data.pkl", "/constants.pkl")) for name in names):
                return path
            inside = [  # macOS puts a file of its own, ._NAME, beside each
                name
                for name in names
                if name.lower().endswith(SUFFIXES) and not PurePosixPath(name).name.startswith("._")
            ]
            if len(inside) == 1:
                return io.BytesIO(archive.read(inside[0]))
    except zipfile.BadZipFile:
        return path  # damaged: torch says so
    except (RuntimeError, NotImplementedError, zlib.error, EOFError) as error:
        raise CogError(
            f"{path} is a zip that cannot be unpacked: {error}", "fetch it again, or unpack it"
        ) from error
    raise CogError(
        f"{path} is a zip with {len(inside) or 'no'} weights files{': ' * bool(inside)}"
        f"{', '.join(inside[:3])}",
        "unpack it, and give --weights the file in it that is meant",
    )


def _refusal(path: Path, error: Exception, start: bytes) -> CogError:
    message = str(error)
    objects = re.search(r"[Uu]nsupported (?:global: GLOBAL|GLOBAL|class) (\S+)", message)
    if "TorchScript" in message:
        what = "is TorchScript, which is a program"
    elif objects:
        what = f"holds Python objects beside tensors ({objects[1]})"
    elif start[:2] == b"PK" and "Unsupported operand 149" in message:  # what protocol 4 begins with
        what = "is pickled in a newer way (protocol 4 or 5) than torch can check"
    else:
        # what torch says of bytes that are no pickle is advice to turn the safety off
        advice = message.startswith("Weights only load failed") or not message
        reason = type(error).__name__ if advice else message.splitlines()[0][:80]
        return CogError(
            f"{path} is not a whole weights file ({reason})",
            "give a safetensors or torch file; if it is one, it is damaged: fetch it again",
        )
    return CogError(
        f"{path} {what}; it is refused, because reading it would run its code",
        f"{HINT}; or give --trust-checkpoint, where the table knows the sha256 of the whole file",
    )
