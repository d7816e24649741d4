"""Batches that a device works on while the host goes on: what waits for what, and late errors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from cog.errors import CogError
from cog.features import chunks, memory_format, transfers
from cog.features.chunks import Gap, Gaps, make_chunks
from cog.features.executors.device import Device
from cog.features.extract import describe_devices
from cog.features.failures import OutOfMemory
from cog.features.feeder.batch import Batch
from cog.features.forward import Forward, embed
from cog.features.memory_format import within
from cog.features.model_run import ModelRun
from cog.features.pinned import pinned
from cog.features.precision import PRECISIONS, require_precision
from cog.features.settings import Extraction
from cog.images.image_list import ImageList
from cog.images.preprocess import Preprocess
from cog.models.model import Model
from cog.progress import Silent
from tests.support.small_networks import Net, Returns
from tests.support.stores import content, make
from tests.support.watched_cuda import WatchedCuda

SMALL = Preprocess(resize=8, crop=8)
START = [
    "pin",
    "copy to the device, copying",
    "computing waits for copying",
    "kept for computing",
    "copy to the host, computing",
]


@pytest.fixture
def cuda(monkeypatch) -> WatchedCuda:
    watched = WatchedCuda()
    monkeypatch.setattr(transfers, "CUDA", watched)
    return watched


def images(rows=6, seed=0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (rows, 3, 8, 8), generator=generator, dtype=torch.uint8)


def net(seed=0) -> Model:
    return Model(Net(seed), preprocess=SMALL, name=f"net{seed}")


def test_a_start_waits_for_nothing_and_a_result_for_its_own_batch(cuda):
    forward = Forward(net())
    first, second = forward.start(images(seed=1)), forward.start(images(seed=2))
    assert cuda.said == START * 2
    found = [first.result(), second.result()]
    assert cuda.said[len(START) * 2 :] == ["host waits for computing"] * 2
    for seed, features in enumerate(found, 1):
        assert np.array_equal(features, embed(net(), images(seed=seed)))


def test_pixels_that_are_on_the_device_are_not_copied(cuda):
    there = torch.zeros(2, 3, 8, 8, device="meta")
    assert transfers.Transfers(there.device).send(there) is there
    assert len(Forward(net()).transfers.send(torch.zeros(0, 3))) == 0  # nor is nothing
    assert cuda.said == []


def test_features_do_not_share_the_memory_that_the_device_writes(cuda):
    """The next batch may get it."""
    found = Forward(net()).transfers.fetch(torch.ones(2, 3))
    assert found.wait().data_ptr() != found.host.data_ptr()


@pytest.mark.parametrize("text", ["CUDA error: device-side assert triggered", "a bus is off"])
def test_an_error_that_comes_late_is_one_of_the_network(cuda, text):
    cuda.errors = [RuntimeError(text)]
    pending = Forward(net()).start(images())
    with pytest.raises(CogError, match=f"net0 fails on a batch of 6: RuntimeError: {text}") as late:
        pending.result()
    assert "--batch-size" in late.value.hint


def test_memory_that_is_short_late_halves_the_batch(cuda):
    said: list[str] = []
    forward = Forward(net(), notify=said.append)
    cuda.errors = [RuntimeError("CUDA out of memory")]
    pending = forward.start(images(7))
    np.testing.assert_allclose(pending.result(), embed(net(), images(7)), rtol=1e-5, atol=1e-6)
    assert forward.fits == 3
    assert len(said) == 1
    assert "net0 runs out of memory on a batch of 7" in said[0]
    cuda.errors = [torch.cuda.OutOfMemoryError("all is taken")]
    with pytest.raises(OutOfMemory, match="on a batch of 1"):
        forward.start(images(1)).result()


def test_memory_that_is_short_at_the_start_halves_the_batch(cuda):
    def most_two(x):
        if len(x) > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return x.flatten(1)

    forward = Forward(Model(Returns(most_two), preprocess=SMALL))
    pending = forward.start(images(7))
    assert "host waits for computing" not in cuda.said
    assert np.array_equal(pending.result(), SMALL.normalise(images(7)).flatten(1).numpy())
    assert forward.fits == 1


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.flatten(1).where(x.flatten(1) > -9, 0) * torch.nan,
        lambda x: (x.flatten(1) * 1e-7).half(),
        lambda x: x.flatten(1).double() * 1e-45,
    ],
    ids=["not finite", "worn in float16", "worn in float32"],
)
def test_what_is_wrong_with_the_numbers_is_said_as_by_embed(cuda, function):
    model = Model(Returns(function), preprocess=SMALL, name="odd")
    pending = Forward(model).start(images())
    with pytest.raises(CogError) as late:
        pending.result()
    with pytest.raises(CogError) as at_once:
        model.embed(SMALL.normalise(images()))
    assert (late.value.what, late.value.hint) == (at_once.value.what, at_once.value.hint)


def test_half_precision_comes_back_as_float32(cuda):
    model = Model(Returns(lambda x: x.flatten(1).bfloat16()), preprocess=SMALL)
    found = Forward(model).start(images()).result()
    assert found.dtype == np.float32
    expected = SMALL.normalise(images()).flatten(1).bfloat16().float()
    assert np.array_equal(found, expected.numpy())


def fed(cuda: WatchedCuda | None, fails_after: int | None = None):
    """A stand-in for `feed`: two slots of memory, and a list of what is given and let go."""

    def feed(image_list, slices, preprocesses, feeding) -> Iterator[Batch]:
        slots = [torch.zeros(4, 3, 8, 8, dtype=torch.uint8) for _ in range(2)]
        said = [] if cuda is None else cuda.said
        try:
            for number, rows in enumerate(slices):
                if number == fails_after:
                    raise CogError("a worker is gone", "run again")
                count = rows.stop - rows.start
                pixels = slots[number % 2][:count]
                pixels.copy_(images(count, seed=number))
                said.append(f"batch {number}")
                every = dict.fromkeys(preprocesses, pixels)
                yield Batch(rows, every, np.ones(count, bool), {}, {})
                if number:
                    slots[(number - 1) % 2].fill_(13)
        finally:
            said.append("slots go")

    return feed


def gaps_of(folder, models, wanted=None) -> Gaps:
    """Stores of 10 rows in chunks of 4, each for one model."""
    made = []
    for model in models:
        store = make(folder / model.name / "x.zarr", 10, dim=model.dim)
        lacks = frozenset((wanted or {}).get(model.name, range(3)))
        made.append(Gap(ModelRun(folder / model.name, model, ""), store, lacks))
    names = tuple(f"{row}.jpg" for row in range(10))
    labels = np.zeros(10, np.int64)
    listing = ImageList(str(folder), "folder", names, labels, ("n00000001",), "train")
    return Gaps(tuple(made), listing, Extraction(batch_size=2, device="cpu"))


def run(gaps: Gaps) -> Iterator[Batch]:
    device = Device(torch.device("cpu"), gaps.settings, 1, Silent(), moves=False)
    return make_chunks(gaps, range(3), device)


def test_batches_overlap_and_their_features_come_one_batch_late(cuda, tmp_path, monkeypatch):
    """When the feeder is asked for a batch, the one of two earlier has been fetched."""
    monkeypatch.setattr(chunks, "feed", fed(cuda))
    gaps = gaps_of(tmp_path, [net()])
    given = [batch.rows.start for batch in run(gaps)]
    assert given == [0, 2, 4, 6, 8]
    fetch = ["host waits for computing"]
    order = ["batch 0", *START, "batch 1", *START, *fetch]
    for number in (2, 3, 4):
        order += [f"batch {number}", *START, *fetch]
    assert cuda.said == [*order, "slots go", *fetch, "host waits for all of copying"]


def test_the_stores_are_those_of_a_cpu(cuda, tmp_path, monkeypatch):
    """Of two models, one of which has a chunk already, with one batch short of memory late."""
    wanted = {"net1": (0, 2)}
    monkeypatch.setattr(chunks, "feed", fed(cuda))
    late = gaps_of(tmp_path / "late", [net(0), net(1)], wanted)
    cuda.errors = [None] * 4 + [RuntimeError("CUDA out of memory")]
    assert len(list(run(late))) == 5
    monkeypatch.undo()
    monkeypatch.setattr(chunks, "feed", fed(None))
    at_once = gaps_of(tmp_path / "at_once", [net(0), net(1)], wanted)
    assert len(list(run(at_once))) == 5
    short, expected = late.of[0].store.read()[0], at_once.of[0].store.read()[0]
    np.testing.assert_allclose(short, expected, rtol=1e-5, atol=1e-6)
    assert content(late.of[1].store.path) == content(at_once.of[1].store.path)
    assert late.of[1].store.done_chunks() == [0, 2]


@pytest.mark.parametrize("how", ["closed", "feeder fails", "network fails"])
def test_copies_have_ended_before_the_memory_goes(cuda, tmp_path, monkeypatch, how):
    """A feeder that fails lets its memory go itself, and waits: see `pinned`."""
    monkeypatch.setattr(chunks, "feed", fed(cuda, fails_after=3 if how == "feeder fails" else None))
    model = net()
    batches = run(gaps_of(tmp_path, [model]))
    next(batches)
    if how == "closed":
        batches.close()
    else:
        model.network.scale = None if how == "network fails" else model.network.scale
        with pytest.raises(CogError):
            list(batches)
    said = [text for text in cuda.said if text in ("slots go", "host waits for all of copying")]
    wanted = ["host waits for all of copying", "slots go"]
    assert said == (wanted if how != "feeder fails" else wanted[::-1])


def test_on_a_cpu_features_are_fetched_at_once(tmp_path, monkeypatch):
    """An error then loses no chunk that was whole before it."""
    monkeypatch.setattr(chunks, "feed", fed(None, fails_after=2))
    gaps = gaps_of(tmp_path, [net()])
    with pytest.raises(CogError, match="a worker is gone"):
        list(run(gaps))
    assert gaps.of[0].store.done_chunks() == [0]


def test_means_and_deviations_are_copied_to_a_device_once(monkeypatch):
    """A copy from ordinary memory waits for the device, in every batch."""
    x = images()
    first = SMALL.normalise(x)
    monkeypatch.setattr(torch, "tensor", None)
    assert torch.equal(SMALL.normalise(x), first)


class Runtime:
    """A stand-in for CUDA's runtime."""

    def __init__(self, result: int) -> None:
        self.result, self.said = result, []

    def cudaHostRegister(self, address, size, flags):
        self.said.append(("register", address, size, flags))
        return self.result

    def cudaHostUnregister(self, address):
        self.said.append(("unregister", address))
        return 0


@pytest.mark.parametrize("result", [0, 801])
def test_memory_is_registered_for_a_block_or_stays_as_it_is(monkeypatch, result):
    runtime, device = Runtime(result), torch.device("cuda")
    cleared = []
    monkeypatch.setattr(torch.cuda, "cudart", lambda: runtime)
    monkeypatch.setattr(torch.cuda, "device", lambda _: torch.no_grad())
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: runtime.said.append("wait"))
    memory = torch.ones(5, 4, dtype=torch.int16)
    monkeypatch.setattr(torch, "ones", lambda *_, **__: cleared.append(1))
    with pinned(memory, device) as registered:
        assert registered == (result == 0)
        assert runtime.said == [("register", memory.data_ptr(), 40, 1)]
    assert cleared == ([] if registered else [1])
    after = ["wait", ("unregister", memory.data_ptr())] if registered else []
    assert runtime.said[1:] == after
    with pinned(memory, torch.device("cpu")) as registered:
        assert not registered


def test_only_networks_of_several_convolutions_on_a_gpu_get_channels_last():
    assert Forward(net()).memory_format is torch.contiguous_format
    in_order = Model(Returns(lambda x: x.view(len(x), -1)), preprocess=SMALL)
    assert memory_format._same_features(net())
    assert not memory_format._same_features(in_order)
    usual = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert within(usual, usual, 1e-5)
    assert not within(usual, usual + torch.tensor([[0.0, 1e-3], [0.0, 0.0]]), 1e-5)
    assert not within(usual, usual + torch.tensor([[0.0, 0.0], [0.0, 1e-9]]), 1e-5)
    assert not within(usual, usual * torch.nan, 1e-5)


class OneGpu:
    """An executor whose device is called a GPU, and has been asked for its formats."""

    def __init__(self, kind: str, *models: Model) -> None:
        self.asked = kind
        self.device = Device(torch.device("cpu"), Extraction(), 1, Silent(), moves=False)
        for model in models:
            self.device.forward(model).memory_format = torch.channels_last

    def kind(self, model):
        return self.asked

    def spread(self, work, bundle, items):
        return work(bundle, items, self.device)


def test_run_json_says_how_a_batch_lies_on_a_gpu(tmp_path):
    model_runs = [ModelRun(tmp_path, net(seed), "") for seed in (0, 1)]
    found = describe_devices(model_runs, OneGpu("cuda", model_runs[1].model))
    formats = [found[model_run]["memory_format"] for model_run in model_runs]
    assert formats == ["contiguous_format", "channels_last"]
    assert describe_devices(model_runs, OneGpu("cpu"))[model_runs[0]] == {"device": "cpu"}


def test_the_order_of_a_batch_reaches_the_network():
    seen = []

    def look(x):
        seen.append(x.is_contiguous(memory_format=torch.channels_last))
        return x.flatten(1)

    forward = Forward(Model(Returns(look), preprocess=SMALL))
    usual = forward(images())
    forward.memory_format = torch.channels_last
    assert np.array_equal(forward(images()), usual)
    assert seen == [False, True]


def test_ways_are_not_timed_while_a_network_computes(monkeypatch):
    """As a training script may want it; other bits would come of it each time."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    seen = []
    look = Returns(lambda x: seen.append(torch.backends.cudnn.benchmark) or x.flatten(1))
    Forward(Model(look, preprocess=SMALL))(images())
    assert seen == [False]
    assert torch.backends.cudnn.benchmark


@pytest.mark.parametrize("capability", [(7, 5), (8, 0)])
def test_tf32_is_refused_where_there_is_none(monkeypatch, capability):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    devices = ["cpu", "mps", *(["cuda"] if capability < (8, 0) else [])]
    for name in devices:
        with pytest.raises(CogError, match=f"tf32: the device {name} has no TF32") as refused:
            require_precision("tf32", torch.device(name))
        assert "--precision fp32" in refused.value.hint
    if "cuda" not in devices:
        require_precision("tf32", torch.device("cuda"))
    for precision in PRECISIONS:
        if precision != "tf32":
            require_precision(precision, torch.device("cpu"))
    with pytest.raises(CogError, match="has no TF32"):
        Forward(net(), "tf32")(images())
