"""What runs the blocks of the documents finds what is wrong with them."""

from __future__ import annotations

import sys

import click
import pytest

from tests.support.doc_blocks import (
    blocks,
    is_shown,
    parse,
    prompts,
    run_page,
    typed_commands,
    unknown_names,
)

PAGE = """
<!-- run -->
```console
$ cog levels explain hard_tick --level 1
{shown}
```

- in a list:

  <!-- needs the moon -->

  ```console
  $ cog evaluate --model dino \\
        --images moon | head -3
  ```

```python
value = 1
```
```python
assert value == {value}
```
"""
REFUSED = "error: No such option …\n hint: see `cog levels explain --help`"


@pytest.fixture
def write(tmp_path):
    def write(**values):
        path = tmp_path / "page.md"
        path.write_text(PAGE.format(**{"shown": REFUSED, "value": 1} | values))
        return path

    return write


def test_blocks_have_their_marks_and_lines(write):
    page = write()
    found = [(block.language, block.mark, block.runs, block.line) for block in blocks(page)]
    assert found == [
        ("console", "run", True, 3),
        ("console", "needs the moon", False, 13),
        ("python", "", True, 18),
        ("python", "", True, 21),
    ]
    ((line, shown),) = prompts(blocks(page)[1].text)
    assert shown == ""
    assert typed_commands(line) == [
        ["cog", "evaluate", "--model", "dino", "--images", "moon"],
        ["head", "-3"],
    ]


def test_a_line_of_a_shell_is_its_commands():
    line = "HERE=1 cog demo --out 'a b' && python -m cog verify x > y  # both"
    assert typed_commands(line) == [["cog", "demo", "--out", "a b"], ["cog", "verify", "x"], ["y"]]


@pytest.mark.parametrize("words", ["cog rum", "cog levels explain", "cog verify runs --no-such"])
def test_a_command_that_would_be_refused_is_found(words):
    with pytest.raises(click.ClickException):
        parse(words.split())
    parse(["cog", "levels", "explain", "--help"])


def test_what_ends_otherwise_or_prints_otherwise_is_found(write, tmp_path):
    page = write()
    with pytest.raises(AssertionError, match="explain hard_tick --level 1"):
        run_page(page, tmp_path)
    (tmp_path / "examples").unlink()
    page.write_text(page.read_text().replace("<!-- run -->", "<!-- run: status 2 -->"))
    run_page(page, tmp_path)
    (tmp_path / "examples").unlink()
    page.write_text(page.read_text().replace(REFUSED, "error: another"))
    with pytest.raises(AssertionError, match="No such option"):
        run_page(page, tmp_path)


def test_python_of_a_page_shares_its_names(write, tmp_path):
    page = write(value=2)
    page.write_text(page.read_text().replace("<!-- run -->", "<!-- needs nothing -->"))
    with pytest.raises(AssertionError):
        run_page(page, tmp_path)


def test_a_block_may_be_a_file(write, tmp_path):
    page = write()
    text = "<!-- file mine.py -->\n```python\nvalue = 3\n```\n```python\nimport mine\n"
    page.write_text(text + "assert mine.value == 3\n```\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        run_page(page, tmp_path)
    assert "mine" not in sys.modules


def test_text_is_shown_where_it_is_printed():
    assert is_shown("one\n…\nthree …\n", "one\ntwo\ntwo\nthree 3 \n")
    assert is_shown("one\n…\n", "one\n")
    assert not is_shown("one\n", "one\ntwo\n")
    assert not is_shown("one two", "one\ntwo")


def test_names_that_cog_does_not_have_are_found():
    code = "import cog\nfrom cog.sklearn import KNNProbe, None_\ncog.evaluate('m', image='/x')\n"
    code += "cog.evaluate('m', images='/x')\ncog.no\ncog.Recipe(epochs=3)\n"
    assert sorted(unknown_names(code)) == ["cog.evaluate(image=)", "cog.no", "cog.sklearn.None_"]
