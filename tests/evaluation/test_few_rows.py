"""What a run says where SGD is to learn from fewer images than features have numbers."""

from __future__ import annotations

import pytest

from cog.evaluation.plan import plan_from
from tests.support.runs import draw_images


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Sources of 6 and of 15 training images in 3 classes, where features have 12 numbers."""
    root = tmp_path_factory.mktemp("few")
    for name, n in (("small", 2), ("large", 5)):
        draw_images(root / name / "train", ("a", "b", "c"), n, spread=0.2)
        draw_images(root / name / "test", ("a", "b", "c"), 2, spread=0.2)
    return {name: str(root / name) for name in ("small", "large")}


@pytest.fixture
def said(sets, plug_in, tmp_path):
    """The lines about SGD of the plan for some datasets."""

    def lines(*names, **more):
        notes = []
        options = {"model": f"{plug_in}:load", "device": "cpu", "out": tmp_path, "seeds": "22,37"}
        plan_from({**options, "datasets": {n: sets[n] for n in names}, **more}, notes.append)
        return [note for note in notes if "sgd" in note]

    return lines


def test_one_line_names_the_fit_of_fewest_images_and_what_to_type(said):
    (line,) = said("large", "small", shots="all,4")
    assert line.startswith(
        "the solver sgd learns from 6 images with features of 12 numbers (colours on small, and 1 "
        "more like it): "  # all images of small, and 4 a class, which it has not; not 12 of large
    )
    assert "--solver lbfgs" in line
    assert not said("small", probes="augmented")  # whose solver cannot be chosen
    (line,) = said("large", shots="2,3,all", probes="logreg,ncm")
    assert "from 6 images" in line
    assert "1 more" in line


@pytest.mark.parametrize(
    ("names", "more"),
    [
        (["large"], {}),
        (["small"], {"solver": "lbfgs"}),
        (["small"], {"probes": "knn,ridge,mlp"}),
        (["large"], {"shots": "4"}),
    ],
)
def test_nothing_is_said_of_other_fits(said, names, more):
    assert said(*names, **more) == []
