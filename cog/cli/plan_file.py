"""Plans as TOML: what the options of `cog evaluate` say, written in a file.

A key is an option without its dashes. A plan becomes the words of its command, which the options
read: so each option of `cog evaluate` is a key, with its values and errors, without a line here.
"""

from __future__ import annotations

import json
import os.path
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from cog.errors import CogError, unknown_name
from cog.small_files import read_text

TYPED = ("dry_run", "worker")
"""options that are typed, as they say how one command runs, not what is evaluated"""

SEE = "docs/plans.md shows a plan, and `cog evaluate --help` what each key may be"
_BYTES = 1 << 20
_LIST = "LIST"  # the metavar of options that are values with commas between them
_RULE = "# Paths are relative to"

Values = dict[str, Any]
"""the values of a plan by key, as TOML has them"""


def keys_of(command: click.Command) -> dict[str, click.Option]:
    """The options of a command by their keys in a plan.

    >>> from cog.cli.evaluate import evaluate
    >>> list(keys_of(evaluate))[:4]
    ['model', 'name', 'weights', 'weights-key']
    """
    options = (each for each in command.params if isinstance(each, click.Option))
    return {each.opts[0].removeprefix("--"): each for each in options if each.name not in TYPED}


def read_plan(path: Path, command: click.Command) -> Values:
    """The values of a plan in a file, whose keys are options of the command.

    Raises:
        CogError: no such file, no TOML, an unknown key, or a value of a type that the key has not.
    """
    try:
        found = tomllib.loads(read_text(path, _BYTES))
    except OSError as error:
        what = f"the plan {path} cannot be read ({error.strerror or error})"
        raise CogError(what, "give a TOML file; `cog run --print` writes one") from error
    except (ValueError, RecursionError) as error:
        raise CogError(f"{path} is no plan: {error}", SEE) from error
    keys = keys_of(command)
    for key, value in found.items():
        if key.replace("-", "_") in TYPED:
            raise CogError(f"{path}: {key} is no part of a plan", f"type cog run {path} --{key}")
        if key not in keys:
            raise unknown_name(f"key of the plan {path}:", key, keys)
        if below := _key_below(value, keys):
            raise CogError(
                f"{path}: {below} stands below [{key}], which makes it a {key}",
                f"move it above [{key}]; if you mean it so, write {key} = ['{below}=…']",
            )
        if expected := _expected(keys[key], value):
            raise CogError(f"{path}: {key}: expected {expected}, found {value!r}", SEE)
    return found


def _key_below(table: Any, keys: Mapping[str, click.Option]) -> str:
    """A key of a plan that stands in a table, if there is one."""
    pairs = table.items() if isinstance(table, dict) else ()
    return next((key for key, value in pairs if key in keys and not isinstance(value, dict)), "")


def _expected(option: click.Option, value: Any) -> str:
    """What an option takes, where a value is something else."""
    if option.is_flag:
        return "" if isinstance(value, bool) else "true or false"
    if option.multiple:
        pairs = isinstance(value, dict) and "=" in str(option.metavar)
        texts = [value] if isinstance(value, str) else list(value.values()) if pairs else value
        if isinstance(texts, list) and all(isinstance(each, str) for each in texts):
            return ""
        return "a text or a list of texts" + (", or a table" if "=" in str(option.metavar) else "")
    if option.metavar == _LIST and isinstance(value, list):
        return "" if value and all(map(_is_one, value)) else "a list of texts or numbers"
    return "" if _is_one(value) else "a text or a number"


def _is_one(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def words_of(values: Mapping[str, Any], command: click.Command) -> list[str]:
    """What one would type after the command. As in a shell, `~` begins the path of a home.

    >>> from cog.cli.evaluate import evaluate
    >>> words_of({"model": ["dino"], "shots": ["all", 1], "compile": False}, evaluate)
    ['--model=dino', '--shots=all,1', '--no-compile']
    """
    keys = keys_of(command)
    return [word for key, value in values.items() for word in _words(keys[key], value)]


def _words(option: click.Option, value: Any) -> Iterator[str]:
    name = option.opts[0]
    if option.is_flag:
        yield name if value else option.secondary_opts[0]
    elif isinstance(value, dict):
        yield from (f"{name}={key}={each}" for key, each in value.items())
    elif option.multiple:
        texts = [value] if isinstance(value, str) else value
        yield from (f"{name}={_from_home(each)}" for each in texts)
    else:
        texts = value if isinstance(value, list) else [value]
        yield f"{name}={','.join(_from_home(str(each)) for each in texts)}"


def _from_home(text: str) -> str:
    return os.path.expanduser(text)  # noqa: PTH111 # a text that may be something else than a path


def given_values(context: click.Context, command: click.Command) -> Values:
    """The options of a command that were typed in a context, as a plan has them."""
    typed = click.core.ParameterSource.COMMANDLINE
    found: Values = {}
    for key, option in keys_of(command).items():
        name = str(option.name)
        if context.get_parameter_source(name) is typed:
            found[key] = _as_toml(context.params[name])
    return found


def _as_toml(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_as_toml(each) for each in value]
    return value if isinstance(value, bool | int | float) else str(value)


def plan_text(
    values: Mapping[str, Any], command: click.Command, folder: str = "the folder of this file"
) -> str:
    """A plan as TOML, its keys in the order of the options; then defaults, as comments.

    `folder`: what its paths are relative to.
    """
    keys = keys_of(command)
    own = [f"{key} = {_toml(values[key])}" for key in keys if key in values]
    defaults = [
        f"# {key} = {_toml(_as_toml(option.default))}"
        for key, option in keys.items()
        if key not in values and isinstance(option.default, bool | int | str)
    ]
    return (
        "\n".join([f"{_RULE} {folder}.", *own, "", "# What else has a default:", *defaults]) + "\n"
    )


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{_toml(key)} = {_toml(each)}" for key, each in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):  # JSON's escapes are TOML's too
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else str(value)
