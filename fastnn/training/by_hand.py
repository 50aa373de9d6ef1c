"""Forward, backward and step one by one: parts of a recording over memory that is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from numpy.typing import ArrayLike

from fastnn import kernels
from fastnn._core.tape import Tape
from fastnn.arena import Array, Memory
from fastnn.arrays import copy_into
from fastnn.layers.chain import Chain, checked_gradient
from fastnn.layers.passes import Pass
from fastnn.optimizers.update import Update
from fastnn.recent import Recent
from fastnn.training.moving import Schedules
from fastnn.training.plan import SIZES_KEPT, Constants
from fastnn.training.restraints import Restrained
from fastnn.training.state import Recordings

STEPS_KEPT = 8  # of optimizers in turn


class Recorded:
    """What is recorded for one number of rows."""

    __slots__ = ("backward", "forward", "memory", "steps")

    def __init__(self, memory: Pass, forward: Tape) -> None:
        self.memory, self.forward = memory, forward
        self.backward: Tape | None = None
        self.steps: Recordings[Step] = Recordings(STEPS_KEPT)  # behind which layers change their states for it


class Step:
    """A recorded step of an optimizer."""

    __slots__ = ("_schedules", "_tape", "constants", "update")

    def __init__(self, update: Update, constants: Constants, schedules: Schedules | None) -> None:
        self.update, self.constants, self._tape, self._schedules = update, constants, Tape(), schedules

    def record(self, grads: Array, passes: ByHand | None, pending: Recorded | None) -> None:
        """Record it, with what layers do behind a batch that is pending."""
        tape, schedules = self._tape, self._schedules
        if schedules is not None:
            schedules.record_begin(tape)
        if grads.size:
            kernels.of(grads.dtype).guard_numbers(grads, tape)
        if passes is not None and pending is not None:
            passes.record_after_batch(pending, tape)  # in one replay with the step: both are done, or neither
        self.update.record(tape)
        if schedules is not None:
            schedules.record_end(tape)

    def take(self) -> None:
        """Take it on the gradients as they are."""
        if self._schedules is not None:
            self._schedules.ready()
        try:
            self._tape.replay()
        except FloatingPointError:
            raise FloatingPointError(
                "step: a gradient is NaN or infinite: nothing was changed; lower the learning rate, or clip"
            ) from None


class ByHand:
    """The passes of a model that somebody takes one by one, in training form."""

    def __init__(
        self,
        chain: Chain,
        memory: Memory,
        constants: Constants,
        restrained: Restrained | None = None,
        frozen: Sequence[Array] = (),
    ) -> None:
        self._chain, self._memory, self._constants, self._restrained = chain, memory, constants, restrained
        self._frozen = frozen
        self._room: Pass | None = None  # for the most rows that have come
        self._recorded: Recent[int, Recorded] = Recent(SIZES_KEPT)
        self._last: Recorded | None = None  # which backward is for
        self._pending: list[Recorded] = []  # for which layers have not changed their states yet

    def is_current(self) -> bool:
        """Whether what is recorded still holds."""
        return self._constants.hold()

    def forward(self, x: Array) -> Array:
        """Return the outputs, and keep what backward needs."""
        recorded = self._recorded.get(len(x))
        if recorded is None:
            chain, tape, memory = self._chain, Tape(), self._memory_for(len(x))
            self._record(tape, lambda tape: chain.forward(memory, tape))
            recorded = self._recorded.add(len(x), Recorded(memory, tape))
        self._last = None  # until this pass has ended well
        self._pending.clear()
        copy_into(recorded.memory.activations[0], x)
        recorded.forward.replay()
        self._last = recorded
        self._pending.append(recorded)
        return recorded.memory.activations[-1].copy()

    def _memory_for(self, rows: int) -> Pass:
        """Return the first rows of the memory, which is new where they are more than ever."""
        room = self._room
        if room is None or room.rows < rows:
            room = self._room = self._chain.memory(
                rows if room is None else max(rows, 2 * room.rows), input_gradient=True
            )
            self._recorded.clear()
        return room.first(rows)

    def end_batch(self) -> None:
        """Forget the last forward, where a step has changed what its backward would compute from."""
        if self._chain.changing:
            self._last = None

    def _record(self, tape: Tape, compute: Callable[[Tape | None], None]) -> None:
        """Record, or, where code from outside decides by itself what it computes, call it."""
        if all(stage.is_ours or stage.may_raise for stage in self._chain.stages):
            compute(tape)
        else:
            tape.call(lambda: compute(None))

    def backward(self, dy: ArrayLike) -> Array:
        """Write the gradients for the last forward, and return that of x."""
        recorded = self._last
        if recorded is None:
            raise RuntimeError(
                "backward needs a forward before it, and a new one behind each step where a layer changes with steps, "
                "as Dropout and BatchNorm do"
            )
        first, last = recorded.memory.gradients[0], recorded.memory.gradients[-1]
        assert first is not None
        assert last is not None
        given = checked_gradient(dy, last, "Model")
        self._memory.without_gradients = None
        if recorded.backward is None:
            for gradient in self._frozen:
                gradient[...] = 0
            chain, memory, tape, restrained = self._chain, recorded.memory, Tape(), self._restrained
            self._record(tape, lambda tape: chain.backward(memory, tape))
            if restrained is not None:
                self._record(tape, lambda tape: restrained.penalize(None, tape))
            recorded.backward = tape
        last[...] = given
        recorded.backward.replay()
        return first.copy()

    def recorded_pending(self) -> Recorded | None:
        """Return the last forward, if layers have not changed their states for it yet."""
        return self._pending[0] if self._pending and self._chain.changing else None

    def record_after_batch(self, recorded: Recorded, tape: Tape) -> None:
        """Record what changes the states of layers for a forward, once."""
        self._chain.after_batch(recorded.memory, tape)
        tape.call(self._pending.clear)  # no Python code, in which an interrupt could fall
