"""The files of a model in transformers' layout: of a folder, or of a repository at one commit."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from cog.errors import CogError
from cog.models.hf.preprocessing import WITHOUT_EFFECT
from cog.models.weights.checkpoints import read_checkpoint
from cog.models.weights.hub import folder_or_repository, hub_file
from cog.progress import Notify
from cog.small_files import read_json

CONFIG = "config.json"
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
SAFE = ("model.safetensors", "model.safetensors.index.json")
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
COMMIT = "[0-9a-f]{40}"


@dataclass(frozen=True)
class Source:
    """Where the files of a model are."""

    name: str
    """as the user wrote it, with its prefix"""
    folder: Path | None = None
    repository: str = ""
    revision: str | None = None
    download: bool = True

    def find(self, *names: str) -> Path:
        """The first of `names` that is there; downloaded, if it is on the hub.

        Raises:
            CogError: none is there, or the hub cannot be reached.
        """
        if self.folder is None:
            return hub_file(self.repository, names, self.revision, self.download)
        for name in names:
            if (self.folder / name).is_file():
                return self.folder / name
        if not self.folder.is_dir():
            raise CogError(f"{self.name}: there is no folder {self.folder}", "check the path")
        raise CogError(
            f"{self.name}: {self.folder} has no {' or '.join(names)}",
            "give the folder of a model that transformers saved, such as hf:./FOLDER: "
            "model.save_pretrained('FOLDER'), processor.save_pretrained('FOLDER')",
        )

    @property
    def short_name(self) -> str:
        """What the model is called: of a folder its last name, however the user reached it."""
        return self.name if self.folder is None else f"hf:{self.folder.resolve().name}"

    @property
    def commit(self) -> str:
        """The commit of a repository, once it is known; else empty."""
        full = self.folder is None and re.fullmatch(COMMIT, self.revision or "")
        return self.revision or "" if full else ""

    def at_commit(self, file: Path) -> Source:
        """The same at the commit that `file` of it has come from: all files are then of one."""
        commit = file.parent.name
        if self.folder is not None or not re.fullmatch(COMMIT, commit):
            return self
        return replace(self, revision=commit)


def find_source(name: str, download: bool = True) -> Source:
    """The source of `OWNER/MODEL`, `OWNER/MODEL@REVISION` or the path of a folder.

    Without `download`, a file that is not on this machine raises `NotHere`.

    Raises:
        CogError: it is written otherwise.
    """
    found = folder_or_repository(name, "hf:", "facebook/dinov2-base")
    if isinstance(found, Path):
        return Source(f"hf:{name}", folder=found)
    repository, revision = found
    return Source(f"hf:{name}", repository=repository, revision=revision, download=download)


def read_record(path: Path) -> dict[str, Any]:
    """The content of a JSON file that holds one object.

    Raises:
        CogError: it does not.
    """
    try:
        record = read_json(path)
    except ValueError as error:
        raise CogError(f"{path} is not JSON ({error})", "download or save it again") from error
    if not isinstance(record, dict):
        raise CogError(f"{path}: expected an object of JSON", "download or save it again")
    return record


def processor_record(source: Source) -> dict[str, Any]:
    """The settings of the image processor, from either of the files that transformers writes.

    Raises:
        CogError: there are none, or two that differ.
    """
    path = source.find(*PROCESSORS)
    records: list[Any] = [read_record(path)]
    other = path.parent / PROCESSORS[1]
    if path.name == PROCESSORS[1]:
        records = [records[0].get("image_processor")]
    elif other.is_file() and "image_processor" in (both := read_record(other)):
        records.append(both["image_processor"])
    if not all(isinstance(record, dict) for record in records) or len(_distinct(records)) > 1:
        raise CogError(
            f"{source.name}: expected the settings of one image processor in "
            f"{' and '.join(str(path.parent / name) for name in PROCESSORS)}",
            "keep the file of the right one: processor.save_pretrained('FOLDER')",
        )
    found: dict[str, Any] = records[0]
    return found


def _distinct(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records that differ in more than what changes no pixel."""
    bare = [
        {key: value for key, value in record.items() if key not in WITHOUT_EFFECT}
        for record in records
    ]
    return [record for index, record in enumerate(bare) if record not in bare[:index]]


def read_tensors(
    source: Source, weights: Path | None, trust: bool, notify: Notify, key: str | None = None
) -> OrderedDict[str, Tensor]:
    """The tensors of a model by their names in its files, or in the user's file `weights`.

    `key`: the user's choice among several sets of weights of one file.

    Raises:
        CogError: no weights, pickled ones without trust, or files that cannot be read.
    """
    path = weights or _weights_file(source, trust)
    if path.suffix != ".json":
        _refuse_pickle(path, trust)
        return read_checkpoint(path, "state_dict|model|", notify=notify, key=key)
    if key:
        raise CogError(
            f"{path} names several files, in which --weights-key {key} cannot choose",
            "leave it out, or give --weights with one file",
        )
    shards = read_record(path).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise CogError(f"{path}: expected a weight_map", "download or save it again")
    tensors: OrderedDict[str, Tensor] = OrderedDict()
    for name in sorted(set(shards.values())):
        if "/" in name or "\\" in name:
            raise CogError(f"{path}: the shard {name!r} is in another folder", "save it again")
        shard = source.find(name)
        _refuse_pickle(shard, trust)
        tensors.update(read_checkpoint(shard, "", notify=notify))
    return tensors


def _weights_file(source: Source, trust: bool) -> Path:
    """The file of weights, or of their index; what is missing is said with what is there."""
    try:
        return source.find(*SAFE, *(PICKLED if trust else ()))
    except CogError as error:
        if trust or "has no" not in error.what:
            raise
        raise CogError(
            error.what,
            f"if it has {PICKLED[0]}, add --trust-checkpoint; else give --weights FILE",
        ) from error


def _refuse_pickle(path: Path, trust: bool) -> None:
    if path.suffix != ".safetensors" and not trust:
        raise CogError(
            f"{path} is not of safetensors, and other files of weights may hold a program",
            "save it as safetensors; or add --trust-checkpoint: its tensors are then read, and no "
            "code in it is run",
        )
