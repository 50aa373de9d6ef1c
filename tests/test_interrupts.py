"""Interrupts, threads and children at any moment, and data that change: no model is locked or left half changed."""

import copy
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import suppress

import numpy as np
import pytest
from custom import Scale
from forks import EXIT_CODE_OF_CHILD
from nets import FEATURES, OUTPUTS, data, each_dtype, same_bits

from fastnn import (
    MSE,
    SGD,
    Adam,
    BatchNorm,
    Callback,
    Dense,
    Dropout,
    EarlyStopping,
    Layer,
    Model,
    Softmax,
    TimeLimit,
    fit_many,
)
from fastnn._core.team import Stop, run_threads
from fastnn.schedules import Linear

X, T = data()


class Interrupt(Exception):
    """What a handler raises."""


class Batches(Callback):
    """Called between batches."""

    def begin_batch(self, model, batch):
        pass

    def end_batch(self, model, batch, logs):
        pass


def net_of(layers=(), seed=0):
    """A net with counters, averages, a schedule and, while it is trained, moments: all follow from the steps."""
    dropout = Dropout(Linear(0.1, 0.5, steps=3000))
    net = Model([Dense(5), BatchNorm(), *layers, dropout, Dense(OUTPUTS)], seed=seed, dtype="float64")
    return net.build(FEATURES)


def state_of(net, optimizer):
    states = [array for layer in net._tree.all for array in layer.states.values()]
    memory = net._trainer.state.memories.get(optimizer)
    return {"params": net.params, "states": np.concatenate(states), **memory}


# Interrupts at any moment


class Trained:
    """A net, what is done to it in one go, and a twin that says what it is after so many steps."""

    x, t = X, T

    def __init__(self, layers=()):
        self.net, self.twin = net_of([kind() for kind in layers]), net_of([kind() for kind in layers])
        self.optimizer, self.twins = Adam(1e-3), Adam(1e-3)
        self.train(self.net, self.optimizer)
        self.train(self.twin, self.twins)
        self.others = [net_of(seed=1)]

    def train(self, net, optimizer):
        net.train_batch(self.x, self.t, loss="mse", optimizer=optimizer)

    def steps(self, net, optimizer):
        return int(net._trainer.state.memories.get(optimizer)["step"][0])

    def assert_consistent(self):
        """All numbers are those behind the same step."""
        while self.steps(self.twin, self.twins) < self.steps(self.net, self.optimizer):
            self.train(self.twin, self.twins)
        got, expected = state_of(self.net, self.optimizer), state_of(self.twin, self.twins)
        wrong = [name for name in expected if not same_bits(got[name], expected[name])]
        assert not wrong
        assert np.isfinite(self.net.predict(X)).all()

    def assert_free(self):
        """Any thread may train it, in any way."""
        assert not self.net._trainer.claim.taken
        errors = []

        def use():
            try:
                self.train(self.net, self.optimizer)
                self.net.predict(X)
                self.net.fit(self.x, self.t, epochs=1, batch_size=None, shuffle=False)
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        assert not errors


def fit(trained, **options):
    trained.net.fit(X, T, "mse", trained.optimizer, epochs=3, batch_size=None, shuffle=False, **options)


def by_hand(trained):
    net = trained.net
    y = net.forward(X)
    net.backward(MSE().value_and_grad(y, T)[1])
    trained.optimizer.step(net)


def many(trained):
    nets = [trained.net, *trained.others]
    fit_many(nets, X, T, "mse", trained.optimizer, epochs=3, batch_size=None, shuffle=False, n_threads=2)


def a_pass(trained):
    trained.net.partial_fit(X, T, loss="mse", optimizer=trained.optimizer, batch_size=None, shuffle=False)


def one_row(trained):
    trained.net.learn_one(X[0], T[0])


class TrainedByRows(Trained):
    """One whose twin takes the same row as a batch."""

    x, t = X[:1], T[:1]


def snapshots(trained):
    trained.net.restore(trained.net.snapshot())
    trained.train(trained.net, trained.optimizer)


OPERATIONS = {
    "train_batch": lambda trained: trained.train(trained.net, trained.optimizer),
    "fit": fit,
    "fit with callbacks": lambda trained: fit(trained, callbacks=[lambda *_: None], validation_data=(X, T)),
    "fit between batches": lambda trained: fit(trained, callbacks=[Batches(), TimeLimit(60)]),
    "fit_many": many,
    "partial_fit": a_pass,
    "learn_one": one_row,
    "predict": lambda trained: (trained.net.predict(X), trained.net.predict_one(X[0])),
    "evaluate": lambda trained: trained.net.evaluate(X, T),
    "by hand": by_hand,
    "snapshots": snapshots,
}

if hasattr(signal, "setitimer"):

    @pytest.fixture
    def interrupted():
        """Run something again and again until a timer interrupts it."""

        def handler(number, frame):
            raise Interrupt

        def run(seconds, function, *arguments):
            with suppress(Interrupt):
                try:
                    signal.setitimer(signal.ITIMER_REAL, seconds)
                    while True:
                        function(*arguments)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)

        before = signal.signal(signal.SIGALRM, handler)
        yield run
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    @pytest.mark.parametrize("layers", [(), (Scale,)], ids=["kernels", "numpy"])
    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_no_moment_of_an_interrupt_locks_a_model_or_leaves_it_half_changed(
        operation, layers, interrupted, exhaustive
    ):
        """500 of them, or 10,000: at random moments of a loop that does nothing else."""
        trained = (TrainedByRows if operation == "learn_one" else Trained)(layers)
        rng = np.random.default_rng(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pytest.PytestUnraisableExceptionWarning)
            for i, seconds in enumerate(rng.uniform(2e-6, 1e-3, 10_000 if exhaustive else 500).tolist()):
                interrupted(seconds, OPERATIONS[operation], trained)
                assert not trained.net._trainer.claim.taken
                if i % 5 == 0:
                    trained.assert_consistent()
                if i % 50 == 0:
                    trained.assert_free()
        trained.assert_consistent()
        trained.assert_free()

    def test_interrupts_at_the_first_step_leave_a_model_as_new(interrupted):
        """While it is built, recorded, or trained for the first time."""
        rng = np.random.default_rng(0)
        for seconds in rng.uniform(1e-5, 3e-3, 200).tolist():
            net = Model([Dense(5, "tanh"), BatchNorm(), Dense(OUTPUTS)], seed=0, dtype="float64")
            interrupted(seconds, lambda net=net: net.fit(X, T, "mse", "adam", epochs=2))
            assert not net._trainer.claim.taken
            net.fit(X, T, "mse", "adam", epochs=1)
            assert np.isfinite(net.params).all()

    @pytest.mark.parametrize("n_threads", [1, 2, 3])
    def test_what_a_handler_raises_ends_all_nets_of_fit_many(n_threads, interrupted):
        """It is no failure of the net that is being trained: it comes out as it is, and others are not trained on."""
        nets = [net_of(seed=seed) for seed in range(4)]
        caught = []

        def handler(number, frame):
            caught.append(Interrupt("time is up"))
            raise caught[-1]

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Interrupt, match=r"^time is up$") as error:
            fit_many(nets, X, T, "mse", "adam", epochs=10**7, n_threads=n_threads)
        assert error.value is caught[0]
        for net in nets:
            assert not net._trainer.claim.taken
            assert len(net.history) < 10**7
            net.fit(X, T, "mse", epochs=1)

    def test_a_signal_before_the_wait_for_threads_ends_the_wait(monkeypatch):
        """Python would hear it when they have ended: nothing wakes a wait for a lock that begins behind the signal."""

        def handler(number, frame):
            raise Interrupt

        def work():
            end = time.monotonic() + 20
            while not stop.is_set() and time.monotonic() < end:
                time.sleep(0.001)
            told.append(stop.is_set())

        before, stop, told = signal.signal(signal.SIGALRM, handler), Stop(), []
        send = ctypes.CDLL(None).kill  # in C, and with it in `sorted`, where no signal is looked for
        monkeypatch.setattr(os, "sched_getaffinity", {0: map(send, [os.getpid()], [signal.SIGALRM])}.get, raising=False)
        try:
            with pytest.raises(Interrupt):
                run_threads(work, 1, stop)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert told == [True]


def run(script, timeout=60):
    return subprocess.run(
        [sys.executable, "-c", PREPARE + script], timeout=timeout, check=False, capture_output=True, text=True
    )


PREPARE = (
    EXIT_CODE_OF_CHILD
    + """
import os, signal, sys, threading, time
import numpy as np
from fastnn import Adam, Dense, Model, SGD
from fastnn._core.tape import Tape, run_epochs
signal.signal(signal.SIGINT, signal.default_int_handler)
def interrupt_in(seconds):
    sent = []
    def send():
        time.sleep(seconds)
        sent.append(time.perf_counter())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    threading.Thread(target=send, daemon=True).start()
    return sent
def delay_of(function, seconds):
    sent = interrupt_in(seconds)
    try:
        while True:
            function()
    except KeyboardInterrupt:
        return time.perf_counter() - sent[0]
x, t = np.random.default_rng(0).normal(size=(2, 50, 3))
"""
)

LONG = {
    "shuffling": """
arguments = (Tape(), Tape(), None, None, np.arange(3 * 10**7), np.zeros(1, np.int64), np.zeros(1), 3 * 10**7)
call = lambda: run_epochs(*arguments, True, 0, 0, np.zeros(100))
""",
    "layer.forward": """
layer, x = Dense(2048), np.ones((12_000, 2048), "f")
layer.forward(x[:2])
call = lambda: layer.forward(x)
""",
    "layer.backward": """
layer, x = Dense(2048), np.ones((12_000, 2048), "f")
layer.forward(x)
call = lambda: layer.backward(x)
""",
    "net.forward": """
net, x = Model([Dense(2048), Dense(2)]).build(2048), np.ones((12_000, 2048), "f")
call = lambda: net.forward(x)
""",
    "net.backward": """
net, x = Model([Dense(2048), Dense(2)]).build(2048), np.ones((12_000, 2048), "f")
dy = net.forward(x)
call = lambda: net.backward(dy)
""",
}

if hasattr(signal, "pthread_kill"):

    @pytest.mark.parametrize("what", LONG)
    def test_what_takes_long_hears_signals_within_100_ms_in_a_subprocess(what):
        done = run(LONG[what] + "print(*(delay_of(call, 0.25) for _ in range(3)))")
        assert done.returncode == 0, done.stderr
        assert min(map(float, done.stdout.split())) < 0.1  # the best: a machine does other things, too


# Threads


class Same(Layer):
    """y = x."""

    def forward(self, x):
        return x

    def backward(self, dy):
        return dy


class Waiting(Same):
    """Passes on what it gets, and waits in its first forward."""

    def __init__(self):
        self.inside, self.go_on = threading.Event(), threading.Event()
        self.first = True

    def forward(self, x):
        if self.first:
            self.first = False
            self.inside.set()
            assert self.go_on.wait(30)
        return x

    backward = Same.backward


WAYS = {
    "train_batch": lambda net: net.train_batch(X, T, loss="mse", optimizer=SGD(0.1)),
    "fit": lambda net: net.fit(X, T, "mse", SGD(0.1), epochs=1),
    "fit_many": lambda net: fit_many([net], X, T, "mse", SGD(0.1), epochs=1),
    "partial_fit": lambda net: net.partial_fit(X, T, loss="mse", optimizer=SGD(0.1)),
    "learn_one": lambda net: net.learn_one(X[0], T[0], loss="mse", optimizer=SGD(0.1)),
    "forward": lambda net: net.forward(X),
    "backward": lambda net: net.backward(T),
    "step": lambda net: SGD(0.1).step(net),
    "restore": lambda net: net.restore(net.snapshot()),
    "soft_update": lambda net: net.soft_update(OTHER[0], 0.5),
}
OTHER = []


@pytest.mark.parametrize("second", WAYS)
@pytest.mark.parametrize("first", ["train_batch", "fit"])
def test_another_thread_cannot_train_the_same_model(first, second):
    waiting = Waiting()
    net = Model([waiting, Dense(OUTPUTS)], seed=0, dtype="float64").build(FEATURES)
    OTHER[:] = [Model([Same(), Dense(OUTPUTS)], seed=1, dtype="float64").build(FEATURES)]
    thread = threading.Thread(target=WAYS[first], args=(net,))
    thread.start()
    try:
        assert waiting.inside.wait(30)
        before = net.params.copy()
        with pytest.raises(RuntimeError, match="the model is being trained by another thread: wait for that"):
            WAYS[second](net)
        assert same_bits(net.params, before)
        net.predict(X)  # which anybody may
        net.evaluate(X, T, "mse")
    finally:
        waiting.go_on.set()
        thread.join()
    assert not same_bits(net.params, before)
    net.train_batch(X, T)
    net.fit(X, T, epochs=1)


def test_a_layer_cannot_train_its_own_model():
    """That is no other thread."""
    models = []

    class Within(Same):
        def forward(self, x):
            if models:
                models[0].train_batch(X, T)
            return x

        backward = Same.backward

    net = Model([Within(), Dense(OUTPUTS)], seed=0)
    net.train_batch(X, T, loss="mse", optimizer=SGD(0.1))
    models.append(net)
    methods = (
        net.train_batch,
        lambda x, y: net.fit(x, y, epochs=1, batch_size=None),
        lambda x, y: net.partial_fit(x, y, batch_size=None),
        lambda x, y: net.learn_one(x[0], y[0]),
    )
    for method in methods:
        with pytest.raises(RuntimeError, match="a loss or layer cannot train its own model"):
            method(X, T)
    models.clear()
    net.train_batch(X, T)


def test_copies_train_in_threads_of_their_own():
    net = net_of()
    net.fit(X, T, "mse", Adam(0.01), epochs=1)
    copies = [copy.deepcopy(net) for _ in range(3)]
    threads = [threading.Thread(target=other.fit, args=(X, T), kwargs={"epochs": 20}) for other in copies]
    for thread in threads:
        thread.start()
    net.fit(X, T, epochs=20)
    for thread in threads:
        thread.join()
    assert all(same_bits(other.params, net.params) for other in copies)


if hasattr(os, "fork"):

    def test_a_child_that_is_forked_in_a_callback_goes_on_with_the_fit_in_a_subprocess():
        script = """
nets, children = [], []
def make(): return Model([Dense(301, "relu"), Dense(197, "tanh"), Dense(3)], seed=0)
x, t = np.random.default_rng(0).normal(size=(500, 203)).astype("f"), np.zeros((500, 3), "f")
expected = make(); expected.fit(x, t, "mse", Adam(1e-3), epochs=4, n_threads=2, batch_size=128)
def fork(model, epoch, logs):
    if epoch == 1:
        children.append(os.fork())
net = make()
net.fit(x, t, "mse", Adam(1e-3), epochs=4, n_threads=2, batch_size=128, callbacks=[fork])
right = (net.params == expected.params).all()
net.fit(x, t, epochs=1)
if children == [0]:
    os._exit(0 if right else 3)
print(right, os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
"""
        done = run(script)
        assert done.stdout.split() == ["True", "0"], done.stderr

    def test_a_child_that_is_forked_during_the_fit_of_another_thread_can_train_in_a_subprocess():
        script = """
inside, go_on = threading.Event(), threading.Event()
def wait(model, epoch, logs):
    inside.set()
    go_on.wait(30)
net = Model([Dense(5, "tanh"), Dense(3)], seed=0)
thread = threading.Thread(target=net.fit, args=(x, t, "mse", "adam", 2), kwargs={"callbacks": [wait]})
thread.start()
inside.wait()
def child():
    net.train_batch(x, t)
    net.fit(x, t, epochs=1)
    net.predict(x)
    return 0 if np.isfinite(net.params).all() else 3
print(exit_code_of_child(child))
go_on.set()
thread.join()
"""
        done = run(script)
        assert done.stdout.split() == ["0"], done.stderr


# Data that a callback changes are seen from the next epoch on

FORMS = {
    "float64": lambda array: array.astype("float64"),
    "float32": lambda array: array.astype("float32"),
    "float16": lambda array: array.astype("float16"),
    "int": lambda array: np.round(4 * array).astype("int64"),
    "columns": lambda array: np.asfortranarray(array.astype("float32")),
    "strided": lambda array: np.repeat(array.astype("float32"), 2, axis=0)[::2],
    "byte-swapped": lambda array: array.astype(">f4"),
    "list": lambda array: array.tolist(),
}


def change_in_place(values):
    """Turn the order of the rows of an array or a list."""
    if isinstance(values, list):
        values[:] = [2 * row if isinstance(row, float) else [2 * number for number in row] for row in values[::-1]]
    else:
        values[...] = values[::-1].copy() * 2


def changed_while_or_between(form, rows, width, which, in_a_callback, dtype, labels=False, **options):
    """Return the net and its losses where one of x, y and the weights is changed after each of three epochs."""
    rng = np.random.default_rng(0)
    given = {"x": rng.normal(size=(rows, width)), "y": rng.normal(size=(rows, OUTPUTS)), "w": rng.uniform(1, 2, rows)}
    given = {name: FORMS[form](array) for name, array in given.items()}
    if labels:
        given["y"] = np.arange(rows) % OUTPUTS
    layers = [Dense(16, "tanh"), Dense(OUTPUTS), *([Softmax()] if labels else [])]
    net, losses = Model(layers, seed=0, dtype=dtype), []
    change = (lambda: np.copyto(given["y"], given["y"][::-1].copy())) if labels else (
        lambda: change_in_place(given[which]))  # fmt: skip
    options = {"batch_size": 8, "shuffle": False, "sample_weight": given["w"], **options}
    loss, optimizer = "cross_entropy" if labels else "mse", SGD(1e-3)
    if in_a_callback:
        calls = [lambda *_: change()]
        losses = net.fit(given["x"], given["y"], loss, optimizer, epochs=3, callbacks=calls, **options).loss
    else:
        for _ in range(3):
            losses += net.fit(given["x"], given["y"], loss, optimizer, epochs=1, **options).loss
            change()
    return net, losses


@each_dtype
@pytest.mark.parametrize("which", ["x", "y", "w"])
@pytest.mark.parametrize(("rows", "width"), [(21, 4), (3000, 4), (40, 160), (300, 160)], ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_data_that_are_changed_in_a_callback_are_seen_from_the_next_epoch_on(form, rows, width, which, dtype):
    """Whatever their size and dtype, and whether they are copied, gathered or read where they lie."""
    in_a_callback, expected = (
        changed_while_or_between(form, rows, width, which, inside, dtype) for inside in (True, False)
    )
    assert in_a_callback[1] == expected[1]
    assert same_bits(in_a_callback[0].params, expected[0].params)
    assert len(set(expected[1])) == 3


@each_dtype
@pytest.mark.parametrize("rows", [21, 3000])
def test_labels_that_are_changed_in_a_callback_are_seen_from_the_next_epoch_on(rows, dtype):
    in_a_callback, expected = (
        changed_while_or_between("float32", rows, 4, "y", inside, dtype, labels=True) for inside in (True, False)
    )
    assert in_a_callback[1] == expected[1]


@pytest.mark.parametrize("which", [0, 1], ids=["x", "y"])
@pytest.mark.parametrize("rows", [21, 3000])
@pytest.mark.parametrize("form", FORMS)
def test_validation_data_that_are_changed_in_a_callback_are_seen_from_the_next_epoch_on(form, rows, which):
    rng = np.random.default_rng(1)
    held_out = [FORMS[form](rng.normal(size=(rows, n))) for n in (FEATURES, OUTPUTS)]
    net, evaluated = Model([Dense(OUTPUTS)], seed=0, dtype="float64"), []

    def change(model, epoch, logs):
        change_in_place(held_out[which])
        evaluated.append(model.evaluate(*held_out)["loss"])

    history = net.fit(X, T, "mse", SGD(0.0), epochs=3, validation_data=tuple(held_out), callbacks=[change])
    assert history.val_loss[1:] == evaluated[:-1]
    assert len(set(history.val_loss)) == 3


@pytest.mark.parametrize("form", ["float64", "float32", "list"])
def test_early_stopping_watches_the_data_as_they_are_now(form):
    x, t = FORMS[form](X), FORMS[form](T)
    net = Model([Dense(OUTPUTS)], seed=0, dtype="float64")
    evaluated = []

    def change(model, epoch, logs):
        change_in_place(x)
        evaluated.append(model.evaluate(x, t)["loss"])

    history = net.fit(x, t, "mse", SGD(0.0), epochs=4, callbacks=[change, EarlyStopping(100)])
    assert history.loss[1:] == evaluated[:-1]


@pytest.mark.parametrize("rows", [21, 3000])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, t: x[0].__setitem__(0, np.nan), "x is NaN at row 0, column 0"),
        (lambda x, t: t[-1].__setitem__(0, np.inf), "y is infinite"),
        (lambda x, t: x.append(x[0]), "number of rows"),
        (lambda x, t: x[0].append(1.0), "x is no rectangular array"),
        (lambda x, t: [row.append(1.0) for row in x], "expects 4 features"),
    ],
)
def test_data_that_become_wrong_in_a_callback_end_the_fit(change, message, rows):
    x, t = (array.tolist() for array in data(rows=rows))
    net, seen = net_of(), []

    def callback(model, epoch, logs):
        seen.append(model.params.copy())
        change(x, t)

    with pytest.raises(ValueError, match=message):
        net.fit(x, t, "mse", SGD(0.01), epochs=3, callbacks=[callback])
    assert len(seen) == 1
    assert same_bits(net.params, seen[0])
    net.train_batch(X, T)


def test_the_rule_is_documented():
    assert "next epoch" in Model.fit.__doc__
