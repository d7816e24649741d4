"""Work on a Ray cluster: the files of a local run, byte for byte, whichever process dies."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cog.errors import CogError
from cog.features.executors.ray_cluster import Cluster, _requests
from cog.features.settings import Extraction
from tests.support.runs import HANGS_SECONDS, call_cog, run_cog

# Dies twice, each time within a chunk, and never again: files record it.
MORTAL = '''
import os, signal, time
from pathlib import Path
import torch
import cog

class Mortal(torch.nn.Module):
    """Mean colour of each quarter; two processes are killed at their second batch."""
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.0))
        self.calls = [0]
    def forward(self, x):
        self.calls[0] += 1
        for time_of_death in (1, 2):
            killed = Path(f"killed-{time_of_death}")
            if len(x) > 1 and self.calls[0] > 1 and Path("mortal").exists() and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.02)
        return self.scale * torch.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)

def load(): return cog.Model(Mortal(), preprocess=cog.Preprocess(resize=16, crop=16), name="mortal")
'''

# Runs `cog`, its arguments given, on a head node with one core, and kills a second node midway.
DYING_NODE = """
import sys, threading, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from cog.cli.main import main

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
node = cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
assert len([node for node in ray.nodes() if node["Alive"]]) == 2

def kill():
    while not any(Path(".").glob("there/*/features/*/features/c/1/*")):
        time.sleep(0.05)
    cluster.remove_node(node, allow_graceful=False)
    Path("killed").touch()

killer = threading.Thread(target=kill)
killer.start()
main(sys.argv[1:], standalone_mode=False)
killer.join()
"""


@pytest.fixture
def ray() -> None:
    """Skips where Ray is not installed."""
    pytest.importorskip("ray", reason="pip install 'imagenet-cog[ray]'")


@pytest.fixture
def folder(tmp_path, images, levels_folder) -> Path:
    (tmp_path / "mortal.py").write_text(MORTAL)
    (tmp_path / "images").symlink_to(images)
    (tmp_path / "levels").symlink_to(levels_folder)
    return tmp_path


RUN = (
    "--images", "images", "--levels", "levels", "--test-per-class", 4, "--min-train", 8,
    "--batch-size", 2, "--chunk-rows", 4, "--device", "cpu",
)  # fmt: skip


def store_files(run: Path) -> dict[str, bytes]:
    """The bytes of every file of the features below a run."""
    home = run / "features"
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*.*")
            if path.is_file()} | {
        str(path.relative_to(home)): path.read_bytes()
        for path in home.rglob("c/*/*") if path.is_file()
    }  # fmt: skip


def succeeded(*arguments: object, cwd: Path) -> None:
    """Ray runs in a process of its own: it is started once in each, and stays."""
    call = run_cog if "ray" in arguments else call_cog
    done = call(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.usefixtures("ray")
def test_tasks_that_are_killed_are_done_again_to_the_same_bytes(folder):
    (folder / "mortal").touch()
    model = ("--model", "mortal.py:load", *RUN)
    succeeded("extract", *model, "--out", "there", "--executor", "ray", cwd=folder)
    assert {path.name for path in folder.glob("killed-*")} == {"killed-1", "killed-2"}
    succeeded("extract", *model, "--out", "here", cwd=folder)
    files = store_files(folder / "here/mortal")
    assert len([name for name in files if "/features/c/" in name]) == 18
    assert store_files(folder / "there/mortal") == files


@pytest.mark.long
@pytest.mark.usefixtures("ray")
def test_cells_on_a_cluster_are_those_of_a_local_run(folder, images):
    (folder / "images").unlink()
    shutil.copytree(images, folder / "images")
    cut = sorted((folder / "images").glob("*/*.png"))[3]
    cut.write_bytes(cut.read_bytes()[:-200])
    model = ("--model", "mortal.py:load", *RUN, "--probe", "ridge,ncm", "--seeds", "22,37")
    succeeded("evaluate", *model, "--out", "there", "--executor", "ray", cwd=folder)
    succeeded("evaluate", *model, "--out", "here", cwd=folder)
    here, there = (
        [line.rpartition(",")[0] for line in (folder / out / "results.csv").read_text().split("\n")]
        for out in ("here", "there")
    )  # all but the seconds
    assert len(here) == 1 + 2 * (2 + 1) + 1
    assert there == here
    listed = (folder / "there/truncated.csv").read_text()
    assert cut.name in listed
    assert listed == (folder / "here/truncated.csv").read_text()


@pytest.mark.long
@pytest.mark.usefixtures("ray")
def test_a_node_that_dies_leaves_the_files_of_a_local_run(folder):
    (folder / "dying_node.py").write_text(DYING_NODE)
    model = ("--model", "mortal.py:load", *RUN)
    command = [sys.executable, "dying_node.py", "extract", *model, "--out", "there"]
    done = subprocess.run(
        [*map(str, command), "--executor", "ray"],
        cwd=folder, capture_output=True, text=True, timeout=HANGS_SECONDS,
        env=os.environ | {"COG_HOME": "home"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (folder / "killed").exists()
    succeeded("extract", *model, "--out", "here", cwd=folder)
    assert store_files(folder / "there/mortal") == store_files(folder / "here/mortal")


@pytest.mark.long
@pytest.mark.usefixtures("ray")
def test_what_a_task_raises_reaches_the_user_in_two_lines(folder):
    code = MORTAL.replace("time.sleep(0.02)", "if len(x) > 1: raise ValueError('no luck')")
    (folder / "unlucky.py").write_text(code)
    done = run_cog(
        "extract", "--model", "unlucky.py:load", *RUN, "--executor", "ray", cwd=folder
    )  # fmt: skip
    assert done.returncode == 2
    assert "ValueError: no luck" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.usefixtures("ray")
def test_a_neighbour_of_a_plug_in_is_found_where_nodes_see_it(folder):
    home = folder / "beside"
    home.mkdir()
    (home / "neighbour.py").write_text("factor = 1.0\n")
    code = MORTAL.replace("import os,", "import neighbour, os,").replace(
        "return self.scale *", "return neighbour.factor * self.scale *"
    )
    (home / "with_neighbour.py").write_text(code)
    words = ["extract", "--model", "beside/with_neighbour.py:load", *RUN, "--executor", "ray"]
    succeeded(*words, cwd=folder)


def test_an_address_where_nothing_answers_is_refused_at_once(ray, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(CogError, match=r"no Ray cluster at 127\.0\.0\.1:9: "):
        Cluster.connect(Extraction(executor="ray"), print)


def test_a_cluster_and_workers_exclude_each_other(folder):
    done = call_cog(
        "extract", "--model", "mortal.py:load", *RUN, "--executor", "ray", "--worker", "0/2",
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--worker and --executor ray" in done.stderr


def test_an_error_survives_pickling():
    error = pickle.loads(pickle.dumps(CogError("what", "hint")))
    assert (error.what, error.hint, str(error)) == ("what", "hint", "what\nhint")


@pytest.mark.parametrize(
    ("nodes", "device", "cores", "asked"),
    [
        ([{"CPU": 2.0}], "auto", None, ("cpu", 2, 1)),
        ([{"CPU": 2.0}, {"CPU": 8.0}], "auto", None, ("cpu", 2, 5)),
        ([{"CPU": 8.0}, {}], "auto", 3, ("cpu", 3, 2)),
        ([{"CPU": 64.0, "GPU": 8.0}, {"CPU": 4.0}], "auto", None, ("cuda", 8, 8)),
        ([{"CPU": 64.0, "GPU": 8.0}, {"CPU": 4.0, "GPU": 4.0}], "cuda", None, ("cuda", 1, 12)),
        ([{"CPU": 64.0, "GPU": 8.0}], "cuda", 32, ("cuda", 32, 2)),
        ([{"CPU": 64.0, "GPU": 8.0}], "cpu", None, ("cpu", 64, 1)),
    ],
)
def test_tasks_ask_for_what_nodes_have(nodes, device, cores, asked):
    assert _requests(nodes, device, cores) == asked


@pytest.mark.parametrize(
    ("nodes", "device", "cores"),
    [([{"CPU": 2.0}], "cuda", None), ([{"CPU": 2.0}], "cuda:1", None), ([{"CPU": 2.0}], "cpu", 3)],
)
def test_a_device_that_no_node_has_is_refused(nodes, device, cores):
    with pytest.raises(CogError, match="no node of the Ray cluster"):
        _requests(nodes, device, cores)


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CogError, match=r"imagenet-cog\[ray\]"):
        Cluster.connect(Extraction(executor="ray"), print)
