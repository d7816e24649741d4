"""`Model`: a frozen network, its fingerprint, and the check of both."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import cog
from cog.errors import CogError
from cog.images.preprocess import Preprocess
from cog.models.check import check_model
from cog.models.model import Model
from tests.support.small_networks import SMALL, Net, Returns, prepared_images


def test_features_are_those_of_the_network_in_eval_mode():
    network = Net()
    found = Model(network, preprocess=SMALL).embed(prepared_images())
    assert torch.equal(found, network.eval()(prepared_images()))
    assert found.dtype == torch.float32
    assert not found.requires_grad


def test_each_part_is_left_in_its_mode_even_after_an_error():
    network = Net()
    network.norm.eval()
    before = {name: part.training for name, part in network.named_modules()}
    statistics = network.norm.running_mean.clone()
    model = Model(network, preprocess=SMALL)
    model.embed(prepared_images())
    with pytest.raises(CogError):
        model.embed(prepared_images() * torch.nan)
    assert {name: part.training for name, part in network.named_modules()} == before
    assert torch.equal(network.norm.running_mean, statistics)
    assert torch.is_grad_enabled()


def test_the_size_of_a_feature_is_measured_once():
    calls = []
    network = Returns(lambda x: calls.append(x.shape) or x.mean((2, 3)))
    model = Model(network, preprocess=Preprocess((6, 7), None))
    assert (model.dim, model.dim) == (3, 3)
    assert calls == [(1, 3, 6, 7)]


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (lambda x: x, r"float32\[4, 3, 8, 8\]"),
        (lambda x: x.flatten(2), r"float32\[4, 3, 64\]"),
        (lambda x: x.mean((2, 3))[:, :0], r"float32\[4, 0\]"),
        (lambda x: x.mean(), r"float32\[\]"),
        (lambda x: {"features": x}, "a dict"),
        (lambda x: (x, x), "a tuple"),
        (lambda x: x.mean((0, 2, 3))[None], r"float32\[1, 3\]"),
    ],
)
def test_an_output_without_one_vector_per_image_is_refused(function, found):
    with pytest.raises(CogError, match=f", found {found}") as caught:
        Model(Returns(function), preprocess=SMALL).embed(prepared_images())
    assert "mean" in caught.value.hint


def test_complex_features_are_refused_as_half_of_them_would_be_lost():
    with pytest.raises(CogError, match=r"found complex64\[4, 3\]") as caught:
        Model(Returns(lambda x: torch.fft.fft(x.mean((2, 3)))), preprocess=SMALL).embed(
            prepared_images()
        )
    assert "real numbers" in caught.value.hint


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_features_that_are_not_finite_are_refused_and_counted(value):
    def forward(x):
        features = x.mean((2, 3))
        features[1, 0] = value
        return features

    with pytest.raises(CogError, match="features of 1 of 4 images have NaN or infinity"):
        Model(Returns(forward), preprocess=SMALL).embed(prepared_images())


def test_an_input_that_is_not_a_batch_of_prepared_images_is_refused():
    model = Model(Net(), preprocess=SMALL)
    for x in (
        prepared_images()[0],
        prepared_images()[:, :1],
        (prepared_images() * 9).to(torch.uint8),
    ):
        with pytest.raises(CogError, match="normalise"):
            model.embed(x)


def test_a_network_that_does_not_take_its_own_images_is_named():
    with pytest.raises(CogError, match=r"Net fails on float32\[1, 3, 2, 2\]: RuntimeError"):
        _ = Model(Net(), preprocess=Preprocess(2, 2)).dim


def test_a_model_needs_a_network_and_a_preprocessing():
    with pytest.raises(CogError, match="expected a Module, found a function"):
        Model(lambda x: x, preprocess=SMALL)
    with pytest.raises(CogError, match="expected a Preprocess, found a dict"):
        Model(Net(), preprocess={"resize": 8})


def test_reduced_precision_comes_out_as_float32():
    model = Model(Net().bfloat16(), preprocess=SMALL)
    assert model.embed(prepared_images().bfloat16()).dtype == torch.float32
    assert len(model.fingerprint) == 64


def test_devices():
    model = Model(Net(), preprocess=SMALL)
    assert model.to("cpu") is model
    assert model.device == torch.device("cpu")
    with pytest.raises(CogError, match="no device nowhere"):
        model.to("nowhere")


def test_equal_models_have_equal_fingerprints_whatever_their_name():
    first = Model(Net(), preprocess=SMALL, name="a").fingerprint
    assert first == Model(Net(), preprocess=SMALL, name="b").fingerprint
    assert first == Model(Net().eval(), preprocess=SMALL).fingerprint


def test_a_change_anywhere_changes_the_fingerprint():
    model = Model(Net(), preprocess=SMALL)
    seen = {model.fingerprint}
    for name, tensor in model.network.state_dict().items():
        tensor.view(-1)[-1:] += 1
        seen.add(model.fingerprint)
        assert len(seen) > 1, name
    assert len(seen) == 1 + len(model.network.state_dict())
    seen.add(Model(model.network, preprocess=Preprocess(9, 8)).fingerprint)
    model.network.drop = nn.Identity()  # no tensor, but another structure
    seen.add(model.fingerprint)
    seen.add(Model(model.network.double(), preprocess=SMALL).fingerprint)
    assert len(seen) == 4 + len(model.network.state_dict())


def test_addresses_in_memory_are_not_in_the_fingerprint():
    class Shown(Returns):
        def extra_repr(self):
            return object.__repr__(self)

    first, second = Shown(len), Shown(len)
    assert repr(first) != repr(second)
    fingerprints = {Model(network, preprocess=SMALL).fingerprint for network in (first, second)}
    assert len(fingerprints) == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_networks_are_models_too():
    def script(seed):
        return torch.jit.trace(Net(seed).eval(), prepared_images())

    scripted = Model(script(0).train(), preprocess=SMALL)
    assert torch.allclose(
        scripted.embed(prepared_images()), Net().eval()(prepared_images()), atol=1e-6
    )
    assert scripted.network.training
    assert scripted.fingerprint == Model(script(0), preprocess=SMALL).fingerprint
    frozen = [Model(torch.jit.freeze(script(seed).eval()), preprocess=SMALL) for seed in (0, 0, 1)]
    assert not frozen[0].network.state_dict()
    first, again, other = (model.fingerprint for model in frozen)
    assert first == again != other


@pytest.mark.parametrize(
    ("forward", "fails"),
    [
        (lambda x: x.mean((2, 3)), set()),
        (lambda x: x.mean((2, 3)) - x.mean((0, 2, 3)), {"independence of the batch"}),
        (lambda x: x.mean((2, 3)) + torch.rand(1), {"determinism", "independence of the batch"}),
        (lambda x: x.mean((2, 3)) * 0 + 1, {"different images, different features"}),
        (lambda x: x, {"output"}),
        (lambda x: x.mean((2, 3)) * 1e-9, {"kept by float16"}),
        (lambda x: x.mean((2, 3)) * 1e9, {"kept by float16"}),
    ],
)
def test_a_check_finds_unreliable_features(forward, fails):
    checks = check_model(cog.Model(Returns(forward), preprocess=SMALL))
    assert {check.name for check in checks if not check.passed} == fails


def lazy():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(4))


def on_meta():
    with torch.device("meta"):
        return Net()


def half_on_meta():
    network = Net()
    network.register_buffer("mask", torch.ones(2, device="meta"), persistent=False)
    return network


class HalfBuffer(nn.Module):
    """Float32 but for a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("turn", torch.eye(3, dtype=torch.float16))

    def forward(self, x):
        return x.mean((2, 3)) @ self.turn


def raising(error):
    def forward(x):
        raise error

    return lambda: Returns(forward)


FAILING = {
    "bfloat16": (lambda: Net().bfloat16(), "weights are bfloat16", "give network.float(), and"),
    "half": (lambda: Net().half(), "weights are float16", "give network.float(), and"),
    "double": (lambda: Net().double(), "weights are float64", "give network.float(), and"),
    "a buffer in half": (HalfBuffer, "weights are float16", "give network.float(), and"),
    "lazy": (lazy, "never loaded: 2 of its tensors", "network.load_state_dict"),
    "meta": (on_meta, "never loaded: .* such as", "network.load_state_dict"),
    "a buffer on meta": (half_on_meta, "never loaded: 1 of .* mask", "network.load_state_dict"),
    **{
        type(error).__name__: (raising(error), type(error).__name__, "repair its forward")
        for error in (
            KeyError("x"), AssertionError(), RecursionError("deep"), NotImplementedError(),
            MemoryError(), StopIteration(), SystemExit(0), IndexError("\udcff\n\n" * 999),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FAILING)
def test_a_network_that_cannot_run_gets_a_verdict_with_what_to_do(name):
    make, said, hint = FAILING[name]
    model = Model(make(), preprocess=SMALL).to("cpu")
    assert model.n_parameters >= 0
    (check,) = check_model(model)
    assert (check.name, check.passed) == ("output", False)
    assert re.search(said, check.found)
    assert hint in check.found
    assert len(check.found) < 1000
    with pytest.raises(CogError) as caught:
        _ = model.dim
    assert hint in caught.value.hint


def test_a_lazy_layer_does_not_draw_its_weights_unnoticed():
    model = Model(lazy(), preprocess=SMALL)
    for use in (lambda: model.embed(prepared_images()), lambda: model.fingerprint):
        with pytest.raises(CogError, match="never loaded"):
            use()


@pytest.mark.parametrize(
    ("dtype", "factor"), [(torch.float16, 1e-6), (torch.float64, 1e-50)], ids=str
)
def test_features_that_vanish_in_the_network_s_own_type_are_refused(dtype, factor):
    network = Returns(lambda x: (x.mean((2, 3)).double() * factor).to(dtype))
    with pytest.raises(CogError, match="4 of 4 images are too small"):
        Model(network, preprocess=SMALL).embed(prepared_images())
