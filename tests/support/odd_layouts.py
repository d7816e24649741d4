"""Published layouts of networks that no library has, and their features by the formulas alone.

Tensors carry the names of the published files; every forward pass is written with functions of
torch on those names, with the facts of the papers and of the authors' code (kernels, strides,
paddings).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.support.reference_networks import blocks, layer_norm

Tensors = dict[str, Tensor]


class Drawer:
    """Draws random tensors under names, in order."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.tensors: Tensors = {}

    def weight(self, name: str, *shape: int) -> None:
        scale = max(1, torch.Size(shape[1:]).numel()) ** -0.5
        self.tensors[name] = scale * torch.randn(shape, generator=self.generator)

    def vector(self, name: str, size: int, around: float = 0.0) -> None:
        self.tensors[name] = around + 0.1 * torch.randn(size, generator=self.generator)

    def conv_bn(self, conv: str, bn: str, *shape: int, counted: bool = True) -> None:
        self.weight(f"{conv}.weight", *shape)
        self.vector(f"{bn}.weight", shape[0], 1)
        self.vector(f"{bn}.bias", shape[0])
        self.vector(f"{bn}.running_mean", shape[0])
        self.tensors[f"{bn}.running_var"] = 1 + 0.2 * torch.rand(shape[0], generator=self.generator)
        if counted:
            self.tensors[f"{bn}.num_batches_tracked"] = torch.tensor(7)

    def linear(self, name: str, outputs: int, inputs: int, bias: bool = True) -> None:
        self.weight(f"{name}.weight", outputs, inputs)
        if bias:
            self.vector(f"{name}.bias", outputs)


def batch_norm(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    mean, variance, weight, bias = (
        tensors[f"{name}.{part}"].view(-1, 1, 1)
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias


def conv_bn(
    tensors: Tensors, conv: str, bn: str, x: Tensor, stride: int = 1, groups: int = 1,
    same: bool = False,
) -> Tensor:  # fmt: skip
    """Convolution padded on all sides, or as TensorFlow's SAME, and its normalisation."""
    weight = tensors[f"{conv}.weight"]
    kernel = weight.shape[-1]
    if same:
        x = functional.pad(x, same_pads(x.shape[-1], kernel, stride))
        padding = 0
    else:
        padding = kernel // 2
    return batch_norm(
        tensors, bn, functional.conv2d(x, weight, None, stride, padding, groups=groups)
    )


def same_pads(side: int, kernel: int, stride: int) -> tuple[int, int, int, int]:
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2, total // 2, total - total // 2


# --- T2T-ViT --------------------------------------------------------------------------------


def t2t_tensors() -> Tensors:
    draw = Drawer(10)
    draw.weight("cls_token", 1, 1, 384)
    draw.weight("pos_embed", 1, 197, 384)
    for which, inputs in ((1, 147), (2, 576)):
        name = f"tokens_to_token.attention{which}"
        draw.vector(f"{name}.norm1.weight", inputs, 1)
        draw.vector(f"{name}.norm1.bias", inputs)
        draw.linear(f"{name}.attn.qkv", 192, inputs, bias=False)
        draw.linear(f"{name}.attn.proj", 64, 64)
        draw.vector(f"{name}.norm2.weight", 64, 1)
        draw.vector(f"{name}.norm2.bias", 64)
        draw.linear(f"{name}.mlp.fc1", 64, 64)
        draw.linear(f"{name}.mlp.fc2", 64, 64)
    draw.linear("tokens_to_token.project", 384, 576)
    for number in range(14):
        for name, outputs, inputs, bias in (
            ("attn.qkv", 1152, 384, False), ("attn.proj", 384, 384, True),
            ("mlp.fc1", 1152, 384, True), ("mlp.fc2", 384, 1152, True),
        ):  # fmt: skip
            draw.linear(f"blocks.{number}.{name}", outputs, inputs, bias)
        for norm in ("norm1", "norm2"):
            draw.vector(f"blocks.{number}.{norm}.weight", 384, 1)
            draw.vector(f"blocks.{number}.{norm}.bias", 384)
    draw.vector("norm.weight", 384, 1)
    draw.vector("norm.bias", 384)
    draw.linear("head", 1000, 384)
    return draw.tensors


def t2t_features(tensors: Tensors, x: Tensor) -> Tensor:
    def shrink(which: int, tokens: Tensor) -> Tensor:
        name = f"tokens_to_token.attention{which}"
        normed = layer_norm(tensors, f"{name}.norm1", tokens, 1e-5)
        q, k, v = (normed @ tensors[f"{name}.attn.qkv.weight"].T).split(64, dim=2)
        scores = q @ k.transpose(1, 2) * tokens.shape[2] ** -0.5
        mixed = scores.softmax(2) @ v
        proj = f"{name}.attn.proj"
        tokens = v + mixed @ tensors[f"{proj}.weight"].T + tensors[f"{proj}.bias"]
        normed = layer_norm(tensors, f"{name}.norm2", tokens, 1e-5)
        hidden = normed @ tensors[f"{name}.mlp.fc1.weight"].T + tensors[f"{name}.mlp.fc1.bias"]
        out = functional.gelu(hidden) @ tensors[f"{name}.mlp.fc2.weight"].T
        return tokens + out + tensors[f"{name}.mlp.fc2.bias"]

    def plane(tokens: Tensor) -> Tensor:
        side = int(tokens.shape[1] ** 0.5)
        return tokens.transpose(1, 2).unflatten(2, (side, side))

    tokens = shrink(1, functional.unfold(x, 7, padding=2, stride=4).transpose(1, 2))
    tokens = shrink(2, functional.unfold(plane(tokens), 3, padding=1, stride=2).transpose(1, 2))
    tokens = functional.unfold(plane(tokens), 3, padding=1, stride=2).transpose(1, 2)
    project = "tokens_to_token.project"
    tokens = tokens @ tensors[f"{project}.weight"].T + tensors[f"{project}.bias"]
    tokens = torch.cat([tensors["cls_token"].expand(len(x), -1, -1), tokens], 1)
    tokens = blocks(tensors, tokens + tensors["pos_embed"], heads=6, eps=1e-5)
    return layer_norm(tensors, "norm", tokens, 1e-5)[:, 0]


# --- NAT-M4 ---------------------------------------------------------------------------------

NAT_BLOCKS = (  # kernel, stride, widening, channels out, squeeze and excitation
    (3, 2, 3, 32, 0), (5, 1, 4, 32, 0), (3, 1, 3, 32, 0),
    (5, 2, 4, 48, 1), (5, 1, 4, 48, 1), (3, 1, 6, 48, 1), (5, 1, 3, 48, 1),
    (7, 2, 6, 96, 0), (5, 1, 6, 96, 0), (3, 1, 3, 96, 0), (5, 1, 4, 96, 0),
    (3, 1, 6, 136, 1), (5, 1, 6, 136, 1), (7, 1, 6, 136, 1), (3, 1, 4, 136, 1),
    (3, 2, 6, 192, 1), (3, 1, 6, 192, 1), (5, 1, 6, 192, 1), (3, 1, 3, 192, 1),
)  # fmt: skip
SQUEEZED = {128: 32, 192: 48, 288: 72, 144: 40, 576: 144, 816: 208, 544: 136, 1152: 288}


def nat_tensors() -> Tensors:
    draw = Drawer(11)
    draw.conv_bn("first_conv.conv", "first_conv.bn", 24, 3, 3, 3)
    first = "blocks.0.mobile_inverted_conv"
    draw.conv_bn(f"{first}.depth_conv.conv", f"{first}.depth_conv.bn", 24, 1, 3, 3)
    draw.conv_bn(f"{first}.point_linear.conv", f"{first}.point_linear.bn", 24, 24, 1, 1)
    inputs = 24
    for number, (kernel, _, widening, outputs, squeeze) in enumerate(NAT_BLOCKS, 1):
        name, wide = f"blocks.{number}.mobile_inverted_conv", inputs * widening
        for part, shape in (
            ("inverted_bottleneck", (wide, inputs, 1, 1)),
            ("depth_conv", (wide, 1, kernel, kernel)), ("point_linear", (outputs, wide, 1, 1)),
        ):  # fmt: skip
            draw.conv_bn(f"{name}.{part}.conv", f"{name}.{part}.bn", *shape)
        if squeeze:
            fc, narrow = f"{name}.depth_conv.se.fc", SQUEEZED[wide]
            draw.weight(f"{fc}.reduce.weight", narrow, wide, 1, 1)
            draw.vector(f"{fc}.reduce.bias", narrow)
            draw.weight(f"{fc}.expand.weight", wide, narrow, 1, 1)
            draw.vector(f"{fc}.expand.bias", wide)
        inputs = outputs
    draw.conv_bn("final_expand_layer.conv", "final_expand_layer.bn", 1152, 192, 1, 1)
    draw.weight("feature_mix_layer.conv.weight", 1536, 1152, 1, 1)
    draw.linear("classifier.linear", 1000, 1536)
    return draw.tensors


def nat_features(tensors: Tensors, x: Tensor) -> Tensor:
    mish = functional.mish
    x = mish(conv_bn(tensors, "first_conv.conv", "first_conv.bn", x, 2))
    first = "blocks.0.mobile_inverted_conv"
    depth, point = f"{first}.depth_conv", f"{first}.point_linear"
    wide = mish(conv_bn(tensors, f"{depth}.conv", f"{depth}.bn", x, groups=24))
    x = x + conv_bn(tensors, f"{point}.conv", f"{point}.bn", wide)
    for number, (_, stride, widening, outputs, squeeze) in enumerate(NAT_BLOCKS, 1):
        name = f"blocks.{number}.mobile_inverted_conv"
        widen, depth, point = (
            f"{name}.{part}" for part in ("inverted_bottleneck", "depth_conv", "point_linear")
        )
        channels = x.shape[1] * widening
        wide = mish(conv_bn(tensors, f"{widen}.conv", f"{widen}.bn", x))
        wide = mish(conv_bn(tensors, f"{depth}.conv", f"{depth}.bn", wide, stride, groups=channels))
        if squeeze:
            fc = f"{depth}.se.fc"
            gate = wide.mean((2, 3), keepdim=True)
            gate = functional.conv2d(
                gate, tensors[f"{fc}.reduce.weight"], tensors[f"{fc}.reduce.bias"]
            ).relu()
            gate = functional.conv2d(
                gate, tensors[f"{fc}.expand.weight"], tensors[f"{fc}.expand.bias"]
            )
            wide = wide * ((gate + 3).clamp(0, 6) / 6)
        out = conv_bn(tensors, f"{point}.conv", f"{point}.bn", wide)
        x = x + out if stride == 1 and outputs == x.shape[1] else out
    x = mish(conv_bn(tensors, "final_expand_layer.conv", "final_expand_layer.bn", x))
    pooled = x.mean((2, 3), keepdim=True)
    return mish(functional.conv2d(pooled, tensors["feature_mix_layer.conv.weight"]))[..., 0, 0]


# --- pycls' EfficientNets --------------------------------------------------------------------

EFFICIENTNETS = {  # stem; per stage kernel, stride, widening, channels, depth; head
    "b1": (32, ((3, 1, 1, 16, 2), (3, 2, 6, 24, 3), (5, 2, 6, 40, 3), (3, 2, 6, 80, 4),
                (5, 1, 6, 112, 4), (5, 2, 6, 192, 5), (3, 1, 6, 320, 2)), 1280),
    "b4": (48, ((3, 1, 1, 24, 2), (3, 2, 6, 32, 4), (5, 2, 6, 56, 4), (3, 2, 6, 112, 6),
                (5, 1, 6, 160, 6), (5, 2, 6, 272, 8), (3, 1, 6, 448, 2)), 1792),
}  # fmt: skip


def pycls_tensors(which: str) -> Tensors:
    draw = Drawer(12)
    stem, stages, head = EFFICIENTNETS[which]
    draw.conv_bn("stem.conv", "stem.bn", stem, 3, 3, 3)
    inputs = stem
    for stage, (kernel, _, widening, outputs, depth) in enumerate(stages, 1):
        for number in range(1, depth + 1):
            name, wide = f"s{stage}.b{number}", inputs * widening
            if widening != 1:
                draw.conv_bn(f"{name}.exp", f"{name}.exp_bn", wide, inputs, 1, 1)
            draw.conv_bn(f"{name}.dwise", f"{name}.dwise_bn", wide, 1, kernel, kernel)
            narrow = inputs // 4
            draw.weight(f"{name}.se.f_ex.0.weight", narrow, wide, 1, 1)
            draw.vector(f"{name}.se.f_ex.0.bias", narrow)
            draw.weight(f"{name}.se.f_ex.2.weight", wide, narrow, 1, 1)
            draw.vector(f"{name}.se.f_ex.2.bias", wide)
            draw.conv_bn(f"{name}.lin_proj", f"{name}.lin_proj_bn", outputs, wide, 1, 1)
            inputs = outputs
    draw.conv_bn("head.conv", "head.conv_bn", head, inputs, 1, 1)
    draw.linear("head.fc", 1000, head)
    return draw.tensors


def pycls_features(which: str, tensors: Tensors, x: Tensor) -> Tensor:
    """Of images normalised as RGB; the published network is fed BGR."""
    silu = functional.silu
    _, stages, _ = EFFICIENTNETS[which]
    x = silu(conv_bn(tensors, "stem.conv", "stem.bn", x[:, [2, 1, 0]], 2))
    for stage, (_, first_stride, widening, outputs, depth) in enumerate(stages, 1):
        for number in range(1, depth + 1):
            name, stride = f"s{stage}.b{number}", first_stride if number == 1 else 1
            wide = x
            if widening != 1:
                wide = silu(conv_bn(tensors, f"{name}.exp", f"{name}.exp_bn", x))
            wide = silu(
                conv_bn(tensors, f"{name}.dwise", f"{name}.dwise_bn", wide, stride,
                        groups=wide.shape[1])
            )  # fmt: skip
            gate = wide.mean((2, 3), keepdim=True)
            for place, function in (("0", silu), ("2", torch.sigmoid)):
                layer = f"{name}.se.f_ex.{place}"
                gate = function(
                    functional.conv2d(gate, tensors[f"{layer}.weight"], tensors[f"{layer}.bias"])
                )
            out = conv_bn(tensors, f"{name}.lin_proj", f"{name}.lin_proj_bn", wide * gate)
            x = x + out if stride == 1 and outputs == x.shape[1] else out
    return silu(conv_bn(tensors, "head.conv", "head.conv_bn", x)).mean((2, 3))


# --- ResNet-50 with TensorFlow's padding ------------------------------------------------------

RESNET50 = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # width, blocks, stride


def resnet_tensors(names: dict[str, str], block: str, *, counted: bool) -> Tensors:
    """Tensors of a ResNet-50; `names` says what its layers are called in the file."""
    draw = Drawer(13)
    draw.conv_bn(names["conv1"], names["bn1"], 64, 3, 7, 7, counted=counted)
    inputs = 64
    for stage, (width, depth, _) in enumerate(RESNET50, 1):
        for number in range(depth):
            place = block.format(stage=stage, number=number)
            for layer, shape in (
                (1, (width, inputs, 1, 1)), (2, (width, width, 3, 3)),
                (3, (4 * width, width, 1, 1)),
            ):  # fmt: skip
                conv, bn = names[f"block conv{layer}"], names[f"block bn{layer}"]
                draw.conv_bn(place + conv, place + bn, *shape, counted=counted)
            if number == 0:
                shortcut = (place + names["shortcut conv"], place + names["shortcut bn"])
                draw.conv_bn(*shortcut, 4 * width, inputs, 1, 1, counted=counted)
            inputs = 4 * width
    draw.linear("fc", 1000, 2048)
    return draw.tensors


def resnet_features(
    tensors: Tensors, x: Tensor, names: dict[str, str], block: str, *, same: bool
) -> Tensor:
    """The max-pool pads SAME; convolutions do too where `same`."""
    x = conv_bn(tensors, names["conv1"], names["bn1"], x, 2, same=same).relu()
    x = functional.pad(x, same_pads(x.shape[-1], 3, 2), value=float("-inf"))
    x = functional.max_pool2d(x, 3, 2)
    for stage, (_, depth, first_stride) in enumerate(RESNET50, 1):
        for number in range(depth):
            place = block.format(stage=stage, number=number)
            stride = first_stride if number == 0 else 1
            short = x
            if number == 0:
                short = conv_bn(
                    tensors, place + names["shortcut conv"], place + names["shortcut bn"], x, stride
                )
            for layer in (1, 2, 3):
                conv, bn = place + names[f"block conv{layer}"], place + names[f"block bn{layer}"]
                if layer == 2:
                    x = conv_bn(tensors, conv, bn, x, stride, same=same and stride == 2)
                else:
                    x = conv_bn(tensors, conv, bn, x)
                x = x.relu() if layer < 3 else (x + short).relu()
    return x.mean((2, 3))


TORCHVISION = {
    "conv1": "conv1", "bn1": "bn1", "shortcut conv": "downsample.0", "shortcut bn": "downsample.1",
    **{f"block {kind}{layer}": f"{kind}{layer}" for kind in ("conv", "bn") for layer in (1, 2, 3)},
}  # fmt: skip
SIMCLR = {
    "conv1": "net.0.0", "bn1": "net.0.1.0",
    "shortcut conv": "projection.shortcut", "shortcut bn": "projection.bn.0",
    "block conv1": "net.0", "block bn1": "net.1.0", "block conv2": "net.2", "block bn2": "net.3.0",
    "block conv3": "net.4", "block bn3": "net.5.0",
}  # fmt: skip
TORCHVISION_BLOCK, SIMCLR_BLOCK = "layer{stage}.{number}.", "net.{stage}.blocks.{number}."
