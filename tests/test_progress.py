"""The bar of a fit: where it is shown, how it moves within long epochs, and that it changes nothing."""

import io
import sys
import threading
import time
from contextlib import redirect_stderr
from types import SimpleNamespace

import numpy as np
import pytest

from fastnn import SGD, Dense, Layer, Model, fit_many
from fastnn.training.progress import Progress, _in_notebook

pytestmark = pytest.mark.once

X = np.random.default_rng(0).normal(size=(40, 3))
Y = X[:, :1].copy()
LONG = 20  # seconds until a test gives up


class Stream(io.StringIO):
    is_terminal = False

    def isatty(self):
        return self.is_terminal


class Terminal(Stream):
    is_terminal = True


STREAM = Stream()  # standard error, while something may be shown: pytest has another for every part of a test


class Waits(Layer):
    """The identity, which in one of its batches waits until something is shown."""

    def __init__(self, batch, text):
        self.batch, self.text, self.batches = batch, text, 0

    def forward(self, x):
        self.batches += 1
        end = time.monotonic() + LONG
        while self.batches == self.batch and self.text not in STREAM.getvalue() and time.monotonic() < end:
            time.sleep(0.01)
        return x

    def backward(self, dy):
        return dy


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """Without tqdm: what is shown is text."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    STREAM.is_terminal = False
    STREAM.seek(0)
    STREAM.truncate()


def net(*layers):
    return Model([*layers, Dense(1)], seed=0)


def fit(*layers, terminal=True, **options):
    STREAM.is_terminal = terminal and options.get("verbose", False)
    with redirect_stderr(STREAM):
        return net(*layers).fit(X, Y, "mse", SGD(0.1), **{"batch_size": 4, **options})


def shown():
    return STREAM.getvalue().split("\r")


def notebook(monkeypatch, shell):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def test_a_fit_in_a_notebook_shows_a_bar(monkeypatch):
    fit(epochs=3)
    assert STREAM.getvalue() == ""
    notebook(monkeypatch, SimpleNamespace(kernel=object()))
    history = fit(epochs=3)
    assert f"epoch 3/3: loss {history.loss[-1]:.4g}" in shown()[-1]
    with redirect_stderr(STREAM):
        fit_many([net(), net()], X, Y, "mse", epochs=2)
    assert "net 2/2: loss" in shown()[-1]
    fit(epochs=3, verbose=False)
    assert "net 2/2" in shown()[-1]


@pytest.mark.parametrize(
    "shell", [None, SimpleNamespace(), SimpleNamespace(kernel=None)], ids=["none", "shell", "no kernel"]
)
def test_ipython_on_no_terminal_and_without_a_kernel_shows_none(monkeypatch, shell):
    notebook(monkeypatch, shell)
    fit(epochs=3)
    assert STREAM.getvalue() == ""
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())  # while it is being imported
    assert not _in_notebook()


def test_the_bar_of_a_notebook_is_that_of_tqdm_for_notebooks(monkeypatch):
    made = []

    class Bar:
        def __init__(self, **options):
            made.append((options, self))

        def set_postfix_str(self, text):
            self.text = text

        def close(self):
            self.closed = True

    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "tqdm.auto", SimpleNamespace(tqdm=Bar))
    notebook(monkeypatch, SimpleNamespace(kernel=object()))
    fit(epochs=3)
    ((options, bar),) = made
    assert options == {"total": 3, "unit": "epoch"}
    assert (bar.n, bar.closed) == (3, True)
    assert bar.text.startswith("loss ")


@pytest.mark.parametrize(
    "options", [{}, {"validation_data": (X, Y)}, {"callbacks": [lambda *_: None]}], ids=["", "val", "callback"]
)
def test_batches_move_the_bar_where_an_epoch_is_long(options):
    fit(
        Waits(6, "epoch 0.5/2"), epochs=2, verbose=True, shuffle=False, **options
    )  # 10 batches, then those of validation
    assert any(line.startswith("epoch 0.5/2") for line in shown())
    assert "epoch 1/2: loss" in STREAM.getvalue()


def test_the_bar_does_not_move_back_or_beyond_between_epochs():
    def waits(model, epoch, logs):
        time.sleep(0.6)  # the bar would move now

    fit(epochs=2, verbose=True, callbacks=[waits])
    numbers = [float(line.split()[1].partition("/")[0]) for line in shown() if line.startswith("epoch")]
    assert numbers == sorted(numbers)
    assert {1.0, 2.0} <= {*numbers} <= {0.0, 1.0, 2.0}


@pytest.mark.parametrize(
    "options", [{}, {"validation_data": (X, Y)}, {"shuffle": False}], ids=["", "validation", "in order"]
)
def test_a_bar_changes_no_bit(options):
    plain, other = net(Dense(5, "tanh")), net(Dense(5, "tanh"))
    first = plain.fit(X, Y, "mse", epochs=20, batch_size=7, verbose=False, **options)
    second = other.fit(X, Y, "mse", epochs=20, batch_size=7, verbose=True, **options)
    np.testing.assert_array_equal(plain.params, other.params)
    assert first.to_dict() == second.to_dict()


def test_what_moves_the_bar_ends_with_the_fit():
    before = threading.active_count()
    fit(epochs=2, verbose=True)
    assert threading.active_count() == before

    def fails(model, epoch, logs):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fit(epochs=2, verbose=True, callbacks=[fails])
    assert threading.active_count() == before
    with pytest.raises(FloatingPointError):
        net().fit(X * 1e18, Y, "mse", SGD(1e9), epochs=50, verbose=True)
    assert threading.active_count() == before


def test_a_bar_whose_stream_fails_while_it_moves_does_not_end_a_fit(monkeypatch):
    class Closing(Terminal):
        def write(self, text):
            if "epoch 0." in text:
                failed.set()
                raise OSError("nobody reads it")
            return super().write(text)

    class Slow(Layer):
        def forward(self, x):
            failed.wait(LONG)
            return x

        def backward(self, dy):
            return dy

    failed = threading.Event()
    monkeypatch.setattr(sys, "stderr", Closing())
    history = net(Slow()).fit(X, Y, "mse", SGD(0.1), epochs=2, batch_size=4)
    assert failed.is_set()
    assert len(history) == 2


def test_without_threads_it_moves_behind_each_epoch(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    STREAM.is_terminal = True
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with redirect_stderr(STREAM), Progress(2, True) as progress:
            progress.update(1, {"loss": 0.5})
            progress.update(1, {"loss": 0.25})
    assert shown()[-1].rstrip() == "epoch 2/2: loss 0.25, in 0:00"


# Rates and times, and lines in a log


class Clock:
    """The time of a progress, as a test sets it."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr("fastnn.training.progress.time", SimpleNamespace(perf_counter=lambda: self.now))
        monkeypatch.setattr(threading.Thread, "start", lambda thread: (_ for _ in ()).throw(RuntimeError("none")))


def test_a_line_has_the_numbers_the_rate_and_the_time_that_is_left(monkeypatch):
    clock, STREAM.is_terminal = Clock(monkeypatch), True
    with redirect_stderr(STREAM), Progress(100, True) as progress:
        progress.rows = 60_000
        clock.now += 90
        progress.update(3, {"loss": 0.123456, "accuracy": 0.9, "val_accuracy": 0.8})
        clock.now += 3600
        progress.update(97, {"loss": 0.1})
    first, last = (line.strip() for line in shown()[1:])
    assert first == "epoch 3/100: loss 0.1235, accuracy 0.9, val_accuracy 0.8, 2k rows/s, 48:30 left"
    assert last == "epoch 100/100: loss 0.1, 1.63k rows/s, in 1:01:30"


def test_what_was_done_before_says_nothing_of_the_rate(monkeypatch):
    clock, STREAM.is_terminal = Clock(monkeypatch), True
    with redirect_stderr(STREAM):
        progress = Progress(100, True)
        progress.rows, progress.done = 10, 50
        with progress:
            clock.now += 10
            progress.update(10, {})
    assert shown()[1].strip() == "epoch 60/100: 10 rows/s, 0:40 left"


def test_a_log_gets_a_line_every_so_often(monkeypatch):
    """After a second, then later and later, but each minute, and at the end."""
    clock = Clock(monkeypatch)
    with redirect_stderr(STREAM), Progress(10_000, True) as progress:
        for _ in range(10_000):
            clock.now += 0.5
            progress.update(1, {"loss": 1.0})
    lines = STREAM.getvalue().splitlines()
    assert not any("\r" in line for line in lines)
    seconds = np.array([int(line.split()[1].partition("/")[0]) / 2 for line in lines])
    assert seconds[:4].tolist() == [1, 2, 3, 4]
    assert np.diff(seconds).max() <= 60.5
    assert len(lines) < 110
    assert lines[-1] == "epoch 10000/10000: loss 1, in 1:23:20"
    with redirect_stderr(STREAM), Progress(2, True) as progress:
        for loss in (1.0, 0.5):
            clock.now += 100
            progress.update(1, {"loss": loss})
    assert STREAM.getvalue().splitlines()[len(lines) :] == [
        "epoch 1/2: loss 1, 1:40 left",
        "epoch 2/2: loss 0.5, in 3:20",
    ]


def test_a_log_is_shown_only_where_it_is_asked_for_and_within_long_epochs_too():
    fit(epochs=3, verbose="auto", terminal=False)
    assert STREAM.getvalue() == ""
    fit(epochs=3, verbose=True, terminal=False, metrics=["mae"], validation_data=(X, Y))
    (line,) = STREAM.getvalue().splitlines()
    assert line.startswith("epoch 3/3: loss ")
    assert all(f", {name} " in line for name in ("mae", "val_loss", "val_mae"))
    fit(Waits(6, "epoch 0.5/2"), epochs=2, verbose=True, shuffle=False, terminal=False)
    assert any(line.startswith("epoch 0.5/2: ") for line in STREAM.getvalue().splitlines())


def test_tqdm_is_for_terminals_and_notebooks(monkeypatch):
    """In a log its bar would be one long line."""
    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(tqdm=lambda **options: 1 / 0))
    fit(epochs=3, verbose=True, terminal=False)
    assert STREAM.getvalue().startswith("epoch 3/3")
