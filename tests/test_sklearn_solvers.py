"""Solvers that are parts of this library: steps are those of `Model.fit`, and predictions are of averages."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from scipy.sparse import csr_array

import fastnn
from fastnn import (
    EMA,
    MSE,
    SGD,
    SWA,
    Adam,
    AdamW,
    BatchNorm,
    Dense,
    Dropout,
    Group,
    Model,
    ReLU,
    optimizers,
    threads,
)
from fastnn.schedules import Cosine
from fastnn.sklearn import MLPClassifier, MLPRegressor, sparse

pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4))
T = X[:, 0] ** 2 + X[:, 1]
SHORT = {"hidden_layer_sizes": (8,), "max_iter": 12, "random_state": 0, "batch_size": 40, "tol": 0}
MAKE = {"ema": lambda: EMA(0.9), "swa": lambda: SWA(0.5)}
each_average = pytest.mark.parametrize("average", MAKE)


def regressor(average, **settings):
    return MLPRegressor(**{**SHORT, "solver": Adam(0.02, average=MAKE[average]()), **settings})


SOLVERS = {
    "momentum": lambda: SGD(0.05, momentum=0.9),
    "accumulated": lambda: Adam(0.02, accumulate=2),
    "accumulated over the end": lambda: SGD(0.02, accumulate=3),
    "clipped": lambda: Adam(0.02, clip_norm=0.1),
    "clipped numbers": lambda: Adam(0.02, clip_value=0.01),
    "swa": lambda: Adam(0.02, average=SWA(0.5)),
    "ema": lambda: Adam(0.02, average=EMA(0.9)),
    "schedule": lambda: Adam(0.02 * Cosine()),
    "decay": lambda: AdamW(0.02, weight_decay=0.1),
    "groups": lambda: Adam(0.02, groups=[Group("biases", 0.1)]),
    **{name: lambda name=name: optimizers.get(name) for name in sorted({*optimizers._BY_NAME} - {"lbfgs"})},
}


@pytest.mark.parametrize("solver", SOLVERS)
def test_steps_and_predictions_are_those_of_fit(solver):
    """To the bit, with dropout and normalization: nothing that a solver can do is without effect here."""
    settings = {"loss": MSE(), "alpha": 0, "shuffle": False, "n_iter_no_change": np.inf, **SHORT}
    settings |= {"normalization": "batch", "dropout": 0.2, "random_state": 3}
    model = MLPRegressor(**settings, solver=SOLVERS[solver]()).fit(X, T)
    start = MLPRegressor(**{**settings, "max_iter": 1, "learning_rate_init": 1e-300}).fit(X, T)
    first, last = (Dense(units, weight_initializer="zeros") for units in (8, 1))
    net = Model([first, BatchNorm(), ReLU(), Dropout(0.2), last], seed=3, dtype="float64").build(4)
    net.params = start.net_.params
    net.fit(X, T, "mse", SOLVERS[solver](), epochs=12, batch_size=40, shuffle=False, verbose=False)
    np.testing.assert_array_equal(model.net_.params, net.params)
    np.testing.assert_array_equal(model.predict(X), net.predict(X)[:, 0])


def test_an_average_is_that_of_all_steps():
    steps = []
    watching = {"callbacks": lambda net, epoch, logs: steps.append(net.params.copy()), "batch_size": 120}
    model = regressor("ema", **watching).fit(X, T)
    average = steps[0]
    for params in steps[1:]:
        average = 0.9 * average + 0.1 * params
    found = model.predict(X)
    np.testing.assert_array_equal(model.coefs_[0].ravel(), steps[-1][: model.coefs_[0].size])  # the last ones
    model.net_.use_averages()
    np.testing.assert_allclose(model.net_.params, average, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X), found)


@each_average
@pytest.mark.parametrize("normalization", [None, "batch"])
def test_the_best_epoch_is_put_back_with_its_averages(average, normalization, tmp_path):
    settings = {"early_stopping": True, "normalization": normalization, "n_iter_no_change": 3, "max_iter": 60}
    model = regressor(average, **settings, solver=Adam(0.3, average=MAKE[average]()))
    model.fit(X[:80], T[:80], validation_data=(X[80:], T[80:]))
    assert model.best_validation_score_ == model.score(X[80:], T[80:])
    assert model.validation_scores_[-1] < model.best_validation_score_
    one, other = (regressor(average, **settings, solver=Adam(0.3, average=MAKE[average]())) for _ in range(2))
    for i in range(200):
        for each in (one, other):
            if not each.stopped_:
                each.partial_fit(X[:80], T[:80], validation_data=(X[80:], T[80:]))
        if i == 4:
            other.save(tmp_path / "net.safetensors")
            other = fastnn.load(tmp_path / "net.safetensors")
    assert one.stopped_
    assert other.stopped_
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    assert one.best_validation_score_ == one.score(X[80:], T[80:])


def test_normalization_is_that_of_the_averages(monkeypatch):
    """As of `Model.fit`: means over the batches of a pass with averaged weights, of sparse rows, too."""
    for rows in (X, csr_array(X)):
        model = regressor("swa", normalization="batch").fit(rows, T)
        dense, norm = model.net_._predictors.layers[:2]
        np.testing.assert_allclose(norm.mean, (X @ dense.w + dense.b).mean(axis=0), rtol=1e-9, atol=1e-12)
        monkeypatch.setattr(sparse, "MOST_BYTES", 40 * 4 * 8)


def test_a_fit_that_goes_on_by_lbfgs_predicts_what_that_has_found():
    model = MLPClassifier((8,), solver=Adam(0.01, average=EMA(0.9)), max_iter=5, warm_start=True, random_state=0)
    model.fit(X, T > 1).set_params(solver="lbfgs", max_iter=200).fit(X, T > 1)
    np.testing.assert_array_equal(model._outputs(X), model.net_.predict(X))
    assert model.score(X, T > 1) > 0.98


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
def test_any_solver_takes_so_many_threads(solver, monkeypatch):
    seen, chosen = [], threads.chosen
    monkeypatch.setattr(threads, "chosen", lambda n, *work: seen.append(n) or chosen(n, *work))
    for most in (sparse.MOST_BYTES, 40 * 4 * 8):  # of rows that are made dense at once
        monkeypatch.setattr(sparse, "MOST_BYTES", most)
        for n_threads in (1, 2, None):
            seen.clear()
            MLPRegressor(**SHORT, solver=solver, n_threads=n_threads).fit(csr_array(X), T)
            assert set(seen) == {n_threads}
    seen.clear()
    MLPRegressor(**SHORT, solver=solver, n_ensemble=2).fit(X, T)
    assert set(seen) == {1}  # each by one
