"""A linear layer on random crops and flips, as MoCo, DINO and MAE report it."""

from __future__ import annotations

from cog.evaluation.protocols.protocol import Protocol, Published

_DINO = "github.com/facebookresearch/dino, README.md, table of pretrained models (linear)"
_MOCO = "github.com/facebookresearch/moco, README.md, table of models (MoCo v2, 800 epochs)"

PROTOCOL = Protocol(
    name="linear-augmented",
    about="a linear layer by SGD without decay on features, as they are, of random resized crops, "
    "half of them flipped; the rate is searched",
    source="He et al., Momentum Contrast, CVPR 2020, section 4.1; Caron et al., Emerging "
    "Properties in Self-Supervised Vision Transformers, ICCV 2021, appendix F.2; "
    "github.com/facebookresearch/moco, main_lincls.py; github.com/facebookresearch/dino, "
    "eval_linear.py. He et al., Masked Autoencoders, CVPR 2022, take the same images; their batch "
    "norm and LARS are in mae-linear",
    papers=(
        "he2020momentum",
        "caron2021emerging",
        "he2022masked",
    ),
    differs=(
        "Features of --views crops of each image are made once, and each epoch takes one of them; "
        "there the network sees a fresh crop in each epoch. docs/protocols.md has how far it is.",
        "Crops are resized as the model's preprocessing says: its size and interpolation.",
        "The rate is chosen among 13 on a fifth of the training images; there each network has its "
        "own.",
        "The result is that of the last epoch; DINO and MoCo report the best epoch on the images "
        "that they test on.",
        "Batches have 1,024 images, and the rate follows half a cosine over 100 epochs as in DINO; "
        "MoCo has batches of 256 and divides the rate by 10 after 60 and 80 epochs.",
        "The layer starts as torch.nn.Linear does; there it is drawn from a normal distribution "
        "with deviation 0.01, and its bias is 0.",
        "The features of dino_vits16 and dino_vits8 are those of --pool; DINO takes the class "
        "tokens of four layers: --pool last4:cls.",
    ),
    options={"probes": ("augmented",), "norm": "none"},
    published=(
        Published("dino_resnet50", "in1k", "top1", 75.3, _DINO, probe="augmented"),
        Published("mocov2_resnet50", "in1k", "top1", 71.1, _MOCO, probe="augmented"),
    ),
)
