"""A training step recorded over fixed memory, and its replay for every batch of an epoch.

Nothing here knows a layer: a plan is given a step function, which calls kernels and passes a tape on to them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastnn import kernels
from fastnn._core.tape import Tape, run_epochs
from fastnn.arena import Array
from fastnn.layer import Workspace


class Batch:
    """The memory of one training step.

    Attributes
    ----------
    work : Workspace
        Its first activation holds the rows.
    target : ndarray of shape (rows, n) or (rows,)
    weight : ndarray of shape (rows,) or None
    value : ndarray of shape (1,)
        The mean loss.
    """

    def __init__(self, work: Workspace, target: Array, weight: Array | None, value: Array) -> None:
        self.work, self.target, self.weight, self.value = work, target, weight, value

    @classmethod
    def like(cls, work: Workspace, target: Array, weighted: bool) -> Batch:
        """Return memory for as many rows as `work` has, and for targets and weights of the same kind."""
        rows, dtype = len(work.activations[0]), work.activations[0].dtype
        weight = np.ones(rows, dtype) if weighted else None
        return cls(work, np.zeros((rows, *target.shape[1:]), target.dtype), weight, np.zeros(1))

    def first(self, rows: int) -> Batch:
        """Return the part of this memory that the first rows use."""
        weight = None if self.weight is None else self.weight[:rows]
        return Batch(self.work.first(rows), self.target[:rows], weight, self.value)


Step = Callable[[Batch, Tape | None], None]


class Plan:
    """One step for one number of rows, on data that are copied into its batch."""

    def __init__(self, step: Step, batch: Batch) -> None:
        self.batch = batch
        self.tape = Tape()
        step(batch, self.tape)

    def run(self, x: Array, target: Array, weight: Array | None) -> float:
        """Take one step and return the loss before it."""
        self.batch.work.activations[0][...] = x
        self.batch.target[...] = target
        if weight is not None:
            assert self.batch.weight is not None
            self.batch.weight[...] = weight
        self.tape.replay()
        return float(self.batch.value[0])


class EpochPlan:
    """One step for the batches of an epoch, on rows that are gathered from where the data lie.

    It holds two tapes over the same memory: for the full batch and for the last, shorter one.
    """

    def __init__(self, step: Step, batch: Batch, x: Array, target: Array, weight: Array | None) -> None:
        rows = len(batch.target)
        self.batch, self.rows = batch, rows
        self.index = np.arange(len(x))
        self.cursor = np.zeros(1, np.int64)
        data = x, target, weight
        self.full = self._record(step, batch, *data)
        self.rest = self._record(step, batch.first(len(x) % rows), *data) if len(x) % rows else None

    def _record(self, step: Step, batch: Batch, x: Array, target: Array, weight: Array | None) -> Tape:
        k, tape, where = kernels.of(batch.work.activations[0].dtype), Tape(), (self.index, self.cursor)
        k.gather_rows(x, *where, batch.work.activations[0], tape)
        (k.gather_labels if target.ndim == 1 else k.gather_rows)(target, *where, batch.target, tape)
        if weight is not None:
            assert batch.weight is not None
            k.gather_rows(weight[:, None], *where, batch.weight[:, None], tape)
        step(batch, tape)
        return tape

    def run(self, shuffle: bool, seed: int, first_epoch: int, losses: Array) -> tuple[int, int] | None:
        """Replay as many epochs as `losses` has places; return (epoch, batch) where the loss became non-finite."""
        tapes, value = (self.full, self.rest), self.batch.value
        return run_epochs(*tapes, self.index, self.cursor, value, self.rows, shuffle, seed, first_epoch, losses)
