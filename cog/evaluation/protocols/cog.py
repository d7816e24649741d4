"""The benchmark's own protocol, which is the default: all its numbers are those of `Recipe`."""

from __future__ import annotations

from cog.evaluation.protocols.protocol import Protocol, Published

_PAPER = "Sariyildiz et al., Concept Generalization in Visual Representation Learning, ICCV 2021"

_TREX = "github.com/naver/trex, README.md, Model Zoo; by the same authors' later code"

PROTOCOL = Protocol(
    name="cog",
    about="logistic regression by SGD on features of length 1, with searched rate and decay; "
    "k-NN, nearest mean and retrieval beside it",
    source=f"{_PAPER}, section 4; github.com/naver/cog, logreg.py",
    published=(
        Published("trex_resnet50", "in1k", "top1", 78.0, _TREX, probe="logreg"),
        Published("trexstar_resnet50", "in1k", "top1", 80.2, _TREX, probe="logreg"),
    ),
    papers=("sariyildiz2021concept",),
    differs=(
        "The trials of a seed share their start and their batches; there each draws on.",
        "With N shots the final fit has the images of the search; there N others are drawn. "
        "--few-shot-draw official takes both away, for N shots.",
        "Trials come in rounds of 10; --trials-per-round 1 is the official order.",
        "k-NN, nearest mean and retrieval are additions: the paper has logistic regression alone.",
    ),
)
