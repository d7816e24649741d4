"""What crosses to other processes and machines: work, bundles and models, as bytes.

In: objects. Out: bytes, in a file or in pieces through pipes; and the objects again.

- cloudpickle takes what pickle does not: lambdas and hooks, and classes that no other process can
  import, of a script, a notebook or a plug-in's file, which cross as code.
- A network arrives as the same network: the same bytes, tensors that share memory share it again,
  TorchScript and parametrised layers too. It arrives on the CPU.
- Nothing holds a second copy of a large network: it goes tensor by tensor.
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import cloudpickle
import torch
from torch.nn.utils import parametrize

from cog.errors import CogError
from cog.models.model import Model
from cog.models.sources.from_file import importable, imported_files

PIECE = 1 << 20  # bytes that go through a pipe at once
NONE_APART: Mapping[int, Model] = {}


class Writable(Protocol):
    """A file for `dump`."""

    def write(self, data: Any, /) -> object:
        """Take bytes."""
        ...


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles tensors without a copy, and TorchScript; models that are apart by their number."""

    def __init__(self, file: Writable, number: Callable[[Model], int] | None) -> None:
        super().__init__(file)
        self._number = number

    def persistent_id(self, value: object) -> int | None:
        """The number of a model that goes apart; None for all else, which is pickled."""
        return self._number(value) if self._number and isinstance(value, Model) else None

    def reducer_override(self, value: Any) -> Any:
        """What is called with which arguments to make a value again."""
        if isinstance(value, torch.jit.ScriptModule):
            return _script, (value.save_to_buffer(),)
        if isinstance(value, torch.storage.TypedStorage):
            return _typed, (value._untyped_storage, value.dtype)
        if isinstance(value, torch.UntypedStorage):
            octets = torch.empty(0, dtype=torch.uint8).set_(value.cpu())  # type: ignore[no-untyped-call]
            return _storage, (pickle.PickleBuffer(octets.numpy().data),)
        if isinstance(value, torch.nn.Module) and parametrize.is_parametrized(value):
            return _module, (type(value), vars(value))  # its __getstate__ refuses
        return super().reducer_override(value)


def _script(data: bytes) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that TorchScript has no future
        module: torch.jit.ScriptModule = torch.jit.load(  # type: ignore[no-untyped-call]
            io.BytesIO(data), map_location="cpu"
        )
    return module


def _typed(storage: torch.UntypedStorage, dtype: torch.dtype) -> torch.storage.TypedStorage:
    return torch.storage.TypedStorage(  # type: ignore[no-untyped-call]
        wrap_storage=storage, dtype=dtype, _internal=True
    )


def _storage(data: bytearray) -> torch.UntypedStorage:
    """Memory that torch has taken itself: where it begins may change the last bits of products."""
    storage = torch.UntypedStorage(len(data))  # type: ignore[no-untyped-call]
    if data:
        octets = torch.empty(0, dtype=torch.uint8).set_(storage)
        octets.copy_(torch.frombuffer(data, dtype=torch.uint8))
    return storage


def _module(kind: type[torch.nn.Module], state: dict[str, Any]) -> torch.nn.Module:
    module = kind.__new__(kind)
    vars(module).update(state)
    return module


def dump(
    value: object, what: str, file: Writable, number: Callable[[Model], int] | None = None
) -> None:
    """Write a value into a file. With `number`, models go by it, and `load` is given them.

    Raises:
        CogError: it cannot be pickled; `what` it is: "the model dino".
    """
    modules = imported_files()
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    folders = {str(Path(str(module.__file__)).parent.resolve()) for module in modules}
    try:
        pickle.dump(sorted(folders), file)
        _Pickler(file, number).dump(value)
    except Exception as error:  # a network may raise anything
        raise CogError(
            f"{what} cannot be sent to another process: {type(error).__name__}: {error}",
            "give one device, and --worker r/w to a process for each",
        ) from error


def load(file: io.BufferedIOBase, models: Mapping[int, Model] = NONE_APART) -> Any:
    """The next value of a file; `models`: those that were sent apart, by their numbers.

    Raises:
        EOFError: there is none.
        CogError: what it is made of is not there.
    """
    folders = pickle.load(file)
    try:
        with importable(*map(Path, folders)):  # modules beside a plug-in's file
            return _Unpickler(file, models).load()
    except Exception as error:
        raise CogError(
            f"work that came from another process cannot begin: {type(error).__name__}: {error}",
            "every process needs the packages of the one that started it, and the same folders of "
            "modules (set PYTHONPATH to them)",
        ) from error


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BufferedIOBase, models: Mapping[int, Model]) -> None:
        super().__init__(file)
        self._models = models

    def persistent_load(self, number: int) -> Model:
        """The model of a number."""
        return self._models[number]


def to_bytes(value: object, what: str, number: Callable[[Model], int] | None = None) -> bytes:
    """What `dump` writes."""
    file = io.BytesIO()
    dump(value, what, file, number)
    return file.getvalue()


def from_bytes(data: bytes) -> Any:
    """What `load` gives."""
    return load(io.BytesIO(data))


class ToAll:
    """A file whose bytes go to several pipes, in pieces; those that nobody reads are left out."""

    def __init__(self, pipes: Sequence[Connection]) -> None:
        """`pipes`: those that are still read remain in the attribute of that name."""
        self.pipes = list(pipes)

    def write(self, data: Any) -> None:
        """Send bytes to every pipe."""
        octets = memoryview(data).cast("B")
        for start in range(0, len(octets), PIECE):
            for pipe in tuple(self.pipes):
                try:
                    pipe.send_bytes(octets[start : start + PIECE])
                except OSError:
                    self.pipes.remove(pipe)


class FromPipe(io.RawIOBase):
    """The bytes that `ToAll` sends, as a file to read."""

    def __init__(self, pipe: Connection) -> None:
        """`pipe`: what it gives is read in pieces of any size."""
        self._pipe = pipe
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, or a part of it; 0 when the pipe has ended."""
        if not self._rest:
            try:
                self._rest = memoryview(self._pipe.recv_bytes())
            except EOFError:
                return 0
        part = self._rest[: len(buffer)]
        buffer[: len(part)] = part
        self._rest = self._rest[len(part) :]
        return len(part)
