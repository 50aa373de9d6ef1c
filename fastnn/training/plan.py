"""A training step recorded over fixed memory, and its replay for every batch of an epoch.

Nothing here knows a layer: a plan is given a step function, which calls kernels and passes a tape on to them. It keeps
what is recorded, and never the function, which knows more than the plan does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels
from fastnn._core.tape import Claim, Tape, run_epochs
from fastnn.arena import Array
from fastnn.kernels import Rows
from fastnn.settings import fixed_in_recording

if TYPE_CHECKING:
    from threading import Event

    from fastnn._core.team import Team
    from fastnn.layers.passes import Pass

_TAPES_KEPT = 8  # of one memory, for changing numbers of rows
_FEW_BYTES = 16 * 1024  # that are copied sooner than a gather is recorded
_NOT_FROM_WITHIN = "the step is being replayed already: a loss or layer cannot train its own model"


class Constants:
    """The attributes of layers, losses and optimizers that a recording fixes, as they are when it is made."""

    __slots__ = ("_names", "_parts", "_values")

    def __init__(self, parts: Iterable[Any]) -> None:
        self._parts: list[Any] = []
        self._names: list[str] = []
        for part in parts:
            is_ours = type(part).__module__.startswith("fastnn.")
            for name in part.constants if is_ours else fixed_in_recording(part):
                self._parts.append(part)
                self._names.append(name)
        values = map(getattr, self._parts, self._names)
        self._values = [value.copy() if type(value) is list else value for value in values]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._parts)

    def hold(self) -> bool:
        """Whether they still are so."""
        try:
            return self._values == [*map(getattr, self._parts, self._names)]
        except ValueError:  # arrays, and not the same objects as before
            return False


class Batch:
    """The memory of one training step.

    Attributes
    ----------
    work : Pass
        Its first activation holds the rows.
    target : ndarray of shape (rows, n) or (rows,)
    weight : ndarray of shape (rows,) or None
    value : ndarray of shape (1,)
        The mean loss.
    """

    __slots__ = ("target", "value", "weight", "work")

    def __init__(self, work: Pass, target: Array, weight: Array | None, value: Array) -> None:
        self.work, self.target, self.weight, self.value = work, target, weight, value

    @classmethod
    def like(cls, work: Pass, target: Array, weighted: bool) -> Batch:
        """Return memory for as many rows as `work` has, and for targets and weights of the same kind."""
        rows, dtype = work.rows, work.activations[-1].dtype
        weight = np.ones(rows, dtype) if weighted else None
        return cls(work, np.zeros((rows, *target.shape[1:]), target.dtype), weight, np.zeros(1))

    def first(self, rows: int) -> Batch:
        """Return the part of this memory that the first rows use."""
        weight = None if self.weight is None else self.weight[:rows]
        return Batch(self.work.first(rows), self.target[:rows], weight, self.value)

    def reading(self, rows: Rows) -> Batch:
        """Return this memory with rows that are read where they lie."""
        return Batch(self.work.reading(rows), self.target, self.weight, self.value)


Step = Callable[[Batch, Tape], None]


class Plan:
    """A step, recorded over the memory of one batch for as many rows as it has, and for fewer when they come.

    Parameters
    ----------
    batch : Batch
    takes_rows : callable or None
        Says whether the step may be given Rows of such an array, in place of a batch that is gathered from it.
    """

    def __init__(self, batch: Batch, takes_rows: Callable[[Array], bool] | None) -> None:
        self.batch, self.takes_rows = batch, takes_rows
        self.claim = Claim(_NOT_FROM_WITHIN, nested=_NOT_FROM_WITHIN)
        self._tapes: dict[int, Tape] = {}
        self._few: EpochPlan | None = None

    def tape(self, rows: int, step: Step) -> Tape:
        """Return the step for the first rows of the batch."""
        tape = self._tapes.get(rows)
        if tape is None:
            tape = Tape()
            step(self.batch if rows == self.batch.work.rows else self.batch.first(rows), tape)
            self._tapes[rows] = tape
            if len(self._tapes) > _TAPES_KEPT:
                del self._tapes[next(iter(self._tapes))]
        return tape

    def run(self, x: Array, target: Array, weight: Array | None, step: Step) -> float:
        """Take one step on data that are copied into the batch, and return the loss before it."""
        return self.claim.run(self._run, x, target, weight, self.tape(len(x), step))

    def _run(self, x: Array, target: Array, weight: Array | None, tape: Tape) -> float:
        rows, batch = len(x), self.batch
        if rows == batch.work.rows:
            batch.work.activations[0][...] = x
            batch.target[...] = target
        else:
            batch.work.activations[0][:rows] = x
            batch.target[:rows] = target
        if weight is not None:
            assert batch.weight is not None
            batch.weight[:rows] = weight
        tape.replay()
        return float(batch.value[0])

    def take_epochs(self, x: Array, target: Array, weight: Array | None, step: Step) -> EpochPlan:
        """Return what goes over these data: to be put back when it has.

        Few data are copied to a place whose gathers are recorded already: to record them takes longer than to train.
        """
        if x.nbytes > _FEW_BYTES or target.nbytes > _FEW_BYTES:
            return EpochPlan(self, x, target, weight, step)
        few, self._few = self._few, None  # a fit that a callback begins needs its own
        if few is None or len(few.index) != len(x):
            return EpochPlan(self, x.copy(), target.copy(), None if weight is None else weight.copy(), step)
        few.use(x, target, weight)
        return few

    def put_back(self, epochs: EpochPlan) -> None:
        """Keep it for the next fit, unless the data are the user's own."""
        if epochs.x.nbytes <= _FEW_BYTES and epochs.target.nbytes <= _FEW_BYTES:
            self._few = epochs


class EpochPlan:
    """The steps of an epoch, on rows that are gathered from where the data lie, or read there."""

    def __init__(self, plan: Plan, x: Array, target: Array, weight: Array | None, step: Step) -> None:
        self.x, self.target, self.weight = x, target, weight
        self._where = [array.ctypes.data for array in (x, target, weight) if array is not None]
        self.batch, self._claim = plan.batch, plan.claim
        self.rows = len(plan.batch.target)
        self.in_place = plan.takes_rows is not None and plan.takes_rows(x)
        self.index = np.arange(len(x), dtype=np.int64)
        self.shuffled = False  # whether there is another order than 0, 1, 2 ... in the index
        self.cursor = np.zeros(1, np.int64)
        rest = len(x) % self.rows  # the rows of the last, shorter batch
        self.gather, self.step = self._record(plan, self.rows, step)
        self.gather_rest: Tape | None = None
        self.step_rest: Tape | None = None
        if rest:
            self.gather_rest, self.step_rest = self._record(plan, rest, step)

    def _record(self, plan: Plan, rows: int, step: Step) -> tuple[Tape, Tape]:
        """Return what brings so many rows, and the step."""
        x, target, weight, batch = self.x, self.target, self.weight, self.batch
        if rows != self.rows:
            batch = batch.first(rows)
        k, tape, index, cursor = kernels.of(x.dtype), Tape(), self.index, self.cursor
        if not self.in_place:
            k.gather_rows(x, index, cursor, batch.work.activations[0], tape)
        (k.gather_labels if target.ndim == 1 else k.gather_rows)(target, index, cursor, batch.target, tape)
        if weight is not None:
            assert batch.weight is not None
            k.gather_rows(weight[:, None], index, cursor, batch.weight[:, None], tape)
        if not self.in_place:
            return tape, plan.tape(rows, step)
        own = Tape()
        step(batch.reading(Rows(x, index, cursor)), own)
        return tape, own

    @property
    def n_batches(self) -> int:
        """The number of batches of an epoch."""
        return -(-len(self.index) // self.rows)

    @property
    def chunks(self) -> int:
        """Into how many chunks, each worth a thread, the calls of a batch can be divided."""
        return self.gather.chunks + self.step.chunks

    def has_moved(self) -> bool:
        """Whether the data lie elsewhere than what is recorded reads: they have been resized."""
        return self._where != [array.ctypes.data for array in (self.x, self.target, self.weight) if array is not None]

    def use(self, x: Array, target: Array, weight: Array | None) -> bool:
        """Copy other data over those of this plan; return whether they have these shapes and can be written to."""
        for own, given in ((self.x, x), (self.target, target), (self.weight, weight)):
            if own is given:
                continue
            if own is None or given is None or own.shape != given.shape or not own.flags.writeable:
                return False
            own[...] = given
        return True

    def run(
        self,
        shuffle: bool,
        seed: int,
        first_epoch: int,
        losses: Array,
        team: Team | None = None,
        stop: Event | None = None,
    ) -> tuple[int, int] | None:
        """Replay as many epochs as `losses` has places; return (epoch, batch) where a number became non-finite."""
        if self.shuffled and not shuffle:
            self.index[...] = np.arange(len(self.index))
        self.shuffled = shuffle
        return self._claim.run(
            run_epochs, self.gather, self.step, self.gather_rest, self.step_rest, self.index, self.cursor,
            self.batch.value, self.rows, shuffle, seed, first_epoch, losses, team, stop,
        )  # fmt: skip
