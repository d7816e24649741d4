"""`file.py:function`: a network of the user's own."""

from __future__ import annotations

import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from cog.errors import CogError, unknown_name
from cog.models.initialisation import reinitialise, seeded
from cog.models.model import Model

_PREFIX = "cog_model_"
_numbers = count(1)  # a file may be loaded twice: each time under a module name of its own


def from_file(path: Path, function: str, weights: Path | None, pretrained: bool) -> Model:
    """What a function in a Python file returns: a `cog.Model`.

    It takes nothing, or a path `weights` that a file of the user's goes to. Untrained, its network
    is put back to the start (see `reinitialise`).

    Raises:
        CogError: no such file or function; it fails; it returns something else.
    """
    module = import_file(path)
    build = getattr(module, function, None)
    if not callable(build):
        here = [name for name, value in vars(module).items() if callable(value)]
        raise unknown_name(f"function of {path}", function, here)
    given = {} if weights is None else {"weights": weights}
    if given and "weights" not in inspect.signature(build).parameters:
        raise CogError(
            f"{path}:{function} takes no weights; --weights {weights} cannot be given to it",
            f"write def {function}(weights=None), or leave out --weights",
        )
    with seeded(), _importable(path.parent):
        model = _call(lambda: build(**given), f"{path}:{function}")
    if not isinstance(model, Model):
        raise CogError(
            f"{path}:{function} returned a {type(model).__name__}, not a cog.Model",
            "end it with: return cog.Model(network, preprocess=cog.Preprocess(...), name=...)",
        )
    model.code = hashlib.sha256(path.read_bytes()).hexdigest()
    if not pretrained:
        reinitialise(model.network)
    return model


def import_file(path: Path) -> ModuleType:
    """Run a Python file, and return it as a module under a name that no other has."""
    if not path.is_file():
        raise CogError(
            f"no file {path}", "give --model the path of a Python file: file.py:function"
        )
    name = f"{_PREFIX}{next(_numbers)}_{path.stem}"
    loader = SourceFileLoader(name, str(path))
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # pickling and dataclasses look a class's module up there
    try:
        with seeded(), _importable(path.parent):
            _call(lambda: loader.exec_module(module), str(path))
    except BaseException:
        del sys.modules[name]
        raise
    return module


def imported_files() -> list[ModuleType]:
    """The modules that `import_file` has made so far."""
    return [module for name, module in sys.modules.items() if name.startswith(_PREFIX)]


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Within it, a file's neighbours can be imported, as they can when it runs as a script."""
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def _call(function: Callable[[], Any], what: str) -> Any:
    try:
        return function()
    except CogError:
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise CogError(
            f"{what} failed: {type(error).__name__}: {error}",
            f"repair it; the error arose in {frame.filename}, line {frame.lineno}",
        ) from error
