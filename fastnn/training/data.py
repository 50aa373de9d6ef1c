"""The data of a training: x, targets and what rows weigh, read and checked as a net and its loss need them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import losses, optimizers
from fastnn.arena import Array
from fastnn.arrays import as_weights, check_finite, check_lengths, convert
from fastnn.checks import shown
from fastnn.layers.tree import Tree
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.settings import Part
from fastnn.tables import Table, table_of

# x (rows, n_in), targets (rows, n_out) or labels (rows,), weights or None; and how many rows were handed in.
# Weights are those of rows, (rows, 1), or of targets, (rows, n_out).
Data = tuple[Array, Array, "Array | None", int]


def per_row(weights: Array | None) -> int:
    """Return how many weights a row has: 0 where there are none."""
    return 0 if weights is None else weights.shape[1]


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
    scaled: bool = True,
) -> Data:
    """Return data, checked; the net is built for them where it is not yet.

    Parameters
    ----------
    tree, x, y, sample_weight, loss
    build : callable
        Builds the net for a number of inputs.
    known : bool
        Whether these are all the rows there are, so that only ratios of weights count and rows of weight 0 are left
        out, whatever they hold. Otherwise weights are taken as they are.
    n : int or None
        How many rows there have to be, as before callbacks.
    converted : bool
        Whether x is returned in the dtype of the net, and not as it is. Weights of known rows are float64.
    scaled : bool
        Whether weights of known data are scaled to mean 1. Otherwise these are some of all rows.
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
        hint = _no_weights(sample_weight, labels)
        raise TypeError(f"sample_weight is {shown(sample_weight)}, expected one number for each row: {hint}")
    n, weights = len(matrix), None
    if sample_weight is not None:
        weights = known_weights(sample_weight, n) if known else as_weights(sample_weight, n, dtype)
        if known and not (counts := weights.any(axis=1)).all():
            if tree.digits.due(matrix):
                tree.digits.look(matrix[counts], x, "x", labels)
            return *_read_counted(tree, matrix, y, weights, loss, build, converted, scaled), n
    given: Any = matrix
    if converted:
        matrix = convert(given, dtype)
    if tree.has_columns and not tree.built:  # the layers say what columns may hold
        build(matrix.shape[1])
    leaves_out = known and loss.may_leave_out
    if not leaves_out and tree.kinds is None:
        check_finite(matrix, "x", None if converted else dtype, labels)
    elif not leaves_out:
        tree.check_numbers(matrix, "x", None if converted else dtype, labels)
    if not tree.built:
        build(matrix.shape[1])
    target, weights = loss.read(y, weights, tree.layers[-1].n_out, dtype, known=known)
    if len(target) != n:
        check_lengths(n, target, "y")
    if leaves_out:
        counts = np.ones(n, bool) if weights is None else weights.any(axis=1)
        shown_x = matrix
        if not counts.all():  # errors call rows by the user's numbers
            shown_x = matrix.copy()
            shown_x[~counts] = matrix[np.argmax(counts)]
            given, matrix, target = given[counts], matrix[counts], target[counts]
            weights = None if weights is None else weights[counts]
        tree.check_numbers(shown_x, "x", None if converted else dtype, labels)
    if (matrix is not x or target is not y or given.dtype != dtype) and tree.digits.due(matrix):
        _look_at_digits(tree, given, x, labels, target, y)
    if weights is not None and known and scaled:
        weights = loss.relative(weights, target)
        if (weights == 1).all():
            weights = None
    if weights is None:
        return matrix, target, None, n
    _require_weights(loss)
    return matrix, target, np.ascontiguousarray(weights if known else convert(weights, dtype)), n


def require_targets(where: str, x: Any, y: Any) -> None:
    """Raise TypeError where there are no targets, and x is no feed, which has them."""
    if y is None:
        raise TypeError(
            f"{where}: y is missing beside x, {shown(x)}: pass targets, or a feed or batches of (x, y) as x "
            "(fastnn.feeds)"
        )


def _no_weights(given: str | Part, labels: Any) -> str:
    """Return what a person may have meant who gives a word or a part as the weights of rows."""
    if isinstance(given, Part):
        return f"did you mean {'optimizer' if isinstance(given, Optimizer) else 'loss'}={given!r}?"
    if labels is not None and given in list(labels):
        return f"pass the column itself: sample_weight=x[{given!r}]"
    if given == "balanced":
        return "rows of all classes weigh the same by 1 / np.bincount(labels)[labels]"
    for belongs, get in (("loss", losses.get), ("optimizer", optimizers.get)):
        try:
            get(given)
        except ValueError:
            continue
        return f"did you mean {belongs}={given!r}?"
    return "pass an array or a list"


def _look_at_digits(tree: Tree, matrix: Any, x: Any, labels: Any, target: Array, y: Any) -> None:
    """Warn where a column of x or of numbers y loses the digits that tell rows apart."""
    tree.digits.look(matrix, x, "x", labels)
    if target.dtype == tree.dtype:
        given = target if isinstance(y, (dict, tuple)) else table_of(y) or y
        tree.digits.look(target, given, "y", given.labels if isinstance(given, Table) else None)


def known_weights(sample_weight: ArrayLike, n: int) -> Array:
    """Return checked weights of known data, as float64."""
    weights = as_weights(sample_weight, n, np.dtype(np.float64))
    if (weights < 0).any():
        row = int(np.argmax((weights < 0).any(axis=1)))
        raise ValueError(
            f"sample_weight is negative at row {row}, expected numbers >= 0: a row of weight 0 is left out; "
            "train_batch takes negative ones, such as advantages"
        )
    if not weights.any():
        raise ValueError("sample_weight is 0 in all rows, expected one above 0 at least: there is nothing to learn")
    return weights


def _read_counted(
    tree: Tree,
    x: Array,
    y: Any,
    weights: Array,
    loss: Loss,
    build: Callable[[int], None],
    converted: bool,
    scaled: bool,
) -> tuple[Array, Array, Array | None]:
    """Return the data of rows that count: nobody sees what the others hold."""
    pieces, targets = loss.pieces(y)
    for piece in pieces:
        check_lengths(len(x), piece, "y")
    counts = weights.any(axis=1)
    try:
        y = targets([piece[counts] for piece in pieces])
        return read(tree, x[counts], y, weights[counts], loss, build, True, None, converted, scaled)[:3]
    except (TypeError, ValueError):
        # Once more, with a row that counts in place of all others: so the error calls rows by the user's numbers.
        filled = [array.copy() for array in (x, *pieces)]
        for array in filled:
            array[~counts] = array[np.argmax(counts)]
        read(tree, filled[0], targets(filled[1:]), None, loss, build, True, None, converted)
        raise


def _require_weights(loss: Loss) -> None:
    if not loss.takes_weights:
        raise TypeError(
            f"{loss} takes no sample_weight: give its value_and_grad a third parameter, weight; in fit and evaluate, "
            "weights that are all 0 or 1 need none"
        )
