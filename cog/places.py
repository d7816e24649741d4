"""Where results are kept: a folder on disk, or a URL of object storage such as s3://bucket/runs.

`place` makes either from text; a `Url` answers to the part of `pathlib.Path` that runs need, so that
code which only joins, reads, lists and writes through this module does not ask which one it has.

- A file is whole or absent. On disk it is written beside its place and renamed; the name of such a
  partial file says which process of which machine writes it. An object appears when its PUT ends.
- fsspec reaches object storage; `[cloud]` installs it with s3fs. Where the server is and who asks
  is read as AWS programs do: AWS_ENDPOINT_URL, AWS_PROFILE, AWS_ACCESS_KEY_ID, …
"""

from __future__ import annotations

import errno
import fnmatch
import os
import platform
import re
import shutil
import sys
import time
import uuid
from collections.abc import Buffer as BytesLike  # type: ignore[attr-defined,unused-ignore]
