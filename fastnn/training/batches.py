"""What looks within an epoch: callbacks between its batches, and limits that end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastnn._core.tape import Tape

if TYPE_CHECKING:
    from fastnn._core.team import Stop
    from fastnn.callbacks.calls import Calls
    from fastnn.training.plan import EpochPlan


class Stopped(Exception):
    """A callback ends the fit behind a batch: it says who."""


class Limited:
    """What ends a fit within an epoch: somebody else, as Ctrl-C does, or a limit of a callback, as the epochs do.

    Parameters
    ----------
    stop : Stop or None
    limits : sequence of callables
        Methods of callbacks: whether one is reached.
    """

    def __init__(self, stop: Stop | None, limits: Sequence[Callable[[], bool]]) -> None:
        self._stop, self._limits = stop, limits

    def is_set(self) -> bool:
        """Whether one of them ends it."""
        return (self._stop is not None and self._stop.is_set()) or any(is_over() for is_over in self._limits)

    def reached(self) -> str:
        """Return which limit has been reached, in words; nothing where it is somebody else."""
        if self._stop is not None and self._stop.is_set():
            return ""
        over = (is_over.__self__ for is_over in self._limits if is_over())  # type: ignore[attr-defined]
        return next((str(callback.reason) for callback in over), "")


class Batches:
    """The batches of an epoch, told to callbacks: the gather of each one begins with a call of `between`.

    Parameters
    ----------
    plan : EpochPlan
    calls : Calls
    model : Any
        What they are called with.
    """

    def __init__(self, plan: EpochPlan, calls: Calls, model: Any) -> None:
        self._value, self._calls, self._model, self._batch = plan.batch.value, calls, model, 0

    def begin(self) -> None:
        """Begin an epoch."""
        self._batch = 0

    def between(self) -> None:
        """End the batch before, where there is one, and begin the next."""
        if self._batch:
            self.end()
        self._calls.begin_batch(self._model, self._batch)
        self._batch += 1

    def end(self) -> None:
        """End a batch."""
        why = self._calls.end_batch(self._model, self._batch - 1, {"loss": float(self._value[0])})
        if why:
            raise Stopped(why)


def gathers(plan: EpochPlan, batches: Batches) -> tuple[Tape, Tape | None]:
    """Return what brings the rows of a batch, and those of the last one, behind a call of what is between batches."""
    found: list[Tape | None] = []
    for rows, has in ((plan.rows, True), (plan.begun[0] % plan.rows, plan.gather_rest is not None)):
        tape = Tape() if has else None
        if tape is not None:
            tape.call(batches.between)
            plan.record_gather(plan.batch.first(rows), tape)
        found.append(tape)
    first, rest = found
    assert first is not None
    return first, rest
