"""The demo's small network: its features, that it learns, and that a seed decides everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier

from cog.demo.drawing import appearances_of, draw
from cog.demo.network import make_network, train, vary
from cog.images.preprocess import Preprocess
from cog.levels.build import build_levels
from cog.wordnet.information_content import load_information
from cog.wordnet.taxonomy import load_taxonomy

NORMALISE = Preprocess(resize=64, crop=64).normalise


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture(scope="module")
def drawn():
    """Makes images uint8[m, 3, 64, 64] of concepts and their labels."""
    taxonomy = load_taxonomy()
    ic, _ = load_information(taxonomy)

    def make(wnids, per_class, first=0):
        appearances = appearances_of(taxonomy, ic, wnids, seed=0)
        images = np.stack(
            [
                draw(appearance, [int(wnid[1:]), number])
                for wnid, appearance in appearances.items()
                for number in range(first, first + per_class)
            ]
        )
        labels = np.repeat(np.arange(len(wnids)), per_class)
        return torch.tensor(images).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)

    return make


def test_shape_size_and_mode():
    network = make_network(0)
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 128)
    assert sum(weight.numel() for weight in network.parameters()) < 500_000
    assert not any(part.training for part in network.modules())


def test_a_seed_decides_the_network_and_its_training(drawn):
    images, labels = drawn(("n02110958", "n02951358"), 40)
    state = torch.get_rng_state()
    networks = [make_network(seed) for seed in (5, 5, 6)]
    assert same(networks[0], networks[1])
    assert not same(networks[0], networks[2])
    losses = [
        train(network, images, labels, NORMALISE, seed=1, epochs=1) for network in networks[:2]
    ]
    assert losses[0] == losses[1]
    assert same(networks[0], networks[1])
    assert not same(networks[0], make_network(5))
    assert not any(part.training for part in networks[0].modules())
    unseeded = (images, labels, NORMALISE)
    train(networks[0], *unseeded, seed=1, epochs=1)
    train(networks[1], *unseeded, seed=2, epochs=1)
    assert not same(networks[0], networks[1])
    assert torch.equal(torch.get_rng_state(), state)


def test_fewer_images_than_a_batch_are_enough(drawn):
    images, labels = drawn(("n02110958", "n02951358"), 4)
    steps = []
    loss = train(make_network(0), images, labels, NORMALISE, seed=0, epochs=2, advance=steps.append)
    assert steps == [1, 1]
    assert 0 < loss < 2


def test_training_keeps_the_number_of_threads(drawn, one_thread):
    torch.set_num_threads(2)
    train(make_network(0), *drawn(("n02110958",), 2), NORMALISE, seed=0, epochs=1)
    assert torch.get_num_threads() == 2


def test_varied_images_keep_their_content():
    """Mirroring and shifting move values; light and tint change each channel linearly."""
    x = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    y = vary(x, torch.Generator().manual_seed(1))
    assert y.shape == x.shape
    assert torch.equal(y, vary(x, torch.Generator().manual_seed(1)))
    for before, after in zip(x.flatten(0, 1), y.flatten(0, 1), strict=True):
        spread = (after.max() - after.min()) / (before.max() - before.min())
        assert 0.7 <= spread <= 1.3
        ranked = ((values.flatten() - values.min()).sort().values for values in (before, after))
        low, high = ranked
        assert torch.allclose(low * spread, high, atol=1e-5)


@pytest.mark.long
def test_what_it_learns_helps_on_unseen_concepts(drawn):
    """It is far better than the untrained network on the nearest level of the demo."""
    from cog.demo.run import ELIGIBLE, LEVELS, PER_LEVEL, SEED, SEEN

    levels = build_levels(seen=SEEN, eligible=ELIGIBLE, n_levels=LEVELS, size=PER_LEVEL)
    untrained, trained = make_network(SEED), make_network(SEED)
    train(trained, *drawn(SEEN, 24), NORMALISE, seed=SEED, epochs=8)
    train_x, train_y = drawn(levels.wnids(1), 30)
    test_x, test_y = drawn(levels.wnids(1), 20, first=30)
    scores = []
    for network in (untrained, trained):
        with torch.no_grad():
            train_f, test_f = (network(NORMALISE(x)).numpy() for x in (train_x, test_x))
        scores.append(RidgeClassifier(alpha=1e-2).fit(train_f, train_y).score(test_f, test_y))
    assert scores[1] > scores[0] + 0.15
    assert scores[1] > 0.6
