"""Training: the one step that there is, what is recorded of it, and the epochs of a fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels
from fastnn._core.tape import Tape
from fastnn.arena import Array
from fastnn.data import all_finite
from fastnn.history import History
from fastnn.layer import Chain
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer, State
from fastnn.plan import Batch, Constants, EpochPlan, Plan
from fastnn.progress import Progress

if TYPE_CHECKING:
    from threading import Event

    from fastnn._core.team import Team

_SECONDS_BETWEEN_LOOKS = 0.05  # how long epochs run in one call while a progress bar waits
_EPOCHS_IN_ONE_CALL = 1000  # at first, then more: each has a place for its loss in memory
_MOST_FUSED_ROWS = 256  # of a batch: beyond, a step's pass over the parameters costs little beside the products
_BYTES_KEPT = 64 * 1024 * 1024  # of the memory of a recorded step, between fits
_PLANS_KEPT = 4  # recorded steps, for changing numbers of rows


class Training:
    """What trains together, and its recordings.

    Attributes
    ----------
    chain : Chain
        Without the last activation of the net where the loss contains it.
    loss : Loss
        Of what this chain puts out: of logits where it contains the activation.
    optimizer : Optimizer
    params, grads : ndarray
        The flat ones of the model.
    state : dict of ndarray
        What the optimizer remembers.
    constants : Constants
    """

    def __init__(
        self,
        chain: Chain,
        loss: Loss,
        optimizer: Optimizer,
        params: Array,
        grads: Array,
        state: State,
        constants: Constants,
    ) -> None:
        self.chain, self.loss, self.optimizer = chain, loss, optimizer
        self.params, self.grads, self.state = params, grads, state
        self.constants = constants
        self._plans: dict[Any, Plan] = {}

    def step(self, batch: Batch, tape: Tape | None, store_gradients: bool = True) -> None:
        """Take or record the training step: the only one there is.

        Where gradients need not be stored, and the optimizer is plain SGD, backward changes the parameters itself.
        """
        work = batch.work
        lr = None if store_gradients or len(batch.target) > _MOST_FUSED_ROWS else self.optimizer.plain_lr
        self.chain.forward(work, tape)
        self.loss._value_and_grad(
            work.activations[-1], batch.target, batch.weight, work.gradients[-1], batch.value, tape
        )
        kernels.guard(batch.value, tape)
        if lr is not None and self.chain.can_update:
            self.chain.backward(work, tape, lr)
        else:
            self.chain.backward(work, tape)
            self.optimizer._step(self.params, self.grads, self.state, tape)

    def plan(self, rows: int, target: Array, weighted: bool, store_gradients: bool = True) -> Plan:
        """Return the recorded step for batches of such data, perhaps from an earlier fit."""
        key = (rows, target.shape[1:], target.dtype, weighted, store_gradients)
        plan = self._plans.pop(key, None)
        if plan is None:
            step = partial(self.step, store_gradients=store_gradients)
            batch = Batch.like(self.chain.workspace(rows), target, weighted)
            plan = Plan(step, batch, self.takes_rows)
        if plan.batch.work.nbytes > _BYTES_KEPT:  # recording anew costs little beside such batches
            return plan
        self._plans[key] = plan  # the last used stands last
        if len(self._plans) > _PLANS_KEPT:
            del self._plans[next(iter(self._plans))]
        return plan

    def takes_rows(self, x: Array) -> bool:
        """Whether batches of these data are read where they lie: they must not change in a step."""
        takes = self.chain.stages[0].takes_rows
        changing = (*self.arrays(), self.grads)
        return takes is not None and takes(x) and not any(np.may_share_memory(x, array) for array in changing)

    def arrays(self) -> list[Array]:
        """Return what a step changes for good."""
        return [self.params, *self.state.values()]

    def diverged(self, what: str, before: Sequence[Array] | None = None) -> FloatingPointError:
        """Return the error of a training that left the finite numbers, having put back what is given."""
        after = "training stopped before this reached the parameters"
        if before is not None:
            for array, old in zip(self.arrays(), before, strict=True):
                array[...] = old
            self.grads[...] = 0
            after = "the parameters are again those from before this fit"
        lr = self.optimizer.lr
        lower = f"lower the learning rate (now {lr:g}; try {lr / 10:g})" if lr else "look for very large numbers"
        return FloatingPointError(f"{what}, and {after}: {lower}, and scale inputs and targets to about -1 to 1")


def run_epochs(
    training: Training,
    plan: EpochPlan,
    history: History,
    epochs: int,
    order: tuple[bool, int],
    progress: Progress,
    validate: Callable[[], float] | None,
    callbacks: Sequence[Callable[[int, dict[str, float]], Any]],
    team: Team,
    stop_event: Event | None = None,
) -> None:
    """Go over the data of the plan for so many epochs, and write down what happens in the history.

    Parameters
    ----------
    order : tuple of bool and int
        Whether rows are shuffled, and the seed of it.
    validate : callable or None
        Gives the validation loss, after each epoch.
    callbacks
        Called with an epoch and its losses; True ends the fit.
    team : Team
        The threads that help: started here.
    stop_event : Event or None
        Ends the fit as Ctrl-C does, where another thread sets it.

    Raises
    ------
    FloatingPointError
        Where loss or parameters are not finite: what a step changes is as it was before.
    """
    before = [array.copy() for array in training.arrays()]
    # Where nothing has to look between epochs, many of them run in one call; a progress bar looks now and then.
    looks = validate is not None or bool(callbacks)
    chunk = 1 if looks or progress.shown else min(epochs, _EPOCHS_IN_ONE_CALL)
    stop = False
    with progress, team:
        start = time.perf_counter()
        while (first := len(history.loss)) < epochs and not stop:
            begin = time.perf_counter()
            losses = np.empty(min(chunk, epochs - first))
            losses.fill(np.nan)
            try:
                diverged = plan.run(*order, first, losses, team, stop_event)
            finally:  # Ctrl-C loses no finished epoch
                history.loss += [loss for loss in losses.tolist() if loss == loss]
                history.seconds = time.perf_counter() - start
            if diverged is not None:
                where = f"in epoch {first + diverged[0] + 1}, batch {diverged[1] + 1}"
                raise training.diverged(f"the loss became {plan.batch.value[0]} {where}", before)
            logs = {"loss": history.loss[-1]}
            if validate is not None:
                logs["val_loss"] = validate()
                history.val_loss.append(logs["val_loss"])
            progress.update(len(history.loss) - first, logs)
            for callback in callbacks:
                answer = callback(len(history.loss) - 1, logs)
                stop = stop or (isinstance(answer, (bool, np.bool_)) and bool(answer))
            history.seconds = time.perf_counter() - start
            if not looks and history.seconds + start - begin < _SECONDS_BETWEEN_LOOKS:
                chunk *= 2
    if not all_finite(training.params):  # in the last step: no loss came after it
        raise training.diverged(f"the parameters overflowed in epoch {len(history)}, in its last batch", before)
