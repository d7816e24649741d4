"""Levels under other measures: against levels that are built so, and against pairs one by one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from cog.errors import CogError
from cog.levels.build import build_levels
from cog.levels.files import read_levels
from cog.levels.other_measures import regroup
from cog.wordnet.concept_lists import read_wnids
from cog.wordnet.information_content import information_content
from cog.wordnet.similarity import similarity
from cog.wordnet.taxonomy import Taxonomy


def test_the_official_levels_by_their_own_measure_and_by_another() -> None:
    official = read_levels()
    found = regroup(official, ["lin", "path"])
    own, path = found.by_measure
    assert found.n_concepts == 5000
    assert own.same == tuple((level, 1000, 1000, 1000) for level in range(1, 6))
    assert (own.tau, own.rho) == pytest.approx((1, 1))
    built = build_levels(eligible="official", measure="path")
    assert path.levels.fingerprint == built.fingerprint
    both = [len({*official.wnids(level)} & {*built.wnids(level)}) for level in range(1, 6)]
    assert [row[3] for row in path.same] == both
    assert path.levels.levels_of(["n00001740", built.wnids(2)[0]]) == (0, 2)


@pytest.mark.parametrize("measure", ["jcn", "path", "wup", "lch", "resnik"])
def test_the_correlation_is_that_of_the_best_pairs(wordnet: Taxonomy, measure: str) -> None:
    """40 concepts and 30 seen ones, pair by pair; the rank correlations are SciPy's."""
    concepts, seen = read_wnids("official")[::125], read_wnids("in1k")[::34]
    levels = build_levels(seen=seen, eligible=concepts, n_levels=2, size=10)
    found = regroup(levels, [measure]).by_measure[0]
    corpus = [*read_wnids("in21k"), *seen, *concepts]
    ic = information_content(wordnet, wordnet.indices(corpus))
    a, b = (wordnet.indices(wnids) for wnids in (concepts, seen))

    def best(name: str) -> np.ndarray:
        pairs = similarity(wordnet, ic, np.repeat(a, len(b)), np.tile(b, len(a)), name)
        return pairs.reshape(len(a), len(b)).max(axis=1)

    assert found.tau == pytest.approx(kendalltau(best("lin"), best(measure)).statistic)
    assert found.rho == pytest.approx(spearmanr(best("lin"), best(measure)).statistic)
    assert found.tau < 1


def test_other_concepts_have_a_reference_of_their_own() -> None:
    concepts = read_wnids("official")[::100]
    levels = build_levels(eligible=concepts, n_levels=2, size=20)
    others = read_wnids("in21k")[::200]
    found = regroup(levels, ["lin"], eligible=others)
    assert found.n_concepts == len({*others} - {*levels.seen})
    assert found.by_measure[0].same == ((1, 20, 20, 20), (2, 20, 20, 20))
    assert not {*found.reference.wnids(1)} <= {*concepts}


def test_unknown_measures_and_too_few_concepts_are_refused() -> None:
    levels = build_levels(eligible=read_wnids("official")[::100], n_levels=2, size=20)
    with pytest.raises(CogError, match="unknown measure"):
        regroup(levels, ["lim"])
    with pytest.raises(CogError, match="40 eligible"):
        regroup(levels, ["lin"], eligible=read_wnids("official")[:30])
