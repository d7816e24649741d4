"""The official levels are found from a clone, an editable install, a wheel and an sdist alike."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from cog.levels.files import read_levels

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
PARTS = ("cog", "levels", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
PROBE = """
import sys, site
site.addsitedir(sys.argv[2])  # where cog was installed
sys.path.append(sys.argv[1])  # the dependencies; no .pth of theirs is read, so no other cog
import cog
from cog.levels.files import official_folder
print(cog.__file__, official_folder(), cog.read_levels().fingerprint, sep="\\n")
"""


def call(*words: object, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """What a clone holds, without anything that was built in this one."""
    folder = tmp_path_factory.mktemp("clone")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / part, symlinks=True, ignore=ignore)
        else:
            shutil.copy(source, folder / part)
    return folder


def build(clone: Path, what: str, out: Path) -> Path:
    """A wheel, an editable wheel or an sdist, by setuptools itself: nothing is fetched."""
    code = f"from setuptools.build_meta import build_{what} as b; b({str(out)!r})"
    call("-c", code, cwd=clone)
    return next(out.iterdir())


def install(file: Path, target: Path) -> Path:
    call("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
         "--target", target, file, cwd=file.parent)  # fmt: skip
    return target


def found(place: Path, cwd: Path) -> tuple[Path, Path, str]:
    """Which cog is imported, where its official levels are, and their fingerprint."""
    dependencies = sysconfig.get_paths()["purelib"]
    package, levels, fingerprint = call(
        "-S", "-c", PROBE, dependencies, place, cwd=cwd
    ).splitlines()
    return Path(package).parent, Path(levels), fingerprint


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
def test_built(what, clone, tmp_path):
    (tmp_path / "built").mkdir()
    file = build(clone, what, tmp_path / "built")
    site = install(file, tmp_path / "site")
    package, levels, fingerprint = found(site, tmp_path)
    assert (package, levels) == (site / "cog", site / "cog" / "official_levels")
    assert fingerprint == read_levels().fingerprint
    for name in ("levels.csv", "seen.csv", "levels.json"):
        assert (levels / name).read_bytes() == (ROOT / "levels" / name).read_bytes()
