"""Logistic regression as DINOv2 evaluates its features: 45 penalties, in float64."""

from __future__ import annotations

from cog.evaluation.protocols.protocol import Protocol, Published

_TABLE = "arXiv:2304.07193v2, table 8"
_SETS = (
    ("food101", "top1"),
    ("sun397", "top1"),
    ("cars", "top1"),
    ("aircraft", "mean_class"),
    ("dtd", "top1"),
    ("pets", "mean_class"),
    ("flowers", "mean_class"),
)
"""the sets of the suite transfer that the table has, with the metric of Chen et al. (SimCLR)"""
_PUBLISHED = {
    "dinov2_vits14": (89.1, 74.4, 81.6, 74.0, 80.6, 95.1, 99.6),
    "dinov2_vitb14": (92.8, 77.3, 88.2, 79.4, 83.3, 96.2, 99.6),
    "dino_vitb8": (85.1, 70.3, 76.6, 70.6, 79.6, 93.2, 97.6),
    "mae_vith14": (78.4, 63.9, 56.1, 63.4, 75.4, 89.4, 92.3),
}

PROTOCOL = Protocol(
    name="dinov2-logreg",
    about="logistic regression by L-BFGS on features as they are, in float64; C is the best of 45 "
    "from 1e-6 to 1e5 on a tenth of the training images",
    source="Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, 2023; "
    "github.com/facebookresearch/dinov2, dinov2/eval/log_regression.py, which calls cuML's "
    "LogisticRegression (tolerance 1e-12, at most 1,000 iterations)",
    papers=("oquab2024dinov2",),
    differs=(
        "A tenth of each class validates, drawn by the seed; there a tenth of all images, drawn "
        "once.",
        "Each fit stops where the next step promises to lower the objective by less than 1e-14 of "
        "it; there by the gradient, or where the objective changes no more.",
        "C has the best top-1; there the metric of the test decides, such as the mean of classes.",
        "Images are prepared as the model says; there the shorter side is resized to 224, and "
        "nothing but the longer side is cropped.",
        "Features are stored in float16 unless --dtype float32 is given.",
        "The published numbers are of a table that follows Chen et al. (2020); which penalties it "
        "had is not said there.",
        "A set with validation images of its own does not validate on these, but on a tenth of "
        "its training images.",
    ),
    published=tuple(
        Published(model, dataset, metric, value, _TABLE, probe="logreg")
        for model, row in _PUBLISHED.items()
        for (dataset, metric), value in zip(_SETS, row, strict=True)
    ),
    options={"probes": ("logreg",), "solver": "lbfgs", "norm": "none"},
    recipe={
        "lbfgs_c": tuple(10 ** (quarter / 4) for quarter in range(-24, 21)),
        "validation_share": 0.1,
        "lbfgs_bias_decays": False,
        "lbfgs_early_stop": False,
        "lbfgs_tolerance": 1e-14,
        "lbfgs_iterations": 1000,
        "fit_dtype": "float64",
    },
)
