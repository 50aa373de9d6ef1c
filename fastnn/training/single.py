"""Training by single rows: the row and its target, and the step of one row as one compiled call."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from fastnn._core.tape import RowStep, Tape
from fastnn.arrays import as_array
from fastnn.layers.inputs import NUMBER
from fastnn.layers.tree import Tree
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.settings import edited
from fastnn.signatures import is_ours
from fastnn.tables import Named, row_names
from fastnn.values import numbers_by_name

if TYPE_CHECKING:
    from fastnn.training.plan import Batch, Plan
    from fastnn.training.step import Training
    from fastnn.training.trainer import Trainer


def as_one_row(tree: Tree, row: Any, instead: str, may_name: bool = False) -> Any:
    """Return one row as `Model.fit` takes rows: an array (1, n_in), or one whose columns have names.

    Parameters
    ----------
    tree : Tree
    row : array_like of shape (n_in,), Series or dict
    instead : str
        What takes several.
    may_name : bool
        Whether a dict may be the first to name the columns.
    """
    known = tree.feature_names
    if (
        isinstance(row, Mapping)
        and (known or (may_name and not tree.built))
        and all(isinstance(name, str) for name in row)
    ):
        names: Any = tuple(row)
        array = numbers_by_name([*row.values()], names, "row")
    else:
        names = row_names(row, known)
        array = as_array(row, "row") if names is None else numbers_by_name(row, names, "row")
        array = tree.flat(array[None])[0] if array.ndim > 1 else array
    if names is not None:
        Named(array[None, :], names).order(known, "row")  # says what is wrong with them
    if array.ndim != 1 or array.size != (tree.n_in or array.size):
        expected = f"({tree.n_in},)" if tree.built else "one dimension (n_in,)"
        raise ValueError(f"row has shape {array.shape}, expected {expected}; {instead} takes several rows")
    return array[None, :] if names is None else Named(array[None, :], names)


def learn_one(trainer: Trainer, row: Any, y: Any, loss: str | Loss | None, optimizer: str | Optimizer | None) -> float:
    """Take a step of `train_batch` on one row, and make ready for the next one as one compiled call."""
    tree, chosen = trainer.tree, trainer.choose_loss(loss)
    x = as_one_row(tree, row, "train_batch", may_name=True)
    for layer in tree.adapting:
        if not layer.n_in or layer.waits:  # one that has been fitted alone is built
            raise RuntimeError(
                f"learn_one: {layer.title} takes its scale from the first data, and one row has none: begin with "
                "fit, partial_fit or train_batch on some rows, or give it some: layer.adapt(rows)"
            )
    trainer.row_step = None
    value, training, plan, recorded = trainer.take_batch(x, chosen.row(y), None, chosen, optimizer)
    trainer.row_step = _compiled(trainer, training, plan, recorded, (_name(loss), _name(optimizer)))
    return value


def _compiled(
    trainer: Trainer, training: Training, plan: Plan, recorded: tuple[Batch, Tape], called: tuple[object, object]
) -> RowStep | None:
    """Return the recorded step as a function of one row, where all of it is of this package and compiled."""
    loss, optimizer, tree = trainer.loss, trainer.optimizer, trainer.tree
    batch, tape = recorded
    if loss is None or optimizer is None or loss is not training.given or tape.calls_functions:
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
    holds = partial(_holds, training, tree, loss)
    if not holds():
        return None
    return RowStep(
        tape, batch.work.activations[0], batch.target, batch.value, np.dtype(tree.dtype.type), low, high,
        (trainer.claim, plan.claim), (loss, ref(optimizer), training.update, training.memory), called,
        tree.feature_names, holds, partial(training.failure, batch.value), edited,
        None if training.schedules is None else training.schedules.ready,
    )  # fmt: skip


def _name(part: object) -> object:
    """Return a name that has been given: a part itself might be kept alive by it."""
    return part if isinstance(part, str) else None


def _holds(training: Training, tree: Tree, loss: Loss) -> bool:
    """Whether the recorded step is what a row needs: nothing fixed has changed, nothing is weighed or left out."""
    are_numbers = tree.kinds is None or all(kind == NUMBER for kind in tree.kinds)
    is_plain = are_numbers and not training.weights and not loss.weighs()
    return is_plain and not any(layer.waits for layer in tree.adapting) and training.holds(0)
