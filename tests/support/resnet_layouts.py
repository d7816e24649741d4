"""The published files of all ResNet-50 whose tensors are torchvision's under other names."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn

from tests.support.layouts import OPTIMIZER, prefixed, randomise, some, tensors_of, without


@cache
def resnet50() -> nn.Module:
    return randomise(torchvision.models.resnet50())


def resnet50_features(x: Tensor) -> Tensor:
    """Global average pool by a hook on the reference network, whose classifier stays."""
    network = resnet50()
    found: list[Tensor] = []
    hook = network.fc.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    network(x)
    hook.remove()
    return found[0]


def resnet50_contents() -> dict[str, Callable[[], Any]]:
    """The files of all ResNet-50 whose tensors are torchvision's under other names."""
    full = tensors_of(resnet50())
    body = without(full, "fc.")
    moco = {
        **prefixed(body, "module.encoder_q."),
        **prefixed(body, "module.encoder_k."),
        **some(module__queue=(128, 8), module__queue_ptr=(1,)),
        **prefixed(some(weight=(2048, 2048), bias=(2048,)), "module.encoder_q.fc.0."),
    }
    mopro = {
        **prefixed(body, "module.encoder_q."),
        **prefixed(body, "module.encoder_k."),
        **prefixed(some(fc1__weight=(8, 2048), fc2__weight=(8, 8)), "module.encoder_q."),
        "module.encoder_q.classifier.weight": full["fc.weight"],
        "module.encoder_q.classifier.bias": full["fc.bias"],
        **some(module__queue=(128, 8), module__queue_ptr=(1,), module__prototypes=(1000, 128)),
    }
    swav = {
        **prefixed(body, "module."),
        **some(module__projection_head__0__weight=(8, 8)),
    }
    cutmix = {
        "epoch": 300,
        "arch": "resnet50",
        "state_dict": prefixed(full, "module."),
        "best_err1": np.float64(22.58),
        "best_err5": np.float64(6.4),
        "optimizer": OPTIMIZER,
    }
    wide_head = {"fc.weight": torch.ones(8192, 8), "fc.bias": torch.ones(8192)}
    robust = {
        **prefixed(full, "module.model."),
        **prefixed(full, "module.attacker.model."),
        **prefixed(some(new_mean=(3, 1, 1), new_std=(3, 1, 1)), "module.normalizer."),
        **prefixed(some(new_mean=(3, 1, 1), new_std=(3, 1, 1)), "module.attacker.normalize."),
    }
    mocov3 = {
        **prefixed(body, "module.base_encoder."),
        **prefixed(body, "module.momentum_encoder."),
        **some(module__base_encoder__fc__0__weight=(8, 8), module__predictor__0__weight=(8, 8)),
    }
    infomin = {
        **prefixed(body, "module.encoder."),
        **some(module__head__0__weight=(8, 8), module__head_jig__fc1__weight=(8, 8)),
    }
    teacher = {
        "teacher": {**prefixed(body, "backbone."), **some(head__mlp__0__weight=(8, 8))},
        "student": prefixed(body, "module.backbone."),
        "args": Namespace(arch="resnet50"),
    }
    return {
        "sup_resnet50": lambda: full,
        "mocov2_resnet50": lambda: {
            "epoch": 800, "arch": "resnet50", "state_dict": moco, "optimizer": OPTIMIZER
        },
        "mochi_resnet50": lambda: {"state_dict": moco},
        "infomin_resnet50": lambda: {
            "model": infomin,
            "model_ema": prefixed(body, "module.encoder."),
            "contrast": some(memory_1=(4, 4)),
            "optimizer": OPTIMIZER,
            "epoch": 800,
        },
        "obow_resnet50": lambda: {"network": body | wide_head},
        "swav_resnet50": lambda: swav | some(module__prototypes__weight=(3000, 8)),
        "dino_resnet50": lambda: body,
        "dino_resnet50/full": lambda: teacher,
        "barlow_resnet50": lambda: body,
        "compress_resnet50": lambda: {
            "opt": Namespace(lr=0.01),
            "model": prefixed(body | wide_head, "module."),
            "optimizer": OPTIMIZER,
            "epoch": 130,
        },
        "mixup_resnet50": lambda: cutmix,
        "manifold-mixup_resnet50": lambda: cutmix,
        "cutmix_resnet50": lambda: cutmix,
        "relabel_resnet50": lambda: {"state_dict": prefixed(full, "module.")},
        "relabel_resnet50/bare": lambda: full,
        "advrobust_resnet50": lambda: {
            "model": robust, "optimizer": OPTIMIZER, "schedule": None, "epoch": 89
        },
        "mealv2_resnet50": lambda: prefixed(full, "module."),
        "mopro_resnet50": lambda: {
            "epoch": 90, "arch": "resnet50", "state_dict": mopro, "optimizer": OPTIMIZER
        },
        "ssup_resnet50": lambda: full,
        "swsup_resnet50": lambda: full,
        "deepclusterv2_resnet50": lambda: swav
        | some(module__prototypes__prototypes0__weight=(30, 8)),
        "mocov3_resnet50": lambda: {"epoch": 1000, "state_dict": mocov3, "optimizer": OPTIMIZER},
        "vicreg_resnet50": lambda: body,
        "trex_resnet50": lambda: body,
        "trex_resnet50/full": lambda: {"model": prefixed(body, "module.")},
        "trexstar_resnet50": lambda: body,
    }  # fmt: skip


# --- other networks of torchvision and timm ------------------------------------------------------
