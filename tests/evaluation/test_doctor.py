"""`cog doctor`: what it measures and compares, what it makes of that, and how it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cog.cli.doctor import _speeds
from cog.errors import CogError
from cog.evaluation.doctor import agreement, disk, machine, pixels, speed
from cog.evaluation.doctor.bottleneck import Speeds, bottleneck, promised, shares
from cog.evaluation.doctor.checks import Check, tried
from cog.evaluation.doctor.disk import disk_rates
from cog.evaluation.doctor.doctor import (
    Diagnosis,
    diagnose,
    readable,
    some_images,
    untrained_resnet50,
)
from cog.features import forward, rates
from cog.images.drawn import again_and_again, draw_photograph, drawn_images
from cog.images.headers import jpeg_frame
from cog.images.image_list import read_bytes
from cog.images.preprocess import Preprocess
from cog.models.load import load_model
from tests.support.runs import WNIDS, call_cog

CPU = torch.device("cpu")
GPU_SPEEDS = Speeds(
    kind="cuda", cores=16, decode=610, feed={"": 9100}, copy=60_000,
    forward={"--precision fp32": 7900, "--precision tf32": 9000, "--precision bf16": 15_000},
    together={"--precision fp32": 7700},
)  # fmt: skip


@pytest.fixture(scope="module")
def found(plug_in, tmp_path_factory) -> Diagnosis:
    """A diagnosis of this CPU in about a second, and nothing left behind."""
    out = tmp_path_factory.mktemp("out")
    made = diagnose("cpu", None, f"{plug_in}:load", str(out / "not" / "there"), seconds=0.5)
    assert list(out.iterdir()) == []
    return made


HEAD = "decoding on 16 cores gives 9,100 images/s, the network takes 7,900 (--precision fp32): "


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"together": {}},
            HEAD + "bound by the network; --precision bf16 would give 9,100, bound by decoding",
        ),
        (
            {"together": {"--precision fp32": 7700, "--precision bf16": 8600}},
            HEAD + "bound by the network; --precision tf32 would give 9,000, bound by the network",
        ),
        (
            {"together": {"--precision fp32": 7700, "--precision bf16": 8900,
                          "--precision bf16 --resize-on device": 13_500}},
            HEAD + "bound by the network; --precision bf16 --resize-on device gives 13,500",
        ),
        (
            {"copy": 2000, "together": {"--precision fp32": 1500}},
            HEAD + "bound by the copy, 2,000; "
            "all together reach 1,500, 75% of what the steps promise",
        ),
        (
            {"together": {}, "forward": {"--precision fp32": 7900, "--precision bf16": 20_000,
                                         "--precision fp16": 20_000}},
            HEAD + "bound by the network; --precision bf16 would give 9,100, bound by decoding",
        ),
        (
            {"feed": {"": 1700, "--resize-on device": 3300}, "together": {}},
            "decoding on 16 cores gives 1,700 images/s, the network takes 7,900 (--precision fp32)"
            ": bound by decoding; --resize-on device would give 3,300, bound by decoding",
        ),
        (
            {"feed": {"": 1700, "--resize-on device": 1720}, "together": {}, "cores": 1},
            "decoding on 1 core gives 1,700 images/s, the network takes 7,900 (--precision fp32)"
            ": bound by decoding",
        ),
        (
            {"kind": "cpu", "copy": None, "feed": {"": 1200}, "together": {},
             "forward": {"--precision fp32": 12.0, "--precision bf16": 30.0}},
            "decoding on 16 cores gives 1,200 images/s, the network takes 12.0 (--precision fp32)"
            ": bound by the network, as both share the cores (the network has 99% of the time)"
            "; --precision bf16 would give 29.3",
        ),
        (
            {"kind": "cpu", "copy": None, "feed": {"": 100}, "together": {},
             "forward": {"--precision fp32": 900.0}},
            "decoding on 16 cores gives 100 images/s, the network takes 900 (--precision fp32)"
            ": bound by decoding, as both share the cores (the network has 10% of the time)",
        ),
        (
            {"forward": {}, "together": {}},
            "decoding gives 9,100 images/s, and the network does not run",
        ),
    ],
)  # fmt: skip
def test_the_bottleneck_in_a_sentence(changes, expected):
    assert bottleneck(replace(GPU_SPEEDS, **changes)) == expected


def test_what_all_together_reach_of_what_is_promised():
    together = {"--precision fp32": 7900, "--precision bf16 --resize-on device": 12_000}
    feed = {"": 9100, "--resize-on device": 20_000}
    found = shares(replace(GPU_SPEEDS, feed=feed, together=together))
    assert found == {"--precision fp32": 1.0, "--precision bf16 --resize-on device": 0.8}


def test_nothing_is_proposed_that_would_not_be_faster():
    slower = {"--precision fp32": 7900.0, "--precision bf16": 7000.0}
    assert "give " not in bottleneck(replace(GPU_SPEEDS, forward=slower))


def test_on_a_cpu_the_seconds_of_an_image_add_up():
    assert promised(replace(GPU_SPEEDS, kind="cpu"), 100, 100) == pytest.approx(50)
    assert promised(GPU_SPEEDS, 100, 200) == 100


def test_a_cpu_agrees_with_itself(found):
    assert found.agrees
    by_name = {check.name: check for check in found.checks}
    made = {name for name, check in by_name.items() if check.passed}
    assert made == {
        "pixels, decoded quickly",
        "pixels, resized on cpu",
        "features, one by one",
        "features, bf16 on cpu",
        "probe, lbfgs",
        "probe, sgd",
    }
    left = [check for check in found.checks if check.passed is None]
    assert {check.found for check in left} == {"no GPU"}
    assert len(left) == 3


def test_every_rate_is_measured(found):
    speeds = found.speeds
    rates = [speeds.decode, *speeds.feed.values(), *speeds.forward.values()]
    assert all(np.isfinite(rate) and rate > 0 for rate in [*rates, *speeds.together.values()])
    assert list(speeds.forward) == ["--precision fp32", "--precision bf16"]
    assert next(iter(speeds.together)) == "--precision fp32"
    assert speeds.copy is None
    assert found.notes == ()
    assert found.disk.write > 0
    assert found.disk.read > 0
    assert found.peak_memory > 10e6


def test_the_document_keeps_its_keys(found):
    document = json.loads(found.as_json())
    assert list(document) == [
        "doctor", "agrees", "machine", "disk", "model", "images", "speeds", "bottleneck", "checks",
        "notes", "peak_memory", "gpu_peak_memory", "seconds",
    ]  # fmt: skip
    assert document["doctor"] == 1
    assert list(document["machine"]) == [
        "system", "processor", "versions", "cores", "cores_of_machine", "cores_to_run_on", "quota",
        "memory", "memory_limit", "device", "gpu", "gpu_memory", "gpu_free", "gpus", "driver",
    ]  # fmt: skip
    assert list(document["speeds"]) == [
        "kind", "cores", "decode", "feed", "copy", "forward", "together"
    ]  # fmt: skip
    assert list(document["checks"][0]) == ["name", "passed", "expected", "found", "hint"]


def test_one_core_is_one_core(found):
    one = replace(found, speeds=replace(found.speeds, cores=1))
    assert "reading and decoding, 1 core" in [step for step, *_ in _speeds(one)]


def run_doctor(tmp_path, *words):
    return call_cog("doctor", "--device", "cpu", *words, cwd=tmp_path)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("cog.evaluation.doctor.doctor.SECONDS", 0.2)


def test_a_device_that_disagrees_gives_status_1(tmp_path, plug_in, quick, monkeypatch):
    real = agreement.fit_probe

    def off(solver, device, dtype):
        fitted = real(solver, device, dtype)
        wrong = solver == "sgd" and dtype == torch.float32
        return replace(fitted, objective=1.01 * fitted.objective) if wrong else fitted

    monkeypatch.setattr(agreement, "fit_probe", off)
    done = run_doctor(tmp_path, "--model", f"{plug_in}:load")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[-1] == "does not agree"
    assert lines[-3].startswith("probe, sgd: expected objective 0.95")
    assert lines[-2].startswith("  fit probes with --device cpu")
    assert any(line.startswith("  FAILED  probe, sgd") for line in lines)
    assert any(line.startswith("  ok      probe, lbfgs") for line in lines)


def test_given_images_and_a_document_of_it_all(tmp_path, images, plug_in, quick):
    done = run_doctor(tmp_path, "--model", f"{plug_in}:load", "--images", images, "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["images"] == str(images)
    assert document["model"] == "colours"
    assert document["agrees"] is True


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--device", "cuda:99"], "no device cuda:99"),
        (["--device", "gpu"], "unknown device 'gpu'"),
        (["--model", "no_such_model"], "no_such_model"),
        (["--images", "nothing/here"], "there is no nothing/here"),
    ],
)
def test_what_is_not_there_is_said_in_two_lines(tmp_path, quick, plug_in, words, what):
    words = words if "--model" in words else [*words, "--model", f"{plug_in}:load"]
    done = run_doctor(tmp_path, *words)
    assert done.returncode == 2
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith("error: ")
    assert what in error
    assert hint.startswith(" hint: ")


def test_a_place_that_cannot_be_written_is_said_in_two_lines(tmp_path, quick, plug_in):
    (tmp_path / "file").write_text("")
    done = run_doctor(tmp_path, "--model", f"{plug_in}:load", "--out", "file")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        " hint: a file is where a folder should be: give another --out"
    )


def test_the_disk_keeps_nothing_of_what_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "CHUNK", 1000)
    rates = disk_rates(tmp_path / "runs", seconds=10)
    assert (rates.path, rates.bytes) == (str(tmp_path), 16_000)
    assert list(tmp_path.iterdir()) == []

    def full(path, data):
        path.write_bytes(data)
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(disk, "_write", full)
    with pytest.raises(OSError, match="No space"):
        disk_rates(tmp_path / "runs", seconds=10)
    assert list(tmp_path.iterdir()) == []


def rows(*values):
    return np.array(values, np.float32)


def test_features_are_as_far_apart_as_the_worst_row():
    found = agreement.difference(rows([3, 4], [1, 0]), rows([3, 4], [0, 2]))
    assert found.length == pytest.approx(5**0.5 / 2)
    assert found.cosine == pytest.approx(0)
    assert agreement.difference(rows([np.nan, 1]), rows([0, 1])).length == float("inf")


@pytest.mark.parametrize(("factor", "passed"), [(1 + 1e-5, True), (1 + 1e-3, False)])
def test_features_that_differ_by_more_than_their_precision_disagree(factor, passed):
    expected = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    check = agreement.check_features("f", "fp32", expected, lambda: expected * np.float32(factor))
    assert check.passed is passed


def test_fits_that_are_not_alike():
    one = agreement.Fitted(0.9, 70.0)
    assert agreement.alike(one, agreement.Fitted(0.9001, 70.4))
    for other in (agreement.Fitted(0.9, 69.0), agreement.Fitted(0.91, 70.0)):
        assert not agreement.alike(one, other)
    assert not agreement.alike(agreement.Fitted(float("nan"), 70.0), one)


def test_a_decoder_that_disagrees(monkeypatch):
    files, preprocess = [draw_photograph(0)], Preprocess()
    assert pixels.check_decoded(files, preprocess).passed
    assert pixels.check_resized(files, preprocess, CPU, "torchvision").passed
    real = Preprocess.load

    def brighter(self, data, decoder="torchvision"):
        return real(self, data, decoder).clamp(max=250) + (5 if decoder != "pillow" else 0)

    monkeypatch.setattr(Preprocess, "load", brighter)
    for check in (
        pixels.check_decoded(files, preprocess),
        pixels.check_resized(files, preprocess, CPU, "torchvision"),
    ):
        assert check.passed is False
        assert "--decoder pillow" in check.hint


def test_nvjpeg_is_compared_where_there_is_a_gpu_that_has_it():
    files, preprocess = [draw_photograph(0)], Preprocess()
    assert pixels.check_resized(files, preprocess, CPU, "nvjpeg").found == "no GPU"
    there = pixels.check_resized(files, preprocess, torch.device("cuda"), "nvjpeg")
    assert there.passed is None or torch.cuda.is_available()
    assert "nvjpeg" in there.found or torch.cuda.is_available()


@pytest.mark.parametrize(
    ("recorded", "shift", "passed"), [(True, 0.0, True), (True, 1e-3, False), (False, 0.0, False)]
)
def test_a_graph_that_is_another_step_or_none_disagrees(monkeypatch, recorded, shift, passed):
    def stand_in(device, record):
        return agreement.Steps(torch.ones(3) + record * shift, record and recorded)

    monkeypatch.setattr(agreement, "graph_steps", stand_in)
    assert agreement.check_graph(torch.device("cuda")).passed is passed
    assert agreement.check_graph(CPU).passed is None


def test_a_gpu_is_looked_at(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 9))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(machine, "_driver", lambda: "570.1")
    seen = machine.look(torch.device("cuda:1"))
    assert (seen.device, seen.gpu, seen.gpus) == ("cuda:1", "a card", 2)
    assert (seen.gpu_free, seen.gpu_memory) == (5, 9)
    assert seen.driver == "570.1"


def setting_of(model, folder, notify=print) -> speed.Setting:
    images = drawn_images(folder / "images", 3)
    return speed.Setting(model, images, readable(images), 2, 0.02, folder, notify)


def test_on_a_gpu_its_precisions_and_feeds_are_measured(plug_in, tmp_path, monkeypatch):
    """By a CPU that says that it is one: all but the device is the same."""
    monkeypatch.setattr(speed.Setting, "kind", "cuda")
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(forward, "Compiled", NotCompiled)
    model = load_model(f"{plug_in}:load")
    told: list[str] = []
    setting = setting_of(model, tmp_path, told.append)
    speeds = speed.measure(setting)
    assert speeds.copy > 0
    assert list(speeds.feed) == ["", "--resize-on device"]
    rounded = [option for option in speeds.forward if "--compile" not in option]
    assert rounded == ["--precision fp32", "--precision bf16"]
    assert [option.endswith(" --compile") for option in speeds.forward] == [0, 0, 1]
    assert next(iter(speeds.together)) == "--precision fp32"
    assert list(speeds.together)[-1].endswith("--resize-on device")
    assert [why.partition(":")[0] for why in setting.refused] == [
        "--resize-on device --decoder nvjpeg"
    ]
    assert told == [f"measuring {what}" for what in (
        "decoding and reading", "the network", "all together"
    )]  # fmt: skip


@pytest.mark.parametrize(("capability", "found"), [((8, 0), True), ((7, 5), False)])
def test_tf32_is_left_out_where_a_gpu_lacks_it(monkeypatch, capability, found):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert ("tf32" in speed.precisions(torch.device("cuda"))) is found
    assert speed.precisions(CPU) == ["fp32", "bf16"]


class NotCompiled:
    """In the place of what torch.compile makes, which takes it half a minute."""

    def __init__(self, model, rows, notify):
        self.network = model.network

    def padded(self, pixels):
        return pixels

    def __call__(self, x):
        return self.network(x)


def test_options_are_read_as_the_command_line_reads_them(plug_in, tmp_path):
    setting = setting_of(load_model(f"{plug_in}:load"), tmp_path)
    how = setting.extraction("--precision bf16 --compile --resize-on device")
    assert (how.precision, how.compile, how.resize_on) == ("bf16", True, "device")
    assert (how.workers, how.decoder) == (2, "torchvision")
    plain = setting.extraction()
    assert (plain.precision, plain.compile, plain.resize_on) == ("fp32", False, "cpu")


def test_what_a_model_refuses_is_told_and_not_measured(plug_in, tmp_path):
    setting = setting_of(load_model(f"{plug_in}:broken"), tmp_path)
    assert setting.tried("--precision fp32", lambda: speed.network_rate(setting, "")) == {}
    assert setting.refused[0].startswith("--precision fp32: broken: the features of")


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (RuntimeError("CUDA error: no kernel image\nmore"), "RuntimeError: CUDA error: no kernel"),
        (TypeError("no float64 on this device"), "TypeError: no float64"),
        (CogError("the network fails", "look"), "the network fails"),
    ],
)
def test_what_a_device_raises_is_a_failed_check(error, found):
    def raises() -> Check:
        raise error

    check = tried("name", "to work", raises)
    assert check.passed is False
    assert check.found.startswith(found)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\n", "535.104.05"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Rel\n", "570.86.15"),
    ],
)
def test_the_driver_is_read_from_its_kernel_module(tmp_path, monkeypatch, text, version):
    (tmp_path / "version").write_text(text)
    monkeypatch.setattr(machine, "DRIVER", tmp_path / "version")
    assert machine._driver() == version


def test_a_driver_that_nobody_knows_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "DRIVER", tmp_path / "nothing")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine._driver() == ""


class OnAGpu:
    """A forward pass whose copies run beside the device's work: what is started when."""

    def __init__(self):
        self.said: list[str] = []
        self.model = SimpleNamespace(preprocess=Preprocess(4, 4))
        self.transfers = SimpleNamespace(beside=True)

    def start(self, pixels):
        number = len([word for word in self.said if word[0] == "s"])
        self.said.append(f"start {number} of {len(pixels)}")
        return SimpleNamespace(result=lambda: self.said.append(f"result {number}"))

    def finish(self):
        self.said.append("finish")


def test_on_a_gpu_a_batch_is_started_before_the_one_before_is_fetched(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    forward = OnAGpu()
    assert rates.batch_seconds(forward, 3, 0.0) >= 0
    assert forward.said == [
        "start 0 of 3", "start 1 of 3", "result 0", "start 2 of 3", "result 1", "result 2", "finish"
    ]  # fmt: skip


def test_drawn_photographs_are_those_of_an_average_size(tmp_path):
    images = drawn_images(tmp_path, 3)
    data = [read_bytes(images, row) for row in range(3)]
    frame = jpeg_frame(data[0])
    assert (frame.height, frame.width) == (375, 500)
    assert len(set(data)) == 3
    assert 40_000 < np.mean([len(each) for each in data]) < 160_000
    longer = again_and_again(images, 7)
    assert longer.paths == (*images.paths, *images.paths, images.paths[0])
    assert len(longer.labels) == 7


def test_some_images_of_a_root_are_enough(images):
    listed = some_images(images)
    assert len(listed) == 12 * len(WNIDS)


def test_images_that_cannot_be_read_are_passed_by(tmp_path):
    images = drawn_images(tmp_path, 3)
    (tmp_path / images.paths[1]).write_bytes(b"no image")
    assert readable(images) == (read_bytes(images, 0), read_bytes(images, 2))
    for path in images.paths:
        (tmp_path / path).write_bytes(b"no image")
    with pytest.raises(CogError, match="none that can be read"):
        readable(images)


def test_the_network_without_weights_is_the_same_each_time():
    one, other = (untrained_resnet50() for _ in range(2))
    assert one.fingerprint == other.fingerprint
    assert one.network.fc(torch.ones(1)) == 1
