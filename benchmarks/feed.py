"""What feeding a network costs: processor time an image, with and without the network's process.

    python benchmarks/feed.py [--small] [--only tiny,photos,memory,loader] [--before CHECKOUT]

JSON lines on stdout. Images lie in tars, one a class. A trivial network (the mean of each colour)
takes them in batches of 256 on a CPU, and the store is written: `cog.features.extract.extract`.
- tiny: JPEGs of 16 × 16 pixels, kept at that size, of which decoding costs next to nothing;
  photos: JPEGs of 500 × 375, drawn as in decode.py, for 224 × 224. `driver`: microseconds of
  processor time an image of the process with the network, `total`: with its workers. Workers have
  started before. With --before, a checkout of older code does the same in turns, on threads;
  `over_before` is `total` over its own, and the bytes of the stores are compared.
- memory: of feeding photos, above that of the processes with nothing to do: what it takes over
  what the formula of cog/features/feeder/slots.py says (proportional set size, Linux).
- loader: `torch.utils.data.DataLoader`, whose workers load whole batches by the same function
  and give them back in shared memory, against processes; feeding alone, no network and no store.

Each way has a process of its own that waits for its turn; the order turns with each repeat.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

Record = dict[str, Any]
BATCH, WARM = 256, 1024
SIDES = {"tiny": 16, "photos": 224}


def write_tars(root: Path, kind: str, count: int) -> None:
    """So many images in eight tars; an eighth of them differ."""
    import numpy as np
    from decode import draw_jpeg, encode
    from PIL import Image

    rng = np.random.default_rng(0)
    noise = (rng.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in iter(int, 1))
    tiny = kind == "tiny"
    drawn = [encode(Image.fromarray(next(noise))) if tiny else draw_jpeg(n) for n in range(64)]
    for number in range(8):
        wnid = f"n{number + 1:08}"
        with tarfile.open(root / f"{wnid}.tar", "w") as tar:
            for row in range(count // 8):
                member = tarfile.TarInfo(f"{wnid}_{row:06}.JPEG")
                member.size = len(data := drawn[(row * 7 + number) % len(drawn)])
                tar.addfile(member, io.BytesIO(data))


def descendants() -> list[int]:
    """The processes below this one."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found = [os.getpid()]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found[1:]


def seconds_of(pids: Sequence[int]) -> float:
    """Processor time of processes, in all of their threads."""
    files = [file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(file.read_text().split()[0]) for file in files) / 1e9


def megabytes_of(pids: Sequence[int]) -> float:
    """Memory of processes: what they share counts once."""
    texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return sum(int(text.partition("\nPss:")[2].split()[0]) for text in texts) / 1e3


class Measured:
    """The work of one process: a way of feeding, of this checkout or of another."""

    def __init__(self, root: Path, kind: str, way: str, workers: int) -> None:
        """`way`: before, threads, processes or loader."""
        import numpy as np
        import torch

        import cog
        from cog.images.find import find_images
        from cog.images.image_list import choose

        torch.set_num_threads(1)
        self.way, self.workers = way, workers
        listing = find_images(root, sorted(path.stem for path in root.glob("*.tar")))
        rows = {wnid: np.arange(len(paths)) for wnid, paths in listing.paths.items()}
        self.images = choose(listing, rows, "train")
        self.preprocess = cog.Preprocess(SIDES[kind], SIDES[kind])
        network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        self.model = cog.Model(network, preprocess=self.preprocess, name="colours")

    def slices(self) -> list[slice]:
        """The batches of all images."""
        rows = len(self.images)
        return [slice(start, min(start + BATCH, rows)) for start in range(0, rows, BATCH)]

    def extract(self) -> Record:
        """Features of all images; gives a hash of the files of the store."""
        import torch

        from cog.features.executors.executor import executor_for
        from cog.features.extract import extract
        from cog.features.model_run import ModelRun
        from cog.features.settings import Extraction
        from cog.progress import Silent

        feed = {} if self.way == "before" else {"feed": self.way}
        settings = Extraction(
            device="cpu", batch_size=BATCH, chunk_rows=4 * BATCH, workers=self.workers, **feed
        )
        with tempfile.TemporaryDirectory() as folder:
            run = ModelRun(Path(folder) / "run", self.model, "colours")
            found = executor_for(settings, [torch.device("cpu")], Silent())
            older = not hasattr(found, "__enter__")
            with nullcontext(found) if older else found as executor:
                extract([run], "images", [self.images], settings, executor, Silent())
            files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            digest = hashlib.sha256(b"".join(path.read_bytes() for path in files))
        return {"hash": digest.hexdigest()}

    def feed(self) -> Record:
        """Batches alone; of memory, what is taken in the middle."""
        from cog.features.feeder.feed import feed
        from cog.features.feeder.feeding import Feeding
        from cog.features.feeder.part import PART
        from cog.features.feeder.slots import Layout, slots_for

        slots = slots_for(self.workers, PART, BATCH)
        layout = Layout((self.preprocess.geometry,), BATCH, slots)
        before, most = megabytes_of([os.getpid(), *descendants()]), 0.0
        feeding = Feeding(self.workers, self.way)
        for _ in feed(self.images, self.slices(), [self.preprocess], feeding):
            most = max(most, megabytes_of([os.getpid(), *descendants()]))
        return {"taken": most - before, "formula": layout.bytes / 1e6, "idle": before}

    def batches(self) -> Record:
        """Batches alone, by processes or by torch's loader."""
        if self.way == "loader":
            for pixels in self.loader:
                assert len(pixels)
            return {}
        from cog.features.feeder.feed import feed
        from cog.features.feeder.feeding import Feeding

        feeding = Feeding(self.workers, self.way)
        for batch in feed(self.images, self.slices(), [self.preprocess], feeding):
            assert len(batch.readable)
        return {}

    @property
    def loader(self) -> Any:
        """A loader whose workers live on."""
        if not hasattr(self, "_loader"):
            from torch.utils.data import DataLoader

            self._loader = DataLoader(
                Batches(self), batch_size=None, sampler=self.slices(), num_workers=self.workers,
                persistent_workers=True, multiprocessing_context="forkserver",
            )  # fmt: skip
        return self._loader


class Batches:
    """A data set for torch's loader: its items are batches, by their slices."""

    def __init__(self, measured: Measured) -> None:
        """Of the images of a process."""
        self.images, self.preprocess = measured.images, measured.preprocess

    def __getitem__(self, rows: slice) -> Any:
        """One batch, loaded as a part is."""
        import numpy as np
        import torch

        from cog.features.feeder.feeding import Feeding
        from cog.features.feeder.part import PART, load_part
        from cog.features.feeder.slots import Layout
        from cog.images.neighbours import locate

        pixels = np.empty((rows.stop - rows.start, *self.preprocess.shape), np.uint8)
        layout = Layout((self.preprocess,), len(pixels), 1)
        for first in range(0, len(pixels), PART):
            own = slice(rows.start + first, min(rows.start + first + PART, rows.stop))
            place = locate(self.images, own)
            load_part(place, first, [pixels], layout, Feeding(1))
        return torch.from_numpy(pixels)


def serve(root: str, kind: str, way: str, workers: int) -> None:
    """In a process of its own: do what each line asks for, and say what it took."""
    with ExitStack() as stack:
        if way != "before":
            from cog.features.feeder.processes import pools_kept

            stack.enter_context(pools_kept())
        measured = Measured(Path(root), kind, way, workers)
        print("ready", flush=True)
        for line in sys.stdin:
            pids = descendants()
            driver, others, wall = time.process_time(), seconds_of(pids), time.perf_counter()
            found = getattr(measured, line.strip())()
            count = len(measured.images) / 1e6
            found["wall"] = (time.perf_counter() - wall) / count
            found["driver"] = (time.process_time() - driver) / count
            found["total"] = found["driver"] + (seconds_of(descendants()) - others) / count
            print(json.dumps(found), flush=True)


class Process:
    """A process that `serve`s."""

    def __init__(self, root: Path, kind: str, way: str, workers: int, checkout: Path) -> None:
        """`checkout`: whose `cog` it imports."""
        self.name = f"{way} {workers}"
        words = ["--serve", str(root), kind, way, str(workers)]
        paths = os.pathsep.join([str(checkout), str(Path(__file__).parent)])
        self.process = subprocess.Popen(
            [sys.executable, __file__, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self._line()

    def _line(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended")
        return line

    def do(self, what: str) -> Record:
        """Do it once."""
        assert self.process.stdin
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        found: Record = json.loads(self._line())
        return found

    def end(self) -> None:
        """Let it end."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def in_turns(processes: Sequence[Process], what: str, repeats: int) -> dict[str, list[Record]]:
    """What each process measures in each repeat, after one that starts its workers."""
    found: dict[str, list[Record]] = {process.name: [] for process in processes}
    for repeat in range(repeats + 1):
        first = repeat % len(processes)
        for process in [*processes[first:], *processes[:first]]:
            record = process.do(what)
            if repeat:
                found[process.name].append(record)
    return found


def cost(options: argparse.Namespace, kind: str) -> Iterator[Record]:
    """Extraction by threads and by processes, and by the code before."""
    with tempfile.TemporaryDirectory() as folder:
        root, here = Path(folder), Path(__file__).parents[1]
        write_tars(root, kind, options.tiny if kind == "tiny" else options.photos)
        ways = [(way, n, here) for way in ("threads", "processes") for n in options.workers]
        if options.before:
            ways += [("before", n, options.before) for n in options.workers]
        processes = [Process(root, kind, *way) for way in ways]
        found = in_turns(processes, "extract", options.repeats)
        for process in processes:
            process.end()
    hashes = {record["hash"] for records in found.values() for record in records}
    for name, records in found.items():
        way, workers = name.split()
        line = {"way": way, "workers": int(workers), "same_bytes": len(hashes) == 1}
        line |= {key: spread([r[key] for r in records], 1) for key in ("driver", "total", "wall")}
        before = found.get(f"before {workers}")
        if before and way != "before":
            line["over_before"] = over([r["total"] for r in records], [r["total"] for r in before])
        yield line


def memory(options: argparse.Namespace) -> Iterator[Record]:
    """What feeding takes, over the formula."""
    with tempfile.TemporaryDirectory() as folder:
        write_tars(Path(folder), "photos", options.photos)
        for way in ("threads", "processes"):
            for workers in options.workers:
                process = Process(Path(folder), "photos", way, workers, Path(__file__).parents[1])
                process.do("batches")
                record = process.do("feed")
                process.end()
                yield {"way": way, "workers": workers} | {
                    f"{key}_megabytes": round(record[key], 1)
                    for key in ("taken", "formula", "idle")
                }


def loader(options: argparse.Namespace) -> Iterator[Record]:
    """torch's loader against the processes."""
    for kind in ("tiny", "photos"):
        with tempfile.TemporaryDirectory() as folder:
            write_tars(Path(folder), kind, options.tiny if kind == "tiny" else options.photos)
            ways = [(way, n) for way in ("processes", "loader") for n in options.workers]
            here = Path(__file__).parents[1]
            processes = [Process(Path(folder), kind, *way, here) for way in ways]
            for name, records in in_turns(processes, "batches", options.repeats).items():
                line = {"images": kind, "way": name.split()[0], "workers": int(name.split()[1])}
                yield line | {k: spread([r[k] for r in records], 1) for k in ("driver", "total")}
            for process in processes:
                process.end()


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Median, lowest and highest, as in decode.py."""
    import decode

    return decode.spread(values, digits)


def over(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    """The quotient in each repeat, as in decode.py."""
    import decode

    return decode.over(above, below)


def read_options() -> argparse.Namespace:
    """The arguments; `--small` takes few images and two workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="tiny,photos,memory,loader")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--before", type=Path, help="a checkout of older code")
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--tiny", type=int, default=8192, help="images of 16 × 16")
    parser.add_argument("--photos", type=int, default=2048, help="images of 500 × 375")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.small:
        options.tiny, options.photos, options.repeats, options.workers = 1024, 1024, 1, "2"
    options.workers = [int(number) for number in options.workers.split(",")]
    return options


def main() -> None:
    """Measure the parts asked for, print."""
    options = read_options()
    if options.serve:
        root, kind, way, workers = options.serve
        return serve(root, kind, way, int(workers))
    from cog.cores import usable_cores

    parts = {"memory": memory, "loader": loader}
    for part in options.only.split(","):
        for record in parts[part](options) if part in parts else cost(options, part):
            line = {"benchmark": f"feed: {part}", "measured": True, **record}
            line |= {"cores": usable_cores(), "python": platform.python_version()}
            print(json.dumps(line, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
