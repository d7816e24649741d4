"""The shape of the code: which way imports go, what is documented, and how fast it starts."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cog
from tests.support.processor_time import least_seconds_of

PACKAGE = Path(cog.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the bottom up: a package imports only from rows below its own, and none of its own row.
GROUND = (
    "cores", "csv_text", "errors", "hashes", "interruption", "object_storage", "papers",
    "partial_files", "plain_text", "processes", "progress", "provenance", "recipe", "rounding",
    "small_files", "storage", "tf32",
)  # fmt: skip
ROWS = (
    GROUND,
    ("images", "wordnet"),
    ("levels", "models", "probes"),
    ("datasets", "features", "results", "sklearn"),
    ("evaluation", "report"),
    ("demo", "monitor"),
    ("cli",),
)
ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    )


@pytest.mark.parametrize("statement", ["import cog", "import cog.cli.main"])
def test_starting_imports_nothing_heavy(statement):
    heavy = [
        "torch",
        "torchvision",
        "timm",
        "pandas",
        "numpy",
        "zarr",
        "optuna",
        "nltk",
        "scipy",
        "sklearn",
    ]
    code = f"import sys; {statement}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("words", [["--help"], ["evaluate", "--help"]], ids=" ".join)
def test_help_answers_at_once(words):
    """0.3 s of processor time: what a command line loads late, its help does not load."""
    assert least_seconds_of("cog", *words) < 0.3


def test_public_names_are_there():
    for name in cog.__all__:
        assert getattr(cog, name) is not None
    assert set(cog.__all__) <= set(dir(cog))
    with pytest.raises(AttributeError, match="nothing"):
        _ = cog.nothing


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_everything_public_is_documented_and_annotated(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    scopes = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]
    assert ast.get_docstring(tree)
    for node in (node for scope in scopes for node in scope.body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"
        if isinstance(node, ast.FunctionDef):
            assert node.returns is not None, f"{node.name} lacks a return annotation"


def test_no_file_is_over_300_lines():
    lines = {module_name(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > 300} == {}


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_function_is_over_50_lines(path):
    """Its signature counts, with what it documents; `evaluate` has some forty arguments."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    lines = {node.name: node.end_lineno - node.lineno + 1 for node in functions}
    long = {name: count for name, count in lines.items() if count > 50}
    assert long.keys() <= {"evaluate"} if path.name == "evaluate.py" else not long


def imported_modules(path: Path) -> set[str]:
    """The modules of the package that a file imports, anywhere in it, in any form."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{_absolute(node, path)}.{alias.name}" for alias in node.names}
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {_module_of(name) for name in found if name.split(".")[0] == "cog"}


def _absolute(node: ast.ImportFrom, path: Path) -> str:
    """The module that a statement imports from, a relative one counted from its file."""
    if not node.level:
        return node.module or ""
    package = path.relative_to(PACKAGE.parent).parts[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def _module_of(name: str) -> str:
    """The module of an imported name: `cog.errors` of `cog.errors.CogError`, or of itself."""
    while name and name not in NAMES:
        name = name.rpartition(".")[0]
    return name


NAMES = {module_name(path) for path in MODULES}


def test_the_table_has_every_package_and_file_of_the_top():
    on_disk = {path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")}
    assert on_disk == set(GROUND)
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages | on_disk == set(ROW_OF)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_go_down(path):
    """Row by row, as the table at the top has it; a package counts as one."""
    own = module_name(path).split(".")[1:2]
    if not own or own == ["__main__"]:
        return
    for name in imported_modules(path):
        parts = name.split(".")
        assert len(parts) > 1, "import a module, not the lazy names of `cog`"
        if parts[1] != own[0] and not {parts[1], *own} <= set(GROUND):
            assert ROW_OF[parts[1]] < ROW_OF[own[0]], f"{own[0]} must not import {name}"


def test_modules_import_each_other_in_no_circle():
    below = {module_name(path): imported_modules(path) - {module_name(path)} for path in MODULES}
    while below:
        free = {name for name, imports in below.items() if not imports & below.keys()}
        assert free, f"each of these is imported by another of them: {sorted(below)}"
        below = {name: imports for name, imports in below.items() if name not in free}


@pytest.mark.parametrize(
    ("statement", "module"),
    [
        ("import cog.wordnet.names", "cog.wordnet.names"),
        ("import cog.errors as e", "cog.errors"),
        ("from cog import errors", "cog.errors"),
        ("from cog.errors import CogError", "cog.errors"),
        ("from cog.wordnet import names", "cog.wordnet.names"),
        ("from .names import find_concept", "cog.wordnet.names"),
        ("from . import names", "cog.wordnet.names"),
        ("from ..errors import CogError", "cog.errors"),
        ("def f():\n    from cog import errors", "cog.errors"),
    ],
)
def test_every_form_of_import_is_seen(tmp_path, monkeypatch, statement, module):
    path = PACKAGE / "wordnet" / "invented.py"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: statement)
    assert imported_modules(path) == {module}
