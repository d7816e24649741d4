"""MAGE's encoder: a vision transformer that reads the codes of a VQGAN instead of patches.

Sixteen by sixteen vectors of the VQGAN's encoder become the nearest of 1024 codes; the codes are
embedded as words are, after the word that stands for an unknown class. For linear probing the
authors take the mean of the 256 tokens, without a class token, and a norm that is never trained:
the norm of the pre-training is left out. Two details of the VQGAN, which comes from another
library's code, decide the codes: where a block widens, its shortcut starts from the block's output;
and maps are halved by averages.
Sources: Li et al., CVPR 2023, and LTH14/mage (models_vit_mage.py and main_linprobe.py for the
features, taming/modules/diffusionmodules/model.py, config/vqgan.yaml).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from timm.models.vision_transformer import Block
from torch import Tensor, nn

CODES = 1024
WORDS = CODES + 1000 + 1  # classes and the mask have words too
NO_CLASS = 1100  # the word at the class token's position


class _Residual(nn.Module):
    """Two convolutions: [b, inputs, h, w] → [b, outputs, h, w]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = _norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm2 = _norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.nin_shortcut = (
            nn.Conv2d(outputs, outputs, 1, bias=False) if inputs != outputs else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """A map and what the block adds to it."""
        new = self.conv1(nn.functional.silu(self.norm1(x)))
        new = self.conv2(nn.functional.silu(self.norm2(new)))
        out: Tensor = new + (x if self.nin_shortcut is None else self.nin_shortcut(new))
        return out


class _Tokenizer(nn.Module):
    """The encoder of the VQGAN: float32[b, 3, h, w] in 0…1 → [b, code_dim, h / 16, w / 16]."""

    def __init__(self, channels: int, multiples: Sequence[int], code_dim: int) -> None:
        """`multiples` of `channels` are the widths of the five sizes of map."""
        super().__init__()
        widths = [channels * multiple for multiple in multiples]
        last = widths[-1]
        self.conv_in = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.down = nn.ModuleList(
            nn.Sequential(_Residual(before, width), _Residual(width, width))
            for before, width in zip([channels, *widths], widths, strict=False)
        )
        self.mid = nn.Sequential(_Residual(last, last), _Residual(last, last))
        self.norm_out = _norm(last)
        self.conv_out = nn.Conv2d(last, code_dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Images to vectors."""
        x = self.conv_in(x)
        for index, blocks in enumerate(self.down):
            x = blocks(nn.functional.avg_pool2d(x, 2) if index else x)
        vectors: Tensor = self.conv_out(nn.functional.silu(self.norm_out(self.mid(x))))
        return vectors


class _Embedding(nn.Module):
    """Words int64[b, n] → [b, n, dim], with what their positions add."""

    def __init__(self, dim: int, positions: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(WORDS, dim)
        self.position_embeddings = nn.Embedding(positions, dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, words: Tensor) -> Tensor:
        """The norm of both embeddings of the words."""
        embedded: Tensor = self.norm(self.word_embeddings(words) + self.position_embeddings.weight)
        return embedded


class Mage(nn.Module):
    """float32[b, 3, side, side] in 0…1 → float32[b, dim]."""

    def __init__(
        self, dim: int = 768, depth: int = 12, heads: int = 12, side: int = 256,
        channels: int = 128, multiples: Sequence[int] = (1, 1, 2, 2, 4), code_dim: int = 256,
    ) -> None:  # fmt: skip
        """ViT-B; ViT-L has 1024 numbers, 24 blocks and 16 heads."""
        super().__init__()
        self.tokenizer = _Tokenizer(channels, multiples, code_dim)
        self.codebook = nn.Embedding(CODES, code_dim)
        self.embedding = _Embedding(dim, (side // 16) ** 2 + 1)
        norm: Any = partial(nn.LayerNorm, eps=1e-6)
        self.blocks = nn.Sequential(
            *(Block(dim, heads, qkv_bias=True, norm_layer=norm) for _ in range(depth))
        )
        self.fc_norm = nn.LayerNorm(dim, eps=1e-6, elementwise_affine=False)

    def codes(self, x: Tensor) -> Tensor:
        """The nearest code of each vector: int64[b, n]."""
        vectors = self.tokenizer(x).flatten(2).transpose(1, 2)
        codes = self.codebook.weight
        distances = codes.square().sum(1) - 2 * vectors @ codes.T  # but for the vector's own square
        nearest: Tensor = distances.argmin(2)
        return nearest

    def forward(self, x: Tensor) -> Tensor:
        """The norm of the mean of the tokens of the last block."""
        words = nn.functional.pad(self.codes(x), (1, 0), value=NO_CLASS)
        tokens = self.blocks(self.embedding(words))
        feature: Tensor = self.fc_norm(tokens[:, 1:].mean(1))
        return feature


def _norm(channels: int) -> nn.GroupNorm:
    """The VQGAN's norm of maps."""
    return nn.GroupNorm(32, channels, eps=1e-6)
