"""Small pictures, levels and a plug-in model that the tests of the whole pipeline share."""

from __future__ import annotations

import colorsys
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported, as the CLI does

import numpy as np
import pytest
from PIL import Image

# Six concepts that no level of the tests shares: three near ImageNet-1K, three far.
WNIDS = ("n02085272", "n02087122", "n02109150", "n13001041", "n13862780", "n09436708")

PLUG_IN = '''
import time
import torch
import cog

class Colours(torch.nn.Module):
    """Mean colour of each quarter of the picture."""
    def __init__(self, seconds=0.0, scale=1.0):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(scale))
        self.seconds = seconds
    def forward(self, x):
        time.sleep(self.seconds)
        return self.scale * torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)

PREPROCESS = cog.Preprocess(resize=16, crop=16)
def load(): return cog.Model(Colours(), preprocess=PREPROCESS, name="colours")
def slow(): return cog.Model(Colours(seconds=0.1), preprocess=PREPROCESS, name="colours")
def other(): return cog.Model(Colours(scale=2.0), preprocess=PREPROCESS, name="colours")
def another(): return cog.Model(Colours(scale=3.0), preprocess=PREPROCESS, name="another")
def huge(): return cog.Model(Colours(scale=1e6), preprocess=PREPROCESS, name="huge")
def broken(): return cog.Model(Colours(scale=float("nan")), preprocess=PREPROCESS, name="broken")
'''


def draw_pictures(
    root: Path, wnids: tuple[str, ...], per_class: int, *, alike: bool = False
) -> Path:
    """Folders of pictures whose hue tells the class; `alike`: nothing does."""
    rng = np.random.default_rng(0)
    for place, wnid in enumerate(wnids):
        (root / wnid).mkdir(parents=True)
        hue = 0.0 if alike else place / len(wnids)
        colour = 255 * np.array(colorsys.hsv_to_rgb(hue, 0.8, 0.7))
        for number in range(per_class):
            noise = rng.normal(scale=25, size=(18, 20, 3))
            pixels = (colour + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / wnid / f"{wnid}_{number}.png")
    return root


def run_cog(*arguments: object, cwd: Path, **options) -> subprocess.CompletedProcess[str]:
    """Run `cog` as a user does, in a process of its own."""
    command = [sys.executable, "-m", "cog", *map(str, arguments)]
    environment = os.environ | {"COG_HOME": str(cwd / "cog-home")}
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env=environment, timeout=300, **options
    )


@pytest.fixture(scope="session")
def wnids() -> tuple[str, ...]:
    return WNIDS


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """12 pictures of each of the six concepts."""
    return draw_pictures(tmp_path_factory.mktemp("pictures"), WNIDS, 12)


@pytest.fixture(scope="session")
def plug_in(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("plug_in") / "nets.py"
    path.write_text(PLUG_IN)
    return path


@pytest.fixture(scope="session")
def levels_folder(tmp_path_factory) -> Path:
    """Two levels of three of the concepts."""
    folder = tmp_path_factory.mktemp("levels")
    (folder / "eligible.txt").write_text("\n".join(WNIDS) + "\n")
    made = run_cog(
        "build-levels", "--eligible", "eligible.txt", "--n-levels", 2, "--size", 3, "--out", "made",
        cwd=folder,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return folder / "made"


@pytest.fixture(scope="session")
def real_pictures() -> list[bytes]:
    """A few encoded pictures: real ones where there are any, else one of detail and odd sides."""
    folder = os.environ.get("COG_PICTURES", "")
    if folder:
        paths = sorted(Path(folder).glob("*/*"))
        return [path.read_bytes() for path in paths[:: max(1, len(paths) // 3)][:3]]
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:301, :407] / 17
    waves = 127 + 90 * np.stack([np.sin(rows), np.cos(columns), np.sin(rows + columns)], axis=2)
    noisy = (waves + rng.normal(scale=12, size=waves.shape)).clip(0, 255).astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(noisy).save(encoded, "PNG")
    return [encoded.getvalue()]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small products are quicker on one thread when the machine is busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
