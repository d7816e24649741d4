"""Whether two checkouts of cog give the same numbers, to the byte.

In: two checkouts. Out: what differs, on stdout; exit status 0 equal, 1 differences, 2 a run failed.

A fixed small benchmark on images drawn here, of two untrained networks on three datasets, is run
with the code of each, by the command line alone. All files that it writes are compared: results,
cells, accuracies by class, chunks of features, splits, levels, and the data in the page of
`cog report`. Then the new code takes over the finished run of the old: it may make nothing again.
A run of OLD that is kept (`--work`) is used again as long as its code and this file stay the same.
"""

from __future__ import annotations

import argparse
import colorsys
import csv
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from importlib.metadata import distributions
from itertools import groupby, zip_longest
from pathlib import Path

import numpy as np
from PIL import Image

IGNORED = {  # columns of results.csv, and keys of JSON, whose values may differ, and why
    "seconds": "how long a fit took",
    "cog_version": "may be raised",
    "torch_version": "is no doing of the code",
    "timm_version": "is no doing of the code",
    "versions": "the same in run.json and levels.json",
    "command": "in run.json: begins with the path of the checkout",
}
ADDED = {  # columns of results.csv, and keys of JSON, that OLD may lack, and what they are
    "n_short": "not in 0.1: classes with fewer than N images",
    "n_truncated": "not in 0.1: images that end too early",
    "truncated": "not in 0.1: how run.json names that choice",
    "image_key": "not in 0.1: how run.json names the field of a sample",
    "controls": "not in 0.1: how run.json names that choice",
    "test_set": "not in 0.1: a further test set of a dataset",
    "n_fit_classes": "not in 0.1: classes that a probe was fitted on, of a test set",
    "metric": "not in 0.1: which metric is the headline one",
    "value": "not in 0.1: of a dataset's headline metric",
    "norm": "not in 0.1: of features, where it is not l2",
    "few_shot_draw": "not in 0.1: of N shots, where it is not once",
    "map": "not in 0.1: mean average precision, of retrieval",
    "r_precision": "not in 0.1: of retrieval",
    "n_unlabelled": "not in 0.1: images without a right class, of a test set",
    "n_alone": "not in 0.1: test images without another of their class, of retrieval",
    "near": "not in 0.1: in a page, how near a dataset is to the seen concepts",
    "mistake_similarity": "not in 0.1: how alike right and predicted class are in WordNet",
    "mistake_height": "not in 0.1: how high what lies above both is",
    **{f"top1_height{height}": "not in 0.1: top-1 of a cut tree" for height in (1, 2, 4, 8)},
    "compile": "not in 0.1: how run.json names that choice",
    "feed": "not in 0.1: how run.json names that choice",
    "resize_on": "not in 0.1: how run.json names that choice",
    "views": "not in 0.1: how run.json names that choice, and results of the probe augmented",
    "tokens": "not in 0.1: how run.json names that choice",
}
ADDED_COLUMNS = {  # of results.csv, and of the results in a page alone: levels have one too
    "similarity": "not in 0.1: of the classes of a dataset to the seen ones",
    "seen_similarity": "not in 0.1: of the seen classes to those of a dataset",
}
ADDED_TO_WIDE = {  # columns of `cog results --wide`
    f"concepts{end}": "not in 0.1: means by axis"
    for end in ("", "_error", "_log_odds", "_log_odds_error", "_sets")
} | {
    "partial": "not in 0.1: axes of which a model lacks sets",
    "mixed": "not in 0.1: axes whose sets have several protocols",
    "baseline_value": "not in 0.1: in baseline.csv, of the headline metric",
}
NOT_COMPARED = {  # files and folders of a run that may differ, and why
    "cache": "of cog: indices of tars",
    "features.pth": "torch.save writes a random name into it; `cog probe` reads what it holds",
    "complete": "the mark of this tool",
    "distances": "of datasets, in splits/: earlier versions kept none",
    "ranks": "of cells: earlier versions kept none",
    "predictions": "of cells: earlier versions kept none",
    "mistakes.json": "of cells: earlier versions kept none",
    "heads": "of probes: earlier versions kept none",
}
NOT_OF_PAGE = {
    "charts": "how the page draws, titles and all, is not data",
    "axes-data": "not in 0.1: means by axis",
}

NETWORKS = """\
import cog, torch
from torch import nn

def network(seed, width, dim):
    torch.manual_seed(seed)
    first, second = nn.Conv2d(3, width, 5, 2), nn.Conv2d(width, dim // 4, 3, 2)
    return nn.Sequential(first, nn.ReLU(), second, nn.AdaptiveAvgPool2d(2), nn.Flatten())

def small():
    return cog.Model(network(1, 8, 32), preprocess=cog.Preprocess(resize=40, crop=32), name="small")

def wide():
    half = (0.5, 0.5, 0.5)
    preprocess = cog.Preprocess((48, 56), None, interpolation="bilinear", mean=half, std=half)
    return cog.Model(network(2, 16, 64), preprocess=preprocess, name="wide", seen_data="IN-1K")
"""
SEEN = "n01440764 n01980166 n02107908 n02444819 n02977058 n03532672 n03937543 n04367480"
UNSEEN = """n03241335 n03178430 n01944812 n03885669 n02932891 n01984245 n03527565 n03788047
n03401129 n12835331 n12571781 n12161969 n12675876 n12732009 n03344642 n07954211"""
FOLDERS = (("in1k/train", SEEN, 12), ("in1k/val", SEEN, 6), ("unseen", UNSEEN, 14))

RUN = """--model ../data/networks.py:small --model ../data/networks.py:wide --images ../data/unseen
--in1k ../data/in1k --levels levels --test-per-class 5 --min-train 8 --max-train 8 --device cpu
--workers 2 --batch-size 16 --chunk-rows 16"""
EVALUATE = f"{RUN} --out runs --probe logreg,knn,ncm,ridge,mlp --shots all,2 --seeds 22,37"
BENCHMARK = f"evaluate --solver sgd {EVALUATE}", f"evaluate --solver lbfgs {EVALUATE}"
OTHERWISE = f"""extract --split runs/splits/test --only L1,L2 {RUN} --decoder pillow --dtype float32
--precision bf16 --out otherwise"""
LEVELS = "build-levels --seen ../data/in1k/val --eligible ../data/unseen --n-levels 2 --size 8"
MAKE = (  # commands that write files to compare, in this order
    f"{LEVELS} --out levels",
    "build-levels --out official",
    "build-levels --eligible official --out listed",
    *BENCHMARK,
    OTHERWISE,
    "report runs --levels levels --out report.html",
    "export runs/small/features/cog_l1-train.zarr --out features.pth",
)
TELL = {  # commands whose stdout is compared, by the file that keeps it
    "wide.csv": "results runs --wide",
    "ranking.csv": "results runs --ranking",
    "baseline.csv": "results runs --baseline small",
    "drop.csv": "results runs --drop",
    "level.csv": "levels show L2 --levels levels --csv",
    "explained.txt": "levels explain n07954211 --levels levels",
    "sets.json": "similarity L5 in1k --json",
    "probed.json": """probe --test runs/small/features/cog_l1-test.zarr --train features.pth --json
    --device cpu --probe logreg,knn,mlp --shots all,4 --seeds 45
    --shots-validation within""",
} | {
    f"{measure}-{a}-{b}.json": f"similarity {a} {b} --measure {measure} --json"
    for measure in ("lin", "resnik", "jcn", "path", "wup", "lch")
    for a, b in (("dog", "cat"), ("giraffe", "in1k"), ("guitar_pick", "n07954211"))
}
Files = dict[str, tuple[bytes, int]]  # what is in each, and when it was written


say = partial(print, file=sys.stderr, flush=True)


class RunFailedError(Exception):
    """A command that should have ended well did not."""


def draw_data(data: Path) -> None:
    """Write the networks and the images, the same each time: PNG and JPEG, folders and tars."""
    shutil.rmtree(data, ignore_errors=True)
    rng = np.random.default_rng(0)
    for place, wnids, count in FOLDERS:
        for number, wnid in enumerate(wnids.split()):
            folder = data / place / wnid
            folder.mkdir(parents=True)
            for image in range(count):
                draw(rng, number, folder / f"{wnid}_{image}.{'png' if image % 2 else 'JPEG'}")
            if place == "in1k/train":
                with tarfile.open(f"{folder}.tar", "w") as tar:
                    for path in sorted(folder.iterdir()):
                        tar.add(path, path.name)
                shutil.rmtree(folder)
    (data / "unseen" / UNSEEN[:9] / f"{UNSEEN[:9]}_1.png").write_bytes(b"")  # cannot be read
    (data / "networks.py").write_text(NETWORKS)


def draw(rng: np.random.Generator, number: int, path: Path) -> None:
    """One image of a class, which colour and waves tell where noise does not hide them."""
    height, width = rng.integers(40, 72, 2)
    rows, columns = np.mgrid[:height, :width]
    colour = 255 * np.array(colorsys.hsv_to_rgb(number / 16, 0.5, 0.7))
    across = columns * np.cos(number) + rows * np.sin(number)
    waves = np.sin(across * (0.2 + 0.05 * number) + rng.uniform(0, 6)) * rng.uniform(20, 60)
    noise = rng.normal(scale=40, size=(height, width, 3)) + rng.normal(scale=30, size=3)
    pixels = (colour + waves[..., None] + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def run_python(checkout: Path, side: Path, *arguments: str) -> str:
    """What Python says on stdout with the code of `checkout`, in the folder `side`."""
    own = {"PYTHONPATH": str(checkout), "COG_HOME": str(side / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=side, env=os.environ | own, capture_output=True, text=True)
    if done.returncode:
        end = "\n".join(done.stderr.splitlines()[-15:])
        raise RunFailedError(f"in {side}, status {done.returncode}: {' '.join(arguments)}\n{end}")
    return done.stdout


def run_cog(checkout: Path, side: Path, command: str) -> str:
    """What a command of cog says on stdout."""
    say(f"  cog {' '.join(command.split())[:75]}")
    return run_python(checkout, side, "-m", "cog", *command.split())


def make_side(checkout: Path, side: Path) -> None:
    """Run everything with the code of a checkout, in the folder `side`, which begins empty."""
    start = time.monotonic()
    say(f"{checkout}: runs in {side}")
    shutil.rmtree(side, ignore_errors=True)
    (side / "said").mkdir(parents=True)
    found = run_python(checkout, side, "-c", "import cog; print(cog.__file__)").strip()
    if not Path(found).resolve().is_relative_to(checkout / "cog"):
        raise RunFailedError(f"Python imports {found}, which is not in {checkout}")
    for command in MAKE:
        run_cog(checkout, side, command)
    for name, command in TELL.items():
        (side / "said" / name).write_text(run_cog(checkout, side, command))
    (side / "complete").touch()
    say(f"{checkout}: {time.monotonic() - start:.0f} s")


def stamp_of(checkout: Path) -> str:
    """A hash of all that a run is made from: the code, the libraries, and this benchmark."""
    digest = hashlib.sha256(Path(__file__).read_bytes() + sys.version.encode())
    digest.update(str(sorted({f"{each.name} {each.version}" for each in distributions()})).encode())
    for path in sorted(path for part in ("cog", "levels") for path in (checkout / part).rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(checkout)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def take_over(checkout: Path, old: Path, side: Path) -> Iterator[tuple[str, str]]:
    """Run the benchmark with the new code on a copy of the old run; gives what that changes."""
    say(f"{checkout}: takes over the run in {old}")
    shutil.rmtree(side, ignore_errors=True)
    for name in ("runs", "otherwise", "levels"):
        shutil.copytree(old / name, side / name)
    before = files_of(side)
    for command in (*BENCHMARK, OTHERWISE, "store verify runs otherwise"):
        run_cog(checkout, side, command)
    after = files_of(side)
    changed = dict(differences(before, after))
    for name in before.keys() & after.keys():
        if before[name][1] != after[name][1] and re.search("/(cells|classes|features)/", name):
            changed.setdefault(name, "written again")
    yield from ((f"{side.name}/{name}", what) for name, what in sorted(changed.items()))


def files_of(folder: Path) -> Files:
    """Every file below a folder that is compared; the path of the folder in it becomes a dot."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: (path.read_bytes().replace(bytes(folder), b"."), path.stat().st_mtime_ns)
        for name, path in found.items()
        if NOT_COMPARED.keys().isdisjoint(name.split("/"))
    }


def differences(old: Files, new: Files) -> Iterator[tuple[str, str]]:
    """Each file that differs, and the first place where it does."""
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            yield name, f"only in {'NEW' if name in new else 'OLD'}"
            continue
        one, other = (compared(name, files[name][0]) for files in (old, new))
        if one != other:
            yield name, first_difference(one, other, name.endswith(".csv"))


def compared(name: str, content: bytes) -> bytes:
    """What of a file's content is compared: of a page its data, without what may differ."""
    if name.endswith(("results.csv", "wide.csv", "baseline.csv")):
        rows = list(csv.reader(content.decode().split("\n")))[:-1]  # it ends in a newline
        passed_over = IGNORED | ADDED | ADDED_COLUMNS | ADDED_TO_WIDE
        kept = [place for place, column in enumerate(rows[0]) if column not in passed_over]
        return "\n".join(",".join(row[place] for place in kept) for row in rows).encode()
    if name.endswith(".html"):
        pattern = rb'<script type="application/json" id="([^"]+)">(.*?)</script>'
        scripts = re.findall(pattern, content, re.DOTALL)
        scripts = [(key, without(ADDED_COLUMNS, text) if key == b"results" else text)
                   for key, text in scripts]  # fmt: skip
        data = (key + b" " + text for key, text in scripts if key.decode() not in NOT_OF_PAGE)
        content = re.sub(rb'("\w+":)', rb"\n\1", b"\n".join(data))  # a line a field
    if name.endswith((".json", ".html")):
        content = without(ADDED, content)
        return re.sub(rf'("(?:{"|".join(IGNORED)})":\s*){VALUE}'.encode(), rb"\1null", content)
    return content


VALUE = r'(?:"(?:[^"\\]|\\.)*"|\{[^{}]*\}|\[[^\[\]]*\]|[^,\s}\]]+)'  # of a key of JSON


def without(keys: Iterable[str], content: bytes) -> bytes:
    """JSON without some keys that are not the first of their object."""
    return re.sub(rf',\s*"(?:{"|".join(keys)})":\s*{VALUE}'.encode(), b"", content)


def first_difference(one: bytes, other: bytes, is_table: bool) -> str:
    """Where two contents differ first: the row and column, the line, or the byte."""
    place = next(k for k, (a, b) in enumerate(zip_longest(one, other)) if a != b)
    number = one[:place].count(b"\n")
    try:
        old, new = (text.decode().split("\n")[number] for text in (one, other))
    except UnicodeDecodeError:
        return f"byte {place:,} of {len(one):,} in OLD and {len(other):,} in NEW"
    where = f"line {number + 1} ({old[:40].strip()})"
    if is_table and number:
        rows = zip_longest(*csv.reader([one.decode().split("\n")[0], old, new]), fillvalue="")
        column, old, new = next((row for row in rows if row[1] != row[2]), ("?", old, new))
        where += f", column {column}"
    at = next((k for k, (a, b) in enumerate(zip_longest(old, new)) if a != b), 0)
    cut = slice(max(0, at - 60), at + 60)
    return f"{where}: {old[cut]!r} in OLD, {new[cut]!r} in NEW"


def tell(found: list[tuple[str, str]]) -> None:
    """Print the first five differences of each folder, and how many more there are."""
    for folder, group in groupby(found, lambda each: each[0].split("/")[:3]):
        lines = [f"{name}: {what}" for name, what in group]
        print(*lines[:5], sep="\n")
        if lines[5:]:
            print(f"… and {len(lines) - 5} more files in {'/'.join(folder)}")
    print(f"{len(found)} files differ" if found else "equal")


def main() -> int:
    """Compare two checkouts; gives the exit status."""
    example = "Example: python tools/same_numbers.py ../old . --work /tmp/same"
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], epilog=example)
    parser.add_argument("old", type=Path, metavar="OLD", help="a checkout")
    parser.add_argument("new", type=Path, metavar="NEW", help="another")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep the runs, and reuse OLD's")
    given = parser.parse_args()
    old, new = given.old.resolve(), given.new.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        work = (given.work or Path(temporary)).resolve()
        side = work / f"old-{stamp_of(old)}"
        try:
            draw_data(work / "data")
            if not (side / "complete").exists():
                make_side(old, side)
            make_side(new, work / "new")
            found = [*differences(files_of(side), files_of(work / "new"))]
            found += take_over(new, side, work / "taken-over")
        except RunFailedError as error:
            say(str(error))
            return 2
    tell(found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
