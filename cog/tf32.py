"""Whether a GPU may round the factors of float32 products to TF32, for the length of a block.

TF32 has the range of float32 and 10 bits of mantissa. torch's switches belong to the whole process,
and there are two sets of them: the older `allow_tf32`, and since torch 2.9 `fp32_precision`. torch
raises an error where one contradicts the other, so both are set here, and put back.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import torch

Value = TypeVar("Value")


@contextmanager
def tf32(*, matrices: bool, convolutions: bool) -> Iterator[None]:
    """Allow or forbid TF32 in matrix products, and in cuDNN's convolutions and recurrent layers.

    Products on a CPU are those of float32. Threads that enter and leave at different moments switch
    for each other: enter before they start.
    """
    _hear_of_deprecation_once()
    older, newer = _older(), [(part, part.fp32_precision) for part in _newer()]
    try:
        _set_older(matrices, convolutions)
        asked = (matrices, convolutions, convolutions, False, False)
        for (part, _), on in zip(newer, asked, strict=False):  # before torch 2.9 there are none
            part.fp32_precision = "tf32" if on else "ieee"
        yield
    finally:
        _restore_older(*older)
        for part, before in newer:
            part.fp32_precision = "none"  # it then says what is set for more than this part
            if part.fp32_precision != before:
                part.fp32_precision = before


def _newer() -> list[Any]:
    """Products, convolutions and recurrent layers of CUDA, products and convolutions of oneDNN."""
    backends: Any = torch.backends
    if not hasattr(backends, "fp32_precision"):
        return []
    cuda, cudnn, onednn = backends.cuda, backends.cudnn, backends.mkldnn
    return [cuda.matmul, cudnn.conv, cudnn.rnn, onednn.matmul, onednn.conv]


def _older() -> tuple[str | None, bool | None]:
    """The older switches; None for one that contradicts a newer one, which is then meant."""
    return (
        _unless_contradicted(torch.get_float32_matmul_precision),
        _unless_contradicted(lambda: torch.backends.cudnn.allow_tf32),
    )


def _unless_contradicted(read: Callable[[], Value]) -> Value | None:
    try:
        return read()
    except RuntimeError:
        return None


def _set_older(matrices: bool, convolutions: bool) -> None:
    torch.set_float32_matmul_precision("high" if matrices else "highest")
    torch.backends.cudnn.allow_tf32 = convolutions


def _restore_older(matrices: str | None, convolutions: bool | None) -> None:
    if matrices is not None:
        torch.set_float32_matmul_precision(matrices)
    if convolutions is not None:
        torch.backends.cudnn.allow_tf32 = convolutions


@cache
def _hear_of_deprecation_once() -> None:
    """Some versions of torch warn, once a process, of the older switches: not of this use."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _older()
