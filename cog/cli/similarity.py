"""`cog similarity`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cog.cli import completion
from cog.cli.help import GroupedOption
from cog.cli.options import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cog.wordnet.concept_sets import Comparison, Side, Spread
    from cog.wordnet.similarity import Explanation
    from cog.wordnet.taxonomy import Taxonomy


MATCH_COLUMNS = ("from", "to", "wnid", "name", "nearest_wnid", "nearest_name", "subsumer", "value")


class MeasureOption(GroupedOption):
    """An option whose help begins with the names of all measures; only the help imports them."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The option and its help."""
        from cog.wordnet.measures import MEASURES

        names, said = super().get_help_record(ctx) or ("", "")
        return names, f"{', '.join(MEASURES)}.  {said}".strip()


@click.command(short_help="How alike two concepts or sets are.")
@click.argument("a")
@click.argument("b")
@click.option(
    "--measure",
    shell_complete=completion.measure,
    cls=MeasureOption,
    section="Options",
    default="lin",
    show_default=True,
)
@click.option("--subsumer", default="deepest", show_default=True,
              help="Which synset above both a measure by information content takes: deepest (the "
                   "benchmark's) or most-informative (NLTK's).")  # fmt: skip
@click.option("--ic", "corpus", default="imagenet", show_default=True,
              help="Corpus of the information content: imagenet (the benchmark's), wordnet, an "
                   "ic-*.dat file of WordNet-Similarity, or a file of wnids.")  # fmt: skip
@click.option("--wordnet", default="bundled", show_default=True,
              help="bundled (3.0), nltk, or a WordNet dict folder.")  # fmt: skip
@click.option("--json/--no-json", "as_json", default=False, help="Print JSON.")
@click.option("--out", metavar="FILE.csv", type=click.Path(dir_okay=False, path_type=Path),
              help="Of two sets: write the best match of each member here.")  # fmt: skip
def similarity(
    a: str,
    b: str,
    measure: str,
    subsumer: str,
    corpus: str,
    wordnet: str,
    as_json: bool,
    out: Path | None,
) -> None:
    """How alike A and B are: concepts, or sets of concepts.

    A concept is a wnid (n02084071), a synset name (dog.n.01) or a word (dog: its first sense). A
    set is a file with a concept a line, a table by `cog synsets`, a levels.csv, or one of in1k,
    in21k, L1 to L5 and official (the 5,000 of those levels). If a file has the name of a word, the
    file is taken. Two concepts give the value and its formula. A concept and a set give the nearest
    member. Two sets give the similarities of each member to its best match in the other set, both
    ways: their mean and how they are distributed. Concepts count once each.

    \b
    Example:
        cog similarity dog cat
        cog similarity giraffe in1k --measure path
        cog similarity L5 in1k
        cog similarity pets-synsets.csv in1k --out matches.csv
    """
    from cog.wordnet.concept_sets import compare_sides, some
    from cog.wordnet.taxonomy import load_taxonomy

    taxonomy = load_taxonomy(wordnet)
    left, right = _side(taxonomy, a), _side(taxonomy, b)
    if out is not None and not (left.is_set and right.is_set):
        raise click.UsageError("--out has the best matches of two sets; A or B is one concept")
    found = compare_sides(taxonomy, left, right, measure, subsumer, corpus)
    for note in dict.fromkeys(left.notes + right.notes):
        say(note)
    if found.added:
        names = [taxonomy.names[i] for i in found.added]
        say(f"not in the corpus, added with its ancestors: {some(names, 5)}")
    if found.pair:
        among = _named(found.nearest_in) if found.nearest_in else ""
        show = _pair_json if as_json else _pair_text
        click.echo(show(taxonomy, found.pair, measure, among))
    else:
        _print_spreads(found, measure, as_json)
    if out is not None:
        _write_matches(out, taxonomy, found)
        click.echo(out, err=as_json)


def _print_spreads(found: Comparison, measure: str, as_json: bool) -> None:
    if as_json:
        rows = [{"from": one.text, "to": other.text, "measure": measure, **vars(values)}
                for one, other, values in found.spreads]  # fmt: skip
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for one, other, values in found.spreads:
        click.echo(_spread_text(one, other, measure, values))


def _write_matches(out: Path, taxonomy: Taxonomy, found: Comparison) -> None:
    from cog.csv_text import rows_as_csv
    from cog.storage import write_text

    write_text(out, rows_as_csv([MATCH_COLUMNS, *_match_rows(taxonomy, found)], say))


def _match_rows(taxonomy: Taxonomy, found: Comparison) -> Iterator[tuple[object, ...]]:
    """A row a member of each set, with its best match in the other one; infinite values too."""
    from cog.wordnet.measures import INFINITE

    for (one, other, _), best in zip(found.spreads, found.matches, strict=True):
        columns = one.concepts, best.seen.tolist(), best.value.tolist(), best.subsumer.tolist()
        for a, b, value, above in zip(*columns, strict=True):
            yield (
                one.text, other.text, taxonomy.wnids[a], taxonomy.names[a],
                taxonomy.wnids[b], taxonomy.names[b],
                taxonomy.names[above] if above >= 0 else None,
                value if value < INFINITE else "inf",
            )  # fmt: skip


def _side(taxonomy: Taxonomy, text: str) -> Side:
    from cog.levels.files import read_levels
    from cog.levels.table import level_named
    from cog.wordnet.concept_sets import read_side, set_of

    level = level_named(text)
    if level is None:
        return read_side(taxonomy, text)
    return set_of(taxonomy, f"L{level}", read_levels().wnids(level))


def _named(side: Side) -> str:
    return f"{side.text} ({len(side.concepts)} concepts)"


def _pair_json(taxonomy: Taxonomy, found: Explanation, measure: str, among: str) -> str:
    def synset(i: int) -> dict[str, str] | None:
        return {"wnid": taxonomy.wnids[i], "name": taxonomy.names[i]} if i >= 0 else None

    record: dict[str, Any] = {"measure": measure, **vars(found)}
    record |= {name: synset(record[name]) for name in ("a", "b", "subsumer")}
    del record["numbers"]  # which `terms` holds in full
    return json.dumps(record | ({"nearest_in": among} if among else {}), ensure_ascii=False)


def _pair_text(taxonomy: Taxonomy, found: Explanation, measure: str, among: str) -> str:
    from cog.wordnet.measures import RULES

    def synset(i: int) -> str:
        return f"{taxonomy.wnids[i]}  {names[i]}"

    names = taxonomy.names
    above = "nothing is above both"
    if found.subsumer >= 0:
        above = f"{synset(found.subsumer)}  ({RULES[found.rule]})"
    note = f"  ({found.note})" if found.note else ""
    return "\n".join([
        *([f"nearest to {names[found.a]} in {among}: {names[found.b]}"] if among else []),
        f"{measure}({names[found.a]}, {names[found.b]}) = {found.value:.6g}{note}",
        f"  a  {synset(found.a)}",
        f"  b  {synset(found.b)}",
        f"  s  {above}",
        f"  {measure} = {found.formula}",
        f"  {' ' * len(measure)} = {found.numbers}",
    ])  # fmt: skip


def _spread_text(one: Side, other: Side, measure: str, found: Spread) -> str:
    lines = [
        f"{measure}: the best match in {_named(other)} of each of {found.count} in {one.text}",
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
