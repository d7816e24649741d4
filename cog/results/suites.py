"""What runs say of their suites: sets that were missing, and the protocols of sets.

In: a folder of runs. Out: what all files `runs/splits/suites/HASH.json` say together. Each is named
by its content and never changes, so that runs that differ, in any process, add to what is known
and none overwrites another. Means over sets need it: a set that no model has is in no row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cog.progress import Notify
from cog.small_files import NotReadable, read_json
from cog.storage import StoragePath, write_text

_HASH_LENGTH = 16


@dataclass(frozen=True)
class Suites:
    """What is known of the suites of some runs."""

    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """the sets of each suite, by its name, that `--allow-missing` left out of a run"""
    protocols: Mapping[str, str] = field(default_factory=dict)
    """by which protocol of a suite a dataset is evaluated, for people; by its name"""


NOTHING_KNOWN = Suites()


def write_suites(runs: StoragePath, suites: Suites) -> None:
    """Add what a run says of its suites, if it says anything."""
    if not (suites.left_out or suites.protocols):
        return
    document = {
        "left_out": {name: list(suites.left_out[name]) for name in sorted(suites.left_out)},
        "protocols": {name: suites.protocols[name] for name in sorted(suites.protocols)},
    }
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    name = sha256(text.encode()).hexdigest()[:_HASH_LENGTH]
    path = _folder(runs) / f"{name}.json"
    if not path.is_file():
        write_text(path, text)


def read_suites(runs: StoragePath, notify: Notify | None = None) -> Suites:
    """What all runs of a folder say together; `notify` is as in `read_suites_of`."""
    return read_suites_of([runs], notify)


def read_suites_of(folders: Iterable[StoragePath], notify: Notify | None = None) -> Suites:
    """What all runs of several folders say together.

    `notify` takes a line for each damaged file, which is left out.
    """
    left_out: dict[str, dict[str, None]] = {}
    protocols: dict[str, set[str]] = {}
    paths: list[StoragePath] = [
        path for folder in folders for path in _folder(folder).glob("*.json")
    ]
    for path in sorted(paths, key=str):
        try:
            document = read_json(path)
            for suite, names in _named(document, "left_out", list):
                left_out.setdefault(suite, {}).update(dict.fromkeys(map(str, names)))
            for dataset, protocol in _named(document, "protocols", str):
                protocols.setdefault(dataset, set()).add(protocol)
        except (OSError, NotReadable) as error:
            if notify:
                notify(f"{path} cannot be read ({error}): left out")
    return Suites(
        {suite: tuple(names) for suite, names in left_out.items()},
        {dataset: "; or ".join(sorted(names)) for dataset, names in protocols.items()},
    )


def _folder(runs: StoragePath) -> StoragePath:
    return runs / "splits" / "suites"


def _named(document: Any, key: str, kind: type) -> Iterator[tuple[str, Any]]:
    """The items of an object in a document, whose values are all of one kind."""
    found = document.get(key) if isinstance(document, dict) else None
    if not (isinstance(found, dict) and all(isinstance(each, kind) for each in found.values())):
        raise NotReadable(f"it has no {key}")
    yield from found.items()
