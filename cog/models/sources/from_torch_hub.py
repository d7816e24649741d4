"""`torch-hub:OWNER/REPO:COMMIT:ENTRY`: the network of an entry point in a repository's hubconf.py.

A hubconf.py is a program. It runs only if the user trusts it, and only at one commit, because a
branch or a tag may change. `torch.hub` itself is not used: it records the repository as trusted for
all later programs, prints to stdout, and mixes modules of the same name.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
import sysconfig
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import nn

from cog.errors import CogError, unknown_name
from cog.images.preprocess import Preprocess
from cog.models.initialisation import reinitialise, seeded
from cog.models.model import Model
from cog.models.options import LoadOptions
from cog.models.sources.from_file import OWN_FILE, import_file
from cog.models.sources.from_torchvision import drop_classifier
from cog.models.sources.table import PublishedWeights
from cog.models.weights.download import NotHere, fetch, weights_folder
from cog.models.weights.loading import load_file
from cog.models.weights.renames import strip_prefix
from cog.models.weights.zips import refuse_zip_bomb
from cog.partial_files import partial_file
from cog.progress import Notify

N_CLASSES = 1000  # ImageNet-1K's: a last layer of this size is a classifier
FORM = "torch-hub:OWNER/REPO:COMMIT:ENTRY, or torch-hub:FOLDER:ENTRY"


def load(name: str, options: LoadOptions, notify: Notify) -> Model:
    """The network of an entry point, without a last layer of 1000 outputs.

    `name`: `OWNER/REPO:COMMIT:ENTRY` on GitHub with all 40 digits of COMMIT, or `FOLDER:ENTRY`.
    Nothing records the preprocessing, so it is the default of `cog.Preprocess`, with a message.
    A local file of weights has the tensors of the whole network; the entry point then fetches none.

    Raises:
        CogError: no trust, no commit, no connection, weights that do not fit, or an entry point
            that fails or does not make a network with one vector per image.
    """
    folder, short_name = _folder(name, options)
    entry = name.rpartition(":")[2]
    weights = options.weights
    network = _build(folder, entry, options.pretrained and weights is None, notify)
    if weights is not None:
        load_file(
            network, weights, "state_dict|model|",
            lambda tensors, _: strip_prefix(tensors, ("module.", "")),
            key=options.weights_key, notify=notify,
        )  # fmt: skip
    elif options.weights_key:
        raise CogError(
            f"torch-hub:{name} fetches its own weights, so --weights-key {options.weights_key} "
            "chooses nothing",
            "give --weights FILE with it, or leave it out",
        )
    preprocess = Preprocess()
    notify(
        "torch.hub records no preprocessing; these defaults are used: short side "
        f"{preprocess.resize}, centre crop {preprocess.crop}, {preprocess.interpolation}, "
        "ImageNet's mean and std"
    )
    code = _code_hash(folder, entry)
    model = Model(
        network, preprocess=preprocess, name=short_name, code=code, feature="output of the network"
    )
    return _without_classifier(model, notify) if model.dim == N_CLASSES else model


def _without_classifier(model: Model, notify: Notify) -> Model:
    """The model with the input of its classifier as the feature, if its last layer is one."""
    try:
        inputs = drop_classifier(model.network, N_CLASSES)
    except CogError:
        notify(f"its {N_CLASSES} outputs do not come from a last layer: they are the feature")
        return model
    # a new one, because a model's size is measured once
    features = replace(model, feature="input of the last layer")
    if features.dim != inputs:
        raise CogError(
            f"{model.name}: without its last layer expected features of {inputs} numbers, "
            f"found {features.dim}",
            OWN_FILE,
        )
    notify(f"the last layer, a classifier of {N_CLASSES} classes, is removed")
    return features


def _folder(name: str, options: LoadOptions) -> tuple[Path, str]:
    """The folder of the code, downloaded if it is not there yet, and the model's name."""
    place, _, entry = name.rpartition(":")
    local = Path(place).expanduser()
    found = re.fullmatch(r"([\w.-]+)/([\w.-]+):([^:]+)", place)
    if not place or not entry or not (found or local.is_dir()):
        absent = f": there is no folder {place}" if place and ":" not in place else ""
        raise CogError(f"expected {FORM}, found torch-hub:{name}{absent}", f"write {FORM}")
    if found is None or local.is_dir():
        local = local.resolve()
        _require_trust(options.trust_checkpoint, str(local / "hubconf.py"))
        return local, f"torch-hub:{local.name}:{entry}"
    owner, repository, commit = found.groups()
    page = f"https://github.com/{owner}/{repository}"
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise CogError(
            f"torch-hub:{name}: expected a commit of 40 digits (0-9, a-f), found {commit!r}, "
            "whose code may change",
            f"see {page}/commits/{commit} and write torch-hub:{owner}/{repository}:COMMIT:{entry}",
        )
    _require_trust(options.trust_checkpoint, f"{page}/blob/{commit}/hubconf.py")
    short_name = f"torch-hub:{owner}/{repository}:{commit[:10]}:{entry}"
    return _fetch_repository(owner, repository, commit, options.download), short_name


def published(name: str) -> PublishedWeights:
    """The entry point's own matter."""
    entry = name.rpartition(":")[2]
    return PublishedWeights(f"those that {entry} of hubconf.py makes or fetches", downloaded=False)


def _require_trust(trust: bool, program: str) -> None:
    if not trust:
        raise CogError(
            f"{program} is a program, and loading the model runs it",
            "read it; if you trust it, add --trust-checkpoint",
        )


def _fetch_repository(owner: str, repository: str, commit: str, download: bool) -> Path:
    """The folder of a repository at a commit, in the cache."""
    name = f"{owner}_{repository}_{commit}"
    folder = weights_folder().parent / "torch-hub" / name
    if folder.is_dir():
        return folder
    url = f"https://github.com/{owner}/{repository}/archive/{commit}.zip"
    if not download:
        raise NotHere(f"the code {url} is not on this machine", "download it first")
    archive = fetch([url], f"{name}.zip")
    try:
        refuse_zip_bomb(archive)
        with zipfile.ZipFile(archive) as file, partial_file(folder) as partial:
            partial.mkdir()
            for member in file.infolist():
                _, _, member.filename = member.filename.partition("/")  # REPO-COMMIT, around all
                if member.filename:
                    file.extract(member, partial)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError) as error:
        raise CogError(f"{archive} is not a zip archive ({error})", f"rm '{archive}'") from error
    return folder


def _build(folder: Path, entry: str, pretrained: bool, notify: Notify) -> nn.Module:
    """Run the entry point; a network that it cannot make untrained is reinitialised."""
    path = folder / "hubconf.py"
    if not path.is_file():
        raise CogError(f"{folder} has no hubconf.py", f"write {FORM}, or file.py:function")
    with seeded(), _own_imports(folder):
        module = import_file(path)
        needed = getattr(module, "dependencies", None) or []
        missing = " ".join(name for name in needed if find_spec(name) is None)
        if missing:
            raise CogError(f"{path} needs {missing}", f"pip install {missing}")
        build = getattr(module, entry, None)
        if not callable(build):
            here = [key for key, value in vars(module).items() if inspect.isfunction(value)]
            raise unknown_name(f"entry point of {path}", entry, here)
        has_option = "pretrained" in inspect.signature(build).parameters
        try:
            network = build(pretrained=pretrained) if has_option else build()
        except Exception as error:  # any: the code is not ours
            raise CogError(
                f"{entry} of {path} failed: {type(error).__name__}: {error}",
                "if it cannot fetch its weights, give --weights FILE",
            ) from error
    if not isinstance(network, nn.Module):
        raise CogError(
            f"{entry} of {path} makes a {type(network).__name__}, not a network", OWN_FILE
        )
    if pretrained and not has_option:
        notify(f"{entry} has no option pretrained: its weights are those that it makes or fetches")
    elif not has_option:
        reinitialise(network)
    return network


@contextmanager
def _own_imports(folder: Path) -> Iterator[None]:
    """Within it, the modules of `folder` are imported again; afterwards everything is as before.

    Repositories have modules of the same names (`utils`, `models`), and none may get another's. An
    installed package is used as it is (`torchvision`, in torchvision's own repository). Whatever a
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
    """The imported modules with these names and those inside them; not installed packages."""
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
