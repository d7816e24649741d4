"""`hf:`: small networks of every family, saved by transformers, against transformers itself."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cog.models.load import load_model

its = pytest.importorskip("transformers", reason="pip install 'imagenet-cog[transformers]'")

from tests.support import small_transformers as small  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def quiet():
    its.logging.set_verbosity_error()
    its.utils.logging.disable_progress_bar()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of an entry of `SAVED`, made when it is first asked for."""
    root, made = tmp_path_factory.mktemp("hf"), {}

    def find(name: str) -> Path:
        if name not in made:
            made[name] = small.save(name, root / name)
        return made[name]

    return find


@pytest.fixture(scope="module")
def photographs() -> list[bytes]:
    """Encoded images: drawn ones of several shapes, and real ones where COG_IMAGES has them."""
    real = sorted(Path(os.environ.get("COG_IMAGES", "/nowhere")).glob("*/*"))[::400][:2]
    rng, made = np.random.default_rng(0), [path.read_bytes() for path in real]
    for height, width in ((75, 100), (91, 66), (40, 41)):
        coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file, "PNG")
        made.append(file.getvalue())
    return made


def opened(photographs: list[bytes]) -> list[Image.Image]:
    return [Image.open(io.BytesIO(data)).convert("RGB") for data in photographs]


@pytest.mark.parametrize("name", small.SAVED)
def test_a_folder_gives_the_features_and_the_pixels_of_transformers(name, folder, photographs):
    saved, notices = small.SAVED[name], []
    model = load_model(f"hf:{folder(name)}", notify=notices.append)
    processor = its.AutoImageProcessor.from_pretrained(folder(name))
    wanted = processor(opened(photographs), return_tensors="pt")["pixel_values"]
    pixels = torch.stack([model.preprocess.load(data) for data in photographs])
    far = (model.preprocess.normalise(pixels) - wanted).abs().amax((0, 2, 3))
    assert (far * torch.tensor(model.preprocess.std) * 255).max() <= 2
    with torch.no_grad():
        expected = saved.feature(small.its_own(name, folder(name)), wanted)
    assert (model.embed(wanted) - expected).abs().max() <= 1e-5
    assert expected.std(0).max() > 1e-3  # images differ: the feature is none of a constant
    assert model.feature == saved.words
    unused = [line.partition("not used: ")[2] for line in notices if "not used" in line]
    assert unused == [", ".join(saved.notices)] * bool(saved.notices)
