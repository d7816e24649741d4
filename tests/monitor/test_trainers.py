"""Lightning's and transformers' trainers log what a monitor says, on tiny networks."""

from __future__ import annotations

import pickle
import sys
from types import ModuleType

import pytest
import torch
from torch import nn

import cog
from cog.errors import CogError
from tests.support.colour_images import COLOURS, draw_own
from tests.support.small_networks import Net

TINY = cog.Preprocess(6, 6)
BATCHES = [torch.full((2, 3, 8, 8), float(number)) for number in range(6)]
KEYS = {"cog/own/ncm/top1", "cog/per_class", "cog/datasets", "cog/seconds"}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    names = {name: name for name in list(COLOURS)[:4]}
    return draw_own(tmp_path_factory.mktemp("own"), names, 3, 3)


def monitor_of(own, **options) -> cog.Monitor:
    return cog.Monitor(
        datasets={"own": own}, per_class=3, preprocess=TINY, probes="ncm", every=2, **options
    )


@pytest.fixture
def lightning():
    return pytest.importorskip("pytorch_lightning", reason="pip install 'imagenet-cog[lightning]'")


def memory_of(lightning):
    """A logger that keeps what it gets: rows of (step, numbers)."""

    class Memory(lightning.loggers.logger.Logger):
        name, version = "memory", 0

        def __init__(self):
            super().__init__()
            self.rows: list[tuple[int, dict[str, float]]] = []

        def log_metrics(self, metrics, step=None):
            self.rows.append((step, metrics))

        def log_hyperparams(self, *_, **__):
            pass

    return Memory()


def module_of(lightning):
    """A network that Lightning trains, inside a module of its."""

    class Trained(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.backbone = Net()

        def training_step(self, batch, _):
            return self(batch).square().sum()

        def forward(self, x):
            return self.backbone(x)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    return Trained()


@pytest.mark.filterwarnings("ignore")  # Lightning's own, about its defaults
@pytest.mark.parametrize(("batches_a_step", "steps"), [(1, [2, 4, 6]), (2, [2])])
def test_lightning_logs_it_to_every_logger(own, lightning, tmp_path, batches_a_step, steps):
    from cog.monitor.lightning import lightning_callback

    loggers, module = [memory_of(lightning) for _ in range(2)], module_of(lightning)
    monitor = monitor_of(own)
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=loggers, enable_progress_bar=False,
        enable_checkpointing=False, enable_model_summary=False, default_root_dir=tmp_path,
        accumulate_grad_batches=batches_a_step, log_every_n_steps=1000,
        callbacks=[lightning_callback(monitor, network=lambda module: module.backbone)],
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(BATCHES, batch_size=None))
    for logger in loggers:
        logged = [(step, each) for step, each in logger.rows if "cog/own/ncm/top1" in each]
        assert [step for step, _ in logged] == steps
        assert logged[-1][1].keys() == KEYS
    seen = float(trainer.callback_metrics["cog/own/ncm/top1"])
    assert seen == pytest.approx(logged[-1][1]["cog/own/ncm/top1"])
    if steps[-1] == trainer.global_step:
        assert logged[-1][1]["cog/own/ncm/top1"] == monitor.evaluate(module)["cog/own/ncm/top1"]


def test_either_name_of_lightning_is_taken(own, lightning, monkeypatch):
    from cog.monitor.lightning import lightning_callback

    other = ModuleType("lightning.pytorch")
    other.Callback = type("Callback", (lightning.Callback,), {})
    monkeypatch.setitem(sys.modules, "lightning", ModuleType("lightning"))
    monkeypatch.setitem(sys.modules, "lightning.pytorch", other)
    monitor = monitor_of(own)
    assert isinstance(lightning_callback(monitor), other.Callback)
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    callback = pickle.loads(pickle.dumps(lightning_callback(monitor)))  # as spawned processes do
    assert isinstance(callback, lightning.Callback)
    monkeypatch.setitem(sys.modules, "pytorch_lightning", None)
    with pytest.raises(CogError, match="Lightning is not installed"):
        lightning_callback(monitor)


class Tower(nn.Module):
    """A network whose forward gives several things, as those of transformers do."""

    def __init__(self):
        super().__init__()
        self.inner = Net()

    def forward(self, pixel_values, labels=None):
        features = self.inner(pixel_values)
        return {"loss": features.square().sum(), "pooler_output": features}


@pytest.mark.filterwarnings("ignore")
def test_transformers_trainer_logs_it_beside_the_loss(own, tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate", reason="transformers' Trainer wants accelerate")
    from cog.monitor.transformers import watch

    told: list[dict[str, float]] = []

    class Tracker(transformers.TrainerCallback):
        def on_log(self, args, state, control, logs, **_):
            told.append(logs)

    monitor = monitor_of(own, feature=lambda network, x: network(x)["pooler_output"])
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=4, per_device_train_batch_size=2, logging_steps=2,
        report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    trainer = transformers.Trainer(
        model=Tower(),
        args=arguments,
        train_dataset=[{"pixel_values": each[0]} for each in BATCHES],
        callbacks=[Tracker()],
    )
    watch(trainer, monitor)
    trainer.train()
    history = trainer.state.log_history
    assert [row["step"] for row in history if "cog/own/ncm/top1" in row] == [2, 4]
    assert [row["step"] for row in history if "loss" in row] == [2, 4]
    logged = [row for row in told if "cog/own/ncm/top1" in row]
    assert logged[-1].keys() >= KEYS
    final = monitor.evaluate(trainer.model)["cog/own/ncm/top1"]
    assert logged[-1]["cog/own/ncm/top1"] == final
