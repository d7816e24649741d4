"""`--norm`: how features are scaled before a probe, against scikit-learn's own pipelines."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler

from cog.errors import CogError
from cog.hashes import short_hash
from cog.probes.rows import parts_of
from cog.probes.table import PROBES
from cog.recipe import LATER, NORMS, Recipe
from tests.support.probe_data import QUICK, clusters, ranks_by_sorting, settings

SCALERS = {"l2": Normalizer(), "none": FunctionTransformer(), "standard": StandardScaler()}


def uneven(**sizes):
    """Clusters whose rows differ in length and whose columns in mean and scale; one is constant."""
    data = clusters(spread=1.5, **sizes)
    rng = np.random.default_rng(5)
    columns, shift = 10 ** rng.uniform(-1, 1, size=12), rng.normal(size=12)
    columns[3] = 0

    def change(x):
        lengths = rng.uniform(0.5, 2, size=(len(x), 1))
        return (x * columns * lengths + shift).astype(np.float32)

    return replace(data, train_x=change(data.train_x), test_x=change(data.test_x))


def of(norm, solver="exact", shots=None, **changes):
    return settings(solver, shots, recipe=replace(QUICK, norm=norm, **changes))


@pytest.mark.parametrize("norm", NORMS)
def test_ridge_is_scikit_learn_s_pipeline(norm):
    """It has a closed form: the whole pipeline has the same ranks, scaler and all."""
    data, penalty = uneven(), 1e-3
    pipeline = make_pipeline(SCALERS[norm], Ridge(alpha=penalty * len(data.train_y)))
    pipeline.fit(data.train_x.astype(float), np.eye(data.n_classes)[data.train_y])
    expected = ranks_by_sorting(pipeline.predict(data.test_x.astype(float)), data.test_y)
    result = PROBES["ridge"].fit(data, of(norm, ridge_penalties=(penalty,)), lambda *_: None)
    assert 20 < result.top1 < 95
    assert result.ranks.tolist() == expected.tolist()


def test_the_three_norms_differ():
    found = [PROBES["ridge"].fit(uneven(), of(norm), lambda *_: None) for norm in NORMS]
    assert len({tuple(result.ranks) for result in found}) == len(NORMS)


@pytest.mark.parametrize("shots", [None, 4])
def test_standardised_by_the_images_that_a_fit_learns_from(shots):
    data = uneven()
    plain, parts = (parts_of(data, of(norm, shots=shots)) for norm in ("none", "standard"))
    for scaled, raw, by in (
        (parts.search, plain.search, plain.search),
        (parts.validation, plain.validation, plain.search),
        (parts.final, plain.final, plain.final),
        (parts.test, plain.test, plain.final),
    ):
        everything = [part.take(torch.arange(len(part)))[0][:, :-1] for part in (scaled, raw, by)]
        found, raw_rows, by_rows = (each.double().numpy() for each in everything)
        expected = StandardScaler().fit(by_rows).transform(raw_rows)
        assert np.allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("probe", [name for name, entry in PROBES.items() if entry.by_cosine])
def test_cosines_are_the_same_under_any_norm(probe):
    data = uneven()
    found = [PROBES[probe].fit(data, of(norm), lambda *_: None).ranks.tolist() for norm in NORMS]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(("probe", "solver"), [("logreg", "lbfgs"), ("mlp", "adamw")])
def test_other_probes_learn_under_any_norm(probe, solver):
    ranks = []
    for norm in NORMS:
        result = PROBES[probe].fit(uneven(), of(norm, solver), lambda *_: None)
        assert result.top1 > 40
        ranks.append(tuple(result.ranks))
    assert len(set(ranks)) > 1


def test_the_recipe_s_hash_has_it_only_where_it_is_not_l2():
    before = {name: value for name, value in asdict(Recipe()).items() if name not in LATER}
    assert Recipe().recorded() == Recipe(norm="l2").recorded() == before
    hashes = {short_hash(Recipe(norm=norm).recorded()) for norm in NORMS}
    assert len(hashes) == len(NORMS)


def test_an_unknown_norm_is_refused():
    with pytest.raises(CogError, match="unknown norm 'l1'"):
        Recipe(norm="l1")
