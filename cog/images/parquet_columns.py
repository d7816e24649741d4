"""The columns that an export of images must have, and the types that are read of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cog.errors import CogError

if TYPE_CHECKING:
    import pyarrow as pa

_TEXT = ("string", "large_string", "string_view")
_WHOLE = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
READ = {
    "image.bytes": (("binary", "large_binary", "binary_view"), "the encoded image, as binary"),
    "image.path": ((*_TEXT, "null"), "a file name, as text"),
    "label": ((*_WHOLE, *_TEXT), "whole numbers, or text"),
}
"""column → the types that are read, by their names in Arrow, and what they hold"""


def check_columns(file: Path, schema: pa.Schema) -> dict[str, str]:
    """The type of each column of `READ`, by its name.

    Raises:
        CogError: a column is not there, is there twice, or has another type.
    """
    types = _types(schema)
    if missing := READ.keys() - types.keys():
        found = ", ".join(f"{name} {str(kind)[:80]}" for name, kind in _pairs(schema))[:500]
        raise CogError(
            f"{file}: expected columns image.bytes, image.path and label, found {found}",
            "give an export of a dataset of images with their labels; missing, or there twice: "
            + ", ".join(sorted(missing)),
        )
    for name, (known, what) in READ.items():
        kind = types[name]
        if kind == "null" and name == "image.bytes":
            raise no_bytes(file)
        if kind not in known and not (name == "image.bytes" and kind.startswith("fixed_size_bin")):
            raise CogError(
                f"{file}: the column {name} is of type {kind[:200]}; read is {what}",
                f"write {name} anew as {what}",
            )
    return types


def _types(schema: pa.Schema) -> dict[str, str]:
    """The names of the types of `READ`'s columns, as far as they are there."""
    types: dict[str, str] = {}
    for name in READ:
        kind: pa.DataType | None = None
        for part in name.split("."):
            fields = _fields(schema if kind is None else kind)
            own = [field for field in fields if field.name == part]
            if len(own) != 1:
                break
            kind = own[0].type
        else:
            types[name] = str(_values(kind))
    return types


def _fields(parent: pa.Schema | pa.DataType) -> list[pa.Field]:
    """The fields of a schema or of a struct; none of any other type."""
    import pyarrow as pa

    return list(parent) if isinstance(parent, pa.Schema | pa.StructType) else []


def _values(kind: pa.DataType) -> pa.DataType:
    """The type of the values of a column, which may be stored in a dictionary."""
    import pyarrow as pa

    return kind.value_type if isinstance(kind, pa.DictionaryType) else kind


def _pairs(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """The name and the type of every column."""
    return list(zip(schema.names, schema.types, strict=True))


def no_bytes(file: Path) -> CogError:
    """The error for an export whose images lie elsewhere."""
    return CogError(
        f"{file}: its rows hold a path and no bytes: the images are not in it",
        "export it with them (image.bytes), or give the folder that the paths lead into",
    )
