"""The epochs of a fit: what is replayed between two looks, what is written down, who is told."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._core.tape import Ledger, Tape
from fastnn._core.team import Team
from fastnn.arrays import all_finite
from fastnn.checks import number_of
from fastnn.training.batches import Batches, Limited, Stopped, gathers
from fastnn.training.history import History
from fastnn.training.plan import EpochPlan
from fastnn.training.resuming import Begun

if TYPE_CHECKING:
    from fastnn.training.fitting import Fitting

Gathers = tuple[Tape, "Tape | None"]

_SECONDS_BETWEEN_LOOKS = 0.05  # how long epochs run in one call while a progress bar waits
_EPOCHS_IN_ONE_CALL = 1000  # at first, then more: each has a place for its loss in memory


class Fit:
    """The epochs of one fit.

    Parameters
    ----------
    fitting : Fitting
        What is trained, and on what.
    history : History
    order : tuple of bool and int
        Whether rows are shuffled, and the seed of it.
    model : Any
        What callbacks are called with.
    asked : object
        Stands for this fit, for numbers that follow schedules.
    resumed : Begun or None
        What goes on.
    """

    def __init__(
        self,
        fitting: Fitting,
        history: History,
        order: tuple[bool, int],
        model: Any,
        asked: object,
        resumed: Begun | None = None,
    ) -> None:
        self._resumed = resumed
        self.fitting, self.history, self._order, self._model, self._asked = fitting, history, order, model, asked
        options = fitting.options
        self.calls, self.progress = options.calls, options.progress
        self.stop: Any = options.stop
        if self.calls.limits:
            self.stop = Limited(options.stop, self.calls.limits)
        self._batches: tuple[EpochPlan, Batches, Gathers] | None = None

    def run(self, team: Team) -> None:
        """Go over the data. The history says why this has ended."""
        history, progress, fitting, calls = self.history, self.progress, self.fitting, self.calls
        # Where nothing has to look between epochs, many run in one call; a progress bar looks now and then.
        looks, epochs = fitting.looks, fitting.epochs
        chunk = 1 if looks or progress.shown else min(epochs, _EPOCHS_IN_ONE_CALL)
        what, self._stopped, self._start = None, "", time.perf_counter() - history.seconds
        progress.done = len(history.loss)
        with progress, team:
            if calls.begins:
                calls.begin(self._model)
                fitting.renew()
            if self._resumed is not None:
                self._resume(self._resumed)
            while len(history.loss) < epochs and not self._stopped and what is None:
                if self.stop is not None and self.stop.is_set():  # one short epoch is over before its replay looks
                    if self._is_over():
                        break
                    raise KeyboardInterrupt
                begin, done = time.perf_counter(), len(history.loss)
                if calls.begins_epochs:
                    calls.begin_epoch(self._model, done)
                    fitting.renew()
                try:
                    what = self._epochs(min(chunk, epochs - done), team)
                except KeyboardInterrupt:
                    if not self._is_over():
                        raise
                if what is None and not self._stopped:
                    self._require_history(done + 1)
                if what is None and looks:
                    fitting.refresh(team)
                    if len(history.loss) > done:  # no callback has stopped it in the middle of an epoch
                        self._look()
                    fitting.renew()
                elif what is None and len(history.loss) > done:
                    if progress.shown:
                        progress.update(len(history.loss) - progress.done, {"loss": history.loss[-1]})
                    if time.perf_counter() - begin < _SECONDS_BETWEEN_LOOKS:
                        chunk *= 2
            if what is None and not looks:
                fitting.refresh(team)
        if what is None and not all_finite(fitting.training.memory.params):  # in the last step: no loss came after it
            what = f"the parameters overflowed in epoch {len(history.loss)}, in its last batch"
        if what is not None:
            if not calls.takes_divergence:
                raise self._diverged(what)  # in no variable: the error would hold this frame, and that the model
            self._diverged(what)
            return
        history.why, history.who_asked = self._stopped, fitting.who_asked

    def _is_over(self) -> bool:
        """Whether a limit has been reached, where nobody else has stopped the fit; write down which."""
        if isinstance(self.stop, Limited):
            self._stopped = self.stop.reached()
        return bool(self._stopped)

    def _diverged(self, what: str) -> FloatingPointError:
        """Put the state from before this fit back, and return the error that says so."""
        self.history.why = f"diverged: {what}"
        self.fitting.put_back()
        kept = "the parameters are again those from before this fit"
        if self.calls.hold_best:
            kept = "the model is again as EarlyStopping has kept it"
        return self.fitting.training.diverged(what, kept)

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

    def _epochs(self, n: int, team: Team) -> str | None:
        """Replay n epochs, and say what has become NaN or infinite, if anything has."""
        fitting, history, first = self.fitting, self.history, len(self.history.loss)
        training, plan = fitting.training, fitting.epoch_plan
        schedules = training.schedules
        if schedules is not None:
            n = min(n, schedules.epochs_at_once(plan.n_batches))
            schedules.cover(self._asked, n, fitting.epochs - first, plan.n_batches)
        training.begins(plan.rows, False)
        if self.progress.shown and n == 1:  # a long one perhaps: its batches move the bar
            cursor, rows = plan.cursor, len(plan.index)
            cursor[0] = 0
            self.progress.part = lambda: float(cursor[0]) / rows
        if fitting.augmenting is not None:
            fitting.augmenting.begin(first * plan.n_batches)
        batches, gathers = self._between_batches(plan) if self.calls.in_batches else (None, None)
        try:
            diverged = plan.run(
                *self._order, first, np.empty(n), team, self.stop, gathers, ledger=Ledger(history.loss),
                in_turn=not fitting.looks,
            )  # fmt: skip
            if batches is not None and diverged is None:
                batches.end()
        except Stopped as stopped:
            self._stopped = str(stopped)
            return None
        except FloatingPointError as error:  # of a loss in NumPy
            return str(error)
        finally:
            self.progress.part = None
            history.seconds = time.perf_counter() - self._start
            if schedules is not None:
                schedules.finish(len(history.loss) - first)
        if diverged is None:
            return None
        what = training.what_diverged(float(plan.batch.value[0]))
        return f"{what} in epoch {first + diverged[0] + 1}, batch {diverged[1] + 1}"

    def _between_batches(self, plan: EpochPlan) -> tuple[Batches, Gathers]:
        """Return what callbacks are told of the batches by, at the beginning of an epoch."""
        if self._batches is None or self._batches[0] is not plan:
            batches = Batches(plan, self.calls, self._model)
            self._batches = plan, batches, gathers(plan, batches)
        _, batches, found = self._batches
        batches.begin()
        return batches, found

    def _look(self) -> None:
        """Evaluate, write down, tell everybody, and write down who wants to stop, if anybody does."""
        history, schedules = self.history, self.fitting.training.schedules
        logs: dict[str, Any] = self.fitting.numbers(history.loss[-1])
        history.keep(logs)
        self.progress.update(1, logs)
        stopped = self._end_epoch(logs)
        self._stopped = self._stopped or stopped
        if schedules is not None:
            schedules.look(logs)
        self.calls.looked()
        history.seconds = time.perf_counter() - self._start

    def _end_epoch(self, logs: dict[str, Any], *told: Any) -> str:
        """Tell callbacks of the end of an epoch, write down what they log, and return why one wants to stop, or ""."""
        history, epochs = self.history, len(self.history.loss)
        try:
            stopped = self.calls.end_epoch(self._model, epochs - 1, logs, *told)
        finally:
            if len(history.loss) == epochs:
                history.keep(logs)
        self._require_history(epochs)
        return stopped

    def _require_history(self, epochs: int) -> None:
        """Raise RuntimeError where a callback has removed losses, by which the fit counts its epochs."""
        found = len(self.history.loss)
        if found < epochs:
            raise RuntimeError(
                f"a callback has removed losses from model.history: it has {number_of(found, 'epoch')}, expected "
                f"{epochs}. The fit writes it and counts by it: change a copy, model.history.to_dict()"
            )

    def _resume(self, begun: Begun) -> None:
        """Give callbacks what they have come to, and let the rest of them look at the last epoch."""
        history, schedules, told = self.history, self.fitting.training.schedules, begun.told
        self.progress.update(len(history.loss), {})
        begun.resume(self.calls)
        if told is not None:
            logs, self._stopped = dict(begun.logs), begun.stopped
            self._stopped = self._end_epoch(logs, told) or self._stopped
            if schedules is not None:
                schedules.look(logs)
            self.calls.looked()
            self.fitting.renew()
