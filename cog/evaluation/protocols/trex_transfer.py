"""The small transfer sets as t-ReX and UNIC evaluate them: scikit-learn's L-BFGS, C by search."""

from __future__ import annotations

from cog.evaluation.protocols.protocol import Protocol

PROTOCOL = Protocol(
    name="trex-transfer",
    about="logistic regression by L-BFGS on features as they are; 30 trials of the penalty from "
    "1e-6 to 1e5 by TPE",
    source="Sariyildiz et al., No Reason for No Supervision: Improved Generalization in Supervised "
    "Models, ICLR 2023; github.com/naver/trex, transfer/classifier_training.py (clf_type "
    "logreg_sklearn) and logreg_trainer.py, whose C, 1e-5 to 1e6, is the inverse of the penalty",
    papers=("sariyildiz2023reason",),
    differs=(
        "Each fit is run to its optimum, to a millionth of the objective; there scikit-learn stops "
        "at a gradient of 1e-4 or after 2,000 iterations.",
        "Seeds draw other images for validation than there; the share, a fifth of each class, is "
        "the same.",
        "Features are stored in float16 unless --dtype float32 is given; there in float32.",
        "There it is for the eight small sets alone: ImageNet-1K, the levels and iNaturalist have "
        "the SGD of the protocol cog.",
        "The suite transfer, within cog, tries 23 values of the same range at equal ratios, and "
        "its decay is of the bias too.",
    ),
    options={"probes": ("logreg",), "solver": "lbfgs", "norm": "none"},
    recipe={
        "lbfgs_c_ends": (1e-5, 1e6),
        "trials": 30,
        "validation_share": 0.2,
        "lbfgs_bias_decays": False,
        "lbfgs_tolerance": 1e-6,
        "lbfgs_iterations": 2000,
        "fit_dtype": "float64",
    },
)
