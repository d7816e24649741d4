"""preprocessor_config.json against transformers' own image processors: pixels, and refusals."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from cog.errors import CogError
from cog.images.preprocess import Preprocess
from cog.models.hf.preprocessing import preprocess_of

its = pytest.importorskip("transformers", reason="pip install 'imagenet-cog[transformers]'")

SIDES = ((75, 100), (91, 66), (40, 41), (57, 57), (24, 90))


def images() -> list[bytes]:
    """Smooth images of several shapes, as PNG: all decoders read the same pixels."""
    rng, made = np.random.default_rng(3), []
    for height, width in SIDES:
        coarse = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file, "PNG")
        made.append(file.getvalue())
    return made


HALVES = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.25, 0.5]}
HONOURED = {
    "defaults of ViT": ("ViT", {}),
    "defaults of CLIP": ("CLIP", {}),
    "defaults of ConvNeXt": ("ConvNext", {}),
    "defaults of DeiT": ("DeiT", {}),
    "defaults of DINOv3": ("DINOv3ViT", {}),
    "an old number as size": ("ViT", {"size": 32}),
    "an old number of the short side": ("CLIP", {"size": 35, "crop_size": 32}),
    "odd offsets": ("Bit", {"size": {"shortest_edge": 37}, "crop_size": 32}),
    "height and width": ("ViT", {"size": {"height": 24, "width": 40}}),
    "a crop from a square": ("DeiT", {"size": {"height": 37, "width": 37}, "crop_size": 32}),
    "a crop of all": ("Bit", {"size": {"height": 24, "width": 40},
                              "crop_size": {"height": 24, "width": 40}}),
    "no crop": ("Bit", {"size": {"height": 32, "width": 32}, "do_center_crop": False}),
    "bilinear": ("CLIP", {"size": 35, "crop_size": 32, "resample": 2}),
    "bicubic": ("ViT", {"size": 32, "resample": 3}),
    "ConvNeXt's crop": ("ConvNext", {"size": {"shortest_edge": 32}, "crop_pct": 0.9}),
    "ConvNeXt's square": ("ConvNext", {"size": {"shortest_edge": 384}}),
    "another scale": ("ViT", {"size": 32, "rescale_factor": 1 / 127.5, **HALVES}),
    "no scale": ("ViT", {"size": 32, "do_rescale": False, "image_mean": [120, 110, 100],
                         "image_std": [50, 60, 70]}),
    "no normalisation": ("ViT", {"size": 32, "do_normalize": False}),
    "neither": ("ViT", {"size": 32, "do_normalize": False, "do_rescale": False}),
    "one number for all channels": ("ViT", {"size": 32, "image_mean": 0.4, "image_std": 0.2}),
    "padding that adds nothing": ("ViT", {"size": 32, "do_pad": True}),
    "colours made": ("Siglip", {"size": {"height": 32, "width": 32}, "do_convert_rgb": True}),
    "labels of segmentation": ("Beit", {"size": 32, "do_center_crop": False,
                                        "do_reduce_labels": True}),
}  # fmt: skip


@pytest.mark.parametrize("case", HONOURED)
def test_pixels_are_those_of_the_processor(case):
    kind, settings = HONOURED[case]
    record = {"image_processor_type": f"{kind}ImageProcessor", **settings}
    preprocess = preprocess_of(record, "m")
    scale = torch.tensor(preprocess.std).view(3, 1, 1) * 255
    for name in (f"{kind}ImageProcessor", f"{kind}ImageProcessorPil"):
        if not hasattr(its, name):
            continue
        processor = getattr(its, name)(**settings)
        for data in images():
            image = Image.open(io.BytesIO(data))
            wanted = processor(image, return_tensors="pt")["pixel_values"][0]
            ours = preprocess.normalise(preprocess.load(data)[None])[0]
            assert wanted.shape == ours.shape
            assert ((wanted - ours) * scale).abs().max() <= 2 + 1e-3  # of float32


def test_pixels_of_pillow_are_exactly_those_of_a_processor_of_pillow():
    settings = {"size": {"shortest_edge": 37}, "crop_size": {"height": 32, "width": 32}}
    preprocess = preprocess_of({"image_processor_type": "CLIPImageProcessor", **settings}, "m")
    pillow = getattr(its, "CLIPImageProcessorPil", None) or its.CLIPImageProcessor  # before 5.x
    for data in images():
        image = Image.open(io.BytesIO(data))
        wanted = pillow(**settings)(image, return_tensors="pt")["pixel_values"]
        ours = preprocess.normalise(preprocess.load(data, "pillow")[None])
        assert (wanted - ours).abs().max() < 1e-5


@pytest.mark.parametrize("written", ["ViTImageProcessor", "ViTImageProcessorFast",
                                     "ViTImageProcessorPil", "ViTFeatureExtractor"])  # fmt: skip
def test_all_names_of_a_processor_mean_the_same(written):
    key = "feature_extractor_type" if "Feature" in written else "image_processor_type"
    assert preprocess_of({key: written, "size": 64}, "m") == Preprocess(
        (64, 64), None, "bilinear", (0.5,) * 3, (0.5,) * 3
    )


REFUSED = {
    "crops no square": ("Bit", {"do_center_crop": False}),
    r"{'longest_edge': 64, 'shortest_edge': 32}": (
        "Bit", {"size": {"shortest_edge": 32, "longest_edge": 64}}),
    r"{'longest_edge': 64}": ("Bit", {"size": {"longest_edge": 64}}),
    "min_pixels": ("ViT", {"size": {"min_pixels": 9, "max_pixels": 99}}),
    r"{'height': 32, 'width': 32}: expected shortest_edge": (
        "ConvNext", {"size": {"height": 32, "width": 32}}),
    r"crops to 24 × 40 pixels, not to one square": (
        "CLIP", {"size": 64, "crop_size": {"height": 24, "width": 40}}),
    "crops 36 pixels from images of 29": (
        "Bit", {"size": {"shortest_edge": 29}, "crop_size": 36}),
    "do_resize off": ("ViT", {"do_resize": False}),
    "resizes by lanczos": ("ViT", {"resample": 1}),
    "pixels leave 0…255": ("DINOv3ViT", {"resample": 3}),
    "pads images of 32 × 32 pixels": (
        "ViT", {"size": 32, "do_pad": True, "pad_size": {"height": 64, "width": 64}}),
    "do_flip_channel_order=True": ("ViT", {"do_flip_channel_order": True}),
    "crop_pct=0.9": ("ViT", {"crop_pct": 0.9}),
    "max_num_patches=256": ("ViT", {"max_num_patches": 256}),
    "is of EfficientNetImageProcessor": ("EfficientNet", {}),
    "is of Siglip2ImageProcessor": ("Siglip2", {}),
    "image_mean of 4 channels": ("ViT", {"image_mean": [0.5] * 4}),
    "rescale_factor 0.0": ("ViT", {"rescale_factor": 0}),
    "std to be three numbers above 0": ("ViT", {"image_std": [0, 1, 1]}),
}  # fmt: skip


@pytest.mark.parametrize("told", REFUSED)
def test_what_cannot_be_honoured_is_refused_by_its_name(told):
    kind, settings = REFUSED[told]
    with pytest.raises(CogError) as caught:
        preprocess_of({"image_processor_type": f"{kind}ImageProcessor", **settings}, "m")
    assert told in caught.value.what


def test_a_processor_without_a_name_is_refused():
    with pytest.raises(CogError, match="names no image_processor_type"):
        preprocess_of({"size": 224}, "m")


def test_what_is_off_and_what_is_no_matter_of_pixels_is_no_reason_to_refuse():
    record = {"image_processor_type": "ViTImageProcessor", "do_flip_channel_order": False,
              "do_thumbnail": None, "processor_class": "CLIPProcessor"}  # fmt: skip
    assert preprocess_of(record, "m").shape == (3, 224, 224)


def test_the_keys_that_processors_of_torch_save_change_nothing():
    empty = (
        "crop_size",
        "device",
        "disable_grouping",
        "do_center_crop",
        "do_convert_rgb",
        "do_pad",
        "image_seq_length",
        "input_data_format",
        "pad_size",
        "return_tensors",
    )
    record = {"image_processor_type": "DINOv3ViTImageProcessorFast", "default_to_square": True,
              "data_format": "channels_first", "_valid_processor_keys": ["images"],
              "size": {"height": 96, "width": 96}, **dict.fromkeys(empty)}  # fmt: skip
    assert preprocess_of(record, "m") == Preprocess((96, 96), None, "bilinear")


def test_the_usual_rounding_is_not_in_what_features_are_made_from():
    """Stored features of version 0.1 have no such key."""
    assert "rounding" not in json.dumps(Preprocess().describe())
    assert Preprocess(rounding="down").describe()["rounding"] == "down"
    assert Preprocess(rounding="down").geometry != Preprocess().geometry
