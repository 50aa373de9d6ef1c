"""Numbers at the ends of a dtype: columns that lose the digits that tell rows apart, and numbers next to 0."""

import copy
import re
import warnings
from decimal import Decimal

import numpy as np
import pytest
from test_tables import FRAMES, X, regressor

from fastnn import (
    SGD,
    Adam,
    BatchNorm,
    Dense,
    EarlyStopping,
    Layer,
    Loss,
    Model,
    Optimizer,
    Sigmoid,
    Softmax,
    fit_many,
)

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
sparse = pytest.importorskip("scipy.sparse")

RNG = np.random.default_rng(0)

# -- lost digits ------------------------------------------------------------------------------------------------------

SECONDS = np.arange(64) + 1_700_000_000
LOST = {
    "int64": SECONDS,
    "uint64": SECONDS.astype("u8") + 2**62,
    "int32": SECONDS.astype("i4"),
    "float64": SECONDS + 0.5,
    "longdouble": SECONDS.astype("g"),
    "negative": -SECONDS,
    "a day of seconds": SECONDS[0] + np.linspace(0, 86_400, 64),
    "not the first rows": np.r_[np.full(64, SECONDS[0]), SECONDS],
    "two values": SECONDS[0] + np.arange(64) % 2,
}
KEPT = {
    "constant": np.full(64, 1_700_000_000.1),
    "numbers of 24 bits": 2**24 - np.arange(64),
    "held exactly": 1_700_000_000 // 1024 * 1024 + 1024 * np.arange(64),
    "a year of seconds": SECONDS[0] + np.linspace(0, 3e7, 64),
    "years": 1960 + np.arange(64),
    "normal": RNG.normal(size=64),
    "far from 0": 1000 + RNG.normal(size=64),
    "zeros and a time": np.r_[0, SECONDS[1:]],
    "zeros": np.zeros(64),
    "bool": np.arange(64) % 2 == 0,
    "int8": np.arange(64).astype("i1"),
    "tiny": 1e-300 * RNG.normal(size=64),
    "float32 already": SECONDS.astype("f4"),
}


def column_of(values, form):
    other = RNG.normal(size=len(values))
    if form == "array":
        return values[:, None]
    if form == "list":
        return [[value, 0.5] for value in values.tolist()]
    if form == "pandas":
        return pandas.DataFrame({"other": other, "time": values})
    if form == "nullable":
        return pandas.DataFrame({"other": other, "time": values}).convert_dtypes()
    if form == "objects":
        return pandas.DataFrame({"other": other, "time": pandas.Series(values.tolist(), dtype=object)})
    if form == "Decimal":
        return pandas.DataFrame({"other": other, "time": [Decimal(value) for value in values.tolist()]})
    return polars.DataFrame({"other": other, "time": values})


FORMS = ("array", "list", "pandas", "nullable", "objects", "Decimal", "polars")
LOOKS = {
    "fit": lambda net, x, y: net.fit(x, y, "mse", SGD(0.0), epochs=1),
    "evaluate": lambda net, x, y: net.evaluate(x, y, "mse"),
    "predict": lambda net, x, y: net.predict(x),
    "train_batch": lambda net, x, y: net.train_batch(x, y, loss="mse", optimizer=SGD(0.0)),
    "validation": lambda net, x, y: net.fit(
        np.zeros((2, np.shape(x)[1])), y[:2], "mse", SGD(0.0), epochs=1, validation_data=(x, y)
    ),
    "fit_many": lambda net, x, y: fit_many([net], x, y, "mse", SGD(0.0), epochs=1),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("form", FORMS)
def test_lost_digits_are_told_once_for_each_model(form, look):
    net, x, y = regressor(), column_of(SECONDS, form), np.zeros((64, 1), np.float32)
    where = {"array": "x", "list": "x: column 0"}.get(form, "x: column 'time'")
    with pytest.warns(UserWarning, match=rf"^{where} holds numbers from 1700000000.*float32 has steps of 128") as told:
        LOOKS[look](net, x, y)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert 'Model(..., dtype="float64")' in str(told[0].message)
    code = re.search(r"in common before, (.+), the same from", str(told[0].message)).group(1)
    assert np.asarray(eval(code, {"x": x, "np": np}), float).max() == 63
    LOOKS[look](net, x, y)  # warnings are errors here


@pytest.mark.parametrize("values", LOST)
def test_columns_that_lose_their_digits_are_told(values):
    x = np.column_stack([np.zeros_like(LOST[values]), LOST[values]])
    with pytest.warns(UserWarning, match="x: column 1 holds numbers from"):
        regressor().predict(x)
    with pytest.warns(UserWarning, match="^y holds numbers from .*and add it to predictions") as told:
        regressor().fit(np.zeros((len(x), 1), np.float32), x[:, 1], "mse", SGD(0.0), epochs=1)
    assert len(told) == 1  # none of its scale


@pytest.mark.parametrize("values", KEPT)
def test_columns_that_keep_their_digits_are_not(values):
    x = np.column_stack([KEPT[values]] * 2)
    for given in (x, x.tolist(), pandas.DataFrame(x, columns=["a", "b"]), pandas.DataFrame(x).astype(object)):
        regressor().predict(given)
        regressor().evaluate(given, KEPT[values][:, None], "mse")


def test_numbers_of_more_digits_than_float64_are_told():
    nanoseconds = SECONDS[:, None] * 10**9
    regressor("float64").predict(nanoseconds)
    with pytest.warns(UserWarning, match="from 1000000001700000000 to .*float64 has steps of 128") as told:
        regressor("float64").predict(SECONDS[:, None] + 10**18)
    assert "dtype=" not in str(told[0].message)


def test_numbers_of_the_dtype_are_not_looked_at():
    x = np.full((64, 1), 1_700_000_000, np.float32)
    x[1] += 128
    net = regressor()
    net.evaluate(x, x[:, 0], "mse")
    net.predict(x)
    assert net._tree.digits.told is None


def test_many_small_predictions_are_looked_at_ever_more_rarely():
    net, x = regressor(), RNG.normal(size=(64, 1))
    for _ in range(4):
        net.predict(x)
    for _ in range(3):
        net.predict(SECONDS[:, None])
    with pytest.warns(UserWarning, match="holds numbers"):
        net.predict(SECONDS[:, None])  # the eighth
    much = np.repeat(SECONDS, 2000)[:, None]
    net = regressor()
    for _ in range(4):
        net.predict(x)
    with pytest.warns(UserWarning, match="holds numbers"):
        net.predict(much)


@pytest.mark.filterwarnings("error")
def test_where_the_warning_is_an_error_the_model_is_as_it_was():
    net = regressor()
    for look in ("fit", "evaluate", "predict", "train_batch"):
        with pytest.raises(UserWarning, match="holds numbers"):
            LOOKS[look](net, column_of(SECONDS, "pandas"), np.zeros((64, 1), np.float32))
        assert not net.built
        assert net.feature_names is None


# -- numpy.errstate ---------------------------------------------------------------------------------------------------

TINY = RNG.normal(size=(24, 3)) * 1e-40
TINY[0], TINY[1] = 5e-324, 1e-46
TINY_WEIGHTS = np.r_[1e-320, 1e-42, np.ones(22)]
TINY_OF_16 = np.full((24, 3), 6e-8, "f2")
LABELS = np.arange(24) % 3
ROWS_OF_TASKS = {
    "mse": (TINY, list),
    "mae": (TINY, list),
    "huber": (TINY, list),
    "cross_entropy": (LABELS, lambda: [Softmax()]),
    "bce": (np.eye(3)[LABELS] * (1 - 1e-40) + 1e-40, lambda: [Sigmoid()]),
}
TINY_FORMS = {
    "float64": lambda: TINY,
    "float32": lambda: TINY.astype("f4"),
    "longdouble": lambda: TINY.astype("g"),
    "lists": TINY.tolist,
    "objects": lambda: TINY.astype(object),
    "pandas": lambda: FRAMES["pandas"](TINY),
    "pandas of several dtypes": lambda: FRAMES["pandas of several dtypes"](TINY),
    "polars": lambda: FRAMES["polars"](TINY),
    "sparse": lambda: sparse.csr_array(TINY),
}


def tiny_net(loss="mse"):
    return Model([Dense(5, "tanh"), BatchNorm(), Dense(3), *ROWS_OF_TASKS[loss][1]()], seed=0)


@pytest.fixture(autouse=True)
def _forms_do_not_raise_themselves():
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("form", TINY_FORMS)
@pytest.mark.parametrize("loss", ROWS_OF_TASKS)
def test_errstate_breaks_no_training(loss, form):
    x, (y, _) = TINY_FORMS[form](), ROWS_OF_TASKS[loss]
    with np.errstate(all="raise"):
        net = tiny_net(loss)
        net.fit(x, y, loss, epochs=2, batch_size=7, validation_data=(x, y, TINY_WEIGHTS), callbacks=[EarlyStopping()])
        net.fit(x, y, loss, Adam(clip_norm=1e-30), 2, sample_weight=TINY_WEIGHTS, callbacks=[lambda *_: None])
        net.train_batch(x, y, TINY_WEIGHTS)
        net.evaluate(x, y)
        net.evaluate(x, y, sample_weight=TINY_WEIGHTS)
        asked = ["log_loss", "roc_auc", "f1", "matthews", "ece"] if loss in ("cross_entropy", "bce") else ["rmse", "r2"]
        net.fit(x, y, loss, epochs=1, sample_weight=TINY_WEIGHTS, validation_data=(x, y), metrics=asked)
        net.predict(x)
        net.forward(x)
        net.loss.value_and_grad(np.tile([1e-40, 1e-40, 1.0], (24, 1)), y)  # rows of probabilities, too
        fit_many([tiny_net(loss) for _ in range(3)], x, y, loss, epochs=2)


def by_hand():
    net = tiny_net()
    net.forward(TINY)
    net.backward(TINY)
    for rule in (SGD(1e-30), Adam(1e-30, clip_value=1e-40, accumulate=2)):
        rule.step(net)
    net.grads = TINY[0, 0] * np.ones(net.n_parameters)


def set_by_hand():
    first = Dense(3)
    first.w = np.full((3, 3), 1e-42)
    net = Model([first, Dense(2)], seed=0).build(3)
    net.layers[1].w = np.full((3, 2), 1e-42)
    net.params = np.full(net.n_parameters, 1e-46)
    twin = copy.deepcopy(net)
    twin.soft_update(net, 1e-30)
    twin.copy_from(net)
    twin.restore(net.snapshot())


OTHERS = {
    "predict_one": lambda: tiny_net().predict_one(TINY[0]),
    "predict_one of a list": lambda: tiny_net().predict_one(TINY[0].tolist()),
    "predict_one of a row with names": lambda: tiny_net().predict_one(FRAMES["pandas"](TINY).iloc[0]),
    "predict of huge numbers": lambda: tiny_net().predict(np.full((3, 3), 1e300)),
    "by hand": by_hand,
    "set by hand": set_by_hand,
    "a layer alone": lambda: [layer.forward(TINY_OF_16) for layer in (Dense(3), Sigmoid())],
    "own layer": lambda: Model([Tiny(), Dense(3), Tiny()], seed=0).fit(X, X, "mse", epochs=1),
    "own loss": lambda: Model([Dense(3)], seed=0).fit(X, X, TinyLoss(), epochs=1),
}


class Tiny(Layer):
    """Gives float64 that float32 does not hold."""

    def forward(self, x):
        return np.full(x.shape, 1e-42)

    def backward(self, dy):
        return np.full(dy.shape, 1e-42)


class TinyLoss(Loss):
    def value_and_grad(self, y, t):
        return 0.0, np.full(y.shape, 1e-42)


@pytest.mark.parametrize("call", OTHERS)
def test_errstate_breaks_nothing_else(call):
    with np.errstate(all="raise"):
        OTHERS[call]()


class Dividing(Layer):
    def forward(self, x):
        return x + 0 * (np.ones(1) / np.zeros(1)).clip(0, 1)

    def backward(self, dy):
        return dy


class DividingLoss(Loss):
    def value_and_grad(self, y, t):
        return float((np.ones(1) / np.zeros(1)).clip(0, 1)[0]), np.zeros_like(y)


class DividingRule(Optimizer):
    def update(self, params, grads):
        params += 0 * (np.ones(1) / np.zeros(1)).clip(0, 1)


@pytest.mark.parametrize(
    "run",
    [
        lambda: Model([Dividing(), Dense(3)]).fit(X, X, "mse", epochs=1),
        lambda: Model([Dividing(), Dense(3)]).predict(X),
        lambda: Model([Dense(3)]).fit(X, X, DividingLoss(), epochs=1),
        lambda: Model([Dense(3)]).fit(X, X, "mse", DividingRule(), epochs=1),
        lambda: fit_many([Model([Dividing(), Dense(3)]) for _ in range(2)], X, X, "mse", epochs=1),
    ],
    ids=["layer", "predict", "loss", "optimizer", "fit_many"],
)
def test_code_of_users_sees_their_errstate(run):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")
        run()
    with np.errstate(all="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        run()
