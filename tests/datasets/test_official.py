"""The official pickles: splits and levels read from them, and everything hostile refused."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cog.datasets.dataset import DatasetOptions
from cog.datasets.find import find_datasets
from cog.datasets.official_pickles import (
    MAPPING_FILE,
    SPLIT_FILE,
    TOTALS,
    read_mapping_file,
    read_split_file,
    refuse_another_mapping,
    totals_note,
)
from cog.datasets.pickles import read_pickle
from cog.datasets.splits import split_images, write_split
from cog.errors import CogError
from cog.levels.files import read_levels
from cog.recipe import Recipe
from tests.datasets.test_splits import RECIPE, WNIDS, classes, make_images

FORMS: dict[str, Any] = {
    "unicode": np.array,
    "big-endian": lambda names: np.array(names, ">U40"),
    "object": lambda names: np.array(names, object),
    "list": list,
    "numpy strings": lambda names: [np.str_(name) for name in names],
    "tuple": tuple,
    "bytes": lambda names: [name.encode() for name in names],
    "array of bytes": lambda names: np.array(names, "S40"),
    "numpy bytes": lambda names: tuple(np.bytes_(name) for name in names),
    "objects that are bytes": lambda names: np.array([n.encode() for n in names], object),
    "leading slash": lambda names: np.array([f"/{name}" for name in names]),
    "slashes at both ends": lambda names: [f"//{name}/" for name in names],
    "backslashes": lambda names: [f"\\{name.replace('/', chr(92))}\\" for name in names],
}


def names_of(wnid: str, numbers: range, folder: bool = True) -> list[str]:
    return [f"{wnid}/" * folder + f"{wnid}_{number}.JPEG" for number in numbers]


def table(form: Any = np.array, folder: bool = True) -> dict[str, dict[str, Any]]:
    """Three test and four training images of each class, out of order."""
    return {
        wnid: {
            "train": form(names_of(wnid, range(6, 2, -1), folder)),
            "test": form(names_of(wnid, range(3), folder)),
        }
        for wnid in WNIDS
    }


def dump(path: Path, value: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("images"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_split_is_read(form: str, protocol: int, tmp_path: Path) -> None:
    value = table(FORMS[form], folder=bool(protocol % 2))
    found = read_split_file(dump(tmp_path / "a.pkl", value, protocol), (*WNIDS, "n00000009"))
    assert found.pop("n00000009") == ((), ())
    assert found == {
        wnid: (tuple(names_of(wnid, range(3, 7))), tuple(names_of(wnid, range(3))))
        for wnid in WNIDS
    }


@pytest.mark.parametrize("module", ["numpy.core", "numpy._core"])
def test_pickles_of_both_numpys_are_read(module: str, tmp_path: Path) -> None:
    own = b"numpy._core" if np.__version__ >= "2" else b"numpy.core"
    data = pickle.dumps(table(), 2)  # names are lines there
    assert own in data
    (tmp_path / "a.pkl").write_bytes(data.replace(own, module.encode()))
    assert len(read_split_file(tmp_path / "a.pkl", WNIDS)[WNIDS[0]][0]) == 4


@pytest.mark.parametrize("form", ["unicode", "leading slash", "tuple"])
def test_the_pickle_is_the_split(root: Path, tmp_path: Path, form: str) -> None:
    file = dump(tmp_path / SPLIT_FILE, table(FORMS[form]))
    split = split_images(root, WNIDS, RECIPE, tests=file)
    assert split.kind == "official"
    for wnid in WNIDS:
        assert classes(split.test)[wnid] == names_of(wnid, range(3))
        assert classes(split.train)[wnid] == names_of(wnid, range(3, 7))
    again = split_images(root, WNIDS, RECIPE, tests=tmp_path)  # the folder that it is in
    assert again.train.fingerprint == split.train.fingerprint
    write_split(split, tmp_path / "out", "cog_l1")
    text = split_images(root, WNIDS, RECIPE, tests=tmp_path / "out" / "test")
    assert text.test.fingerprint == split.test.fingerprint


def test_the_training_list_is_cut_as_the_recipe_says(root: Path, tmp_path: Path) -> None:
    file = dump(tmp_path / SPLIT_FILE, table())
    recipe = Recipe(test_per_class=3, min_train=1, max_train=2)
    split = split_images(root, WNIDS, recipe, tests=file)
    for wnid in WNIDS:
        assert len(classes(split.train)[wnid]) == 2
        assert set(classes(split.train)[wnid]) < set(names_of(wnid, range(3, 7)))


def test_listed_images_that_are_absent_or_called_otherwise(tmp_path: Path) -> None:
    root = make_images(tmp_path / "images")
    file = dump(tmp_path / SPLIT_FILE, table())
    before = split_images(root, WNIDS, RECIPE, tests=file)
    folder = root / WNIDS[0]
    (folder / f"{WNIDS[0]}_1.JPEG").rename(folder / f"{WNIDS[0].upper()}_1.jpg")
    (folder / f"{WNIDS[0]}_4.JPEG").rename(folder / f"{WNIDS[0]}_4.webp")
    split = split_images(root, WNIDS, RECIPE, tests=file)
    assert split.notes == (
        "1 listed test images differ from the list in case or extension: "
        f"{WNIDS[0]}/{WNIDS[0]}_1.JPEG is {WNIDS[0]}/{WNIDS[0].upper()}_1.jpg",
        "1 listed training images differ from the list in case or extension: "
        f"{WNIDS[0]}/{WNIDS[0]}_4.JPEG is {WNIDS[0]}/{WNIDS[0]}_4.webp",
    )
    assert before.notes == ()
    assert [len(images) for images in (split.train, split.test)] == [16, 12]
    (folder / f"{WNIDS[0]}_4.webp").unlink()
    with pytest.raises(CogError, match=r"1 listed training images are not in.*_4\.JPEG"):
        split_images(root, WNIDS, Recipe(test_per_class=3, min_train=1), tests=file)


class Calls:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


HOSTILE = {
    "posix.system": Calls(os.system, "touch owned"),
    "builtins.eval": Calls(eval, "open('owned', 'w')"),
    "builtins.getattr": Calls(getattr, "text", "encode"),
    "collections.OrderedDict": OrderedDict(a=1),
    "pathlib.PosixPath": Path("owned"),
    "numpy.load": Calls(np.load, "owned"),
    "numpy.fromfile": Calls(np.fromfile, "owned"),
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_list_of_names_is_refused_by_name(
    name: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    value = HOSTILE[name]
    short = name.rpartition(".")[2]
    for content in (value, [[value]], {WNIDS[0]: {"train": np.array([value, "a"], object)}}):
        file = dump(tmp_path / "a.pkl", content, protocol)
        with pytest.raises(CogError, match=rf"calls for \S*{short}\b.*refused"):
            read_pickle(file)
        for read in (lambda f: read_split_file(f, WNIDS), read_mapping_file):
            with pytest.raises(CogError, match="refused"):
                read(file)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "value",
    [
        3,
        ["n00000005"],
        {"n00000005": {"train": {"a.JPEG"}, "test": []}},
        {"n00000005": ["a.JPEG"]},
        {"n00000005": {"train": ["a.JPEG"]}},
        {"n00000005": {"train": np.array([3]), "test": np.array([4])}},
        {"n00000005": {"train": np.array([b"\xff.JPEG"]), "test": np.array(["b.JPEG"])}},
        {"n00000005": {"train": ["a\nb.JPEG"], "test": []}},
        {"n00000005": {"train": ["a\0.JPEG"], "test": []}},
        {"n00000005": {"train": ["\udcff.JPEG"], "test": []}},
        {"n00000005": {"train": ["/"], "test": []}},
        {"n00000005": {"train": "a.JPEG", "test": []}},
        {"n00000005": {"train": [], "test": []}, b"n00000005": {"train": [], "test": []}},
        {"n00000005": {"train": np.array(["a.JPEG", None], object), "test": []}},
        {"n00000005": {"train": np.array(["a.JPEG", {"x": 1}], object), "test": []}},
        {"n00000005": {"train": np.array([["a.JPEG"]]), "test": np.array(["b.JPEG"])}},
        {"n00000005": {"train": ["../a.JPEG"], "test": ["b.JPEG"]}},
        {"n00000005": {"train": ["/x/a.JPEG"], "test": ["b.JPEG"]}},
        {"n00000005": {"train": ["/a.JPEG"], "test": ["n00000005/a.JPEG"]}},
        {"n00000005": {"train": [".."], "test": ["b.JPEG"]}},
        {"n00000005": {"train": ["n00000005/a.JPEG"], "test": ["a.JPEG"]}},
        {"n00000005": {"train": np.array([("a.JPEG", 1)], "U9,i4"), "test": []}},
        {"n00000005": {"train": np.array([1.0, np.nan]), "test": []}},
    ],
)
def test_a_pickle_of_something_else_is_refused(value: Any, tmp_path: Path) -> None:
    with pytest.raises(CogError):
        read_split_file(dump(tmp_path / "a.pkl", value), ("n00000005",))


def test_an_array_of_two_dimensions_is_said_to_be_one(tmp_path: Path) -> None:
    value = {"n00000005": {"train": np.array([["a.JPEG"], ["b.JPEG"]]), "test": []}}
    for read, content in ((lambda f: read_split_file(f, ("n00000005",)), value),
                          (read_mapping_file, [np.array([["n1"], ["n2"]])])):  # fmt: skip
        with pytest.raises(CogError, match=r"array of shape \[2, 1\].*one dimension") as caught:
            read(dump(tmp_path / "a.pkl", content))
        assert "ravel" in caught.value.hint


def test_what_is_whole_but_no_list_is_not_to_be_downloaded_again(tmp_path: Path) -> None:
    value = {"n00000005": {"train": {"a.JPEG"}, "test": ["b.JPEG"]}}
    with pytest.raises(CogError, match=r"a\.pkl: the pickle holds a set") as caught:
        read_split_file(dump(tmp_path / "a.pkl", value), ("n00000005",))
    assert caught.value.hint == "save the names as a list of text"


def test_names_of_python_2_are_read(tmp_path: Path) -> None:
    """Its text is bytes to Python 3: keys, names, and what describes an array."""
    text = pickle.dumps({"n00000005": {"train": ["a.JPEG", "b.JPEG"], "test": ["c.JPEG"]}}, 2)
    for word in (b"n00000005", b"train", b"test", b"a.JPEG", b"b.JPEG", b"c.JPEG"):
        size = len(word)
        text = text.replace(b"X%c\0\0\0%s" % (size, word), b"U%c%s" % (size, word))
    assert b"X" not in text
    (tmp_path / "a.pkl").write_bytes(text)
    train, test = read_split_file(tmp_path / "a.pkl", ("n00000005",))["n00000005"]
    assert (train, test) == (("n00000005/a.JPEG", "n00000005/b.JPEG"), ("n00000005/c.JPEG",))


def test_a_large_index_in_the_memo_costs_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02]r\xff\xff\xff\xff.")
    assert read_pickle(tmp_path / "a.pkl") == []


def _array(shape: bytes, dtype: bytes = b"U\x02S1") -> bytes:
    """A pickle of an array without data: `shape` and `dtype` are instructions that make a value."""
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
    kind = b"cnumpy\ndtype\n(" + dtype + b"K\x00K\x01tR"
    return made + b"(K\x01" + shape + kind + b"\x89U\0tb."


SIZES = {
    "BINBYTES": b"B\xff\xff\xff\xbf",
    "BINUNICODE": b"X\xff\xff\xff\xbf",
    "BINSTRING": b"T\xff\xff\xff\x7f",
    "LONG4": b"\x8b\xff\xff\xff\x7f",
    "BINBYTES8": b"\x8e\0\0\0\xc0\0\0\0\0",
    "BINUNICODE8": b"\x8d\0\0\0\xc0\0\0\0\0",
    "BYTEARRAY8": b"\x96\0\0\0\xc0\0\0\0\0",
    "BYTEARRAY8 of exabytes": b"\x96\0\0\0\0\0\0\0\x10",
    "FRAME": b"\x95\0\0\0\xc0\0\0\0\0",
    "array of many": _array(b"J\xff\xff\xff\x7f\x85"),
    "array of no bytes": _array(b"J\xff\xff\xff\x7f\x85", b"U\x02U0"),
    "shape of text": _array(b"U\x04aaaa\x85", b"U\x0aS999999999"),
    "shape of a list": _array(b"]K\x01a\x85", b"U\x0aS999999999"),
    "large items": _array(b"K\x01\x85", b"U\x0aS999999999"),
    "many dimensions": _array(b"(" + b"K\x02" * 10_000 + b"t"),
    "lists": b"(" + b"]" * 3_000_000 + b"l.",
    "marks": b"(" * 3_000_000,
    "dicts": b"}" * 3_000_000,
    "sets": b"\x8f" * 3_000_000,
    "repeats": b"K\x01" + b"\x94" * 3_000_000,
    "a million deep": b"]" + b"\x85" * 1_000_000 + b".",
    "a million deep, of lists": b"]" * 1_000_000 + b"a" * 999_999 + b".",
    "a key whose hash takes for ever": b"})" + b"2\x86" * 64 + b"K\x01s.",
    "keys whose hashes take for ever": b"}()" + b"2\x86" * 64 + b"K\x01u.",
    "a dict from the stack": b"()" + b"2\x86" * 64 + b"K\x01d.",
    "text of what repeats": b"c_codecs\nencode\n()" + b"2\x86" * 64 + b"K\x01tR.",
    "dtype of what repeats": b"cnumpy\ndtype\n()" + b"2\x86" * 64 + b"tR.",
    "a long name": b"cnumpy\n" + b"a" * 3_000_000 + b"\n.",
    "a long number": b"L" + b"9" * 3_000_000 + b"L\n.",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of a process")
def test_no_pickle_takes_more_memory_than_its_size_allows(tmp_path: Path) -> None:
    """With half a gigabyte for a process, each of these is two lines within seconds."""
    for number, body in enumerate(SIZES.values()):
        (tmp_path / f"{number}.pkl").write_bytes(b"\x80\x05" + body)
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from cog.datasets.official_pickles import read_mapping_file, read_split_file\n"
        "from cog.errors import CogError\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 600_000_000,) * 2)\n"
        "for name in sys.argv[1:]:\n"
        "    signal.alarm(30)\n"
        "    for read in (read_mapping_file, lambda file: read_split_file(file, ('n1',))):\n"
        "        try: read(Path(name))\n"
        "        except CogError as error:\n"
        "            print('memory' if 'Memory' in error.what else len(error.what) < 1000)\n"
    )
    names = [str(tmp_path / f"{number}.pkl") for number in range(len(SIZES))]
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["True"] * 2 * len(SIZES)


def test_names_that_repeat_for_every_class_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cog.datasets.official_pickles.MOST_NAMES", 100)
    names = np.array([f"{number}.JPEG" for number in range(30)])
    same = {f"n{number:08d}": {"train": names, "test": []} for number in range(5)}
    file = dump(tmp_path / "a.pkl", same)
    assert len(read_split_file(file, list(same)[:3])) == 3
    with pytest.raises(CogError, match="more than 100 images"):
        read_split_file(file, list(same))


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.pkl").open("wb") as file:
        file.write(b"\x80\x05\x8e\0\0\0\xc0\0\0\0\0")
        file.truncate(1 << 32)
    with pytest.raises(CogError, match="4,294,967,296 bytes, too many"):
        read_pickle(tmp_path / "a.pkl")


def test_damaged_pickles_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.pkl"
    for protocol in (2, 4, 5):
        whole = pickle.dumps(table(), protocol)
        for size in [0, 1, *range(2, len(whole) - 1, 37)]:
            file.write_bytes(whole[:size])
            with pytest.raises(CogError):
                read_split_file(file, WNIDS)


def test_a_flipped_byte_is_refused_or_gives_paths(tmp_path: Path) -> None:
    """Whatever the bytes, lists of names come out or a CogError: numpy's own code is not asked."""
    file, rng = tmp_path / "a.pkl", np.random.default_rng(0)
    for protocol in (2, 4, 5):
        whole = bytearray(pickle.dumps(table(), protocol))
        for _ in range(300):
            data = whole.copy()
            data[rng.integers(len(data))] = rng.integers(256)
            file.write_bytes(data)
            try:
                found = read_split_file(file, WNIDS)
            except (CogError, MemoryError):
                continue
            assert all(isinstance(path, str) for both in found.values() for part in both
                       for path in part)  # fmt: skip


# The levels of the mapping file


def test_levels_are_compared_with_the_mapping(tmp_path: Path) -> None:
    levels = read_levels()
    wnids = {number: levels.wnids(number) for number in levels.numbers}
    lists = [list(wnids[number]) for number in wnids]
    refuse_another_mapping(dump(tmp_path / "a.pkl", lists), wnids)
    refuse_another_mapping(dump(tmp_path / "a.pkl", [np.array(each) for each in lists]), wnids)
    lists[0][3], lists[4][5] = lists[4][5], lists[0][3]
    with pytest.raises(CogError, match="L1: 1 only in the file, 1 only in the levels") as caught:
        refuse_another_mapping(dump(tmp_path / "a.pkl", lists), wnids)
    assert wnids[5][5] in caught.value.what
    assert "L5: 1 only" in caught.value.what
    for bad in ([], "text", [["n1", 3]], {"L1": ["n1"]}):
        with pytest.raises(CogError, match="does not hold lists"):
            read_mapping_file(dump(tmp_path / "a.pkl", bad))


def test_a_mapping_beside_the_split_must_be_that_of_the_levels(tmp_path: Path) -> None:
    dump(tmp_path / MAPPING_FILE, [["n00000005"], ["n00000022"]])
    file = dump(tmp_path / SPLIT_FILE, table())
    for split in (file, tmp_path):
        with pytest.raises(CogError, match="mapping of other levels: L1: 1 only in the file"):
            find_datasets(DatasetOptions(tmp_path, split=split), read_levels(), Recipe())


def test_totals_are_those_of_the_official_levels() -> None:
    levels = read_levels()
    totals = list(TOTALS.values())
    for number, total in zip(levels.numbers, totals, strict=True):
        assert totals_note(levels.wnids(number), total, 50_000) == ""
        note = totals_note(levels.wnids(number), total - 3, 50_000)
        assert f"{total:,} and 50,000" in note
        assert f"{total - 3:,} images" in note
    assert totals_note(WNIDS, 1, 1) == ""
