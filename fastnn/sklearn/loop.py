"""The epochs of a fit by gradient steps, as scikit-learn goes over rows: in its order, until its rules end it.

Epochs run compiled, and so does what is between them where nobody looks: scikit-learn's shuffle, and the rule that ends
a fit whose loss does not become smaller.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastnn._core.tape import Ledger, Patience, Shuffle
from fastnn.arena import Array
from fastnn.model import Model
from fastnn.sklearn.recorded import Recorded
from fastnn.training.batches import Stopped

if TYPE_CHECKING:
    from fastnn.sklearn.multilayer import Multilayer


class Best:
    """The state of a net where it has been best.

    Parameters
    ----------
    net : Model
    kept : list of ndarray or None
        That state; None is how it is now.
    averaged : list of ndarray
        Averages of it that predictions are of, if the optimizer has some.
    """

    def __init__(self, net: Model, kept: list[Array] | None = None, averaged: Sequence[Array] = ()) -> None:
        self._net = net
        self.kept = [array.copy() for array in self.arrays_of(net)] if kept is None else kept
        self.averaged = list(averaged)

    @staticmethod
    def arrays_of(net: Model) -> list[Array]:
        """Return the arrays of a net that are its state."""
        memory = net._own()
        return [memory.params, *memory.states]

    @staticmethod
    def averages_of(net: Model) -> list[Array]:
        """Return the averages of them that predictions are of."""
        averages = net._trainer.averages
        if averages.params is None:
            return []
        running = averages.arrays.get("average.running")
        return [averages.params, *([] if running is None else [running])]

    def keep(self) -> None:
        """Keep the state as it is now."""
        for kept, own in zip(self.kept, self.arrays_of(self._net), strict=True):
            np.copyto(kept, own)
        averages = self.averages_of(self._net)
        if len(averages) == len(self.averaged):
            for kept, own in zip(self.averaged, averages, strict=True):
                np.copyto(kept, own)
        else:
            self.averaged = [array.copy() for array in averages]

    def put_back(self) -> None:
        """Give the net the state that is kept."""
        for kept, own in zip(self.kept, self.arrays_of(self._net), strict=True):
            np.copyto(own, kept)
        averages = self.averages_of(self._net)
        if len(averages) == len(self.averaged):
            for kept, own in zip(self.averaged, averages, strict=True):
                np.copyto(own, kept)
        else:  # there were none yet
            self._net._written(self._net.params, *self._net._own().running)

    def of(self, net: Model) -> Best:
        """Return the same of a net that has taken over the parameters of this one: what only one has is as it is."""
        known = {array.dtype: array for array in self.kept[1:]}
        states = self.arrays_of(net)[1:]
        kept = [known.get(array.dtype, array) for array in states]
        same = [one if one.shape == own.shape else own for one, own in zip(kept, states, strict=True)]
        return Best(net, [self.kept[0], *(array.copy() for array in same)])


class Validation:
    """Rows that are kept apart, as the net reads them and as they were given, with targets and weights."""

    def __init__(self, x: Any, y: Any, weight: Array | None, given: Any) -> None:
        self.x, self.y, self.weight, self.given = x, y, weight, given


def go(
    estimator: Multilayer, recorded: Recorded, validation: Validation | None, best: Best | None, incremental: bool
) -> None:
    """Go over the rows until the rules of the estimator end it, and write down on it how that went."""
    e, watch, order, epochs = estimator, recorded.watch, recorded.order, estimator.max_iter
    pace, shuffle = Pace(e, recorded), _shuffle(e)
    patience = None if best is not None else _patience(e)
    ledger = Ledger(recorded.history.loss, e.__dict__, patience)
    is_seen = bool(e.verbose) or pace.moves or validation is not None or not recorded.is_alone
    e.n_iter_, stopped = 0, False
    try:
        with recorded.team:
            if watch is not None:
                watch.begin()
            while e.n_iter_ < epochs:
                left = 1 if incremental else epochs - e.n_iter_
                if watch is not None:
                    watch.begin_epoch(e.n_iter_)
                    if recorded.renew(left):
                        order = recorded.order
                try:
                    if patience is not None and not is_seen and (shuffle is not None or not e.shuffle):
                        recorded.go_on(shuffle, left, ledger)
                    else:
                        if e.shuffle:
                            e._random_state.shuffle(order)
                        recorded.epoch(ledger, left)
                except FloatingPointError:
                    if best is None:
                        if not incremental:
                            _warn_of_last(epochs)  # where scikit-learn ends, too
                        raise
                    _lost(e, left, len(order))
                    break
                loss = e.loss_
                if e.verbose:
                    print(f"Iteration {e.n_iter_}, loss = {loss:.8f}")
                if validation is not None:
                    recorded.refresh()
                    e._look(validation, best)
                if pace.moves:
                    pace.end_epoch(e.t_)
                if watch is not None or recorded.looks:
                    logs = e._logs(loss, validation)
                    is_over = watch is not None and watch.end_epoch(e.n_iter_ - 1, logs)
                    recorded.look(logs)
                    if is_over:
                        break
                if e._no_improvement_count > e.n_iter_no_change:
                    what = "Training loss" if best is None else "Validation score"
                    why = (
                        f"{what} did not improve more than tol={e.tol:f} for {e.n_iter_no_change:d} consecutive epochs."
                    )
                    if pace.stops(why):
                        stopped = True
                        break
                    e._no_improvement_count = 0
                    if patience is not None:
                        patience.begin_anew()
                if incremental:
                    break
                if e.n_iter_ == epochs:
                    _warn_of_last(epochs)
    except KeyboardInterrupt:
        if watch is None or not watch.is_over():
            warnings.warn("Training interrupted by user.", stacklevel=2)
    except Stopped as error:
        recorded.history.why = str(error)
    finally:
        if best is not None and (stopped or not incremental):
            best.put_back()
        elif best is None:
            recorded.refresh()
        e._stopped = stopped and incremental and best is not None
        recorded.close([])
        if watch is not None:
            watch.end()


def _shuffle(e: Multilayer) -> Shuffle | None:
    """Return the shuffle of the estimator's RandomState, compiled, if it has one and that is no subclass."""
    random = e._random_state
    if not e.shuffle or type(random) is not np.random.RandomState or not hasattr(random, "_bit_generator"):
        return None
    return Shuffle(random, is_shared=type(e.random_state) is not int)


def _patience(e: Multilayer) -> Patience:
    """Return the rule by which losses end a fit."""
    most = float(min(e.n_iter_no_change, 2**62))  # whole numbers have no end
    return Patience(float(e.tol), most, float(e.best_loss_), e._no_improvement_count)


def _warn_of_last(epochs: int) -> None:
    text = f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the optimization hasn't converged yet."
    warnings.warn(text, ConvergenceWarning, stacklevel=3)


def _lost(e: Multilayer, epochs: int, rows: int) -> None:
    """Write down what comes of NaN in the epochs that are left: scikit-learn goes there, and then back to the best."""
    nothing = [np.nan] * epochs
    assert e.validation_scores_ is not None
    e.validation_scores_ += nothing
    e.loss_curve_ += nothing
    e.loss_, e.n_iter_, e.t_ = np.nan, e.max_iter, e.t_ + epochs * rows
    _warn_of_last(e.max_iter)


class Pace:
    """How the learning rate of SGD changes between epochs: "constant", "invscaling" or "adaptive"."""

    def __init__(self, estimator: Multilayer, recorded: Recorded) -> None:
        self._estimator, self._rule = estimator, recorded.training.update.optimizer
        state = recorded.training.update.state
        self._velocity = state.get("velocity")
        self._mode = estimator.learning_rate if estimator.solver == "sgd" else "constant"
        self.moves = self._mode == "invscaling"

    def _set(self, lr: float) -> None:
        """Set the rate: scikit-learn's velocity has it in it, ours does not."""
        rule = self._rule
        if self._velocity is not None and lr > 0:
            self._velocity *= rule.lr / lr
        rule.lr = lr

    def end_epoch(self, rows: int) -> None:
        """Let the rate follow the number of rows seen so far."""
        e = self._estimator
        self._set(float(e.learning_rate_init) / (rows + 1) ** e.power_t)

    def stops(self, why: str) -> bool:
        """Whether the fit ends where nothing has become better for long; if not, the rate is a fifth from now on."""
        verbose = self._estimator.verbose
        if self._mode != "adaptive":
            if verbose:
                print(why + " Stopping.")
            return True
        if self._rule.lr <= 1e-6:
            if verbose:
                print(why + " Learning rate too small. Stopping.")
            return True
        self._set(self._rule.lr / 5.0)
        if verbose:
            print(f"{why} Setting learning rate to {self._rule.lr:f}")
        return False
