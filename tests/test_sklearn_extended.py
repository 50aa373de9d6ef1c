"""What scikit-learn's multi-layer perceptrons do not have: what each setting does, in figures or exactly; refusals."""

import inspect
import pickle
import re

import numpy as np
import pytest

pytest.importorskip("sklearn")
import scipy.sparse
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_iris, make_regression
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score, log_loss, mean_pinball_loss
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.class_weight import compute_sample_weight

from fastnn import (
    L2,
    LBFGS,
    MSE,
    SGD,
    AdamW,
    CrossEntropy,
    Dropout,
    EarlyStopping,
    LeakyReLU,
    PReLU,
    Quantile,
    load,
)
from fastnn.callbacks import Callback, CSVLogger
from fastnn.layers import BatchNorm, LayerNorm
from fastnn.schedules import Cosine, ReduceOnPlateau
from fastnn.sklearn import MLPClassifier, MLPRegressor, sparse

pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings(
        "ignore:scipy.optimize. The .disp. and .iprint.:DeprecationWarning"
    ),  # by scikit-learn 1.6
]

X, Y = load_iris(return_X_y=True)
R, T = make_regression(120, 4, noise=5.0, random_state=0)
T = T / T.std()
SHORT = {"hidden_layer_sizes": (8,), "learning_rate_init": 0.02, "batch_size": 30, "max_iter": 20, "random_state": 0}


def classifier(**settings):
    return MLPClassifier(**{**SHORT, **settings})


def regressor(**settings):
    return MLPRegressor(**{**SHORT, **settings})


def same(a, b):
    for ours, theirs in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        np.testing.assert_array_equal(ours, theirs)


SAME = {  # settings that mean the same
    "nothing is watched": ({}, {"callbacks": [lambda model, epoch, logs: False]}),
    "between batches": ({}, {"callbacks": [type("Own", (Callback,), {"end_batch": lambda *_: None})()]}),
    "a part": ({"solver": AdamW(0.01), "learning_rate_init": 0.001}, {"solver": "adamw", "learning_rate_init": 0.01}),
    "an activation": ({"activation": "logistic"}, {"activation": ["sigmoid"]}),
    "wide limits": ({}, {"clip_norm": 1e9}),
    "threads": ({}, {"n_threads": 2}),
    "one rate": ({}, {"learning_rate": lambda step: 1.0}),
    "dropout of nothing": ({}, {"dropout": [0.0]}),
}


@pytest.mark.parametrize("name", SAME)
def test_settings_that_mean_the_same(name):
    one, other = SAME[name]
    same(classifier(**one).fit(X, Y), classifier(**other).fit(X, Y))
    same(regressor(**one).fit(R, T), regressor(**other).fit(R, T))


def test_losses_of_scikit_learn_by_our_names():
    same(classifier().fit(X, Y), classifier(loss="cross_entropy").fit(X, Y))
    same(classifier().fit(X, Y), classifier(loss=CrossEntropy()).fit(X, Y))
    same(classifier().fit(X, Y == 1), classifier(loss="bce").fit(X, Y == 1))
    half = regressor(solver="sgd", momentum=0, alpha=0).fit(R, T)  # half of the squared error
    other = regressor(solver="sgd", momentum=0, alpha=0, loss=MSE(), learning_rate_init=0.01).fit(R, T)
    np.testing.assert_allclose(other.coefs_[0], half.coefs_[0], rtol=1e-10)


@pytest.mark.parametrize("weight", [{0: 0, 1: 0, 2: 0}, {0: 1, 1: -1}, {0: np.nan}])
def test_class_weights_that_weigh_nothing_are_refused(weight):
    with pytest.raises(
        ValueError, match=r"MLPClassifier: class_weight is \{0: .*\}, expected numbers from 0 on, and one"
    ):
        classifier(class_weight=weight).fit(X, Y)


def test_class_weights_are_weights_of_rows():
    y = Y.copy()
    y[:40] = 2  # few of class 0
    for weight in ("balanced", {0: 5.0, 1: 1.0, 2: 0.5}):
        rows = compute_sample_weight(weight, y)
        same(classifier(class_weight=weight).fit(X, y), classifier().fit(X, y, sample_weight=rows))
        own = np.random.default_rng(0).uniform(0.5, 2, len(y))
        same(classifier(class_weight=weight).fit(X, y, own), classifier().fit(X, y, own * rows))
    for solver in ("lbfgs", "sgd"):
        rows = compute_sample_weight("balanced", y)
        same(classifier(solver=solver, class_weight="balanced").fit(X, y), classifier(solver=solver).fit(X, y, rows))
    several = np.c_[Y == 0, Y == 1].astype(int)
    weights = [{0: 1, 1: 3}, {0: 2, 1: 1}]
    rows = compute_sample_weight(weights, several)
    same(classifier(class_weight=weights).fit(X, several), classifier().fit(X, several, rows))
    rare = (Y == 1) & (np.arange(150) % 5 == 0)
    plain = classifier(max_iter=60).fit(X, rare).predict(X)[rare].mean()
    weighed = classifier(max_iter=60, class_weight="balanced").fit(X, rare).predict(X)[rare].mean()
    assert weighed > 0.6 > plain


def test_layers():
    model = classifier(
        hidden_layer_sizes=(8, 6), activation=[LeakyReLU(0.2), "gelu"], dropout=[0.0, 0.3], normalization="batch"
    )
    kinds = [type(layer).__name__ for layer in model.fit(X, Y).net_.layers]
    assert kinds == ["Dense", "BatchNorm", "LeakyReLU", "Dense", "BatchNorm", "GELU", "Dropout", "Dense", "Softmax"]
    assert model.net_.layers[2] is not model.activation[0]
    assert model.net_.layers[6].rate == 0.3
    assert [w.shape for w in model.coefs_] == [(4, 8), (8, 6), (6, 3)]
    for name, kind in (("batch", BatchNorm), ("layer", LayerNorm)):
        assert isinstance(classifier(normalization=name).fit(X, Y).net_.layers[1], kind)
    assert isinstance(regressor(dropout=0.5).fit(R, T).net_.layers[1], Dropout)
    far = 1000 + 100 * R  # which nobody has scaled: normalization stands it
    assert regressor(normalization="batch", max_iter=200).fit(far, T).score(far, T) > 0.9
    assert regressor(max_iter=200).fit(far, T).score(far, T) < 0.5


def test_no_hidden_layers_are_linear_models():
    settings = {"hidden_layer_sizes": (), "solver": "lbfgs", "alpha": 2.0, "max_iter": 1000, "tol": 1e-8}
    ours, theirs = classifier(**settings).fit(X, Y == 1), LogisticRegression(C=0.5, tol=1e-8).fit(X, Y == 1)
    near = ours.coefs_[0][:, 0]
    np.testing.assert_allclose(near, theirs.coef_[0], rtol=1e-3)
    np.testing.assert_allclose(ours.intercepts_[0], theirs.intercept_, rtol=1e-3)
    ours, theirs = regressor(**settings).fit(R, T), Ridge(2.0).fit(R, T)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], theirs.coef_, rtol=1e-4)


LOSSES = {  # of a regressor: what is predicted is near to what belongs to the loss
    "huber": np.mean,
    "absolute_error": np.median,
    "quantile": np.median,
    "poisson": np.mean,
    "gamma": np.mean,
    "tweedie": np.mean,
    "gaussian_nll": np.mean,
    "mse": np.mean,
}


def test_losses_of_numbers():
    rng = np.random.default_rng(0)
    t, ones = rng.gamma(4.0, size=400), np.ones((400, 1))
    settings = {"hidden_layer_sizes": (), "max_iter": 200, "learning_rate": Cosine(), "batch_size": 50, "tol": 0}
    for loss, expected in LOSSES.items():
        model = regressor(loss=loss, **settings).fit(ones, t)
        near = 0.4 if loss == "huber" else 0.05
        np.testing.assert_allclose(model.predict(ones[:1])[0], expected(t), rtol=near, err_msg=loss)
    model = regressor(loss="poisson", out_activation="softplus", **settings).fit(ones, t)
    np.testing.assert_allclose(model.predict(ones[:1])[0], t.mean(), rtol=0.05)
    assert model.out_activation_ == "softplus"
    levels = Quantile((0.1, 0.5, 0.9))
    model = regressor(loss=levels, **settings).fit(ones, t)
    assert model.predict(ones).shape == (400, 3)
    np.testing.assert_allclose(model.predict(ones[:1])[0], np.quantile(t, levels.q), rtol=0.06)
    both = regressor(loss=levels, **settings).fit(ones, np.c_[t, 2 * t])
    assert both.predict(ones).shape == (400, 2, 3)
    alone = regressor(loss=Quantile(0.9), **settings).fit(ones, t).predict(ones)
    assert mean_pinball_loss(t, alone, alpha=0.9) < mean_pinball_loss(t, alone * 0.8, alpha=0.9)
    mean, std = regressor(loss="gaussian_nll", **settings).fit(ones, t).predict(ones, return_std=True)
    np.testing.assert_allclose([mean[0], std[0]], [t.mean(), t.std()], rtol=0.1)


def test_losses_of_classes():
    for loss in ("log_loss", "focal", "hinge", "squared_hinge", "multi_margin"):
        for y in (Y, Y == 1):
            model = classifier(loss=loss, max_iter=100).fit(X, y)
            assert model.score(X, y) > 0.9, loss
            is_margin = loss not in ("log_loss", "focal")
            assert hasattr(model, "predict_proba") is not is_margin
            assert hasattr(model, "decision_function") is is_margin
            if is_margin:
                found = model.decision_function(X)
                chosen = found.argmax(axis=1) if found.ndim == 2 else (found > 0).astype(int)
                np.testing.assert_array_equal(model.classes_[chosen], model.predict(X))
    each = classifier(out_activation="logistic", max_iter=100).fit(X, Y)
    np.testing.assert_allclose(each.predict_proba(X).sum(axis=1), 1)
    pair = classifier(out_activation="softmax", max_iter=100).fit(X, Y == 1)
    assert pair.coefs_[-1].shape == (8, 2)
    assert pair.score(X, Y == 1) > 0.9


def test_rates_follow_schedules():
    rates = []
    model = regressor(learning_rate=Cosine(), callbacks=lambda net, *_: rates.append(net.optimizer.lr))
    model.fit(R, T)
    steps = 4 * np.arange(1, 21)  # those behind each epoch
    np.testing.assert_allclose(rates, 0.02 * (1 + np.cos(np.pi * steps / 80)) / 2, atol=1e-12)


def test_validation_data_and_scores():
    x, y, xv, yv = X[::2], Y[::2], X[1::2], Y[1::2]
    watched = classifier().fit(x, y, validation_data=(xv, yv))
    same(watched, classifier().fit(x, y))
    assert watched.validation_scores_[-1] == watched.score(xv, yv)
    assert len(watched.validation_scores_) == watched.n_iter_
    history = []
    stopped = classifier(
        early_stopping=True,
        scoring="f1_macro",
        max_iter=500,
        n_iter_no_change=5,
        callbacks=lambda m, e, logs: history.append(logs),
    ).fit(x, y, validation_data=(xv, yv))
    assert stopped.n_iter_ < 500
    assert stopped.best_validation_score_ == f1_score(yv, stopped.predict(xv), average="macro")
    assert [logs["val_score"] for logs in history] == stopped.validation_scores_
    by_loss = classifier(early_stopping=True, scoring="loss", max_iter=100).fit(x, y, validation_data=(xv, yv))
    np.testing.assert_allclose(-by_loss.best_validation_score_, log_loss(yv, by_loss.predict_proba(xv)), rtol=1e-9)
    own = classifier(
        early_stopping=True, scoring=lambda model, x, y: -log_loss(y, model.predict_proba(x)), max_iter=100
    )
    np.testing.assert_allclose(
        own.fit(x, y, validation_data=(xv, yv)).validation_scores_, by_loss.validation_scores_, rtol=1e-9
    )
    numbers = regressor(early_stopping=True, scoring="neg_mean_absolute_error").fit(R, T)
    assert numbers.best_validation_score_ < 0


def test_callbacks_are_called_with_the_net():
    stopping = EarlyStopping(patience=3, monitor="val_score", mode="max")
    model = classifier(max_iter=300, callbacks=[stopping]).fit(X, Y, validation_data=(X, Y))
    assert model.n_iter_ == stopping.best_epoch + 4
    assert model.score(X, Y) == stopping.best == max(model.validation_scores_)
    assert "EarlyStopping" in model.net_.history.ended

    def freeze(net, epoch, logs):
        net.layers[0].trainable = False

    frozen, one = classifier(callbacks=freeze).fit(X, Y), classifier(max_iter=1).fit(X, Y)
    np.testing.assert_array_equal(frozen.coefs_[0], one.coefs_[0])
    assert not np.array_equal(frozen.coefs_[1], one.coefs_[1])


def test_clipping():
    settings = {"solver": "sgd", "momentum": 0, "alpha": 0, "batch_size": 120, "max_iter": 1}
    start = regressor(**{**settings, "learning_rate_init": 1e-300}).fit(R, 1000 * T)
    for name, size in (("clip_norm", np.linalg.norm), ("clip_value", lambda d: np.abs(d).max())):
        model = regressor(**settings, **{name: 0.5}).fit(R, 1000 * T)
        assert size(model.net_.params - start.net_.params) == pytest.approx(0.5 * 0.02, rel=1e-6)


def test_ensembles():
    for make, x, y in ((classifier, X, Y), (regressor, R, T)):
        model = make(n_ensemble=3).fit(x, y)
        assert len(model.nets_) == 3
        for net in model.estimators_:
            same(net, make(random_state=net.random_state).fit(x, y))
        again = make(n_ensemble=3, n_threads=1).fit(x, y)
        np.testing.assert_array_equal(again.predict(x), model.predict(x))
        assert clone(model).n_ensemble == 3
    each = np.stack([net.predict(R) for net in model.estimators_])
    mean, std = model.predict(R, return_std=True)
    np.testing.assert_allclose(mean, each.mean(axis=0))
    np.testing.assert_allclose(std, each.std(axis=0))
    model = classifier(n_ensemble=2).fit(X, Y)
    each = np.mean([net.predict_proba(X) for net in model.estimators_], axis=0)
    np.testing.assert_allclose(model.predict_proba(X), each)
    assert model.score(X, Y) > 0.8


def test_what_ensembles_have_and_have_not():
    model = regressor(n_ensemble=3, max_iter=300, n_iter_no_change=2).fit(R, T)
    nets = model.estimators_
    assert len({net.n_iter_ for net in nets}) > 1
    assert len(model.loss_curve_) == model.n_iter_ == max(net.n_iter_ for net in nets)
    assert model.loss_curve_[0] == np.mean([net.loss_curve_[0] for net in nets])
    assert model.loss_curve_[-1] == model.loss_ == np.mean([net.loss_ for net in nets])
    assert model.best_loss_ == np.mean([net.best_loss_ for net in nets])
    assert model.validation_scores_ is None
    for name in ("net_", "coefs_", "intercepts_"):
        assert not hasattr(model, name)
        with pytest.raises(AttributeError, match=rf"of n_ensemble=3 nets. They are nets_, and estimators_\[i\].{name}"):
            getattr(model, name)
        with pytest.raises(AttributeError, match=f"object has no attribute '{name}'$"):
            getattr(regressor(), name)
    scored = classifier(n_ensemble=2, early_stopping=True).fit(X, Y)
    assert scored.best_loss_ is None
    assert scored.best_validation_score_ == np.mean([net.best_validation_score_ for net in scored.estimators_])
    assert not hasattr(regressor(n_ensemble=2, solver="lbfgs").fit(R, T), "loss_curve_")
    alone = model.set_params(n_ensemble=1).fit(R, T)
    assert len(alone.coefs_) == 2
    assert not hasattr(alone, "estimators_")


def test_all_rows_of_sparse_data_are_never_dense_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    x = scipy.sparse.random(90, 30, 0.2, format="csr", rng=0)
    t = np.asarray(x @ rng.normal(size=30))
    counts, weight = rng.poisson(2.0, 90).astype(float), rng.uniform(0.5, 2, 90)
    settings = {"solver": "lbfgs", "max_iter": 15, "alpha": 0.1}
    cases = [(regressor, t), (classifier, t > 0), (classifier, np.digitize(t, [-1, 1])), (regressor, counts)]
    rows, whole = [], scipy.sparse.csr_matrix.toarray

    def toarray(x):
        rows.append(x.shape[0])
        return whole(x)

    for i, (make, y) in enumerate(cases):
        if i == 3:
            settings["loss"] = "poisson"
        for given in (None, weight):
            dense = make(**settings).fit(x.toarray(), y, given)
            with monkeypatch.context() as patch:
                patch.setattr(sparse, "MOST_BYTES", 20 * 30 * 8)
                patch.setattr(scipy.sparse.csr_matrix, "toarray", toarray)
                blocks = make(**settings).fit(csr_matrix(x), y, given)
            assert max(rows) == 20
            rows.clear()
            np.testing.assert_allclose(blocks.loss_, dense.loss_, rtol=1e-8)
            np.testing.assert_allclose(blocks.coefs_[0], dense.coefs_[0], rtol=1e-4, atol=1e-6)


def test_rates_follow_what_is_logged():
    rates = []
    model = regressor(
        learning_rate=ReduceOnPlateau(factor=0.5, patience=1, threshold=0.1), max_iter=60, tol=0,
        callbacks=lambda net, *_: rates.append(float(net.optimizer.lr)),
    ).fit(R, T)  # fmt: skip
    assert len(rates) == model.n_iter_
    assert rates[0] == 0.02
    halves = np.log2(0.02 / np.array(rates))
    np.testing.assert_allclose(halves, np.round(halves), atol=1e-9)
    assert 1 <= halves[-1] < 60
    assert (np.diff(halves) >= 0).all()
    plain = regressor(max_iter=60, tol=0).fit(R, T)
    first = int(np.argmax(halves > 0))
    np.testing.assert_array_equal(model.loss_curve_[:first], plain.loss_curve_[:first])
    assert model.loss_curve_[first] != plain.loss_curve_[first]
    with pytest.raises(ValueError, match="val_loss"):
        regressor(learning_rate=ReduceOnPlateau(monitor="val_loss")).fit(R, T)
    watched = regressor(learning_rate=ReduceOnPlateau(monitor="val_loss", patience=0, threshold=0.5), max_iter=30)
    assert watched.fit(R, T, validation_data=(R, T)).loss_curve_ != plain.loss_curve_[:30]


CHANGES = [  # what the net was made with, what it shall be trained further with, what the error says
    (regressor, {"normalization": "batch"}, {"normalization": None}, "normalization is None, but .* normalization 'ba"),
    (regressor, {}, {"normalization": "layer"}, "normalization is 'layer', but .* made with normalization None"),
    (regressor, {"normalization": "batch"}, {"normalization": "layer"}, "normalization is 'layer', but"),
    (regressor, {}, {"loss": Quantile((0.1, 0.9))}, "loss is one of 2 outputs .* made with loss one of 1 outputs"),
    (regressor, {}, {"activation": PReLU()}, r"activation is PReLU\(\), but .* made with activation 'relu'"),
    (classifier, {}, {"out_activation": "softmax"}, "out_activation is 'softmax'.* made with out_activation None"),
]


@pytest.mark.parametrize(("make", "before", "after", "match"), CHANGES)
def test_other_parameters_than_those_that_there_are_do_not_go_on(make, before, after, match):
    x, y = (R, T) if make is regressor else (X, Y == 1)
    model = make(warm_start=True, **before).fit(x, y)
    old = [array.copy() for array in model.coefs_]
    model.set_params(**after)
    with pytest.raises(ValueError, match=match + ".*set it back, or begin anew by fit with warm_start=False"):
        model.fit(x, y)
    for array, wanted in zip(model.coefs_, old, strict=True):
        np.testing.assert_array_equal(array, wanted)
    model.set_params(**before, **{name: getattr(make(), name) for name in after if name not in before}).fit(x, y)


def test_what_may_change_between_fits():
    model = regressor(warm_start=True, normalization="batch", learning_rate_init=1e-300).fit(R, T)
    before, mean = model.coefs_[0].copy(), model.net_.layers[1].mean.copy()
    model.set_params(activation="tanh", dropout=0.2, max_iter=1, loss="huber").fit(R, T)
    np.testing.assert_array_equal(model.coefs_[0], before)
    assert [type(layer).__name__ for layer in model.net_.layers][1:4] == ["BatchNorm", "Tanh", "Dropout"]
    assert np.abs(model.net_.layers[1].mean - mean).max() < 0.5 * np.abs(mean).max()  # it goes on from there


SEVERAL = {  # targets of several columns, each with classes of its own
    "numbers": np.stack([Y, Y % 2, 5 * (X[:, 0] > 6)], axis=1),
    "words and numbers": np.stack([np.array(["a", "b", "c"], object)[Y], (Y == 1).astype(object)], axis=1),
    "one of a class": np.stack([Y, np.full(150, 7)], axis=1),
}
ENDS = [{}, {"loss": "focal"}, {"out_activation": "logistic"}, {"out_activation": "softmax"}, {"solver": "lbfgs"}]


@pytest.mark.parametrize("name", SEVERAL)
def test_several_targets_of_several_classes(name):
    y, forest = SEVERAL[name], RandomForestClassifier(5, random_state=0)
    forest.fit(X, y if name != "words and numbers" else np.stack([Y, Y == 1], axis=1))
    for settings in ENDS if name == "numbers" else ENDS[::4]:
        model = classifier(max_iter=100, **settings).fit(X, y)
        assert [len(classes) for classes in model.classes_] == [len(classes) for classes in forest.classes_]
        assert [p.shape for p in model.predict_proba(X)] == [p.shape for p in forest.predict_proba(X)]
        found = model.predict(X)
        assert found.shape == y.shape
        assert model.score(X, y) == np.mean((found == y).all(axis=1)) > 0.6
        for j, p in enumerate(model.predict_proba(X)):
            np.testing.assert_allclose(p.sum(axis=1), 1)
            assert (model.classes_[j][p.argmax(axis=1)] == found[:, j]).all()
            with np.errstate(divide="ignore"):
                np.testing.assert_allclose(model.predict_log_proba(X)[j], np.log(p))
        assert [type(one) for one in found[0]] == [type(one) for one in y[0]]
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), found)
    model = classifier(loss="hinge", max_iter=100).fit(X, y)
    assert len(model.decision_function(X)) == y.shape[1]
    assert model.score(X, y) > 0.6


def test_several_targets_train_as_the_sum_of_their_losses():
    y = SEVERAL["numbers"]
    model = classifier(max_iter=1, batch_size=150, alpha=0.0, learning_rate_init=1e-300).fit(X, y)
    expected = sum(log_loss(y[:, j], p) for j, p in enumerate(model.predict_proba(X)))
    np.testing.assert_allclose(model.loss_, expected)
    weight = np.random.default_rng(0).uniform(0.5, 2, 150)
    by_class = [{0: 1, 1: 2, 2: 3}, {0: 2, 1: 1}, {0: 1, 5: 4}]
    for given in ("balanced", by_class):
        rows = compute_sample_weight(given, y)
        same(classifier(class_weight=given).fit(X, y, weight), classifier().fit(X, y, weight * rows))
        same(classifier(class_weight=given).fit(X, y), classifier().fit(X, y, rows))
    with pytest.raises(ValueError, match="For multi-output, class_weight should be a list of dicts"):
        classifier(class_weight={0: 1}).fit(X, y)
    alone = classifier(max_iter=60).fit(X, Y)
    twice = classifier(max_iter=60).fit(X, np.stack([Y, Y], axis=1) + 1)
    assert alone.score(X, Y) > 0.9 < twice.score(X, np.stack([Y, Y], axis=1) + 1)


def test_several_targets_in_the_rest():
    y = SEVERAL["numbers"]
    stopped = classifier(early_stopping=True, max_iter=300, validation_fraction=0.3).fit(X, y)
    assert 0.5 < stopped.best_validation_score_ == max(stopped.validation_scores_)
    watched = classifier(early_stopping=True, scoring="loss", max_iter=100).fit(X, y, validation_data=(X, y))
    expected = sum(log_loss(y[:, j], p) for j, p in enumerate(watched.predict_proba(X)))
    np.testing.assert_allclose(-watched.best_validation_score_, expected)
    classes = [[0, 1, 2], [0, 1], [0, 5]]
    part = classifier(n_iter_no_change=3, early_stopping=True)
    for _ in range(3):
        part.partial_fit(X[:60], y[:60], classes=classes, validation_data=(X, y))
    assert [one.tolist() for one in part.classes_] == classes
    with pytest.raises(ValueError, match="is not the same as on last call"):
        part.partial_fit(X, y, classes=[[0, 1], [0, 1], [0, 5]], validation_data=(X, y))
    with pytest.raises(ValueError, match=r"output 2: `y` has classes not in"):
        classifier().partial_fit(X, y, classes=[[0, 1, 2], [0, 1], [0, 4]])
    with pytest.raises(ValueError, match="classes must be passed"):
        classifier().partial_fit(X, y)
    together = classifier(n_ensemble=2).fit(X, y)
    mean = np.mean([net.predict_proba(X)[0] for net in together.estimators_], axis=0)
    np.testing.assert_allclose(together.predict_proba(X)[0], mean)
    further = classifier(warm_start=True).fit(X, y)
    loss = further.loss_
    assert further.fit(X, y).loss_ < loss
    with pytest.raises(ValueError, match="output 0: warm_start can only be used"):
        further.fit(X[:100], y[:100])
    with pytest.raises(ValueError, match=r"y has shape \(150,\), expected \(rows, 3\)"):
        further.fit(X, Y)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        classifier().fit(X, X[:, :2])
    frame = pytest.importorskip("pandas").DataFrame({"kind": np.array(list("abc"))[Y], "n": Y})
    assert classifier(max_iter=60).fit(X, frame).predict(X)[0].tolist() == ["a", 0]
    sparse = classifier().fit(csr_matrix(X), y)
    np.testing.assert_allclose(sparse.predict_proba(X)[0], classifier().fit(X, y).predict_proba(X)[0])


def test_partial_fit_stops():
    model = classifier(early_stopping=True, n_iter_no_change=3, learning_rate_init=0.05)
    for _ in range(200):
        model.partial_fit(X[::2], Y[::2], classes=[0, 1, 2], validation_data=(X[1::2], Y[1::2]))
        if model.stopped_:
            break
    assert model.stopped_
    assert model.score(X[1::2], Y[1::2]) == model.best_validation_score_ == max(model.validation_scores_)
    before = model.coefs_[0].copy()
    with pytest.warns(UserWarning, match="early stopping has ended"):
        model.partial_fit(X, Y, validation_data=(X, Y))
    np.testing.assert_array_equal(model.coefs_[0], before)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        classifier(early_stopping=True).partial_fit(X, Y, classes=[0, 1, 2])


BAD = [
    ({"dropout": 1.0}, "'dropout' parameter of MLP.* must be"),
    ({"dropout": [0.1, 0.2]}, "one for each of the 1 hidden layers"),
    ({"dropout": ["a"]}, "'dropout' parameter"),
    ({"activation": "rellu"}, "'activation' parameter of MLP"),
    ({"activation": ["rellu"]}, "must be a layer, or a str among"),
    ({"activation": ["relu", "tanh"]}, "one for each of the 1 hidden layers"),
    ({"normalization": "group"}, "'normalization' parameter"),
    ({"solver": "newton"}, "'solver' parameter"),
    ({"solver": LBFGS()}, "use solver='lbfgs'"),
    ({"solver": SGD(0.1)}, "learning_rate_init=0.02 is not used"),
    ({"solver": SGD(0.1, clip_norm=1.0), "learning_rate_init": 0.001, "clip_norm": 1.0}, "clips already"),
    ({"solver": "lion", "learning_rate": "adaptive"}, "pass a schedule"),
    ({"loss": "no_loss"}, "'loss' parameter"),
    ({"scoring": "accuracy"}, "there are none: set early_stopping=True"),
    ({"early_stopping": True, "scoring": "no_scorer"}, "no_scorer"),
    ({"clip_norm": 0}, "'clip_norm' parameter"),
    ({"clip_value": -1.0}, "'clip_value' parameter"),
    ({"n_threads": 0}, "'n_threads' parameter"),
    ({"n_ensemble": 0}, "'n_ensemble' parameter"),
    ({"callbacks": [1]}, "callbacks holds 1"),
    ({"n_ensemble": 2, "callbacks": [CSVLogger("log.csv")]}, "would write the same files"),
    ({"hidden_layer_sizes": (), "dropout": 0.5}, "has none: leave dropout out"),
    ({"hidden_layer_sizes": (), "normalization": "layer"}, "has none: leave normalization out"),
    *(
        ({"solver": "lbfgs", **settings}, f"{next(iter(settings))}=.*solver='adam', or leave")
        for settings in (
            {"dropout": 0.1}, {"normalization": "batch"}, {"callbacks": [lambda *_: None]}, {"clip_norm": 1.0},
            {"clip_value": 1.0}, {"learning_rate": Cosine()},
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "match"), BAD)
def test_what_makes_no_sense_is_refused(settings, match):
    for make, x, y in ((classifier, X, Y), (regressor, R, T)):
        with pytest.raises((ValueError, TypeError), match=match):
            make(**settings).fit(x, y)


def test_what_makes_no_sense_is_refused_of_one_of_them():
    with pytest.raises(InvalidParameterError, match="'class_weight' parameter"):
        classifier(class_weight="even").fit(X, Y)
    for settings, y in (
        ({"loss": "multi_margin"}, np.c_[Y > 0, Y > 1]),
        ({"out_activation": "softmax"}, np.c_[Y > 0, Y > 1]),
    ):
        with pytest.raises(ValueError, match="several labels"):
            classifier(**settings).fit(X, y.astype(int))
    for settings in ({"loss": "hinge", "out_activation": "logistic"}, {"loss": "bce", "out_activation": "softmax"}):
        with pytest.raises(ValueError, match="does not fit loss="):
            classifier(**settings).fit(X, Y)
    for loss in (MSE(), "mse"):
        with pytest.raises(InvalidParameterError, match="'loss' parameter"):
            classifier(loss=loss).fit(X, Y)
    with pytest.raises(InvalidParameterError, match="without weights of its own"):
        classifier(loss=CrossEntropy(class_weight=[1.0, 2.0, 1.0])).fit(X, Y)
    for loss in (CrossEntropy(), "hinge"):
        with pytest.raises(InvalidParameterError, match="'loss' parameter"):
            regressor(loss=loss).fit(R, T)
    with pytest.raises(ValueError, match="return_std=True needs nets that may differ"):
        regressor().fit(R, T).predict(R, return_std=True)
    with pytest.raises(ValueError, match="class_weight='balanced' needs all rows"):
        classifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="validation_data is looked at between epochs"):
        classifier(solver="lbfgs").fit(X, Y, validation_data=(X, Y))
    with pytest.raises(ValueError, match="labels that are not in y"):
        classifier().fit(X, Y, validation_data=(X, Y + 1))
    with pytest.raises(TypeError, match="expected a tuple"):
        classifier().fit(X, Y, validation_data=X)
    with pytest.raises(ValueError, match="features"):
        classifier().fit(X, Y, validation_data=(X[:, :3], Y))


def test_both_say_what_all_parameters_are():
    texts = {kind: inspect.getdoc(kind) for kind in (MLPClassifier, MLPRegressor)}
    for kind, text in texts.items():
        entries = re.findall(r"^(\w+(?:, \w+)*) :.*((?:\n    .*)*)", text, re.MULTILINE)
        own = {name: said for names, said in entries for name in names.split(", ")}
        assert set(inspect.signature(kind).parameters) <= set(own)
        for name, said in own.items():
            if name in inspect.signature(MLPClassifier).parameters and name not in ("loss", "out_activation"):
                assert said in texts[MLPClassifier], name


@pytest.mark.parametrize("settings", [{}, {"solver": "sgd"}, {"solver": "sgd", "momentum": 0.5}, {"alpha": 0.0}])
def test_the_net_of_an_estimator_can_be_saved(settings, tmp_path):
    """Its penalty and its optimizer stand in files as those that everybody knows."""
    x = np.random.default_rng(0).normal(size=(30, 3))
    model = MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=0, **settings).fit(x, x[:, 0])
    model.net_.save(tmp_path / "net")
    net = load(tmp_path / "net")
    np.testing.assert_array_equal(net.predict(x), model.net_.predict(x))
    assert [type(part) for part in net.penalties] == ([L2] if settings != {"alpha": 0.0} else [])
    net.train_batch(x, x[:, :1])
