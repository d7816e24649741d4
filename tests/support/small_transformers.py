"""Small networks of transformers, as people save them, and their features by its own classes.

Each entry of `SAVED`: the configuration, the class whose file it is (with heads, masks, two
towers), the image processor, and the feature that is expected, from what transformers' own class
gives for `pixel_values`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers as its
from torch import Tensor

from cog.models.hf.preprocessing import processor_class

VIT = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
TEXT = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
SWIN = {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2],
        "window_size": 4}  # fmt: skip
HIERA = {
    "embed_dim": 8, "image_size": [32, 32], "patch_size": [7, 7], "patch_stride": [4, 4],
    "patch_padding": [3, 3], "depths": [1, 1], "num_heads": [1, 2], "embed_dim_multiplier": 2.0,
    "num_query_pool": 1, "query_stride": [2, 2], "masked_unit_size": [2, 2],
    "masked_unit_attention": [True, False],
}  # fmt: skip
DECODER = {"decoder_hidden_size": 16, "decoder_num_attention_heads": 2,
           "decoder_num_hidden_layers": 1, "decoder_intermediate_size": 16}  # fmt: skip

SQUARE = {"size": {"height": 32, "width": 32}}
CROPPED = {"size": {"shortest_edge": 37}, "crop_size": {"height": 32, "width": 32}}

ITSELF = "the network that was saved"
"""to compare with where transformers does not read its own file: BEiT's two norms of one name"""

Feature = Callable[[Any, Tensor], Tensor]


def first(network: Any, x: Tensor) -> Tensor:
    return network(pixel_values=x).last_hidden_state[:, 0]


def mean(network: Any, x: Tensor) -> Tensor:
    return network(pixel_values=x).last_hidden_state.mean(1)


def pooler(network: Any, x: Tensor) -> Tensor:
    return network(pixel_values=x).pooler_output.flatten(1)


def unmasked(network: Any, x: Tensor) -> Tensor:
    """MAE's class token with all patches, in whatever order: each patch knows its position."""
    network.config.mask_ratio = 0.0
    return first(network, x)


@dataclass
class Saved:
    """How a folder is made, and what its feature must be."""

    config: Any
    saved_as: str
    """the class whose file it is"""
    processor: str
    settings: dict[str, Any]
    feature: Feature
    words: str
    """a part of the feature in words"""
    read_as: str = ""
    """transformers' class of the image network that reads the same folder"""
    notices: list[str] = field(default_factory=list)
    """parts of the file that are not used"""


CLS, AVG, POOLER = "the class token", "the mean of the patches", "its pooler_output"
SAVED = {
    "vit": Saved(its.ViTConfig(**VIT), "ViTForImageClassification", "ViT", SQUARE, first, CLS,
                 "ViTModel", ["classifier"]),
    "vit_mae": Saved(its.ViTMAEConfig(**VIT, **DECODER), "ViTMAEForPreTraining", "ViT", SQUARE,
                     unmasked, CLS, "ViTMAEModel", ["decoder"]),
    "dinov2": Saved(its.Dinov2Config(**VIT), "Dinov2Model", "Bit", CROPPED, first, CLS),
    "webssl": Saved(its.Dinov2Config(**VIT, use_swiglu_ffn=True), "Dinov2Model", "Bit", CROPPED,
                    first, CLS),
    "dinov2_with_registers": Saved(
        its.Dinov2WithRegistersConfig(**VIT, num_register_tokens=4),
        "Dinov2WithRegistersForImageClassification", "Bit", CROPPED, first,
        f"{CLS}, without the 4 register tokens", "Dinov2WithRegistersModel", ["classifier"]),
    "dinov3_vit": Saved(its.DINOv3ViTConfig(**VIT, num_register_tokens=3), "DINOv3ViTModel",
                        "DINOv3ViT", SQUARE, first, f"{CLS}, without the 3 register tokens"),
    "dinov3_convnext": Saved(its.DINOv3ConvNextConfig(**STAGES), "DINOv3ConvNextModel",
                             "DINOv3ViT", SQUARE, pooler, POOLER),
    "beit": Saved(its.BeitConfig(**VIT, use_mean_pooling=True, use_relative_position_bias=True),
                  "BeitForImageClassification", "Beit", SQUARE, pooler, AVG, "BeitModel",
                  ["classifier"]),
    "beit_masked": Saved(
        its.BeitConfig(**VIT, use_mean_pooling=False, use_shared_relative_position_bias=True,
                       use_mask_token=True),
        "BeitForMaskedImageModeling", "Beit", SQUARE, lambda network, x: first(network.beit, x),
        CLS, ITSELF, ["layernorm", "lm_head"]),
    "data2vec-vision": Saved(
        its.Data2VecVisionConfig(**VIT, use_mean_pooling=True, use_relative_position_bias=True),
        "Data2VecVisionForImageClassification", "Beit", SQUARE,
        lambda network, x: network.data2vec_vision(x).pooler_output, AVG,
        "Data2VecVisionForImageClassification", ["classifier"]),
    "deit": Saved(its.DeiTConfig(**VIT), "DeiTForImageClassificationWithTeacher", "DeiT",
                  {"size": {"height": 36, "width": 36}, "crop_size": {"height": 32, "width": 32}},
                  first, CLS, "DeiTModel", ["cls_classifier", "distillation_classifier"]),
    "vit_msn": Saved(its.ViTMSNConfig(**VIT), "ViTMSNModel", "ViT", SQUARE, first, CLS),
    "swinv2": Saved(its.Swinv2Config(**SWIN), "Swinv2ForImageClassification", "ViT", SQUARE, mean,
                    AVG, "Swinv2Model", ["classifier"]),
    "regnet": Saved(
        its.RegNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], groups_width=4,
                         layer_type="y"),
        "RegNetForImageClassification", "ConvNext", {"size": {"shortest_edge": 32}}, pooler, POOLER,
        "RegNetModel", ["classifier"]),
    "swin": Saved(its.SwinConfig(**SWIN), "SwinForImageClassification", "ViT", SQUARE, mean, AVG,
                  "SwinModel", ["classifier"]),
    "convnext": Saved(its.ConvNextConfig(**STAGES), "ConvNextForImageClassification", "ConvNext",
                      {"size": {"shortest_edge": 32}}, pooler, POOLER, "ConvNextModel",
                      ["classifier"]),
    "convnextv2": Saved(its.ConvNextV2Config(**STAGES), "ConvNextV2ForImageClassification",
                        "ConvNext", {"size": {"shortest_edge": 384}}, pooler, POOLER,
                        "ConvNextV2Model", ["classifier"]),
    "clip": Saved(its.CLIPConfig(vision_config=dict(VIT), text_config=dict(TEXT)), "CLIPModel",
                  "CLIP", CROPPED, pooler, CLS, "CLIPVisionModel",
                  ["logit_scale", "text_model", "text_projection", "visual_projection"]),
    "clip_vision": Saved(its.CLIPVisionConfig(**VIT), "CLIPVisionModelWithProjection", "CLIP",
                         CROPPED, pooler, CLS, "CLIPVisionModel", ["visual_projection"]),
    "siglip": Saved(
        its.SiglipConfig(vision_config=dict(VIT), text_config=dict(TEXT)), "SiglipModel", "Siglip",
        SQUARE, pooler, POOLER, "SiglipVisionModel", ["logit_bias", "logit_scale", "text_model"]),
    "siglip_without_head": Saved(
        its.SiglipVisionConfig(**VIT, vision_use_head=False), "SiglipVisionModel", "Siglip",
        SQUARE, mean, AVG),
    "aimv2": Saved(
        its.Aimv2Config(vision_config=dict(VIT), text_config=dict(TEXT)), "Aimv2Model", "CLIP",
        CROPPED, lambda network, x: network.vision_model(x).pooler_output, POOLER, "Aimv2Model",
        ["logit_scale", "text_model", "text_projection", "visual_projection"]),
    "aimv2_vision": Saved(its.Aimv2VisionConfig(**VIT, use_head=False), "Aimv2VisionModel", "CLIP",
                          CROPPED, mean, AVG),
    "ijepa": Saved(its.IJepaConfig(**VIT), "IJepaModel", "ViT", SQUARE, mean, AVG),
    "hiera": Saved(its.HieraConfig(**HIERA), "HieraForImageClassification", "Bit", CROPPED, pooler,
                   AVG, "HieraModel", ["classifier"]),
    "hiera_masked": Saved(
        its.HieraConfig(**HIERA, decoder_hidden_size=16, decoder_depth=1, decoder_num_heads=2),
        "HieraForPreTraining", "Bit", CROPPED, mean, AVG, "HieraModel",
        ["decoder", "encoder_norm", "multiscale_fusion"]),
    "resnet": Saved(
        its.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"),
        "ResNetForImageClassification", "ConvNext", {"size": {"shortest_edge": 32}}, pooler, POOLER,
        "ResNetModel", ["classifier"]),
}  # fmt: skip


def drawn(config: Any, name: str, seed: int = 1) -> Any:
    """A network of transformers in which no number is 0 or 1 as it is after its making."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network = getattr(its, name)(config).eval()
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                tensor.add_(torch.randn_like(tensor) * 0.1)
        for key, tensor in network.named_buffers():
            if key.endswith("running_var"):
                tensor.abs_().add_(0.5)
    return network


def save(name: str, folder: Path) -> Path:
    """The folder of an entry of `SAVED`, written by transformers."""
    saved = SAVED[name]
    drawn(saved.config, saved.saved_as).save_pretrained(folder)
    processor_of(saved).save_pretrained(folder)
    return folder


def processor_of(saved: Saved) -> Any:
    return processor_class(saved.processor)(**saved.settings)


def its_own(name: str, folder: Path) -> Any:
    """The image network that transformers itself reads from the folder."""
    saved = SAVED[name]
    if saved.read_as == ITSELF:
        return drawn(saved.config, saved.saved_as)
    return getattr(its, saved.read_as or saved.saved_as).from_pretrained(folder).eval()
