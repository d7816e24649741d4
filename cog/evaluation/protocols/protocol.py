"""What a protocol is: what it fixes of a run, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Published:
    """A number that a protocol gave those who published it."""

    model: str
    """the name of `cog models list`"""
    dataset: str
    metric: str
    value: float
    """in percent"""
    source: str
    probe: str = ""
    """which of the protocol's probes it is of, where it has several"""


@dataclass(frozen=True)
class Protocol:
    """How a paper or a tool evaluates frozen features."""

    name: str
    about: str
    source: str
    """the paper, and the file of its public code"""
    papers: tuple[str, ...] = ()
    """what to cite for it, keys of cog/papers.csv"""
    differs: tuple[str, ...] = ()
    """what is not as in the source, a sentence each"""
    published: tuple[Published, ...] = ()
    """none: no number could be sourced"""
    options: Mapping[str, Any] = field(default_factory=dict)
    """the arguments of `cog.evaluate` that it fixes"""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """the fields of `Recipe` that it fixes, and that are no options"""
