"""A network as `torch.compile` makes it: one program for batches of one size.

- Features differ from those of the network as it is by 10⁻⁶ of their size: operations are fused,
  and sums taken in another order. On a CPU two processes make the same bytes. On a GPU torch is
  asked for that where it has the option `deterministic`; nobody has measured it there.
- torch marks what it compiles, and counts how often it has compiled one piece of code: after eight
  times it does so no more, and tells nobody. So a function of its own goes in for each network,
  which stays as it is.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from types import FunctionType

import torch
from torch import Tensor, nn

from cog.errors import CogError
from cog.features.failures import lacks_memory
from cog.models.failures import LONGEST
from cog.models.model import Model
from cog.progress import Notify


class Compiled:
    """The compiled network of a model, for batches of `rows` images; shorter ones are padded."""

    def __init__(self, model: Model, rows: int, notify: Notify) -> None:
        """Nothing is compiled before the first batch; `notify` then hears how long it took."""
        self.model, self.rows, self.notify = model, rows, notify
        self._run: Callable[[Tensor], Tensor] | None = None
        self._seen: set[int] = set()

    def padded(self, pixels: Tensor) -> Tensor:
        """The images [b, 3, h, w], and copies of the last one up to the number of rows."""
        if len(pixels) >= self.rows:
            return pixels
        last = pixels[-1:].expand(self.rows - len(pixels), *pixels.shape[1:])
        return torch.cat([pixels, last])

    def __call__(self, x: Tensor) -> Tensor:
        """The output of the network.

        Raises:
            CogError: it cannot be compiled.
        """
        if self._run is not None and len(x) in self._seen:
            return self._run(x)
        begun = time.perf_counter()
        try:
            self._run = self._run or compiled(self.model.network)
            features = self._run(x)
        except Exception as error:  # a compiler may raise anything
            if lacks_memory(error):
                raise
            said = textwrap.shorten(str(error), LONGEST, placeholder=" …")
            raise CogError(
                f"{self.model.name} cannot be compiled: {type(error).__name__}: {said}",
                "leave out --compile; on a CPU it needs a C++ compiler such as g++, on a GPU "
                "Triton, and for a network of its own `cog models check` says more",
            ) from error
        self._seen.add(len(x))
        self.notify(
            f"{self.model.name}: --compile took {time.perf_counter() - begun:.0f} s to start, for "
            f"batches of {len(x)}"
        )
        return features


def compiled(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """A function that computes what a network does, to be compiled for each shape it gets."""

    def run(x: Tensor) -> Tensor:
        output: Tensor = network(x)
        return output

    own = FunctionType(run.__code__.replace(), run.__globals__, run.__name__, None, run.__closure__)
    from torch._inductor import list_options  # it imports half of torch's compiler

    known = "deterministic" in list_options()
    options: dict[str, str | int | bool | Callable[..., object]] = {"deterministic": True}
    result: Callable[[Tensor], Tensor] = torch.compile(
        own, dynamic=False, options=options if known else None
    )
    return result
