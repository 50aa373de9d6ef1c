"""A number of a part that follows a schedule: the cell, the bounds, and where it stands."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import number
from fastnn.schedules.contract import _POINTS, Clock, Schedule, Values
from fastnn.schedules.plateau import ReduceOnPlateau

Standing = dict[str, NDArray[np.float64]]  # by name: where a schedule stands with one model

STEPS, EPOCHS, TOTAL, PER_EPOCH = range(4)  # of the place: finished, finished, of the fit, of an epoch

changes = [0]  # how often a number of any part has been given a schedule, or has lost one


class Moving:
    """One number that follows a schedule, from when it was set until it is set again.

    Parameters
    ----------
    schedule : Schedule
    title : str
        Whose number, for messages.
    above, below : float or None
        Its bounds, as `number` checks them.

    Attributes
    ----------
    cell : ndarray of shape (1,)
        What kernels read.
    """

    def __init__(self, schedule: Schedule, title: str, above: float | None, below: float) -> None:
        self.schedule, self.title, self._above, self._below = schedule, title, above, below
        self.cell = np.array([self._first()])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "cell"}  # that of the part

    @property
    def plateaus(self) -> list[ReduceOnPlateau]:
        """What in the schedule follows logged numbers, each once."""
        return list({id(part): part for part in self.schedule.walk() if isinstance(part, ReduceOnPlateau)}.values())

    def _first(self) -> float:
        """Return the first value, and raise ValueError where one is out of bounds, as far as that can be known."""
        schedule, only_first = self.schedule, np.zeros(1)
        total = 2.0 * _POINTS
        unit, n = schedule.length or ("steps", total)
        per_epoch = 1.0 if unit == "epochs" or schedule.counts_epochs else None
        first = self.within(Clock(only_first, only_first, total, per_epoch or 1.0))
        if not any(hasattr(part, "function") for part in schedule.walk()):  # of a user's, nobody knows for how long
            t = np.unique(np.linspace(0, n, _POINTS).round())
            self.within(Clock(t, t, total, 1.0))
        return float(first[0])

    def within(self, clock: Clock, need: int | None = None) -> Values:
        """Return the values at these times.

        Where one that is needed is out of bounds, that is an error: all, or the first so many. From the first bad one
        on that is not, they are NaN.
        """
        found = self.schedule.values(clock)
        above = 0.0 if self._above is None else self._above
        with np.errstate(invalid="ignore"):
            good = (found > above if self._above is not None else found >= above) & (found < self._below)
        if good.all():
            return found
        i = int(good.argmin())
        if need is not None and i >= need:
            return np.where(np.arange(len(found)) < i, found, np.nan)
        if i > 0 and np.isnan(found[i]):  # a function may have failed: it is asked once more, to say why
            alone = slice(i, i + 1)
            self.schedule.values(
                Clock(clock.steps[alone], clock.epochs[alone], clock.total, clock.per_epoch, clock.factors)
            )
        when = f"epoch {clock.epochs[i]:g}" if self._by_epoch else f"step {clock.steps[i]:g}"
        number(f"{self.title} of {self.schedule!r} in {when}", float(found[i]), above=self._above, below=self._below)
        raise AssertionError

    @property
    def _by_epoch(self) -> bool:
        return self.schedule.counts_epochs and not any(
            part.length is not None and part.length[0] == "steps" for part in self.schedule.walk()
        )

    # -- where it stands with a model ---------------------------------------------------------------------------------

    def begin(self) -> Standing:
        """Return where it stands at first: part of a model's state."""
        found: Standing = {"place": np.zeros(4)}
        for i, plateau in enumerate(self.plateaus):
            found[f"plateau.{i}"] = plateau.begin()
        return found

    def clock(self, standing: Standing, steps: Values, epochs: Values) -> Clock:
        """Return these times, for where it stands."""
        place = standing["place"]
        factors = {id(plateau): standing[f"plateau.{i}"].item(0) for i, plateau in enumerate(self.plateaus)}
        return Clock(steps, epochs, place.item(TOTAL) or None, place.item(PER_EPOCH) or None, factors)

    def show(self, standing: Standing) -> None:
        """Write what the next step uses into the cell, but no number out of bounds: that step says what is wrong."""
        place = standing["place"]
        if not self.schedule.spans_fit or place[TOTAL]:
            clock = self.clock(standing, place[STEPS : STEPS + 1], place[EPOCHS : EPOCHS + 1])
            value = self.within(clock, 0).item()
            if value == value:
                self.cell[0] = value
