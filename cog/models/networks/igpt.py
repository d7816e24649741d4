"""Image GPT: a language model of pixels in 512 colours, made by transformers.

Each pixel becomes the nearest of 512 colours; they are read line by line after a start token. A
middle layer has the best linear probes in the paper: the feature is the mean over the positions of
n = norm(h), where h is the input of that layer.
Sources: Chen et al., "Generative Pretraining from Pixels", ICML 2020, sections 2.4 (features), 3.2
(colours) and 4.1 (which layer); the clusters are openai/image-gpt's kmeans_centers.npy, also in
Hugging Face's preprocessor_config.json. All three published sizes read 32 × 32 pixels.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cog.errors import CogError
from cog.small_files import read_json, read_small

COLOURS = 512
SIZES = {  # numbers per position, layers, heads, pixels per side
    "small": (512, 24, 8, 32),
    "medium": (1024, 36, 8, 32),
    "large": (1536, 48, 16, 32),
}


class ImageGpt(nn.Module):
    """float32[b, 3, s, s] in −1…1 → float32[b, d]."""

    def __init__(self, config: Any, layer: int) -> None:
        """`layer`: the index of the block whose normalised input is averaged."""
        super().__init__()
        from transformers import ImageGPTModel

        self.transformer: Any = ImageGPTModel(config)
        self.layer = layer
        self.clusters: Tensor
        self.register_buffer("clusters", torch.zeros(COLOURS, 3))

    def forward(self, x: Tensor) -> Tensor:
        """The mean over the positions of the layer's normalised input."""
        pixels = x.flatten(2).transpose(1, 2)
        colours = torch.cdist(pixels, self.clusters[None].to(pixels)).argmin(2)
        start = torch.full_like(colours[:, :1], COLOURS)
        read = torch.cat([start, colours[:, :-1]], dim=1)
        means: list[Tensor] = []
        hook = self.transformer.h[self.layer].ln_1.register_forward_hook(
            lambda _, inputs, normed: means.append(normed.mean(1))
        )
        try:  # a cache of keys and values is for generation, and as large as all the states
            self.transformer(read, use_cache=False)
        finally:
            hook.remove()
        return means[0]

    def extra_repr(self) -> str:
        """The layer, for the printed network."""
        return f"layer={self.layer}"


def igpt(size: str) -> nn.Module:
    """iGPT-S, -M or -L, untrained.

    Raises:
        CogError: transformers is not installed.
    """
    try:
        from transformers import ImageGPTConfig
    except ImportError as error:
        raise CogError(
            "Image GPT needs transformers, which is not installed",
            "pip install 'imagenet-cog[transformers]'",
        ) from error
    dim, layers, heads, side = SIZES[size]
    config = ImageGPTConfig(
        vocab_size=COLOURS + 1, n_positions=side**2, n_embd=dim, n_layer=layers, n_head=heads
    )
    return ImageGpt(config, layers // 2)


def read_clusters(path: Path) -> Tensor:
    """The colours float32[512, 3] in −1…1, from kmeans_centers.npy or preprocessor_config.json.

    Raises:
        CogError: another file.
    """
    try:
        if path.suffix == ".json":
            values = read_json(path)["clusters"]
        else:
            file = io.BytesIO(read_small(path, 1 << 20))
            values = np.lib.format.read_array(file, allow_pickle=False)
        clusters = np.asarray(values, np.float32)
        if clusters.shape != (COLOURS, 3):
            raise ValueError(f"expected [{COLOURS}, 3], found {list(clusters.shape)}")
        if not np.all(np.abs(clusters) <= 1.001):  # NaN too; a mean of floats may pass 1 a little
            raise ValueError(f"expected −1…1, found {clusters.min():g} to {clusters.max():g}")
    except (OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise CogError(
            f"cannot read the colours of Image GPT from {path} ({error})",
            "give kmeans_centers.npy or preprocessor_config.json of the official release",
        ) from error
    return torch.from_numpy(clusters)
