"""What a release says of itself: version, address, citation, image and workflows agree."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

import cog
from cog.cli.main import main
from cog.provenance import VERSION, cog_version, versions
from tests.support.dockerfile import Dockerfile

ROOT = Path(__file__).parents[1]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
URLS = dict(line.split(" = ") for line in SETUP["metadata"]["project_urls"].strip().splitlines())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pythons() -> list[str]:
    """The versions of Python that the classifiers name."""
    return re.findall(r"Python :: (3\.\d+)", SETUP["metadata"]["classifiers"])


def test_the_version_is_written_once():
    assert SETUP["metadata"]["version"] == "attr: cog.provenance.VERSION"
    assert cog.__version__ == cog_version() == versions()["imagenet-cog"] == VERSION
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", VERSION)


def test_a_clone_that_is_not_installed_knows_its_version(tmp_path):
    """-S: nothing is installed there."""
    code = f"import sys; sys.path.append({str(ROOT)!r}); import cog; print(cog.__version__)"
    words = [sys.executable, "-S", "-c", code]
    shown = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == VERSION


def test_the_changelog_has_a_section_of_this_version():
    headings = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d{2}-\d{2}))?$", read("CHANGELOG.md"), re.M)
    dates = dict(headings)
    assert dates[VERSION]
    assert [name for name, _ in headings if name not in {"Unreleased", VERSION}] == []
    own = read("CHANGELOG.md").split(f"## [{VERSION}]")[1].split("\n## [")[0]
    parts = re.findall(r"^### (.+)$", own, re.MULTILINE)
    assert parts == ["Added", "Changed", "Removed", "Fixed", "Numbers"]
    assert dates[VERSION] == str(yaml.safe_load(read("CITATION.cff"))["date-released"])


def test_the_citation_is_of_this_version_and_names_both_works():
    cited = yaml.safe_load(read("CITATION.cff"))
    assert cited["version"] == VERSION
    assert cited["repository-code"] == URLS["Source"]
    works = [cited["preferred-citation"], *cited["references"]]
    assert [work["year"] for work in works] == [2021, 1995]
    for work in works:
        assert work["title"]
        assert all(author["family-names"] for author in work["authors"])


def test_the_oldest_python_is_said_alike_everywhere():
    oldest = pythons()[0]
    assert SETUP["options"]["python_requires"] == f">={oldest}"
    assert f'target-version = "py{oldest.replace(".", "")}"' in read("pyproject.toml")
    (matrix,) = re.findall(r"^ +python: (\[.*\])$", read(".github/workflows/ci.yml"), re.MULTILINE)
    assert yaml.safe_load(matrix) == pythons()
    (python,) = [rest for word, rest in Dockerfile(ROOT).lines if rest.startswith("PYTHON=")]
    assert python.removeprefix("PYTHON=") in pythons()


@pytest.mark.parametrize(
    "name", ["README.md", "CITATION.cff", "CHANGELOG.md", "Dockerfile", "mkdocs.yml"]
)
def test_every_page_has_the_one_address(name):
    owner = URLS["Source"].removeprefix("https://github.com/").split("/")[0]
    named = re.findall(r"(?:github|githubusercontent)\.com/([^/\s]+)/imagenet-cog\b", read(name))
    assert set(named) <= {owner}


def test_the_image_is_small_and_runs_cog_as_nobody_in_particular():
    image = Dockerfile(ROOT)
    assert all(
        rest.split(" AS ")[0].endswith("-slim-bookworm")
        for word, rest in image.lines
        if word == "FROM"
    )
    assert int(image.last("USER")) > 0
    assert image.last("ENTRYPOINT") == '["cog"]'
    assert ("ARG", "DEVICE=cpu") in image.lines
    final = image.stages()[-1]
    assert not any("pip" in rest for word, rest in final if word == "RUN")
    assert [rest for word, rest in final if word == "COPY"] == ["--from=build /opt/cog /opt/cog"]
    assert all(
        "--no-cache-dir" in each
        for _, rest in image.lines
        for each in re.findall(r"pip (?:install|wheel)[^;&]*", rest)
    )


def test_the_image_copies_what_the_ignored_list_lets_through_and_no_more():
    image = Dockerfile(ROOT)
    assert image.ignored[1] == "*"
    assert sorted(image.copied()) == sorted(line[1:] for line in image.ignored if line[:1] == "!")
    assert all((ROOT / name).exists() for name in image.copied())


def test_the_commands_above_the_dockerfile_parse():
    lines = re.findall(
        r"^# +(?:docker run .*?|)cog(?::cuda)? (evaluate .*|demo)$", read("Dockerfile"), re.M
    )
    assert len(lines) == 2
    for line in lines:
        name, *words = line.split()
        assert isinstance(main.commands[name], click.Command)
        assert main.commands[name].make_context(name, words).params


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_get_no_more_rights_than_they_need(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    jobs = workflow["jobs"].values()
    used = [step["uses"] for job in jobs for step in job["steps"] if "uses" in step]
    assert used
    assert [
        each for each in used if not re.fullmatch(r"[\w-]+/[\w.-]+(/[\w.-]+)*@[0-9a-f]{40}", each)
    ] == []
    assert workflow["permissions"] == {"contents": "read"}
    for step in (step for job in jobs for step in job["steps"]):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_only_a_tag_that_was_built_and_tried_is_published():
    workflow = yaml.safe_load(read(".github/workflows/publish.yml"))
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML reads `on` as true
    jobs = workflow["jobs"]
    assert jobs["publish"]["needs"] == "package"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["environment"]["name"] == "pypi"
    steps = [step.get("run", "") for step in jobs["package"]["steps"]]
    assert any("make test-install" in step for step in steps)
    assert any("VERSION" in step and "GITHUB_REF_NAME" in step for step in steps)
    assert "id-token" not in str(jobs["package"])
    assert "secrets." not in read(".github/workflows/publish.yml")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_may_write_runs_nothing_of_the_repository(path):
    """A job that may publish only hands on what another has built."""
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    writers = [job for job in jobs if "write" in job.get("permissions", {}).values()]
    assert len(writers) == (0 if path.name == "ci.yml" else 1)
    for job in writers:
        assert job["needs"]
        assert job["environment"]["name"]
        assert [step for step in job["steps"] if "run" in step or "checkout" in step["uses"]] == []
