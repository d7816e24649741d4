"""Small images, levels and a plug-in model that the tests of the whole pipeline share."""

from __future__ import annotations

import colorsys
import io
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported, as the CLI does

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from cog.evaluation.plan import Plan

HANGS_SECONDS = 1800  # what takes longer hangs; a busy machine is slow, and no test fails by that

# Six concepts that no level of the tests shares: three near ImageNet-1K, three far.
WNIDS = ("n02085272", "n02087122", "n02109150", "n13001041", "n13862780", "n09436708")

PLUG_IN = '''
import time
import torch
import cog

class Colours(torch.nn.Module):
    """Mean colour of each quarter of the image."""
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
def tiny(): return cog.Model(Colours(scale=1e-9), preprocess=PREPROCESS, name="tiny")
def broken(): return cog.Model(Colours(scale=float("nan")), preprocess=PREPROCESS, name="broken")
'''


def draw_images(
    root: Path, wnids: tuple[str, ...], per_class: int, *, alike: bool = False, spread: float = 0.0
) -> Path:
    """Folders of images whose hue, within `spread`, tells the class; `alike`: nothing does."""
    rng = np.random.default_rng(0)
    for index, wnid in enumerate(wnids):
        (root / wnid).mkdir(parents=True)
        hue = 0.0 if alike else index / len(wnids)
        for number in range(per_class):
            own = hue + rng.normal(scale=spread) if spread else hue
            colour = 255 * np.array(colorsys.hsv_to_rgb(own % 1, 0.8, 0.7))
            noise = rng.normal(scale=25, size=(18, 20, 3))
            pixels = (colour + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / wnid / f"{wnid}_{number}.png")
    return root


def make_plan(model, **options) -> Plan:
    """The plan that arguments of `cog.evaluate` ask for."""
    from cog.evaluation.plan import plan_from

    return plan_from({"model": model, **options})


def run_cog(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `cog` as a user does, in a process of its own."""
    command = [sys.executable, "-m", "cog", *map(str, arguments)]
    environment = os.environ | {"COG_HOME": str(cwd / "cog-home")}
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env=environment,
        timeout=HANGS_SECONDS,
    )  # fmt: skip


def call_cog(
    *arguments: object, cwd: Path, program: str = "cog"
) -> subprocess.CompletedProcess[str]:
    """Run `cog` as a user does, but in this process, which has loaded the libraries already."""
    from cog.cli.main import run
    from cog.interruption import handlers_kept

    command = [program, *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        chdir(cwd),
        mock.patch.object(sys, "argv", command),
        handlers_kept(),
        mock.patch.dict(os.environ, {"COG_HOME": str(cwd / "cog-home")}),
    ):
        try:
            run()
        except SystemExit as ended:
            status = ended.code
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())
