"""Attention over patch tokens, as CAPI and V-JEPA report it."""

from __future__ import annotations

from cog.evaluation.protocols.protocol import Protocol

PROTOCOL = Protocol(
    name="attentive",
    about="one learned query attends to all patch tokens, and a linear layer classifies; AdamW, "
    "the rate is searched",
    source="Darcet et al., Cluster and Predict Latent Patches for Improved Masked Image Modeling, "
    "2025, github.com/facebookresearch/capi, eval_classification.py; Bardes et al., Revisiting "
    "Feature Prediction for Learning Visual Representations from Video, 2024, "
    "github.com/facebookresearch/jepa, src/models/attentive_pooler.py",
    papers=(
        "darcet2025cluster",
        "bardes2024revisiting",
    ),
    differs=(
        "Images are centre crops, whose tokens are kept; both papers train on random crops with "
        "the network in the loop.",
        "A layer norm stands before keys and values, as in V-JEPA; CAPI has none.",
        "There is no map and no perceptron behind the attention, as in CAPI; V-JEPA has both.",
        "Four rates are tried with one decay on a fifth of the training images, and the best is "
        "fitted again on all of them; CAPI tries ten rates with three decays each on a tenth, and "
        "does not fit again.",
        "Batches have 1,024 images in 10 epochs, and at least 300 steps; CAPI has 12,500 steps.",
        "--tokens grid:N takes the means of a grid in place of all tokens; the papers have all.",
    ),
    options={"probes": ("attentive",), "norm": "none"},
)
