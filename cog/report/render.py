"""Templates to pages: HTML in one file, with its styles, scripts and data inside."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render(template: str, **values: Any) -> str:
    """The page that a template of cog/report/templates makes of `values`.

    Text is escaped. `{{ value | json }}` puts data into a script element, whatever strings it
    holds; `{{ "name.js" | source }}` inserts a file of the templates as it is.

    Raises:
        jinja2.UndefinedError: a value that the template needs is missing.
    """
    return _environment().get_template(template).render(**values)


def as_json(value: Any) -> Markup:
    """JSON that cannot end a script element or start a comment: `<`, `>` and `&` are escaped.

    >>> as_json({"model": "</script><b>"})
    Markup('{"model":"\\\\u003c/script\\\\u003e\\\\u003cb\\\\u003e"}')

    Raises:
        ValueError: NaN or an infinity, which JSON does not have.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


@cache
def _environment() -> Environment:
    loader = PackageLoader("cog.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["json"] = as_json
    environment.filters["source"] = lambda name: Markup(loader.get_source(environment, name)[0])
    return environment
