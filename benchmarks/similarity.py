"""How long it takes to rank ImageNet-21K against ImageNet-1K: cog and NLTK on the same machine.

    python benchmarks/similarity.py [--wordnet DIR] [--sample 100 | --full]

Both do what `cog build-levels` needs: Lin similarity of each of 21,841 concepts to the nearest of
1,000 seen ones, with the official subsumer rule and corpus, after reading WordNet. NLTK runs on a
seeded random sample of the concepts unless --full, and the benchmark scales its time up by their
number; the printed line says so. Values must agree to 1e-9. `build_levels_seconds` is the whole
command with the start of its process. `pair_over_row` is the time of a pair by sets of ancestors
over that of a pair by whole rows, both of Lin's measure. Prints one JSON line, and ends with status
1 where a time is above its limit in LIMITS.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nltk
import numpy as np

from cog.wordnet.concept_lists import read_wnids
from cog.wordnet.information_content import load_information
from cog.wordnet.measures import MEASURES, SUBSUMERS
from cog.wordnet.similarity import nearest, similarity
from cog.wordnet.taxonomy import load_taxonomy

ROOT = Path(__file__).parents[1]
REPEATS = 3
PAIRS = 5000
LIMITS = {  # seconds of the best run on one core
    "load": 0.15,
    "build_levels": 2.0,
    **{name: 1.0 if measure.informative else 5.0 for name, measure in MEASURES.items()},
}


def oracle_tool() -> Any:
    """tools/make_similarity_oracle.py, which knows how to open NLTK."""
    path = ROOT / "tools" / "make_similarity_oracle.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """(the best time of REPEATS, the last result)."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
    return min(times), result


def time_cog() -> tuple[dict[str, float], dict[str, float]]:
    """(seconds of each step and measure, wnid → the official similarity).

    "pairs" are PAIRS random pairs by Lin's measure.
    """
    times: dict[str, float] = {}
    times["load"], taxonomy = seconds(load_taxonomy)
    times["information"], (ic, _) = seconds(lambda: load_information(taxonomy))
    concepts, seen = (taxonomy.indices(read_wnids(name)) for name in ("in21k", "in1k"))
    for name, measure in MEASURES.items():
        for rule in SUBSUMERS if measure.kind == "information" else SUBSUMERS[:1]:
            key = f"{name} {rule}" if measure.kind == "information" else name
            times[key], best = seconds(
                lambda name=name, rule=rule: nearest(taxonomy, ic, concepts, seen, name, rule)
            )
            if (name, rule) == ("lin", "deepest"):
                values = dict(zip(read_wnids("in21k"), best.value.tolist(), strict=True))
    a, b = np.random.default_rng(22).choice(concepts, (2, PAIRS))
    times["pairs"], _ = seconds(lambda: similarity(taxonomy, ic, a, b))
    return times, values


def above_limit(times: dict[str, float]) -> list[str]:
    """What took longer than its limit; measures of either rule have the limit of their name."""
    limits = {name: LIMITS.get(name.partition(" ")[0]) for name in times}
    return [
        f"{name}: {times[name]:.2f} s, above the limit of {limit} s"
        for name, limit in limits.items()
        if limit is not None and times[name] > limit
    ]


def time_build_levels() -> float:
    """Seconds of the whole command, process start included: ranking, windows, files."""

    def build() -> None:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "cog", "build-levels", "--out", f"{folder}/levels"]
            subprocess.run(command, check=True, capture_output=True)

    return seconds(build)[0]


def time_nltk(dict_folder: Path, wnids: list[str]) -> tuple[float, float, float, dict[str, float]]:
    """Seconds to read and to count the corpus, to rank `wnids` by the official rule, and to rank
    them by NLTK's own lin_similarity (the most informative subsumer); wnid → official similarity.
    """
    tool = oracle_tool()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        reader = tool.open_nltk(dict_folder, Path(folder))
        _, counts = tool.count_corpus(tool.official_members(reader))
        synset = lambda wnid: reader.synset_from_pos_and_offset("n", int(wnid[1:]))  # noqa: E731
        seen = [synset(wnid) for wnid in read_wnids("in1k")]
        ready = time.perf_counter()
        values = {
            wnid: max(tool.deepest_values(synset(wnid), other, counts)[0] for other in seen)
            for wnid in wnids
        }
        done = time.perf_counter()
        for wnid in wnids:
            max(synset(wnid).lin_similarity(other, counts) for other in seen)
        own_rule = time.perf_counter()
        tool.close_nltk(reader)
    return ready - start, done - ready, own_rule - done, values


def main() -> None:
    """Time both, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordnet", default=os.environ.get("COG_WORDNET", "/usr/share/wordnet"))
    parser.add_argument("--sample", type=int, default=100, help="concepts that NLTK ranks")
    parser.add_argument("--full", action="store_true", help="NLTK ranks them all (minutes)")
    options = parser.parse_args()

    every = read_wnids("in21k")
    drawn = np.random.default_rng(22).choice(len(every), options.sample, replace=False)
    wnids = list(every) if options.full else [every[i] for i in sorted(drawn.tolist())]
    ours, values = time_cog()
    prepared, ranked, own_rule, theirs = time_nltk(Path(options.wordnet), wnids)
    difference = max(abs(values[wnid] - value) for wnid, value in theirs.items())
    if difference > 1e-9:
        raise SystemExit(f"cog and NLTK differ by {difference}")
    total = ours["load"] + ours["information"] + ours["lin deepest"]
    times = len(every) / len(wnids)
    scaled = prepared + ranked * times
    in_rows = ours["lin deepest"] / (len(every) * len(read_wnids("in1k")))
    ours["build_levels"] = time_build_levels()
    record = {
        "benchmark": "similarity: in21k against in1k, lin, deepest subsumer",
        "build_levels_seconds": round(ours["build_levels"], 3),
        "cog_seconds": round(total, 3),
        "nltk_seconds": round(scaled, 1),
        "nltk_seconds_most_informative": round(prepared + own_rule * times, 1),
        "nltk_how": "measured" if options.full else f"scaled up from {len(wnids)} random concepts",
        "ratio": round(scaled / total),
        "pair_over_row": round(ours["pairs"] / PAIRS / in_rows),
        "concepts": len(every),
        "largest_difference": difference,
        "cog_seconds_each": {name: round(value, 3) for name, value in ours.items()},
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "nltk": nltk.__version__,
        },
    }
    print(json.dumps(record))
    if slow := above_limit(ours):
        raise SystemExit("\n".join(slow))


if __name__ == "__main__":
    main()
