"""Predicting: the same bits in any form, from any number of threads, of what the model is now; and its memory."""

import copy
import pickle
import sys
import threading

import numpy as np
import pytest
from custom import Cube, OwnSigmoid, Scale
from nets import FEATURES, OUTPUTS, data, each_dtype, same_bits, small_net
from peaks import peak_of

from fastnn import (
    SGD,
    CrossEntropy,
    Dense,
    Layer,
    LayerNorm,
    LeakyReLU,
    Model,
    Parallel,
    Residual,
    Softmax,
    Tape,
    kernels,
)
from fastnn._core.tape import Inlet

X = data(rows=700)[0]


def net_of(dtype="float32", *layers):
    return Model([Dense(5, "tanh"), *layers, Dense(4), LeakyReLU(0.1), Dense(OUTPUTS)], seed=0, dtype=dtype)


# One row

ROWS = {
    "list": lambda row: row.tolist(),
    "float64": lambda row: row.astype("float64"),
    "float32": lambda row: row.astype("float32"),
    "long double": lambda row: row.astype("longdouble"),
    "strided": lambda row: np.repeat(row, 2, axis=-1)[..., ::2],
    "backwards": lambda row: row[..., ::-1].copy()[..., ::-1],
    "byte-swapped": lambda row: row.astype(row.dtype.newbyteorder()),
    "dtype of its own": lambda row: pickle.loads(pickle.dumps(row)),
    "masked": np.ma.masked_array,
}


@each_dtype
@pytest.mark.parametrize("form", ROWS)
def test_one_row_in_any_form_has_the_bits_of_a_row_among_many(form, dtype):
    net, x = net_of(dtype), X.astype("float32").astype(dtype)
    expected = net.predict(x)
    for i in (0, 1, 699):
        for fresh in (net, copy.deepcopy(net)):  # one that has predicted a row, and one that has not
            assert same_bits(fresh.predict(ROWS[form](x[i : i + 1])), expected[i : i + 1])
            assert same_bits(fresh.predict_one(ROWS[form](x[i])), expected[i])


def test_one_row_may_be_the_first_that_a_model_sees():
    expected = net_of().predict(X)[0]
    assert same_bits(net_of().predict_one(X[0]), expected)
    assert same_bits(net_of().predict(X[:1])[0], expected)
    assert same_bits(net_of()(X[:1])[0], expected)


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        (X[:1], ValueError, r"row has shape \(1, 4\), expected .*\(.*,\); predict takes several rows"),
        (1.0, ValueError, r"row has shape \(\), expected"),
        ("text", TypeError, "row is 'text', expected numbers: pass an array or a list"),
        (None, TypeError, "row is None, expected numbers: pass an array or a list"),
        ({"a": 1, "b": 2}, TypeError, r"row is a dict, .*pass \[row\[name\] for name in names\].*net\.feature_names"),
        (X[0] + 0j, TypeError, "row holds complex numbers"),
        (X[0, :0], ValueError, r"shape \((1, )?0,?\), expected"),
    ],
    ids=["matrix", "number", "text", "None", "dict", "complex", "empty"],
)
def test_predict_one_refuses(row, error, message, built):
    net = net_of()
    if built:
        net.predict_one(X[0])
    with pytest.raises(error, match=message):
        net.predict_one(row)
    assert net.built is built


def test_predict_one_names_the_number_of_features():
    with pytest.raises(ValueError, match=r"row has shape \(3,\), expected \(4,\)"):
        net_of().build(FEATURES).predict_one(X[0, :3])


def test_results_are_the_callers_own():
    net = net_of().build(FEATURES)
    first = [net.predict(X[:1]), net.predict_one(X[0]), net.predict(X)]
    kept = [array.copy() for array in first]
    for other in (net.predict(X[5:6]), net.predict_one(X[7]), net.predict(X[::-1])):
        other[...] = np.nan
    assert all(same_bits(a, b) for a, b in zip(first, kept, strict=True))
    assert all(array.flags.writeable and array.flags.c_contiguous for array in first)


# Blocks


@each_dtype
def test_bits_do_not_depend_on_blocks(dtype):
    net = net_of(dtype, Cube())
    expected = net.predict(X)
    for batch_size in (1, 2, 7, 64, 699, 700, 701, 10**9):
        assert same_bits(net.predict(X, batch_size=batch_size), expected)
    for rows in (0, 1, 2, 17, 500):
        assert same_bits(net.predict(X[:rows]), expected[:rows])
    assert same_bits(net.predict(np.tile(X, (50, 1))), np.tile(expected, (50, 1)))


class Square(Layer):
    """Keeps nothing, so that any number of threads may call it."""

    def forward(self, x):
        return x * x


LAYOUTS = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "every second row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "not aligned": lambda x: np.frombuffer(b"_" + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "float64": lambda x: x.astype("float64"),
}


@pytest.mark.parametrize("layers", [(), (Cube,)], ids=["ours", "of others"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_wide_rows_are_read_from_any_layout(layout, layers):
    """Where that is possible, from where they lie."""
    x = data(rows=300)[0].repeat(70, axis=1).astype("float32")
    net = Model([*(kind() for kind in layers), Dense(5, "tanh"), Dense(3)], seed=0)
    expected = np.concatenate([net.predict(row[None]) for row in x])
    given = LAYOUTS[layout](x)
    for n_threads in (1, 2):
        assert same_bits(net.predict(given, n_threads=n_threads), expected)
        assert same_bits(net.predict(given, batch_size=130, n_threads=n_threads), expected)
    assert same_bits(given.astype("float32"), x)


FIRST = {
    "dense": lambda: [Dense(16, "tanh")],
    "activation": lambda: [LeakyReLU(0.1)],
    "branches": lambda: [Parallel([Dense(4), LeakyReLU(0.1)])],
    "shortcut": lambda: [Residual([Dense(16)])],
    "normalization": lambda: [LayerNorm()],
    "bfloat16": lambda: [Dense(64)],
    "of others": lambda: [Square()],
}


@pytest.mark.parametrize("first", FIRST)
@each_dtype
def test_rows_are_read_where_they_lie_and_the_next_ones_elsewhere(first, dtype):
    precision = {"precision": "bf16"} if first == "bfloat16" and dtype == "float32" else {}
    net = Model([*FIRST[first](), Dense(3)], seed=0, dtype=dtype, **precision)
    x = np.random.default_rng(0).normal(size=(1000, 48 if precision else 16)).astype(dtype)
    expected = np.concatenate([net.predict(row[None]) for row in x])
    for rows in (64, 65, 128, 260, 65, 64, 63, 1000, 65):
        for start in (0, 1000 - rows):
            part, y = x[start : start + rows], np.empty((rows, 3), dtype)
            before = part.copy()
            strided = part.repeat(2, axis=0)[::2]
            for given in (part, strided, part.tolist(), part):
                assert same_bits(net.predict(given), expected[start : start + rows])
            assert same_bits(net.predict(part, out=y), expected[start : start + rows])
            assert same_bits(net.predict(part, n_threads=2), expected[start : start + rows])
            assert same_bits(part, before)


def test_a_net_may_read_its_own_weights():
    net = Model([Dense(80, "relu"), Dense(80)], seed=0).build(80)
    w = net.layers[0].w
    for _ in range(2):
        assert same_bits(net.predict(w), net.predict(w.copy()))
        assert same_bits(net.predict(w[:70]), net.predict(w.copy())[:70])


def test_an_error_leaves_nothing_that_reads_there():
    (own, other), momentum, tape = np.eye(2, dtype="float32"), np.array([0.5]), Tape()
    w, velocity = np.zeros(2, "float32"), np.zeros(2, "float32")
    kernels.float32.sgd(w, own, velocity, 1.0, momentum, tape=tape)
    inlet = Inlet(tape, own, 1)
    momentum[0] = -1
    with pytest.raises(ValueError, match="momentum is -1"):
        inlet.replay(other)
    momentum[0] = 0
    tape.replay()
    assert w.tolist() == [-1, 0]
    inlet.replay(other)
    assert w.tolist() == [-1, -1]
    for wrong in (other[:1], np.zeros(4, "float32")[::2]):
        with pytest.raises(ValueError, match="bytes in place of 8 that can be moved"):
            inlet.replay(wrong)
    assert w.tolist() == [-1, -1]


def test_what_cannot_be_moved_is_told_and_copied():
    """Arrays that calls do not read, and those that functions of Python may."""
    x, y = np.ones((2, 2, 3), "float32")
    for record, is_open in [
        (lambda tape: kernels.float32.relu_forward(x, y, tape), True),
        (lambda tape: kernels.float32.relu_forward(y.copy(), y, tape), False),
        (lambda tape: (tape.call(x.sum), kernels.float32.relu_forward(x, y, tape)), False),
    ]:
        tape = Tape()
        record(tape)
        inlet = Inlet(tape, x, len(tape))
        assert inlet.is_open is is_open
        if not is_open:
            with pytest.raises(ValueError, match="bytes in place of"):
                inlet.replay(x)


class Sizes(Layer):
    """Writes down how many rows it sees at a time."""

    def __init__(self):
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return x


def test_an_explicit_batch_size_is_obeyed():
    sizes = Sizes()
    net = Model([sizes, Dense(2)], seed=0)
    for n, batch_size, expected in [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (20000, 19999, [19999, 1])]:
        sizes.seen.clear()
        net.predict(np.zeros((n, 3)), batch_size=batch_size)
        assert sizes.seen == expected


@pytest.mark.parametrize("widths", [(2, 8, 1), (20, 64, 64, 2), (784, 128, 10), (64, 4096, 64)])
def test_blocks_fit_the_cache(widths):
    sizes = Sizes()
    net = Model([sizes, *(Dense(n) for n in widths[1:])], seed=0)
    net.predict(np.zeros((20000, widths[0])))
    rows = max(sizes.seen)
    n_bytes = 4 * rows * sum(widths)
    assert n_bytes >= 128 * 1024
    assert n_bytes <= 512 * 1024 or rows == 264
    assert sum(sizes.seen) == 20000


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4", "int64"])
def test_no_memory_is_needed_per_block(dtype):
    """Beside the outputs; and data of another dtype are not converted as a whole, except foreign byte orders."""
    net, x = net_of().build(FEATURES), np.ones((100_000, FEATURES), dtype)
    peaks = [peak_of(lambda n=n: net.predict(x[:n], batch_size=100)) - 4 * n * OUTPUTS for n in (1000, 100_000)]
    assert peaks[1] <= peaks[0] + (x.nbytes if dtype == ">f4" else 1000)


def test_evaluating_takes_the_memory_of_the_outputs():
    net, x, t = net_of(), np.ones((50_000, FEATURES)), np.ones((50_000, OUTPUTS), np.float32)
    assert peak_of(lambda: net.evaluate(x, t, "mse")) < 4 * 50_000 * OUTPUTS + 700_000


# Threads


def in_threads(functions):
    """Call the functions at the same time; raise what one of them raises."""
    begin, errors = threading.Barrier(len(functions)), []

    def run(function):
        try:
            begin.wait(30)
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error


@pytest.fixture
def many_switches():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("many_switches")
@pytest.mark.parametrize("layers", [(), (Square,), (OwnSigmoid,)], ids=["", "numpy", "own kernels"])
def test_threads_predict_on_one_model_at_once(layers):
    expected = net_of("float32", *(kind() for kind in layers)).predict(X)
    for _ in range(5):
        net = net_of("float32", *(kind() for kind in layers))  # not built: whoever comes first builds it

        def predict(seed, net=net):
            for start in np.random.default_rng(seed).integers(0, len(X) - 1, 60):
                for rows in (1, 3, len(X)):
                    assert same_bits(net.predict(X[start : start + rows]), expected[start : start + rows])
                assert same_bits(net.predict_one(X[start]), expected[start])
                assert same_bits(net.predict(X[start:], batch_size=100), expected[start:])

        in_threads([lambda seed=seed: predict(seed) for seed in range(4)])


@pytest.mark.parametrize("first", [True, False], ids=["its first row", "a later row"])
def test_a_thread_predicts_while_another_is_in_the_middle_of_it(first):
    """The first waits inside its forward pass until the second is through."""
    inside, go_on, gate = threading.Event(), threading.Event(), threading.Lock()

    class Waiting(Square):
        def forward(self, x):
            if gate.acquire(blocking=False):
                inside.set()
                assert go_on.wait(30)
            return x * x

    plain, net, got = net_of("float32", Square()), net_of("float32", Waiting()).build(FEATURES), []
    if not first:
        gate.acquire()
        net.predict_one(X[0])
        gate.release()
    thread = threading.Thread(target=lambda: got.extend((net.predict(X[:1]), net.predict_one(X[0]))))
    thread.start()
    assert inside.wait(30)
    assert same_bits(net.predict(X[1:2]), plain.predict(X[1:2]))
    assert same_bits(net.predict_one(X[1]), plain.predict_one(X[1]))
    go_on.set()
    thread.join()
    assert same_bits(got[0], plain.predict(X[:1]))
    assert same_bits(got[1], plain.predict_one(X[0]))


def test_an_error_of_a_layer_comes_out_and_is_over():
    class Failing(Square):
        fails = True

        def forward(self, x):
            if self.fails:
                raise ZeroDivisionError("told to")
            return x * x

    failing = Failing()
    net = net_of("float32", failing)
    for call in (lambda: net.predict(X), lambda: net.predict(X[:1]), lambda: net.predict_one(X[0])):
        with pytest.raises(ZeroDivisionError, match="told to"):
            call()
    failing.fails = False
    assert same_bits(net.predict(X), net_of("float32", Square()).predict(X))


# What a model predicts is what it is now


class Power(Layer):
    """x^(2 times), from kernels; tells nobody that its recording fixes `times`."""

    times = 1

    def _forward(self, x, y, run):
        self.kernels.identity_forward(x, y, tape=run.tape)
        for _ in range(self.times):
            self.kernels.softplus_forward(y, y, tape=run.tape)


class Outside(Layer):
    """Computes outside kernels, which training refuses."""

    slope = 2.0

    def _forward(self, x, y, run):
        np.multiply(x, self.slope, out=y)


class Offset(Square):
    """In NumPy, with a number."""

    offset = 0.0

    def forward(self, x):
        return x + self.offset


def set_slope(net):
    net.layers[-2].negative_slope = 0.7


def set_weights(net):
    net.layers[0].w = np.full((FEATURES, 5), 0.25)


def set_weights_in_place(net):
    net.layers[0].w *= 2


def set_params(net):
    net.params = np.linspace(-1, 1, net.n_parameters)


def set_params_in_place(net):
    net.params[3:7] = 2


def fit(net):
    net.fit(X, np.ones((len(X), OUTPUTS)), "mse", SGD(0.1), epochs=2)


def train_batch(net):
    net.train_batch(X, np.ones((len(X), OUTPUTS)), loss="mse", optimizer=SGD(0.1))


def set_state(net):
    other = net_of(str(net.dtype)).build(FEATURES)
    other.params *= 3
    net.__setstate__(copy.deepcopy(other.__getstate__()))


CHANGES = (set_slope, set_weights, set_weights_in_place, set_params, set_params_in_place, fit, train_batch, set_state)


def predictions(net):
    some = net.predict(X), net.predict(X[:1]), net.predict_one(X[0]), net(X, batch_size=9)
    t = np.ones((len(X), OUTPUTS))
    return [*some, np.array(net.evaluate(X, t, "mse")["loss"]), net.forward(X)]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_shows_in_the_next_prediction(change):
    net, fresh = net_of(), net_of().build(FEATURES)
    before = predictions(net)
    change(net)
    change(fresh)
    after = predictions(net)
    assert all(same_bits(a, b) for a, b in zip(after, predictions(fresh), strict=True))
    assert not any(same_bits(a, b) for a, b in zip(after, before, strict=True))
    assert same_bits(after[0], after[-1])  # an eager pass


@pytest.mark.parametrize(
    ("kind", "name", "value"), [(Power, "times", 3), (Outside, "slope", 5.0), (Offset, "offset", 1.0)]
)
def test_a_change_of_an_own_layer_shows_in_the_next_prediction(kind, name, value):
    net, fresh = net_of("float32", kind()), net_of("float32", kind()).build(FEATURES)
    before = predictions(net)
    for model in (net, fresh):
        setattr(model.layers[1], name, value)
    after = predictions(net)
    assert all(same_bits(a, b) for a, b in zip(after, predictions(fresh), strict=True))
    assert not any(same_bits(a, b) for a, b in zip(after, before, strict=True))
    assert same_bits(after[0], after[-1])


class OwnProduct(Dense):
    """Has a kernel call of its own for the product that runs with the activation behind it."""

    code = Dense.code
    factor = 1.0

    def forward_fused(self, x, y, activation, run, *scaling):
        self.kernels.dense_forward(x, self.w * np.float32(self.factor), self.b, y, activation.kernel, tape=run.tape)


def test_a_product_of_ones_own_that_runs_with_an_activation_is_called():
    net, fresh = (Model([OwnProduct(5, "tanh"), Dense(OUTPUTS)], seed=0).build(FEATURES) for _ in range(2))
    before = predictions(net)
    for model in (net, fresh):
        model.layers[0].factor = 0.5
    after = predictions(net)
    assert all(same_bits(a, b) for a, b in zip(after, predictions(fresh), strict=True))
    assert not any(same_bits(a, b) for a, b in zip(after, before, strict=True))


class Curve(Square):
    """Says that a recording fixes an array."""

    constants = ("points",)

    def __init__(self):
        self.points = np.arange(3.0)


def test_constants_may_be_arrays():
    x, t = data(rows=9)
    net = Model([Curve(), Dense(OUTPUTS)], seed=0)
    first = net.predict(x)
    net.layers[0].points = np.arange(3.0)
    assert same_bits(net.predict(x), first)
    net.layers[0].points = np.arange(4.0)
    assert same_bits(net.predict_one(x[0]), first[0])
    assert np.isfinite(net.evaluate(x, t, "mse")["loss"])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copy_predicts_with_its_own_parameters(duplicate):
    net = net_of()
    before = predictions(net)
    other = duplicate(net)
    other.layers[0].w[...] = 0.5
    if duplicate is not copy.copy:  # which shares layers and parameters
        assert all(same_bits(a, b) for a, b in zip(predictions(net), before, strict=True))
    assert not same_bits(other.predict(X), before[0])
    assert not same_bits(other.predict_one(X[0]), before[2])


def test_evaluate_with_a_loss_that_contains_the_last_layer_shows_changes():
    labels = np.arange(len(X)) % OUTPUTS
    net, fresh = (Model([Dense(4), LeakyReLU(0.1), Dense(OUTPUTS), Softmax()], seed=0) for _ in range(2))
    before = net.evaluate(X, labels)
    fresh.build(FEATURES)
    for model in (net, fresh):
        model.layers[1].negative_slope = 0.9
    assert net.evaluate(X, labels) == fresh.evaluate(X, labels) != before
    value, _ = CrossEntropy().value_and_grad(net.predict(X), labels)
    assert net.evaluate(X, labels)["loss"] == pytest.approx(value, rel=1e-5)


def test_validation_shows_the_parameters_of_every_epoch():
    x, t = data()
    net, seen = small_net(), []
    net.fit(
        x, t, "mse", SGD(0.1), epochs=4, validation_data=(x, t),
        callbacks=[lambda model, epoch, logs: seen.append(copy.deepcopy(model).evaluate(x, t)["loss"])],
    )  # fmt: skip
    assert net.history.val_loss == seen
    assert len(set(seen)) == 4


def test_a_numpy_layer_keeps_working_between_predictions_and_training():
    x, t = data(rows=50)
    nets = [Model([Dense(5), Scale(), Dense(OUTPUTS)], seed=0) for _ in range(2)]
    for _ in range(3):
        for i, net in enumerate(nets):
            net.fit(x, t, "mse", SGD(0.1) if net.optimizer is None else None, epochs=2, batch_size=8)
            if i:
                net.predict(x)
                net.predict_one(x[0])
    assert same_bits(nets[0].params, nets[1].params)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_passes_through(value):
    net, x = net_of(), X[:3].copy()
    x[1, 2] = value
    expected = net.predict(x)
    assert np.isfinite(expected[[0, 2]]).all()
    assert same_bits(net.predict_one(x[1]), expected[1])
    assert same_bits(net.predict(x[1:2]), expected[1:2])


def test_numbers_too_large_become_infinite_without_a_warning():
    net = Model([Dense(1, bias=False, weight_initializer="ones")], seed=0).build(1)
    assert net.predict([[1e300]])[0, 0] == np.inf
    assert net.predict_one([1e300])[0] == np.inf
