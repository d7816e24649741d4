"""The package: what the wheel and the sdist hold, and that it works without the clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Sequence
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from cog.levels.files import read_levels
from cog.provenance import VERSION
from tests.support.dockerfile import Dockerfile

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
PARTS = ("cog", "levels", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE",
         "CHANGELOG.md", "CITATION.cff")  # fmt: skip
# What lies about in a clone that is worked in, and belongs into no archive.
LITTER = (
    ".venv/lib/python3.11/site-packages/other.py", ".coverage", ".pytest_cache/README.md",
    ".ci/run", ".hypothesis/unicode_data/codec.json.gz", "build/lib/cog/old.py",
    "runs/results.csv", "cog-demo/results.csv", "shared/data/images.csv", "tests/test_shape.py",
    "tests/data/row.csv", "tests/__pycache__/conftest.cpython-311.pyc", "site/index.html",
    "docs/start.md", "setup.cfg.orig", "cog/__pycache__/recipe.cpython-311.pyc",
    "cog/wordnet/data/other.npz.part", "cog/cli/.DS_Store", "cog/cli/main.py.orig",
    "benchmarks/gpu.py", "tools/make.py", "examples/notebook.ipynb",
)  # fmt: skip
PROBE = """
import os, runpy, site, sys
site.addsitedir(sys.argv[2])  # where cog was installed
sys.path.append(sys.argv[1])  # the dependencies; no .pth of theirs is read, so no other cog
del sys.argv[1:3]
sys.argv[0] = "cog"
if sys.argv[1:]:
    from cog.__main__ import start
    sys.exit(start())
import cog
from cog.levels.files import official_folder
print(cog.__file__, official_folder(), cog.read_levels().fingerprint, sep="\\n")
"""


def call(*words: object, cwd: Path, **variables: str) -> str:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False,
        env=own | variables,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def copy(parts: Sequence[str], folder: Path) -> Path:
    """These parts of the clone in a folder, without anything that was built in this one."""
    ignore = shutil.ignore_patterns("__pycache__")
    for part in parts:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, symlinks=True, ignore=ignore)
        else:
            shutil.copy(source, folder / part)
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A clone with its files, and with what lies about in one."""
    folder = copy(PARTS, tmp_path_factory.mktemp("clone"))
    for name in LITTER:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("not to be published\n")
    return folder


@pytest.fixture(scope="module")
def files() -> set[str]:
    """The files of an installed package: those of cog/, and the official levels."""
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "cog").rglob("*") if path.is_file()}
    levels = {f"cog/official_levels/{path.name}" for path in (ROOT / "levels").iterdir()}
    return {name for name in code | levels if "__pycache__" not in name}


def build(clone: Path, what: str, out: Path) -> Path:
    """A wheel, an editable wheel or an sdist, by setuptools itself: nothing is fetched."""
    code = f"from setuptools.build_meta import build_{what} as b; b({str(out)!r})"
    call("-c", code, cwd=clone)
    return next(out.iterdir())


@pytest.fixture(scope="module")
def sdist(clone, tmp_path_factory) -> Path:
    return build(clone, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> Path:
    """Built from the sdist, as `python -m build` does: from a clone it would take build/lib too."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return build(folder / f"imagenet_cog-{VERSION}", "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("site"))


def install(file: Path, target: Path) -> Path:
    call("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
         "--target", target, file, cwd=file.parent)  # fmt: skip
    return target


def run(site: Path, cwd: Path, *words: object, **variables: str) -> str:
    """The `cog` that is installed there, or without words what `found` reads."""
    dependencies = sysconfig.get_paths()["purelib"]
    return call("-S", "-c", PROBE, dependencies, site, *words, cwd=cwd, **variables)


def found(site: Path, cwd: Path) -> tuple[Path, Path, str]:
    """Which cog is imported, where its official levels are, and their fingerprint."""
    package, levels, fingerprint = run(site, cwd).splitlines()
    return Path(package).parent, Path(levels), fingerprint


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"imagenet_cog-{VERSION}.dist-info/METADATA").decode()
    return Parser().parsestr(text)


def test_clone(clone, tmp_path):
    package, levels, fingerprint = found(clone, tmp_path)
    assert (package, levels) == (clone / "cog", clone / "cog" / "official_levels")
    assert fingerprint == read_levels().fingerprint


def test_editable(clone, tmp_path):
    (tmp_path / "built").mkdir()
    wheel = build(clone, "editable", tmp_path / "built")
    package, levels, fingerprint = found(install(wheel, tmp_path / "site"), tmp_path)
    assert (package, levels) == (clone / "cog", clone / "cog" / "official_levels")
    assert fingerprint == read_levels().fingerprint


@pytest.mark.parametrize("what", ["wheel", "sdist"])
def test_built(what, request, tmp_path):
    site = install(request.getfixturevalue(what), tmp_path / "site")
    package, levels, fingerprint = found(site, tmp_path)
    assert (package, levels) == (site / "cog", site / "cog" / "official_levels")
    assert fingerprint == read_levels().fingerprint
    for name in ("levels.csv", "seen.csv", "levels.json"):
        assert (levels / name).read_bytes() == (ROOT / "levels" / name).read_bytes()


def test_the_wheel_holds_the_package_its_data_and_their_licences_alone(wheel, files):
    about = "METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt"
    licences = "licenses/LICENSE", "licenses/cog/wordnet/data/WORDNET-LICENCE.txt"
    with zipfile.ZipFile(wheel) as archive:
        held = archive.namelist()
        texts = [archive.read(name).decode() for name in held if "/licenses/" in name]
    folder = f"imagenet_cog-{VERSION}.dist-info/"
    assert len(held) == len(set(held))
    assert set(held) == files | {folder + name for name in (*about, *licences)}
    assert any("Copyright (c) 2026, the cog developers" in text for text in texts)
    assert any("WordNet 3.0 Copyright 2006 by Princeton University" in text for text in texts)
    assert wheel.stat().st_size < 4e6


def test_the_sdist_holds_what_builds_the_wheel_alone(sdist, files):
    own = {"PKG-INFO", "setup.cfg", "pyproject.toml", "MANIFEST.in"}
    told = {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"}
    egg = (
        "PKG-INFO",
        "SOURCES.txt",
        "dependency_links.txt",
        "entry_points.txt",
        "requires.txt",
        "top_level.txt",
    )
    with tarfile.open(sdist) as archive:
        held = [each.name.partition("/")[2] for each in archive if not each.isdir()]
        assert all(each.isfile() or each.isdir() for each in archive)
    assert len(held) == len(set(held))
    assert set(held) == files | own | told | {f"imagenet_cog.egg-info/{name}" for name in egg}


def test_the_metadata_say_what_it_is(wheel):
    told = metadata(wheel)
    assert told["Name"] == "imagenet-cog"
    assert told["Version"] == VERSION
    assert told["License-Expression"] == "BSD-3-Clause AND LicenseRef-WordNet-3.0"
    assert told.get_all("License-File") == ["LICENSE", "cog/wordnet/data/WORDNET-LICENCE.txt"]
    assert not any("License ::" in each for each in told.get_all("Classifier"))
    urls = dict(each.split(", ") for each in told.get_all("Project-URL"))
    assert {"Documentation", "Source", "Changelog", "Issues"} <= urls.keys()
    assert told.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")


def test_both_pass_the_checks_of_the_index(wheel, sdist):
    """Metadata that PyPI does not know, or a README that it cannot render, are faults."""
    check = pytest.importorskip("twine.commands.check", reason="twine: pip install -e .[check]")
    assert check.check([str(wheel), str(sdist)], strict=True) is False  # no fault


def test_an_installed_one_builds_levels_without_a_home(installed, tmp_path):
    """From another folder, where neither the home folder nor the caches can be written."""
    none = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "COG_HOME"), os.devnull)
    assert run(installed, tmp_path, "--version", **none) == f"cog, version {VERSION}\n"
    run(installed, tmp_path, "build-levels", "--eligible", "official", "--out", "built", **none)
    assert (tmp_path / "built" / "seen.csv").read_bytes() == (
        ROOT / "levels" / "seen.csv"
    ).read_bytes()
    built, official = (read_levels(folder) for folder in (tmp_path / "built", ROOT / "levels"))
    assert built.fingerprint == official.fingerprint


def test_the_image_builds_the_same_wheel(wheel, tmp_path):
    """Of what the Dockerfile copies, less what .dockerignore keeps out."""
    sources = Dockerfile(ROOT).copied()
    (tmp_path / "context").mkdir()
    (tmp_path / "built").mkdir()
    built = build(copy(sources, tmp_path / "context"), "wheel", tmp_path / "built")
    with zipfile.ZipFile(built) as ours, zipfile.ZipFile(wheel) as theirs:
        assert ours.namelist() == theirs.namelist()
