"""The steps of a net over known rows, recorded; or the loss over all of them, and its gradient, as a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels, threads
from fastnn._core.tape import Ledger, Shuffle, Tape
from fastnn._core.team import Team
from fastnn.arena import Array
from fastnn.losses import Loss
from fastnn.model import Model
from fastnn.optimizers import Optimizer
from fastnn.sklearn.rules import L2OfRows
from fastnn.training.history import History
from fastnn.training.plan import EpochPlan, Plan
from fastnn.training.step import Training

if TYPE_CHECKING:
    from fastnn.sklearn.watching import Watch

_ONE = np.ones(1)
_MOST_AT_ONCE = 1000  # epochs in one call


class Goal:
    """What a fit makes small.

    Parameters
    ----------
    loss : Loss
    factor : float
        Multiplies it: losses here are means over rows and outputs.
    constant : ndarray of shape (rows,) or None
        What is added to the loss of each row, where it is a number that depends on targets alone.
    """

    def __init__(self, loss: Loss, factor: float = 1.0, constant: Array | None = None) -> None:
        self.loss, self.factor, self.constant = loss, factor, constant


class Recorded:
    """The steps of a net over known rows, recorded.

    Parameters
    ----------
    net : Model
    rule : Optimizer
    goal : Goal
    x, target : ndarray
    weight : ndarray of shape (rows,) or None
        What rows weigh: the loss of a batch is Σ weight * loss / Σ weight.
    size : int
        The rows of a batch.
    epochs : int
        How many there may be.
    n_threads : int or None
    watch : Watch or None
        What looks at the fit between its epochs and batches.
    incremental : bool
        Whether more rows will come.
    """

    training: Training
    plan: Plan
    epochs: EpochPlan

    def __init__(
        self, net: Model, rule: Optimizer, goal: Goal, x: Array, target: Array, weight: Array | None, size: int,
        epochs: int, n_threads: int | None = None, watch: Watch | None = None, incremental: bool = False,
    ) -> None:  # fmt: skip
        self.net, self.rule, self.goal, self.weight, self.watch = net, rule, goal, weight, watch
        self._size, self._n_threads, self._incremental = size, n_threads, incremental
        self._require_weights()
        self._target = goal.loss.read(target, None, net.n_out, net.dtype)[0]
        self._x: Any = np.ascontiguousarray(x, net.dtype)
        self._weights = 0 if weight is None and goal.factor == 1 else 1
        column = np.full((len(self._x), 1), goal.factor, net.dtype) if self._weights else None  # memory that is kept
        if weight is not None:  # has weights always, or never
            column = np.ascontiguousarray(weight.reshape(-1, 1), net.dtype)
        self._column = column
        self._begun: set[Any] = set()  # the numbers that follow schedules, which begin once in a fit
        self._value = np.empty(1)
        self._prepare(self._trained(epochs), epochs, True)
        net._trainer.begun = None
        self.history = net._trainer.history = History()

    def _require_weights(self, part: Array | None = None) -> None:
        """Refuse weights, of all rows or of a batch, that cannot be divided by their sum."""
        if self.weight is None:
            return
        with np.errstate(over="ignore"):
            total = float((self.weight if part is None else self.weight[part]).sum())
        if not np.isfinite(total) or (total < 0 and self.net.penalties):
            what = "finite number" if not np.isfinite(total) else "number above 0, by which alpha is divided"
            of = "all rows" if part is None else "the rows of a batch"
            raise ValueError(f"sample_weight: the sum of {of} is {total:g}, expected a {what}")

    def _trained(self, epochs: int) -> Training:
        steps = epochs * -(-len(self._x) // self._size)
        return self.net._trainer.prepared(self.goal.loss, self.rule, self._target, self._weights, steps)

    def _prepare(self, training: Training, epochs: int, anew: bool) -> None:
        """Record the steps of so many epochs."""
        net, size = self.net, self._size
        n_batches = -(-len(self._x) // size)
        self.training = training
        net._own()
        training.update.begin_fit(epochs, n_batches, anew)
        self.plan = plan = training.plan(size, self._target, self._weights, False)
        step = training.loss_and_grads if self.rule.takes_fits else training.stepping(False)
        self.epochs = found = plan.take_epochs(size, self._x, self._target, self._column, step)
        if found.shuffled:
            found.index[...] = np.arange(len(found.index))
            found.shuffled = False
        self.order = found.order
        self._share = [part._cells["share"] for part in net.penalties if isinstance(part, L2OfRows)]
        self._batches = None if self.watch is None else self.watch.between_batches(found, net)
        self._gathers = self._record()
        if training.schedules is not None:
            if self._incremental:
                training.schedules.ready(n_batches)
            else:
                training.schedules.begin(self, epochs, n_batches, self._begun)
        self.team = Team(threads.chosen(self._n_threads, found.chunks, epochs * n_batches))
        training.begins(found.rows, False)

    def renew(self, left: int) -> bool:
        """Record anew where a callback has changed what a recording fixes, and return whether that is so."""
        now = self._trained(left)
        if now is self.training:
            return False
        order = self.order.copy()
        self._prepare(now, left, False)
        self.order[...] = order
        return True

    def _record(self) -> tuple[Tape, Tape | None] | None:
        """Return what brings the rows of a batch, with what they weigh; None where the usual way does."""
        found, n = self.epochs, len(self.order)
        rest = n % found.rows
        if self.weight is None:
            for share in self._share:
                share[0] = 1 / found.rows
        if self.weight is None and self._batches is None and not (rest and self._share):
            return None
        tapes: list[Tape | None] = []
        found.cursor[0] = 0  # of an epoch before: there may be fewer rows behind it
        for rows in (found.rows, rest):
            tape = Tape() if rows else None
            if tape is not None:
                batch = found.batch.first(rows)
                if self._batches is not None:
                    tape.call(self._batches.between)
                found.record_gather(batch, tape)
                k = kernels.of(self.net.dtype)
                if batch.weight is not None and self.weight is not None:
                    k.share_weights(batch.weight, self.goal.factor, self._first_share, tape)
                for share in self._share[self.weight is not None :]:
                    one = self._first_share if self.weight is not None else np.array([1 / rows])
                    k.multiply_numbers(_ONE, one, share, tape)
            tapes.append(tape)
        first, last = tapes
        assert first is not None
        return first, last

    @property
    def _first_share(self) -> Array:
        if not self._share:
            self._share = [np.ones(1)]
        return self._share[0]

    def epoch(self, ledger: Ledger, left: int = 1) -> None:
        """Go over all rows in the order as it is, of so many epochs that are left, and write that down.

        Raises
        ------
        FloatingPointError, ZeroDivisionError
            Where the loss or a gradient is NaN or infinite: the step has changed nothing.
        """
        schedules, batches, curve = self.training.schedules, self._batches, self.history.loss
        if schedules is not None and not self._incremental:
            schedules.cover(self, 1, left, self.epochs.n_batches)
        if batches is not None:
            batches.begin()
        before = len(curve)
        try:
            self._run(self._value, ledger)
            if batches is not None:
                batches.end()
        finally:
            if schedules is not None and not self._incremental:
                schedules.finish(len(curve) - before)

    @property
    def is_alone(self) -> bool:
        """Whether nobody looks between epochs: no callback, no schedule, nothing that depends on the order of rows."""
        follows_order = self.goal.constant is not None and self.weight is not None
        return self.watch is None and self.training.schedules is None and not follows_order

    def go_on(self, shuffle: Shuffle | None, left: int, ledger: Ledger) -> None:
        """Go over all rows, in a new order each time if there is a shuffle, up to so many times, until a rule ends it.

        Time ends it, too. The epochs that are complete, however it ends, are written down.

        Raises
        ------
        FloatingPointError, ZeroDivisionError
            As `epoch` does.
        """
        self._run(np.empty(min(left, _MOST_AT_ONCE)), ledger, shuffle)

    def _run(self, losses: Array, ledger: Ledger, shuffle: Shuffle | None = None) -> None:
        if self.goal.constant is not None:
            ledger.added = self._constant()
        stop: Any = None if self.watch is None else self.watch.stop
        try:
            failed = self.epochs.run(False, 0, 0, losses, self.team, stop, self._gathers, shuffle, ledger)
        except ValueError:  # of a penalty
            rows = self.epochs.rows
            for start in range(0, len(self.order), rows):
                self._require_weights(self.order[start : start + rows])
            raise
        if failed is not None:
            self._fail(failed[1])

    def _fail(self, batch: int) -> None:
        rows = self.epochs.rows
        part = self.order[batch * rows : (batch + 1) * rows]
        if self.weight is not None and self.weight[part].sum() == 0:
            raise ZeroDivisionError("Weights sum to zero, can't be normalized")
        raise FloatingPointError(self.training.what_diverged(float(self.plan.batch.value[0])))

    @property
    def _batch_rows(self) -> int:
        return self.epochs.rows

    def _constant(self) -> float:
        """Return the mean over batches of what does not depend on predictions."""
        constant, n, rows = self.goal.constant, len(self.order), self._batch_rows
        assert constant is not None
        if self.weight is None:
            return float(constant.mean())
        order, starts = self.order, np.arange(0, n, rows)
        weight = self.weight[order]
        with np.errstate(divide="ignore", invalid="ignore"):  # of a batch that weighs nothing: its step is refused
            means = np.add.reduceat(weight * constant[order], starts) / np.add.reduceat(weight, starts)
        return float(means @ np.minimum(rows, n - starts) / n)

    @property
    def looks(self) -> bool:
        """Whether a schedule follows what is logged."""
        schedules = self.training.schedules
        return schedules is not None and schedules.watch

    def look(self, logs: dict[str, Any]) -> None:
        """Let schedules look at what is logged for an epoch."""
        if self.training.schedules is not None:
            self.training.schedules.look(logs)

    def refresh(self) -> None:
        """Compute statistics of averaged parameters anew, where the optimizer averages and there are any."""
        averages, rows = self.net._trainer.averages, self._batch_rows
        if averages.refreshes:
            starts = range(0, len(self.order), rows)
            averages.refresh((self._dense(start, start + rows) for start in starts), rows, self.team)

    def _dense(self, start: int, stop: int) -> Array:
        found: Array = self._x[start:stop]
        return found

    def search(self) -> Search:
        """Return what computes the loss and its gradient for any parameters, for a batch of all rows."""
        return Search(self)

    def close(self, losses: list[float]) -> None:
        """End: leave the model as behind a fit of its own."""
        self.epochs.shuffled = True
        self.plan.put_back(self.epochs)
        self._leave(losses)

    def _leave(self, losses: list[float]) -> None:
        total = len(self.order) if self.weight is None else float(self.weight.sum())
        for share in self._share:
            share[0] = 1 / total if total else 0.0
        history = self.net._trainer.history = self.history  # a callback may have fitted, too
        history.loss += losses
        history.who_asked = "by the rules of the estimator"


class Search:
    """The loss over all rows, and its gradient, as functions of the trained parameters, in double."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded, self._memory = recorded, recorded.net._own()
        self._places = recorded.training.update.places()
        constant, self._constant = recorded.goal.constant, 0.0
        if constant is not None:
            self._constant = float(np.average(constant, weights=recorded.weight))
        self._began = False  # whether there was a finite loss
        self._take_rows(recorded)

    def _take_rows(self, recorded: Recorded) -> None:
        epochs = recorded.epochs
        epochs.cursor[0] = 0
        gather = epochs.gather if recorded._gathers is None else recorded._gathers[0]
        gather.replay()
        self._step, self._value = epochs.step, recorded.plan.batch.value

    def _gathered(self, flat: Array) -> Array:
        return np.concatenate([flat[start:stop] for start, stop in self._places]).astype(np.float64)

    def start(self) -> Array:
        """Return the parameters as they are."""
        return self._gathered(self._memory.params)

    def put(self, w: Array) -> None:
        """Write these parameters into the net."""
        at = 0
        for start, stop in self._places:
            self._memory.params[start:stop] = w[at : at + stop - start]
            at += stop - start

    def loss_and_gradient(self, w: Array) -> tuple[float, Array]:
        """Return both at these parameters; infinity where they are not finite, so that the line search comes back.

        It has nowhere to come back to from the start, and does not from a step that is no number: NaN, then, with
        which it gives up.
        """
        self.put(w)
        self._memory.without_gradients = None
        try:
            loss, gradient = self._computed()
        except FloatingPointError:
            may_come_back = self._began and np.isfinite(w).all()
            return (np.inf, np.zeros_like(w)) if may_come_back else (np.nan, np.full_like(w, np.nan))
        self._began = True
        return loss + self._constant, gradient

    def _computed(self) -> tuple[float, Array]:
        self._step.replay(team=self._recorded.team)
        return float(self._value[0]), self._gathered(self._memory.grads)
