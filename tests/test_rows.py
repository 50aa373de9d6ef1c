"""A few rows in one compiled call: the bits, errors and warnings of Python's way, whatever comes and changes."""

import copy
import gc
import threading
import warnings
from weakref import ref

import numpy as np
import pandas as pd
import pytest
from custom import Scale
from nets import FEATURES, OPTIMIZERS, OUTPUTS, data, each_dtype, same_bits
from test_online import (
    CHANGES,
    NETS,
    READ,
    Compiled,
    assert_alike,
    by_python,
    grouped,
    pair,
    state_of,
)

import fastnn
from fastnn import L2, MAE, MSE, SGD, Adam, BinaryCrossEntropy, CrossEntropy, Dense, Huber, Model, Sigmoid, Softmax
from fastnn._core.tape import RowsFunction
from fastnn.inference import OneBlock

X, T = (0.3 * array for array in data(rows=70))
SIZES = (2, 1, 5, 64, 2, 1, 5, 64, 3, 3)  # each twice, and the first time by Python


def by_blocks(net, x, out=None):
    """Predict as Python does, without a compiled call."""
    predictors = net._predictors
    predictor = predictors.current()
    of_rows = predictor.of_rows
    predictors.of_rows = predictor.of_rows = lambda *arguments: None
    try:
        return net.predict(x, out=out)
    finally:
        predictors.of_rows = predictor.of_rows = of_rows


def outcome(call):
    """What is returned, or raised."""
    try:
        return np.asarray(call()).tobytes()
    except (TypeError, ValueError, FloatingPointError) as error:
        return type(error), str(error)


@pytest.fixture
def compiled(monkeypatch):
    return Compiled(monkeypatch)


# Steps


@each_dtype
@pytest.mark.parametrize("name", [name for name in NETS if name != "numpy"])
def test_few_rows_train_as_python_trains_them(name, dtype, compiled):
    """With every optimizer, and batches of several sizes in turn."""
    for rule, make in {**OPTIMIZERS, "groups": grouped}.items():
        (one, other), x, t = pair(NETS[name], dtype), X.astype(dtype), T.astype(dtype)
        one.train_batch(x, t, None, "mse", make())
        by_python(other, x, t, None, "mse", make())
        compiled.by_python = 0
        values = [one.train_batch(x[:n], t[:n]) for n in SIZES]
        assert compiled.by_python == len(set(SIZES)), rule
        assert values == [by_python(other, x[:n], t[:n]) for n in SIZES], rule
        assert_alike(one, other)


ROWS = {
    "as they are": (lambda x: x, True),
    "of another dtype": (lambda x: x.astype("f" if x.dtype == "d" else "d"), True),
    "strided": (lambda x: np.repeat(np.repeat(x, 2, axis=0), 2, axis=1)[::2, ::2], True),
    "backwards": (lambda x: x[::-1].copy()[::-1], True),
    "in columns": (np.asfortranarray, True),
    "read-only": (fastnn.arrays.read_only, True),
    "whole": (lambda x: (8 * x).astype(np.int32), True),
    "lists": (lambda x: x.tolist(), True),
    "tuples": (lambda x: tuple(map(tuple, x.tolist())), True),
    "a list of arrays": (list, True),
    "lists of whole numbers and floats": (lambda x: [[int(8 * a), *row] for a, *row in x.tolist()], True),
    "byte-swapped": (lambda x: x.astype(x.dtype.newbyteorder()), False),
    "a frame": (pd.DataFrame, False),
    "halves": (lambda x: x.astype(np.float16), False),
    "a list of whole arrays": (lambda x: [*(8 * x).astype(int)], False),
    "lists of large whole numbers": (lambda x: [[2**60 + 2**36 + 1, *row] for _, *row in x.tolist()], False),
}


@each_dtype
@pytest.mark.parametrize("form", ROWS)
def test_rows_in_any_form(form, dtype, compiled):
    make, is_fast = ROWS[form]
    one, other = pair(dtype=dtype)
    x, t = X.astype("f").astype(dtype), T.astype("f").astype(dtype)
    for net in (one, other):
        net.train_batch(x, t, None, "mse", SGD(0.0 if "large" in form else 1e-3))
        for n in SIZES:
            net.train_batch(x[:n], t[:n])
            net.predict(x[:n])
    assert_alike(one, other)
    for net in (one, other):
        net._tree.digits._calls = 2**20  # no look is due for long
    compiled.by_python = 0
    for n in (1, 5, 64):
        given = make(x[:n])
        assert (one._predictors.whole.of_rows(given, 2) is not None) == is_fast
        assert same_bits(one.predict(given), by_blocks(one, np.asarray(given, dtype)))
        assert one.train_batch(given, t[:n]) == by_python(other, given, t[:n])
        targets = make(t[:n]) if is_fast else t[:n]
        assert one.train_batch(x[:n], targets) == by_python(other, x[:n], targets)
    assert compiled.by_python - 6 == (0 if is_fast else 3)
    assert_alike(one, other)


@pytest.mark.parametrize("name", READ)
def test_targets_of_few_rows_of_every_loss(name, compiled):
    make, end, targets = READ[name]
    outputs = 3 if name in ("cross-entropy", "multi-margin") else 2 if name == "gaussian" else 1
    one, other = pair(lambda: [Dense(5, "tanh"), Dense(outputs), *end()])
    rules, loss = (SGD(1e-3), SGD(1e-3)), (make(), make())
    forms = [np.array(targets), targets, tuple(targets)]
    if outputs == 3:
        forms += [np.array(targets, kind) for kind in ("i4", "u1", "f8")] + [[np.int64(t) for t in targets]]
    else:
        forms += [np.array(targets, "f")[:, None], [[t] for t in targets], [np.array([float(t)]) for t in targets]]
    one._tree.digits._calls, by = 2**20, []  # no look is due for long
    for y in [forms[0], *forms]:
        compiled.by_python = 0
        assert one.train_batch(X[:3], y, None, loss[0], rules[0]) == by_python(other, X[:3], y, None, loss[1], rules[1])
        by.append(compiled.by_python - 1)
        assert_alike(one, other)
    assert by == [1, 0, 0, 0, 0, 0, *([1, 0] if outputs == 3 else [0])]


def bad_batches():
    x, t = X[:3], T[:3]
    nan, inf, wide = x.copy(), x.copy(), x.copy()
    nan[2, 1], inf[0, 3], wide[1, 1] = np.nan, -np.inf, 1e300
    for rows in (
        nan,
        inf,
        wide,
        nan.tolist(),
        x[:, :2],
        x[0],
        x[None],
        x[:0],
        [],
        [[]],
        [[1.0, 2.0], [1.0]],
        x.astype("U9"),
    ):
        yield rows, t
    yield [[*x[0]], [*x[1]], [*x[2][:-1], "a"]], t
    yield [1.0, 2.0, 3.0, 4.0], t
    yield "cat", t
    yield None, t
    bad = t.copy()
    bad[1, 2] = np.nan
    for targets in (
        bad,
        bad.tolist(),
        t[:2],
        t[:, :1],
        t[:, 0],
        t[None],
        0.5,
        None,
        "cat",
        [0.5, 1.5, 2.5],
        [[1], [2], [3]],
    ):
        yield x, targets


@each_dtype
def test_bad_rows_change_nothing_and_say_what_they_say_by_themselves(dtype):
    one, other = pair(dtype=dtype)
    for net in (one, other):
        net.train_batch(X, T, None, "mse", Adam(0.01))
        net.train_batch(X[:3], T[:3])
    before = state_of(one)
    for x, t in bad_batches():
        if dtype == "float64" and type(x) is np.ndarray and x.size and x.dtype.kind == "f" and np.nanmax(x) == 1e300:
            continue
        said = outcome(lambda x=x, t=t: one.train_batch(x, t))
        assert said == outcome(lambda x=x, t=t: by_python(other, x, t))
        assert isinstance(said, tuple), (x, t)
        assert outcome(lambda x=x: one.predict(x)) == outcome(lambda x=x: by_blocks(other, x))
    assert all(map(same_bits, state_of(one), before))
    assert not one._trainer.claim.taken


@pytest.mark.parametrize(
    ("layers", "loss", "good", "bad"),
    [
        ([Dense(3), Softmax()], CrossEntropy, [0, 2], ([0, 3], [-1, 0], [0.5, 1], [0], [[0], [5]], [2**70, 0])),
        ([Dense(1), Sigmoid()], BinaryCrossEntropy, [0, 1], ([0, 1.5], [-1, 0], [[0.5], [2]], [np.inf, 0], [1])),
    ],
)  # fmt: skip
def test_bad_targets_say_what_they_say_by_themselves(layers, loss, good, bad):
    one, other = pair(lambda: copy.deepcopy(layers))
    for net in (one, other):
        net.train_batch(X, np.resize(good, len(X)), None, loss(), SGD(0.1))  # there is room for all that comes
        net.train_batch(X[:2], good)
    for rows, y in enumerate((*bad, *(np.array(y) for y in bad if 2**70 not in y)), 3):
        assert outcome(lambda y=y: one.train_batch(X[:2], y)) == outcome(lambda y=y: by_python(other, X[:2], y)), y
        assert_alike(one, other)
        right = np.resize(good, rows)  # for which a step is recorded over the same memory
        assert one.train_batch(X[:rows], right) == by_python(other, X[:rows], right)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_counts_from_the_next_rows_on(change):
    nets = pair(NETS["all"])
    for net in nets:
        net.train_batch(X, T, loss=MSE(), optimizer=SGD(0.1))
        for n in SIZES:
            net.train_batch(X[:n], T[:n])
    for net in nets:
        change(net)
    for n in SIZES:
        assert nets[0].train_batch(X[:n], T[:n]) == by_python(nets[1], X[:n], T[:n])
        assert_alike(*nets)


def test_losses_and_optimizers_in_turn_are_compiled(compiled):
    """Objects, names, new losses that are set alike; and predictions are of what the last optimizer averages."""
    one, other = pair()
    turns = [
        (loss, rule)
        for loss in ("mse", "mae", MSE, lambda: Huber(0.5), MAE)
        for rule in ("sgd", Adam(0.01), SGD(0.01, average=fastnn.EMA(0.9)))
    ]
    rules = {
        id(rule): (rule, eval(repr(rule), vars(fastnn))) if not isinstance(rule, str) else (rule, rule)
        for _, rule in turns
    }
    for lap in range(3):
        for loss, rule in turns[:7]:
            compiled.by_python = 0
            made = [loss if isinstance(loss, str) else loss() for _ in range(2)]
            mine, its = rules[id(rule)]
            got = one.train_batch(X[:3], T[:3], None, made[0], mine)
            assert got == by_python(other, X[:3], T[:3], None, made[1], its)
            assert one.loss is made[0] or isinstance(made[0], str)
            assert one.optimizer is mine or isinstance(mine, str)
            assert lap == 0 or compiled.by_python == 1
            assert same_bits(one.predict(X), other.predict(X))
    assert_alike(one, other)


def test_a_loss_that_was_taken_for_another_is_itself_when_it_is_changed():
    one, other = pair()
    losses = [(MSE(), MSE()) for _ in range(2)]
    rules = SGD(0.1), SGD(0.1)
    for first, second in losses:
        for _ in range(2):
            one.train_batch(X[:3], T[:3], None, first, rules[0])
            by_python(other, X[:3], T[:3], None, second, rules[1])
    for loss in losses[0]:
        loss.reduction = "sum"
    for i in (1, 0, 1):
        assert one.train_batch(X[:3], T[:3]) == by_python(other, X[:3], T[:3])
        got = one.train_batch(X[:3], T[:3], None, losses[i][0])
        assert got == by_python(other, X[:3], T[:3], None, losses[i][1])
    assert_alike(one, other)


def test_digits_that_are_lost_are_told_as_often_as_by_python():
    """At the first four looks, and then ever more rarely, by both ways together."""
    for ways in (
        (lambda net, x: net.predict(x), by_blocks),
        (lambda net, x: net.train_batch(x, T[:3]), lambda net, x: by_python(net, x, T[:3])),
    ):
        told = []
        for call in ways:
            net = Model([Dense(OUTPUTS)], seed=0)
            for _ in range(2):
                net.train_batch(X[:3].astype("f"), T[:3].astype("f"), None, "mse", SGD(0.0))
            for i in range(40):
                x = X[:3].copy() if i < 20 else X[:3] + 1.7e9
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    call(net, x)
                told += [i] * bool(caught)
        assert told == [31, 31]  # the 32nd look


def test_weights_and_numpy_parts_are_left_to_python(compiled):
    net = Model([Dense(5), Scale(), Dense(OUTPUTS)], seed=0)
    for _ in range(3):
        net.train_batch(X[:3], T[:3], None, "mse", "sgd")
    assert compiled.by_python == 3
    net, other = pair(penalties=[L2(0.1)])
    for weight in (None, np.array([1.0, -2.0, 0.5]), None, np.ones(3), None):
        assert net.train_batch(X[:3], T[:3], weight, "mse", "sgd") == by_python(
            other, X[:3], T[:3], weight, "mse", "sgd"
        )
    assert_alike(net, other)


def test_what_is_compiled_keeps_nothing_alive():
    """Neither a model nor, while it lives, the memory of an optimizer that is gone."""
    gc.disable()
    try:
        net, rule = Model(NETS["dense"](), seed=0), SGD(0.1)
        for n in SIZES:
            net.train_batch(X[:n], T[:n], None, MSE(), rule)
            net.predict(X[:n])
        plan = ref(net._trainer._training._plans and next(iter(net._trainer._training._plans.values())))
        net.train_batch(X[:3], T[:3], None, "mae", "adam")
        assert plan() is not None
        del rule
        net.train_batch(X[:3], T[:3], None, "mae", "adam")
        assert plan() is None
        kept = [ref(net), ref(net._predictors.current()), ref(net[0])]
        del net
        assert [one() for one in kept] == [None, None, None]
    finally:
        gc.enable()


def test_rows_are_predicted_by_threads_while_one_trains():
    """Of a net whose predictions let other threads in: each has the bits of its own rows."""
    net = Model([Dense(700, "relu"), Dense(500, "relu"), Dense(OUTPUTS)], seed=0)
    expected = {n: net.predict(X[:n]) for n in (2, 7, 33)}
    wrong = []

    def predict(n):
        out = np.empty_like(expected[n])
        for _ in range(60):
            if not (same_bits(net.predict(X[:n]), expected[n]) and same_bits(net.predict(X[:n], out=out), expected[n])):
                wrong.append(n)  # noqa: PERF401 - what threads have found so far

    workers = [threading.Thread(target=predict, args=(n,)) for n in expected for _ in range(2)]
    for worker in workers:
        worker.start()
    other = Model([Dense(OUTPUTS)], seed=0)
    for _ in range(50):
        other.train_batch(X[:5], T[:5], None, "mse", "sgd")
    for worker in workers:
        worker.join()
    assert not wrong


# Arrays of one's own


@each_dtype
def test_outputs_are_written_where_they_are_wanted(dtype):
    net = Model(NETS["dense"](), seed=0, dtype=dtype)
    for n in (1, 3, 64, 70, 1, 3):
        x, expected = X[:n].astype(dtype), None
        for given in (x, X[:n], x.tolist(), pd.DataFrame(x), np.asfortranarray(x)):
            expected = net.predict(given) if expected is None else expected
            wide = np.full((2 * n, 2 * OUTPUTS), 7.0, dtype)
            for out in (np.empty((n, OUTPUTS), dtype), wide[::2, ::-2], np.empty((OUTPUTS, n), dtype).T):
                assert net.predict(given, out=out) is out
                assert same_bits(np.ascontiguousarray(out), expected)
                assert same_bits(np.ascontiguousarray(net.predict(given, 16, out=out)), expected)
            assert (wide[1::2] == 7).all()
            assert (wide[:, ::2] == 7).all()
    for given in (X[0], X[0].tolist(), pd.Series(X[0]), X[0].astype("f")):
        for out in (np.empty(OUTPUTS, dtype), np.empty((OUTPUTS, 2), dtype)[:, 1], np.empty(OUTPUTS, dtype)[::-1]):
            assert net.predict_one(given, out=out) is out
            assert same_bits(out.copy(), net.predict_one(given))


def test_x_may_be_overwritten():
    net = Model([Dense(FEATURES)], seed=0)
    for n in (1, 3, 70, 5000):
        x = np.random.default_rng(n).normal(size=(n, FEATURES)).astype("f")
        expected = net.predict(x)
        memory = np.empty((n + 1, FEATURES), "f")
        for of_x, of_out in (
            (memory[:n], memory[:n]),
            (memory[:n], memory[1:]),
            (memory[1:], memory[:n]),
            (memory[:n], memory[:n][::-1]),
        ):
            for size in (None, 2 if n < 100 else 500):
                of_x[...] = x
                assert same_bits(net.predict(of_x, size, out=of_out).copy(), expected)


@pytest.mark.parametrize("most", [8, 3], ids=["copied", "read where it lies"])
def test_an_array_that_changes_meanwhile_is_not_read(most):
    net, x = Model([Dense(OUTPUTS)], seed=0).build(FEATURES), np.ones((5, FEATURES), "f")
    block = OneBlock(net._predictors.current()._chain, 8, 8)

    def recorded(rows):
        if rows == 5:
            x.resize((4, FEATURES), refcheck=False)  # as another thread could
        return block.recorded(rows)

    function = RowsFunction(recorded, most, 8, 100, x.dtype, net._tree, [net.params])
    assert function.of(x, 2) is None
    assert same_bits(function.of(x, 2), net.predict(x))


def test_an_array_that_numpy_warns_of_writing_to_is_written_with_its_warning():
    net, x = Model([Dense(OUTPUTS)], seed=0).build(FEATURES), np.ones((3, FEATURES), "f")
    net.predict(x)
    out = np.broadcast_arrays(np.zeros((1, OUTPUTS), "f"), np.zeros((3, 1)))[0]
    with pytest.warns((DeprecationWarning, FutureWarning)) as found:  # the second for being asked whether it may
        net.predict(x, out=out)
    assert any("writing to an array" in str(warning.message) for warning in found)
    assert same_bits(out.copy(), net.predict(x))


def refused_outs(net, rows):
    shape = (len(rows), OUTPUTS)
    locked = np.empty(shape, "f")
    locked.flags.writeable = False
    yield np.empty(shape), TypeError, "out has dtype float64, expected float32"
    yield np.empty(shape, ">f4"), TypeError, "out has dtype >f4, expected float32"
    yield np.empty((len(rows) + 1, OUTPUTS), "f"), ValueError, "out has shape .*, expected"
    yield np.empty(OUTPUTS + 1, "f"), ValueError, "out has shape .*, expected"
    yield np.empty((1, *shape), "f"), ValueError, "out has shape .*, expected"
    yield locked, ValueError, "out is read-only"
    yield np.zeros(shape, "f").tolist(), TypeError, "out is .*expected a NumPy array"
    yield np.ma.masked_array(np.zeros(shape, "f")), TypeError, "expected a NumPy array"
    if net.built:
        n = shape[0] * shape[1]
        yield net.params[1 : n + 1].reshape(shape), ValueError, "out shares memory with the parameters"
        yield net[1].mean[:OUTPUTS].reshape(1, OUTPUTS) if n == OUTPUTS else None, ValueError, "out shares memory"


@pytest.mark.parametrize("rows", [1, 3])
def test_what_cannot_be_written_to_is_refused_and_nothing_changes(rows):
    new = Model([Dense(5), fastnn.BatchNorm(), Dense(OUTPUTS)], seed=0)
    net = Model([Dense(5), fastnn.BatchNorm(), Dense(OUTPUTS)], seed=0)
    x = X[:rows].astype("f")
    net.train_batch(X, T, None, "mse", SGD(0.1, average=fastnn.EMA(0.9)))
    before = state_of(net)
    outputs = net.predict(x)
    assert same_bits(net.predict(x, out=np.empty_like(outputs)), outputs)  # the compiled path is ready from here on
    for model in (net, new):
        for out, error, message in refused_outs(model, x):
            if out is None:
                continue
            for given in (x, X[:rows], x.tolist()):
                with pytest.raises(error, match=message):
                    model.predict(given, out=out)
            if rows == 1 and not isinstance(out, list) and out.ndim == 2 and "shape" not in message:
                with pytest.raises(error, match=message):
                    model.predict_one(X[0], out=out[0])
    assert not new.built
    assert all(map(same_bits, state_of(net), before))
    with pytest.raises(ValueError, match=r"out has shape \(1, 3\), expected \(3,\)"):
        net.predict_one(X[0], out=np.empty((1, 3), "f"))
    with pytest.raises(ValueError, match="expects 4 features, got x of shape"):
        net.predict(x[:, :2], out=np.empty((rows, 3), "f"))


def test_outputs_of_a_feed_are_written_where_they_are_wanted():
    net, x = Model(NETS["dense"](), seed=0), X.astype("f")
    out = np.empty((len(x), OUTPUTS), "f")
    assert net.predict(fastnn.feeds.Arrays(x, T), out=out) is out
    assert same_bits(out, net.predict(x))
