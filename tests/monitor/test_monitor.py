"""A network in training is evaluated on a fixed sample, and is afterwards as it was before."""

from __future__ import annotations

import pickle
import random
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import nn

import cog
from cog.errors import CogError
from cog.monitor.live_network import live_model
from tests.support.colour_images import COLOURS, draw_own
from tests.support.small_networks import Net, Returns

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = cog.Preprocess(6, 6)
TRAIN, TEST = 8, 5


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Twelve classes of noisy colours, 8 images of each to train on and 5 to test."""
    return draw_own(tmp_path_factory.mktemp("own"), {name: name for name in COLOURS}, TRAIN, TEST)


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def monitor(own, told):
    """A monitor of four images a class."""
    return cog.Monitor(
        datasets={"own": own}, per_class=4, preprocess=TINY, batch_size=32, every=10,
        notify=told.append,
    )  # fmt: skip


def numbers(found: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in found.items() if key != "cog/seconds"}


def test_a_sample_of_all_images_gives_the_numbers_of_evaluate(own, tmp_path):
    model = cog.Model(Net(), preprocess=TINY, name="net")
    table = cog.evaluate(
        model, datasets={"own": own}, out=tmp_path, dtype="float32", device="cpu", seeds="22",
        probes="knn,ridge",
    ).set_index("probe")  # fmt: skip
    whole = cog.Monitor(datasets={"own": own}, per_class=TRAIN, preprocess=TINY)
    assert numbers(whole.evaluate(model.network.train())) == {
        "cog/own/knn/top1": table.loc["knn", "top1"],
        "cog/own/ridge/top1": table.loc["ridge", "top1"],
        "cog/per_class": TRAIN,
        "cog/datasets": 1,
    }
    assert whole.evaluate(model)["cog/own/knn/top1"] == table.loc["knn", "top1"]


def test_levels_and_probes_are_chosen_by_name(images, levels_folder):
    chosen = cog.Monitor(
        images=images, levels="L2", levels_folder=levels_folder, test_per_class=4, min_train=8,
        per_class=3, preprocess=TINY, probes="ncm", metrics="top1,top5",
    )  # fmt: skip
    found = numbers(chosen.evaluate(Net()))
    assert [*found] == ["cog/L2/ncm/top1", "cog/L2/ncm/top5", "cog/per_class", "cog/datasets"]
    assert found["cog/L2/ncm/top5"] == 100  # of three classes


def test_a_step_is_evaluated_if_it_is_due(monitor):
    network = Net()
    assert monitor.step(network, 11) == {}
    assert numbers(monitor.step(network, 20)) == numbers(monitor.evaluate(network))


def test_memory_is_said_and_images_are_decoded_once(own):
    told: list[str] = []
    twice = cog.Monitor(datasets={"own": own}, per_class=4, preprocess=TINY, notify=told.append)
    assert twice.memory_bytes == 12 * (4 + 4) * 3 * 6 * 6
    for _ in range(2):
        twice.evaluate(Net())
    (line,) = told
    assert line.startswith("own: 96 images decoded in ")
    assert line.endswith(" s, they take 0.0 MB of memory")


def trained(monitor: cog.Monitor | None) -> tuple[dict[str, torch.Tensor], list[object]]:
    """A few steps of training with all kinds of randomness, monitored or not."""
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    network = Net()
    network.drop.eval()
    network.scale.requires_grad = False
    optimiser = torch.optim.SGD([each for each in network.parameters() if each.requires_grad], 0.1)
    for step in range(4):
        x = torch.randn(4, 3, 8, 8) * random.random() + float(np.random.rand())
        network(x).square().sum().backward()
        if monitor:
            monitor.evaluate(network)
        if step % 2:
            optimiser.step()
            optimiser.zero_grad()
    states = [random.random(), float(np.random.rand()), float(torch.rand(()))]
    states += [part.training for part in network.modules()]
    states += [each.requires_grad for each in network.parameters()]
    return network.state_dict(), states


def test_training_is_the_same_with_and_without(monitor):
    (one, states), (two, others) = trained(None), trained(monitor)
    assert states == others
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert one["norm.num_batches_tracked"] == 4


def test_gradients_hooks_and_switches_stay(monitor):
    network, called = Net(), []
    hook = network.conv.register_forward_hook(lambda *_: called.append(network.training))
    network(torch.ones(2, 3, 8, 8)).sum().backward()
    before = {name: each.grad.clone() for name, each in network.named_parameters()}
    hooks = dict(network.conv._forward_hooks)
    usual = numbers(monitor.evaluate(network))
    called.clear()
    with torch.autocast("cpu", torch.bfloat16):
        assert numbers(monitor.evaluate(network)) == usual
        assert torch.is_grad_enabled()
        assert torch.is_autocast_enabled("cpu")
    assert dict(network.conv._forward_hooks) == hooks
    assert called == [False] * 3  # batches
    assert all(torch.equal(before[name], each.grad) for name, each in network.named_parameters())
    hook.remove()


def test_probes_that_want_gradients_have_them_where_none_are_made(own):
    trained = cog.Monitor(
        datasets={"own": own}, per_class=3, preprocess=TINY, probes="logreg,mlp",
        recipe=cog.Recipe(mlp_epochs=2, mlp_least_steps=10),
    )  # fmt: skip
    network = Net()
    usual = numbers(trained.evaluate(network))
    with torch.inference_mode():
        assert numbers(trained.evaluate(network)) == usual
    with torch.device("meta"):  # as if it were cuda
        assert numbers(trained.evaluate(network)) == usual
    network(torch.ones(2, 3, 8, 8)).sum().backward()
    assert network.conv.weight.grad is not None


def test_a_collapsed_network_is_at_chance(monitor):
    """Which happens, and must not end a training."""
    for value in (0.0, 1.0):
        found = monitor.evaluate(Returns(lambda x, value=value: x.new_full((len(x), 4), value)))
        assert found["cog/own/ridge/top1"] == pytest.approx(100 / len(COLOURS))


def test_autocast_forgets_copies_without_gradients(own):
    """In older versions of torch such a copy of a weight ends the training of it."""
    mixed = cog.Monitor(datasets={"own": own}, per_class=2, preprocess=TINY, precision="bf16")
    network = Net()
    with torch.autocast("cpu", torch.bfloat16):
        mixed.evaluate(network)
        network(torch.ones(2, 3, 8, 8)).sum().backward()
        assert network.conv.weight.grad is not None
        network.conv.weight.data.zero_()  # a copy that was kept would not be
        assert mixed.evaluate(network)["cog/own/knn/top1"] == pytest.approx(100 / len(COLOURS))


class Restless(Net):
    """A network that draws numbers and changes its buffers in eval mode too."""

    def forward(self, x):
        self.norm.running_mean += 1
        self.norm.running_var = self.norm.running_var * 2
        return super().forward(x + torch.rand_like(x)) + random.random() + np.random.rand()


def test_a_restless_network_has_its_buffers_back_and_equal_numbers(monitor):
    network = Restless()
    kept = {name: (each, each.clone()) for name, each in network.named_buffers()}
    first, second = (numbers(monitor.evaluate(network)) for _ in range(2))
    assert first == second
    for name, each in network.named_buffers():
        assert each is kept[name][0]
        assert torch.equal(each, kept[name][1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_networks_of_other_types_get_images_of_theirs(monitor, dtype):
    found, usual = monitor.evaluate(Net().to(dtype)), monitor.evaluate(Net())
    assert abs(found["cog/own/knn/top1"] - usual["cog/own/knn/top1"]) < 10
    if dtype is torch.float64:
        assert found["cog/own/knn/top1"] == usual["cog/own/knn/top1"]


@pytest.mark.parametrize("in_place", [False, True])
def test_a_compiled_network_is_evaluated_as_it_was_written(monitor, in_place):
    """Nothing is compiled anew, and training goes on with what was compiled."""
    compiled: list[object] = []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    torch._dynamo.reset()
    network = Net()
    x = torch.ones(2, 3, 8, 8)
    if in_place:
        network.compile(backend=backend)
    run = network if in_place else torch.compile(network, backend=backend)
    run(x)
    made = len(compiled)
    assert made
    usual = Net()
    usual(x)  # which changes its batch statistics, as the compiled one has
    assert numbers(monitor.evaluate(run)) == numbers(monitor.evaluate(usual))
    run(x)
    assert len(compiled) == made
    assert run.training
    torch._dynamo.reset()


def test_features_that_are_not_finite_are_nan_and_said(monitor, told):
    network = Net()
    network.scale.data[0] = torch.nan
    found = monitor.evaluate(network)
    assert np.isnan([found["cog/own/knn/top1"], found["cog/own/ridge/top1"]]).all()
    assert told[-1] == "own: the features of 96 images have NaN or infinity"
    assert np.isfinite(monitor.evaluate(Net())["cog/own/knn/top1"])


def test_an_image_that_cannot_be_read_is_left_out_and_said(own, tmp_path):
    copy = draw_own(tmp_path, {name: name for name in COLOURS}, 3, 3)
    (copy / "train" / "c03" / "1.png").write_bytes(b"no image")
    told: list[str] = []
    found = cog.Monitor(datasets={"own": copy}, per_class=3, preprocess=TINY, notify=told.append)
    assert np.isfinite(found.evaluate(Net())["cog/own/knn/top1"])
    assert told[-1].endswith(", 1 that cannot be read are left out")


@pytest.mark.parametrize(
    ("network", "found", "hint"),
    [
        (lambda x: x, "float32[32, 3, 6, 6]", "network(x).mean((2, 3))"),
        (lambda x: x[:, 0], "float32[32, 6, 6]", "network(x)[:, 0]"),
        (lambda x: x.flatten(1).int(), "int32[32, 108]", "feature=lambda network, x:"),
        (lambda x: {"logits": x, "pooler_output": x}, "logits, pooler_output", ".pooler_output"),
    ],
)
def test_what_is_no_feature_is_refused_with_what_to_type(monitor, network, found, hint):
    with pytest.raises(CogError) as error:
        monitor.evaluate(Returns(network))
    assert found in error.value.what
    assert hint in error.value.hint


def test_a_function_says_which_feature(own):
    network = Returns(lambda x: {"map": x})
    chosen = cog.Monitor(
        datasets={"own": own}, per_class=2, preprocess=TINY,
        feature=lambda network, x: network(x)["map"].mean((2, 3)),
    )  # fmt: skip
    assert chosen.evaluate(network)["cog/own/knn/top1"] > 100 / len(COLOURS)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"datasets": {}}, "nothing to evaluate"),
        ({"levels": "L1"}, "without its images"),
        ({"levels": "L9", "images": "."}, "unknown level 'L9'"),
        ({"levels": "in1k"}, "unknown level 'in1k'"),
        ({"metrics": "top2"}, "unknown metric 'top2'"),
        ({"probes": "nearest"}, "unknown probe 'nearest'"),
        ({"probes": "knn,augmented"}, "augmented takes the views"),
        ({"precision": "fp8"}, "unknown precision 'fp8'"),
        ({"per_class": 1}, "per_class from 2 up"),
        ({"every": 0}, "every from 1 up"),
        ({"max_seconds": 0}, "max_seconds above 0"),
        ({"classes": 1}, "two classes or more"),
        ({"recipe": cog.Recipe(protocol="dino-knn")}, "no protocols, found dino-knn"),
    ],
)
def test_what_makes_no_sense_is_refused_before_training(own, options, what):
    with pytest.raises(CogError, match=what):
        cog.Monitor(**{"datasets": {"own": own}} | options)


def test_classes_of_one_training_image_are_refused_before_training(tmp_path):
    one = draw_own(tmp_path, {name: name for name in COLOURS}, 1, 3)
    with pytest.raises(CogError, match="no class has two training images"):
        cog.Monitor(datasets={"own": one})
    cog.Monitor(datasets={"own": one}, probes="ncm")


def test_a_model_of_other_images_is_refused(monitor):
    with pytest.raises(CogError, match="crop 8") as error:
        monitor.evaluate(cog.Model(Net(), preprocess=cog.Preprocess(8, 8)))
    assert "preprocess=model.preprocess" in error.value.hint
    with pytest.raises(CogError, match=r"torch\.nn\.Module"):
        monitor.evaluate("dino")


def test_a_sample_that_fills_the_memory_is_refused(own, monkeypatch):
    monkeypatch.setattr("cog.monitor.pixels.usable_memory", lambda: 10_000)
    with pytest.raises(CogError, match=r"more than half of the 0\.0 GB") as error:
        cog.Monitor(datasets={"own": own}, preprocess=TINY, per_class=4).prepare()
    assert "classes=100" in error.value.hint


def test_processes_of_one_machine_share_its_memory(own, monkeypatch):
    """Each has a part of the sample, and all parts together must fit."""
    both = Mock(count=2, first=True, by_each=lambda work: [work(), work()])
    both.share = lambda count: np.arange(0, count, 2)
    monkeypatch.setattr("cog.monitor.monitor.processes_here", lambda _: both)
    shared = cog.Monitor(datasets={"own": own}, preprocess=TINY, per_class=4)
    whole = 12 * (4 + 4) * 3 * 6 * 6
    assert shared.memory_bytes == whole / 2
    monkeypatch.setattr("cog.monitor.pixels.usable_memory", lambda: 2 * whole - 1)
    with pytest.raises(CogError, match="more than half"):
        shared.prepare()
    monkeypatch.setattr("cog.monitor.pixels.usable_memory", lambda: 2 * whole)
    shared.prepare()


def test_it_goes_to_another_process_also_with_a_budget(own):
    timed = cog.Monitor(datasets={"own": own}, preprocess=TINY, per_class=4, max_seconds=60)
    found = numbers(timed.evaluate(Net()))
    assert numbers(pickle.loads(pickle.dumps(timed)).evaluate(Net())) == found


def test_what_a_network_raises_is_said_in_words_of_python(monitor):
    """Not in options of the command line, which a training script does not have."""
    with pytest.raises(CogError, match="the network fails on 32 images: KeyError: 'mask'") as error:
        monitor.evaluate(Returns(lambda x: {}["mask"]).half())
    assert "feature=" in error.value.hint
    assert "--" not in error.value.hint


def test_wrappers_are_taken_off():
    network = Net()
    wrapped = nn.DataParallel(torch.compile(network, backend="eager"))
    assert live_model(wrapped, TINY, None).network.network is network
