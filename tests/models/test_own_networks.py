"""Networks that no library has: small ones against formulas, whole ones by names and sizes.

`test_zoo.py` compares the whole networks too; those tests are long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from cog.errors import CogError
from cog.models import zoo
from cog.models.load import load_model
from cog.models.sources.from_zoo import drop_head, fill_network, make_network
from cog.models.zoo import find_row, read_zoo
from tests.support.layouts import Layout
from tests.support.mage_layout import mage_codes, mage_layout, mage_shapes
from tests.support.own_layouts import (
    Shapes,
    mvit_layout,
    mvit_shapes,
    pvt_layout,
    pvt_shapes,
    swin_layout,
    swin_shapes,
)

SIDE = 64
TOLERANCE = 1e-5  # of the largest feature
SWIN = {"dim": 32, "depths": (2, 1, 2, 1), "position_dim": 8, "side": SIDE, "window": 4}
SMALL: dict[str, tuple[Callable[..., Layout], dict[str, Any], int]] = {
    "maskfeat_mvits": (mvit_layout, {"dim": 8, "side": SIDE, "frames": 4}, 64),
    "ummae_swint": (swin_layout, SWIN, 256),
    "ummae-ft_swint": (swin_layout, {**SWIN, "fine_tuned": True}, 256),
    "ummae-ft_pvts": (
        pvt_layout, {"dims": (64, 128, 64, 128), "depths": (1, 2, 1, 1), "side": SIDE}, 128,
    ),
    "mage_vitb16": (
        mage_layout,
        {"dim": 32, "depth": 2, "heads": 4, "side": SIDE, "channels": 32, "code_dim": 8}, 32,
    ),
}  # fmt: skip
"""row → its layout, the sizes of a small network, and the size of its features"""


class Whole(NamedTuple):
    """A whole file: its entry, and what the authors' code saves in it."""

    entry: str
    shapes: Shapes


WHOLE = {
    "maskfeat_mvits": Whole("model_state", mvit_shapes()),
    "ummae_swint": Whole("model", swin_shapes()),
    "ummae-ft_swint": Whole("model", swin_shapes(fine_tuned=True)),
    "ummae-ft_swinl": Whole(
        "model", swin_shapes(192, (2, 2, 18, 2), position_dim=64, fine_tuned=True)
    ),
    "ummae-ft_pvts": Whole("model", pvt_shapes()),
    "mage_vitb16": Whole("model", mage_shapes()),
    "mage_vitl16": Whole("model", mage_shapes(1024, 24)),
}


def small(name: str, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """Give the row a small network, and make a file of it."""
    make, sizes, dim = SMALL[name]
    row = replace(read_zoo()[name], options=sizes, resize=SIDE, crop=SIDE, dim=dim)
    rows = read_zoo() | {name: row}
    monkeypatch.setattr(zoo, "read_zoo", lambda: rows)
    return make(**sizes)


def saved_small(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Layout, Path]:
    """The same with the path of the file."""
    layout, path = small(name, monkeypatch), folder / "weights.pth"
    torch.save(layout.content, path)
    return layout, path


def images(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", SMALL)
def test_a_small_file_of_the_published_layout_gives_the_features_of_the_formulas(
    name, tmp_path, monkeypatch
):
    layout, path = saved_small(name, tmp_path, monkeypatch)
    found, expected = load_model(name, weights=path).embed(images()), layout.features(images())
    assert found.shape == expected.shape == (2, SMALL[name][2])
    assert (found - expected).abs().max() <= TOLERANCE * expected.abs().max()
    assert (found[0] - found[1]).abs().max() > 0.1 * expected.abs().max()  # the image matters


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_has_the_names_and_sizes_that_the_network_wants(name, monkeypatch):
    """On `meta`, without values: the list of tensors is the authors', not the network's."""
    row, whole = read_zoo()[name], WHOLE[name]
    with torch.device("meta"):
        network = make_network(row)
        tensors = {key: torch.empty(shape) for key, shape in whole.shapes.items()}
    content = {whole.entry: tensors}
    monkeypatch.setattr("cog.models.weights.loading.read_safely", lambda *_: content)
    fill_network(network, row, Path("weights.pth"))
    lost = tensors.pop("blocks.1.norm2.bias")
    with pytest.raises(CogError, match=r"blocks\.1\.norm2\.bias"):
        fill_network(network, row, Path("weights.pth"))
    tensors["blocks.1.norm2.bias"] = lost[1:]
    with pytest.raises(CogError, match=r"blocks\.1\.norm2\.bias"):
        fill_network(network, row, Path("weights.pth"))
    drop_head(network, row)
    assert sum(tensor.numel() for tensor in network.parameters()) == row.parameters


def test_a_still_image_has_one_grid_of_tokens_and_a_class_token(tmp_path, monkeypatch):
    _, path = saved_small("maskfeat_mvits", tmp_path, monkeypatch)
    model = load_model("maskfeat_mvits", weights=path)
    with torch.no_grad():
        tokens = model.network.eval().network.forward_features(images())
    assert tokens.shape == (2, 1 + 4 * 4, 64)
    assert torch.allclose(model.embed(images()), tokens[:, 1:].mean(1), atol=1e-5)
    assert torch.allclose(
        load_model("maskfeat_mvits", weights=path, pool="cls").embed(images()), tokens[:, 0],
        atol=1e-5,
    )  # fmt: skip


def test_mage_reads_the_nearest_codes_and_has_no_token_to_choose(tmp_path, monkeypatch):
    layout, path = saved_small("mage_vitb16", tmp_path, monkeypatch)
    model = load_model("mage_vitb16", weights=path)
    with torch.no_grad():
        codes = model.network.eval().codes(images())
    assert torch.equal(codes, mage_codes(layout.content["model"], images()))
    assert len(codes.unique()) > 8
    with pytest.raises(CogError, match="no tokens"):
        load_model("mage_vitb16", weights=path, pool="cls")


def test_the_short_name_of_a_fine_tuned_network_still_means_it():
    assert find_row("ummae_vitb16").name == "ummae-ft_vitb16"
