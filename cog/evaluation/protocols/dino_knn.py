"""k-NN as DINO reports it: four fixed k, and nothing is chosen."""

from __future__ import annotations

from cog.evaluation.protocols.protocol import Protocol, Published
from cog.probes.table import DINO_NEIGHBOURS

_README = "github.com/facebookresearch/dino, README.md, table of pretrained models (k-NN)"

_PUBLISHED = {
    "dino_vits16": 74.5,
    "dino_vits8": 78.3,
    "dino_vitb16": 76.1,
    "dino_vitb8": 77.4,
    "dino_resnet50": 67.5,
}
"""top-1 in percent; the script says that k = 20 usually works best, the table not which k it has"""

PROTOCOL = Protocol(
    name="dino-knn",
    about="k nearest neighbours by cosine among all training images, each voting with "
    "exp(cosine / 0.07); a row for each k of 10, 20, 100 and 200",
    source="Caron et al., Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021, "
    "section 3.2; github.com/facebookresearch/dino, eval_knn.py; after Wu et al., CVPR 2018",
    papers=(
        "caron2021emerging",
        "wu2018unsupervised",
    ),
    differs=(
        "Images are prepared as the model says; there all are resized to 256 and cropped to 224.",
        "Features are stored in float16 unless --dtype float32 is given; there they are float32.",
        "Classes without a vote follow in the order of their nearest images, which top-5 counts; "
        "there their order is left open. Top-1 is the same.",
        "With fewer training images than k all of them vote; there the program stops.",
        "The paper reports the best k, which is 20; here each k has its rows, so that none is "
        "chosen by test images.",
    ),
    options={
        "probes": tuple(f"knn-{k}" for k in DINO_NEIGHBOURS),
        "shots": (None,),
    },
    recipe={"knn_temperature": 0.07},
    published=tuple(
        Published(model, "in1k", "top1", value, _README, probe="knn-20")
        for model, value in _PUBLISHED.items()
    ),
)
