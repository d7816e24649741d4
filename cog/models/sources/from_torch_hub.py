"""`torch-hub:OWNER/REPO:COMMIT:ENTRY`: what an entry point of a repository's hubconf.py makes.

A hubconf.py is a program. It runs only where the user trusts it, and only at one commit, which
never changes as a branch or a tag may. `torch.hub` itself is not used: it would note the repository
as trusted for all later programs, print to stdout, and mix modules of one name.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
import sysconfig
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from cog.errors import CogError, unknown_name
from cog.images.preprocess import Preprocess
from cog.models.initialisation import reinitialise, seeded
from cog.models.model import Model
from cog.models.options import LoadOptions
from cog.models.sources.from_file import import_file
from cog.models.sources.from_torchvision import drop_classifier
from cog.models.weights.checkpoints import load_strictly, read_checkpoint
from cog.models.weights.download import fetch, weights_folder
from cog.models.weights.renames import strip_prefix
from cog.progress import Notify

N_CLASSES = 1000  # ImageNet-1K's, by which a classifier is known
FORM = "torch-hub:OWNER/REPO:COMMIT:ENTRY, or torch-hub:FOLDER:ENTRY"
OWN_FILE = "load it in a file of your own and give --model file.py:function"


def load(name: str, options: LoadOptions, notify: Notify) -> Model:
    """The network of an entry point, without a last layer of 1000 outputs.

    `name`: `OWNER/REPO:COMMIT:ENTRY` on GitHub, COMMIT in all of its 40 digits, or `FOLDER:ENTRY`.
    Preprocessing is recorded nowhere: the defaults of `cog.Preprocess` are taken, and told.
    `weights`: a local file of the whole network, in place of those that the entry point fetches.

    Raises:
        CogError: no trust; no commit; no download; an entry point that fails or makes no network
            with one vector an image; weights that do not fit.
    """
    folder, short_name = _folder(name, options.trust_checkpoint)
    entry = name.rpartition(":")[2]
    weights = options.weights
    network = _build(folder, entry, options.pretrained and weights is None, notify)
    if weights is not None:
        tensors = strip_prefix(read_checkpoint(weights, "state_dict|model|"), ("module.", ""))
        load_strictly(network, tensors, str(weights))
    preprocess = Preprocess()
    notify(
        "torch.hub records no preprocessing; these are defaults: short side "
        f"{preprocess.resize}, centre crop {preprocess.crop}, {preprocess.interpolation}, "
        "ImageNet's mean and std"
    )
    code = _code_hash(folder, entry)
    model = Model(network, preprocess=preprocess, name=short_name, code=code)
    return _without_classifier(model, notify) if model.dim == N_CLASSES else model


def _without_classifier(model: Model, notify: Notify) -> Model:
    """The model with what goes into its last layer as the feature, if that layer is one."""
    try:
        inputs = drop_classifier(model.network, N_CLASSES)
    except CogError:
        notify(f"its {N_CLASSES} numbers come from no last layer: they are taken as they are")
        return model
    features = Model(
        model.network, preprocess=model.preprocess, name=model.name, code=model.code
    )  # another one, since a model's size is measured once
    if features.dim != inputs:
        raise CogError(
            f"{model.name}: without its last layer expected {inputs} numbers an image, "
            f"and found {features.dim}",
            OWN_FILE,
        )
    notify(f"the last layer, a classifier of {N_CLASSES} classes, is taken off")
    return features


def _folder(name: str, trust: bool) -> tuple[Path, str]:
    """Where the code is, downloaded if it is not there yet, and the model's name."""
    place, _, entry = name.rpartition(":")
    local = Path(place).expanduser()
    found = re.fullmatch(r"([\w.-]+)/([\w.-]+):([^:]+)", place)
    if not place or not entry or not (found or local.is_dir()):
        absent = f": there is no folder {place}" if place and ":" not in place else ""
        raise CogError(f"expected {FORM}, found torch-hub:{name}{absent}", f"write {FORM}")
    if found is None or local.is_dir():
        local = local.resolve()
        _require_trust(trust, str(local / "hubconf.py"))
        return local, f"torch-hub:{local.name}:{entry}"
    owner, repository, commit = found.groups()
    page = f"https://github.com/{owner}/{repository}"
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise CogError(
            f"torch-hub:{name}: expected a commit of 40 digits (0-9, a-f), and found {commit!r}, "
            "which may mean other code tomorrow",
            f"see {page}/commits/{commit} and write torch-hub:{owner}/{repository}:COMMIT:{entry}",
        )
    _require_trust(trust, f"{page}/blob/{commit}/hubconf.py")
    short_name = f"torch-hub:{owner}/{repository}:{commit[:10]}:{entry}"
    return _fetch_repository(owner, repository, commit), short_name


def _require_trust(trust: bool, program: str) -> None:
    if not trust:
        raise CogError(
            f"{program} is a program, and loading the model runs it",
            "read it; if you trust it, add --trust-checkpoint",
        )


def _fetch_repository(owner: str, repository: str, commit: str) -> Path:
    """The folder of a repository as of a commit, in the cache."""
    name = f"{owner}_{repository}_{commit}"
    folder = weights_folder().parent / "torch-hub" / name
    if folder.is_dir():
        return folder
    url = f"https://github.com/{owner}/{repository}/archive/{commit}.zip"
    archive = fetch([url], f"{name}.zip")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as scratch:  # whole, or not there at all
        try:
            with zipfile.ZipFile(archive) as file:
                file.extractall(scratch)
        except zipfile.BadZipFile as error:
            raise CogError(f"{archive} is no zip archive ({error})", f"rm '{archive}'") from error
        next(Path(scratch).iterdir()).rename(folder)  # the one folder in it: REPO-COMMIT
    return folder


def _build(folder: Path, entry: str, pretrained: bool, notify: Notify) -> nn.Module:
    """Run the entry point; untrained, where it cannot be told so, its network is put back."""
    path = folder / "hubconf.py"
    if not path.is_file():
        raise CogError(f"{folder} holds no hubconf.py", f"write {FORM}, or file.py:function")
    with seeded(), _own_imports(folder):
        module = import_file(path)
        _require_packages(getattr(module, "dependencies", None) or [], path)
        build = getattr(module, entry, None)
        if not callable(build):
            here = [key for key, value in vars(module).items() if inspect.isfunction(value)]
            raise unknown_name(f"entry point of {path}", entry, here)
        told = "pretrained" in inspect.signature(build).parameters
        try:
            network = build(pretrained=pretrained) if told else build()
        except Exception as error:  # whatever a stranger's code raises
            raise CogError(
                f"{entry} of {path} failed: {type(error).__name__}: {error}",
                "if it cannot fetch its weights, give --weights FILE",
            ) from error
    if not isinstance(network, nn.Module):
        raise CogError(
            f"{entry} of {path} makes a {type(network).__name__}, not a network", OWN_FILE
        )
    if pretrained and not told:
        notify(f"{entry} takes no pretrained=…: its weights are those that it makes or fetches")
    elif not told:
        reinitialise(network)
    return network


def _require_packages(names: list[str], path: Path) -> None:
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise CogError(f"{path} needs {', '.join(missing)}", f"pip install {' '.join(missing)}")


@contextmanager
def _own_imports(folder: Path) -> Iterator[None]:
    """Within it, the modules of `folder` are imported anew; afterwards all is as it was.

    Repositories call their modules alike (`utils`, `models`): none may get another's. Of installed
    packages the one in memory is used (`torchvision`, in torchvision's own repository). What a
    repository prints goes to stderr.
    """
    names = {path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == ".py"}
    names -= sys.stdlib_module_names
    before, paths = _modules(names), list(sys.path)
    for name in before:
        del sys.modules[name]
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            sys.path.insert(0, str(folder))
            yield
    finally:
        sys.path[:] = paths
        for name in _modules(names):
            del sys.modules[name]
        sys.modules.update(before)


def _modules(names: set[str]) -> dict[str, Any]:
    """The modules in memory under one of `names`, with all within them, but for installed ones."""
    installed = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    own = {
        name
        for name in names & set(sys.modules)
        if not (getattr(sys.modules[name], "__file__", None) or "").startswith(installed)
    }
    return {key: module for key, module in sys.modules.items() if key.partition(".")[0] in own}


def _code_hash(folder: Path, entry: str) -> str:
    """SHA-256 over the entry point's name and all Python files under `folder`, with their paths."""
    digest = hashlib.sha256(entry.encode())
    for path in sorted(folder.rglob("*.py")):
        if path.is_file():
            code = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(folder).as_posix()} {code}\n".encode())
    return digest.hexdigest()
