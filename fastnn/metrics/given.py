"""What metrics are given: targets, predictions and weights, read as classes, scores, probabilities or numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.arena import Array
from fastnn.arrays import all_finite, as_array, as_weights, check_finite
from fastnn.checks import number_of, shown

_ROUNDING = 1e-3  # of probabilities, and of sums that are 1
_FEW = 1000  # classes, for which counting is quicker than sorting


class Given(NamedTuple):
    """Rows that count.

    Attributes
    ----------
    metric : object
        Whom errors name.
    true, pred : ndarray of shape (rows,) or (rows, columns)
        Columns are at least two.
    weight : ndarray of shape (rows, 1) or (rows, columns), or None
        Of float64, none above 1.
    """

    metric: object
    true: Array
    pred: Array
    weight: Array | None

    @property
    def of_rows(self) -> Array | None:
        """What rows weigh, (rows,).

        Raises
        ------
        ValueError
            Where each target has a weight of its own.
        """
        if self.weight is None:
            return None
        if self.weight.shape[1] > 1:
            raise ValueError(
                f"{self.metric!r}: sample_weight has {number_of(self.weight.shape[1], 'column')}, expected one number "
                "per row: it is a metric of whole rows"
            )
        return self.weight[:, 0]


class Classes(NamedTuple):
    """What is right and what is predicted, as classes.

    Attributes
    ----------
    true, pred : ndarray of int64 of shape (rows,), or of bool of shape (rows, labels)
        Of rows with several labels, which of them a row has. Else classes, counted from 0.
    names : ndarray of shape (n,), or None
        What classes are called, in order: those that occur in either.
    """

    true: Array
    pred: Array
    names: Array | None

    @property
    def are_several(self) -> bool:
        """Whether a row may have several labels."""
        return self.names is None

    @property
    def positive(self) -> int | None:
        """The place of class 1, where there are no classes but 0 and 1, or -1 and 1; -1 where it does not occur."""
        names = self.names
        if names is None or names.dtype.kind not in "iufb" or len(names) > 2:
            return None
        if not (np.isin(names, (0, 1)).all() or np.isin(names, (-1, 1)).all()):
            return None
        return int(np.argmax(names == 1)) if (names == 1).any() else -1


def read(metric: object, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: Any, may_be_names: bool) -> Given:
    """Return rows that count, checked but for what the metric itself expects of them."""
    true, pred = (_array(metric, data, name, may_be_names) for name, data in (("y_true", y_true), ("y_pred", y_pred)))
    if len(true) != len(pred):
        raise ValueError(f"{metric!r}: y_pred has {len(pred)} rows, expected {len(true)} as y_true has")
    if not len(true):
        raise ValueError(f"{metric!r}: y_true has no rows, expected at least one")
    weight = None
    if sample_weight is not None:
        weight = as_weights(sample_weight, len(true), np.dtype(np.float64), f"{metric!r}: sample_weight")
        if (weight < 0).any():
            row = int(np.argmax((weight < 0).any(axis=1)))
            raise ValueError(f"{metric!r}: sample_weight is negative at row {row}, expected numbers >= 0")
        if weight.shape[1] > 1 and (weight == weight[:, :1]).all():
            weight = weight[:, :1]
        counts = weight.any(axis=1)
        if not counts.any():
            raise ValueError(f"{metric!r}: sample_weight is 0 in all rows, expected one above 0 at least")
        if not counts.all():
            true, pred, weight = true[counts], pred[counts], weight[counts]
        weight = weight / weight.max()  # sums of large ones overflow
        if weight.shape[1] > 1 and true.shape == pred.shape == weight.shape and not weight.all():
            true, pred = np.where(weight > 0, true, 0), np.where(weight > 0, pred, 0)  # whatever stood there
    for array, name in ((true, "y_true"), (pred, "y_pred")):
        if array.dtype.kind == "f" and not all_finite(array):
            check_finite(array, f"{metric!r}: {name}")
    return Given(metric, true, pred, weight)


def _array(metric: object, data: Any, name: str, may_be_names: bool) -> Array:
    """Return rows, (rows,) or (rows, several columns)."""
    usual = type(data) is np.ndarray and data.dtype.kind in "fiub" and data.dtype.isnative
    array = data if usual else None
    if may_be_names and array is None:
        found = np.asarray(data)
        if found.dtype.kind == "O" and found.size and all(isinstance(one, str) for one in found.ravel()):
            found = found.astype(str)
        array = found if found.dtype.kind == "U" else None
    if array is None:
        array = as_array(data, f"{metric!r}: {name}")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or (array.ndim == 2 and not array.shape[1]):
        raise ValueError(f"{metric!r}: {name} has shape {array.shape}, expected (rows,) or (rows, columns)")
    return array


# -- classes ----------------------------------------------------------------------------------------------------------


def classes_of(given: Given) -> Classes:
    """Return what is right and what is predicted as classes.

    Of one column of real numbers the predicted class is that on their side of 0.5, or of 0 for classes -1 and 1; of
    several columns the largest, or, where rows of targets have several labels, all above 0.5.
    """
    metric, true, pred, _ = given
    if "U" in (true.dtype.kind, pred.dtype.kind):
        return _named(given)
    if true.ndim == pred.ndim == 1:
        middle = _middle(true)
        if pred.dtype.kind == "f" and middle is not None:
            low = 0 if middle else -1
            true, pred = (np.where(array > middle, 1, low) for array in (true, pred))
        elif pred.dtype.kind == "f" and not (np.floor(pred) == pred).all():
            raise ValueError(
                f"{metric!r}: y_pred is {shown(pred[0])} at row 0 and y_true {shown(true[0])}, expected classes 0 and "
                "1, or -1 and 1, beside one column of numbers; for more classes a column for each"
            )
        return _counted(true, pred)
    if true.ndim == 1:
        return _counted(_within(given), pred.argmax(axis=1))
    if true.shape != pred.shape:
        raise ValueError(
            f"{metric!r}: y_pred has shape {pred.shape}, expected {true.shape} as y_true has, or y_true (rows,) of "
            "labels"
        )
    if pred.dtype.kind == "f" and is_one_class(true):
        return _counted(true.argmax(axis=1), pred.argmax(axis=1))
    middle = 0 if (true == -1).any() else 0.5
    return Classes(true > middle, pred > middle, None)


def _middle(true: Array) -> float | None:
    """Return what lies between two classes: 0.5 of 0 and 1, and probabilities, 0 of -1 and 1; None of others."""
    low, high = true.min(), true.max()
    if low >= 0 and high <= 1:
        return 0.5
    return 0.0 if low == -1 and ((true == low) | (true == 1)).all() else None


def is_one_class(true: Array) -> bool:
    """Whether each row is one class: 1 in one column and 0 in others, or probabilities of which 1 is the sum."""
    return bool(true.min() >= 0 and np.abs(true.sum(axis=1, dtype=np.float64) - 1).max() <= _ROUNDING)


def _within(given: Given) -> Array:
    """Return labels beside columns of classes."""
    metric, true, pred, _ = given
    n = pred.shape[1]
    wrong = (true < 0) | (true >= n) | (np.floor(true) != true)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{metric!r}: y_true is {true[row]} at row {row}, expected labels from 0 to {n - 1} for y_pred of "
            f"{number_of(n, 'column')}"
        )
    return true.astype(np.int64)


def _counted(true: Array, pred: Array) -> Classes:
    """Return classes counted from 0, as many as occur."""
    are_whole = true.dtype.kind == pred.dtype.kind == "i"
    high = max(true.max(), pred.max()) if are_whole else _FEW
    if high < _FEW and min(true.min(), pred.min()) >= 0:
        occurs = np.bincount(true, minlength=high + 1) + np.bincount(pred, minlength=high + 1) > 0
        names = np.flatnonzero(occurs)
        if len(names) <= high:
            place = np.cumsum(occurs) - 1
            true, pred = place[true], place[pred]
        return Classes(true, pred, names)
    names, places = np.unique(np.concatenate([true, pred]), return_inverse=True)
    return Classes(places[: len(true)], places[len(true) :], names)


def _named(given: Given) -> Classes:
    metric, true, pred, _ = given
    if true.dtype.kind != pred.dtype.kind or not true.ndim == pred.ndim == 1:
        raise ValueError(
            f"{metric!r}: y_true is of dtype {true.dtype} and shape {true.shape}, y_pred of {pred.dtype} and "
            f"{pred.shape}, expected names of classes in both, one for each row"
        )
    return _counted(true, pred)


def confusion(classes: Classes, weight: Array | None) -> NDArray[np.float64]:
    """Return what rows weigh, [class that is right, class that is predicted]."""
    assert classes.names is not None
    n = len(classes.names)
    counts = np.bincount(classes.true * n + classes.pred, weight, n * n)
    return counts.reshape(n, n).astype(np.float64)


# -- scores and probabilities -----------------------------------------------------------------------------------------


def columns_of(given: Given) -> tuple[NDArray[np.bool_], Array, bool]:
    """Return in each column whether a row is of that class, with its score, and whether a row is of one class only.

    Of two classes there is one column: that of class 1.
    """
    metric, true, pred, _ = given
    if true.ndim == pred.ndim == 1:
        middle = _middle(true)
        if middle is None:
            raise ValueError(
                f"{metric!r}: y_true holds {shown(np.unique(true)[:5].tolist())}, expected classes 0 and 1, or -1 and "
                "1, beside one column of y_pred; for more classes a column for each"
            )
        return (true > middle)[:, None], pred[:, None], True
    if true.ndim == 1:
        right, is_one = _within(given)[:, None] == np.arange(pred.shape[1]), True
    elif true.shape == pred.shape:
        is_one = is_one_class(true)
        right = true.argmax(axis=1)[:, None] == np.arange(pred.shape[1]) if is_one else true > 0.5
    else:
        raise ValueError(
            f"{metric!r}: y_pred has shape {pred.shape}, expected {true.shape} as y_true has, or y_true (rows,) of "
            "labels"
        )
    if is_one and pred.shape[1] == 2:
        return right[:, 1:], pred[:, 1:], True
    return right, pred, is_one


def probabilities_of(given: Given) -> tuple[Array, Array, bool]:
    """Return in each column how much a row is of that class, with its predicted probability.

    And whether those of a row sum to 1. For one column of numbers, 1 - p of class 0 is a column, too.
    """
    metric, true, pred, _ = given
    wrong = (pred < -_ROUNDING) | (pred > 1 + _ROUNDING)
    if wrong.any():
        place = np.argwhere(wrong)[0]
        raise ValueError(
            f"{metric!r}: y_pred is {pred[tuple(place)]} at row {place[0]}, expected probabilities from 0 to 1"
        )
    if pred.dtype.kind != "f":
        pred = pred.astype(np.float64)
    if true.ndim == pred.ndim == 1:
        if true.min() < 0 or true.max() > 1:
            _, _, _ = columns_of(given)
            true = true == 1
        right = true.astype(np.float64)
        return np.stack([1 - right, right], axis=1), np.stack([1 - pred, pred], axis=1), True
    if true.ndim == 1:
        return (_within(given)[:, None] == np.arange(pred.shape[1])).astype(np.float64), pred, True
    if true.shape != pred.shape:
        columns_of(given)
    if true.min() < 0 or true.max() > 1:
        raise ValueError(f"{metric!r}: y_true holds {true.min()} and {true.max()}, expected numbers from 0 to 1")
    return true.astype(np.float64), pred, is_one_class(true)


# -- numbers ----------------------------------------------------------------------------------------------------------


def numbers_of(given: Given, per_target: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return targets (rows, columns) and predictions (rows, columns * per_target), as float64."""
    true, pred = (array.astype(np.float64, copy=False) for array in (given.true, given.pred))
    true = true if true.ndim == 2 else true[:, None]
    pred = pred if pred.ndim == 2 else pred[:, None]
    if pred.shape[1] != true.shape[1] * per_target:
        for_each = f", {per_target} for each column of y_true" if per_target > 1 else " as y_true has"
        raise ValueError(
            f"{given.metric!r}: y_pred has {number_of(pred.shape[1], 'column')}, expected "
            f"{true.shape[1] * per_target}{for_each}"
        )
    if given.weight is not None and given.weight.shape[1] not in (1, true.shape[1]):
        raise ValueError(
            f"{given.metric!r}: sample_weight has shape {given.weight.shape}, expected one number per row, or "
            f"{true.shape}"
        )
    return true, pred
