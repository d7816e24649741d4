"""Images in which concepts near in WordNet look alike, to try the program without any data.

In: the taxonomy, the information content of its synsets, and concepts. Out: images of things
that do not exist, as a folder tree ROOT/<wnid>/<wnid>_<number>.JPEG.

- An appearance is a point: numbers for the outline, two colours and the texture, and two choices
  (how many lobes, which pattern). `appearance_of` walks from the root down to a synset and makes a
  random change at every step. The generator of a step belongs to its synset alone: concepts share
  the steps that they have in common, and an appearance does not depend on what else is drawn.
- The size of a change follows the information content. Two leaves that part at the share t of the
  greatest information have Lin similarity t, and the expected square of the distance of their
  appearances is in proportion to (1 − t)^2.5: big steps near the root, small ones near the leaves.
- `draw` makes one image of an appearance, with its own position, size, rotation, light, background
  and noise.

Cost: about 1.5 ms per image of 64 × 64 on one core, writing included.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cog.storage import write_bytes
from cog.wordnet.information_content import require_information
from cog.wordnet.taxonomy import Taxonomy

Plane = NDArray[np.floating]  # [size, size] or [size, size, 3]: a value for every pixel

_SHAPE, _COLOUR, _TEXTURE = 7, 6, 4  # how many numbers describe each
_LOBES = (0, 2, 3, 4, 5, 6, 8, 11)
_SWITCHES = 1.6  # how often lobes and pattern change on the way from root to leaf
_POWER = 2.5  # of (1 − Lin), in the square of the distance of two appearances


@dataclass(frozen=True)
class Appearance:
    """What all images of a concept share. Over the leaves, numbers are about standard normal."""

    shape: NDArray[np.float64]
    """[7]: width, four harmonics of the outline, depth and sharpness of its lobes"""
    colour: NDArray[np.float64]
    """[6]: red, green and blue of the body, then of the markings, before the sigmoid"""
    texture: NDArray[np.float64]
    """[4]: frequency and direction of the pattern, share of the markings, size of the eyes"""
    lobes: int
    """how many lobes the outline has; 0 for a plain outline"""
    pattern: int
    """which of the patterns the markings form"""


def appearance_of(taxonomy: Taxonomy, ic: NDArray[np.float64], wnid: str, seed: int) -> Appearance:
    """The appearance of a synset, which it shares in part with every synset above it.

    `ic`: float64[n], the information content of every synset. Raises `CogError` for an unknown
    wnid, and for a synset outside the corpus of `ic`.
    """
    node = taxonomy.index(wnid)
    require_information(taxonomy, ic, [node])
    most = float(ic[np.isfinite(ic)].max())
    numbers = np.zeros(_SHAPE + _COLOUR + _TEXTURE)
    lobes, pattern, variance = 0, 0, 0.0
    for step in _line(taxonomy, node):
        rng = np.random.default_rng([seed, int(taxonomy.wnids[step][1:])])
        reached = 1.0 - (1.0 - float(ic[step]) / most) ** _POWER
        added, variance = reached - variance, reached
        numbers = numbers + rng.normal(scale=np.sqrt(added), size=len(numbers))
        other_lobes, other_pattern = int(rng.choice(_LOBES)), int(rng.integers(len(_PATTERNS)))
        switch_lobes, switch_pattern = rng.random(2) < 1.0 - np.exp(-_SWITCHES * added)
        lobes = other_lobes if switch_lobes else lobes
        pattern = other_pattern if switch_pattern else pattern
    shape, colour, texture = np.split(numbers, [_SHAPE, _SHAPE + _COLOUR])
    return Appearance(shape, colour, texture, lobes, pattern)


def _line(taxonomy: Taxonomy, node: int) -> list[int]:
    """From a root down to `node`, by the deepest parent (the first of equals) at every step."""
    line = [node]
    while len(parents := taxonomy.parents_of(line[-1])):
        line.append(int(parents[np.argmax(taxonomy.depth[parents])]))
    return line[::-1]


def appearances_of(
    taxonomy: Taxonomy, ic: NDArray[np.float64], wnids: Iterable[str], seed: int
) -> dict[str, Appearance]:
    """The appearance of each concept, by wnid."""
    return {wnid: appearance_of(taxonomy, ic, wnid, seed) for wnid in wnids}


def write_images(
    folder: Path, appearances: Mapping[str, Appearance], per_class: int, seed: int, first: int = 0
) -> None:
    """Write `per_class` images of every appearance: FOLDER/<wnid>/<wnid>_<number>.JPEG.

    Numbers start at `first`. An image depends on its appearance, number, wnid and seed alone, so
    other numbers give other images of the same things.
    """
    for wnid, appearance in appearances.items():
        for number in range(first, first + per_class):
            image = Image.fromarray(draw(appearance, [seed, int(wnid[1:]), number]))
            encoded = io.BytesIO()
            image.save(encoded, "JPEG", quality=92)
            write_bytes(folder / wnid / f"{wnid}_{number}.JPEG", encoded.getvalue())


def draw(appearance: Appearance, seed: int | Sequence[int], size: int = 64) -> NDArray[np.uint8]:
    """One image of an appearance: uint8 [size, size, 3].

    `seed`: one number or several, as `numpy.random.default_rng` takes it. It decides all that the
    appearance leaves open.
    """
    rng = np.random.default_rng(seed)
    ruler = np.linspace(-1, 1, size)
    x, y = np.tile(ruler, (size, 1)), np.tile(ruler[:, None], (1, size))
    u, v, scale = _own_coordinates(appearance, rng, x, y)
    reach = np.hypot(u, v) / _outline(appearance, np.arctan2(u, -v))  # 1 on the edge of the thing
    image = _background(rng, x, y)
    fallen = np.roll(reach, (size // 16, size // 20), axis=(0, 1))
    image *= 1.0 - 0.35 * np.clip(2.2 - 1.6 * fallen, 0.0, 1.0)[..., None]
    light_x, light_y = _uniform(rng, -1, 1, 2)
    dome = np.sqrt(np.clip(1.0 - reach**2, 0.0, 1.0))
    light = 0.55 + 0.4 * dome + 0.3 / scale * (light_x * x + light_y * y)
    covered = np.clip((1.0 - reach) * (scale * size / 2) + 0.5, 0.0, 1.0)[..., None]
    image += (_skin(appearance, rng, u, v, reach) * light[..., None] - image) * covered
    image *= _uniform(rng, 0.7, 1.25) * _uniform(rng, 0.85, 1.15, 3)  # exposure, then tint
    noise = rng.standard_normal(size=image.shape, dtype=np.float32)
    image += _uniform(rng, 0.02, 0.07) * noise
    return (np.clip(image, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _uniform(rng: np.random.Generator, low: float, high: float, *shape: int) -> Plane:
    """Uniform numbers."""
    return rng.uniform(low, high, size=shape or (1,))


def _own_coordinates(
    appearance: Appearance, rng: np.random.Generator, x: Plane, y: Plane
) -> tuple[Plane, Plane, float]:
    """Coordinates of the thing (0 in its middle, about 1 on its edge), and its size."""
    scale, turn = rng.uniform(0.42, 0.7), rng.normal(scale=0.35)
    right, down = rng.uniform(-0.25, 0.25, size=2).tolist()
    mirror = 1.0 if rng.random() < 0.5 else -1.0
    width = float(np.exp(0.3 * np.tanh(appearance.shape[0])))
    cosine, sine = float(np.cos(turn)), float(np.sin(turn))
    x, y = mirror * (x - right), y - down
    u = (cosine * x + sine * y) * (1.0 / (scale * width))
    v = (cosine * y - sine * x) * (width / scale)
    return u, v, scale


def _outline(appearance: Appearance, angle: Plane) -> Plane:
    """The distance of the edge from the middle, at each angle from the top; symmetric."""
    radius = np.ones_like(angle)
    for k, weight in enumerate((0.13 * appearance.shape[1:5]).tolist(), start=1):
        radius += weight * np.cos(k * angle)
    if appearance.lobes:
        depth = float(0.45 + 0.2 * np.tanh(appearance.shape[5]))
        sharpness = float(np.exp(0.8 * np.tanh(appearance.shape[6])))
        lobe = np.abs(np.cos(appearance.lobes / 2 * angle)) ** sharpness
        radius *= 1.0 - depth + 1.6 * depth * lobe
    return np.clip(radius, 0.25, 1.7)


def _skin(
    appearance: Appearance, rng: np.random.Generator, u: Plane, v: Plane, reach: Plane
) -> Plane:
    """Colours of the thing without light."""
    colours = appearance.colour.reshape(2, 3) + rng.normal(scale=0.12, size=(2, 3))
    body, mark = 1.0 / (1.0 + np.exp(-1.8 * colours))
    fine, direction, share, eye = appearance.texture.tolist()
    fineness = float(7.0 * np.exp(0.45 * np.tanh(fine)) * rng.uniform(0.9, 1.1))
    turn = 0.9 * direction + rng.normal(scale=0.1)
    cosine, sine = float(np.cos(turn)), float(np.sin(turn))
    phases = rng.uniform(0, 2 * np.pi, size=3).tolist()
    wave = _PATTERNS[appearance.pattern](
        cosine * u + sine * v, cosine * v - sine * u, reach, fineness, phases
    )
    marked = 1.0 / (1.0 + np.exp(-6.0 * (wave + float(0.5 * np.tanh(share)))))
    skin = body + (mark - body) * marked[..., None]
    eye_size = float(0.16 * np.exp(0.6 * np.tanh(eye)))
    eyes = np.clip((eye_size - np.hypot(np.abs(u) - 0.28, v + 0.25)) * 14, 0.0, 1.0)[..., None]
    return np.asarray(skin + (1.0 - mark - skin) * eyes)


def _background(rng: np.random.Generator, x: Plane, y: Plane) -> Plane:
    """Bands of two colours and a few spots, which do not depend on the thing."""
    one, other = _uniform(rng, 0.15, 0.9, 2, 3)
    turn, start = rng.uniform(0, 2 * np.pi, size=2).tolist()
    fineness = rng.uniform(1.0, 9.0)
    along = float(np.cos(turn)) * x + float(np.sin(turn)) * y
    image = one + (other - one) * (0.5 + 0.5 * np.sin(fineness * along + start))[..., None]
    for _ in range(int(rng.integers(4))):
        left, top, radius = rng.uniform([-1, -1, 0.1], [1, 1, 0.35]).tolist()
        blot = np.clip((radius - np.hypot(x - left, y - top)) * 20, 0.0, 1.0)[..., None]
        image += (_uniform(rng, 0.1, 0.95, 3) - image) * blot
    return np.asarray(image)


# Patterns: from coordinates along and across (a, b), reach, fineness and three phases to −1…1.


def _stripes(a: Plane, b: Plane, reach: Plane, fineness: float, phases: list[float]) -> Plane:
    return np.asarray(np.sin(fineness * a + phases[0]))


def _rings(a: Plane, b: Plane, reach: Plane, fineness: float, phases: list[float]) -> Plane:
    return np.asarray(np.cos(1.2 * fineness * reach + 0.3 * phases[0]))


def _rays(a: Plane, b: Plane, reach: Plane, fineness: float, phases: list[float]) -> Plane:
    return np.asarray(np.cos(round(fineness) * np.arctan2(a, b)))


def _spots(a: Plane, b: Plane, reach: Plane, fineness: float, phases: list[float]) -> Plane:
    return np.asarray(
        1.6 * np.sin(fineness * a + phases[0]) * np.sin(fineness * b + phases[1]) - 0.5
    )


def _waves(a: Plane, b: Plane, reach: Plane, fineness: float, phases: list[float]) -> Plane:
    return np.asarray(
        np.sin(fineness * a + 1.5 * np.sin(0.7 * fineness * b + phases[1]) + phases[0])
    )


def _patches(a: Plane, b: Plane, reach: Plane, fineness: float, phases: list[float]) -> Plane:
    a, b = 0.6 * fineness * a, 0.6 * fineness * b
    first = np.sin(a + phases[0])
    second = np.sin(0.5 * a + 0.87 * b + phases[1])
    third = np.sin(0.87 * b - 0.5 * a + phases[2])
    return np.asarray((first + second + third) / 1.5)


def _halves(a: Plane, b: Plane, reach: Plane, fineness: float, phases: list[float]) -> Plane:
    return 2.0 * b


def _rim(a: Plane, b: Plane, reach: Plane, fineness: float, phases: list[float]) -> Plane:
    return 4.0 * (reach - 0.7)


_PATTERNS = (_stripes, _rings, _rays, _spots, _waves, _patches, _halves, _rim)
