"""Where the benchmark's published code fed or built a network wrongly; the default here is right.

`--official-quirks` repeats these mistakes, to compare with the published numbers.
Source: the public code naver/cog at 5b34ca9 against the authors' own evaluation of each network.
Needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cog.errors import CogError
from cog.models.zoo import ZooRow

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Quirk:
    """One mistake: in words, and the columns of the row that it changes."""

    text: str
    changes: dict[str, object]


QUIRKS = {
    "imagenet-statistics": Quirk(
        "ImageNet's mean and std in place of those that the network was trained with: the settings "
        "file does not bear the model's name, or the network's own rescaling is skipped",
        {"mean": IMAGENET_MEAN, "std": IMAGENET_STD},
    ),
    "size-224": Quirk(
        "images of 224 pixels in place of 240: there is no settings file for it",
        {"resize": 224, "crop": 224},
    ),
    "symmetric-max-pool": Quirk(
        "a max-pool padded on all sides, where the published network pads right and below",
        {"architecture": "torchvision:resnet50"},
    ),
}


def with_quirks(row: ZooRow) -> ZooRow:
    """The row as the published code had it.

    Raises:
        CogError: that code ran it as cog does.
    """
    if not row.quirks:
        raise CogError(
            f"the benchmark's published code has no quirk for {row.name}",
            "leave out --official-quirks; `cog models show NAME` lists a model's quirks",
        )
    for name in row.quirks:
        row = replace(row, **QUIRKS[name].changes)  # type: ignore[arg-type]
    return row
