"""The page of `cog report`, as one file.

In: `PageData` and levels. Out: HTML that works without a network. Charts are compiled from
Vega-Lite to Vega here, so that a browser has less to do.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup

from cog.errors import unknown_name
from cog.levels.table import Levels
from cog.provenance import cog_version
from cog.report import charts, scatters
from cog.report.axes_data import axes_values, page_axis
from cog.report.explorer import explorer_data
from cog.report.page_data import PageData, as_columns, dataset_label, dataset_labels
from cog.report.render import render
from cog.report.theme import PAGE
from cog.report.vega import SCHEMA, compiled
from cog.results.axes import CONCEPTS, DOMAINS, TASKS
from cog.results.files import is_table
from cog.results.headline import Z95
from cog.storage import StoragePath, write_text
from cog.wordnet.taxonomy import load_taxonomy

CHARTS = (
    charts.levels, charts.domains, charts.tasks, charts.distance, charts.few_shot, charts.ranks,
    scatters.concepts, scatters.surface, scatters.cost,
)  # fmt: skip


def write_page(
    data: PageData, levels: Levels, out: StoragePath, baseline: str | None = None
) -> StoragePath:
    """Write the page of `data` to `out`; gives `out`.

    The explorer shows `levels`, if there are results on some. Differences are to the model
    `baseline`; None: to the best one.

    Raises:
        CogError: no model is called `baseline`.
    """
    require_model(data, baseline)
    taxonomy = load_taxonomy(levels.recipe["wordnet"])
    rows = alt.NamedData(name=charts.ROWS)  # the page gives them
    of_concepts = CONCEPTS in set(data.table["dataset"].map(page_axis))
    page = render(
        "report.html",
        data=page_values(data, baseline),
        results=as_columns(data.results),
        charts={chart.__name__: compiled(chart(rows, PAGE)) for chart in CHARTS},
        vega=Markup(vega_script()),
        n_models=data.table["model"].nunique(),
        said=_said(data),
        sentences=_sentences(data),
        axes=axes_values(
            as_columns(data.means),
            {dataset_label(name): page_axis(name) for name in set(data.table["dataset"])},
        ),
        notes=data.notes,
        confused=[(dataset_label(each.dataset), each) for each in data.confused],
        explorer=explorer_data(levels, taxonomy) if of_concepts else None,
        cog_version=cog_version(),
    )
    write_text(out, page)
    return out


def require_model(data: PageData, name: str | None) -> None:
    """Raise CogError if `name` is given and no model has it."""
    known = sorted(set(data.table["model"]))
    if name is not None and name not in known:
        raise unknown_name("model", name, known)


def page_values(data: PageData, baseline: str | None) -> dict[str, Any]:
    """The data of the page's scripts, ready for JSON."""
    return {
        "baseline": baseline,
        "places": dataset_labels(data.table),
        "summary": as_columns(data.table),
        "concepts": as_columns(data.concepts),
        "classes": data.classes,
        "trials": data.trials,
        "why": data.why,
        "z95": Z95,
    }


@cache
def vega_script() -> str:
    """Vega and vega-embed as one script that sets `window.vegaEmbed`; it comes with vl_convert."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=SCHEMA))


def _said(data: PageData) -> str:
    """On what the models are evaluated, for the head of the page."""
    axes = set(data.table["dataset"].map(page_axis))
    texts = {
        CONCEPTS: "on ImageNet-1K, and on levels of unseen concepts that are less and less like it",
        DOMAINS: "on the same classes in other domains",
        TASKS: "on other tasks",
    }
    return "; ".join(text for axis, text in texts.items() if axis in axes)


def _sentences(data: PageData) -> list[str]:
    """Where the numbers come from: the values of some columns, a line each."""
    titles = {
        "protocol": "Protocol", "split": "Split of images", "levels_hash": "Levels",
        "recipe_hash": "Recipe", "cog_version": "cog", "torch_version": "torch",
        "timm_version": "timm",
    }  # fmt: skip
    values = {
        text: sorted({*data.results[name].dropna().astype(str)} - {""})
        for name, text in titles.items()
    }
    sentences = [f"{text}: {', '.join(found)}" for text, found in values.items() if found]
    return sentences + [f"Table of {table}" for table in data.tables]


def default_out(runs: StoragePath) -> StoragePath:
    """`report.html` in the folder of runs, or beside the file of results."""
    return (runs.parent if is_table(runs) else runs) / "report.html"


def default_levels(runs: StoragePath) -> Path | None:
    """The folder `levels` of runs if there is one; None means the official levels."""
    folder = runs / "levels"
    return folder if isinstance(folder, Path) and (folder / "levels.csv").is_file() else None
