"""Write the figures of docs/levels.md anew, from WordNet and the rules of the levels.

python tools/make_level_figures.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import exp
from pathlib import Path

from cog.levels.build import rank_concepts, window_starts
from cog.levels.recipe import LevelsRecipe
from cog.wordnet.information_content import load_information
from cog.wordnet.taxonomy import load_taxonomy

FIGURES = Path(__file__).parent.parent / "docs" / "figures"
STYLE = """<style>
text { font: 13px system-ui, "Liberation Sans", Arial, sans-serif; fill: #1c2430; }
.quiet { fill: #5a6572; } .bold { font-weight: 600; }
.ground { fill: #ffffff; } .node { fill: #f3f5f8; stroke: #8a94a0; } .key { fill: #d6e8f5; }
.line { fill: none; stroke: #5a6572; } .grid { stroke: #d5dae1; }
.band { fill: #d6e8f5; } .curve { fill: none; stroke: #0072b2; stroke-width: 2.5; }
@media (prefers-color-scheme: dark) {
text { fill: #e8ebef; } .quiet { fill: #aeb6c0; }
.ground { fill: #14181f; } .node { fill: #222933; stroke: #77828f; } .key { fill: #1d4058; }
.line { stroke: #aeb6c0; } .grid { stroke: #3a424d; }
.band { fill: #1d4058; } .curve { stroke: #6cb8ee; }
}
</style>
"""
TREE = {  # synset → where the middle of its box is, and the synset above it in the figure
    "entity.n.01": (360, 30, ""),
    "animal.n.01": (360, 110, "entity.n.01"),
    "carnivore.n.01": (360, 190, "animal.n.01"),
    "canine.n.02": (190, 270, "carnivore.n.01"),
    "feline.n.01": (530, 270, "carnivore.n.01"),
    "dog.n.01": (190, 350, "canine.n.02"),
    "cat.n.01": (530, 350, "feline.n.01"),
}


def tree_figure() -> str:
    """The two branches of the worked example, each synset with its count and its information."""
    taxonomy = load_taxonomy()
    index = {name: taxonomy.names.index(name) for name in TREE}
    ic, _ = load_information(taxonomy, "imagenet", list(index.values()))
    total = int((ic < float("inf")).sum())
    lines, boxes = [], []
    for name, (x, y, above) in TREE.items():
        if above:
            top_x, top_y, _ = TREE[above]
            direct = index[above] in taxonomy.parents_of(index[name])
            dashes = "" if direct else ' stroke-dasharray="3 4"'
            lines.append(f'<path class="line" d="M{top_x} {top_y + 23}L{x} {y - 23}"{dashes}/>')
        content = float(ic[index[name]])
        below = round(total * exp(-content))
        kind = "node key" if name == "carnivore.n.01" else "node"
        boxes += [
            f'<rect class="{kind}" x="{x - 120}" y="{y - 23}" width="240" height="46" rx="6"/>',
            _text(x, y - 4, name, "bold"),
            _text(x, y + 14, f"{below:,} of {total:,} · IC {content:.3f}", "quiet"),
        ]
    note = _text(360, 396, "dashed: synsets between are left out", "quiet")
    return _figure(720, 410, [*lines, *boxes, note])


def ranking_figure() -> str:
    """Similarity to ImageNet-1K along the ranking of the eligible concepts, with the levels."""
    recipe = LevelsRecipe()
    ranking = rank_concepts(recipe)
    values = ranking.best.value
    left, right, top, bottom = 60, 700, 40, 300

    def across(rank: float) -> float:
        return left + (right - left) * rank / len(values)

    def up(value: float) -> float:
        return bottom - (bottom - top) * value

    parts = []
    for level, start in enumerate(window_starts(len(values), recipe), 1):
        x, width = across(start), across(recipe.size) - left
        parts += [
            f'<rect class="band" x="{x:.1f}" y="{top}" width="{width:.1f}"'
            f' height="{bottom - top}"/>',
            _text(x + width / 2, top - 10, f"L{level}", "bold"),
        ]
    for tenths in range(0, 11, 2):
        y = up(tenths / 10)
        parts += [
            f'<path class="grid" d="M{left} {y:.1f}H{right}"/>',
            _text(left - 8, y + 4, f"{tenths / 10:.1f}", "quiet", "end"),
        ]
    for rank in range(0, len(values), 1000):
        parts.append(_text(across(rank), bottom + 20, f"{rank:,}", "quiet"))
    middle = (left + right) / 2
    parts += [
        f'<path class="curve" d="{"".join(_steps(values.tolist(), across, up))}"/>',
        _text(middle, bottom + 42, "rank of the concept, of 5,146 that are eligible", "quiet"),
        _text(16, top - 10, "similarity", "quiet", "start"),
    ]
    return _figure(720, 360, parts)


def _steps(
    values: list[float], across: Callable[[float], float], up: Callable[[float], float]
) -> Iterator[str]:
    """A path through equal values by one line each."""
    yield f"M{across(0):.1f} {up(values[0]):.1f}"
    for rank in range(1, len(values)):
        if values[rank] != values[rank - 1]:
            yield f"H{across(rank):.1f}V{up(values[rank]):.1f}"
    yield f"H{across(len(values)):.1f}"


def _text(x: float, y: float, text: str, kind: str, anchor: str = "middle") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _figure(width: int, height: int, parts: list[str]) -> str:
    ground = f'<rect class="ground" width="{width}" height="{height}" rx="8"/>'
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    body = "\n".join([ground, *parts])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{STYLE}{body}\n</svg>\n'


MAKE = {"lin-dog-cat.svg": tree_figure, "levels-ranking.svg": ranking_figure}


def main() -> None:
    """Write every figure."""
    FIGURES.mkdir(exist_ok=True)
    for name, make in MAKE.items():
        (FIGURES / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
