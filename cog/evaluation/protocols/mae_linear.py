"""The linear probe of MAE, without its augmentation: batch norm before the layer, LARS."""

from __future__ import annotations

from cog.evaluation.protocols.protocol import Protocol, Published

_TABLE = "github.com/facebookresearch/mae, FINETUNE.md, linear probing (PT/GPU)"

PROTOCOL = Protocol(
    name="mae-linear",
    about="a linear layer behind batch norm, on features as they are, by LARS in 90 epochs of "
    "batches of 16,384; its base rate is one of ten",
    source="He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022, appendix A.1; "
    "github.com/facebookresearch/mae, main_linprobe.py, util/lars.py",
    papers=("he2022masked",),
    differs=(
        "Features are of centre crops; there the network sees a random resized crop, flipped or "
        "not, of each image in each epoch. The protocol linear-augmented has crops.",
        "The base rate is the best of ten, from 0.01 to 10, on validation images; there it is 0.1.",
        "Batch norm takes a batch as a whole; there each of 32 devices scales its own 512 images.",
        "With fewer training images than 16,384 a batch has them all; the rate is that of 16,384.",
        "Products are in float32; there in mixed precision.",
        "All have 90 epochs; there 50 are said to do for ViT-L and ViT-H.",
        "The result is that of the last epoch; there the program tells the best epoch as well.",
        "Features are those of --pool; there the class token of the last layer.",
        "Test images are prepared as the model says; there they are resized to 256 and cropped to "
        "224.",
    ),
    published=(
        Published("mae_vitb16", "in1k", "top1", 67.8, _TABLE, probe="bn-linear"),
        Published("mae_vitl16", "in1k", "top1", 76.0, _TABLE, probe="bn-linear"),
        Published("mae_vith14", "in1k", "top1", 77.2, _TABLE, probe="bn-linear"),
    ),
    options={"probes": ("bn-linear",), "norm": "none"},
    recipe={
        "lars_rates": (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
        "lars_epochs": 90,
        "lars_warmup": 10,
        "lars_batch": 16_384,
    },
)
