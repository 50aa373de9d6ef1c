"""The training step: the only one there is, and what is recorded of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fastnn import kernels
from fastnn._core.tape import Tape
from fastnn.arena import Array, Memory
from fastnn.layers.chain import Chain
from fastnn.losses import Loss
from fastnn.optimizers.update import Update
from fastnn.recent import Recent
from fastnn.training.moving import Schedules
from fastnn.training.plan import Batch, Constants, Plan

if TYPE_CHECKING:
    from typing import Any

    from fastnn.training.restraints import Restrained

_MOST_FUSED_ROWS = 256  # of a batch: beyond, a step's pass over the parameters costs little beside the products
_BYTES_KEPT = 64 * 1024 * 1024  # of the memory of a recorded step, between fits
_BYTES_AGAIN = 1024 * 1024 * 1024  # where the next step may follow at once: new memory takes as long as a product
_BYTES_ASIDE = 8 * 1024 * 1024  # of all that is recorded of a training, while the model trains with another one
_PLANS_KEPT = 4  # recorded steps: that store gradients or do not, for labels or rows of targets
_NOT_STORED = (
    "the last training took plain SGD's step in the same pass as backward, without storing gradients: train_batch, or "
    "forward and backward, stores them"
)


class Training:
    """What trains together, and its recordings.

    Attributes
    ----------
    chain : Chain
        Without the last activation of the net where the loss contains it.
    loss : Loss
        Of what this chain puts out: of logits where it contains the activation.
    update : Update
        What the optimizer does.
    memory : Memory
    constants : Constants
    given : Loss
        What the user has given.
    weights : int
        How many of them a row has: none, one, or one for each of its targets.
    schedules : Schedules or None
        Of the numbers that follow schedules, if there are any.
    restrained : Restrained or None
        The penalties and constraints on the parameters.
    """

    def __init__(
        self,
        chain: Chain,
        loss: Loss,
        update: Update,
        memory: Memory,
        constants: Constants,
        given: Loss,
        weights: int,
        schedules: Schedules | None,
        restrained: Restrained | None,
    ) -> None:
        self.chain, self.loss, self.update, self.memory, self.constants = chain, loss, update, memory, constants
        self.given, self.weights, self.schedules, self.restrained = given, weights, schedules, restrained
        self._plans: Recent[Any, Plan] = Recent(_PLANS_KEPT)
        self._nbytes = 0  # of these
        self._plain_lr = update.optimizer.plain_lr
        is_plain = self._plain_lr is not None and restrained is None
        self._in_backward = chain.updated_in_backward() if is_plain else set()

    def holds(self, steps: int) -> bool:
        """Whether what it is made of is as it was, with room for so many steps in one call."""
        return self.constants.hold() and (self.schedules is None or self.schedules.room >= steps)

    def fits(self, loss: Loss, weights: int) -> bool:
        """Whether this is how to train with a loss: that one, or one of this package that is set to the same."""
        given = self.given
        if weights != self.weights or loss is given:
            return weights == self.weights
        kind = type(loss)
        is_alike = kind is type(given) and kind.__module__.startswith("fastnn.")
        return is_alike and loss.settings() == given.settings()

    def step(self, batch: Batch, tape: Tape | None, store_gradients: bool = True) -> None:
        """Record the training step, or take it.

        Where gradients need not be stored, and the optimizer is plain SGD, backward changes parameters itself.
        """
        if tape is None:
            tape = Tape()
            self.step(batch, tape, store_gradients)
            tape.replay()
            return
        memory = self.memory
        before, memory.without_gradients = memory.without_gradients, None  # layers ask for them while they record
        try:
            if self.schedules is not None:
                self.schedules.record_begin(tape)
            done = self.fused(len(batch.target), store_gradients)
            self._value_and_grads(batch, tape, done, store_gradients)
            self.chain.after_batch(batch.work, tape)
            self.update.record(tape, done)
            if self.schedules is not None:
                self.schedules.record_end(tape)
        finally:
            memory.without_gradients = before

    def loss_and_grads(self, batch: Batch, tape: Tape) -> None:
        """Record the loss and the gradients, and no step."""
        before, self.memory.without_gradients = self.memory.without_gradients, None  # as in `step`
        try:
            self._value_and_grads(batch, tape, set(), True)
        finally:
            self.memory.without_gradients = before

    def _value_and_grads(self, batch: Batch, tape: Tape, done: set[int], store_gradients: bool) -> None:
        memory, work = self.memory, batch.work
        self.chain.forward(work, tape)
        y, dy = work.activations[-1], work.gradients[-1]
        self.loss.compute(y, batch.target, batch.weight, dy, batch.value, tape)
        for sums in self.chain.added(work):
            kernels.of(y.dtype).add_sum(sums, batch.value, tape)
        kernels.guard(batch.value, tape)
        self.chain.backward(work, tape, self._plain_lr if done else None)
        if self.restrained is not None:
            self.restrained.penalize(batch.value, tape)
            kernels.guard(batch.value, tape)
        if store_gradients and memory.grads.size:
            kernels.of(memory.grads.dtype).guard_numbers(memory.grads, tape)

    def fused(self, rows: int, store_gradients: bool) -> set[int]:
        """Return the layers, by id, whose parameters backward changes itself."""
        return set() if store_gradients or rows > _MOST_FUSED_ROWS else self._in_backward

    def plan(self, rows: int, target: Array, weights: int, store_gradients: bool = True, again: bool = False) -> Plan:
        """Return the step recorded over memory for batches of such data, perhaps from an earlier fit.

        Where they are more rows than ever, there is new memory, and room in it for twice as many as before. With
        `again`, the step is one of a caller's loop, and also large memory is kept for the next one.
        """
        key = target.shape[1:], target.dtype, weights, store_gradients
        plan = self._plans.get(key)
        if plan is not None and plan.room >= rows:
            return plan
        room = rows if plan is None else max(rows, 2 * plan.room)
        made = self._plan(room, target, weights)
        if made.batch.work.nbytes <= (_BYTES_AGAIN if again else _BYTES_KEPT):
            self._plans.add(key, made)
            self._nbytes = sum(plan.batch.work.nbytes for plan in self._plans.values())
            return made
        return made if room == rows else self._plan(rows, target, weights)  # recording costs little beside such steps

    def _plan(self, rows: int, target: Array, weights: int) -> Plan:
        return Plan(Batch.like(self.chain.memory(rows), target, weights), self.takes_rows())

    def put_aside(self) -> None:
        """Give back large memory, while the model trains with something else."""
        if self._nbytes > _BYTES_ASIDE:
            self._plans.clear()
            self._nbytes = 0

    def stepping(self, store_gradients: bool) -> Any:
        """Return the step to record."""
        return partial(self.step, store_gradients=store_gradients)

    def begins(self, rows: int, store_gradients: bool) -> None:
        """Write down, before steps are taken, whether they store gradients."""
        self.memory.without_gradients = _NOT_STORED if self.fused(rows, store_gradients) else None

    def takes_rows(self) -> Any:
        """Return what says whether batches of data are read where they lie: they must not change in a step."""
        stages = self.chain.stages
        takes = stages[0].takes_rows if stages else None
        if takes is None:
            return None
        changing = self.changing()

        def may_read(x: Array) -> bool:
            return takes(x) and not any(np.may_share_memory(x, array) for array in changing)

        return may_read

    def changing(self) -> list[Array]:
        """Return what a step changes."""
        memory = self.memory
        return [memory.params, memory.grads, *memory.states, *self.update.state.values()]

    def diverged(self, what: str, after: str) -> FloatingPointError:
        """Return the error of a training that left the finite numbers."""
        cell = self.update.optimizer._cells.get("lr")  # of one of a user's, which may have called no super().__init__
        lr = 0.0 if cell is None else cell.item()
        lower = f"lower the learning rate (now {lr:g}; try {lr / 10:g})" if lr else "look for very large numbers"
        return FloatingPointError(f"{what}, and {after}: {lower}, and scale inputs and targets to about -1 to 1")

    def failure(self, value: Array, error: FloatingPointError) -> FloatingPointError:
        """Return the error of a single step that has failed with another, where it has written its loss."""
        what = str(error) if "gradient is not finite" in str(error) else self.what_diverged(float(value[0]))
        return self.diverged(what, "training stopped before this reached the parameters")

    def what_diverged(self, value: float) -> str:
        """Say which number has left the finite ones."""
        if np.isfinite(value):
            return f"the gradients became infinite or NaN where the loss is {value:g}"
        return f"the loss became {value}"
