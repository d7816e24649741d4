"""Data for one table of new concepts, new domains and new tasks: drawings, and scans of digits.

    python examples/three_axes.py PICTURES data

PICTURES has a folder a concept with a drawing in each of some styles, `<wnid>/<wnid>_<style>.png`.
Below `data`, in links to them:

- drawings/: a folder a concept, for levels.
- kinds/train, kinds/test: animals, vehicles, …, in the styles `SEEN`. No concept is in both parts.
- kinds-STYLE/: the concepts of kinds/test as another hand drew them.
- hands/: a folder a style: who drew this?
- digits/train, digits/test: the digits of scikit-learn.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from cog.levels.files import read_levels
from cog.wordnet.taxonomy import load_taxonomy

SEEN = ("noto", "twemoji")
KINDS = {  # the synset above the concepts of each
    "animal": "n00015388",
    "clothing": "n03051540",
    "device": "n03183080",
    "food": "n00021265",
    "plant": "n00017222",
    "vehicle": "n04524313",
}


def write_drawings(pictures: Path, data: Path) -> None:
    """Link each drawing by its concept, by its style, and by its kind if it has one alone."""
    files = sorted(pictures.glob("*/*.png"))
    kinds = _kinds(sorted({file.parent.name for file in files}))
    tests = {wnid for _, own in kinds for wnid in own[1::2]}
    kind_of = {wnid: kind for kind, own in kinds for wnid in own}
    for file in files:
        wnid, style = file.parent.name, file.stem.partition("_")[2]
        _link(file, data / "drawings" / wnid)
        _link(file, data / "hands" / style)
        if wnid not in kind_of:
            continue
        part = "test" if wnid in tests else "train"
        if style in SEEN:
            _link(file, data / "kinds" / part / kind_of[wnid])
        elif part == "test":
            _link(file, data / f"kinds-{style}" / kind_of[wnid])


def _kinds(wnids: list[str]) -> list[tuple[str, list[str]]]:
    """Each kind with its concepts; those of several kinds are in none."""
    taxonomy = load_taxonomy(read_levels(None).recipe["wordnet"])
    above = {wnid: set(taxonomy.with_ancestors([taxonomy.index(wnid)]).tolist()) for wnid in wnids}
    found = {kind: taxonomy.index(synset) for kind, synset in KINDS.items()}
    alone = [wnid for wnid in wnids if len(above[wnid] & set(found.values())) == 1]
    return [
        (kind, [wnid for wnid in alone if synset in above[wnid]]) for kind, synset in found.items()
    ]


def write_digits(data: Path) -> None:
    """The 1,797 digits of 8 × 8 pixels; every fourth tests."""
    from sklearn.datasets import load_digits

    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        folder = data / "digits" / ("train" if number % 4 else "test") / names[label]
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray((pixels * 15.9).astype("uint8")).resize((64, 64))
        image.save(folder / f"{number}.png")


def _link(file: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file.name).symlink_to(file.absolute())


if __name__ == "__main__":
    write_drawings(Path(sys.argv[1]), Path(sys.argv[2]))
    write_digits(Path(sys.argv[2]))
