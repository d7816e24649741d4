"""Levels: the official ones from WordNet alone, the rules one by one, and the folder on disk."""

from __future__ import annotations

import csv
import errno
import inspect
import json
import math
from collections import Counter
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cog.errors import CogError
from cog.levels.build import Ranking, build_levels, cut_levels, rank_concepts, window_starts
from cog.levels.check import check_levels, compare_levels
from cog.levels.eligible import choose_eligible
from cog.levels.explain import explain_concept
from cog.levels.files import official_folder, read_levels, write_levels
from cog.levels.recipe import LevelsRecipe, read_recipe
from cog.levels.table import Levels, lines_sha256
from cog.storage import files_below
from cog.wordnet.concept_lists import DATA, read_counts, read_wnids
from cog.wordnet.information_content import information_content
from cog.wordnet.measures import MEASURES
from cog.wordnet.similarity import nearest
from tests.support.image_files import MAKERS

OFFICIAL_SHA256 = {  # of the published lists: sorted wnids, one a line
    1: "73957b077d5317cc89f948ad9dca276f08e69a4c2b51fc0d34561c2972f6d709",
    2: "17db3b0592709d83e74526376ebbcc595c83b99b6f9cd82f652370cb5ba92f67",
    3: "b5a8178bac591224fb9a0d87bd4111bc6b3a28fcb204b739853eb9a0cd2eedf6",
    4: "9bc2f7ee9596705c0d1c7fc402dc1f869639e420214fee913a08cff27ad92264",
    5: "202a2926ec641e02422c9711fd76db2a7a22863702cfa4a3c7943c8ebdd15586",
}
SEEN = ("n02084071", "n02121620", "n01503061", "n03001627")  # dog, cat, bird, chair
SMALL = tuple(read_wnids("official")[::100])  # 50 concepts from all over the tree


@pytest.fixture(scope="module")
def official(official_build) -> Levels:
    return read_levels(official_build[0])


@pytest.fixture(scope="module")
def ranking() -> Ranking:
    """The ranking of the default recipe."""
    return rank_concepts(LevelsRecipe())


@pytest.fixture(scope="module")
def default(ranking) -> Levels:
    return cut_levels(ranking, LevelsRecipe())


@pytest.fixture(scope="module")
def small() -> Levels:
    return build_levels(eligible=SMALL, seen=SEEN, size=8)


def level_of(levels: Levels) -> dict[str, int]:
    return dict(zip(levels.table["wnid"], levels.table["level"], strict=True))


def ancestor_sets(wordnet, members) -> dict[int, set[int]]:
    """Each member and each ancestor of one → itself and its ancestors."""
    found: dict[int, set[int]] = {}

    def visit(i: int) -> set[int]:
        if i not in found:
            found[i] = {i}.union(*map(visit, wordnet.parents_of(i).tolist()))
        return found[i]

    for member in members:
        visit(member)
    return found


class TestOfficial:
    def test_levels_from_wordnet_alone_are_the_published_ones(self, official):
        assert {k: lines_sha256(official.wnids(k)) for k in official.numbers} == OFFICIAL_SHA256

    def test_ranges_do_not_touch(self, official):
        """So no tie decides where a concept goes."""
        ends = official.table.groupby("level")["similarity"].agg(["max", "min"])
        assert (ends["min"].to_numpy()[:-1] > ends["max"].to_numpy()[1:]).all()
        assert ends["max"].iloc[0] == pytest.approx(0.96434, abs=5e-6)
        assert ends["min"].iloc[-1] == pytest.approx(0.00356, abs=5e-6)

    def test_the_committed_levels_are_what_the_command_writes(self, official, official_build):
        for name in ("levels.csv", "seen.csv"):
            written = (official_build[0] / name).read_bytes()
            assert written == (official_folder() / name).read_bytes()
        committed = read_levels()
        assert (committed.recipe, committed.report) == (official.recipe, official.report)
        assert committed.fingerprint == official.fingerprint
        assert check_levels("official") == ()

    def test_the_readme_beside_them_has_their_sha256(self):
        text = (official_folder() / "README.md").read_text(encoding="utf-8")
        assert all(sha256 in text for sha256 in OFFICIAL_SHA256.values())

    def test_seen_is_imagenet_1k(self, official):
        assert official.seen == read_wnids("in1k")


class TestDefault:
    def test_each_filter_removes_what_the_protocol_says(self, default):
        assert default.report == {
            "candidates": 21841,
            "removed": {
                "seen": 999,  # n04399382 is in ImageNet-1K, but not in ImageNet-21K
                "ancestors of seen concepts": 761,
                "persons": 2827,
                "fewer than 782 pictures": 10414,
                "not leaves of the universe": 1624,
                "excluded by list": 70,
            },
            "eligible": 5146,
            "corpus": 23547,
        }

    def test_agreement_is_what_levels_readme_says(self, default):
        found = compare_levels(default, read_levels())
        assert found.shared == 4973
        assert not found.equal
        assert found.seen == ((), ())

    def test_table_is_sorted_disjoint_and_unseen(self, default):
        table = default.table
        assert table["wnid"].is_unique
        assert table["similarity"].is_monotonic_decreasing
        assert table["level"].is_monotonic_increasing
        assert (table["level"].value_counts() == 1000).all()
        assert not set(table["wnid"]) & set(default.seen)
        assert table["rank"].tolist() == [
            start + k for start in (1, 1037, 2074, 3110, 4147) for k in range(1000)
        ]

    def test_ties_go_to_the_shallower_then_the_smaller_wnid(self, default, wordnet):
        depths = [int(wordnet.depth[wordnet.index(wnid)]) for wnid in default.table["wnid"]]
        keys = list(zip(-default.table["similarity"], depths, default.table["wnid"], strict=True))
        assert keys == sorted(keys)

    def test_other_orders_of_ties_agree_as_levels_readme_says(self, ranking):
        """Which concepts a window takes from a group of equals: by rules, and at best."""
        concepts, value = ranking.concepts, -ranking.best.value
        known = level_of(read_levels())
        official = np.array([known.get(ranking.taxonomy.wnids[i], 0) for i in concepts])
        windows = np.zeros(len(concepts), int)
        for number, start in enumerate(window_starts(len(concepts), LevelsRecipe()), start=1):
            windows[start : start + 1000] = number

        def agreement(ties) -> int:
            order = np.lexsort((concepts, ties, value))
            return int(((official[order] == windows) & (windows > 0)).sum())

        names = np.argsort(np.argsort([ranking.taxonomy.names[i] for i in concepts]))
        images = ranking.eligibility.image_counts[concepts]
        assert agreement(ranking.taxonomy.depth[concepts]) == 4973
        assert agreement(concepts) == 4967
        assert agreement(names) == 4965
        assert max(agreement(images), agreement(-images)) == 4969
        taken, wanted = (
            Counter(zip(value.tolist(), levels.tolist(), strict=True))
            for levels in (windows, official)
        )
        assert sum(n for (_, level), n in (taken & wanted).items() if level) == 4998

    def test_images_are_those_of_the_counts(self, default):
        counts = read_counts("in21k")
        images = dict(zip(default.table["wnid"], default.table["images"], strict=True))
        assert images == {wnid: counts[wnid] for wnid in images}

    def test_every_exclusion_passes_the_other_filters(self, wordnet):
        kept = choose_eligible(wordnet, LevelsRecipe(exclude=None))
        assert len(kept.concepts) == 5216
        assert set(read_wnids("excluded")) <= {wordnet.wnids[i] for i in kept.concepts}


class TestFilters:
    def test_each_by_its_definition(self, wordnet):
        """A plain restatement over sets, on every concept of ImageNet-21K."""
        chosen = choose_eligible(wordnet, LevelsRecipe(exclude=None))
        above = ancestor_sets(wordnet, [*chosen.universe.tolist(), *chosen.seen.tolist()])
        seen = set(chosen.seen.tolist())
        seen_ancestors = set().union(*(above[i] - {i} for i in seen))
        inner = set().union(*(above[i] - {i} for i in chosen.universe.tolist()))
        unfit = seen | seen_ancestors | inner
        counts, person = read_counts("in21k"), wordnet.index("n00007846")
        expected = [
            i
            for i in chosen.universe.tolist()
            if i not in unfit and person not in above[i] and counts[wordnet.wnids[i]] >= 732 + 50
        ]
        assert chosen.concepts.tolist() == sorted(expected)

    @pytest.mark.parametrize(
        ("choice", "name"),
        [
            ({"drop_seen_ancestors": False}, "ancestors of seen concepts"),
            ({"drop_persons": False}, "persons"),
            ({"min_images": None}, "fewer than 782 pictures"),
            ({"leaves_only": False}, "not leaves of the universe"),
            ({"exclude": None}, "excluded by list"),
        ],
    )
    def test_each_can_be_turned_off(self, wordnet, choice, name):
        # what lies above a seen concept is no leaf either: one filter would hide the other
        all_on = LevelsRecipe(leaves_only="drop_seen_ancestors" not in choice)
        one_off = choose_eligible(wordnet, replace(all_on, **choice))
        all_on = choose_eligible(wordnet, all_on)
        assert set(all_on.removed) - set(one_off.removed) == {name}
        assert len(one_off.concepts) > len(all_on.concepts)
        assert set(all_on.concepts) <= set(one_off.concepts)

    def test_images_on_disk_go_before_the_table(self, tmp_path, wordnet):
        wnids = SMALL[:4]
        for number, wnid in enumerate(wnids):
            (tmp_path / wnid).mkdir()
            for k in range(number):
                (tmp_path / wnid / f"{k}.png").touch()
        recipe = LevelsRecipe(universe=str(tmp_path), images=str(tmp_path), min_images=2)
        chosen = choose_eligible(wordnet, recipe)
        assert [wordnet.wnids[i] for i in chosen.concepts] == list(wnids[2:])

    @pytest.mark.parametrize("source", MAKERS)
    def test_images_are_counted_in_every_source(self, source, tmp_path, wordnet):
        wnids = sorted(SMALL[:4])
        files = {
            f"{wnid}/{wnid}_{k}.JPEG": bytes(k)
            for number, wnid in enumerate(wnids, start=1)
            for k in range(number)
        }
        images = str(MAKERS[source](tmp_path / "images", files))
        recipe = LevelsRecipe(universe=SMALL, images=images, min_images=3, leaves_only=False)
        chosen = choose_eligible(wordnet, recipe)
        assert [wordnet.wnids[i] for i in chosen.concepts] == wnids[2:]

    def test_unknown_counts_are_not_taken_for_zero(self, wordnet):
        strange = ("n00001740", *SMALL)  # entity has no count in ImageNet-21K
        with pytest.raises(CogError, match=r"no image count for 1 concepts.*n00001740"):
            choose_eligible(wordnet, LevelsRecipe(universe=strange))
        assert len(
            choose_eligible(wordnet, LevelsRecipe(universe=strange, min_images=None)).concepts
        )

    def test_what_an_own_table_leaves_out_falls_by_its_own_filter(self, tmp_path, wordnet):
        file = tmp_path / "counts.csv"
        file.write_text("wnid,images\n" + "".join(f"{wnid},{9}\n" for wnid in SMALL[:10]))
        recipe = LevelsRecipe(universe=SMALL, seen=SEEN, counts=str(file), min_images=9)
        removed = choose_eligible(wordnet, recipe).removed
        assert len(removed[f"no picture count in {file}"]) == 40
        assert len(removed["fewer than 9 pictures"]) == 0

    @pytest.mark.parametrize("name", ["seen", "universe", "eligible", "exclude"])
    def test_unknown_wnids_are_named_with_their_file(self, tmp_path, wordnet, name):
        file = tmp_path / "mine.txt"
        file.write_text(f"{SMALL[0]}\nn99999999\n")
        with pytest.raises(CogError, match=r"1 of the 2 wnids in .*mine\.txt .*n99999999"):
            choose_eligible(wordnet, replace(LevelsRecipe(), **{name: str(file)}))


class TestOtherBenchmarks:
    def test_similarities_against_a_plain_restatement(self, small, wordnet):
        """Counts over sets, the deepest common ancestor (first by name), Lin, the maximum."""
        lists = (*read_wnids("in21k"), *SEEN, *SMALL)
        above = ancestor_sets(wordnet, map(wordnet.index, lists))
        corpus = set(above)
        count = Counter(ancestor for ancestors in above.values() for ancestor in ancestors)

        def lin(a: int, b: int) -> float:
            common = above[a] & above[b]
            s = min(common, key=lambda i: (-wordnet.depth[i], wordnet.names[i]))
            ic = {i: -math.log(count[i] / len(corpus)) for i in (a, b, s)}
            return 2 * ic[s] / (ic[a] + ic[b])

        for row in small.table.itertuples():
            a = wordnet.index(row.wnid)
            values = {wnid: lin(a, wordnet.index(wnid)) for wnid in SEEN}
            assert row.similarity == pytest.approx(max(values.values()), abs=1e-12)
            assert values[row.nearest_wnid] == pytest.approx(row.similarity, abs=1e-12)

    def test_the_order_of_input_does_not_matter(self, small):
        again = build_levels(eligible=SMALL[::-1], seen=SEEN[::-1], size=8)
        assert again.table.equals(small.table)
        assert again.fingerprint == small.fingerprint

    def test_seen_concepts_are_removed_from_a_list(self):
        built = build_levels(eligible=(*SMALL, *SEEN), seen=SEEN, size=8)
        assert built.report["removed"] == {"seen": len(SEEN)}
        assert not set(built.table["wnid"]) & set(SEEN)

    def test_concepts_outside_the_corpus_join_it(self):
        built = build_levels(universe=SMALL[:10], eligible=SMALL, seen=SEEN, size=8)
        inside = build_levels(universe=SMALL, eligible=SMALL, seen=SEEN, size=8)
        assert built.report == inside.report
        assert np.isfinite(built.table["similarity"]).all()

    def test_unknown_image_counts_stay_unknown(self):
        built = build_levels(eligible=("n00001740", *SMALL), seen=SEEN, size=51, n_levels=1)
        assert built.table.set_index("wnid")["images"].isna().sum() == 1

    @pytest.mark.parametrize("measure", MEASURES)
    def test_every_measure_ranks(self, measure):
        built = build_levels(eligible=SMALL, seen=SEEN, size=8, measure=measure)
        assert built.table["similarity"].is_monotonic_decreasing

    def test_most_informative_subsumers_move_eight_official_concepts(self):
        """NLTK's own rule gives 4,992 of the 5,000; the protocol found that out."""
        built = build_levels(eligible="official", subsumer="most-informative")
        assert compare_levels(built, read_levels()).shared == 4992

    def test_every_choice_of_a_recipe_is_an_argument(self):
        arguments = inspect.signature(build_levels).parameters.values()
        defaults = {each.name: each.default for each in arguments}
        assert defaults == {f.name: f.default for f in fields(LevelsRecipe)}
        choices = {
            "seen": SEEN, "universe": SMALL, "eligible": None, "counts": "in21k", "images": None,
            "min_images": 700, "drop_seen_ancestors": False, "drop_persons": False,
            "leaves_only": False, "exclude": None, "n_levels": 3, "size": 4, "spacing": "adjacent",
            "measure": "path", "subsumer": "most-informative", "wordnet": "bundled",
        }  # fmt: skip
        assert build_levels(**choices).recipe == LevelsRecipe(**choices).as_dict()

    @pytest.mark.parametrize(
        "choice", [{"measure": "lim"}, {"subsumer": "deep"}, {"spacing": "event"}, {"size": 0}]
    )
    def test_unknown_choices_are_refused(self, choice):
        with pytest.raises(CogError):
            rank_concepts(LevelsRecipe(**choice))

    def test_too_few_concepts_say_what_would_fit(self):
        with pytest.raises(CogError, match="found 50") as caught:
            build_levels(eligible=SMALL, seen=SEEN)
        assert "--size 10 " in caught.value.hint


@given(st.integers(1, 7), st.integers(1, 40), st.integers(0, 300))
def test_windows_are_disjoint_and_span_the_ranking(n_levels, size, spare):
    n = n_levels * size + spare
    even = window_starts(n, LevelsRecipe(n_levels=n_levels, size=size))
    assert even == tuple(np.floor(np.linspace(0, n - size, n_levels) + 1e-9).astype(int))
    assert all(b - a >= size for a, b in pairwise(even))
    adjacent = window_starts(n, LevelsRecipe(n_levels=n_levels, size=size, spacing="adjacent"))
    assert adjacent == tuple(range(0, n_levels * size, size))


class TestFolder:
    def test_what_is_read_is_what_was_written(self, tmp_path, small):
        write_levels(small, tmp_path / "a" / "b")
        back = read_levels(tmp_path / "a" / "b")
        assert back.table.equals(small.table)
        assert (back.table.dtypes == small.table.dtypes).all()
        assert (back.seen, back.report) == (small.seen, small.report)
        assert read_recipe(back.recipe).as_dict() == small.recipe
        assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
        assert check_levels(tmp_path / "a" / "b") == ()

    def test_equal_files_beside_it_give_equal_bytes_anywhere(self, tmp_path):
        """Paths beside the folder are relative in levels.json, and whole again when it is read."""
        folders = []
        for place in (tmp_path / "one", tmp_path / "two" / "deeper"):
            place.mkdir(parents=True)
            (place / "in1k").write_text("\n".join(SMALL) + "\n")
            built = build_levels(eligible=place / "in1k", seen=SEEN, size=8)
            write_levels(built, place / "lv")
            folders.append(place / "lv")
            assert read_levels(place / "lv").recipe == built.recipe
            assert explain_concept(SMALL[0], read_levels(place / "lv")).verdict
        one, two = (files_below(folder) for folder in folders)
        assert one == two
        for name in one:
            text = (folders[0] / name).read_text()
            assert text == (folders[1] / name).read_text()
            assert str(tmp_path) not in text

    def test_paths_elsewhere_stay_absolute(self, tmp_path):
        (tmp_path / "list.txt").write_text("\n".join(SMALL) + "\n")
        built = build_levels(eligible=tmp_path / "list.txt", seen=SEEN, size=8)
        write_levels(built, tmp_path / "far" / "away")
        text = (tmp_path / "far" / "away" / "levels.json").read_text()
        assert str(tmp_path / "list.txt") in text
        assert read_levels(tmp_path / "far" / "away").recipe == built.recipe

    def test_extreme_similarities_survive(self, tmp_path):
        built = build_levels(eligible=SMALL, seen=SEEN, size=8, measure="jcn")
        built.table.loc[built.table.index[0], "similarity"] = 1e300
        built.table.loc[built.table.index[-1], "images"] = None
        write_levels(built, tmp_path / "jcn")
        assert read_levels(tmp_path / "jcn").table.equals(built.table)

    def test_same_levels_may_be_written_again_and_others_not(self, tmp_path, small):
        folder = tmp_path / "levels"
        folder.mkdir()
        write_levels(small, folder)
        write_levels(small, folder)
        other = build_levels(eligible=SMALL, seen=SEEN, size=9)
        with pytest.raises(CogError, match=r"already holds something else: levels\.csv"):
            write_levels(other, folder)
        assert read_levels(folder).fingerprint == small.fingerprint
        write_levels(other, folder, overwrite=True)
        assert read_levels(folder).fingerprint == other.fingerprint

    def test_foreign_files_stop_it_and_are_never_removed(self, tmp_path, small):
        (tmp_path / "thesis.txt").write_text("mine")
        with pytest.raises(CogError, match=r"thesis\.txt"):
            write_levels(small, tmp_path)
        write_levels(small, tmp_path, overwrite=True)
        assert (tmp_path / "thesis.txt").read_text() == "mine"

    def test_a_disk_that_fills_leaves_nothing_behind(self, tmp_path, small, monkeypatch):
        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(CogError, match="No space left on device"):
            write_levels(small, tmp_path / "levels")
        assert list(tmp_path.iterdir()) == []

    def test_a_disk_that_fills_leaves_the_levels_that_were_there(
        self, tmp_path, small, monkeypatch
    ):
        write_levels(small, tmp_path / "levels")
        other = build_levels(eligible=SMALL, seen=SEEN, size=9)
        whole = Path.write_text

        def fills(path, text, **options):
            if path.name.startswith(".seen.csv"):
                raise OSError(errno.ENOSPC, "No space left on device")
            return whole(path, text, **options)

        monkeypatch.setattr(Path, "write_text", fills)
        with pytest.raises(CogError, match="No space left on device"):
            write_levels(other, tmp_path / "levels", overwrite=True)
        assert read_levels(tmp_path / "levels").fingerprint == small.fingerprint
        assert len(list((tmp_path / "levels").iterdir())) == 3

    def test_a_folder_in_the_way_of_a_file_is_named_and_nothing_replaced(self, tmp_path, small):
        write_levels(small, tmp_path)
        before = (tmp_path / "levels.csv").read_bytes()
        (tmp_path / "seen.csv").unlink()
        (tmp_path / "seen.csv").mkdir()
        other = build_levels(eligible=SMALL, seen=SEEN, size=9)
        with pytest.raises(CogError, match=r"seen\.csv is a folder"):
            write_levels(other, tmp_path, overwrite=True)
        assert (tmp_path / "levels.csv").read_bytes() == before
        assert len(list(tmp_path.iterdir())) == 3

    def test_a_folder_that_cannot_be_written_is_an_error_of_two_lines(self, tmp_path, small):
        (tmp_path / "file").touch()
        for folder in (tmp_path / "file", tmp_path / "file" / "levels"):
            with pytest.raises(CogError, match=r"cannot write levels.*\n.*--out"):
                write_levels(small, folder)

    def test_a_changed_table_is_refused_and_found(self, tmp_path, small):
        write_levels(small, tmp_path / "levels")
        table = tmp_path / "levels" / "levels.csv"
        lines = table.read_text().splitlines()
        table.write_text("\n".join([lines[0], *lines[:0:-1], lines[1]]) + "\n")
        with pytest.raises(CogError, match=r"not the file that levels\.json was written with"):
            read_levels(tmp_path / "levels")
        findings = "\n".join(check_levels(tmp_path / "levels"))
        for expected in (
            "more than once",
            "L1 has 9 concepts",
            "rises at",
            "falls at",
            "not the file",
        ):
            assert expected in findings

    def test_seen_unknown_and_missing_levels_are_found(self, tmp_path, small):
        table = small.table.copy()
        table.loc[0, "wnid"] = SEEN[0]
        table.loc[1, "wnid"] = "n99999999"
        table = table[table["level"] != 3]
        write_levels(replace(small, table=table), tmp_path / "levels")
        findings = "\n".join(check_levels(tmp_path / "levels"))
        for expected in ("but seen", "n99999999 is not in WordNet", "expected levels 1 to 5"):
            assert expected in findings

    @pytest.mark.parametrize("name", ["levels.csv", "seen.csv", "levels.json"])
    def test_a_missing_file_is_named(self, tmp_path, small, name):
        write_levels(small, tmp_path / "levels")
        (tmp_path / "levels" / name).unlink()
        with pytest.raises(CogError, match=name):
            read_levels(tmp_path / "levels")

    def test_other_tables_are_refused(self, tmp_path, small):
        write_levels(small, tmp_path / "levels")
        (tmp_path / "levels" / "levels.csv").write_text("a,b\n1,2\n")
        with pytest.raises(CogError, match="does not hold levels"):
            read_levels(tmp_path / "levels")
        write_levels(small, tmp_path / "other")
        described = json.loads((tmp_path / "other" / "levels.json").read_text())
        described["recipe"]["colour"] = "red"
        (tmp_path / "other" / "levels.json").write_text(json.dumps(described))
        with pytest.raises(CogError, match="colour"):
            read_levels(tmp_path / "other")

    @pytest.mark.parametrize(
        ("part", "name", "value"),
        [
            ("recipe", "wordnet", None),
            ("recipe", "measure", 5),
            ("recipe", "measure", "lim"),
            ("recipe", "spacing", "event"),
            ("recipe", "seen", [1]),
            ("recipe", "n_levels", True),
            ("recipe", "leaves_only", "yes"),
            ("recipe", "size", 0),
            ("report", "eligible", "many"),
        ],
    )
    def test_damaged_recipes_are_refused_by_name(self, tmp_path, small, part, name, value):
        write_levels(small, tmp_path / "levels")
        file = tmp_path / "levels" / "levels.json"
        described = json.loads(file.read_text())
        described[part][name] = value
        file.write_text(json.dumps(described))
        for question in (read_levels, check_levels):
            with pytest.raises(CogError, match=name if value else "one level of one|wordnet"):
                question(tmp_path / "levels")

    @pytest.mark.parametrize("part", ["recipe", "report", "sha256"])
    def test_a_levels_json_without_its_parts_is_refused(self, tmp_path, small, part):
        write_levels(small, tmp_path / "levels")
        file = tmp_path / "levels" / "levels.json"
        for value in (None, [], 5):
            file.write_text(json.dumps(json.loads(file.read_text()) | {part: value}))
            with pytest.raises(CogError, match="does not hold levels"):
                check_levels(tmp_path / "levels")

    def test_a_level_that_is_not_there_shows_the_others(self, small):
        with pytest.raises(CogError, match="unknown level 'L9'"):
            small.wnids(9)


class TestExplain:
    @pytest.mark.parametrize(
        ("text", "verdict"),
        [
            ("guitar_pick", "in L1, rank 3 of 5000"),
            ("tench", "one of the seen concepts"),
            ("teacher", "“persons”"),
            ("n04193377", "“excluded by list”"),  # shift key
            ("entity", "not in the universe"),
        ],
    )
    def test_every_kind_of_concept(self, text, verdict):
        found = explain_concept(text, read_levels())
        assert verdict in found.verdict
        assert all(path[0] == "entity.n.01" and path[-1] == found.name for path in found.paths)

    def test_between_windows(self, default, ranking):
        found = explain_concept(ranking.taxonomy.wnids[ranking.concepts[1010]], default)
        assert found.verdict == "in no level: rank 1011 of 5146 lies in none of the windows"

    def test_the_numbers_are_those_of_the_table(self, small):
        row = small.table.iloc[20]
        found = explain_concept(row["wnid"], small)
        assert found.nearest == f"{row['nearest_wnid']} {row['nearest_name']}"
        assert found.subsumer == f"{row['lcs_wnid']} {row['lcs_name']}"
        assert found.formula.endswith(f" = {row['similarity']:.6g}")

    def test_outside_the_corpus_it_joins_with_its_ancestors(self, small, wordnet):
        found = explain_concept("happiness", small)
        assert found.verdict == "in no level: not in the eligible list"
        assert found.outside
        node, seen = wordnet.index(found.wnid), wordnet.indices(SEEN)
        members = [*wordnet.indices((*read_wnids("in21k"), *SEEN, *SMALL)), node]
        ic = information_content(wordnet, members)
        best = nearest(wordnet, ic, [node], seen)
        assert found.nearest.split()[0] == wordnet.wnids[best.seen[0]]
        assert found.subsumer.split()[0] == wordnet.wnids[best.subsumer[0]]
        assert found.formula.endswith(f" = {best.value[0]:.6g}")
        assert not explain_concept("guitar_pick", read_levels()).outside

    def test_lists_are_found_from_another_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("mine.txt").write_text("\n".join(SMALL))
        built = build_levels(eligible="mine.txt", seen=SEEN, size=8)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        wnid = built.table["wnid"].iloc[0]
        assert explain_concept(wnid, built).verdict == "in L1, rank 1 of 50"
        (tmp_path / "mine.txt").unlink()
        with pytest.raises(CogError, match=r"cannot compute these levels again.*mine\.txt"):
            explain_concept(wnid, built)

    @pytest.mark.parametrize(
        ("change", "difference"),
        [
            (lambda lines: lines[:21], "expected 50 eligible concepts, found 21"),
            (lambda lines: [*lines[:-1], "n02084071"], "found 49"),
            (lambda lines: [*lines[:-1], "n13991823"], "rows differ now"),
        ],
    )
    def test_inputs_that_changed_are_refused(self, tmp_path, change, difference):
        file = tmp_path / "mine.txt"
        file.write_text("\n".join(SMALL))
        built = build_levels(eligible=str(file), seen=SEEN, size=8)
        file.write_text("\n".join(change(list(SMALL))))
        with pytest.raises(CogError, match=f"have changed: .*{difference}"):
            explain_concept(SMALL[0], built)


def test_moved_concepts_are_those_that_differ(small):
    other = build_levels(eligible=SMALL, seen=SEEN[:2], size=8)
    found = compare_levels(small, other)
    before, after = level_of(small), level_of(other)
    moved = {w for w in {*before, *after} if before.get(w) != after.get(w)}
    assert {wnid for wnid, *_ in found.moved} == moved
    assert found.seen == (tuple(sorted(SEEN[2:])), ())
    assert compare_levels(small, small).equal


def test_exclusions_each_have_their_evidence():
    path = DATA / "excluded.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [sum(row["evidence"] == kind for row in rows) for kind in ("certain", "likely")] == [
        54,
        16,
    ]
    assert all(row["reason"] for row in rows)
