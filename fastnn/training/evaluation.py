"""How good predictions are: the loss over known data, and metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.arrays import convert
from fastnn.checks import count, shown
from fastnn.inference import Predictors
from fastnn.layers.tree import Tree
from fastnn.losses import Loss
from fastnn.losses.members import for_end
from fastnn.metrics.contract import Asked
from fastnn.training.data import Data, read

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer


def ending(tree: Tree, loss: Loss) -> tuple[Loss, bool]:
    """Return the loss as it is computed behind these layers, and whether it contains the last of them."""
    loss.require_one_number()
    return for_end(loss, tree.last, droppable=len(tree.elements) > 1)


def evaluated(
    predictors: Predictors, end: tuple[Loss, bool], data: Data, rows: int | None, n_threads: int | None = None
) -> tuple[float, Array]:
    """Return the loss over checked data, and the outputs that it is computed from."""
    (used, without_last), (x, target, weight, _) = end, data
    y, value = predictors.current(without_last).some(x, rows, n_threads), np.empty(1)
    factor = None if weight is None else convert(weight, y.dtype)
    used.compute(y, np.ascontiguousarray(target), factor, None, value, None)
    return float(value[0]), y


def measured(
    trainer: Trainer, loss: Loss, data: Data, metrics: Sequence[Asked], n_threads: int | None, prefix: str = ""
) -> dict[str, float]:
    """Return the loss of a model over checked data, with its penalties, and metrics: by their names behind a prefix."""
    end = ending(trainer.tree, loss)
    value, outputs = evaluated(trainer.predictors, end, data, None, n_threads)
    found = {f"{prefix}loss": value + trainer.restraints.value(trainer.tree, trainer.averages.params)}
    if metrics:
        measures = end[0].measure(metrics, outputs, data[1], data[2])
        found |= {f"{prefix}{name}": number for name, number in measures.items()}
    return found


def evaluate(
    trainer: Trainer,
    x: ArrayLike,
    y: ArrayLike,
    loss: str | Loss | None,
    sample_weight: ArrayLike | None,
    batch_size: int | None,
    metrics: Any = None,
) -> dict[str, float]:
    """Return the loss on other data and what else says how good predictions are."""
    rows = None if batch_size is None else count("batch_size", batch_size)

    def numbers() -> dict[str, float]:
        chosen, tree = trainer.choose_loss(loss)._of_form(), trainer.tree
        asked = chosen.choose_metrics(metrics)
        data = read(tree, x, y, sample_weight, chosen, trainer.build, True, converted=False)
        end = ending(tree, chosen)
        value, outputs = evaluated(trainer.predictors, end, data, rows)
        value += trainer.restraints.value(tree, trainer.averages.params)
        found = {"loss": value, **end[0].metrics_of(outputs, data[1], data[2])}
        return {**found, **end[0].measure(asked, outputs, data[1], data[2])}

    found: dict[str, float] = trainer.as_it_was(numbers)
    return found


def read_validation(tree: Tree, given: Any, loss: Loss, build: Callable[[int], None]) -> tuple[Data, tuple[Any, ...]]:
    """Return what `fit` is given to validate with, checked, and the form of its targets."""
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise TypeError(f"validation_data is {shown(given)}, expected a tuple (x, y), or (x, y, sample_weight)")
    x, y, *weight = given
    own = loss._of_form()
    try:
        return read(tree, x, y, weight[0] if weight else None, own, build, True), own._form
    except (TypeError, ValueError) as error:
        error.args = (f"validation data: {error}",)
        raise
