"""The options of a run with what its protocol fixes, and what keeps protocols apart in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cog.datasets.dataset import DatasetOptions
from cog.datasets.protocol import Protocol as OfSuite
from cog.errors import CogError, unknown_name
from cog.evaluation.options import read_options
from cog.evaluation.protocols.protocol import Protocol
from cog.evaluation.protocols.table import PROTOCOLS
from cog.recipe import Recipe
from cog.results.cells import protocol_names
from cog.storage import StoragePath


def with_protocol(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `cog.evaluate` by name, with those that their protocol fixes.

    Raises:
        CogError: an unknown protocol, or an argument or a number of the recipe that it has
            otherwise.
    """
    recipe: Recipe = options.get("recipe") or Recipe()
    name = options.get("protocol") or recipe.protocol
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    protocol = PROTOCOLS[name]
    contradictions = [*_of_options(protocol, options), *_of_recipe(protocol, recipe)]
    if contradictions:
        raise CogError(
            f"the protocol {name} fixes what is given otherwise: {'; '.join(contradictions)}",
            f"leave it out, or take another --protocol; `cog protocols show {name}` has more",
        )
    fixed = replace(recipe, protocol=name, **protocol.recipe)
    return {**options, **protocol.options, "recipe": fixed}


def _of_options(protocol: Protocol, options: Mapping[str, Any]) -> Iterator[str]:
    """Each option that is given otherwise than the protocol has it."""
    for name, value in protocol.options.items():
        given = read_options((name,), options).get(name, value)
        if given != value:
            yield f"expected {name} {in_words(value)}, found {in_words(given)}"


def _of_recipe(protocol: Protocol, recipe: Recipe) -> Iterator[str]:
    """Each number of a recipe that is neither the default nor as the protocol has it."""
    own = {name: value for name, value in protocol.options.items() if hasattr(recipe, name)}
    for name, value in {"protocol": protocol.name, **own, **protocol.recipe}.items():
        given = getattr(recipe, name)
        if given not in (getattr(Recipe, name), value):
            yield f"expected {name} {in_words(value)} in the recipe, found {in_words(given)}"


def splits_of_suites_alone(
    datasets: DatasetOptions, protocol: str
) -> tuple[DatasetOptions, tuple[str, ...]]:
    """The options of a run by a protocol that says how every set is evaluated, and what to notify.

    Suites say how each of their sets is evaluated within `cog`. Another protocol leaves of this
    which images are drawn for testing: that is of the data.
    """
    if protocol == Recipe.protocol or not datasets.protocols:
        return datasets, ()
    left = tuple(
        (name, OfSuite(each.about, test_per_class=each.test_per_class, min_train=each.min_train))
        for name, each in datasets.protocols
        if each.test_per_class or each.min_train
    )
    names = ", ".join(dict(datasets.protocols))
    note = f"{names}: evaluated by {protocol}, not as their suite says within {Recipe.protocol}"
    return replace(datasets, protocols=left), (note,)


def in_words(value: Any) -> str:
    """A value as the command line takes it.

    >>> in_words(("knn-10", "knn-20")), in_words((None,)), in_words((0.07, 10**-5.75))
    ('knn-10,knn-20', 'all', '0.07,1.77828e-06')
    """
    if isinstance(value, tuple):
        return ",".join("all" if each is None else in_words(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def refuse_another_protocol(out: StoragePath, recipe: Recipe) -> None:
    """Refuse a folder whose finished cells are of another protocol, before any work.

    Raises:
        CogError: which protocol they are of.
    """
    others = sorted(set(protocol_names(out)) - {recipe.protocol})
    if others:
        raise CogError(
            f"{out} has results of the protocol {', '.join(others)}, and {recipe.protocol} is "
            "asked for: results of different protocols never share a table",
            f"give another --out, or --protocol {others[0]}",
        )


def of_its_folder(options: Mapping[str, Any], out: StoragePath) -> Mapping[str, Any]:
    """The arguments of a run for features alone, in a folder with results of some protocol.

    Features are the same in all of them; what run.json says of the recipe is that of the results.
    """
    name, *others = sorted(set(protocol_names(out))) or [Recipe.protocol]
    return options if others or name not in PROTOCOLS else {**options, "protocol": name}
