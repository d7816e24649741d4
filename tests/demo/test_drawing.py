"""Looks follow the tree; pictures follow looks; a seed decides the rest."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cog.demo.drawing import draw, look_of, looks_of, write_pictures
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


def mean_distance(world, a, b, seeds=range(100)):
    return np.mean([look_of(*world, a, s).distance(look_of(*world, b, s)) for s in seeds])


def test_near_concepts_look_alike(world):
    """Tree distance orders the mean distances: breeds, carnivores, animals and things."""
    breeds, carnivores, others = (mean_distance(world, PUG, x) for x in (BEAGLE, TABBY, CANOE))
    assert breeds < 0.95 * carnivores
    assert carnivores < 0.95 * others
    assert mean_distance(world, CANOE, KAYAK) < 0.5 * mean_distance(world, KAYAK, FERN)


def test_distance_of_looks_follows_lin(world):
    """Between leaves, the mean square over the numbers is 2 (1 − Lin)^2.5, as the module says."""
    taxonomy, ic = world
    for one, other in ((PUG, TABBY), (PUG, KAYAK), (CANOE, FERN)):
        a, b = taxonomy.indices([one]), taxonomy.indices([other])
        lin = similarity(taxonomy, ic, a, b)[0]
        squares = []
        for seed in range(150):
            x, y = look_of(*world, one, seed), look_of(*world, other, seed)
            for part in ("shape", "colour", "texture"):
                squares.extend((getattr(x, part) - getattr(y, part)) ** 2)
        # 2,550 squares of normal numbers: the standard error of their mean is 2.8 percent
        assert np.mean(squares) == pytest.approx(2 * (1 - lin) ** 2.5, rel=0.15)


def test_a_look_is_its_own(world):
    """It depends on the seed and on nothing else that is drawn."""
    look = look_of(*world, PUG, 3)
    assert looks_of(*world, [FERN, PUG], 3)[PUG].distance(look) == 0
    assert look_of(*world, PUG, 4).distance(look) > 0
    assert look.distance(look_of(*world, FERN, 3)) == look_of(*world, FERN, 3).distance(look)


def test_unknown_and_uncounted_concepts_are_refused(world):
    taxonomy, ic = world
    with pytest.raises(CogError, match="n99999999"):
        look_of(taxonomy, ic, "n99999999", 0)
    outside = taxonomy.wnids[int(np.flatnonzero(np.isinf(ic))[0])]
    with pytest.raises(CogError, match=outside):
        look_of(taxonomy, ic, outside, 0)


@pytest.mark.parametrize("size", [16, 64])
def test_a_picture_is_decided_by_look_and_seed(world, size):
    look = look_of(*world, PUG, 0)
    picture = draw(look, 1, size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, draw(look, 1, size))
    assert not np.array_equal(picture, draw(look, 2, size))
    assert not np.array_equal(picture, draw(look_of(*world, TABBY, 0), 1, size))


def test_every_pattern_and_outline_can_be_drawn(world):
    """Looks of many seeds meet every choice; none gives an empty or a broken picture."""
    looks = [look_of(*world, wnid, seed) for seed in range(20) for wnid in (PUG, CANOE, FERN)]
    assert {look.pattern for look in looks} == set(range(8))
    assert {look.lobes for look in looks} == {0, 2, 3, 4, 5, 6, 8, 11}
    assert all(draw(look, 0, 32).std() > 5 for look in looks)


def test_drawing_leaves_the_global_generator_alone(world):
    np.random.seed(0)
    expected = np.random.RandomState(0).random()
    draw(look_of(*world, PUG, 0), 0)
    assert np.random.random() == expected


def test_written_pictures(world, tmp_path):
    """Folders as --images takes them, the same bytes again, other numbers other pictures."""
    looks = looks_of(*world, [PUG, CANOE], 0)
    write_pictures(tmp_path / "a", looks, 3, 0)
    write_pictures(tmp_path / "b", {PUG: looks[PUG]}, 2, 0, first=1)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert [str(file.parent) for file in files] == sorted([PUG, CANOE] * 3)
    assert len({(tmp_path / "a" / file).read_bytes() for file in files}) == 6
    for number in (1, 2):
        name = f"{PUG}/{PUG}_{number}.JPEG"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    with Image.open(tmp_path / "a" / files[0]) as picture:
        assert (picture.format, picture.size, picture.mode) == ("JPEG", (64, 64), "RGB")
