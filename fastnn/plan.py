"""A training step recorded over fixed memory, and its replay for every batch of an epoch.

Nothing here knows a layer: a plan is given a step function, which calls kernels and passes a tape on to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
        return run_epochs(
            self.full, self.rest, self.index, self.cursor, self.batch.value, self.rows, shuffle, seed, first_epoch, losses
        )


def check_recorded(
    name: str, call: Callable[[Tape | None], None], inputs: Sequence[Array], outputs: Sequence[Array]
) -> None:
    """Raise RuntimeError unless replaying `call` gives the same bits as calling it, on data that came after recording.

    This finds code that computes outside kernels, whose results would silently stay those of the recording.
    """

    def fill(seed: int) -> None:
        for array in outputs:
            array.fill(np.nan)
        rng = np.random.default_rng(seed)
        for array in inputs:
            array[...] = rng.random(array.shape)

    tape = Tape()
    fill(0)
    call(tape)
    fill(1)
    tape.replay()
    replayed = [array.copy() for array in outputs]
    fill(1)
    call(None)
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(outputs, replayed, strict=True)):
        raise RuntimeError(
            f"{name} computes outside kernels: replayed on new data it does not give what it gives when called. "
            "Pass the tape on to every kernel and compute with nothing else, or write the method in NumPy: forward and "
            "backward of a layer, value_and_grad of a loss, update of an optimizer"
        )
