"""The probe of augmented images: one view of each image in an epoch, and never its centre crop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cog.errors import CogError
from cog.probes.augmented import augmented
from cog.probes.data import ProbeData
from cog.probes.rows import parts_of
from cog.probes.sgd import batches, fit_sgd
from tests.support.probe_data import QUICK, clusters, settings


def with_views(data: ProbeData, views: np.ndarray) -> ProbeData:
    """The data with views [n, A, d] behind the centre crops."""
    crops = np.concatenate([data.train_x[:, None], views], axis=1)
    return replace(data, train_x=crops.reshape(len(crops), -1), crops=crops.shape[1])


def test_an_epoch_takes_one_view_of_each_image_and_others_in_the_next() -> None:
    epochs = [torch.cat(list(batches(40 * 5, 16, 22, epoch, views=5))) for epoch in range(30)]
    for rows in epochs:
        assert sorted((rows // 5).tolist()) == list(range(40))
    plain = torch.cat(list(batches(40, 16, 22, 3)))
    assert (epochs[3] // 5).tolist() == plain.tolist()  # the order of images stays
    drawn = torch.stack([(rows % 5)[(rows // 5).argsort()] for rows in epochs])
    counts = torch.bincount(drawn.flatten(), minlength=5)
    assert (counts - 240).abs().max() < 5 * (1200 * 0.2 * 0.8) ** 0.5
    assert len({tuple(row) for row in drawn.tolist()}) == 30


def test_one_view_that_is_the_centre_crop_gives_the_fit_without_views() -> None:
    data = clusters()
    viewed = with_views(data, data.train_x[:, None])
    expected = fit_sgd(parts_of(data, settings()).final, [0.3], [0.0], 6, QUICK, 22)
    parts = parts_of(viewed, settings())
    assert torch.equal(fit_sgd(parts.final, [0.3], [0.0], 6, QUICK, 22, parts.views), expected)
    one, other = (augmented(each, settings()) for each in (data, viewed))
    assert one.trials == other.trials
    assert one.ranks.tolist() == other.ranks.tolist()
    assert (one.n_train, one.n_validation) == (other.n_train, other.n_validation) == (120, 24)


@pytest.mark.parametrize("norm", ["l2", "none", "standard"])
def test_it_learns_from_views_and_validates_on_centre_crops(norm: str) -> None:
    """A number that gives the class away in centre crops says nothing in views, nor of tests."""
    data, rng = clusters(spread=0.5), np.random.default_rng(1)
    hint, noise = (data.train_y[:, None] - 2.5) * 3, rng.normal(size=(120, 4, 1)) * 5
    crops = replace(
        data,
        train_x=np.hstack([data.train_x, hint]).astype(np.float32),
        test_x=np.hstack([data.test_x, rng.normal(size=(90, 1)) * 5]).astype(np.float32),
    )
    views = np.concatenate([np.repeat(data.train_x[:, None], 4, axis=1), noise], axis=2)
    viewed = with_views(crops, views.astype(np.float32))
    how = settings(recipe=replace(QUICK, norm=norm))
    misled, found = augmented(crops, how), augmented(viewed, how)
    assert found.top1 > misled.top1 + 5
    assert [trial["lr"] for trial in found.trials] == list(how.recipe.augmented_rates)
    assert found.hyper == {"lr": max(found.trials, key=lambda each: each["validation_top1"])["lr"]}
    assert found.head is not None
    assert found.head.layer.shape == (6, 14)


def test_shots_are_images_not_views() -> None:
    data = clusters()
    viewed = with_views(data, np.repeat(data.train_x[:, None], 3, axis=1))
    result = augmented(viewed, settings(shots=4))
    assert result.n_train == 24


def test_features_of_another_size_are_refused() -> None:
    with pytest.raises(CogError, match="of one size, found 4 and 12"):
        augmented(replace(clusters(), crops=3), settings())
