"""What is known of a model by any form of its name: its weights, its feature, its preprocessing.

Needs no torch for a row of the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cog.models.listing import describe
from cog.models.options import LoadOptions
from cog.models.sources.table import PublishedWeights, find_form
from cog.models.weights.download import NotHere
from cog.models.zoo import find_row
from cog.progress import Notify

if TYPE_CHECKING:
    from cog.models.model import Model

Facts = Iterator[tuple[str, str]]
"""pairs of a name and a text"""


def describe_model(spec: str, *, trust_checkpoint: bool = False, notify: Notify) -> Facts:
    """The facts of a model as pairs of name and text; nothing is downloaded.

    A row of the table is shown as it is. For every other form the network is made untrained, to ask
    it; a fact for which a file must be downloaded first says so. A `file.py:function` runs.

    Raises:
        CogError: an unknown name; a program that is not trusted; no such file or folder.
    """
    form, written = find_form(spec)
    if form is None:
        row = find_row(spec)
        if row.name != spec:
            notify(f"{spec} means {row.name}")
        yield from describe(row)
        return
    from cog.models.load import load

    published = form.published(written)
    yield "form", form.written
    yield "weights", _in_words(published)
    try:
        # weights that the user's code makes are there already: nothing is gained without them
        options = LoadOptions(
            pretrained=not published.downloaded and form.file == "from_file",
            trust_checkpoint=trust_checkpoint,
            download=False,
        )
        model = load(spec, options, notify=notify)
    except NotHere as error:
        yield "seen_data", published.seen_data or "unknown"
        yield "needs a download", f"{error.what}; cog models check {spec} downloads and shows it"
        return
    yield "dim", str(model.dim)
    yield from facts_of(model, published.seen_data)


def facts_of(model: Model, seen_data: str = "") -> Facts:
    """What a loaded model is; `seen_data`: what its weights have seen, if it is untrained."""
    yield "name", model.name
    yield "feature", model.feature or "output of the network"
    yield "parameters", f"{model.n_parameters:,}"
    for key, value in model.preprocess.describe().items():
        yield key, str(value)
    yield "seen_data", model.seen_data or seen_data or "unknown"


def _in_words(published: PublishedWeights) -> str:
    if published.here:
        return f"{published.where}, {published.here}"
    return f"{published.where} (not downloaded yet)" if published.downloaded else published.where
