"""Which images a network learnt from, as far as the name of its weights says.

Only for networks that learnt from nothing but ImageNet-1K are the concepts of the levels unseen.
Needs no torch.
"""

from __future__ import annotations

SEEN_DATA = {
    "in1k": "IN-1K",
    "imagenet1k": "IN-1K",
    "in12k": "IN-12K",
    "in21k": "IN-21K",
    "in22k": "IN-21K",
    "mae": "IN-1K",
    "dino": "IN-1K",
    "jft": "JFT-300M",
    "yfcc100m": "YFCC-100M",
    "ig1b": "IG-1B",
    "ig3b": "IG-3.6B",
    "swag": "IG-3.6B",
    "lvd142m": "LVD-142M",
    "lvd1689m": "LVD-1689M",
    "sat493m": "SAT-493M",
    "laion2b": "LAION-2B",
    "laion400m": "LAION-400M",
    "laiona": "LAION-A",
    "datacompxl": "DataComp-XL",
    "datacomp": "DataComp",
    "dfn2b": "DFN-2B",
    "dfn5b": "DFN-5B",
    "metaclip": "MetaCLIP",
    "merged2b": "Merged-2B",
    "openai": "WIT-400M",
    "webli": "WebLI",
    "cc12m": "CC-12M",
}
"""words in the tags of timm, torchvision and open_clip, and the data that they mean"""


def seen_data_of_tag(tag: str) -> str:
    """The datasets that a tag of weights names, in its order; empty if it names none.

    >>> seen_data_of_tag("fb_in22k_ft_in1k"), seen_data_of_tag("IMAGENET1K_V2")
    ('IN-21K, IN-1K', 'IN-1K')
    >>> seen_data_of_tag("laion2b_s34b_b88k"), seen_data_of_tag("untold")
    ('LAION-2B', '')
    """
    words = tag.lower().replace("-", "_").split("_")
    return ", ".join(dict.fromkeys(SEEN_DATA[word] for word in words if word in SEEN_DATA))
