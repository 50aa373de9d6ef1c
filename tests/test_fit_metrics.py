"""Metrics in fits and evaluations: of predictions, weighted as losses are, by the names that they are asked for."""

import numpy as np
import pytest

from fastnn import (
    MSE,
    SGD,
    BinaryCrossEntropy,
    CategoricalFocal,
    Coverage,
    CrossEntropy,
    Dense,
    EarlyStopping,
    FBeta,
    GaussianNLL,
    Head,
    Heads,
    Hinge,
    LogSoftmax,
    Model,
    MultiMargin,
    Pinball,
    PoissonNLL,
    Quantile,
    Sigmoid,
    Softmax,
    TopK,
    metrics,
)

pytestmark = pytest.mark.once

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
COUNTS = RNG.poisson(2.0, (60, 1))
WEIGHT = RNG.integers(0, 3, 60)


def sigmoid(y):
    return 1 / (1 + np.exp(-y))


def softmax(y):
    e = np.exp(y)
    return e / e.sum(axis=1, keepdims=True)


# The end of a net, its loss, targets, metrics, and what predictions are before the metrics read them
NETS = {
    "softmax": ([Dense(3), Softmax()], CrossEntropy(), LABELS, ["accuracy", "log_loss", "roc_auc", "f1"], None),
    "one-hot": ([Dense(3), Softmax()], CrossEntropy(), np.eye(3)[LABELS], ["accuracy", "brier", TopK(2)], None),
    "log": ([Dense(3), LogSoftmax()], CrossEntropy(), LABELS, ["accuracy", "log_loss", "ece"], np.exp),
    "logits": ([Dense(3)], CrossEntropy(from_logits=True), LABELS, ["log_loss", "matthews", "kappa"], softmax),
    "focal": ([Dense(3)], CategoricalFocal(from_logits=True), np.eye(3)[LABELS], ["log_loss"], softmax),
    "margins of classes": ([Dense(3)], MultiMargin(), LABELS, ["accuracy", TopK(2)], None),
    "sigmoid": ([Dense(1), Sigmoid()], BinaryCrossEntropy(), LABELS > 0, ["accuracy", "f1", "roc_auc", "brier"], None),
    "one logit": ([Dense(1)], BinaryCrossEntropy(from_logits=True), LABELS > 0, ["log_loss", "recall"], sigmoid),
    "labels": (
        [Dense(2), Sigmoid()], BinaryCrossEntropy(), X[:, :2] > 0, ["binary_accuracy", "accuracy", FBeta(2, "micro")],
        None,
    ),
    "hinge": ([Dense(1)], Hinge(), LABELS > 0, ["accuracy", "precision", "roc_auc"], lambda y: (y + 1) / 2),
    "numbers": ([Dense(2)], MSE(), X[:, :2], ["r2", "rmse", "mae", "mape", "explained_variance"], None),
    "counts": ([Dense(1)], PoissonNLL(), COUNTS, ["rmse"], np.exp),
    "normal": ([Dense(4)], GaussianNLL(), X[:, :2], ["r2", "median_absolute_error"], lambda y: y[:, :2]),
    "quantiles": ([Dense(4)], Quantile((0.1, 0.9)), X[:, :2], [Coverage(), Pinball(0.9, 1, 2)], None),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_metrics_are_those_of_predictions(name):
    """On all data at the end of an epoch, for training and validation data, weighted or not, also in evaluate."""
    layers, loss, y, asked, read = NETS[name]
    for weight in (None, WEIGHT):
        net = Model(layers, seed=0, dtype="float64")
        valid = (X[:30], y[:30]) if weight is None else (X[:30], y[:30], weight[:30])
        history = net.fit(X, y, loss, epochs=3, validation_data=valid, sample_weight=weight, metrics=asked)
        found = net.evaluate(X, y, sample_weight=weight, metrics=asked)
        predicted = net.predict(X)
        predicted = predicted if read is None else read(predicted)
        for one in asked:
            metric, logged = metrics.get(one), one if isinstance(one, str) else one.name
            expected = metric(y, predicted, weight)
            assert history[logged][-1] == pytest.approx(expected, abs=1e-12), logged
            assert found[logged] == pytest.approx(expected, abs=1e-12), logged
            expected = metric(y[:30], predicted[:30], None if weight is None else weight[:30])
            assert history[f"val_{logged}"][-1] == pytest.approx(expected, abs=1e-12), logged
        assert len(history["loss"]) == len(history[logged]) == 3
        layers = [type(layer)(layer.units) if isinstance(layer, Dense) else type(layer)() for layer in layers]


def test_what_evaluate_reports_are_the_same_metrics():
    for name in ("softmax", "one-hot", "logits", "sigmoid", "labels", "hinge"):
        layers, loss, y, _, _ = NETS[name]
        layers = [type(layer)(layer.units) if isinstance(layer, Dense) else type(layer)() for layer in layers]
        net = Model(layers, seed=0)
        net.fit(X, y, loss, epochs=2)
        found = net.evaluate(X, y, sample_weight=WEIGHT)
        asked = net.evaluate(X, y, sample_weight=WEIGHT, metrics=[one for one in found if one != "loss"])
        assert asked == found
        assert len(found) == 2


def test_early_stopping_knows_what_is_better():
    net = Model([Dense(3), Softmax()], seed=0)
    stopping = EarlyStopping(3, monitor="val_accuracy")
    history = net.fit(
        X, LABELS, epochs=40, validation_data=(X, LABELS), metrics="accuracy", callbacks=stopping, batch_size=60
    )
    assert stopping.best == max(history["val_accuracy"])
    assert net.evaluate(X, LABELS)["accuracy"] == stopping.best
    net.fit(X, LABELS, epochs=2, metrics=[metrics.LogLoss()], callbacks=EarlyStopping(monitor="log_loss"))

    def own(y_true, y_pred, sample_weight=None):
        return 1.0

    with pytest.raises(ValueError, match="mode is None, expected 'min' or 'max': whether a smaller own is better"):
        net.fit(X, LABELS, epochs=2, metrics=own, callbacks=EarlyStopping(monitor="own"))
    net.fit(
        X, LABELS, epochs=2, callbacks=EarlyStopping(monitor="own"),
        metrics=metrics.FunctionMetric(own, larger_is_better=True),
    )  # fmt: skip
    with pytest.raises(ValueError, match="monitor is 'val_f1', expected one that is logged: accuracy, loss"):
        net.fit(X, LABELS, epochs=2, metrics="accuracy", callbacks=EarlyStopping(monitor="val_f1"))


def test_metrics_that_are_numbers_are_refused():
    net = Model([Dense(2), Softmax()], seed=0)
    with pytest.raises(TypeError, match=r"metric is .*1.0.*, expected a name"):
        net.fit(X, LABELS, epochs=1, metrics=np.ones(2))


def test_functions_are_taken_as_they_are():
    sklearn = pytest.importorskip("sklearn.metrics")
    seen = []

    def sizes(y_true, y_pred, sample_weight):
        seen.append((y_true.shape, y_pred.shape, np.shape(sample_weight)))
        return float(len(y_true))

    net = Model([Dense(3)], seed=0)
    given = [sizes, sklearn.balanced_accuracy_score, sklearn.log_loss]
    counts = WEIGHT > 0
    history = net.fit(
        X, LABELS, CrossEntropy(from_logits=True), epochs=2, sample_weight=WEIGHT, metrics=[*given, "balanced_accuracy"]
    )
    assert history["balanced_accuracy_score"] == pytest.approx(history["balanced_accuracy"], abs=1e-12)
    assert history["sizes"] == [counts.sum()] * 2
    assert seen == [((counts.sum(),), (counts.sum(), 3), (counts.sum(),))] * 2
    renamed = net.fit(X, LABELS, epochs=1, metrics={"right": "accuracy", "beta": FBeta(2)})
    assert [*renamed] == ["loss", "right", "beta"]


def test_metrics_of_heads_stand_under_their_names():
    loss = Heads({"price": Head(MSE(), 1), "kind": Head(CrossEntropy(from_logits=True), 3)})
    y = {"price": X[:, 0], "kind": LABELS}
    asked = {"price": ["rmse", "r2"], "kind": "balanced_accuracy"}
    for weight in (None, WEIGHT):
        net = Model([Dense(4)], seed=0, dtype="float64")
        history = net.fit(X, y, loss, epochs=2, metrics=asked, sample_weight=weight, validation_data=(X, y, WEIGHT))
        predicted = net.predict(X)
        expected = {
            "price_rmse": metrics.RMSE()(X[:, 0], predicted[:, :1], weight),
            "price_r2": metrics.R2()(X[:, 0], predicted[:, :1], weight),
            "kind_balanced_accuracy": metrics.BalancedAccuracy()(LABELS, predicted[:, 1:], weight),
        }
        found = net.evaluate(X, y, sample_weight=weight, metrics=asked)
        for name, value in expected.items():
            assert history[name][-1] == found[name] == pytest.approx(value, abs=1e-12)
            assert f"val_{name}" in history
    assert EarlyStopping(monitor="kind_balanced_accuracy").mode is None
    net.fit(
        X, y, loss, epochs=2, metrics=asked, callbacks=EarlyStopping(monitor="val_price_r2"), validation_data=(X, y)
    )
    with pytest.raises(ValueError, match="metrics is for 'size', expected a dict with those of heads: price, kind"):
        net.fit(X, y, loss, metrics={"size": "rmse"})
    with pytest.raises(ValueError, match=r"head 'price': Accuracy\(\): y_pred is .*expected classes 0 and 1"):
        net.fit(X, y, loss, epochs=1, metrics="accuracy")


def test_weights_lose_no_digits_beside_float32():
    weight = RNG.random(60)
    net = Model([Dense(3), Softmax()], seed=0)
    options = {"sample_weight": weight, "validation_data": (X, LABELS, weight), "metrics": "accuracy"}
    history = net.fit(X, LABELS, epochs=2, **options)
    expected = np.average(net.predict(X).argmax(axis=1) == LABELS, weights=weight)
    for name in ("accuracy", "val_accuracy"):
        assert history[name][-1] == pytest.approx(expected, abs=1e-12)


def test_targets_may_weigh_on_their_own():
    """Those that are missing are not seen by metrics of numbers either."""
    y = X[:, :2].copy()
    y[::3, 0] = np.nan
    net = Model([Dense(2)], seed=0, dtype="float64")
    history = net.fit(X, y, MSE(missing="ignore"), epochs=2, metrics=["rmse", "r2"])
    predicted, there = net.predict(X), ~np.isnan(y[:, 0])
    alone = [metrics.RMSE()(y[there, 0], predicted[there, 0]), metrics.RMSE()(y[:, 1], predicted[:, 1])]
    assert history["rmse"][-1] == pytest.approx(np.mean(alone), rel=1e-12)


def test_what_is_wrong_with_metrics_is_said_before_anything_happens():
    net = Model([Dense(3), Softmax()], seed=0)
    for given, message in (
        (["acuracy"], "unknown metric 'acuracy': did you mean accuracy"),
        (["accuracy", metrics.Accuracy()], "metrics names 'accuracy' twice"),
        ({"loss": "accuracy"}, "metrics names a metric 'loss'"),
    ):
        for call in (net.fit, net.evaluate):
            with pytest.raises(ValueError, match=message):
                call(X, LABELS, metrics=given)
        assert not net.built
    with pytest.raises(TypeError, match="metric is 3, expected a name"):
        net.fit(X, LABELS, metrics=[3])


def test_metrics_of_outputs_that_are_not_finite_are_nan():
    net = Model([Dense(1)], seed=0, dtype="float32")
    net.fit(X, X[:, 0], "mse", SGD(0.0), epochs=1)
    net[0].w = np.full((4, 1), 3e38)
    found = net.evaluate(X, X[:, 0], metrics=["rmse", "r2"])
    assert np.isnan(found["rmse"])
    assert np.isnan(found["r2"])
