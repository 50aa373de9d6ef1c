"""The epochs of a fit: what is replayed between two looks, what is written down, who is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any

import numpy as np

from fastnn._core.team import Stop, Team
from fastnn.arrays import all_finite
from fastnn.checks import number_of
from fastnn.training.callbacks import EarlyStopping
from fastnn.training.history import History
from fastnn.training.plan import EpochPlan
from fastnn.training.progress import Progress
from fastnn.training.step import Training

_SECONDS_BETWEEN_LOOKS = 0.05  # how long epochs run in one call while a progress bar waits
_EPOCHS_IN_ONE_CALL = 1000  # at first, then more: each has a place for its loss in memory
_STEPS, _LEAST, _MOST, _MOST_ROWS = 4000, 10, 1000, 1_000_000  # of fits for which nobody says how many epochs


class _Default(int):
    """A number that nobody has asked for."""


BATCH_SIZE = _Default(32)  # the rows of a step


def default_epochs(rows: int, batch: int) -> tuple[int, str]:
    """Return how many epochs train a net on so many rows with batches of so many, and why, in words.

    As many as make 4,000 steps, by which small data are learnt with the default optimizer (docs/performance.md): at
    most 1,000, and never so many that more than 1,000,000 rows are gone over, but at least 10.
    """
    wanted = -(-_STEPS // -(-rows // batch))
    epochs, rule = min(
        (wanted, f"at least {_STEPS:,} steps"),
        (_MOST, f"at most {_MOST:,} epochs"),
        (_MOST_ROWS // rows, f"at most {_MOST_ROWS:,} rows"),
        key=itemgetter(0),
    )
    if epochs <= _LEAST:
        epochs, rule = _LEAST, f"at least {_LEAST} epochs"
    return epochs, f"the default for {number_of(rows, 'row')}: {rule}"


class Fit:
    """One fit, and what it asks of the model.

    Parameters
    ----------
    history : History
    epochs : int
    who_asked : str
        For so many epochs, in words.
    order : tuple of bool and int
        Whether rows are shuffled, and the seed of it.
    progress : Progress
    callbacks : sequence of callables
        Called with a model, an epoch and its losses; True ends the fit.
    model : Any
        What they are called with.
    renew : callable
        Return the training, its plan and the validation loss as they are to be from now on: after callbacks, which
        may change numbers, structure and data.
    training_loss, validation_loss : callable or None
        The losses over the training and the validation data, as the model is now.
    put_back : callable
        Give the model the state from before this fit.
    refresh : callable
        Compute statistics of averaged parameters anew, with these threads, where there are any.
    stop : Stop or None
        Ends the fit as Ctrl-C does, where another thread sets it.
    asked : object
        Stands for this fit, for numbers that follow schedules.
    """

    def __init__(
        self,
        history: History,
        epochs: int,
        who_asked: str,
        order: tuple[bool, int],
        progress: Progress,
        callbacks: Sequence[Callable[..., Any]],
        model: Any,
        renew: Callable[[bool], tuple[Training, EpochPlan, Callable[[], float] | None]],
        training_loss: Callable[[], float] | None,
        validation_loss: Callable[[], float] | None,
        put_back: Callable[[], None],
        refresh: Callable[[Team], None],
        stop: Stop | None,
        asked: object,
    ) -> None:
        self.history, self.epochs, self.order, self.progress = history, epochs, order, progress
        self.callbacks, self.model, self.renew, self.put_back = callbacks, model, renew, put_back
        self.training_loss, self.validation_loss, self.refresh, self.stop = (
            training_loss,
            validation_loss,
            refresh,
            stop,
        )
        self._who_asked, self._asked = who_asked, asked
        # Callbacks of this package leave the data alone; of others nobody knows.
        self._may_change_data = bool(callbacks) and any(type(callback) is not EarlyStopping for callback in callbacks)

    def run(self, training: Training, plan: EpochPlan, team: Team) -> tuple[Training, EpochPlan]:
        """Go over the data, and return what went over them last. The history says why this has ended."""
        history, progress = self.history, self.progress
        # Where nothing has to look between epochs, many run in one call; a progress bar looks now and then.
        watches = training.schedules is not None and training.schedules.watch
        looks = self.validation_loss is not None or bool(self.callbacks) or watches
        chunk = 1 if looks or progress.shown else min(self.epochs, _EPOCHS_IN_ONE_CALL)
        stopped, what, self._start = "", None, time.perf_counter()
        with progress, team:
            while len(history.loss) < self.epochs and not stopped and what is None:
                if self.stop is not None and self.stop.is_set():  # one short epoch is over before its replay looks
                    raise KeyboardInterrupt
                begin = time.perf_counter()
                what = self._epochs(training, plan, min(chunk, self.epochs - len(history.loss)), team)
                if what is None and looks:
                    self.refresh(team)
                    stopped = self._look(training)
                    training, plan, self.validation_loss = self.renew(self._may_change_data)
                elif what is None:
                    if progress.shown:
                        progress.update(len(history.loss) - progress.done, {"loss": history.loss[-1]})
                    if time.perf_counter() - begin < _SECONDS_BETWEEN_LOOKS:
                        chunk *= 2
            if what is None and not looks:
                self.refresh(team)
        if what is None and not all_finite(training.memory.params):  # in the last step: no loss came after it
            what = f"the parameters overflowed in epoch {len(history.loss)}, in its last batch"
        if what is not None:
            raise self._diverged(training, what)
        history.why, history.who_asked = stopped, self._who_asked
        return training, plan

    def _diverged(self, training: Training, what: str) -> FloatingPointError:
        """Put the state from before this fit back, and return the error that says so."""
        self.history.why = f"diverged: {what}"
        self.put_back()
        kept = [callback for callback in self.callbacks if getattr(callback, "holds_best", False)]
        after = (
            "the model is again as EarlyStopping has kept it"
            if kept
            else ("the parameters are again those from before this fit")
        )
        return training.diverged(what, after)

    def failed(self, error: BaseException) -> None:
        """Write down that this has ended the fit."""
        history = self.history
        after = f"after {number_of(len(history.loss), 'epoch')}"
        if history.why:  # it has diverged
            return
        if self.stop is not None and self.stop.is_set():
            history.why = f"stopped: {after}, with the fits beside it"
        elif isinstance(error, KeyboardInterrupt):
            history.why = f"interrupted: {after}"
        else:
            history.why = f"error: {after}, {type(error).__name__}"
            with suppress(Exception):  # the text of others
                history.why += f": {error}"

    def _epochs(self, training: Training, plan: EpochPlan, n: int, team: Team) -> str | None:
        """Replay n epochs, and say what has become NaN or infinite, if anything has."""
        history, first, schedules = self.history, len(self.history.loss), training.schedules
        if schedules is not None:
            n = min(n, schedules.epochs_at_once(plan.n_batches))
            schedules.cover(self._asked, n, self.epochs - first, plan.n_batches)
        losses = np.empty(n)
        losses.fill(np.nan)
        training.begins(plan.rows, False)
        if self.progress.shown and n == 1:  # a long one perhaps: its batches move the bar
            cursor, rows = plan.cursor, len(plan.index)
            cursor[0] = 0
            self.progress.part = lambda: float(cursor[0]) / rows
        try:
            diverged = plan.run(*self.order, first, losses, team, self.stop)
        except FloatingPointError as error:  # of a loss in NumPy
            return str(error)
        finally:  # Ctrl-C loses no finished epoch
            self.progress.part = None
            history.loss += losses.tolist() if losses[-1] == losses[-1] else [x for x in losses.tolist() if x == x]
            history.seconds = time.perf_counter() - self._start
            if schedules is not None:
                schedules.finish(len(history.loss) - first)
        if diverged is None:
            return None
        what = training.what_diverged(float(plan.batch.value[0]))
        return f"{what} in epoch {first + diverged[0] + 1}, batch {diverged[1] + 1}"

    def _look(self, training: Training) -> str:
        """Evaluate, write down, tell everybody; return who wants to stop, if anybody does."""
        history = self.history
        if self.training_loss is not None:
            history.loss[-1] = self.training_loss()
        logs = {"loss": history.loss[-1]}
        if self.validation_loss is not None:
            logs["val_loss"] = self.validation_loss()
            history.val_loss.append(logs["val_loss"])
        self.progress.update(1, logs)
        stopped, epoch = "", len(history.loss) - 1
        for i, callback in enumerate(self.callbacks):
            try:
                answer = callback(self.model, epoch, logs)
            except BaseException:
                for other in self.callbacks[i:]:  # they have not seen an epoch that the history holds
                    if isinstance(other, EarlyStopping):
                        with suppress(Exception):
                            other(self.model, epoch, logs)
                raise
            if isinstance(answer, (bool, np.bool_)) and answer and not stopped:
                stopped = callback.reason if isinstance(callback, EarlyStopping) else _returned_true(callback, epoch)
        if training.schedules is not None:
            training.schedules.look(logs)
        history.seconds = time.perf_counter() - self._start
        return stopped


def _returned_true(callback: Any, epoch: int) -> str:
    name = getattr(callback, "__qualname__", type(callback).__qualname__)
    return f"a callback returned True after {number_of(epoch + 1, 'epoch')}: {name}"
