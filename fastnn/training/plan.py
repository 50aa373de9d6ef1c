"""A training step recorded over fixed memory, and its replay for every batch of an epoch.

The memory has room for the most rows that have come; for each number of rows the step is recorded over its first ones.
Nothing here knows a layer: a plan is given a step function, which calls kernels and passes a tape on to them. It keeps
what is recorded, and never the function, which knows more than the plan does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import proxy

import numpy as np

from fastnn import kernels
from fastnn._core.tape import Claim, RowsStep, Tape, run_epochs
from fastnn.arena import Array
from fastnn.arrays import convert, copy_into
from fastnn.kernels import Rows
from fastnn.recent import Recent
from fastnn.schedules.moving import changes
from fastnn.settings import fixed_in_recording, moving_numbers

if TYPE_CHECKING:
    from fastnn._core.tape import Ledger, Shuffle
    from fastnn._core.team import Stop, Team
    from fastnn.layers.passes import Pass
    from fastnn.training.augmenting import Augmenting

SIZES_KEPT = 128  # recordings over one memory, for changing numbers of rows: each takes some 10 KB
_FEW_BYTES = 16 * 1024  # that are copied sooner than a gather is recorded
_NOT_FROM_WITHIN = "the step is being replayed already: a loss or layer cannot train its own model"


class Constants:
    """The attributes of layers, losses and optimizers that a recording fixes, as they are when it is made.

    An optimizer is not kept alive by them.

    Attributes
    ----------
    moving : list of Moving
        The numbers of these parts that follow schedules.
    """

    __slots__ = ("_names", "_parts", "_schedules_changed", "_values", "_whole", "moving")

    def __init__(self, parts: Sequence[Any], optimizer: Any = None) -> None:
        self._parts: list[Any] = []
        self._names: list[str] = []
        for part in parts:
            self._add(part, part)
        if optimizer is not None:
            self._add(optimizer, proxy(optimizer))
        self._whole = [*parts] if optimizer is None else [*parts, proxy(optimizer)]
        self._schedules_changed, self.moving = changes[0], moving_numbers(self._whole)
        values = map(getattr, self._parts, self._names)
        self._values = [value.copy() if type(value) is list else value for value in values]

    def _add(self, part: Any, kept: Any) -> None:
        is_ours = type(part).__module__.startswith("fastnn.")
        for name in part.constants if is_ours else fixed_in_recording(part):
            self._parts.append(kept)
            self._names.append(name)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._parts)

    def hold(self) -> bool:
        """Whether they still are so."""
        if self._schedules_changed != changes[0]:  # of some part, perhaps another one
            if [*map(id, moving_numbers(self._whole))] != [*map(id, self.moving)]:
                return False
            self._schedules_changed = changes[0]
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
    weight : ndarray of shape (rows, 1) or (rows, columns of the target), or None
    value : ndarray of shape (1,)
        The mean loss.
    """

    __slots__ = ("target", "value", "weight", "work")

    def __init__(self, work: Pass, target: Array, weight: Array | None, value: Array) -> None:
        self.work, self.target, self.weight, self.value = work, target, weight, value

    @classmethod
    def like(cls, work: Pass, target: Array, weights: int) -> Batch:
        """Return memory for as many rows as `work` has, for targets of the same kind, and so many weights in a row."""
        rows, dtype = work.rows, work.activations[-1].dtype
        weight = np.ones((rows, weights), dtype) if weights else None
        return cls(work, np.zeros((rows, *target.shape[1:]), target.dtype), weight, np.zeros(1))

    def first(self, rows: int) -> Batch:
        """Return the part of this memory that the first rows use."""
        if rows == self.work.rows:
            return self
        weight = None if self.weight is None else self.weight[:rows]
        return Batch(self.work.first(rows), self.target[:rows], weight, self.value)

    def reading(self, rows: Rows) -> Batch:
        """Return this memory with rows that are read where they lie."""
        return Batch(self.work.reading(rows), self.target, self.weight, self.value)


Step = Callable[[Batch, Tape], None]


class Plan:
    """A step, recorded over the memory of one batch for each number of rows that comes.

    Parameters
    ----------
    batch : Batch
        With room for as many rows as may come.
    takes_rows : callable or None
        Says whether the step may be given Rows of such an array, in place of a batch that is gathered from it.
    """

    def __init__(self, batch: Batch, takes_rows: Callable[[Array], bool] | None) -> None:
        self.batch, self.takes_rows = batch, takes_rows
        self.claim = Claim(_NOT_FROM_WITHIN, nested=_NOT_FROM_WITHIN)
        self._recorded: Recent[int, tuple[Batch, Tape]] = Recent(SIZES_KEPT)
        self._few: EpochPlan | None = None
        self.of_rows: RowsStep | None = None  # the step for few rows as one compiled call
        self.may_be_of_rows = True

    @property
    def room(self) -> int:
        """The most rows of a batch."""
        return self.batch.work.rows

    def recorded(self, rows: int, step: Step) -> tuple[Batch, Tape]:
        """Return the first rows of the batch, and the step for them."""
        found = self._recorded.get(rows)
        if found is None:
            batch, tape = self.batch.first(rows), Tape()
            step(batch, tape)
            found = self._recorded.add(rows, (batch, tape))
        return found

    def run(
        self,
        recorded: tuple[Batch, Tape],
        x: Array,
        target: Array,
        weight: Array | None,
        team: Team | None = None,
        stop: Stop | None = None,
    ) -> float:
        """Take one step on data that are copied into the batch, and return the loss before it."""
        return self.claim.run(_run, *recorded, x, target, weight, team, stop)

    def take_epochs(
        self,
        rows: int,
        x: Array,
        target: Array,
        weight: Array | None,
        step: Step,
        augmenting: Augmenting | None = None,
    ) -> EpochPlan:
        """Return what goes over these data in batches of so many rows: to be put back when it has.

        Few data are copied to a place with room for some more, whose gathers are recorded already: to record them takes
        longer than to train.
        """
        n, weight = len(x), None if weight is None else convert(weight, x.dtype)
        if augmenting is not None or x.nbytes > _FEW_BYTES or target.nbytes > _FEW_BYTES:
            found = EpochPlan(self, x, target, weight, is_own=False, augmenting=augmenting)
        else:
            few, self._few = self._few, None  # a fit that a callback begins needs its own
            if few is None or few.room < n:
                room = n if few is None else max(n, 2 * few.room)
                own = (_with_room(x, room), _with_room(target, room), _with_room(weight, room))
                few = EpochPlan(self, *own, is_own=True)
            found = few
        if found.begun != (n, rows):
            found.begin(self, n, rows, step)
        found.use(x, target, weight)
        return found

    def put_back(self, epochs: EpochPlan) -> None:
        """Keep it for the next fit, unless the data are the user's own."""
        if epochs.is_own:
            self._few = epochs


def _run(
    batch: Batch, tape: Tape, x: Array, target: Array, weight: Array | None, team: Team | None, stop: Stop | None
) -> float:
    batch.work.activations[0][...] = x
    batch.target[...] = target
    if weight is not None:
        assert batch.weight is not None
        batch.weight[...] = weight
    elif batch.weight is not None:
        batch.weight[...] = 1
    tape.replay(team=team, stop=stop)
    return float(batch.value[0])


def _with_room(array: Array | None, rows: int) -> Any:
    return None if array is None else np.zeros((rows, *array.shape[1:]), array.dtype)


class EpochPlan:
    """The steps of an epoch, on rows that are gathered from where the data lie, or read there.

    Parameters
    ----------
    plan : Plan
    x, target, weight : ndarray
        The data, or where they are copied to.
    is_own : bool
        Whether they are copied, perhaps fewer than there is room for.
    augmenting : Augmenting or None
        What changes batches before their steps.

    Attributes
    ----------
    begun : tuple of int
        What it is ready for: how many rows of the data, in batches of how many.
    rows : int
        Of a batch.
    gather, step : Tape
        What brings these rows, and the step.
    gather_rest, step_rest : Tape or None
        The same for the rows that are left at the end of an epoch, where some are.
    both : Tape
    both_rest : Tape or None
        One behind the other on one tape: threads bring the rows that they go on with.
    """

    rows: int
    gather: Tape
    step: Tape
    gather_rest: Tape | None
    step_rest: Tape | None
    both: Tape
    both_rest: Tape | None

    def __init__(
        self,
        plan: Plan,
        x: Array,
        target: Array,
        weight: Array | None,
        is_own: bool,
        augmenting: Augmenting | None = None,
    ) -> None:
        self.x, self.target, self.weight, self.is_own, self._augmenting = x, target, weight, is_own, augmenting
        self._where = [array.ctypes.data for array in (x, target, weight) if array is not None]
        self.batch, self._claim = plan.batch, plan.claim
        self.in_place = augmenting is None and plan.takes_rows is not None and plan.takes_rows(x)
        self.index = np.arange(len(x), dtype=np.int64)
        self.shuffled = False  # whether there is another order than 0, 1, 2 ... in the index
        self.cursor = np.zeros(1, np.int64)
        self._recorded: Recent[int, tuple[Tape, Tape, Tape]] = Recent(SIZES_KEPT)
        self.begun = 0, 0

    @property
    def room(self) -> int:
        """The most rows of data."""
        return len(self.index)

    def begin(self, plan: Plan, n: int, rows: int, step: Step) -> None:
        """Make ready to go over the first n rows of the data, in batches of so many."""
        rest = n % rows
        self.order, self.rows = self.index[:n], rows
        self._used = [
            array if array is None or len(array) == n else array[:n] for array in (self.x, self.target, self.weight)
        ]
        self.gather, self.step, self.both = self._tapes(plan, rows, step)
        self.gather_rest, self.step_rest, self.both_rest = self._tapes(plan, rest, step) if rest else (None,) * 3
        self.begun = n, rows

    def _tapes(self, plan: Plan, rows: int, step: Step) -> tuple[Tape, Tape, Tape]:
        found = self._recorded.get(rows)
        return self._recorded.add(rows, self._record(plan, rows, step)) if found is None else found

    def _record(self, plan: Plan, rows: int, step: Step) -> tuple[Tape, Tape, Tape]:
        """Return what brings so many rows, the step, and both."""
        tape, both = Tape(), Tape()
        if self.in_place:
            batch, own = self.batch.first(rows), Tape()
            step(batch.reading(Rows(self.x, self.index, self.at_first())), own)
        else:
            batch, own = plan.recorded(rows, step)
        self.record_gather(batch, tape)
        both.extend(tape)
        both.extend(own)
        return tape, own, both

    def at_first(self) -> Array:
        """Return the cursor, at the first row: an epoch leaves it where fewer may be behind it than are recorded."""
        self.cursor[0] = 0
        return self.cursor

    def record_gather(self, batch: Batch, tape: Tape) -> None:
        """Record what brings the rows of a batch, but for those that the step reads where they lie."""
        x, target, weight = self.x, self.target, self.weight
        k, index, cursor = kernels.of(x.dtype), self.index, self.at_first()
        if not self.in_place:
            k.gather_rows(x, index, cursor, batch.work.activations[0], tape)
        into, labels = batch.target, None
        if into.ndim > target.ndim:  # they are to be mixed
            into = labels = np.zeros(len(into), target.dtype)
        (k.gather_labels if target.ndim == 1 else k.gather_rows)(target, index, cursor, into, tape)
        if weight is not None:
            assert batch.weight is not None
            k.gather_rows(weight, index, cursor, batch.weight, tape)
        if self._augmenting is not None:
            self._augmenting.record(batch.work.activations[0], labels, batch.target, tape)

    @property
    def n_batches(self) -> int:
        """The number of batches of an epoch."""
        return -(-len(self.order) // self.rows)

    @property
    def chunks(self) -> int:
        """Into how many chunks, each worth a thread, the calls of a batch can be divided."""
        return self.both.chunks

    def has_moved(self) -> bool:
        """Whether the data lie elsewhere than what is recorded reads: they have been resized."""
        return self._where != [array.ctypes.data for array in (self.x, self.target, self.weight) if array is not None]

    def use(self, x: Array, target: Array, weight: Array | None) -> bool:
        """Copy other data over those of this plan; return whether they have these shapes and can be written to."""
        own_x, own_target, own_weight = self._used
        for own, given in ((own_x, x), (own_target, target), (own_weight, weight)):
            if own is given:
                continue
            if own is None or given is None or own.shape != given.shape or not own.flags.writeable:
                return False
            copy_into(own, given)
        return True

    def run(
        self,
        shuffle: bool,
        seed: int,
        first_epoch: int,
        losses: Array,
        team: Team | None = None,
        stop: Stop | None = None,
        gathers: tuple[Tape, Tape | None] | None = None,
        shuffling: Shuffle | None = None,
        ledger: Ledger | None = None,
        in_turn: bool = False,
    ) -> tuple[int, int] | None:
        """Replay as many epochs as `losses` has places; return (epoch, batch) where a number became non-finite.

        `gathers` may bring the rows in place of what does so here, `shuffling` choose their order, `ledger` end it.
        """
        if self.shuffled and not shuffle:
            self.index[...] = np.arange(len(self.index))
        self.shuffled = shuffle
        gather, gather_rest = (None, None) if gathers is None else gathers
        step, step_rest = (self.both, self.both_rest) if gathers is None else (self.step, self.step_rest)
        return self._claim.run(
            run_epochs, gather, step, gather_rest, step_rest, self.order, self.cursor,
            self.batch.value, self.rows, shuffle, seed, first_epoch, losses, team, stop, shuffling,
            ledger, in_turn,
        )  # fmt: skip
