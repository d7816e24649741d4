"""Small files from outside: whatever is wrong with them is one kind of error, soon and cheaply."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
import uuid
from pathlib import Path

import pytest

from cog.small_files import (
    NotReadable,
    finite_number,
    parse_json,
    read_json,
    read_lines,
    read_small,
    read_text,
    whole_number,
)
from cog.storage import storage_path, write_bytes

NOT_JSON = {
    "empty": b"",
    "cut short": b'{"a": [1',
    "brackets": b"[" * 500_000,
    "braces": b'{"a":' * 200_000,
    "long number": b"9" * 400,
    "long number in a list": b'{"seed": [-%s]}' % (b"1" * 5000),
    "more than 64 bits": b"9223372036854775808",
    "NaN": b'{"top1": NaN}',
    "Infinity": b"[-Infinity]",
    "infinite by its exponent": b"1e999",
    "half a character": rb'{"name": "\ud800"}',
    "half a character as a key": rb'{"\udfff": 1}',
    "not UTF-8": b'"\xff"',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "NUL": b"\0" * 100,
    "too large": b" " * (1 << 24) + b"1",
}


@pytest.mark.parametrize("content", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_json_that_cannot_be_used_is_one_kind_of_error(tmp_path, content):
    file = tmp_path / "run.json"
    file.write_bytes(content)
    with pytest.raises(NotReadable) as caught:
        read_json(file)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


def test_json_reads_as_the_standard_library_does(tmp_path):
    document = {"é\U0001f600": [1, -1, 2**63 - 1, 0.1, 1e-300, None, "\u2028", {}], "n": 5e-324}
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False, indent=2)):
        assert parse_json(text) == parse_json(b"\xef\xbb\xbf" + text.encode()) == document
    found = parse_json('[1.0, 1, "\\ud83d\\ude00"]')
    assert [type(value) for value in found] == [float, int, str]


def test_what_other_programs_write_may_pass():
    found = parse_json('{"label": 3, "similarity": NaN, "hash": %s}' % ("7" * 400), lenient=True)
    assert found["label"] == 3
    assert found["hash"] == float("inf")


def test_a_long_number_costs_no_time():
    """int() of a million digits takes seconds where its limit is off."""
    code = (
        "import sys; sys.set_int_max_str_digits(0)\n"
        "from cog.small_files import NotReadable, parse_json, whole_number\n"
        "for read in (whole_number, parse_json):\n"
        "    try: read('9' * 4_000_000)\n"
        "    except NotReadable: print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["refused", "refused"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a\nb\0c\n", "line 2 has a NUL"),
        (b"\xff\xfea\0", "UTF-16"),
        (b"caf\xe9\n", "not text in UTF-8"),
    ],
)
def test_text_that_is_none(tmp_path, content, why):
    file = tmp_path / "list.txt"
    file.write_bytes(content)
    for read in (read_lines, read_text):
        with pytest.raises(NotReadable, match=why):
            read(file)


def test_a_line_without_end(tmp_path):
    file = tmp_path / "list.txt"
    file.write_bytes(b"a\n" + b"n" * 100_000)
    with pytest.raises(NotReadable, match="line 2 has 100,000 characters"):
        read_lines(file)


def test_lines_are_those_of_the_file(tmp_path):
    file = tmp_path / "list.txt"
    file.write_bytes(b"\xef\xbb\xbfa\r\n\nb\xc3\xa9")
    assert read_lines(file) == ["a", "", "bé"]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes in folders")
@pytest.mark.parametrize("read", [read_small, read_json, read_lines, read_text])
def test_a_pipe_or_device_in_place_of_a_file(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("pipe", "zero", "null"):
        with pytest.raises(NotReadable, match="pipe or a device"):
            read(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        read(tmp_path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="the shell's pipes")
def test_a_pipe_of_the_shell_is_read():
    code = "import sys, pathlib; from cog.small_files import read_lines\n"
    code += "print(read_lines(pathlib.Path(sys.argv[1])))"
    words = ["bash", "-c", f"\"{sys.executable}\" -c '{code}' <(sleep 0.2; echo n02084071)"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['n02084071']"


def test_a_large_file_is_not_loaded(tmp_path):
    file = tmp_path / "cell.json"
    with file.open("wb") as opened:
        opened.truncate(1 << 31)
    tracemalloc.start()
    with pytest.raises(NotReadable, match="more than 16,777,216 bytes"):
        read_json(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 26


def test_objects_are_read_as_files_are():
    pytest.importorskip("fsspec", reason="pip install 'imagenet-cog[cloud]'")
    url = storage_path(f"memory://{uuid.uuid4().hex}/run.json")
    with pytest.raises(FileNotFoundError):
        read_json(url)
    write_bytes(url, b"[1]")
    assert read_json(url) == [1]
    assert read_lines(url) == ["[1]"]


@pytest.mark.parametrize("text", ["", "-", "1.0", "²", "٣", "1e3", "1_000", "0x1", "9" * 5000])
def test_what_is_no_whole_number(text):
    with pytest.raises(NotReadable) as caught:
        whole_number(text)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize("text", ["", "nan", "-inf", "1e999", "x", "9" * 100_000])
def test_what_is_no_finite_number(text):
    with pytest.raises(NotReadable):
        finite_number(text)
