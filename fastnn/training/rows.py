"""The training step on few rows as one compiled call, for steps that Python has taken once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from fastnn._core.tape import RowsStep, Tape, TargetReader
from fastnn.layers.inputs import NUMBER
from fastnn.layers.tree import Tree
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.settings import edited
from fastnn.signatures import is_ours

if TYPE_CHECKING:
    from fastnn.arena import Array
    from fastnn.training.plan import Batch, Plan
    from fastnn.training.step import Training
    from fastnn.training.trainer import Trainer


def keep_for_rows(
    trainer: Trainer,
    training: Training,
    plan: Plan,
    recorded: tuple[Batch, Tape],
    loss: str | Loss | None,
    optimizer: str | Optimizer | None,
) -> None:
    """Let the next step like this one, taken with this loss and optimizer, be one compiled call, where it can be."""
    batch, tape = recorded
    if not plan.may_be_of_rows or training.weights:
        return
    if plan.of_rows is None:
        plan.of_rows = _compiled(trainer, training, plan, tape)
        plan.may_be_of_rows = plan.of_rows is not None
        if plan.of_rows is None:
            return
    loss_name, optimizer_name = (part if isinstance(part, str) else None for part in (loss, optimizer))
    plan.of_rows.learn(batch.work.rows, tape, trainer.loss, loss_name, optimizer_name)
    trainer.of_rows.put_first(plan.of_rows)


def _compiled(trainer: Trainer, training: Training, plan: Plan, tape: Tape) -> RowsStep | None:
    """Return the step over the memory of a plan, where all of it is of this package and compiled."""
    loss, optimizer, tree, batch = training.given, trainer.optimizer, trainer.tree, plan.batch
    if optimizer is None or tape.calls_functions:
        return None
    parts = (*trainer.restraints.recorded(), *tree.all, loss, optimizer, *optimizer.transforms)
    if not all(is_ours(type(part)) for part in parts):
        return None
    if batch.target.ndim == 1:
        low, high = 0.0, tree.n_out - 1.0
    elif loss.target_range is not None:
        low, high = loss.target_range
    else:
        return None
    own, dtype = ref(training), np.dtype(tree.dtype.type)
    return RowsStep(
        batch.work.activations[0], TargetReader(batch.target, dtype, low, high), batch.value, dtype,
        (trainer.claim, plan.claim), (loss, ref(optimizer), training.update, training.memory),
        partial(_holds, own, tree), partial(_turn, own), _refused, partial(_diverged, own, batch.value), tree, edited,
        None if training.schedules is None else training.schedules.ready,
    )  # fmt: skip


# What a training has is given none that keeps the training.


def _holds(own: ref[Training], tree: Tree, loss: Loss) -> bool:
    """Whether the recorded step is what rows need: nothing fixed has changed, nothing is weighed or left out."""
    training = own()
    are_numbers = tree.kinds is None or all(kind == NUMBER for kind in tree.kinds)
    is_plain = are_numbers and not loss.weighs() and not any(layer.waits for layer in tree.adapting)
    return is_plain and training is not None and training.fits(loss, 0) and training.holds(0)


def _turn(own: ref[Training], trainer: Trainer, loss: Loss, optimizer: Optimizer) -> tuple[Any, ...]:
    """Let the trainer turn to this, and return what it was: a `Mark` would take a third of a step."""
    training = own()
    assert training is not None
    before = trainer._training, trainer._training_of, trainer._updated, trainer.optimizer, trainer.state.averaging
    trainer.turn_to(training, loss, optimizer)
    return before


def _refused(trainer: Trainer, loss: Loss, before: tuple[Any, ...] | None) -> None:
    """Put back what the trainer was before a step that has been refused."""
    trainer.loss, averaging = loss, trainer.state.averaging
    if before is not None:
        trainer._training, trainer._training_of, trainer._updated, trainer.optimizer, trainer.state.averaging = before
        if trainer.state.averaging is not averaging:
            trainer.predictors.read(trainer.averages.layers)


def _diverged(own: ref[Training], value: Array, error: FloatingPointError) -> FloatingPointError:
    training = own()
    return error if training is None else training.failure(value, error)
