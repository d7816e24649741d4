"""preprocessor_config.json → `Preprocess`: each setting is honoured, or refused by its name.

The image processor of transformers decides what the file leaves out. Its pixels and ours differ by
at most 2 of 255, as transformers resizes by torch or by Pillow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cog.errors import CogError
from cog.images.preprocess import Preprocess
from cog.models.sources.from_file import OWN_FILE

PLAIN = ("ViT", "DeiT", "Beit", "Bit", "CLIP", "Siglip", "DINOv3ViT")
"""processors that resize, crop, scale and normalise as their settings say"""
CONVNEXT = "ConvNext"
"""resizes by crop_pct and crops below 384 pixels; from 384 on it squeezes images to a square"""
CONVNEXT_SQUEEZES = 384

USED = {
    "crop_pct", "crop_size", "default_to_square", "do_center_crop", "do_normalize", "do_pad",
    "do_rescale", "do_resize", "image_mean", "image_std", "pad_size", "resample", "rescale_factor",
    "size",
}  # fmt: skip
WITHOUT_EFFECT = {
    "_processor_class", "_valid_processor_keys", "auto_map", "data_format", "device",
    "disable_grouping", "do_convert_rgb", "do_reduce_labels", "feature_extractor_type",
    "image_processor_type", "image_seq_length", "input_data_format", "processor_class",
    "reduce_labels", "return_tensors",
}  # fmt: skip
"""keys that change no pixel of an RGB image; images here are always made RGB"""
LARGEST = 2**13
"""side in pixels; more is a mistake that would eat the memory"""
FILTERS = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of the filters that `Preprocess` has"""
OTHER_FILTERS = {0: "nearest", 1: "lanczos", 4: "box", 5: "hamming"}


def preprocess_of(record: Mapping[str, Any], name: str) -> Preprocess:
    """The preprocessing that a preprocessor_config.json records; `name` is for errors.

    Raises:
        CogError: an unknown processor or setting, a setting that `Preprocess` cannot honour, or
            values that make no sense.
    """
    kind = _kind(record, name)
    _refuse_unknown(record, kind, name)
    try:
        made = _resolved(record, kind)
        resize, crop = _sides(made, kind, name)
        mean, std = _normalisation(made, name)
        return Preprocess(
            resize,
            crop,
            _filter(made["resample"], kind, name),
            mean,
            std,
            rounding="even" if _is_exact(resize, crop) else "down",
        )
    except CogError:
        raise
    except Exception as error:  # transformers checks some values, in classes of its own
        reason = " ".join(str(error).split())[:200]
        raise CogError(
            f"{name}: its preprocessor_config.json cannot be used ({type(error).__name__}: "
            f"{reason})",
            f"mend that file, or {OWN_FILE}",
        ) from error


def _refused(name: str, what: str) -> CogError:
    return CogError(f"{name}: its preprocessor_config.json {what[:500]}", OWN_FILE)


def _kind(record: Mapping[str, Any], name: str) -> str:
    """The processor's name without what all have: `ViT` of ViTImageProcessorFast."""
    written = record.get("image_processor_type") or record.get("feature_extractor_type")
    if not isinstance(written, str):
        raise CogError(
            f"{name}: its preprocessor_config.json names no image_processor_type",
            'add the one that it was made with, such as "image_processor_type": '
            '"ViTImageProcessor"',
        )
    kind = written.removesuffix("Fast").removesuffix("Pil")
    kind = kind.removesuffix("ImageProcessor").removesuffix("FeatureExtractor")
    known = (*PLAIN, CONVNEXT)
    if kind not in known:
        raise _refused(
            name,
            f"is of {written[:80]}, whose steps are not known here; known are "
            f"{', '.join(known)} (each …ImageProcessor)",
        )
    return kind


def _refuse_unknown(record: Mapping[str, Any], kind: str, name: str) -> None:
    """Refuse keys that may change pixels; a flag that is off changes none."""
    known = USED | WITHOUT_EFFECT
    if kind != CONVNEXT:
        known = known - {"crop_pct"}
    others = [
        key for key, value in record.items() if key not in known and value not in (None, False)
    ]
    if others:
        shown = ", ".join(f"{key}={record[key]!r}"[:80] for key in others[:3])
        raise _refused(
            name,
            f"has {shown}, which {kind}ImageProcessor does not know, so that what it does to "
            "images is not known either",
        )


def processor_class(kind: str) -> Any:
    """transformers' processor that resizes by torch: `…Fast` before 5.x, where both are."""
    import transformers

    fast = getattr(transformers, f"{kind}ImageProcessorFast", None)
    return fast or getattr(transformers, f"{kind}ImageProcessor")


def _resolved(record: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The settings of transformers' processor, with its defaults for what the file leaves out."""
    known = {key: value for key, value in record.items() if key in USED}
    processor = processor_class(kind)(**known)
    made: dict[str, Any] = {key: getattr(processor, key, None) for key in USED}
    for key in ("size", "crop_size", "pad_size"):
        if made[key] is not None:
            sides = sorted(dict(made[key]).items())
            made[key] = {side: value for side, value in sides if value is not None}
            if not all(type(value) is int and 0 < value <= LARGEST for value in made[key].values()):
                raise ValueError(f"{key} has sides that are no whole numbers of 1 to {LARGEST}")
    return made


def _sides(
    made: Mapping[str, Any], kind: str, name: str
) -> tuple[int | tuple[int, int], int | None]:
    """`resize` and `crop` of a `Preprocess`."""
    if not made["do_resize"]:
        raise _refused(name, "has do_resize off: images of many sizes do not fit in one batch")
    resize, crop = _resized(made, kind, name)
    if made["do_center_crop"]:
        wanted = made["crop_size"] or {}
        if set(wanted) != {"height", "width"}:
            raise _refused(name, f"crops to {wanted}, not to a height and a width")
        height, width = wanted["height"], wanted["width"]
        if crop not in (None, height) or (height != width and resize != (height, width)):
            raise _refused(name, f"crops to {height} × {width} pixels, not to one square")
        short = min(resize) if isinstance(resize, tuple) else resize
        if short < height:  # there the two backends of transformers differ by a pixel
            raise _refused(name, f"crops {height} pixels from images of {short}")
        crop = None if resize == (height, width) else height
    final = (crop, crop) if crop is not None else resize
    if not isinstance(final, tuple):
        raise _refused(
            name,
            f"resizes the shortest edge to {resize} and crops no square: images of many shapes do "
            "not fit in one batch",
        )
    same = {"height": final[0], "width": final[1]}
    if made["do_pad"] and made["pad_size"] not in (None, same):
        raise _refused(name, f"pads images of {final[0]} × {final[1]} pixels to {made['pad_size']}")
    return resize, crop


def _resized(
    made: Mapping[str, Any], kind: str, name: str
) -> tuple[int | tuple[int, int], int | None]:
    """The sides after resizing, and ConvNeXt's own crop after it."""
    size = made["size"] or {}
    if kind == CONVNEXT and set(size) == {"shortest_edge"}:
        side = size["shortest_edge"]
        if side >= CONVNEXT_SQUEEZES:
            return (side, side), None
        return int(side / made["crop_pct"]), side
    if kind != CONVNEXT and set(size) == {"height", "width"}:
        return (size["height"], size["width"]), None
    if kind != CONVNEXT and set(size) == {"shortest_edge"}:
        return size["shortest_edge"], None
    raise _refused(
        name,
        f"has size {size}: expected height and width, or shortest_edge alone"
        if kind != CONVNEXT
        else f"has size {size}: expected shortest_edge alone",
    )


def _is_exact(resize: int | tuple[int, int], crop: int | None) -> bool:
    """Whether the crop, if there is one, begins at a whole pixel whatever the image."""
    if crop is None:
        return True
    return isinstance(resize, tuple) and all((side - crop) % 2 == 0 for side in resize)


def _filter(resample: Any, kind: str, name: str) -> str:
    number = 2 if resample is None else int(resample)
    if number not in FILTERS:
        found = OTHER_FILTERS.get(number, str(number))
        raise _refused(name, f"resizes by {found}; only bilinear and bicubic are here")
    if kind == "DINOv3ViT" and FILTERS[number] == "bicubic":
        raise _refused(
            name, "resizes by bicubic after scaling: its pixels leave 0…255, and ours do not"
        )
    return FILTERS[number]


Triple = tuple[float, float, float]


def _normalisation(made: Mapping[str, Any], name: str) -> tuple[Triple, Triple]:
    """Mean and std for pixels in 0…1; another scale than 1/255 is put into both.

    (x f - mean) / std = (x / 255 - mean / (255 f)) / (std / (255 f))
    """
    factor = float(made["rescale_factor"]) if made["do_rescale"] else 1.0
    if not 0 < factor < math.inf:
        raise _refused(name, f"has rescale_factor {factor}, which is not above 0")
    scale = 1.0 if math.isclose(255 * factor, 1, rel_tol=1e-6) else 255 * factor
    if not made["do_normalize"]:
        return (0.0, 0.0, 0.0), (1 / scale, 1 / scale, 1 / scale)
    return _triple(made, "image_mean", scale, name), _triple(made, "image_std", scale, name)


def _triple(made: Mapping[str, Any], key: str, scale: float, name: str) -> Triple:
    """A number for each channel, over `scale`; one number stands for all."""
    given = made[key]
    values = [given] * 3 if isinstance(given, int | float) else list(given)
    if len(values) != 3:
        raise _refused(name, f"has {key} of {len(values)} channels, not 3")
    red, green, blue = (float(value) / scale for value in values)
    return red, green, blue
