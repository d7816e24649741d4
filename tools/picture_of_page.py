"""A picture of the top of a page, by a headless browser: PAGE.html to PICTURE.png.

In: an HTML file, a PNG to write. Out: the PNG, at most 300 kB; or, where no browser is found, a
line on stderr that says so and exit status 0: the rest of `make demo` needs none.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH, HEIGHT = 1100, 945  # from the title to the end of the first chart
LARGEST = 300_000  # bytes


def main(page: Path, picture: Path) -> str:
    """Take the picture; gives what is to be said."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return f"no picture of {page}: none of {', '.join(BROWSERS)} is on the PATH"
    with tempfile.TemporaryDirectory() as folder:
        taken = Path(folder) / "taken.png"
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--user-data-dir={folder}/profile", "--virtual-time-budget=10000",
                f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={taken}",
                page.resolve().as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        with Image.open(taken) as image:
            colours = image.convert("RGB").quantize(256)
    picture.parent.mkdir(parents=True, exist_ok=True)
    colours.save(picture, optimize=True)
    size = picture.stat().st_size
    if size > LARGEST:
        picture.unlink()
        raise SystemExit(f"{picture}: {size:,} bytes, more than {LARGEST:,}")
    return f"{picture}: {size:,} bytes"


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path(sys.argv[2])), file=sys.stderr)
