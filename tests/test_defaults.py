"""What a fit does where nobody says how: how many epochs, when it warns about targets, and why it has ended."""

import copy
import pickle
import threading
import warnings

import numpy as np
import pytest
from nets import data, memory_of, same_bits, small_net

from fastnn import (
    MAE,
    MSE,
    SGD,
    Adam,
    BinaryCrossEntropy,
    CrossEntropy,
    Dense,
    EarlyStopping,
    Huber,
    Layer,
    Model,
    ReLU,
    Sigmoid,
    Softmax,
    fit_many,
)
from fastnn.training.options import FitOptions, default_epochs

pytestmark = pytest.mark.once

# How many epochs


@pytest.mark.parametrize(
    ("rows", "batch", "epochs", "rule"),
    [
        (308, 32, 400, "the default for 308 rows: at least 4,000 steps"),
        (320, 32, 400, "the default for 320 rows: at least 4,000 steps"),
        (321, 32, 364, "the default for 321 rows: at least 4,000 steps"),  # 11 steps
        (12_000, 32, 11, "the default for 12,000 rows: at least 4,000 steps"),
        (12_800, 32, 10, "the default for 12,800 rows: at least 10 epochs"),
        (1_000_000, 32, 10, "the default for 1,000,000 rows: at least 10 epochs"),
        (1, 32, 1000, "the default for 1 row: at most 1,000 epochs"),
        (120, 32, 1000, "the default for 120 rows: at least 4,000 steps"),
        (308, 308, 1000, "the default for 308 rows: at most 1,000 epochs"),
        (308, 1000, 1000, "the default for 308 rows: at most 1,000 epochs"),
        (308, 1, 13, "the default for 308 rows: at least 4,000 steps"),
        (10_000, 10_000, 100, "the default for 10,000 rows: at most 1,000,000 rows"),
        (1_000_000, 1_000_000, 10, "the default for 1,000,000 rows: at least 10 epochs"),
        (10**9, 10**9, 10, "the default for 1,000,000,000 rows: at least 10 epochs"),
    ],
)
def test_the_default_number_of_epochs(rows, batch, epochs, rule):
    assert default_epochs(rows, batch) == (epochs, rule)


def test_the_default_number_of_epochs_is_bounded():
    """By steps and rows beyond ten epochs, and it never grows with the rows."""
    for batch in (1, 32, 256, 10**7):
        found = [default_epochs(rows, min(batch, rows))[0] for rows in (1, 7, 100, 999, 12_345, 10**5, 10**6, 10**7)]
        assert found == sorted(found, reverse=True)
        assert all(10 <= epochs <= 1000 for epochs in found)
        assert found[-1] == 10


@pytest.mark.parametrize("batch_size", [32, None, 5])
def test_fit_takes_the_default(batch_size):
    """Over the rows that count; fit_many, too."""
    x, t = data(rows=100)
    weight = np.ones(100)
    weight[:40] = 0
    asked, default, many = (small_net() for _ in range(3))
    epochs = default_epochs(60, min(batch_size or 60, 60))[0]
    expected = asked.fit(x, t, "mse", SGD(1e-3), epochs, batch_size, sample_weight=weight)
    options = {"loss": "mse", "optimizer": SGD(1e-3), "batch_size": batch_size, "sample_weight": weight}
    history = default.fit(x, t, **options)
    fit_many([many], x, t, **options)
    assert len(history) == epochs
    assert history.loss == expected.loss
    assert same_bits(default.params, asked.params)
    assert same_bits(many.params, asked.params)
    assert history.ended.startswith(f"after {epochs:,} epochs, the default for 60 rows: at ")


def test_small_data_are_learnt_by_default():
    """A straight line and a bend, in 40 rows: ten epochs are 20 steps."""
    x = np.linspace(-2, 2, 40)[:, None]
    y = np.abs(x)
    net, short = (Model([Dense(16, "relu"), Dense(1)], seed=0) for _ in range(2))
    net.fit(x, y)
    short.fit(x, y, epochs=10)
    assert net.evaluate(x, y)["loss"] < 0.01 * y.var()
    assert short.evaluate(x, y)["loss"] > 0.5 * y.var()


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("built", [False, True])
def test_no_epochs_train_nothing(built, verbose):
    """The model is built, and what comes after is as if nothing had been."""
    x, t = data()
    net, other = small_net(), small_net()
    ended = []

    class Ending:
        def __call__(self, model, epoch, logs):
            raise AssertionError("there is no epoch")

        def end(self, model):
            ended.append(model)

    if built:
        for model in (net, other):
            model.fit(x, t, "mse", SGD(0.1, momentum=0.5), epochs=2)
    else:
        other.build(x.shape[1])
    history = net.fit(
        x, t, "mse", epochs=0, validation_data=(x, t), callbacks=[Ending(), EarlyStopping()], verbose=verbose
    )
    assert (history.loss, history.val_loss, len(history), history.seconds) == ([], [], 0, 0)
    assert history.ended == "after 0 epochs, as asked"
    assert repr(history) == "<History: 0 epochs; after 0 epochs, as asked>"
    assert net.history is history
    assert ended == [net]
    assert net.built
    assert same_bits(net.params, other.params)
    for model in (net, other):
        model.fit(x, t, "mse", epochs=2)
    assert same_bits(net.params, other.params)
    (many,) = fit_many([small_net()], x, t, "mse", epochs=0)
    assert len(many) == 0


@pytest.mark.parametrize(
    "wrong", [{"y": np.zeros((21, 7))}, {"loss": "cross_entropy"}, {"sample_weight": [1, 2]}], ids=str
)
def test_no_epochs_check_the_data(wrong):
    x, t = data()
    net = small_net()
    with pytest.raises(ValueError, match="expect"):
        net.fit(**{"x": x, "y": t, "loss": "mse", "epochs": 0, **wrong})
    assert not net.built


# Why a fit has ended


class Raising:
    def __init__(self, error):
        self.error = error

    def __call__(self, model, epoch, logs):
        assert model.history.ended == ""  # while it runs
        if epoch == 1:
            raise self.error


class Untellable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def stop_at_2(model, epoch, logs):
    return epoch == 2


ENDINGS = {
    "asked": ({"epochs": 3}, None, "after 3 epochs, as asked"),
    "one": ({"epochs": 1}, None, "after 1 epoch, as asked"),
    "default": ({}, None, "after 1,000 epochs, the default for 21 rows: at most 1,000 epochs"),
    "EarlyStopping": (
        {"callbacks": [EarlyStopping(2, min_delta=1e9, monitor="loss")]}, None,
        "EarlyStopping: loss has not become better by more than 1e+09 for 2 epochs",
    ),
    "EarlyStopping of one epoch": (
        {"callbacks": [EarlyStopping(1, mode="max")], "validation_data": data()}, None,
        "EarlyStopping: val_loss has not become better for 1 epoch",
    ),
    "a function": ({"callbacks": [stop_at_2]}, None, "a callback returned True after 3 epochs: stop_at_2"),
    "the first of two": (
        {"callbacks": [stop_at_2, EarlyStopping(1, mode="max")]}, None,
        "EarlyStopping: loss has not become better for 1 epoch",
    ),
    "interrupted": ({"callbacks": [Raising(KeyboardInterrupt())]}, KeyboardInterrupt, "interrupted: after 2 epochs"),
    "error": (
        {"callbacks": [Raising(ZeroDivisionError("of a user"))]}, ZeroDivisionError,
        "error: after 2 epochs, ZeroDivisionError: of a user",
    ),
    "an error without text": (
        {"callbacks": [Raising(Untellable())]}, Untellable, "error: after 2 epochs, Untellable",
    ),
    "diverged": ({"optimizer": SGD(1e30), "epochs": 9}, FloatingPointError, "diverged: the loss became "),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDINGS)
def test_the_history_says_why_a_fit_has_ended(name):
    """Also in copies and pickles, and after an error."""
    options, error, expected = ENDINGS[name]
    x, t = data()
    net = small_net(dtype="float32")
    options = {"optimizer": SGD(1e-3), "batch_size": None, **options}
    if error is None:
        net.fit(x, t, "mse", **options)
    else:
        with pytest.raises(error):
            net.fit(x, t, "mse", **options)
    assert net.history.ended.startswith(expected) if name == "diverged" else net.history.ended == expected
    assert repr(net.history).endswith(f"; {net.history.ended}>")
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other.history.ended == net.history.ended
    net.fit(x, t, "mse", SGD(1e-3), epochs=1)
    assert net.history.ended == "after 1 epoch, as asked"


def test_the_end_of_a_callback_finds_why():
    seen = []

    class Looking:
        def __call__(self, model, epoch, logs):
            return False

        def end(self, model):
            seen.append(model.history.ended)

    small_net().fit(*data(), "mse", epochs=2, callbacks=[Looking()])
    assert seen == ["after 2 epochs, as asked"]


def test_nets_that_are_stopped_beside_another_say_so():
    """Fits of fit_many end when it is interrupted."""
    net, stop = small_net(), threading.Event()

    def stop_at_3(model, epoch, logs):
        if epoch == 2:
            stop.set()

    with pytest.raises(KeyboardInterrupt):
        net._trainer.fit(*data(), "mse", "adam", FitOptions(10**6, 8, callbacks=[stop_at_3], stop=stop))
    assert net.history.ended == "stopped: after 3 epochs, with the fits beside it"


# Targets far from unit scale


def targets(mean=0.0, std=1.0, columns=1, rows=200):
    y = np.random.default_rng(0).normal(size=(rows, columns))
    return mean + std * (y - y.mean(axis=0)) / y.std(axis=0)


def regressor(columns=1, end=()):
    return Model([Dense(8, "relu"), Dense(columns), *end], seed=0)


X = np.random.default_rng(1).normal(size=(200, 4))


def warnings_of(net, y, loss="mse", x=X, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net.fit(x, y, loss, Adam(1e-9), epochs=1, **options)
    assert all(warning.filename == __file__ for warning in caught)  # the line of the user
    return [str(warning.message) for warning in caught]


SCALES = {
    "unit": ((0, 1), False),
    "some": ((5, 5), False),
    "little": ((0, 0.15), False),
    "large": ((0, 15), True),
    "far": ((15, 1), True),
    "far below": ((-15, 1), True),
    "small": ((0, 0.05), True),
    "small beside 1": ((1, 0.05), True),
    "diabetes": ((152, 77), True),
    "constant": ((3, 0), False),
    "constant and far": ((100, 0), True),
    "tiny": ((0, 1e-30), True),
    "huge": ((0, 1e15), True),
}


@pytest.mark.parametrize("loss", [MSE, MAE, Huber])
@pytest.mark.parametrize("name", SCALES)
def test_targets_far_from_unit_scale_are_told_once(name, loss):
    (mean, std), is_told = SCALES[name]
    y = targets(mean, std)
    net = regressor()
    found = warnings_of(net, y, loss())
    assert len(found) == is_told
    if is_told:
        assert f"and standard deviation {std:.4g}, and the net starts" in found[0]
    assert not warnings_of(net, y, loss())  # once per model
    assert not warnings_of(copy.deepcopy(net), y, loss())


def frame_of(library):
    def frame(y):
        return pytest.importorskip(library).DataFrame(y)

    return frame


FORMS = {
    "array": np.asarray,
    "list": np.ndarray.tolist,
    "pandas": frame_of("pandas"),
    "polars": frame_of("polars"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("name", [name for name, (_, is_told) in SCALES.items() if is_told])
def test_the_cure_is_code_that_works(name, columns, form):
    """What the warning says to do is run: no warning comes then, and predictions are of the targets' scale."""
    form, is_frame = FORMS[form], form in ("pandas", "polars")
    y = targets(*SCALES[name][0], columns)
    net = regressor(columns)
    (message,) = warnings_of(net, form(y))
    fitting, undoing = message.partition("Scale y: ")[2].split(", and undo it behind: ")
    namespace = {"np": np, "x": X, "y": form(y), "net": regressor(columns)}
    if columns == 1 and not is_frame:
        namespace["y"] = form(y[:, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(fitting, namespace)
    predicted = eval(undoing, namespace)
    assert predicted.shape == y.shape
    assert np.abs(predicted.mean(axis=0) - y.mean(axis=0)).max() <= y.std() + 1e-5 * np.abs(y).max()
    spread = predicted.std()
    assert spread <= 2 * y.std() + 1e-3 * np.abs(y).max()


@pytest.mark.parametrize("column", [0, 2])
def test_the_column_is_named(column):
    y = targets(0, 1, 3)
    y[:, column] *= 50
    (message,) = warnings_of(regressor(3), y)
    assert f"standard deviation 50 in column {column}," in message
    pandas = pytest.importorskip("pandas")
    (message,) = warnings_of(regressor(3), pandas.DataFrame(y, columns=["a", "b", "c"]))
    assert f"standard deviation 50 in column {'abc'[column]!r}," in message


@pytest.mark.parametrize(
    ("end", "loss", "y"),
    [
        ([], BinaryCrossEntropy(from_logits=True), np.resize([0.0, 0.01], (200, 1))),
        ([Sigmoid()], BinaryCrossEntropy(), np.resize([0.0, 0.01], (200, 1))),
        ([], CrossEntropy(from_logits=True), np.resize([0, 1, 2], 200)),
        ([Softmax()], CrossEntropy(), np.full(200, 2)),
        ([Sigmoid()], MSE(), targets(0.5, 0.01)),  # in the range of the end, where scaling would lead out of it
        ([], MSE(), np.r_[np.zeros(190), np.ones(10)]),  # rare ones are no matter of scale
    ],
    ids=["bce of logits", "bce", "ce of logits", "ce", "small in a range", "rare ones"],
)
def test_other_targets_are_not_told(end, loss, y):
    columns = 3 if isinstance(loss, CrossEntropy) else 1
    assert not warnings_of(regressor(columns, end), y, loss)


def test_large_targets_of_a_net_with_a_range_are_told_with_another_cure():
    y = np.abs(targets(100, 30))
    (message,) = warnings_of(regressor(1, [ReLU()]), y)
    assert "scale = np.abs(y).max(); net.fit(x, y / scale), and undo it behind: net.predict(x) * scale" in message


def test_rows_that_are_left_out_are_not_looked_at_and_weights_count():
    y, weight = targets(), np.ones(200)
    y[:100] *= 1e6
    weight[:100] = 0
    assert not warnings_of(regressor(), y, sample_weight=weight)
    y = np.r_[np.zeros(100), np.full(100, 15.0)]
    assert not warnings_of(regressor(), y)  # mean and standard deviation of 7.5
    weight[:100] = 0.1
    assert "mean 13.6" in warnings_of(regressor(), y, sample_weight=weight)[0]


@pytest.mark.parametrize("scale", [(152, 77), (100, 3), (0, 0.01)], ids=str)
def test_a_net_that_predicts_on_that_scale_already_is_not_told(scale):
    """One that is trained by steps, or set by hand."""
    y = np.sin(X[:, :1] + X[:, 1:2])
    y = scale[0] + scale[1] * (y - y.mean()) / y.std()
    by_hand = regressor().build(4)
    by_hand.layers[1].b[...] = y.mean()
    by_hand.layers[1].w *= y.std()
    trained = regressor().build(4)
    fitted = regressor()
    fitted.fit(X, (y - y.mean()) / y.std(), epochs=200)
    trained.params = fitted.params
    trained.layers[1].w *= y.std()
    trained.layers[1].b[...] = trained.layers[1].b * y.std() + y.mean()
    for net in (by_hand, trained):
        assert not warnings_of(net, y)


def test_a_warning_that_is_an_error_changes_nothing():
    net = regressor()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="y has mean"):
            net.fit(X, targets(100), "mse")
    assert not net.built
    assert (net.loss, net.optimizer, len(net.history)) == (None, None, 0)
    assert not memory_of(net)


def test_looking_at_targets_does_not_touch_layers_in_numpy():
    """They are run only where something is far off."""
    calls = []

    class Counting(Layer):
        def forward(self, x):
            calls.append(len(x))
            return x

        def backward(self, dy):
            return dy

    net = Model([Counting(), Dense(1)], seed=0)
    net.fit(X, targets(), "mse", epochs=1, batch_size=None)
    assert calls == [200]


def test_every_net_of_fit_many_is_told_about():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_many([regressor() for _ in range(2)], X, targets(100), "mse", epochs=1)
    assert len(caught) == 2
