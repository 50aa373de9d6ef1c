"""Nets of scikit-learn as models, and models as nets of scikit-learn: the same predictions, and the same next steps."""

import importlib
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import (
    ELU,
    SGD,
    Adam,
    BatchNorm,
    Bias,
    Columns,
    Dense,
    Dropout,
    Embedding,
    Exponential,
    LayerNorm,
    Model,
    Normalization,
    ReLU,
    Residual,
    Scale,
    Sigmoid,
    Softmax,
    Tanh,
)

pytestmark = pytest.mark.once

networks = pytest.importorskip("sklearn.neural_network")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
CLASSES = {
    "two classes": (X[:, 0] > 0).astype(int),
    "three classes": RNG.integers(0, 3, 60),
    "texts": np.array(["no", "yes", "maybe"])[RNG.integers(0, 3, 60)],
    "several labels": (X[:, :3] > 0).astype(int),
}
NUMBERS = {"one": X[:, 0] ** 2, "three": X[:, :3] ** 2}
ACTIVATIONS = ("identity", "logistic", "tanh", "relu")


def fitted(kind, y, epochs=3, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind(hidden_layer_sizes=(6, 5), max_iter=epochs, random_state=0, **options).fit(X, y)


def of_classes(mlp):
    """What the outputs of a net of the same classes are."""
    p = mlp.predict_proba(X)
    return p[:, 1:] if p.shape[1] == 2 else p


def numbers(mlp):
    return mlp.predict(X).reshape(len(X), -1)


def near(found, expected, rtol=1e-12):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)


SOLVERS = {
    "adam": {"solver": "adam"},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.02},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.02},
    "plain": {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.05},
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("case", [*CLASSES, *NUMBERS])
def test_a_fitted_net_there_and_back_predicts_and_trains_as_before(case, solver):
    """All rows are one batch, so `partial_fit` is one step."""
    is_classifier = case in CLASSES
    y = (CLASSES if is_classifier else NUMBERS)[case]
    kind = networks.MLPClassifier if is_classifier else networks.MLPRegressor
    predicted = of_classes if is_classifier else numbers
    for i, activation in enumerate(ACTIVATIONS):
        alpha = (0.0, 0.5)[i % 2]
        mlp = fitted(kind, y, activation=activation, alpha=alpha, **SOLVERS[solver])
        net = fastnn.from_sklearn(mlp)
        near(net.predict(X), predicted(mlp))
        target = np.searchsorted(mlp.classes_, y) if is_classifier and y.ndim == 1 else y
        target = target[:, None] if case == "two classes" else target
        for _ in range(3):
            mlp.partial_fit(X, y)
            net.train_batch(X, target)
        near(net.predict(X), predicted(mlp), 1e-10)
        back = fastnn.to_sklearn(net, classes=mlp.classes_ if is_classifier and y.ndim == 1 else None, batch_size=60)
        assert back.alpha == pytest.approx(alpha, rel=1e-12)
        assert type(back) is kind
        near(predicted(back), net.predict(X))
        assert (back.predict(X) == mlp.predict(X)).all() or not is_classifier
        assert back.score(X, y) == pytest.approx(mlp.score(X, y))
        for net_of_back in (net, fastnn.from_sklearn(back)):  # the penalty is there again
            assert [one.l2 for one in net_of_back.penalties] == pytest.approx([one.l2 for one in net.penalties])
        for _ in range(3):
            mlp.partial_fit(X, y)
            back.partial_fit(X, y)
        near(predicted(back), predicted(mlp), 1e-10)
        near(fastnn.from_sklearn(back).predict(X), predicted(mlp), 1e-10)
        assert len(fastnn.from_sklearn(back).penalties) == bool(alpha)


@pytest.mark.parametrize("case", ["one", "three"])
def test_poisson_and_lbfgs(case):
    y = NUMBERS[case]
    mlp = fitted(networks.MLPRegressor, y, loss="poisson")
    net = fastnn.from_sklearn(mlp)
    near(net.predict(X), numbers(mlp))
    mlp.partial_fit(X, y)
    net.train_batch(X, y)
    back = fastnn.to_sklearn(net, batch_size=60)
    assert back.loss == "poisson"
    near(numbers(back), net.predict(X))
    mlp = fitted(networks.MLPRegressor, y, epochs=30, solver="lbfgs")
    net = fastnn.from_sklearn(mlp)
    near(net.predict(X), numbers(mlp))
    assert net.optimizer is None


def test_estimators_of_this_package_and_what_is_none():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from fastnn.sklearn import MLPClassifier

    y = CLASSES["texts"]
    mlp = fitted(MLPClassifier, y, activation=["gelu", "mish"], normalization="batch")
    net = fastnn.from_sklearn(mlp)
    near(net.predict(X), mlp.predict_proba(X))
    assert net is not mlp.net_
    assert net.class_names == ("maybe", "no", "yes")
    net.fit(X, np.zeros(60, int), epochs=1)
    assert (net.params != mlp.net_.params).any()
    for wrong, error, message in (
        (LogisticRegression(), TypeError, r"got LogisticRegression\(\), expected an MLPClassifier or MLPRegressor$"),
        (make_pipeline(mlp), TypeError, "expected an MLPClassifier or MLPRegressor: pass its last step"),
        (networks.MLPClassifier(), ValueError, "this MLPClassifier is not fitted yet: call fit first"),
        (fitted(MLPClassifier, y, n_ensemble=3), ValueError, r"is 3 nets: take one of them, as in .*nets_\[0\]"),
    ):
        with pytest.raises(error, match=message):
            fastnn.from_sklearn(wrong)


NETS = {
    "linear": [Dense(3)],
    "no biases": [Dense(5, "relu", bias=False), Dense(2, bias=False)],
    "scaled": [
        Normalization(),
        Dense(8),
        BatchNorm(),
        ReLU(),
        Dropout(0.3),
        Dense(6, "relu"),
        Scale(),
        Bias(),
        Dense(1),
    ],
    "scaled outputs": [Dense(8, "tanh"), Dense(2), Scale(), Bias()],
    "two": [Dense(8, "sigmoid"), Dense(2, "softmax")],
    "five": [Dense(8, "tanh"), BatchNorm(), Dense(5), BatchNorm(), Softmax()],
    "one": [Dense(8, "relu"), Dense(1), Sigmoid()],
    "labels": [Dense(8, "relu"), Dense(4, "sigmoid")],
    "counts": [Dense(8, "relu"), Dense(2), Exponential()],
    "none between": [Dense(5), Dense(4), Dense(1)],
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", NETS)
def test_models_become_nets_of_scikit_learn(case, dtype):
    layers = eval(repr(NETS[case]), vars(fastnn))
    net = Model(layers, seed=0, dtype=dtype)
    n_out = next(layer.units for layer in reversed(layers) if isinstance(layer, Dense))
    y = np.abs(RNG.normal(size=(60, n_out)))
    if case in ("two", "five"):
        y = RNG.integers(0, n_out, 60)
    elif case in ("one", "labels"):
        y = (y > 0.5).astype(float)
    net.fit(X, y, epochs=2)
    mlp = fastnn.to_sklearn(net)
    assert mlp.coefs_[0].dtype == dtype
    rows = X.astype(dtype)
    found = of_classes(mlp) if hasattr(mlp, "classes_") else numbers(mlp)
    expected = net.predict(rows)
    assert mlp.n_outputs_ == (1 if case == "two" else n_out)
    near(found, expected[:, 1:] if case == "two" else expected, 1e-12 if dtype == "float64" else 1e-5)
    if hasattr(mlp, "classes_"):
        mlp.partial_fit(rows, mlp.predict(rows))
    mlp.set_params(max_iter=1)
    assert len(mlp.loss_curve_) in (2, 3)


def test_labels_are_sorted_as_scikit_learn_has_them():
    net = Model([Dense(5, "relu"), Dense(3, "softmax")], seed=0, dtype="float64").build(4)
    net[0].b[:] = 1.0  # no two of the largest outputs are the same
    p = net.predict(X)
    mlp = fastnn.to_sklearn(net, classes=["no", "yes", "maybe"])
    assert mlp.classes_.tolist() == ["maybe", "no", "yes"]
    near(mlp.predict_proba(X), p[:, [2, 0, 1]])
    assert (mlp.predict(X) == np.array(["no", "yes", "maybe"])[p.argmax(axis=1)]).all()
    net.class_names = ["c", "b", "a"]
    near(fastnn.to_sklearn(net).predict_proba(X), p[:, ::-1])
    for layers in ([Dense(2, "softmax")], [Dense(1, "sigmoid")]):
        net = Model(layers, seed=0, dtype="float64").build(4)
        p = net.predict(X)[:, -1]
        for classes in ([7, 3], [3, 7]):
            mlp = fastnn.to_sklearn(net, classes=classes)
            near(mlp.predict_proba(X)[:, list(mlp.classes_).index(classes[1])], p)
            assert (mlp.predict(X) == np.array(classes)[(p > 0.5).astype(int)]).all()


CANNOT = {
    "activation": (
        [Dense(4, ELU()), Dense(1)],
        "ELU of Dense 1 is elu in hidden layers: scikit-learn's nets",
    ),
    "two": ([Dense(4, "relu"), Dense(4, "tanh"), Dense(1)], "is relu and tanh in hidden layers"),
    "last": ([Dense(4, "relu"), Dense(1, "tanh")], "Tanh of Dense 2 is tanh in the last layer"),
    "residual": ([Dense(4), Residual([Dense(4)]), Dense(1)], "Residual 2 joins what does not stand in a row"),
    "layer norm": ([Dense(4), LayerNorm(), Dense(1)], "LayerNorm 2 is none of these"),
    "columns": ([Columns(0, 1), Dense(1)], "Columns 1 stands before the first of them"),
    "embedding": ([Embedding({0: 3}, 2), Dense(1)], "Embedding 1"),
    "no dense": ([Scale()], "the net has no dense layer"),
    "behind": ([Dense(2, "softmax"), Scale()], "Scale 2 stands behind the activation of the last layer"),
    "log": ([Dense(2, "log_softmax")], "LogSoftmax of Dense 1 is log_softmax"),
    "of one": ([Dense(1, "softmax")], "the net is a softmax of one output"),
    "early": ([Tanh(), Dense(1)], "Tanh 1 stands before the first of them"),
}


@pytest.mark.parametrize("case", CANNOT)
def test_nets_that_scikit_learn_cannot_hold_name_the_layer(case):
    layers, message = CANNOT[case]
    net = Model(layers, seed=0).build(4)
    net[0].__dict__.get("s", np.zeros(1))[...] = 2.0
    if case == "behind":
        net[1].s[...] = 2.0
    with pytest.raises(ValueError, match=f"^to_sklearn: .*{message}"):
        fastnn.to_sklearn(net)


def test_what_cannot_be_asked_for():
    net = Model([Dense(3)], seed=0)
    for given, classes, error, message in (
        (3, None, TypeError, "to_sklearn: got 3, expected a Model"),
        (net, None, ValueError, "is not built"),
        (Model([Dense(3)]).build(2), [1, 2, 3], ValueError, "classes are given, and the net ends in no softmax"),
        (
            Model([Dense(3, "softmax")]).build(2),
            [1, 2],
            ValueError,
            r"classes is \[1, 2\], expected 3 different",
        ),
        (Model([Dense(2, "softmax")]).build(2), [1, 1], ValueError, "expected 2 different labels"),
        (Model([Dense(3, "sigmoid")]).build(2), [1, 2, 3], ValueError, "the outputs are each of two classes"),
    ):
        with pytest.raises(error, match=message):
            fastnn.to_sklearn(given, classes=classes)


@pytest.mark.parametrize("optimizer", [Adam(0.01, eps_hat=True), SGD(0.02, momentum=0.8), SGD(0.02)], ids=repr)
def test_the_optimizer_goes_on(optimizer):
    net = Model([Dense(6, "tanh"), Dense(2)], seed=0, dtype="float64")
    net.fit(X, NUMBERS["three"][:, :2], "mse", optimizer, epochs=3, batch_size=None)
    mlp = fastnn.to_sklearn(net)
    for _ in range(3):
        mlp.partial_fit(X, NUMBERS["three"][:, :2])
        net.train_batch(X, NUMBERS["three"][:, :2])
    near(numbers(mlp), net.predict(X), 1e-10)


LOST = {
    "optimizer": ({"optimizer": fastnn.Lion(0.01)}, r"Lion\("),
    "decay": ({"optimizer": Adam(0.01, weight_decay=0.1)}, r"Adam\("),
    "decoupled": ({"optimizer": fastnn.AdamW(0.01)}, r"AdamW\("),
    "dampening": ({"optimizer": SGD(0.01, momentum=0.9, dampening=0.1)}, r"SGD\("),
    "schedule": ({"optimizer": Adam(fastnn.Cosine(0.01))}, r"the schedules of Adam\("),
    "L1": ({"penalties": fastnn.L1(0.1)}, r"L1\(l1=0.1"),
    "L2 of biases": ({"penalties": fastnn.L2(0.1, "biases")}, r"L2\("),
    "both": ({"penalties": [fastnn.L2(0.1), fastnn.ElasticNet(0.1, 0.2)]}, r"ElasticNet\("),
    "limit": ({"constraints": fastnn.MaxNorm(3.0)}, r"MaxNorm\("),
    "rows": ({"penalties": fastnn.L2(0.1)}, r"L2\(.* \(pass batch_size, the rows of a batch\)"),
}


@pytest.mark.parametrize("case", LOST)
def test_what_scikit_learn_does_not_train_with_is_named(case):
    settings, message = LOST[case]
    net = Model([Dense(6, "tanh"), Dense(2)], seed=0, dtype="float64").build(4)
    for name, value in settings.items():
        setattr(net, name, value)
    with pytest.warns(UserWarning, match=f"^to_sklearn: predictions are the same, .*carried over: {message}"):
        mlp = fastnn.to_sklearn(net, batch_size=None if case == "rows" else 20)
    assert mlp.alpha == pytest.approx(2 * 20 * 0.1 if case == "both" else 0.0)
    mlp.partial_fit(X, NUMBERS["three"][:, :2])
    for wrong in (0, -1, "auto", 1.5):
        with pytest.raises((TypeError, ValueError), match="to_sklearn: batch_size"):
            fastnn.to_sklearn(net, batch_size=wrong)


@pytest.mark.parametrize("form", ["scikit-learn", "fastnn"])
@pytest.mark.parametrize("case", ["three classes", "one", "three"])
def test_rates_that_move_are_said(case, form):
    """The next step is the same, and that the rate stays is a warning; of constant ones there is none."""
    is_classifier = case in CLASSES
    y = (CLASSES if is_classifier else NUMBERS)[case]
    module = networks if form == "scikit-learn" else importlib.import_module("fastnn.sklearn")
    kind = module.MLPClassifier if is_classifier else module.MLPRegressor
    for mode in ("constant", "invscaling", "adaptive"):
        mlp = fitted(kind, y, solver="sgd", learning_rate=mode, learning_rate_init=0.02)
        if mode == "constant":
            net = fastnn.from_sklearn(mlp)
        else:
            with pytest.warns(UserWarning, match=rf"^from_sklearn: learning_rate='{mode}' of this MLP.*stays at lr="):
                net = fastnn.from_sklearn(mlp)
        mlp.partial_fit(X, y)
        net.train_batch(X, y)
        if is_classifier or form == "scikit-learn":  # regressors of this package train with a multiple of the loss
            near(net.predict(X), mlp.predict_proba(X) if is_classifier else numbers(mlp), 1e-10)
        fastnn.from_sklearn(fitted(kind, y, solver="adam", learning_rate=mode))


def test_names_of_columns():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    net = Model([Dense(4, "relu"), Dense(1)], seed=0, dtype="float64")
    net.fit(frame, NUMBERS["one"], epochs=1)
    mlp = fastnn.to_sklearn(net)
    near(mlp.predict(frame), net.predict(frame)[:, 0])
    again = fastnn.from_sklearn(mlp)
    assert again.feature_names == ("a", "b", "c", "d")
    near(again.predict(frame[["d", "c", "b", "a"]]), net.predict(frame))


def test_skl2onnx_reads_what_is_made():
    convert = pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    for layers in NETS.values():
        net = Model(eval(repr(layers), vars(fastnn)), seed=0, dtype="float64").build(4)
        if net.n_out != 4 and not isinstance(net[-1], Exponential):  # which it has as identity
            mlp = fastnn.to_sklearn(net)
            model = convert.to_onnx(mlp, X[:1], options={"zipmap": False} if hasattr(mlp, "classes_") else None)
            outputs = runtime.InferenceSession(model.SerializeToString()).run(None, {"X": X})
            expected = mlp.predict_proba(X) if hasattr(mlp, "classes_") else numbers(mlp)
            near(np.reshape(outputs[-1], expected.shape), expected, 1e-10)


def test_emlearn_reads_what_is_made(tmp_path, monkeypatch):
    emlearn = pytest.importorskip("emlearn")
    monkeypatch.chdir(tmp_path)  # where it compiles
    for n, ending in ((3, "softmax"), (1, "sigmoid")):
        net = Model([Dense(8, "relu"), Dense(n, ending)], seed=0).build(4)
        mlp = fastnn.to_sklearn(net)
        found = emlearn.convert(mlp, method="inline").predict(X)
        assert (found == mlp.predict(X)).mean() > 0.95
