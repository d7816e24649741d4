"""Fixtures that the tests of several packages share."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported, as the CLI does
if "PYTEST_XDIST_WORKER" in os.environ:  # one worker a core: more threads would only wait
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cog.cli.main import main
from cog.wordnet.taxonomy import Taxonomy, load_taxonomy
from tests.support.runs import PLUG_IN, WNIDS, draw_images

hypothesis.settings.register_profile("busy machine", deadline=None)  # no test is failed by a clock
hypothesis.settings.load_profile("busy machine")


@pytest.fixture(scope="session")
def wnids() -> tuple[str, ...]:
    return WNIDS


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    """12 images of each of the six concepts."""
    return draw_images(tmp_path_factory.mktemp("images"), WNIDS, 12)


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
    words = ["--eligible", folder / "eligible.txt", "--n-levels", 2, "--size", 3]
    build_levels_by_command(folder / "made", *words)
    return folder / "made"


@pytest.fixture(scope="session")
def official_build(tmp_path_factory) -> tuple[Path, str]:
    """(the folder, what is printed) of `cog build-levels --eligible official`."""
    out = tmp_path_factory.mktemp("official") / "levels"
    return out, build_levels_by_command(out, "--eligible", "official")


@pytest.fixture(scope="session")
def default_build(tmp_path_factory) -> tuple[Path, str]:
    """(the folder, what is printed) of `cog build-levels` without options."""
    out = tmp_path_factory.mktemp("default") / "levels"
    return out, build_levels_by_command(out)


def build_levels_by_command(out: Path, *words: object) -> str:
    command = ["build-levels", *map(str, words), "--out", str(out)]
    return CliRunner().invoke(main, command, catch_exceptions=False).stdout


@pytest.fixture(scope="session")
def wordnet() -> Taxonomy:
    """The bundled WordNet."""
    return load_taxonomy()


@pytest.fixture(scope="session")
def real_images() -> list[bytes]:
    """A few encoded images: real ones where there are any, else one of detail and odd sides."""
    folder = os.environ.get("COG_IMAGES", "")
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
