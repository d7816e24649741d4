"""The tree of classes: against NLTK where its data are, and against a walk of our own."""

from __future__ import annotations

import time
import tracemalloc
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cog.levels.files import read_levels
from cog.results.mistakes import mistakes
from cog.wordnet.class_tree import class_tree, make_class_tree
from cog.wordnet.concept_lists import read_wnids
from cog.wordnet.similarity import similarity
from tests.support.nltk_oracle import DICT, needs_dict, oracle_tool

ORACLE = Path(__file__).parents[1] / "data" / "similarity_oracle.npz"
SAMPLE = 400


@pytest.fixture(scope="module")
def trees():
    names = {"in1k": tuple(sorted(read_wnids("in1k")))}
    levels = read_levels()
    names |= {f"cog_l{number}": levels.wnids(number) for number in (1, 5)}
    return {name: class_tree(wnids) for name, wnids in names.items()}


def above(taxonomy, i: int) -> set[int]:
    """A synset and all above it, by a walk from parent to parent."""
    found = {i}
    for parent in taxonomy.parents_of(i).tolist():
        found |= above(taxonomy, parent)
    return found


def longest_way_up(taxonomy, i: int) -> int:
    return max(
        (1 + longest_way_up(taxonomy, p) for p in taxonomy.parents_of(i).tolist()), default=0
    )


def walked_heights(parents: dict[Any, set[Any]], classes: set[Any]) -> dict[Any, int]:
    """The height of each node that is above a class, or is one, from the parents of all of them."""
    below: dict[Any, set[Any]] = {}

    def mark(node: Any, of: Any) -> None:
        if of not in below.setdefault(node, set()):
            below[node].add(of)
            for parent in parents[node]:
                mark(parent, of)

    for each in classes:
        mark(each, each)
    children = {node: {other for other in below if node in parents[other]} for node in below}

    @cache
    def height(node: Any) -> int:
        same = [height(child) for child in children[node] if below[child] == below[node]]
        return (
            min(same) if same else max((1 + height(child) for child in children[node]), default=0)
        )

    return {node: height(node) for node in below}


@pytest.mark.parametrize("name", ["in1k", "cog_l1", "cog_l5"])
def test_subsumers_and_similarity_are_those_of_pairs(trees, name):
    tree = trees[name]
    taxonomy, rng = tree.taxonomy, np.random.default_rng(4)
    a, b = rng.integers(0, len(tree.synsets), (2, SAMPLE))
    for one, other in zip(a, b, strict=True):
        pair = [int(tree.synsets[i]) for i in (one, other)]
        common = above(taxonomy, pair[0]) & above(taxonomy, pair[1])
        deepest = max(longest_way_up(taxonomy, i) for i in common)
        best = min((i for i in common if longest_way_up(taxonomy, i) == deepest),
                   key=taxonomy.names.__getitem__)  # fmt: skip
        assert tree.subsumers[one, other] == best
    expected = similarity(taxonomy, tree.ic, tree.synsets[a], tree.synsets[b])
    assert tree.pair_similarity(a, b).tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["in1k", "cog_l5"])
def test_heights_are_those_of_a_walk(trees, name):
    tree = trees[name]
    taxonomy, some = tree.taxonomy, tree.synsets[::5]
    small = make_class_tree(taxonomy, some)
    nodes = set().union(*(above(taxonomy, i) for i in some.tolist()))
    parents = {i: set(taxonomy.parents_of(i).tolist()) for i in nodes}
    expected = walked_heights(parents, set(some.tolist()))
    assert len(expected) > 200
    assert {i: int(small.heights[i]) for i in expected} == expected


def test_synsets_with_the_same_classes_have_one_height():
    """A tabby, a beagle: a carnivore and a domestic animal are above both, and an animal above."""
    tree = class_tree(("n02088364", "n02123045", "n03445777"))
    names = {tree.taxonomy.names[i]: h for i, h in enumerate(tree.heights.tolist()) if h >= 0}
    assert {names[name] for name in ("carnivore.n.01", "domestic_animal.n.01", "animal.n.01")} == {
        1
    }
    assert names["whole.n.02"] == names["entity.n.01"] == 2


@needs_dict
def test_nltk_has_the_same_heights_and_subsumers(trees, tmp_path):
    """With a graph of NLTK's hypernyms; it lists the deepest common ones."""
    pytest.importorskip("nltk")
    tool, tree = oracle_tool(), trees["in1k"]
    reader = tool.open_nltk(DICT, tmp_path)
    try:
        some = tree.synsets[::10]
        small = make_class_tree(tree.taxonomy, some)
        synsets = [reader.synset_from_pos_and_offset("n", int(tree.taxonomy.wnids[i][1:]))
                   for i in some]  # fmt: skip
        nodes = {each for synset in synsets for each in (synset, *synset.closure(hypernyms))}
        heights = walked_heights({each: set(hypernyms(each)) for each in nodes}, set(synsets))
        for node, height in heights.items():
            assert small.heights[tree.taxonomy.index_of[f"n{node.offset():08d}"]] == height
        a, b = np.random.default_rng(5).integers(0, len(some), (2, SAMPLE // 2))
        lowest = [synsets[i].lowest_common_hypernyms(synsets[j]) for i, j in zip(a, b, strict=True)]
        found = [tree.taxonomy.names[i] for i in small.subsumers[a, b]]
        assert found == [common[0].name() for common in lowest]
        expected = [heights[common[0]] for common in lowest]
        assert small.pair_heights(a, b).tolist() == expected
    finally:
        tool.close_nltk(reader)


def hypernyms(synset: Any) -> list[Any]:
    return synset.hypernyms() + synset.instance_hypernyms()


def test_the_committed_values_of_nltk(trees):
    taxonomy, tool = trees["in1k"].taxonomy, oracle_tool()
    with np.load(ORACLE) as oracle:
        pairs = oracle["imagenet pairs"][:400]
        expected = oracle["imagenet values"][:400, tool.COLUMNS.index("lin deepest")]
    offsets, places = np.unique(pairs, return_inverse=True)
    tree = make_class_tree(taxonomy, taxonomy.indices(f"n{offset:08d}" for offset in offsets))
    found = tree.pair_similarity(*places.reshape(-1, 2).T)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_names_that_are_no_synsets_have_no_tree():
    assert class_tree(()) is None
    assert class_tree(("dog", "n02084071")) is None
    assert class_tree(("n00000000", "n02084071")) is None


DOGS = ("n02084071", "n02085936", "n02088364", "n02123045")
"""dog, Maltese dog, beagle, tabby: a class above others, and one elsewhere"""


def test_a_class_above_others_has_a_height():
    tree = class_tree(DOGS)
    heights = tree.pair_heights(*np.meshgrid(range(4), range(4)))
    assert heights.tolist() == [[1, 1, 1, 2], [1, 0, 1, 2], [1, 1, 0, 2], [2, 2, 2, 0]]


def test_mistakes_of_a_few_images_by_hand():
    """Right, a beagle for a Maltese dog, a tabby for a dog, and an output that was NaN."""
    tree = class_tree(DOGS)
    found = mistakes(np.array([1, 2, 3, 4]), np.array([1, 1, 0, 0]), tree).columns()
    lin = similarity(tree.taxonomy, tree.ic, tree.synsets[[1, 0]], tree.synsets[[2, 3]])
    assert found == {
        "mistake_similarity": lin.mean(), "mistake_height": 1.5, "top1_height1": 50.0,
        "top1_height2": 75.0, "top1_height4": 75.0, "top1_height8": 75.0,
    }  # fmt: skip


def test_without_mistakes_there_is_no_mean():
    found = mistakes(np.arange(4), np.arange(4), class_tree(DOGS)).columns()
    assert [found["mistake_similarity"], found["mistake_height"]] == [None, None]
    assert found["top1_height1"] == 100.0


def test_images_are_asked_one_by_one_with_the_same_result(trees):
    tree, rng = trees["cog_l1"], np.random.default_rng(6)
    labels, predicted = rng.integers(0, 1000, (2, 300))
    predicted[::3] = labels[::3]
    pairs = [(p, y) for p, y in zip(predicted.tolist(), labels.tolist(), strict=True) if p != y]
    heights = []
    for p, y in pairs:
        common = above(tree.taxonomy, int(tree.synsets[p])) & above(
            tree.taxonomy, int(tree.synsets[y])
        )
        depth = max(longest_way_up(tree.taxonomy, i) for i in common)
        best = min(
            (i for i in common if longest_way_up(tree.taxonomy, i) == depth),
            key=tree.taxonomy.names.__getitem__,
        )
        heights.append(int(tree.heights[best]))
    found = mistakes(predicted, labels, tree).columns()
    assert found["mistake_height"] == pytest.approx(np.mean(heights))
    for cut in (1, 2, 4, 8):
        right = len(labels) - len(pairs) + sum(height <= cut for height in heights)
        assert found[f"top1_height{cut}"] == pytest.approx(right / 3)


def test_a_thousand_classes_and_fifty_thousand_images_take_little():
    wnids = tuple(sorted(read_wnids("in1k")))
    labels = np.repeat(np.arange(1000), 50)
    predicted = np.random.default_rng(7).permutation(labels)
    class_tree.cache_clear()
    class_tree(DOGS)  # WordNet is read
    tracemalloc.start()
    begun = time.process_time()
    tree = class_tree(wnids)
    made = time.process_time()
    mistakes(predicted, labels, tree)
    ended = time.process_time()
    assert tracemalloc.get_traced_memory()[1] < 150e6
    tracemalloc.stop()
    assert made - begun < 5
    assert ended - made < 0.5
