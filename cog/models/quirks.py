"""Where the benchmark's published code builds a network wrongly, or gives it wrong images.

`--official-quirks` repeats these mistakes, to compare with the published numbers; without it a
network is used as its authors evaluate it. Source: naver/cog at 5b34ca9, compared with the authors'
own code for each network, and for CLIP's types openai/CLIP at d05afc4 (clip/model.py and clip.py).
Needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cog.errors import CogError
from cog.images.imagenet import IMAGENET_MEAN, IMAGENET_STD
from cog.models.zoo import ZooRow


@dataclass(frozen=True)
class Quirk:
    """One mistake in words, and the columns of the row that it changes."""

    text: str
    changes: dict[str, object]


QUIRKS = {
    "imagenet-statistics": Quirk(
        "ImageNet's mean and std instead of those of the network's training: the settings file has "
        "another name than the model, or the network's own rescaling is skipped",
        {"mean": IMAGENET_MEAN, "std": IMAGENET_STD},
    ),
    "size-224": Quirk(
        "images of 224 pixels instead of 240: there is no settings file for the model",
        {"resize": 224, "crop": 224},
    ),
    "symmetric-max-pool": Quirk(
        "a max-pool padded on all sides, where the published network pads right and below",
        {"architecture": "torchvision:resnet50"},
    ),
    "half-precision": Quirk(
        "convolutions, linear layers and the feature in float16, as OpenAI's code loads its "
        "network on a GPU; batch norms keep their float32",
        {"architecture": "cog:resnet50_clip_half"},
    ),
}


def with_quirks(row: ZooRow) -> ZooRow:
    """The row as the published code uses it.

    Raises:
        CogError: the published code makes no mistake with this model.
    """
    if not row.quirks:
        raise CogError(
            f"the benchmark's published code has no quirk for {row.name}",
            "leave out --official-quirks; `cog models show NAME` lists a model's quirks",
        )
    for name in row.quirks:
        row = replace(row, **QUIRKS[name].changes)  # type: ignore[arg-type]
    return row
