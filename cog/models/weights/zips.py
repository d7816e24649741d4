"""What a zip declares that it unpacks to, looked at before anything of it is unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path

from cog.errors import CogError

LARGEST_RATIO = 100  # numbers hardly get smaller; zeros do, by 1,000
SMALL_BYTES = 1 << 28  # whatever the ratio, so much may be unpacked


def refuse_zip_bomb(path: Path) -> None:
    """Refuse a zip whose files together are much larger than the zip itself.

    Nobody reads more of a file in a zip than its directory declares, so this bounds the memory.

    Raises:
        CogError: they are.
        Exception: of many kinds, where the directory of the zip is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        declared = sum(member.file_size for member in archive.infolist())
    packed = path.stat().st_size
    if declared > max(SMALL_BYTES, LARGEST_RATIO * packed):
        raise CogError(
            f"{path} declares that its {packed:,} bytes unpack to {declared:,}, "
            f"more than {LARGEST_RATIO} times as many",
            "save it again without compression, if it is yours",
        )
