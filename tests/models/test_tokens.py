"""Patch tokens as a feature: those of the network, in their order, or the means of a grid."""

from __future__ import annotations

import pytest
import timm
import torch

import cog
from cog.errors import CogError
from cog.models.pooling import pooled
from cog.models.tokens import with_tokens

PREPROCESS = cog.Preprocess(64, 64)


def vit(**more) -> torch.nn.Module:
    torch.manual_seed(0)
    small = {"embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": 64, "num_classes": 0}
    return timm.models.VisionTransformer(**small | more).eval()


class Unmarked(torch.nn.Module):
    """A network that gives tokens and does not say which are of patches."""

    def __init__(self, broken: bool = False) -> None:
        super().__init__()
        self.broken = broken

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        if self.broken:
            raise RuntimeError("of another size")
        return x.flatten(2)

    forward = forward_features


def images(height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def model(network: torch.nn.Module) -> cog.Model:
    return cog.Model(network, preprocess=PREPROCESS, name="net")


@pytest.mark.parametrize("more", [{}, {"reg_tokens": 4}, {"class_token": False, "global_pool": ""}])
def test_all_tokens_are_those_of_the_last_layer_without_class_and_registers(more) -> None:
    network = vit(**more)
    found = with_tokens(model(network), "all")
    assert (found.tokens, found.dim, found.name) == (16, 16 * 24, "net-tokens")
    x = images()
    with torch.no_grad():
        tokens = network.norm(network.blocks(_embedded(network, x)))
    torch.testing.assert_close(found.embed(x), tokens[:, -16:].flatten(1), atol=1e-5, rtol=1e-5)


def _embedded(network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    return network.norm_pre(network.patch_drop(network._pos_embed(network.patch_embed(x))))


@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_a_grid_has_the_means_of_its_parts(side: int) -> None:
    network, x = vit(), images()
    every = with_tokens(model(network), "all").embed(x).view(2, 4, 4, 24)
    found = with_tokens(model(network), f"grid:{side}")
    assert (found.tokens, found.name) == (side**2, f"net-grid{side}")
    parts = found.embed(x).view(2, side, side, 24)
    for row in range(side):
        for column in range(side):
            top, left = row * 4 // side, column * 4 // side
            bottom, right = -(-(row + 1) * 4 // side), -(-(column + 1) * 4 // side)
            mean = every[:, top:bottom, left:right].mean((1, 2))
            torch.testing.assert_close(parts[:, row, column], mean)


def test_an_oblong_image_has_its_own_rows_and_columns() -> None:
    network = vit(img_size=(32, 64))
    oblong = cog.Model(network, preprocess=cog.Preprocess((32, 64), None), name="net")
    x = images(32, 64)
    every = with_tokens(oblong, "all").embed(x).view(2, 2, 4, 24)
    halves = with_tokens(oblong, "grid:2").embed(x).view(2, 2, 2, 24)
    torch.testing.assert_close(halves, every.unflatten(2, (2, 2)).mean(3))


def swin() -> torch.nn.Module:
    small = {"img_size": 64, "window_size": 4, "embed_dim": 16, "depths": (1, 1)}
    return timm.models.SwinTransformer(**small, num_heads=(2, 2), num_classes=0).eval()


@pytest.mark.parametrize(
    ("network", "shape"),
    [(timm.create_model("resnet10t", num_classes=0), (4, 512)), (swin(), (64, 32))],
    ids=["resnet", "swin"],
)
def test_the_positions_of_a_map_are_tokens(network, shape: tuple[int, int]) -> None:
    """Their mean is the feature of the network itself."""
    plain = model(network)
    found, x = with_tokens(plain, "all"), images()
    assert (found.tokens, found.dim) == (shape[0], shape[0] * shape[1])
    mean = found.embed(x).view(2, *shape).mean(1)
    torch.testing.assert_close(mean, plain.embed(x), atol=1e-5, rtol=1e-5)


def test_tokens_are_taken_below_a_pool_and_are_another_model() -> None:
    network = vit()
    below = with_tokens(model(pooled(network, "avg")), "all")
    assert torch.equal(below.embed(images()), with_tokens(model(network), "all").embed(images()))
    kinds = {with_tokens(model(network), each).fingerprint for each in ("all", "grid:4", "grid:2")}
    assert len(kinds | {model(network).fingerprint}) == 4
    assert with_tokens(model(network), "all", "mine").name == "mine"


@pytest.mark.parametrize(
    ("network", "tokens", "what"),
    [
        (torch.nn.Flatten(), "all", "net gives no tokens of patches: it has no `forward_features`"),
        (Unmarked(), "all", "nothing says which of its tokens are patches"),
        (Unmarked(broken=True), "all", "RuntimeError: of another size"),
        (vit(), "grid:5", "a grid of at most 4 × 4, as many as there are tokens, found grid:5"),
        (vit(), "grid:0", "all or grid:N, found 'grid:0'"),
        (vit(), "7", "all or grid:N, found '7'"),
    ],
)
def test_what_gives_none_is_refused_with_what_does(network, tokens, what) -> None:
    with pytest.raises(CogError, match=what) as caught:
        with_tokens(model(network), tokens)
    if "no tokens" in str(caught.value):
        assert "Vision Transformers of the table" in str(caught.value.hint)
