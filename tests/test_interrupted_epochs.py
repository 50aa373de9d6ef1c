"""Epochs are in all that tells of them, or in nothing, wherever a signal's handler raises."""

import _thread
import signal
import sys
import time
import warnings
from contextlib import suppress
from functools import partial
from itertools import chain, repeat, starmap

import numpy as np
import pytest
from nets import FEATURES, OUTPUTS, data, same_bits

from fastnn import Adam, BatchNorm, Callback, Dense, Model
from fastnn._core.tape import Ledger, Patience, Tape, run_epochs
from fastnn.training import epochs as training_epochs
from fastnn.training import plan as training_plan
from fastnn.training.epochs import Fit

X, T = data()


class Interrupt(Exception):
    """What a handler raises."""


class Anywhere:
    """Raises before the line, of these modules, that comes as number `at`, as a signal's handler may."""

    def __init__(self, modules, at):
        self._files, self.left = {module.__file__ for module in modules}, at

    def __call__(self, frame, event, _):
        if frame.f_code.co_filename not in self._files:
            return None
        if event == "line":
            self.left -= 1
            if self.left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


def interrupted_anywhere(monkeypatch, owner, name, modules, function):
    """Run the function again and again, and interrupt what it calls by this name before one line after the other."""
    called, before, at, is_over = getattr(owner, name), sys.gettrace(), 0, False

    def traced(*given):
        sys.settrace(trace)
        try:
            return called(*given)
        finally:
            sys.settrace(before)

    monkeypatch.setattr(owner, name, traced)
    while not is_over:
        trace = Anywhere(modules, at)
        with warnings.catch_warnings(), suppress(KeyboardInterrupt):
            warnings.simplefilter("ignore")
            function()
        is_over = trace.left >= 0
        yield at
        at += 1
    assert at > 20


def test_an_interruption_between_any_two_lines_loses_no_epoch(monkeypatch):
    """What is in the history is what has been trained, also where it comes just behind the call that trains."""

    def fit(epochs=3):
        nonlocal net
        net = Model([Dense(5), BatchNorm(), Dense(OUTPUTS)], seed=0).build(FEATURES)
        net.fit(X, T, "mse", Adam(), epochs, batch_size=5)

    net, nets, found = None, [], set()
    for epochs in range(4):
        fit(epochs)
        nets.append(net)

    for at in interrupted_anywhere(monkeypatch, Fit, "run", [training_epochs, training_plan], fit):
        n = len(net.history)
        found.add(n)
        assert net.history.loss == nets[n].history.loss, at
        assert same_bits(net.params, nets[n].params)
    assert found == {0, 3}


@pytest.mark.parametrize("seen", [False, True], ids=["compiled", "seen"])
def test_an_interruption_of_an_estimator_between_any_two_lines_counts_each_epoch_once(seen, monkeypatch):
    estimators = pytest.importorskip("fastnn.sklearn")
    from fastnn.sklearn import loop, recorded

    def fitted(epochs):
        settings = {"max_iter": epochs, "random_state": 0, "tol": 0.1, "n_iter_no_change": 9, "callbacks": callbacks}
        return estimators.MLPRegressor(hidden_layer_sizes=4, **settings)

    callbacks, found = [Callback()] if seen else None, set()
    twins, model = [fitted(epochs) for epochs in range(1, 5)], fitted(4)
    for twin in twins:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            twin.fit(X, T)

    def fit():
        nonlocal model
        model = fitted(4)
        model.fit(X, T)

    names = "n_iter_", "t_", "loss_", "loss_curve_", "best_loss_", "_no_improvement_count"
    for at in interrupted_anywhere(monkeypatch, loop, "go", [loop, recorded, training_plan], fit):
        n = len(model.loss_curve_)
        found.add(n)
        assert model.net_.history.loss == model.loss_curve_
        if n:
            assert same_bits(model.net_.params, twins[n - 1].net_.params)
            assert [getattr(model, name) for name in names] == [getattr(twins[n - 1], name) for name in names], at
        else:
            assert (model.n_iter_, model.t_, model.best_loss_, model._no_improvement_count) == (0, 0, np.inf, 0)
    assert found == ({0, 1, 2, 3, 4} if seen else {0, 4})


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs a signal that may be handled")
@pytest.mark.parametrize("is_looked_at", [False, True], ids=["behind the call", "within it"])
def test_epochs_are_written_down_before_a_handler_raises(is_looked_at):
    """The signal comes in the third epoch, and is seen there, or when the fourth and last one is over."""
    losses, index, cursor, value = np.empty(4), np.arange(5), np.zeros(1, np.int64), np.ones(1)
    gather, step = Tape(), Tape()
    wait = time.sleep if is_looked_at else float  # signals are looked at when time has gone by

    def handler(number, frame):
        raise Interrupt

    # functions of C alone: Python would look at signals between its instructions
    come = starmap(_thread.interrupt_main, [(signal.SIGALRM,)])
    step.call(partial(next, chain(repeat(None, 2), come, repeat(None))))
    step.call(partial(wait, 0.02))
    curve, own = [], []
    state = {"n_iter_": 1, "t_": 5, "loss_curve_": own, "loss_": 3.0, "best_loss_": 3.0, "_no_improvement_count": 0}
    ledger = Ledger(curve, state, Patience(0.0, 9, 3.0, 0))
    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(Interrupt):
            run_epochs(gather, step, None, None, index, cursor, value, 5, False, 0, 0, losses, ledger=ledger)
    finally:
        signal.signal(signal.SIGALRM, before)
    n = 3 if is_looked_at else 4
    assert curve == own == [1.0] * n
    found = {"n_iter_": 1 + n, "t_": 5 + 5 * n, "loss_": 1.0, "best_loss_": 1.0, "_no_improvement_count": 0}
    assert state == {**found, "loss_curve_": own}
