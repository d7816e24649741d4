"""The whole program on images that it draws itself: no data, no weights, no network needed.

In: a folder. Out: in it, images, levels, model runs of two networks, results.csv.

- 32 concepts of ImageNet-1K are the seen ones. Five levels of nine concepts, from the official
  levels, lie farther and farther from them in WordNet.
- Concepts near in WordNet look alike (cog/demo/drawing.py).
- A small network learns the seen concepts (cog/demo/network.py). It and an untrained one go
  through the same code as a user's networks: levels, features, probes, results.

The images are synthetic: the figures show that the program works, and nothing about photographs.
Cost: on one core about 8 s of drawing, 15 s of training, 25 s of evaluation.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from cog.demo.arithmetic import plain_convolutions
from cog.demo.drawing import appearances_of, write_images
from cog.demo.network import EPOCHS, make_network, one_thread, train
from cog.evaluation.evaluate import evaluate
from cog.images.decoding import decode
from cog.images.preprocess import Preprocess
from cog.levels.build import build_levels
from cog.levels.files import write_levels
from cog.models.model import Model
from cog.progress import Progress, Silent
from cog.wordnet.information_content import load_information
from cog.wordnet.taxonomy import load_taxonomy

# fmt: off
SEEN = (
    "n02099601", "n02106662", "n02110958", "n02088364",  # golden retriever, shepherd, pug, beagle
    "n02123045", "n02129165", "n02129604", "n02391049",  # tabby, lion, tiger, zebra
    "n01558993", "n01531178", "n01614925", "n01443537",  # robin, goldfinch, bald eagle, goldfish
    "n01734418", "n02279972", "n02206856", "n02165456",  # king snake, monarch, bee, ladybug
    "n04285008", "n02930766", "n03770679", "n02690373",  # sports car, cab, minivan, airliner
    "n02951358", "n04612504", "n02676566", "n04536866",  # canoe, yawl, acoustic guitar, violin
    "n02672831", "n04099969", "n03179701", "n02823428",  # accordion, chair, desk, beer bottle
    "n04398044", "n03595614", "n04254777", "n03481172",  # teapot, jersey, sock, hammer
)
ELIGIBLE = (
    "n02209624", "n03609235", "n01614343",  # level 1: bumblebee, kayak, golden eagle
    "n02129837", "n02391508", "n01734808",  # bengal tiger, grevy's zebra, milk snake
    "n02804123", "n04608329", "n04502197",  # bass guitar, writing desk, turtleneck
    "n02279257", "n02278024", "n02276355",  # level 2: three butterflies
    "n04166281", "n04097373", "n03498781",  # three cars
    "n01562014", "n01561452", "n01558594",  # three thrushes
    "n01625562", "n01622483", "n01623615",  # level 3: three owls
    "n02538216", "n02538010", "n02537525",  # three trouts
    "n04236809", "n04503413", "n03540914",  # three beds
    "n02660208", "n02658531", "n02657694",  # level 4: three flatfishes
    "n02048353", "n02048115", "n02047975",  # three puffins
    "n02147947", "n02147591", "n02146371",  # three bats
    "n11625003", "n11626826", "n11625632",  # level 5: three spruces
    "n11616486", "n11611758", "n11611356",  # three pines
    "n11621950", "n11621727", "n11622184",  # three firs
)
# fmt: on
LEVELS, PER_LEVEL = 5, 9
TRAIN, TEST = 48, 20  # images per concept
PREPROCESS = Preprocess(resize=64, crop=64)  # the size drawn: nothing is resized or cut
SEED = 0


def run_demo(out: Path, progress: Progress | None = None) -> pd.DataFrame:
    """Draw, train, evaluate; gives the rows of OUT/results.csv (six datasets × two networks).

    A second run draws and trains again, to the same bytes, and takes over finished results.
    """
    progress = progress or Silent()
    draw_images(out, progress)
    levels = build_levels(seen=SEEN, eligible=ELIGIBLE, n_levels=LEVELS, size=PER_LEVEL)
    write_levels(levels, out / "levels", overwrite=True)
    # The work is so small that threads would only wait for each other.
    with one_thread(), plain_convolutions():
        models = demo_models(out, progress)
        return evaluate(
            models,
            images=out / "images",
            in1k=out / "in1k",
            levels=out / "levels",
            out=out,
            test_per_class=TEST,
            min_train=TRAIN,
            max_train=TRAIN,
            seeds=(22,),
            device="cpu",
            progress=progress,
        )


def draw_images(out: Path, progress: Progress) -> None:
    """Draw the seen concepts into OUT/in1k/train and /val, the others into OUT/images."""
    taxonomy = load_taxonomy()
    ic, _ = load_information(taxonomy)
    with progress.bar("drawing", len(SEEN) + len(ELIGIBLE), "concepts") as advance:
        for wnid, appearance in appearances_of(taxonomy, ic, SEEN + ELIGIBLE, SEED).items():
            if wnid in SEEN:
                write_images(out / "in1k" / "train", {wnid: appearance}, TRAIN, SEED)
                write_images(out / "in1k" / "val", {wnid: appearance}, TEST, SEED, first=TRAIN)
            else:
                write_images(out / "images", {wnid: appearance}, TRAIN + TEST, SEED)
            advance(1)


def demo_models(out: Path, progress: Progress) -> list[Model]:
    """A network trained on OUT/in1k/train, and the same one untrained."""
    images, labels = read_images(out / "in1k" / "train")
    network = make_network(SEED)
    with progress.bar("training", EPOCHS, "epochs") as advance:
        train(network, images, labels, PREPROCESS.normalise, seed=SEED, advance=advance)
    return [
        Model(network, preprocess=PREPROCESS, name="demo-trained"),
        Model(make_network(SEED), preprocess=PREPROCESS, name="demo-untrained"),
    ]


def read_images(folder: Path) -> tuple[Tensor, Tensor]:
    """All images of FOLDER/<wnid>/: uint8 [m, 3, h, w], and int64 [m], the index of the wnid."""
    images, labels = [], []
    for label, home in enumerate(sorted(folder.iterdir())):
        for path in sorted(home.glob("*.JPEG")):
            images.append(decode(path.read_bytes()))
            labels.append(label)
    return torch.stack(images), torch.tensor(labels)
