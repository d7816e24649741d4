"""Probes as scikit-learn estimators: its checks, its own models, and the same probes of cog."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from scipy.sparse import csr_array
from scipy.special import softmax
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize
from sklearn.utils.estimator_checks import parametrize_with_checks

from cog.evaluation.probing import probe_features
from cog.features.exchange import FeatureSet
from cog.probes.settings import Probing
from cog.recipe import Recipe
from cog.sklearn import KNNProbe, LogisticProbe, NearestMeanProbe, RidgeProbe
from cog.sklearn.classifier import ProbeClassifier

NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
TRAIN, TEST = slice(0, 1797, 3), slice(1, 1797, 3)


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32), y


@parametrize_with_checks(
    [
        LogisticProbe(penalties=(1e-3, 1e-6)),
        LogisticProbe(penalties=(1e-3, 1e-6), norm="standard"),
        LogisticProbe("sgd", trials=2, epochs=10),
        RidgeProbe(),
        RidgeProbe(norm="none"),
        KNNProbe(),
        NearestMeanProbe(),
    ]
)
def test_the_checks_of_scikit_learn_hold(estimator, check):
    """All of them: none is expected to fail."""
    check(estimator)


@pytest.mark.parametrize(
    ("probe", "recipe", "chosen"),
    [
        (LogisticProbe(), Recipe(), {"penalty": "wd"}),
        (LogisticProbe(norm="standard"), Recipe(norm="standard"), {"penalty": "wd"}),
        (
            LogisticProbe("sgd", trials=2, epochs=5),
            Recipe(trials=2, epochs=5),
            {"lr": "lr", "penalty": "wd"},
        ),
        (RidgeProbe(), Recipe(), {"penalty": "penalty"}),
        (RidgeProbe(norm="none"), Recipe(norm="none"), {"penalty": "penalty"}),
        (KNNProbe(), Recipe(), {"k": "k"}),
        (NearestMeanProbe(), Recipe(), {}),
    ],
    ids=lambda each: str(each) if isinstance(each, ProbeClassifier) else "",
)
def test_answers_are_those_of_the_same_probe_of_cog(probe, recipe, chosen, digits):
    """What `cog probe` fits and scores on the same features."""
    x, y = digits
    probe = clone(probe).fit(x[TRAIN], NAMES[y[TRAIN]])
    label = np.unique(NAMES, return_inverse=True)[1][y]  # classes are sorted by name
    sets = [FeatureSet(x[part], label[part], "digits") for part in (TRAIN, TEST)]
    probing = Probing((probe.probe,), getattr(probe, "solver", "lbfgs"), seeds=(22,))
    (row,) = probe_features(*sets, probing, recipe, "cpu")
    assert 100 * probe.score(x[TEST], NAMES[y[TEST]]) == pytest.approx(row["top1"], abs=1e-9)
    assert probe.best_params_ == {name: row[column] for name, column in chosen.items()}


@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("bias_decays", [False, True])
def test_logistic_regression_is_scikit_learn_s(n_classes, bias_decays, digits):
    """C is 1 / (n · penalty), of two classes 2 / (n · penalty); a bias that decays is a weight."""
    x, y = digits
    x, y = x[y < n_classes][:600], y[y < n_classes][:600]
    penalty = 1e-3
    probe = LogisticProbe(penalties=[penalty], norm="none", bias_decays=bias_decays, tol=1e-9)
    probe.fit(x, NAMES[y])
    C = (2 if n_classes == 2 else 1) / (len(y) * penalty)
    model = LogisticRegression(C=C, fit_intercept=not bias_decays, tol=1e-8, max_iter=5000)
    ones = np.ones((len(x), 1 if bias_decays else 0))
    own = np.hstack([x.astype(float), ones])
    model.fit(own, NAMES[y])
    assert np.array_equal(probe.classes_, model.classes_)
    assert np.array_equal(probe.predict(x), model.predict(own))
    found = np.column_stack([probe.coef_, probe.intercept_])
    bias = [] if bias_decays else [model.intercept_]
    assert found == pytest.approx(np.column_stack([model.coef_, *bias]), abs=6e-3)
    assert probe.predict_proba(x) == pytest.approx(model.predict_proba(own), abs=1e-3)


@pytest.mark.parametrize("n_classes", [2, 10])
def test_ridge_regression_is_scikit_learn_s(n_classes, digits):
    x, y = digits
    x, y = x[y < n_classes][:600], y[y < n_classes][:600]
    probe = RidgeProbe(penalties=[1e-2], norm="none").fit(x, y)
    model = RidgeClassifier(alpha=len(y) * 1e-2).fit(x, y)  # on −1 and 1, which doubles all
    doubled = 1 if n_classes == 2 else 2
    assert np.array_equal(probe.predict(x), model.predict(x))
    assert doubled * probe.coef_ == pytest.approx(np.atleast_2d(model.coef_), abs=1e-3)


def test_neighbours_are_scikit_learn_s(digits):
    x, y = digits
    probe = KNNProbe(neighbours=[7]).fit(x[TRAIN], y[TRAIN])
    votes = KNeighborsClassifier(7, weights=lambda d: np.exp((1 - d) / 0.07), metric="cosine")
    votes.fit(x[TRAIN].astype(float), y[TRAIN])
    expected = votes.predict_proba(x[TEST].astype(float))
    assert probe.best_params_ == {"k": 7}
    assert probe.predict_proba(x[TEST]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n_classes", [2, 10])
def test_shares_of_outputs_are_the_softmax_and_name_the_answer(n_classes, digits):
    x, y = digits
    x, y = x[y < n_classes], NAMES[y[y < n_classes]]
    for probe in (RidgeProbe(), RidgeProbe(norm="standard"), NearestMeanProbe()):
        shares = probe.fit(x[::2], y[::2]).predict_proba(x)
        outputs = probe.decision_function(x)
        expected = np.column_stack([0 * outputs, outputs]) if n_classes == 2 else outputs
        assert shares == pytest.approx(softmax(expected, axis=1), abs=1e-12)
        assert np.array_equal(probe.classes_[shares.argmax(axis=1)], probe.predict(x))


def test_coefficients_act_on_features_as_the_norm_scales_them(digits):
    x, y = digits
    scaled = StandardScaler().fit(x.astype(float)).transform(x.astype(float))
    for norm, rows in (("l2", normalize(x.astype(float))), ("none", x), ("standard", scaled)):
        probe = RidgeProbe(norm=norm).fit(x, y)
        outputs = rows @ probe.coef_.T.astype(float) + probe.intercept_
        assert probe.decision_function(x) == pytest.approx(outputs, abs=1e-4)


def test_what_was_tried_is_a_table_like_that_of_a_grid_search(digits):
    x, y = digits
    probe = LogisticProbe(penalties=[1e-8, 1e-2], early_stop=False).fit(x[TRAIN], y[TRAIN])
    table = pd.DataFrame(probe.cv_results_)
    assert table["param_penalty"].tolist() == [1e-2, 1e-8]  # from strong to weak
    best = table.loc[table["mean_test_score"].idxmax()]
    assert best["params"] == probe.best_params_
    assert best["rank_test_score"] == 1
    assert table["split0_test_score"].between(0.5, 1).all()
    assert NearestMeanProbe().fit(x, y).cv_results_["params"] == []


def test_it_works_where_scikit_learn_s_own_do(digits, tmp_path):
    x, y = digits
    x, y = x[TRAIN], NAMES[y[TRAIN]]
    probe = RidgeProbe(penalties=(1e-4, 1e-2))
    steps = make_pipeline(StandardScaler(), clone(probe).set_params(norm="none"))
    assert cross_val_score(steps, x, y, cv=3).mean() > 0.85
    grid = GridSearchCV(probe, {"norm": ["l2", "none"]}, cv=2).fit(x, y)
    assert grid.best_params_["norm"] in ("l2", "none")
    assert CalibratedClassifierCV(probe, cv=2).fit(x, y).predict_proba(x[:2]).shape == (2, 10)
    with parallel_config("threading", n_jobs=2):
        for each in (LogisticProbe(penalties=[1e-3]), KNNProbe()):
            alone = cross_val_score(each, x, y, cv=2, n_jobs=1)
            assert np.array_equal(cross_val_score(each, x, y, cv=2), alone)
    voting = VotingClassifier(
        [("ridge", RidgeProbe()), ("mean", NearestMeanProbe())], voting="soft"
    )
    assert voting.fit(x, y).score(x, y) > 0.9
    for fitted in (grid.best_estimator_, KNNProbe().fit(x, y)):
        again = pickle.loads(pickle.dumps(fitted))
        assert np.array_equal(again.predict(x), fitted.predict(x))


def test_names_of_columns_and_numbers_of_16_bits_are_taken(digits):
    x, y = digits
    frame = pd.DataFrame(x[:300]).add_prefix("feature ")
    probe = NearestMeanProbe().fit(frame, y[:300])
    assert probe.feature_names_in_[1] == "feature 1"
    with pytest.raises(ValueError, match="feature names"):
        probe.predict(frame[frame.columns[::-1]])
    half = KNNProbe(neighbours=[1]).fit(x[:300].astype(np.float16), y[:300])
    assert half.score(x[:300], y[:300]) == 1


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(3), 3])
def test_the_state_is_what_scikit_learn_takes(random_state, digits):
    x, y = digits
    probe = RidgeProbe(random_state=random_state).fit(x[TRAIN], y[TRAIN])
    if isinstance(random_state, np.random.RandomState):  # which others may draw from too
        before = random_state.get_state()[2]
        probe.predict(x)
        assert random_state.get_state()[2] == before
    assert probe.score(x, y) > 0.8


@pytest.mark.parametrize("kind", [LogisticProbe, RidgeProbe, KNNProbe])
def test_classes_of_one_sample_each_leave_none_to_choose_by(kind, digits):
    x, y = digits
    rows = np.unique(y, return_index=True)[1]
    with pytest.raises(ValueError, match=r"at least two samples.*\n.*NearestMeanProbe"):
        kind().fit(x[rows], y[rows])
    assert NearestMeanProbe().fit(x[rows], y[rows]).score(x, y) > 0.4
    more = np.append(rows, np.flatnonzero(y == 3)[1])  # the one of them validates
    probe = kind().fit(x[more], y[more])
    assert set(probe.predict(x[more])) <= set(range(10))


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        (LogisticProbe("newton"), "unknown solver 'newton'"),
        (LogisticProbe(norm="l1"), "unknown norm 'l1'"),
        (LogisticProbe(penalties=[]), "penalties of at least one number"),
        (LogisticProbe(penalties=[-1.0]), "none below 0"),
        (LogisticProbe(trials=3), "lbfgs does not use trials"),
        (LogisticProbe("sgd", penalties=[1.0], tol=1e-3), "sgd does not use penalties, tol"),
        (LogisticProbe(validation_share=1.5), "validation share"),
        (RidgeProbe(penalties=[0.0]), "above 0"),
        (KNNProbe(neighbours=[1.5]), "whole neighbours"),
        (KNNProbe(neighbours=[500]), "a k of at most 484"),
        (KNNProbe(temperature=0.001), "temperature from 0.02"),
        (KNNProbe(neighbours=["one"]), "neighbours of at least one number"),
        (RidgeProbe(penalties=[None]), "penalties of at least one number"),
        (RidgeProbe(penalties=[1e-300], norm="none"), "fit is not finite"),
        (RidgeProbe(norm=None), "unknown norm 'None'"),
        (RidgeProbe(device="cdua"), "device 'cdua' cannot be used"),
        (LogisticProbe(solver=None), "unknown solver 'None'"),
        (LogisticProbe(tol=-1.0), "tol of at least one number, none below 0"),
        (LogisticProbe("sgd", trials=0), "trials from 1 up"),
        (LogisticProbe("sgd", epochs=2.5), "epochs from 1 up"),
    ],
)
def test_a_parameter_that_is_none_is_refused_by_fit(probe, said, digits):
    x, y = digits
    with pytest.raises(ValueError, match=said):
        probe.fit(x[TRAIN], y[TRAIN])


def test_input_that_no_probe_takes_is_refused(digits):
    x, y = digits
    with pytest.raises(TypeError, match="Sparse data was passed"):
        RidgeProbe().fit(csr_array(x), y)
    with pytest.raises(TypeError, match="sample_weight"):
        RidgeProbe().fit(x, y, sample_weight=np.ones(len(y)))
    with pytest.raises(ValueError, match="does not fit in float32"):
        RidgeProbe().fit(x.astype(float) * 1e40, y)
    with pytest.raises(ValueError, match="squares do not fit"):
        LogisticProbe(norm="none").fit(x.astype(float) * 1e30, y)
    with pytest.raises(ValueError, match="Unknown label type"):
        RidgeProbe().fit(x, y + 0.5)


def test_importing_them_loads_no_torch():
    code = "import sys, cog.sklearn; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
