"""Which synset each class of a label set means, proposed from the names of its classes alone.

In: the names of the classes of one set. Out: a `Proposal` each.

A name has readings (spellings.py), and the other classes say which of them is meant:

- The support of a reading is the mean similarity (Lin, every noun counted once) of its synset to
  the ten nearest among the synsets of the other classes.
- Its score is the support, times how far its way is trusted, times 0.95 for each sense that WordNet
  puts before it. The best score wins.
- Classes with one reading vote first. Then all classes vote, until no choice changes, at most ten
  times; three times in sets of more than 5,000 classes. Where fewer than three classes have one
  reading, each begins with its first.
- Confidence, from 0 to 1: trust in the way, times 1 − second best score / best score, times
  support / the median support of the set where that is below 1.

docs/synsets.md says which share of ImageNet-1K's classes gets its synset, and how far the
confidence can be trusted; tests/wordnet/test_class_synsets.py measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cog.wordnet.information_content import load_information
from cog.wordnet.measures import Floats
from cog.wordnet.similarity import similarity_blocks
from cog.wordnet.spellings import WAYS, Reading, Vocabulary
from cog.wordnet.taxonomy import Taxonomy

SURE = 0.5  # confidence from which a row need not be looked at
_WHOLE = ("given", "lemma", "spelling", "plural", "hint")  # ways that take the whole name
_NEIGHBOURS, _NEXT_SENSE, _VOTERS = 10, 0.95, 3
_ROUNDS, _FEWER_ROUNDS, _MANY = 10, 3, 5_000
_NONE = -1


@dataclass(frozen=True)
class Proposal:
    """The synset proposed for one class."""

    name: str  # of the class
    synset: int | None  # index in the taxonomy; None where no rule finds a noun
    way: str  # a key of WAYS; empty without a synset
    confidence: float  # 0…1
    others: tuple[int, ...]  # the other synsets that it may mean, the best first
    shared: bool = False  # whether another class of the set got the same synset

    @property
    def doubtful(self) -> bool:
        """Whether a person has to look at it."""
        return self.way not in _WHOLE or self.shared or self.confidence < SURE


@dataclass(frozen=True)
class _Ballot:
    """All readings of all classes, those of a class one after another; r readings, c classes."""

    readings: tuple[Reading, ...]  # [r]
    starts: NDArray[np.int64]  # [c + 1]
    synsets: NDArray[np.int32]  # [r]
    owners: NDArray[np.int64]  # [r], the class of each
    trust: Floats  # [r], by its way and the number of its sense

    def of(self, c: int) -> slice:
        """The readings of class c."""
        return slice(int(self.starts[c]), int(self.starts[c + 1]))


def propose_synsets(taxonomy: Taxonomy, names: Sequence[str]) -> tuple[Proposal, ...]:
    """A synset for each class of one set, in the order of their names.

    ImageNet-1K takes about a second.
    """
    vocabulary = Vocabulary(taxonomy)
    ballot = _ballot([vocabulary.readings(name) for name in names])
    ic, _ = load_information(taxonomy, "wordnet")
    chosen, support = _vote(taxonomy, ic, ballot)
    usual = float(np.median(support[chosen[chosen >= 0]])) if (chosen >= 0).any() else 0.0
    meant = ballot.synsets[chosen[chosen >= 0]]
    several = {*np.unique(meant)[np.unique(meant, return_counts=True)[1] > 1].tolist()}
    return tuple(
        _proposal(name, ballot, ballot.of(c), support, usual, several)
        for c, name in enumerate(names)
    )


def _ballot(readings: Sequence[tuple[Reading, ...]]) -> _Ballot:
    starts = np.cumsum([0, *map(len, readings)])
    flat = tuple(reading for found in readings for reading in found)
    trust = [WAYS[each.way][1] * _NEXT_SENSE ** (each.sense - 1) for each in flat]
    owners = np.repeat(np.arange(len(readings)), np.diff(starts))
    synsets = np.array([each.synset for each in flat], np.int32)
    return _Ballot(flat, starts, synsets, owners, np.array(trust, np.float64))


def _vote(taxonomy: Taxonomy, ic: Floats, ballot: _Ballot) -> tuple[NDArray[np.int64], Floats]:
    """The reading chosen for each class [c], −1 where it has none; the support of each [r]."""
    counts = np.diff(ballot.starts)
    first = np.where(counts > 0, ballot.starts[:-1], _NONE)
    whole = [counts[c] == 1 and ballot.readings[i].way in _WHOLE for c, i in enumerate(first)]
    chosen = np.where(whole, first, _NONE) if sum(whole) >= _VOTERS else first
    support = np.ones(len(ballot.readings))
    several = counts[ballot.owners] > 1
    for _ in range(_ROUNDS if len(counts) <= _MANY else _FEWER_ROUNDS):
        support[several] = _support(taxonomy, ic, ballot, several, chosen)
        score = support * ballot.trust
        best = [
            _NONE if i == _NONE else ballot.starts[c] + int(score[ballot.of(c)].argmax())
            for c, i in enumerate(first)
        ]
        if np.array_equal(best, chosen):
            break
        chosen = np.array(best, np.int64)
    support[~several] = _support(taxonomy, ic, ballot, ~several, chosen)
    return chosen, support


def _support(
    taxonomy: Taxonomy,
    ic: Floats,
    ballot: _Ballot,
    wanted: NDArray[np.bool_],
    chosen: NDArray[np.int64],
) -> Floats:
    """The mean similarity of the wanted readings to their nearest synsets among those chosen.

    `wanted` bool[r]; float64, one for each wanted. Neither its own class nor one that means the
    same counts. 1 where no other class votes.
    """
    voters = np.flatnonzero(chosen >= 0)
    votes = ballot.synsets[chosen[voters]]
    synsets, owners = ballot.synsets[wanted], ballot.owners[wanted]
    nearest = np.full((len(synsets), _NEIGHBOURS), -1.0)
    for rows, columns, values in similarity_blocks(taxonomy, ic, synsets, votes):
        own = owners[rows, None] == voters[columns]
        same = synsets[rows, None] == votes[columns]
        found = np.hstack([nearest[rows], np.where(own | same, -1.0, values)])
        nearest[rows] = np.partition(found, -_NEIGHBOURS, axis=1)[:, -_NEIGHBOURS:]
    counted = nearest >= 0
    total = np.where(counted, nearest, 0.0).sum(axis=1)
    return np.where(counted.any(axis=1), total / np.maximum(counted.sum(axis=1), 1), 1.0)


def _proposal(
    name: str, ballot: _Ballot, own: slice, support: Floats, usual: float, several: set[int]
) -> Proposal:
    readings = ballot.readings[own]
    if not readings:
        return Proposal(name, None, "", 0.0, ())
    scores = support[own] * ballot.trust[own]
    order = np.argsort(-scores, kind="stable").tolist()
    best, synsets = readings[order[0]], [readings[i].synset for i in order]
    confidence = 1.0
    if best.way != "given":
        second = scores[order[1]] / scores[order[0]] if order[1:] and scores[order[0]] > 0 else 0.0
        fit = min(1.0, support[own][order[0]] / usual) if usual > 0 else 1.0
        confidence = WAYS[best.way][1] * (1 - float(second)) * float(fit)
    return Proposal(
        name, best.synset, best.way, confidence, tuple(synsets[1:]), best.synset in several
    )
