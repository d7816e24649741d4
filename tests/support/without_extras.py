"""A plug-in of pytest: the tests run as where some libraries are not installed.

WITHOUT=ray,open_clip python -m pytest -p tests.support.without_extras -m "not long"
"""

from __future__ import annotations

import os
import sys

for name in filter(None, os.environ.get("WITHOUT", "").split(",")):
    sys.modules[name] = None  # type: ignore[assignment]  # an import of it fails
