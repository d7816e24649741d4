"""`few_shot_draw` "official": N shots as the public code draws and fits them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import optuna
import pytest
import torch

from cog.errors import CogError
from cog.probes.logreg import logreg
from cog.probes.rows import rows_to_fit
from cog.probes.sampling import few_shot, validation_split
from cog.probes.settings import Probing
from cog.probes.sgd import batches, initial_layer, seed_of_fit
from cog.probes.table import PROBES
from cog.recipe import Recipe
from tests.support.probe_data import QUICK, assert_same, clusters, settings

SEED, SHOTS = 22, 8
OFFICIAL = replace(QUICK, few_shot_draw="official", trials=6, lr_high=10.0, batch_size=32)
pytestmark = pytest.mark.usefixtures("one_thread")


class Draws:
    """What the public code takes from its generator, in the order in which it takes it: here it is
    drawn as cog draws.
    """

    def __init__(self, data, recipe):
        self.y, self.recipe, self.fits = data.train_y, recipe, 0
        self.size = data.n_classes, data.train_x.shape[1] + 1

    def split(self):
        return validation_split(self.y, self.recipe.validation_share, SEED)

    def shots(self, rows, final):
        return few_shot(self.y, SHOTS, rows, SEED, anew=final)

    def fit(self):
        """A start, and the batches of an epoch of so many rows."""
        seed, self.fits = seed_of_fit(SEED, self.fits), self.fits + 1
        size = self.recipe.batch_size
        return initial_layer(*self.size, seed), lambda n, epoch: batches(n, size, seed, epoch)


def public_fit(x, y, lr, wd, start, orders, recipe):
    """One head by torch's own layer, loss and optimiser; the rate is set after each epoch."""
    model = torch.nn.Linear(x.shape[1], len(start))
    with torch.no_grad():
        model.weight.copy_(start[:, :-1])
        model.bias.copy_(start[:, -1])
    optimiser = torch.optim.SGD(
        model.parameters(), lr=lr, momentum=recipe.momentum, weight_decay=wd
    )
    for epoch in range(recipe.epochs):
        for batch in orders(len(x), epoch):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] = lr * 0.5 * (1 + math.cos(math.pi * epoch / recipe.epochs))
    return model


def public_few_shot(data, recipe, draws):
    """The public code's path: validation part, N of the rest, trials one by one, N of all."""
    x = torch.nn.functional.normalize(torch.from_numpy(data.train_x))
    y = torch.from_numpy(data.train_y)
    fitted, held = draws.split()
    few = draws.shots(fitted, final=False)

    def right(model, x, y):
        with torch.no_grad():
            return 100 * float((model(x).argmax(1) == y).float().mean())

    def trial(trial):
        lr = trial.suggest_float("lr", recipe.lr_low, recipe.lr_high, log=True)
        wd = trial.suggest_float("wd", recipe.wd_low, recipe.wd_high, log=True)
        return right(public_fit(x[few], y[few], lr, wd, *draws.fit(), recipe), x[held], y[held])

    sampler = optuna.samplers.TPESampler(seed=SEED, multivariate=True)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    study.optimize(trial, n_trials=recipe.trials)
    best, few = study.best_params, draws.shots(np.arange(len(y)), final=True)
    model = public_fit(x[few], y[few], best["lr"], best["wd"], *draws.fit(), recipe)
    test_x = torch.nn.functional.normalize(torch.from_numpy(data.test_x))
    return study, model, right(model, test_x, torch.from_numpy(data.test_y))


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_from_the_same_draws_the_numbers_are_those_of_the_public_path():
    data = clusters(n_train=360, n_test=300, spread=1.5)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, model, top1 = public_few_shot(data, OFFICIAL, Draws(data, OFFICIAL))
    found = logreg(data, settings(shots=SHOTS, recipe=OFFICIAL))
    assert len(found.trials) == len(study.trials) == 6
    for ours, theirs in zip(found.trials, study.trials, strict=True):
        assert (ours["lr"], ours["wd"]) == pytest.approx(tuple(theirs.params.values()), rel=1e-9)
        assert ours["validation_top1"] == pytest.approx(theirs.value, abs=1e-4)
    assert found.hyper == pytest.approx(study.best_params, rel=1e-9)
    theirs = torch.cat([model.weight, model.bias[:, None]], dim=1).detach().numpy()
    np.testing.assert_allclose(found.head.layer, theirs, atol=1e-4)
    assert found.top1 == pytest.approx(top1, abs=1e-4)
    once = logreg(data, settings(shots=SHOTS, recipe=replace(OFFICIAL, few_shot_draw="once")))
    assert np.abs(once.head.layer - theirs).max() > 0.1


def test_rounds_and_memory_do_not_change_how_a_fit_begins():
    """Ten trials in one round, of which the first is that of rounds of one."""
    data = clusters(n_train=240)
    many, single = (
        logreg(data, settings(shots=4, recipe=replace(OFFICIAL, trials_per_round=each)))
        for each in (6, 1)
    )
    assert many.trials[0] == single.trials[0]
    starts = {tuple(initial_layer(2, 3, seed_of_fit(SEED, n)).flatten().tolist()) for n in range(9)}
    assert len(starts) == 9


def test_the_final_fit_draws_anew_from_all_that_may_train():
    y = np.repeat(np.arange(4), 50)
    few = settings(shots=5, recipe=OFFICIAL)
    search, validation, final = rows_to_fit(y, few)
    before = rows_to_fit(y, replace(few, recipe=QUICK))
    assert search.tolist() == before[0].tolist() == before[2].tolist()
    assert validation.tolist() == before[1].tolist()
    assert np.bincount(y[final]).tolist() == [5] * 4
    assert final.tolist() != search.tolist()
    finals = np.concatenate([rows_to_fit(y, replace(few, seed=seed))[2] for seed in range(120)])
    assert set(finals) == set(range(200))  # those that validate are among them
    larger = rows_to_fit(y, replace(few, shots=9))[2]
    assert set(final) < set(larger)


@pytest.mark.parametrize("probe", [name for name, each in PROBES.items() if not each.among_test])
def test_it_is_of_n_shots_alone_and_of_every_probe(probe):
    entry, data = PROBES[probe], clusters(n_train=240, spread=2.0)

    def fit(shots, recipe):
        of = settings(entry.official_solver, shots=shots, recipe=recipe)
        return entry.fit(data, of, lambda *_: None)

    assert_same(fit(None, OFFICIAL), fit(None, replace(OFFICIAL, few_shot_draw="once")))
    drawn, once = fit(4, OFFICIAL), fit(4, replace(OFFICIAL, few_shot_draw="once"))
    assert drawn.n_train == once.n_train == 24
    assert drawn.ranks.tolist() != once.ranks.tolist()


def test_what_contradicts_itself_is_refused():
    with pytest.raises(CogError, match="unknown few-shot draw 'offcial'\nnearest: official, once"):
        Recipe(few_shot_draw="offcial")
    Probing(shots_validation="within").refuse_draw(Recipe())
    with pytest.raises(CogError, match="use no other image"):
        Probing(shots_validation="within").refuse_draw(OFFICIAL)
