"""Why images of a chunk are unreadable or truncated: a file a chunk, if any are.

In: a store, a kind, a chunk, reasons by row. Out: the same. The file of a kind is
`readable/KIND/CHUNK.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from cog.errors import CogError
from cog.small_files import read_json, whole_number
from cog.storage import StoragePath, files_below, write_text

UNREADABLE, TRUNCATED = "reasons", "truncated"  # the kinds


def write_reasons(store: StoragePath, kind: str, chunk: int, reasons: Mapping[int, str]) -> None:
    """Write the file of one kind and chunk; none where there are no reasons."""
    file = _file(store, kind, chunk)
    if reasons:
        text = {str(row): reasons[row] for row in sorted(reasons)}
        write_text(file, json.dumps(text, indent=1) + "\n")
    else:
        file.unlink(missing_ok=True)


def read_reasons(store: StoragePath, kind: str, chunk: int) -> dict[int, str]:
    """Row and reason of one kind in one chunk.

    Raises:
        CogError: the file is damaged.
    """
    file = _file(store, kind, chunk)
    try:
        return {whole_number(row): str(why) for row, why in read_json(file).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, RecursionError) as error:
        raise CogError(f"{file} is damaged", f"type: cog store verify --repair {store}") from error


def all_reasons(store: StoragePath, kind: str, chunks: Iterable[int]) -> dict[int, str]:
    """Row and reason of one kind in several chunks; one listing of the folder."""
    files = files_below(store / "readable" / kind)
    found: dict[int, str] = {}
    for chunk in chunks:
        if f"{chunk}.json" in files:
            found |= read_reasons(store, kind, chunk)
    return found


def _file(store: StoragePath, kind: str, chunk: int) -> StoragePath:
    return store / "readable" / kind / f"{chunk}.json"
