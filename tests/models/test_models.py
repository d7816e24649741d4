"""Models: frozen, strictly loaded, the same in every process, and refused where they are not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

import cog
from cog.errors import CogError
from cog.images.preprocess import Preprocess
from cog.models.check import check_model
from cog.models.load import load_model
from cog.models.model import Model
from cog.models.sources.from_timm import strict_loading
from cog.models.sources.from_torchvision import drop_classifier
from cog.models.zoo import find_row, read_zoo
from cog.storage import safe_name

SMALL = Preprocess(8, 8)


class Net(nn.Module):
    """A small network with all that matters here: batch statistics, dropout, a bare parameter."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(3, 5, 3)
            self.norm = nn.BatchNorm2d(5)
            self.drop = nn.Dropout(0.5)
            self.scale = nn.Parameter(torch.randn(5))
            self.norm.running_mean.normal_()

    def forward(self, x):
        return self.drop(self.norm(self.conv(x))).mean((2, 3)) * self.scale


class Returns(nn.Module):
    """A network that returns what `function` makes of its input."""

    def __init__(self, function) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.function = function

    def forward(self, x):
        return self.function(x)


def images(count: int = 4, size: int = 8) -> torch.Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


# --- Model -----------------------------------------------------------------------------------


def test_features_are_those_of_the_network_in_eval_mode():
    network = Net()
    found = Model(network, preprocess=SMALL).embed(images())
    assert torch.equal(found, network.eval()(images()))
    assert found.dtype == torch.float32
    assert not found.requires_grad


def test_each_part_is_left_in_its_mode_even_after_an_error():
    network = Net()
    network.norm.eval()
    before = {name: part.training for name, part in network.named_modules()}
    statistics = network.norm.running_mean.clone()
    model = Model(network, preprocess=SMALL)
    model.embed(images())
    with pytest.raises(CogError):
        model.embed(images() * torch.nan)
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
        (lambda x: {"features": x}, "a dict"),
        (lambda x: (x, x), "a tuple"),
        (lambda x: x.mean((0, 2, 3))[None], r"float32\[1, 3\]"),
    ],
)
def test_an_output_that_is_no_vector_a_image_is_refused(function, found):
    with pytest.raises(CogError, match=f"and got {found}") as caught:
        Model(Returns(function), preprocess=SMALL).embed(images())
    assert "mean" in caught.value.hint


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_features_that_are_not_finite_are_refused_and_counted(value):
    def forward(x):
        features = x.mean((2, 3))
        features[1, 0] = value
        return features

    with pytest.raises(CogError, match="features of 1 of 4 images hold NaN or infinity"):
        Model(Returns(forward), preprocess=SMALL).embed(images())


def test_an_input_that_is_no_batch_of_prepared_images_is_refused():
    model = Model(Net(), preprocess=SMALL)
    for x in (images()[0], images()[:, :1], (images() * 9).to(torch.uint8)):
        with pytest.raises(CogError, match="normalise"):
            model.embed(x)


def test_a_network_that_does_not_take_its_own_images_is_named():
    with pytest.raises(CogError, match=r"Net fails on float32\[1, 3, 2, 2\]: RuntimeError"):
        _ = Model(Net(), preprocess=Preprocess(2, 2)).dim


def test_what_is_no_network_is_refused():
    with pytest.raises(CogError, match="wants a Module, and got a function"):
        Model(lambda x: x, preprocess=SMALL)
    with pytest.raises(CogError, match="wants a Preprocess, and got a dict"):
        Model(Net(), preprocess={"resize": 8})


def test_reduced_precision_comes_out_as_float32():
    model = Model(Net().bfloat16(), preprocess=SMALL)
    assert model.embed(images().bfloat16()).dtype == torch.float32
    assert len(model.fingerprint) == 64


def test_devices():
    model = Model(Net(), preprocess=SMALL)
    assert model.to("cpu") is model
    assert model.device == torch.device("cpu")
    with pytest.raises(CogError, match="no device nowhere"):
        model.to("nowhere")


# --- fingerprint -----------------------------------------------------------------------------


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


def test_where_a_part_lies_in_memory_is_not_in_the_fingerprint():
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
        return torch.jit.trace(Net(seed).eval(), images())

    scripted = Model(script(0).train(), preprocess=SMALL)
    assert torch.allclose(scripted.embed(images()), Net().eval()(images()), atol=1e-6)
    assert scripted.network.training
    assert scripted.fingerprint == Model(script(0), preprocess=SMALL).fingerprint
    frozen = [Model(torch.jit.freeze(script(seed).eval()), preprocess=SMALL) for seed in (0, 0, 1)]
    assert not frozen[0].network.state_dict()
    first, again, other = (model.fingerprint for model in frozen)
    assert first == again != other


# --- names -----------------------------------------------------------------------------------


@given(st.text(max_size=300))
def test_a_safe_name_is_safe_and_stays_as_it_is(text):
    try:
        name = safe_name(text)
    except CogError:
        return
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert name[0] not in ".-"
    assert name[-1] not in ".-"
    assert len(name) <= 120
    assert safe_name(name) == name


def test_a_plug_in_is_called_by_its_own_name_unless_another_is_given(tmp_path):
    spec = plugin(tmp_path, "def load(): return cog.Model(Net(), preprocess=P, name='my net')")
    assert load_model(spec).name == "my-net"
    assert load_model(spec, name="run 7").name == "run-7"
    unnamed = plugin(tmp_path, "def load(): return cog.Model(Net(), preprocess=P)")
    assert load_model(unnamed).name == "Net"


@pytest.mark.parametrize(
    ("spec", "nearest"),
    [
        ("sup_resnet5", "sup_resnet50"),
        ("dinno", "dino"),
        ("resnet18", "timm:resnet18"),
        ("resnet18", "torchvision:resnet18"),
        ("resnet1888", "file.py:function"),
        ("timm:resnet181", "resnet18"),
        ("timm:resnet18.a1_in2k", "resnet18.a1_in1k"),
        ("torchvision:resnte50", "resnet50"),
        ("torchvision:resnet50@imagenet1k_v3", "IMAGENET1K_V2"),
    ],
)
def test_an_unknown_name_shows_the_nearest(spec, nearest):
    with pytest.raises(CogError, match="unknown") as caught:
        load_model(spec)
    assert nearest in caught.value.hint


def test_networks_for_other_tasks_are_refused():
    for name in ("fasterrcnn_resnet50_fpn", "fcn_resnet50", "r3d_18", "quantized_resnet18"):
        with pytest.raises(CogError, match="detects, segments, reads video or is quantized"):
            load_model(f"torchvision:{name}")


# --- untrained -------------------------------------------------------------------------------


def test_untrained_networks_are_the_same_bits_in_every_process():
    code = "import cog; print(cog.load_model('timm:resnet18', pretrained=False).fingerprint)"
    prepare = "import torch; torch.manual_seed(5); torch.rand(3); "
    done = subprocess.run(
        [sys.executable, "-c", prepare + code], capture_output=True, text=True, check=True
    )
    torch.rand(1)
    assert done.stdout.strip() == load_model("timm:resnet18", pretrained=False).fingerprint


@pytest.mark.parametrize("spec", ["timm:resnet10t", "torchvision:squeezenet1_1", "plug-in"])
def test_loading_neither_uses_nor_changes_the_global_generator(tmp_path, spec):
    if spec == "plug-in":
        spec = plugin(tmp_path, "def load(): return cog.Model(nn.Sequential(nn.Conv2d(3, 2, 8), "
                                "nn.Flatten()), preprocess=P)")  # fmt: skip
    before = torch.random.get_rng_state()
    first = load_model(spec, pretrained=False).fingerprint
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(7)
    assert load_model(spec, pretrained=False).fingerprint == first


def test_an_untrained_plug_in_forgets_all_that_it_learned(tmp_path):
    for seed in (1, 2):
        spec = plugin(tmp_path, f"def load(): return cog.Model(Net({seed}), preprocess=P)")
        model = load_model(spec, pretrained=False)
        if seed == 1:
            first = model.network.state_dict()
    second = model.network.state_dict()
    assert all(torch.equal(second[key], value) for key, value in first.items())
    assert torch.equal(model.network.norm.running_mean, torch.zeros(5))
    assert 0 < model.network.scale.abs().max() < 0.1
    loaded, made = load_model(spec).network.state_dict(), Net(2).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in made.items())


def test_weights_for_an_untrained_network_are_refused(tmp_path):
    with pytest.raises(CogError, match="both weights"):
        load_model("dino", weights=tmp_path / "w.pth", pretrained=False)


# --- the benchmark's models ------------------------------------------------------------------


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    """An independent reference: torchvision's network, with statistics that are not 0 and 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = torchvision.models.resnet50(weights=None).eval()
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(std=0.1)
                part.running_var.uniform_(0.5, 2.0)
    return network


def pooled(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Features by the formula: the four stages, then the mean over places."""
    with torch.no_grad():
        x = network.maxpool(network.relu(network.bn1(network.conv1(x))))
        for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
            x = stage(x)
        return x.mean((2, 3))


@pytest.mark.parametrize(("name", "form"), [("sup_resnet50", "legacy"), ("dino_resnet50", "zip"),
                                            ("sup_resnet50", "safetensors")])  # fmt: skip
def test_an_official_file_gives_the_features_of_the_reference(tmp_path, resnet, name, form):
    tensors = dict(resnet.state_dict())
    if name == "dino_resnet50":
        del tensors["fc.weight"], tensors["fc.bias"]
    path = tmp_path / "official.pth"
    if form == "safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=form == "zip")
    notices: list[str] = []
    model = load_model(name, weights=path, notify=notices.append)
    path.unlink()  # 100 MB
    assert model.name == name
    assert model.dim == find_row(name).dim == 2048
    x = images(2, 224)
    torch.testing.assert_close(model.embed(x), pooled(resnet, x), atol=1e-5, rtol=1e-5)
    assert model.preprocess == Preprocess(224, 224, "bicubic")
    count = sum(parameter.numel() for parameter in model.network.parameters())
    assert count == find_row(name).parameters == 23_508_032
    assert any("not, byte for byte" in text for text in notices) == (name == "sup_resnet50")


def test_one_model_s_file_is_refused_for_another(tmp_path, resnet):
    path = tmp_path / "official.pth"
    torch.save(resnet.state_dict(), path)
    with pytest.raises(CogError, match=r"tensors 2 unexpected: fc\.weight, fc\.bias"):
        load_model("dino_resnet50", weights=path)
    tensors = {"layer1.0.conv2.weight": torch.ones(1), "queue": torch.ones(2)}
    torch.save(tensors, path)
    with pytest.raises(CogError) as caught:
        load_model("sup_resnet50", weights=path)
    assert "missing: conv1.weight, bn1.weight, bn1.bias and" in caught.value.what
    assert "1 unexpected: queue" in caught.value.what
    expected = "layer1.0.conv2.weight (expected [64, 64, 3, 3], found [1])"
    assert expected in caught.value.what


@pytest.mark.parametrize("spec", ["sup_resnet50", "torchvision:squeezenet1_1", "timm:resnet10t"])
def test_a_weights_file_that_is_not_there(tmp_path, spec):
    with pytest.raises(CogError, match="no weights file"):
        load_model(spec, weights=tmp_path / "absent.pth")


def test_an_alias_says_what_it_means(tmp_path):
    notices: list[str] = []
    model = load_model("dino", pretrained=False, notify=notices.append)
    assert notices == ["dino means dino_resnet50"]
    assert model.name == "dino_resnet50"


def test_without_a_notice_the_logger_is_told(caplog):
    caplog.set_level("INFO", logger="cog")
    load_model("dino", pretrained=False)
    assert "dino means dino_resnet50" in caplog.text


def test_without_weights_the_address_is_asked_and_named(tmp_path, monkeypatch):
    monkeypatch.setenv("COG_HOME", str(tmp_path))
    asked = []

    def no_network(request, timeout):
        asked.append(request.full_url)
        raise urllib.error.HTTPError(request.full_url, 403, "no network", None, None)

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    for spec in ("sup_resnet50", "dino_resnet50", "torchvision:resnet18"):
        with pytest.raises(CogError, match=r"cannot download .*no network"):
            load_model(spec)
    files = ["resnet50-19c8e357.pth", "dino_resnet50_pretrain.pth", "resnet18-f37072fd.pth"]
    assert [url.rpartition("/")[2] for url in asked] == files


def test_the_table_is_whole():
    zoo = read_zoo()
    assert {"sup_resnet50", "dino_resnet50"} <= set(zoo)
    names = [*zoo, *(alias for row in zoo.values() for alias in row.aliases)]
    assert len(names) == len(set(names))
    for row in zoo.values():
        assert safe_name(row.name) == row.name
        assert all(url.startswith("https://") for url in row.urls)
        json.dumps(row.summary())


# --- timm ------------------------------------------------------------------------------------


@pytest.fixture
def official(tmp_path) -> tuple[Path, nn.Module]:
    """A file in the layout that timm publishes, and the network that it came from."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = timm.create_model("resnet10t", pretrained=False).eval()
    path = tmp_path / "resnet10t.pth"
    torch.save(network.state_dict(), path)
    return path, network


def test_timm_weights_give_timm_s_features(official):
    path, network = official
    model = load_model("timm:resnet10t", weights=path)
    x = images(2, 176)
    with torch.no_grad():
        wanted = network.forward_head(network.forward_features(x), pre_logits=True)
    assert torch.equal(model.embed(x), wanted)
    assert model.name == "timm-resnet10t"


@pytest.mark.parametrize("change", ["missing", "unexpected", "of another shape"])
def test_timm_weights_that_do_not_fit_are_named(official, change):
    path, _ = official
    tensors = torch.load(path, weights_only=True)
    name = "layer2.0.conv1.weight"
    if change == "missing":  # with num_classes=0 timm would load this file without a word
        del tensors[name]
    elif change == "unexpected":
        name = "layer2.0.conv9.weight"
        tensors[name] = torch.ones(1)
    else:
        tensors[name] = torch.ones(1)
    torch.save(tensors, path)
    with pytest.raises(CogError, match=f"1 {change}: {name}"):
        load_model("timm:resnet10t", weights=path)
    assert nn.Module.load_state_dict.__module__ == "torch.nn.modules.module"


def test_timm_s_own_renaming_is_applied(tmp_path):
    """The layout of ConvNeXt's authors: wrapped in `model`, other names for stem, stages, norms."""
    network = timm.create_model("convnext_atto", pretrained=False).eval()
    authors = {}
    for name, tensor in network.state_dict().items():
        name = name.replace("stem.", "downsample_layers.0.").replace("head.fc.", "head.")
        name = re.sub(r"stages\.(\d)\.downsample\.", r"downsample_layers.\1.", name)
        name = re.sub(r"stages\.(\d)\.blocks\.", r"stages.\1.", name)
        name = name.replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        authors[name.replace("head.norm.", "norm.")] = tensor
    assert len(set(authors) & set(network.state_dict())) < len(authors) / 2
    torch.save({"model": authors}, tmp_path / "w.pth")
    model = load_model("timm:convnext_atto", weights=tmp_path / "w.pth")
    network.reset_classifier(0)
    x = images(1, 64)
    assert torch.equal(model.embed(x), network(x).detach())


def test_a_pickle_is_refused_before_timm_sees_it(tmp_path):
    torch.save({"state_dict": {}, "opt": Path("x")}, tmp_path / "w.pth")
    with pytest.raises(CogError, match="refused, because reading it would run its code"):
        load_model("timm:resnet10t", weights=tmp_path / "w.pth")


def test_where_timm_is_loose_nothing_random_may_be_left():
    network = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    tensors = dict(network.state_dict())
    notices: list[str] = []
    with strict_loading("w.pth", notices.append):
        del tensors["1.weight"]  # constant before training
        network.load_state_dict(tensors, strict=False)
        del tensors["0.weight"]
        with pytest.raises(CogError, match=r"0\.weight"):
            network.load_state_dict(tensors, strict=False)
    assert len(notices) == 1
    assert "1 missing: 1.weight" in notices[0]


def test_timm_without_published_weights_says_so():
    with pytest.raises(CogError, match="timm publishes no weights for convnext_atto_rms"):
        load_model("timm:convnext_atto_rms")


@pytest.mark.parametrize(
    "name", ["resnet10t", "vit_tiny_patch16_224", "vit_base_patch16_siglip_256", "efficientnet_b0"]
)
def test_timm_preprocessing_is_timm_s_own(name):
    """The oracle: the transform that timm itself makes for the network's train-time size."""
    from cog.models.sources.from_timm import _timm_preprocess

    network = timm.create_model(name, pretrained=False)
    config = timm.data.resolve_model_data_config(network)
    steps = timm.data.create_transform(**config, is_training=False).transforms
    resize, crop, normalise = steps[0], steps[1], steps[-1]
    found = _timm_preprocess(network)
    size = resize.size if isinstance(resize.size, int) else tuple(resize.size)
    assert found.resize == size
    assert (found.crop or size[0]) == crop.size[0]
    assert found.interpolation == resize.interpolation.value
    assert found.mean == pytest.approx(normalise.mean.tolist())
    assert found.std == pytest.approx(normalise.std.tolist())


# --- torchvision -----------------------------------------------------------------------------


def test_torchvision_weights_give_the_features_before_the_classifier(tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        network = torchvision.models.resnet18(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    model = load_model("torchvision:resnet18@IMAGENET1K_V1", weights=tmp_path / "w.pth")
    x = images(2, 224)
    torch.testing.assert_close(model.embed(x), pooled(network, x), atol=1e-5, rtol=1e-5)
    assert model.name == "torchvision-resnet18-IMAGENET1K_V1"
    assert model.preprocess == Preprocess(256, 224, "bilinear")


@pytest.mark.long
def test_densenet_s_old_names_are_read(tmp_path):
    network = torchvision.models.densenet121(weights=None)
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name): tensor
        for name, tensor in network.state_dict().items()
    }
    assert set(old) != set(network.state_dict())
    torch.save(old, tmp_path / "w.pth")
    model = load_model("torchvision:densenet121", weights=tmp_path / "w.pth")
    assert torch.equal(model.network.features.conv0.weight, network.features.conv0.weight)
    assert model.dim == 1024


FEATURE_SIZES = {  # by the papers: what the last layer of each family takes
    "alexnet": 4096,
    "convnext_tiny": 768,
    "efficientnet_b0": 1280,
    "googlenet": 1024,
    "inception_v3": 2048,
    "maxvit_t": 512,
    "mnasnet0_5": 1280,
    "mobilenet_v3_small": 1024,
    "regnet_y_400mf": 440,
    "shufflenet_v2_x0_5": 1024,
    "squeezenet1_0": 512,
    "swin_t": 768,
    "vgg11": 4096,
    "vit_b_32": 768,
}


@pytest.mark.long
@pytest.mark.parametrize(("name", "dim"), FEATURE_SIZES.items())
def test_every_torchvision_family_loses_its_classifier(name, dim):
    assert load_model(f"torchvision:{name}", pretrained=False).dim == dim


def test_a_network_without_a_last_layer_is_refused():
    for network in (nn.Sequential(nn.ReLU()), nn.Sequential(nn.Linear(3, 7))):
        with pytest.raises(CogError, match="does not end in a layer with 10 outputs"):
            drop_classifier(network, 10)


# --- file.py:function ------------------------------------------------------------------------

HEAD = """
import sys
import urllib.error
import urllib.request
sys.path.insert(0, {tests!r})
import cog, torch
from torch import nn
from tests.models.test_models import Net
P = cog.Preprocess(8, 8)
"""


def plugin(folder: Path, code: str, function: str = "load") -> str:
    path = folder / "mine.py"
    path.write_text(HEAD.format(tests=str(Path(__file__).parents[2])) + code)
    return f"{path}:{function}"


def test_files_of_one_name_do_not_mix(tmp_path):
    specs = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / "neighbour_of_mine.py").write_text("")
        code = f"import neighbour_of_mine\ndef load(): return cog.Model(Net({seed}), preprocess=P)"
        specs.append(plugin(folder, code))
    first, second = (load_model(spec).fingerprint for spec in specs)
    assert first != second
    assert load_model(specs[0]).fingerprint == first
    assert "mine" not in sys.modules


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def load(): return nn.Identity()", "returned a Identity, not a cog.Model"),
        ("def load(): raise KeyError('lost')", "load failed: KeyError: 'lost'"),
        ("def load(path): return None", "failed: TypeError: load"),
        ("1 / 0", r"mine.py failed: ZeroDivisionError"),
        ("def load(:", r"mine.py failed: SyntaxError"),
        ("def laod(): pass", "unknown function of .* 'load'"),
    ],
)
def test_a_plug_in_that_fails_says_why(tmp_path, code, message):
    with pytest.raises(CogError, match=message):
        load_model(plugin(tmp_path, code))


def test_a_plug_in_that_is_not_there(tmp_path):
    with pytest.raises(CogError, match="no file"):
        load_model(f"{tmp_path}/absent.py:load")
    with pytest.raises(CogError, match="names no function"):
        load_model("mine.py")
    spec = plugin(tmp_path, "def load(): return cog.Model(Net(), preprocess=P)")
    with pytest.raises(CogError, match=r"takes no weights.*w\.pth") as caught:
        load_model(spec, weights=tmp_path / "w.pth")
    assert "def load(weights=None)" in caught.value.hint


def test_a_plug_in_is_given_a_file_of_weights(tmp_path):
    code = """
def load(weights=None):
    return cog.Model(Net(), preprocess=P, name=weights.stem if weights else "own")
"""
    spec = plugin(tmp_path, code)
    assert load_model(spec).name == "own"
    assert load_model(spec, weights=tmp_path / "epoch3.pth").name == "epoch3"


# --- check -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forward", "fails"),
    [
        (lambda x: x.mean((2, 3)), set()),
        (lambda x: x.mean((2, 3)) - x.mean((0, 2, 3)), {"independence of the batch"}),
        (lambda x: x.mean((2, 3)) + torch.rand(1), {"determinism", "independence of the batch"}),
        (lambda x: x.mean((2, 3)) * 0 + 1, {"different images, different features"}),
        (lambda x: x, {"output"}),
    ],
)
def test_a_check_finds_what_cannot_be_relied_on(forward, fails):
    checks = check_model(cog.Model(Returns(forward), preprocess=SMALL))
    assert {check.name for check in checks if not check.passed} == fails
