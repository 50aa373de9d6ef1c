"""Steps over sparse rows that are too many numbers to be an array: each batch is made dense by itself.

A fit over all rows at once adds up the gradients of such blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import threads
from fastnn._core.tape import Ledger
from fastnn._core.team import Team
from fastnn.arena import Array
from fastnn.model import Model
from fastnn.optimizers import Optimizer
from fastnn.sklearn.recorded import Goal, Recorded, Search
from fastnn.sklearn.rules import L2OfRows
from fastnn.sklearn.watching import Watch
from fastnn.training.history import History

MOST_BYTES = 64 * 1024 * 1024  # of an array that sparse rows are made at once, as in `Model.fit`


def is_large(x: Any, dtype: Any) -> bool:
    """Whether rows are sparse, and would be a large array."""
    return hasattr(x, "tocsr") and bool(np.prod(x.shape, dtype=float) * np.dtype(dtype).itemsize > MOST_BYTES)


def rows_of_block(x: Any, dtype: Any) -> int:
    """Return how many rows are made dense at once, where all of them are needed."""
    most = MOST_BYTES // (x.shape[1] * np.dtype(dtype).itemsize)
    return int(max(1, min(x.shape[0], most)))


class SparseRecorded(Recorded):
    """The steps of a net over sparse rows: `Recorded`, batch by batch.

    Parameters
    ----------
    net, rule, goal, x, target, weight, size, epochs
        As of `Recorded`.
    """

    def __init__(
        self, net: Model, rule: Optimizer, goal: Goal, x: Any, target: Array, weight: Array | None, size: int,
        epochs: int, n_threads: int | None = None, watch: Watch | None = None, incremental: bool = False,
    ) -> None:  # fmt: skip
        if watch is not None:
            raise ValueError("callbacks are for arrays, and sparse rows below 64 MB of numbers: pass X.toarray()")
        self.watch, self.history = None, History()
        trainer, n = net._trainer, x.shape[0]
        self.net, self.goal, self.weight = net, goal, weight
        self._require_weights()
        self._x, self._size = x.tocsr(), size
        self._rows = goal.loss.read(target, None, net.n_out, net.dtype)[0]
        weights = 0 if weight is None and goal.factor == 1 else 1
        n_batches = -(-n // size)
        self.training = training = trainer.prepared(goal.loss, rule, self._rows, weights, epochs * n_batches)
        if training.schedules is not None:
            raise ValueError("schedules are for arrays, and sparse rows below 64 MB of numbers: pass X.toarray()")
        training.update.begin_fit(epochs, n_batches, True)
        self.plan = plan = training.plan(size, self._rows, weights, False)
        self.order, self._step = np.arange(n), training.stepping(False)
        if rule.takes_fits:
            self._step = training.loss_and_grads
        self._share = [part._cells["share"] for part in net.penalties if isinstance(part, L2OfRows)]
        chunks = plan.recorded(min(size, n), self._step)[1].chunks
        self.team = Team(threads.chosen(n_threads, chunks, epochs * n_batches))
        training.begins(size, False)
        trainer.begun = None

    @property
    def is_alone(self) -> bool:
        return False

    def renew(self, left: int) -> bool:
        return False

    def epoch(self, ledger: Ledger, left: int = 1) -> None:
        total, size = 0.0, self._size
        for start in range(0, len(self.order), size):
            part = self.order[start : start + size]
            total += len(part) * self._take(part, part)
        loss = total / len(self.order)
        ledger.take(loss if self.goal.constant is None else loss + self._constant(), len(self.order))

    def _take(self, part: Array, of: Array) -> float:
        """Take the step of some rows, or compute their gradients, as a share of these rows, and return the loss."""
        n, weight = len(of), None
        of_all = float(n)
        if self.weight is not None:
            of_all = float(self.weight[of].sum())
            if of_all == 0:
                raise ZeroDivisionError("Weights sum to zero, can't be normalized")
            self._require_weights(of)
            weight = (self.weight[part] * (self.goal.factor * n / of_all))[:, None]
        elif self.goal.factor != 1:
            weight = np.full((len(part), 1), self.goal.factor)
        for share in self._share:
            share[0] = 1 / of_all
        recorded = self.plan.recorded(len(part), self._step)
        return self.plan.run(recorded, self._x[part].toarray(), self._rows[part], weight, self.team)

    def _dense(self, start: int, stop: int) -> Array:
        found: Array = self._x[start:stop].toarray()
        return found

    def search(self) -> Search:
        return SparseSearch(self)

    @property
    def _batch_rows(self) -> int:
        return self._size

    def close(self, losses: list[float]) -> None:
        self._leave(losses)


class SparseSearch(Search):
    """The loss over all sparse rows, and its gradient: the sums of those of blocks of rows."""

    def _take_rows(self, recorded: Recorded) -> None:
        assert isinstance(recorded, SparseRecorded)
        self._blocks = recorded

    def _computed(self) -> tuple[float, Array]:
        r, size = self._blocks, self._blocks._size
        n, loss, gradient = len(r.order), 0.0, np.zeros(1)
        for start in range(0, n, size):
            part = r.order[start : start + size]
            share = len(part) / n
            loss += share * r._take(part, r.order)
            gradient = gradient + share * self._gathered(self._memory.grads)
        return loss, gradient
