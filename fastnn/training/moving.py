"""The numbers that follow schedules in a recording: a table of what comes, and what reads it at every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels
from fastnn.schedules.moving import EPOCHS, PER_EPOCH, STEPS, TOTAL, Moving, Standing

if TYPE_CHECKING:
    from fastnn._core.tape import Tape
    from fastnn.optimizers.update import Update
    from fastnn.training.state import State

ROOM = 4096  # steps that a table holds, unless a fit needs more
MOST_ROOM = 1 << 18  # but for one epoch: a fit of more steps comes back to Python between epochs


class _Entry:
    """One number, where its schedule stands, and the values of the coming steps."""

    __slots__ = ("filled_for", "first", "high", "low", "moving", "now", "place", "standing", "table")

    def __init__(self, moving: Moving, standing: Standing, room: int) -> None:
        self.moving, self.standing, self.place = moving, standing, standing["place"]
        self.table, self.first = np.full(room + 1, np.nan), np.zeros(1)
        self.now = self.place.data  # is read in half the time
        self.forget()

    def forget(self) -> None:
        """Drop the values: others come."""
        self.filled_for: object = self  # the fit that counts the epochs; None where nobody does
        self.low = self.high = 0.0  # from where to where single steps need nothing

    def holds(self, n: int, fit: object) -> bool:
        """Whether the values of the next n steps are there."""
        at = self.place.item(STEPS) - self.first.item()
        if self.filled_for is not fit or not 0 <= at <= len(self.table) - n:
            return False
        last: float = self.table.item(int(at) + n - 1)
        return last == last  # no NaN


class Schedules:
    """The numbers of one recording that follow schedules.

    Parameters
    ----------
    moving : sequence of Moving
    state : State
        Of the model: it holds where they stand.
    update : Update
        What takes the steps.
    room : int
        For how many steps there are tables.
    """

    def __init__(self, moving: Sequence[Moving], state: State, update: Update, room: int = ROOM) -> None:
        self.room, self._state, self._moved = room, state, state.moved
        self._entries = [_Entry(number, state.standing(number), room) for number in moving]
        self._watching = [entry for entry in self._entries if entry.moving.plateaus]
        self._accumulating = update.accumulating()

    # -- what is recorded ---------------------------------------------------------------------------------------------

    def record_begin(self, tape: Tape | None) -> None:
        """Record what writes the numbers of a step, before it: the cells of others' steps may be the same."""
        self._record(tape, False)

    def record_end(self, tape: Tape | None) -> None:
        """Record what counts a step, and writes the numbers of the next one."""
        self._record(tape, True)

    def _record(self, tape: Tape | None, advances: bool) -> None:
        k = kernels.float64  # it computes in no dtype of the model
        for entry in self._entries:
            k.follow_schedule(entry.place[:1], entry.first, entry.table, entry.moving.cell, advances, tape)

    # -- before steps -------------------------------------------------------------------------------------------------

    def ready(self, steps: int = 1) -> None:
        """Make ready for steps that no fit takes, for which there is room."""
        if steps == 1 and self._moved == self._state.moved:
            for entry in self._entries:
                if not entry.low <= entry.now[STEPS] < entry.high:
                    break
            else:
                return
        self._follow()
        for entry in self._entries:
            if not entry.holds(steps + 1, None):  # these, and what the step behind them uses
                if entry.moving.schedule.spans_fit:
                    raise ValueError(
                        f"{entry.moving.title} is {entry.moving.schedule!r}, which spans a whole fit: for single "
                        "steps, and for batches whose number nobody knows, say how long it lasts, steps=1000, or set a "
                        "number"
                    )
                self._fill(entry, self.room, None, None)

    def ready_without_epochs(self) -> None:
        """Make ready for the steps of a fit that does not know how many an epoch has.

        Raises
        ------
        ValueError
            Where a schedule has to know that, at once or some time.
        """
        self.ready()
        for entry in self._entries:
            lengths = [part.length for part in entry.moving.schedule.walk() if part.length is not None]
            behind = {unit: 1.0 + sum(n for of, n in lengths if of == unit) for unit in ("steps", "epochs")}
            clock = entry.moving.clock(entry.standing, np.array([behind["steps"]]), np.array([behind["epochs"]]))
            entry.moving.schedule.values(clock)

    def _follow(self) -> None:
        """Drop values where the model has been put back, or others have counted epochs: they may be others now."""
        if self._moved != self._state.moved:
            self._moved = self._state.moved
            for entry in self._entries:
                entry.forget()

    def begin(self, fit: object, epochs: int, batches: int, begun: set[Moving]) -> None:
        """Begin a fit of so many epochs, of so many batches each: what spans it stands at its beginning.

        Parameters
        ----------
        fit : object
            Stands for the fit.
        epochs, batches : int
        begun : set of Moving
            The numbers for which that has been done in this fit.
        """
        entries = [entry for entry in self._entries if entry.moving not in begun]
        if not entries:
            return
        per_step, waiting = self._batches()
        before = [(array, array.copy()) for entry in entries for array in entry.standing.values()]
        for entry in entries:
            begun.add(entry.moving)
            entry.forget()
            entry.place[PER_EPOCH] = batches / per_step
            if entry.moving.schedule.spans_fit:
                for name, array in entry.moving.begin().items():
                    if name != "place":
                        entry.standing[name][...] = array
                entry.place[[STEPS, EPOCHS]] = 0
                entry.place[TOTAL] = max((epochs * batches + waiting) // per_step, 1)
        try:
            self.cover(fit, 1, epochs, batches)
        except BaseException:  # of a number out of bounds: nothing has begun
            for array, was in before:
                array[...] = was
            raise

    def resume(self, begun: set[Moving]) -> None:
        """Go on with a fit: all stand where they stand."""
        begun.update(entry.moving for entry in self._entries)
        for entry in self._entries:
            entry.forget()

    def cover(self, fit: object, epochs: int, left: int, batches: int) -> None:
        """Make ready for so many epochs of those that are left, for which there is room."""
        self._follow()
        per_step, waiting = self._batches()
        n = (epochs * batches + waiting) // per_step
        for entry in self._entries:
            if not entry.holds(max(n, 1), fit):
                most = (min(left, self.epochs_at_once(batches)) * batches + waiting) // per_step
                self._fill(entry, max(most, 1), fit, batches)

    def epochs_at_once(self, batches: int) -> int:
        """For how many epochs there is room."""
        return max(self.room // batches, 1)

    def _batches(self) -> tuple[int, int]:
        """Return how many batches make a step, and how many have been accumulated for the next one."""
        per_step, waiting = 1, 0
        for batches, counted in self._accumulating:
            waiting += per_step * int(counted[0])
            per_step *= batches
        return per_step, waiting

    def _fill(self, entry: _Entry, n: int, fit: object, batches: int | None) -> None:
        """Compute the values of the next n steps, and of the one behind them, which may never be taken."""
        after = np.arange(n + 1, dtype=np.float64)
        epochs = np.full(n + 1, entry.place[EPOCHS])
        if batches is not None:  # a step belongs to the epoch in which its last batch comes
            per_step, waiting = self._batches()
            epochs += (after * per_step + (per_step - 1 - waiting)) // batches
        clock = entry.moving.clock(entry.standing, entry.place[STEPS] + after, epochs)
        values = entry.moving.within(clock, n if batches is not None else 1)
        entry.table[: n + 1], entry.table[n + 1 :] = values, np.nan
        entry.first[0], entry.filled_for = entry.place[STEPS], fit
        if batches is None:
            entry.low, entry.high = entry.place.item(STEPS), entry.place.item(STEPS) + np.isfinite(values).sum() - 1
        else:
            entry.low = entry.high = 0.0
        entry.moving.cell[0] = values[0]

    # -- behind epochs ------------------------------------------------------------------------------------------------

    def finish(self, epochs: int) -> None:
        """Count epochs."""
        for entry in self._entries:
            entry.place[EPOCHS] += epochs
            if entry.filled_for is None and epochs:  # with values for steps of the epoch that has ended
                entry.forget()
                entry.moving.show(entry.standing)
        self._tell()

    def _tell(self) -> None:
        """Let other recordings know that places have changed."""
        self._state.moved += 1
        self._moved = self._state.moved

    @property
    def watch(self) -> bool:
        """Whether one of them follows what is logged."""
        return bool(self._watching)

    def look(self, logs: Mapping[str, Any]) -> None:
        """Look at what is logged for an epoch."""
        for entry in self._watching:
            for i, plateau in enumerate(entry.moving.plateaus):
                state = entry.standing[f"plateau.{i}"]
                before = state[0]
                plateau.look(logs, state)
                if state[0] != before:
                    entry.forget()
                    entry.moving.show(entry.standing)
                    self._tell()


def schedules_of(moving: Sequence[Moving], state: State, update: Update, steps: int = 0) -> Schedules | None:
    """Return what numbers follow in a recording, with room for so many steps, if any number follows a schedule."""
    if not moving:
        return None
    if update.optimizer.takes_fits:
        raise TypeError(
            f"{moving[0].title} follows {moving[0].schedule!r}, while {update.optimizer} needs a loss that depends "
            "on the parameters alone: set a number"
        )
    return Schedules(moving, state, update, max(steps, ROOM))
