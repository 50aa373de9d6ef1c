"""How good predictions are: the loss over data that a net is not trained with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.arrays import convert
from fastnn.checks import shown
from fastnn.inference import Predictors
from fastnn.layers.tree import Tree
from fastnn.losses import Loss
from fastnn.training.data import Data, read


def ending(tree: Tree, loss: Loss) -> tuple[Loss, bool]:
    """Return the loss as it is computed behind these layers, and whether it contains the last of them."""
    loss.require_one_number()
    return loss.for_end(tree.last, droppable=len(tree.elements) > 1)


def evaluated(
    predictors: Predictors, end: tuple[Loss, bool], data: Data, rows: int | None, n_threads: int | None = None
) -> tuple[float, Array]:
    """Return the loss over checked data, and the outputs that it is computed from."""
    (used, without_last), (x, target, weight, _) = end, data
    y, value = predictors.current(without_last).some(x, rows, n_threads), np.empty(1)
    factor = None if weight is None else convert(weight, y.dtype)
    used.compute(y, np.ascontiguousarray(target), factor, None, value, None)
    return float(value[0]), y


def read_validation(tree: Tree, given: Any, loss: Loss, build: Callable[[int], None]) -> Data:
    """Return what `fit` is given to validate with, checked."""
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise TypeError(f"validation_data is {shown(given)}, expected a tuple (x, y), or (x, y, sample_weight)")
    x, y, *weight = given
    try:
        return read(tree, x, y, weight[0] if weight else None, loss, build, True)
    except (TypeError, ValueError) as error:
        error.args = (f"validation data: {error}",)
        raise
