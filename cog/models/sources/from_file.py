"""`file.py:function`: a network of the user."""

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
from cog.models.options import LoadOptions
from cog.models.sources.table import PublishedWeights
from cog.progress import Notify

OWN_FILE = "load it in a file of your own and give --model file.py:function"
_PREFIX = "cog_model_"
_numbers = count(1)  # a file may be loaded twice, each time as another module
_imported: list[ModuleType] = []


def load(name: str, options: LoadOptions, notify: Notify) -> Model:
    """The `cog.Model` that a function in a Python file returns; `name`: `file.py:function`.

    The function takes no argument, or `weights` and `weights_key`, the path of the user's --weights
    and what --weights-key says. For an untrained network, `reinitialise` puts it back to the start.

    Raises:
        CogError: no such file or function; it fails; it returns something else.
    """
    file, _, function = name.rpartition(":")
    if name.endswith(".py"):
        raise CogError(f"{name!r} names no function", f"write {name}:load")
    path, weights = Path(file), options.weights
    module = import_file(path)
    build = getattr(module, function, None)
    if not callable(build):
        here = [name for name, value in vars(module).items() if callable(value)]
        raise unknown_name(f"function of {path}", function, here)
    given = {"weights": weights, "weights_key": options.weights_key}
    given = {option: value for option, value in given.items() if value is not None}
    for option, value in given.items():
        if option not in inspect.signature(build).parameters:
            typed = f"--{option.replace('_', '-')}"
            raise CogError(
                f"{path}:{function} takes no {option}, so it cannot use {typed} {value}",
                f"write def {function}({option}=None), or leave out {typed}",
            )
    with seeded(), importable(path.parent):
        model = call_function(lambda: build(**given), f"{path}:{function}")
    if not isinstance(model, Model):
        raise CogError(
            f"{path}:{function} returned a {type(model).__name__}, not a cog.Model",
            "end it with: return cog.Model(network, preprocess=cog.Preprocess(...), name=...)",
        )
    model.code = hashlib.sha256(path.read_bytes()).hexdigest()
    if not options.pretrained:
        reinitialise(model.network)
    return model


def published(_: str) -> PublishedWeights:
    """The function's own matter."""
    return PublishedWeights("those that the function gives its network", downloaded=False)


def import_file(path: Path) -> ModuleType:
    """Run a Python file, and return it as a module with a new name."""
    if not path.is_file():
        raise CogError(
            f"no file {path}", "give --model the path of a Python file, as file.py:function"
        )
    name = f"{_PREFIX}{next(_numbers)}_{path.stem}"
    loader = SourceFileLoader(name, str(path))
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # where pickling and dataclasses look up the module of a class
    try:
        with seeded(), importable(path.parent):
            call_function(lambda: loader.exec_module(module), str(path))
    except BaseException:
        del sys.modules[name]
        raise
    _imported.append(module)
    return module


def imported_files() -> list[ModuleType]:
    """The modules that `import_file` made so far."""
    return list(_imported)


@contextmanager
def importable(*folders: Path) -> Iterator[None]:
    """Within it, files of the folders can be imported, as by a script that runs there."""
    entries = [str(folder.resolve()) for folder in folders]
    sys.path[:0] = entries
    try:
        yield
    finally:
        for entry in entries:
            sys.path.remove(entry)


def call_function(function: Callable[[], Any], what: str) -> Any:
    """Call code of the user; what it raises becomes a CogError that names `what` and the line."""
    try:
        return function()
    except CogError:
        raise
    except (Exception, SystemExit) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise CogError(
            f"{what} failed: {type(error).__name__}: {error}",
            f"repair it; the error is in {frame.filename}, line {frame.lineno}",
        ) from error
