"""Short hashes of what a result is made from."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def short_hash(value: Any) -> str:
    """The first 16 hexadecimal digits of the sha256 of a JSON-able value.

    >>> short_hash({"a": 1, "b": [2]}) == short_hash({"b": (2,), "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
