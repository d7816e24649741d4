"""`cog similarity`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cog.wordnet.concept_sets import Side, Spread
    from cog.wordnet.pairs import Explanation
    from cog.wordnet.taxonomy import Taxonomy

_RULES = {
    "deepest": "the deepest synset above both",
    "most-informative": "the most informative synset above both",
    "meeting": "where the shortest way from a to b turns",
    "min-depth": "the synset above both whose shortest way to the root is longest",
}


@click.command(short_help="How alike two concepts or sets are.")
@click.argument("a")
@click.argument("b")
@click.option("--measure", default="lin", show_default=True,
              help="lin, resnik, jcn, path, wup or lch.")  # fmt: skip
@click.option("--subsumer", default="deepest", show_default=True,
              help="Which synset above both, for lin, resnik and jcn: deepest (the benchmark's) or "
                   "most-informative (NLTK's).")  # fmt: skip
@click.option("--ic", "corpus", default="imagenet", show_default=True,
              help="Corpus of the information content: imagenet (the benchmark's), wordnet, an "
                   "ic-*.dat file of WordNet-Similarity, or a file of wnids.")  # fmt: skip
@click.option("--wordnet", default="bundled", show_default=True,
              help="bundled (3.0), nltk, or a WordNet dict folder.")  # fmt: skip
@click.option("--json/--no-json", "as_json", default=False, help="Print JSON.")
def similarity(
    a: str, b: str, measure: str, subsumer: str, corpus: str, wordnet: str, as_json: bool
) -> None:
    """How alike A and B are: concepts, or sets of concepts.

    A concept is a wnid (n02084071), a synset name (dog.n.01) or a word (dog: its first sense). A
    set is a file with a concept a line (it goes before a word of the same name), a levels.csv, or
    one of in1k, in21k, L1 to L5 and official (the 5,000 of those levels). Of two
    concepts you get the value and where it comes from, of a concept and a set the nearest member,
    of two sets how near each member's best match in the other set is.

    \b
    Example:
        cog similarity dog cat
        cog similarity giraffe in1k --measure path
        cog similarity L5 in1k
    """
    import numpy as np

    from cog.wordnet.information_content import load_information
    from cog.wordnet.measures import find_measure, subsumer_rule
    from cog.wordnet.taxonomy import load_taxonomy

    chosen = find_measure(measure)
    subsumer_rule(chosen, subsumer)  # refuses an unknown one before anything is said
    taxonomy = load_taxonomy(wordnet)
    left, right = _side(taxonomy, a), _side(taxonomy, b)
    ic, added = np.zeros(len(taxonomy)), tuple[int, ...]()  # enough for what goes by edges
    if chosen.kind == "information":
        ic, added = load_information(taxonomy, corpus, left.concepts + right.concepts)
    for note in dict.fromkeys(left.notes + right.notes):
        click.echo(note, err=True)
    if added:
        listed = ", ".join(taxonomy.names[i] for i in added[:5]) + (", …" if added[5:] else "")
        click.echo(f"not in the corpus, added with its ancestors: {listed}", err=True)
    if left.is_set and right.is_set:
        _print_sets(taxonomy, ic, left, right, measure, subsumer, as_json)
    else:
        _print_pair(taxonomy, ic, left, right, measure, subsumer, as_json)


def _side(taxonomy: Taxonomy, text: str) -> Side:
    from cog.wordnet.concept_sets import read_side, set_of

    level = re.fullmatch(r"(?:cog_)?l(\d+)", text.lower())
    if level:
        from cog.levels.files import read_levels

        return set_of(taxonomy, f"L{level[1]}", read_levels().wnids(int(level[1])))
    return read_side(taxonomy, text)


def _print_pair(
    taxonomy: Taxonomy, ic: NDArray[np.float64], left: Side, right: Side,
    measure: str, subsumer: str, as_json: bool,
) -> None:  # fmt: skip
    from cog.wordnet.pairs import explain_pair
    from cog.wordnet.similarity import nearest

    a, b, among = left.concepts[0], right.concepts[0], ""
    if left.is_set or right.is_set:
        one, many = (right, left) if left.is_set else (left, right)
        a, among = one.concepts[0], f"{many.text} ({len(many.concepts)} concepts)"
        b = int(nearest(taxonomy, ic, [a], many.concepts, measure, subsumer).seen[0])
    found = explain_pair(taxonomy, ic, a, b, measure, subsumer)
    if as_json:
        click.echo(json.dumps(_pair_record(taxonomy, found, measure, among), ensure_ascii=False))
        return
    if among:
        click.echo(f"nearest to {taxonomy.names[a]} in {among}: {taxonomy.names[b]}")
    click.echo(_pair_text(taxonomy, found, measure))


def _pair_record(
    taxonomy: Taxonomy, found: Explanation, measure: str, among: str
) -> dict[str, Any]:
    def synset(i: int) -> dict[str, str] | None:
        return {"wnid": taxonomy.wnids[i], "name": taxonomy.names[i]} if i >= 0 else None

    record = {
        "measure": measure,
        "value": found.value,
        "a": synset(found.a),
        "b": synset(found.b),
        "subsumer": synset(found.subsumer),
        "rule": found.rule,
        "formula": found.formula,
        "terms": found.terms,
        "note": found.note,
    }
    return {**record, "nearest_in": among} if among else record


def _pair_text(taxonomy: Taxonomy, found: Explanation, measure: str) -> str:
    names = taxonomy.names
    above = "  s  nothing is above both"
    if found.subsumer >= 0:
        above = _synset_line("s", taxonomy, found.subsumer) + f"  ({_RULES[found.rule]})"
    note = f"  ({found.note})" if found.note else ""
    return "\n".join([
        f"{measure}({names[found.a]}, {names[found.b]}) = {found.value:.6g}{note}",
        _synset_line("a", taxonomy, found.a),
        _synset_line("b", taxonomy, found.b),
        above,
        f"  {measure} = {found.formula}",
        f"  {' ' * len(measure)} = {found.numbers}",
    ])  # fmt: skip


def _synset_line(letter: str, taxonomy: Taxonomy, i: int) -> str:
    return f"  {letter}  {taxonomy.wnids[i]}  {taxonomy.names[i]}"


def _print_sets(
    taxonomy: Taxonomy, ic: NDArray[np.float64], left: Side, right: Side,
    measure: str, subsumer: str, as_json: bool,
) -> None:  # fmt: skip
    from cog.wordnet.concept_sets import spread
    from cog.wordnet.similarity import nearest

    records = []
    for one, other in ((left, right), (right, left)):
        best = nearest(taxonomy, ic, one.concepts, other.concepts, measure, subsumer)
        found = spread(best.value)
        records.append({"from": one.text, "to": other.text, "measure": measure, **vars(found)})
        if not as_json:
            click.echo(_spread_text(one, other, measure, found))
    if as_json:
        click.echo(json.dumps(records, ensure_ascii=False))


def _spread_text(one: Side, other: Side, measure: str, found: Spread) -> str:
    lines = [
        f"{measure}: the best match in {other.text} ({len(other.concepts)} concepts) of each of"
        f" {found.count} in {one.text}",
        "  mean none: no value is finite",
    ]
    if found.quartiles:
        minimum, low, median, high, maximum = (f"{value:.4g}" for value in found.quartiles)
        lines[-1] = (
            f"  mean {found.mean:.4g}   min {minimum}   25 % {low}   median {median}"
            f"   75 % {high}   max {maximum}"
        )
    if found.infinite:
        lines.append(f"  {found.infinite} infinite, left out of these numbers and of the bars")
    most = max(found.histogram, default=1)
    for at, count in enumerate(found.histogram):
        interval = f"{found.edges[at]:9.4g} to {found.edges[at + 1]:<9.4g}"
        lines.append(f"  {interval} {count:6d} {'#' * round(40 * count / most)}".rstrip())
    return "\n".join(lines)
