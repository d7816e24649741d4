"""Appearances follow the tree, images follow appearances, and a seed decides the rest."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cog.demo.drawing import appearance_of, appearances_of, draw, write_images
from cog.errors import CogError
from cog.wordnet.information_content import load_information
from cog.wordnet.similarity import similarity
from cog.wordnet.taxonomy import load_taxonomy

PUG, BEAGLE, TABBY, CANOE, KAYAK, FERN = (
    "n02110958", "n02088364", "n02123045", "n02951358", "n03609235", "n13200651",
)  # fmt: skip


@pytest.fixture(scope="module")
def world():
    taxonomy = load_taxonomy()
    return taxonomy, load_information(taxonomy)[0]


def distance(one, other):
    """Root mean square of the differences; a choice that differs counts as a difference of 1."""
    numbers = [
        np.concatenate([each.shape, each.colour, each.texture, [each.lobes, each.pattern]])
        for each in (one, other)
    ]
    differences = np.abs(numbers[0] - numbers[1])
    differences[-2:] = differences[-2:] > 0
    return np.sqrt(np.mean(differences**2))


def mean_distance(world, a, b, seeds=range(100)):
    return np.mean(
        [distance(appearance_of(*world, a, s), appearance_of(*world, b, s)) for s in seeds]
    )


def test_near_concepts_look_alike(world):
    """Tree distance orders the mean distances: breeds, carnivores, animals and things."""
    breeds, carnivores, others = (mean_distance(world, PUG, x) for x in (BEAGLE, TABBY, CANOE))
    assert breeds < 0.95 * carnivores
    assert carnivores < 0.95 * others
    assert mean_distance(world, CANOE, KAYAK) < 0.5 * mean_distance(world, KAYAK, FERN)


def test_distance_of_appearances_follows_lin(world):
    """Between leaves, the mean square over the numbers is 2 (1 − Lin)^2.5, as the module says."""
    taxonomy, ic = world
    for one, other in ((PUG, TABBY), (PUG, KAYAK), (CANOE, FERN)):
        a, b = taxonomy.indices([one]), taxonomy.indices([other])
        lin = similarity(taxonomy, ic, a, b)[0]
        squares = []
        for seed in range(150):
            x, y = appearance_of(*world, one, seed), appearance_of(*world, other, seed)
            for part in ("shape", "colour", "texture"):
                squares.extend((getattr(x, part) - getattr(y, part)) ** 2)
        # 2,550 squares of normal numbers: the standard error of their mean is 2.8 percent
        assert np.mean(squares) == pytest.approx(2 * (1 - lin) ** 2.5, rel=0.15)


def test_an_appearance_depends_on_its_concept_and_the_seed_alone(world):
    """Nothing else that is drawn changes it."""
    pug, fern = (appearance_of(*world, wnid, 3) for wnid in (PUG, FERN))
    assert distance(appearances_of(*world, [FERN, PUG], 3)[PUG], pug) == 0
    assert distance(appearance_of(*world, PUG, 4), pug) > 0
    assert distance(pug, fern) > 0


def test_unknown_and_uncounted_concepts_are_refused(world):
    taxonomy, ic = world
    with pytest.raises(CogError, match="n99999999"):
        appearance_of(taxonomy, ic, "n99999999", 0)
    outside = taxonomy.wnids[int(np.flatnonzero(np.isinf(ic))[0])]
    with pytest.raises(CogError, match=outside):
        appearance_of(taxonomy, ic, outside, 0)


@pytest.mark.parametrize("size", [16, 64])
def test_appearance_and_seed_decide_an_image(world, size):
    appearance = appearance_of(*world, PUG, 0)
    image = draw(appearance, 1, size)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8
    assert np.array_equal(image, draw(appearance, 1, size))
    assert not np.array_equal(image, draw(appearance, 2, size))
    assert not np.array_equal(image, draw(appearance_of(*world, TABBY, 0), 1, size))


def test_every_pattern_and_outline_can_be_drawn(world):
    """The appearances of many seeds have every choice; none gives an empty image."""
    appearances = [
        appearance_of(*world, wnid, seed) for seed in range(20) for wnid in (PUG, CANOE, FERN)
    ]
    assert {appearance.pattern for appearance in appearances} == set(range(8))
    assert {appearance.lobes for appearance in appearances} == {0, 2, 3, 4, 5, 6, 8, 11}
    assert all(draw(appearance, 0, 32).std() > 5 for appearance in appearances)


def test_drawing_leaves_the_global_generator_alone(world):
    np.random.seed(0)
    expected = np.random.RandomState(0).random()
    draw(appearance_of(*world, PUG, 0), 0)
    assert np.random.random() == expected


def test_written_images(world, tmp_path):
    """Folders as --images takes them, the same bytes again, other numbers other images."""
    appearances = appearances_of(*world, [PUG, CANOE], 0)
    write_images(tmp_path / "a", appearances, 3, 0)
    write_images(tmp_path / "b", {PUG: appearances[PUG]}, 2, 0, first=1)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert [str(file.parent) for file in files] == sorted([PUG, CANOE] * 3)
    assert len({(tmp_path / "a" / file).read_bytes() for file in files}) == 6
    for number in (1, 2):
        name = f"{PUG}/{PUG}_{number}.JPEG"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    with Image.open(tmp_path / "a" / files[0]) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (64, 64), "RGB")
