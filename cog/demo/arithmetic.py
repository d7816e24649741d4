"""Arithmetic that gives the demo the same numbers on every x86 processor.

Libraries choose the code of a sum or a product by the processor, and each way rounds otherwise.
Training makes a difference in the last digit into points of accuracy. So the demo takes the
plainest way of each: it is small, and a third slower for it.

- torch's own loops: those that need no instructions beyond the least (ATEN_CPU_CAPABILITY).
- MKL's matrix products: the order of sums that it keeps on all processors (MKL_CBWR).
- Convolutions: as matrix products, not by oneDNN or NNPACK, which cut sums by the size of caches.
- One thread (`one_thread` of network.py).

AdamW is the fused one, as square roots of whole tensors are MKL's, and differ. Drawing is in double
precision, so that the rounding to 256 values hides what numpy's ways differ by.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}


def choose_plain_code() -> None:
    """Set the environment's variables that are not set; torch reads them when it first computes."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)


@contextmanager
def plain_convolutions() -> Iterator[None]:
    """Within it, convolutions on the CPU are matrix products."""
    from torch.backends import mkldnn, nnpack

    before = mkldnn.set_flags(False)[0], nnpack.set_flags(False)[0]  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        mkldnn.set_flags(before[0])  # type: ignore[no-untyped-call]
        nnpack.set_flags(before[1])  # type: ignore[no-untyped-call]
