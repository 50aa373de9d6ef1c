"""Bad input is refused with an error that says what, where, got and expected, and leaves the model as it was."""

import copy
import gc
import io
import re
import warnings
from array import array
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from custom import Scale, SignSGD
from nets import FEATURES, OUTPUTS, each_dtype, memory_of, same_bits

from fastnn import (
    MSE,
    SGD,
    Adam,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    EarlyStopping,
    Huber,
    Layer,
    Loss,
    Model,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
    fit_many,
)
from fastnn.arrays import check_finite

ROWS = 12
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, FEATURES))
LABELS = np.arange(ROWS) % OUTPUTS
T = RNG.normal(size=(ROWS, OUTPUTS))
P = RNG.dirichlet(np.ones(OUTPUTS), ROWS)


def changed(array, value, at=(3, 1)):
    array = np.array(array, np.result_type(array, type(value)) if not isinstance(value, str) else object)
    array[at[: array.ndim]] = value
    return array


OBJECTS = X.astype(object)
OBJECTS[3, 1] = 10**400


def classifier():
    return Model([Dense(8, "relu"), Dense(OUTPUTS), Softmax()], seed=0)


# name: (arguments of fit that replace the good ones, error, parts of the message)
BAD = {
    "x of rank 1": ({"x": X[:, 0]}, ValueError, r"x has shape \(12,\), expected 2 dimensions.*x\[:, None\]"),
    "x of rank 3": ({"x": X[None]}, ValueError, r"x has shape \(1, 12, 4\), expected 2 dimensions"),
    "x a number": ({"x": 1.0}, ValueError, r"x has shape \(\), expected 2 dimensions"),
    "x None": ({"x": None}, TypeError, "^x is None, expected numbers: pass an array, a list of rows or a data frame"),
    "x a dict": ({"x": {"a": X[:, 0]}}, TypeError, r"^x is a dict, .*np\.column_stack\(list\(x\.values\(\)\)\)"),
    "x a set": ({"x": {1.0, 2.0}}, TypeError, r"^x is a set, .*no order.*sorted\(x\)"),
    "x a generator": ({"x": (row for row in X)}, TypeError, r"^x is a generator, .*pass list\(x\)"),
    "x an iterator": ({"x": map(list, X)}, TypeError, r"^x is a map, .*pass list\(x\)"),
    "x values of a dict": ({"x": {0: X[0]}.values()}, TypeError, r"^x is a dict_values, .*pass list\(x\)"),
    "x a file name": ({"x": "data.csv"}, TypeError, r"^x is 'data\.csv', .*name of a file.*np\.loadtxt\('data\.csv'"),
    "x a path": ({"x": Path("data.csv")}, TypeError, r"^x is PosixPath\('data\.csv'\), .*name of a file"),
    "x an open file": ({"x": io.StringIO("1,2")}, TypeError, r"^x is a StringIO, .*np\.loadtxt\(x, delimiter"),
    "x a function": ({"x": np.random.rand}, TypeError, r"^x is a .*, expected an array.*: pass what it returns: x\(\)"),
    "x an object": ({"x": object()}, TypeError, r"^x holds object objects .*, expected numbers"),
    "x records": ({"x": np.zeros(3, "f4,f4")}, TypeError, r"^x holds records .*structured_to_unstructured\(x\)"),
    "x rows of dicts": ({"x": [{"a": 1.0}] * 12}, TypeError, r"^x holds dict objects .*pandas\.DataFrame\(x\)"),
    "x empty": ({"x": X[:0], "y": LABELS[:0]}, ValueError, "x has no rows, expected at least one"),
    "x without columns": ({"x": X[:, :0]}, ValueError, r"x has shape \(12, 0\), expected at least one column"),
    "x NaN": ({"x": changed(X, np.nan)}, ValueError, "x is NaN at row 3, column 1: fill in, clip or drop"),
    "x inf": ({"x": changed(X, -np.inf)}, ValueError, "x is infinite.* at row 3, column 1"),
    "x too large": ({"x": changed(X, 1e300)}, ValueError, "x is .*too large for float32 at row 3, column 1"),
    "x complex": ({"x": X + 0j}, TypeError, r"x holds complex numbers \(dtype complex128.*, expected real numbers"),
    "x of which one is text": ({"x": changed(X, "a")}, TypeError, r"x holds text .*'a' at row 3, column 1.*: encode"),
    "x of which one is huge": ({"x": OBJECTS}, ValueError, r"x is 1000.* at row 3, column 1, which no float64 holds"),
    "x numbers as text": ({"x": X.astype(str)}, TypeError, r"x holds text \(dtype <U.*np\.asarray\(x, float\)"),
    "x dates": ({"x": X.astype("M8[s]")}, TypeError, r"x holds dates \(dtype datetime64.*np\.timedelta64\(1, 's'\)"),
    "x durations": ({"x": X.astype("m8[s]")}, TypeError, r"x holds durations .*: .*x / np\.timedelta64\(1, 's'\)"),
    "x ragged": ({"x": [[1, 2, 3, 4], [1, 2]]}, ValueError, "x is no rectangular array of numbers"),
    "x masked": ({"x": np.ma.masked_less(X, 0)}, ValueError, "x has masked entries: fill or drop them first"),
    "y longer": ({"y": np.r_[LABELS, 0]}, ValueError, "y has 13 rows, expected 12 to match x"),
    "y shorter": ({"y": LABELS[1:]}, ValueError, "y has 11 rows, expected 12 to match x"),
    "y too large": ({"y": changed(LABELS, 3)}, ValueError, "y is 3 at row 3, expected labels from 0 to 2 for a n"),
    "y negative": ({"y": changed(LABELS, -1)}, ValueError, "y is -1 at row 3, expected labels from 0 to 2"),
    "y huge": ({"y": LABELS.astype("u8") + 2**63}, ValueError, "y is .* at row 0, expected labels from 0 to 2"),
    "y fractional": ({"y": changed(LABELS, 0.5)}, ValueError, r"y is 0\.5 at row 3, expected whole labels from 0 to 2"),
    "y NaN": ({"y": changed(LABELS, np.nan)}, ValueError, "y is NaN at row 3: fill in"),
    "y text": ({"y": LABELS.astype(str)}, TypeError, r"y holds text .*np\.asarray\(y, float\)"),
    "y names": ({"y": list("abc" * 4)}, TypeError, r"y holds text .*'a' at row 0.*np\.unique\(y, return_inv"),
    "y None": ({"y": None}, TypeError, "y is None, expected numbers|y is missing beside x, ndarray of shape"),
    "y a generator": ({"y": iter(LABELS)}, TypeError, r"^y is a .*iterator, .*pass list\(y\)"),
    "y complex": ({"y": LABELS + 0j}, TypeError, "y holds complex numbers"),
    "y wide": ({"y": P[:, :2]}, ValueError, r"y has shape \(12, 2\), expected \(rows, 3\) for a net of 3 outputs"),
    "y of rank 3": ({"y": P[None]}, ValueError, r"y has shape \(1, 12, 3\), expected \(rows, 3\)"),
    "y no probabilities": ({"y": changed(P, 2.0)}, ValueError, "y is .* at row 3, expected probabilities"),
    "y negative probability": ({"y": P - [[0.6, 0, -0.6]]}, ValueError, "y is .* at row .*expected probabilities"),
    "mse of labels": ({"loss": "mse"}, ValueError, r"y has shape \(12,\), expected \(rows, 3\).*labels.*CrossEntropy"),
    "mse of one number": ({"loss": "mse", "y": T[:, 0]}, ValueError, r"expected \(rows, 3\) .*: 3 numbers for"),
    "mse NaN": ({"loss": "mse", "y": changed(T, np.nan)}, ValueError, "y is NaN at row 3, column 1"),
    "mse inf": ({"loss": "mse", "y": changed(T, np.inf)}, ValueError, "y is infinite.* at row 3, column 1"),
    "bce above 1": ({"loss": "bce", "y": changed(P, 1.5)}, ValueError, "y is .* at row 3, expected numbers from 0"),
    "logits after softmax": ({"loss": CrossEntropy(from_logits=True)}, ValueError, "expects logits, but the net ends"),
    "weights too few": ({"sample_weight": [1.0] * 11}, ValueError, "sample_weight has 11 rows, expected 12 to match x"),
    "weights negative": ({"sample_weight": -np.ones(ROWS)}, ValueError, "sample_weight is negative at row 0.*>= 0"),
    "weights all 0": ({"sample_weight": [0] * 12}, ValueError, "sample_weight is 0 in all rows, expected one above 0"),
    "weights NaN": ({"sample_weight": [np.nan] * 12}, ValueError, "sample_weight is NaN at row 0"),
    "weights of rank 2": ({"sample_weight": P}, ValueError, r"sample_weight has shape \(12, 3\), expected .*\(12,\)"),
    "weights text": ({"sample_weight": ["a"] * 12}, TypeError, "sample_weight holds text"),
    "weights of classes": ({"sample_weight": {0: 1.0}}, TypeError, r"sample_weight\[label\] for label in y"),
    "loss misspelt": ({"loss": "cros_entropy"}, ValueError, "unknown loss 'cros_entropy': did you mean cross_entropy"),
    "loss unknown": ({"loss": "zzz"}, ValueError, "unknown loss 'zzz': expected one of mse, .*huber"),
    "loss no loss": ({"loss": 3}, TypeError, r"loss is 3, expected a name \(.*mse.*\) or an object"),
    "optimizer misspelt": ({"optimizer": "adan"}, ValueError, "unknown optimizer 'adan': did you mean adam"),
    "optimizer no optimizer": ({"optimizer": 0.1}, TypeError, r"optimizer is 0.1, expected a name \(.*adam, "),
    "batch_size 0": ({"batch_size": 0}, ValueError, "batch_size is 0, expected a whole number >= 1"),
    "batch_size negative": ({"batch_size": -32}, ValueError, "batch_size is -32, expected a whole number >= 1"),
    "batch_size fractional": ({"batch_size": 3.5}, TypeError, r"batch_size is 3\.5, expected a whole number >= 1"),
    "batch_size text": ({"batch_size": "all"}, TypeError, "batch_size is 'all', expected a whole number >= 1"),
    "epochs negative": ({"epochs": -1}, ValueError, "epochs is -1, expected a whole number >= 0"),
    "epochs fractional": ({"epochs": 2.5}, TypeError, r"epochs is 2\.5, expected a whole number >= 0"),
    "verbose unknown": ({"verbose": "yes"}, ValueError, "verbose is 'yes', expected True, False or \"auto\""),
    "callbacks a number": ({"callbacks": 3}, TypeError, "callbacks holds 3, expected functions of"),
    "callbacks of no functions": ({"callbacks": [1]}, TypeError, "callbacks holds 1, expected functions of"),
    "validation no tuple": ({"validation_data": X}, TypeError, r"validation_data is .*expected .*tuple \(x, y\)"),
    "validation wide": ({"validation_data": (X[:, :3], LABELS)}, ValueError, r"validation data: Dense 1 .*\(12, 3\)"),
    "validation x NaN": ({"validation_data": (changed(X, np.nan), LABELS)}, ValueError, "validation data: x is NaN at"),
    "validation empty": ({"validation_data": (X[:0], LABELS[:0])}, ValueError, "validation data: x has no rows"),
    "validation y shorter": ({"validation_data": (X, LABELS[1:])}, ValueError, "validation data: y has 11 rows, e"),
    "validation of four": ({"validation_data": (X, LABELS, None, None)}, TypeError, r"\(x, y\), or \(x, y, sample_w"),
    "validation weights": (
        {"validation_data": (X, LABELS, -np.ones(ROWS))}, ValueError, "validation data: sample_weight is negative at",
    ),
    "validation y out of range": ({"validation_data": (X, LABELS + 1)}, ValueError, "validation data: y is 3 at row 2"),
}  # fmt: skip

GOOD = {"x": X, "y": LABELS, "epochs": 2, "batch_size": 5}


def everything_of(net):
    """What a model knows, as bytes and identities."""
    if not net.built:
        assert net.n_in == 0
        assert all(stage.parameters == {} for layer in net.layers for stage in [layer, *layer.children()])
        return net.loss, net.optimizer, net._trainer.state.fits.tobytes(), net.history
    arrays = {"params": net.params, "grads": net.grads, **memory_of(net)}
    values = {name: array.tobytes() for name, array in arrays.items()}
    return net.loss, net.optimizer, net._trainer.state.fits.tobytes(), net.history, net._trainer._training, values


def assert_refused(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert re.search(message, str(caught.value)), str(caught.value)
    assert type(caught.value) is error


def assert_as_before(net, before, twin):
    """Bit for bit: also the next fit is that of a model that never saw the bad input."""
    assert everything_of(net) == before
    for model in (net, twin):
        model.fit(**GOOD)
    assert same_bits(net.params, twin.params)
    assert net.history.loss == twin.history.loss


@pytest.mark.parametrize("trained", [False, True], ids=["new", "trained"])
@pytest.mark.parametrize("name", BAD)
def test_fit_refuses(name, trained):
    arguments, error, message = BAD[name]
    net, twin = classifier(), classifier()
    if trained:
        for model in (net, twin):
            model.fit(**GOOD, optimizer=SGD(0.1, momentum=0.9))
    before = everything_of(net)
    assert_refused(lambda: net.fit(**{**GOOD, **arguments}), error, message)
    if trained:  # another loss and optimizer, chosen together with bad data, are forgotten
        other = {"loss": CrossEntropy(), "optimizer": Adam(0.5)}
        assert_refused(lambda: net.fit(**{**GOOD, **other, **arguments}), error, message)
    assert_as_before(net, before, twin)


OF_ONE_STEP = {"x", "y", "sample_weight", "loss", "optimizer"}
OF_KNOWN_DATA = ("weights negative", "weights all 0")  # a single step takes weights as they are
ONE_STEP = [name for name, (arguments, *_) in BAD.items() if set(arguments) <= OF_ONE_STEP]
TRAIN_BATCH = [name for name in ONE_STEP if name not in OF_KNOWN_DATA]
EVALUATE = [name for name in ONE_STEP if "optimizer" not in BAD[name][0]]
PREDICT = [name for name in EVALUATE if set(BAD[name][0]) == {"x"} and name not in ("x NaN", "x inf", "x too large")]


@pytest.mark.parametrize("trained", [False, True], ids=["new", "trained"])
@pytest.mark.parametrize(
    ("method", "name"),
    [
        *(("train_batch", name) for name in TRAIN_BATCH),
        *(("evaluate", name) for name in EVALUATE),
        *(("predict", name) for name in PREDICT),
        *(("forward", name) for name in PREDICT),
    ],
)
def test_other_methods_refuse(method, name, trained):
    arguments, error, message = BAD[name]
    net, twin = classifier(), classifier()
    if trained:
        for model in (net, twin):
            model.fit(**GOOD, optimizer=SGD(0.1, momentum=0.9))
    before = everything_of(net)
    good = {"x": X} if method in ("predict", "forward") else {"x": X, "y": LABELS}
    assert_refused(lambda: getattr(net, method)(**{**good, **arguments}), error, message)
    assert_as_before(net, before, twin)


@pytest.mark.parametrize("method", ["fit", "train_batch", "evaluate", "predict", "forward"])
def test_a_wrong_number_of_features_names_the_layer(method):
    net, twin = classifier().build(FEATURES), classifier().build(FEATURES)
    before = everything_of(net)
    arguments = [X[:, :3]] if method in ("predict", "forward") else [X[:, :3], LABELS]
    message = r"Dense 1 \(8 units\) expects 4 features, got x of shape \(12, 3\)"
    assert_refused(lambda: getattr(net, method)(*arguments), ValueError, message)
    assert_as_before(net, before, twin)


def test_the_layer_is_named_where_the_first_is_no_dense():
    net = Model([ReLU(), Dense(3)], seed=0).build(4)
    assert_refused(lambda: net.predict(X[:, :3]), ValueError, r"ReLU 1 expects 4 features, got x of shape \(12, 3\)")


def test_backward_refuses():
    net = classifier()
    net.forward(X)
    for dy, message in (
        (T[:5], r"dy has shape \(5, 3\), expected \(12, 3\) to match the last forward"),
        (T[:, :2], r"dy has shape \(12, 2\), expected \(12, 3\)"),
        (T[0], r"dy has shape \(3,\), expected 2 dimensions"),
    ):
        assert_refused(lambda dy=dy: net.backward(dy), ValueError, message)
    assert_refused(lambda: net.build(5), ValueError, "Model: already built for 4 features, got 5")


@pytest.mark.parametrize(
    ("layers", "loss", "error", "message"),
    [
        (
            [Dense(3)],
            "cross_entropy",
            ValueError,
            r"expects prob.*end it with Softmax.*CrossEntropy\(from_logits=True\)",
        ),
        ([Dense(3, "relu")], "cross_entropy", ValueError, "expects probabilities"),
        ([Dense(3)], "bce", ValueError, r"expects prob.*end it with Sigmoid.*Entropy\(from_logits=True\)"),
        ([Dense(3, "sigmoid")], BinaryCrossEntropy(from_logits=True), ValueError, "expects logits.* ends in Sigmoid"),
        ([Dense(1), Softmax()], "cross_entropy", ValueError, "needs one output per class, got 1: use Binary"),
    ],
    ids=lambda value: str(value) if isinstance(value, (str, list, Loss)) else "",
)
def test_a_loss_that_does_not_fit_the_end_of_the_net_is_refused(layers, loss, error, message):
    net = Model(layers, seed=0)
    y = P if isinstance(loss, Loss) or loss == "bce" else LABELS
    assert_refused(lambda: net.fit(X, y, loss), error, message)
    assert not net.built


class Unweighted(Loss):
    def value_and_grad(self, y, t):
        return MSE().value_and_grad(y, t)


def test_weights_for_a_loss_that_takes_none_are_refused():
    net = Model([Dense(3)], seed=0)
    message = "Unweighted.* takes no sample_weight: give its value_and_grad a third parameter, weight"
    assert_refused(lambda: net.fit(X, T, Unweighted(), sample_weight=np.arange(ROWS)), TypeError, message)
    assert not net.built


class OneWay(Layer):
    """A layer without a derivative."""

    def forward(self, x):
        return np.sign(x)


class OneWayOfKernels(Layer):
    def _forward(self, x, y, run):
        self.kernels.relu_forward(x, y, run.tape)


@pytest.mark.parametrize("kind", [OneWay, OneWayOfKernels])
def test_a_layer_without_a_derivative_is_refused_before_the_first_step(kind):
    net = Model([Dense(4), kind(), Dense(3)], seed=0)
    message = rf"{kind.__name__} 2 has no derivative: define backward\(dy\), or _backward"
    assert_refused(lambda: net.fit(X, T, "mse"), TypeError, message)
    assert_refused(lambda: net.train_batch(X, T, loss="mse"), TypeError, message)
    assert not net.built
    assert net.predict(X).shape == (ROWS, 3)
    before = net.params.copy()
    assert_refused(lambda: net.fit(X, T, "mse"), TypeError, message)
    net.forward(X)
    assert_refused(lambda: net.backward(T), TypeError, message)
    assert same_bits(net.params, before)


ORDERS = {"C": np.ascontiguousarray, "F": np.asfortranarray, "steps": lambda x: np.repeat(x, 2, axis=1)[:, ::2]}


@each_dtype
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_bad_number_among_many_is_found(value, order, dtype):
    x = np.ones((30_000, FEATURES), dtype)
    for row, column in ((0, 0), (17_000, 2), (29_999, FEATURES - 1)):
        bad = x.copy()
        bad[row, column] = value
        with pytest.raises(ValueError, match=f"^x is .* at row {row}, column {column}:"):
            check_finite(ORDERS[order](bad), "x")
    bad[0, 0], bad[1, 0] = np.inf, -np.inf  # whose sum is no number
    with pytest.raises(ValueError, match=r"^x is infinite.* at row 0, column 0:"):
        check_finite(ORDERS[order](bad), "x")


@each_dtype
@pytest.mark.parametrize("order", ORDERS)
def test_numbers_whose_sum_is_too_large_are_good(order, dtype):
    check_finite(ORDERS[order](np.full((30_000, FEATURES), np.finfo(dtype).max)), "x")
    check_finite(np.full((30_000, FEATURES), 2**62), "x")


# What a model is made of


def nested(levels):
    layer = Dense(4)
    for _ in range(levels):
        layer = Sequential([layer])
    return layer


def test_layers_may_be_nested_as_deep_as_the_error_says():
    net = Model([nested(64)], seed=0)
    net.fit(np.ones((8, 4)), np.ones((8, 4)), "mse", epochs=1)
    assert repr(net).count("Sequential") == 64


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(0), ValueError, "Dense: units is 0, expected a whole number >= 1"),
        (lambda: Dense(-3), ValueError, "Dense: units is -3, expected"),
        (lambda: Dense(2.5), TypeError, r"Dense: units is 2\.5, expected a whole number >= 1"),
        (lambda: Dense("64"), TypeError, "Dense: units is '64', expected a whole number >= 1"),
        (lambda: Dense(3, "rellu"), ValueError, "unknown activation 'rellu': did you mean relu"),
        (lambda: Dense(3, "sofmax"), ValueError, "unknown activation 'sofmax': did you mean softmax"),
        (lambda: Dense(3, 5), TypeError, "activation is 5, expected a name or a layer"),
        (lambda: Dense(3, weight_initializer="hee"), ValueError, "Dense: weight_initializer is 'hee': did"),
        (lambda: Dense(3, bias_initializer=0.0), TypeError, r"Dense: bias_initializer is 0\.0, expected a name"),
        (lambda: Model([]), ValueError, "Model: layers is empty, expected at least one layer"),
        (lambda: Model([nested(65)]), ValueError, "Model: layers are nested more than 64 deep: let some stand"),
        (lambda: Model([nested(5000)]), ValueError, "Model: layers are nested more than 64 deep: let some stand"),
        (lambda: Model(np.array(3)), TypeError, r"Model: layers is array\(3\), expected a list of layers"),
        (lambda: fit_many(np.array(3), X, X), TypeError, r"fit_many: models is array\(3\), expected a list"),
        (lambda: Adam(groups=np.array(3)), TypeError, r"Adam: groups is array\(3\), expected a list of Group"),
        (lambda: Model([Dense(3), "relu"]), TypeError, r"Model: layers\[1\] is 'relu', expected a layer such as Dense"),
        (lambda: Model([Dense(3), ReLU]), TypeError, r"Model: layers\[1\] is .*ReLU.*, expected a layer"),
        (lambda: Model([Dense(3)] * 2), ValueError, "the same layer stands in it twice"),
        (lambda: Model([Dense(3)], dtype="float16"), ValueError, "Model: dtype is 'float16', expected 'float32' or"),
        (lambda: Model([Dense(3)], dtype="real"), ValueError, "Model: dtype is 'real', expected 'float32' or 'f"),
        (lambda: Model([Dense(3)], seed=-1), ValueError, "Model: seed is -1, expected a whole number >= 0"),
        (lambda: Model([Dense(3)], seed=0.5), TypeError, r"Model: seed is 0\.5, expected a whole number >= 0"),
        (lambda: Model([Dense(3)]).build(0), ValueError, "Model: n_in is 0, expected a whole number >= 1"),
        (lambda: SGD(-0.1), ValueError, r"SGD: lr is -0\.1, expected a finite number >= 0"),
        (lambda: SGD(float("nan")), ValueError, "SGD: lr is nan, expected a finite number >= 0"),
        (lambda: SGD(float("inf")), ValueError, "SGD: lr is inf, expected a finite number >= 0"),
        (lambda: SGD("fast"), TypeError, "SGD: lr is 'fast', expected a number"),
        (lambda: SGD("0.1"), TypeError, r"SGD: lr is '0\.1', expected a number"),
        (lambda: SGD(True), TypeError, "SGD: lr is True, expected a number"),
        (lambda: SGD(momentum=1.0), ValueError, r"SGD: momentum is 1\.0, expected a finite number >= 0 and < 1"),
        (lambda: SGD(decay="x"), ValueError, "^SGD: decay is 'x', expected one of all, weights$"),
        (lambda: EarlyStopping(mode="x"), ValueError, "^EarlyStopping: mode is 'x', expected one of max, min$"),
        (lambda: SGD(weight_decay=-1), ValueError, "SGD: weight_decay is -1, expected a finite number >= 0"),
        (lambda: Adam(beta2=1), ValueError, "Adam: beta2 is 1, expected a finite number >= 0 and < 1"),
        (lambda: Adam(eps=None), TypeError, "Adam: eps is None, expected a number"),
        (lambda: setattr(SignSGD(0.1), "lr", -1), ValueError, "SignSGD: lr is -1, expected a finite number >= 0"),
        (lambda: Huber(0), ValueError, "Huber: delta is 0, expected a finite number > 0"),
    ],
)  # fmt: skip
def test_parts_of_a_model_refuse(make, error, message):
    assert_refused(make, error, message)


@each_dtype
def test_a_parameter_of_another_shape_than_its_initializer_is_refused(dtype):
    net = Model([Scale(), Dense(3, weight_initializer=lambda shape, rng: np.zeros((2, 2)))], dtype=dtype)
    with pytest.raises(ValueError):  # noqa: PT011 - NumPy's own
        net.build(4)
    assert not net.built


def test_a_layer_that_returns_no_number_of_outputs_is_refused():
    class Forgetful(Scale):
        def build(self, n_in):
            super().build(n_in)

    net = Model([Forgetful(), Dense(3)])
    assert_refused(lambda: net.predict(X), ValueError, "Forgetful 1: build returned None, expected the number")
    assert not net.built


# What is no bad input: the same numbers in another form give the same bits

NUMBERS = np.round(6 * RNG.normal(size=(ROWS, FEATURES)))  # small whole numbers: every type holds them exactly


def strided(array):
    wide = np.zeros((2 * array.shape[0], 3 * array.shape[1]), array.dtype)
    wide[::2, ::3] = array
    return wide[::2, ::3]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def misaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)
    view = memory[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned
    return view


def packed(array):
    """A field of a packed record: the strides are no multiples of the item size."""
    record = np.zeros(array.shape, np.dtype([("tag", "u1"), ("value", array.dtype)]))
    record["value"] = array
    return record["value"]


def frame(module, array):
    columns = {f"c{i}": array[:, i] for i in range(array.shape[1])}
    return pytest.importorskip(module).DataFrame(columns)


def nullable(array):
    return frame("pandas", array).astype({"c0": "Int8", "c1": "Float32", "c2": "Int64", "c3": "Float64"})


def decimals(numbers):
    return np.array([[Decimal(value) for value in row] for row in numbers.tolist()], object)


def of_many_kinds(array):
    """Columns of objects, of Decimals, of a sparse and of a nullable dtype."""
    pandas = pytest.importorskip("pandas")
    columns = {
        "c0": array[:, 0].astype(int).astype(object),
        "c1": decimals(array)[:, 1],
        "c2": pandas.arrays.SparseArray(array[:, 2]),
        "c3": pandas.array(array[:, 3], dtype="Int16"),
    }
    return pandas.DataFrame(columns)


def of_polars(array):
    polars = pytest.importorskip("polars")
    kinds = polars.Int8, polars.Decimal(10, 2), polars.Float32, getattr(polars, "Int128", polars.Int64)
    return polars.DataFrame([column.cast(kind) for column, kind in zip(frame("polars", array), kinds, strict=True)])


def sparse(kind):
    def make(array):
        return getattr(pytest.importorskip("scipy.sparse"), kind)(array)

    return make


FORMS = {
    "lists": lambda a: a.tolist(),
    "tuples": lambda a: tuple(map(tuple, a.tolist())),
    "list of arrays": list,
    "pandas": lambda a: frame("pandas", a),
    "pandas of several dtypes": lambda a: frame("pandas", a).astype({"c0": "int64", "c1": "float32"}),
    "pandas of nullable dtypes": nullable,
    "pandas after convert_dtypes": lambda a: frame("pandas", a).convert_dtypes(),
    "pandas of objects": lambda a: frame("pandas", a).astype(object),
    "pandas of many kinds": of_many_kinds,
    "pandas with numbers as names": lambda a: frame("pandas", a).set_axis(range(FEATURES), axis=1),
    "polars": lambda a: frame("polars", a),
    "polars of many kinds": of_polars,
    **{kind: sparse(kind) for kind in ("csr_matrix", "csc_array", "coo_array", "lil_array", "dok_array", "bsr_matrix")},
    "objects": lambda a: a.astype(object),
    "Decimals": decimals,
    "lists of Fractions": lambda a: [list(map(Fraction, row)) for row in a.tolist()],
    "memoryview": lambda a: memoryview(a.copy()),
    "arrays of Python": lambda a: [array("d", row) for row in a.tolist()],
    "Fortran": np.asfortranarray,
    "strided": strided,
    "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "transposed": lambda a: a.T.copy().T,
    "read-only": read_only,
    "misaligned": misaligned,
    "packed": packed,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "matrix without masks": np.ma.masked_array,
    **{name: lambda a, name=name: a.astype(name) for name in ("int8", "int16", "int64", ">i4")},
    **{name: lambda a, name=name: a.astype(name) for name in ("float16", "float32", "float64", "longdouble")},
}


def regressor(dtype):
    return Model([Dense(5, "tanh"), Dense(FEATURES)], seed=0, dtype=dtype)


@each_dtype
@pytest.mark.parametrize("form", FORMS)
def test_features_and_targets_in_any_form_give_the_same_bits(form, dtype):
    plain, other = regressor(dtype), regressor(dtype)
    given = FORMS[form](NUMBERS)
    options = {"loss": "mse", "optimizer": SGD(1e-3), "epochs": 3, "batch_size": 5}
    plain.fit(NUMBERS, NUMBERS, validation_data=(NUMBERS, NUMBERS), **options)
    other.fit(given, given, validation_data=(given, given), **options)
    assert same_bits(other.params, plain.params)
    assert other.history.val_loss == plain.history.val_loss
    assert other.train_batch(given, given) == plain.train_batch(NUMBERS, NUMBERS)
    assert other.evaluate(given, given) == plain.evaluate(NUMBERS, NUMBERS)
    for method in ("predict", "forward"):
        assert same_bits(getattr(other, method)(given), getattr(plain, method)(NUMBERS))
    assert same_bits(other.backward(given), plain.backward(NUMBERS))


def series(module, array):
    return pytest.importorskip(module).Series(array)


VECTORS = {
    "list": lambda a: a.tolist(),
    "pandas": lambda a: series("pandas", a),
    "pandas with another index": lambda a: series("pandas", a).set_axis(range(len(a), 0, -1)),
    "pandas nullable": lambda a: series("pandas", a).astype("Int64"),
    "pandas objects": lambda a: series("pandas", a).astype(object),
    "pandas Decimals": lambda a: series("pandas", list(map(Decimal, a.tolist()))),
    "pandas frame": lambda a: series("pandas", a).to_frame("label"),
    "polars": lambda a: series("polars", a),
    "polars frame": lambda a: series("polars", a).to_frame(),
    "objects": lambda a: a.astype(object),
    "array of Python": lambda a: array("q", a.tolist()),
    "strided": lambda a: np.repeat(a, 2)[::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "read-only": read_only,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "column": lambda a: a[:, None],
    **{name: lambda a, name=name: a.astype(name) for name in ("uint8", "int32", "float16", "float32", "longdouble")},
}


@pytest.mark.parametrize("form", VECTORS)
def test_labels_and_weights_in_any_form_give_the_same_bits(form):
    weight = 1 + np.arange(ROWS) % 4
    plain, other = classifier(), classifier()
    plain.fit(X, LABELS, "cross_entropy", SGD(0.1), sample_weight=weight)
    other.fit(X, VECTORS[form](LABELS), "cross_entropy", SGD(0.1), sample_weight=VECTORS[form](weight))
    assert same_bits(other.params, plain.params)
    assert other.evaluate(X, VECTORS[form](LABELS)) == plain.evaluate(X, LABELS)


@pytest.mark.parametrize("form", VECTORS)
def test_one_dimensional_targets_in_any_form_give_the_same_bits(form):
    plain, other = (Model([Dense(4, "relu"), Dense(1)], seed=0) for _ in range(2))
    plain.fit(X, LABELS, "mse", SGD(0.01))
    other.fit(X, VECTORS[form](LABELS), "mse", SGD(0.01))
    assert same_bits(other.params, plain.params)


def test_truth_values_are_zeros_and_ones():
    for loss, end in (("bce", "sigmoid"), ("mse", None)):
        plain, other = (Model([Dense(1, end)], seed=0) for _ in range(2))
        plain.fit((X > 0).astype(float), (LABELS > 0).astype(float), loss, SGD(0.1))
        other.fit(X > 0, LABELS > 0, loss, SGD(0.1))
        assert same_bits(other.params, plain.params)


def test_one_value_for_all_rows_may_be_broadcast():
    plain, other = regressor("float64"), regressor("float64")
    t = np.broadcast_to(NUMBERS[:1], NUMBERS.shape)
    plain.fit(NUMBERS, t.copy(), "mse", SGD(1e-3))
    other.fit(NUMBERS, t, "mse", SGD(1e-3))
    assert same_bits(other.params, plain.params)


@each_dtype
def test_data_are_never_changed(dtype):
    x, t, weight = X.astype(dtype), T.astype(dtype), np.ones(ROWS, dtype)
    before = x.copy(), t.copy()
    net = Model([ReLU(), Dense(3), Tanh(), Sigmoid()], seed=0, dtype=dtype)  # activations work in place
    net.fit(x, t, "mse", sample_weight=weight, validation_data=(x, t))
    net.forward(x)
    net.backward(t)
    net.predict(x)
    net.evaluate(x, t)
    assert same_bits(x, before[0])
    assert same_bits(t, before[1])
    assert (weight == 1).all()


def test_no_warning_comes_from_numpy():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_refused(lambda: classifier().fit(X * 1e300, LABELS), ValueError, "too large for float32")
        assert np.isnan(classifier().predict(changed(X, np.nan))[3]).all()


def test_nothing_comes_from_no_rows():
    net = classifier()
    assert net.predict(X[:0]).shape == (0, OUTPUTS)
    assert net.forward(X[:0]).shape == (0, OUTPUTS)
    assert net.backward(T[:0]).shape == (0, FEATURES)
    assert not net.grads.any()


def test_a_layer_belongs_to_one_model():
    x, shared = np.ones((4, 3)), Dense(5)
    first, second = Model([shared, Dense(2)], seed=0), Model([shared, Dense(1)], seed=1)
    first.build(3)
    before = first.params.copy()
    with pytest.raises(ValueError, match=r"Dense 1 \(5 units\) is part of another model.*copy.deepcopy\(layer\)"):
        second.predict(x)
    assert shared.w.base is not None
    assert np.shares_memory(shared.w, first.params)
    np.testing.assert_array_equal(first.params, before)
    third = Model([copy.deepcopy(shared), Dense(1)], seed=1)
    third.predict(x)
    np.testing.assert_array_equal(third.layers[0].w, shared.w)
    del first
    gc.collect()
    second.predict(x)


def test_nesterov_needs_momentum():
    with pytest.raises(ValueError, match="SGD: nesterov=True needs a momentum above 0"):
        SGD(0.1, nesterov=True)


def test_data_that_are_resized_in_a_callback_end_the_fit():
    x, t = np.random.default_rng(0).normal(size=(400, FEATURES)), np.zeros((400, OUTPUTS))

    def resize(model, epoch, logs):
        x.resize((10, FEATURES), refcheck=False)
        t.resize((10, OUTPUTS), refcheck=False)

    net = Model([Dense(OUTPUTS)], seed=0, dtype="float64")
    with pytest.raises(ValueError, match="a callback changed the number of rows from 400 to 10"):
        net.fit(x, t, "mse", SGD(0.1), epochs=5, callbacks=[resize])
