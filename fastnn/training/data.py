"""The data of a training: x, targets and what rows weigh, read and checked as a net and its loss need them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.arrays import as_array, as_weights, check_finite, check_lengths, convert
from fastnn.layers.tree import Tree
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.settings import Part
from fastnn.tables import Table, table_of

# x (rows, n_in), targets (rows, n_out) or labels (rows,), weights (rows,) or None; and how many rows were handed in
Data = tuple[Array, Array, "Array | None", int]


def read(
    tree: Tree,
    x: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    loss: Loss,
    build: Callable[[int], None],
    known: bool,
    n: int | None = None,
    converted: bool = True,
) -> Data:
    """Return data, checked; the net is built for them where it is not yet.

    Parameters
    ----------
    tree, x, y, sample_weight, loss
    build : callable
        Builds the net for a number of inputs.
    known : bool
        Whether these are all the rows there are, so that weights are relative to each other (`Weights`). Otherwise
        they are taken as they are.
    n : int or None
        How many rows there have to be, as before callbacks.
    converted : bool
        Whether x and weights are returned in the dtype of the net. Otherwise x is as it is, and weights are float64.
    """
    dtype = tree.dtype
    if type(x) is np.ndarray:
        matrix, labels = tree.inputs(x), tree.feature_names
    else:
        x = table_of(x) or x  # type: ignore[assignment]
        matrix = tree.inputs(x, by_blocks=not converted and sample_weight is None)
        tree.take_names(x)
        labels = tree.labels(x)
    if len(matrix) == 0:
        raise ValueError("x has no rows, expected at least one")
    if n is not None and len(matrix) != n:
        raise ValueError(f"a callback changed the number of rows from {n} to {len(matrix)}, expected it to stay")
    if sample_weight is not None and isinstance(sample_weight, (str, Part)):
        belongs = "optimizer" if isinstance(sample_weight, Optimizer) else "loss"
        hint = f"did you mean {belongs}={sample_weight!r}?"
        raise TypeError(f"sample_weight is {sample_weight!r}, expected one number for each row: {hint}")
    n, weights = len(matrix), None
    if known and sample_weight is not None:
        weights = Weights(sample_weight, n)
        matrix, y = weights.hide(matrix), weights.hide(as_array(y, "y"))
    given: Any = matrix
    if converted:
        matrix = convert(given, dtype)
    check_finite(matrix, "x", None if converted else dtype, labels)
    if not tree.built:
        build(matrix.shape[1])
    target = loss.targets(y, tree.layers[-1].n_out, dtype)
    if len(target) != n:
        check_lengths(n, target, "y")
    if (matrix is not x or target is not y or given.dtype != dtype) and tree.digits.due(matrix):
        _look_at_digits(tree, given, x, labels, target, y)
    if weights is not None:
        return (
            weights.counted(matrix),
            weights.counted(target),
            weights.of(loss, dtype if converted else np.dtype(np.float64)),
            n,
        )
    if sample_weight is None:
        return matrix, target, None, n
    _require_weights(loss)
    return matrix, target, as_weights(sample_weight, n, dtype), n


def _look_at_digits(tree: Tree, matrix: Any, x: Any, labels: Any, target: Array, y: Any) -> None:
    """Warn where a column of x or of numbers y loses the digits that tell rows apart."""
    tree.digits.look(matrix, x, "x", labels)
    if target.dtype == tree.dtype:
        given = table_of(y) or y
        tree.digits.look(target, given, "y", given.labels if isinstance(given, Table) else None)


class Weights:
    """What the rows of known data weigh: only ratios count, and a row of weight 0 is left out, whatever it holds.

    Parameters
    ----------
    sample_weight : array_like of shape (rows,)
    n : int
        The number of rows.

    Raises
    ------
    ValueError, TypeError
        Where there is not one finite number >= 0 for each row, or all are 0.
    """

    def __init__(self, sample_weight: ArrayLike, n: int) -> None:
        weights = as_weights(sample_weight, n, np.dtype(np.float64))
        counts = weights > 0
        if (weights < 0).any():
            row = int(np.argmax(weights < 0))
            raise ValueError(
                f"sample_weight is negative at row {row}, expected numbers >= 0: a row of weight 0 is left out; "
                "train_batch takes negative ones, such as advantages"
            )
        if not counts.any():
            raise ValueError("sample_weight is 0 in all rows, expected one above 0 at least: there is nothing to learn")
        self._counts = None if counts.all() else counts
        weights = self.counted(weights)
        self._n, largest = len(weights), weights.max()
        with np.errstate(all="ignore"):  # the least ones may become 0
            weights = weights / largest  # the sum of large ones overflows
            self._scaled = None if weights.min() == 1 else weights * (self._n / weights.sum())

    def hide(self, array: Array) -> Array:
        """Return data in which rows that are left out hold what one that counts does: no check sees what they held.

        So rows that a check finds have the numbers that they have for the user.
        """
        counts = self._counts
        if counts is None or array.ndim == 0 or len(array) != len(counts):  # what is wrong with it is said elsewhere
            return array
        array = array.copy()
        array[~counts] = array[np.argmax(counts)]
        return array

    def counted(self, array: Array) -> Array:
        """Return the rows that count."""
        return array if self._counts is None else array[self._counts]

    def of(self, loss: Loss, dtype: np.dtype[Any]) -> Array | None:
        """Return the weights of the rows that count, of mean 1; None where all weigh the same."""
        if self._scaled is None:
            return np.ones(self._n, dtype) if loss.needs_weights else None
        _require_weights(loss)
        return convert(self._scaled, dtype)


def _require_weights(loss: Loss) -> None:
    if not loss.takes_weights:
        raise TypeError(
            f"{loss} takes no sample_weight: give its value_and_grad a third parameter, weight; in fit and evaluate, "
            "weights that are all 0 or 1 need none"
        )
