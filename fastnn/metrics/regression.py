"""Metrics of numbers: how far predictions are off, and how much of the spread of targets they explain."""

from __future__ import annotations

from abc import abstractmethod
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.arena import Array
from fastnn.checks import shown
from fastnn.metrics.contract import Metric, mean
from fastnn.metrics.given import Given, numbers_of
from fastnn.settings import Number

_Numbers = NDArray[np.float64]


def _per_column(numbers: _Numbers, weight: Array | None) -> _Numbers:
    """Return the mean of each column."""
    if weight is None:
        return np.asarray(numbers.mean(axis=0))
    w = np.broadcast_to(weight, numbers.shape)
    with np.errstate(invalid="ignore"):  # a column in which nothing weighs anything has no mean
        return np.asarray((w * numbers).sum(axis=0) / w.sum(axis=0))


class _OfErrors(Metric):
    """The mean over columns of what `_of_columns` makes of each."""

    larger_is_better = False

    def _value(self, given: Given) -> float:
        true, pred = numbers_of(given)
        return float(np.nanmean(self._of_columns(true, pred, given.weight)))

    @abstractmethod
    def _of_columns(self, true: _Numbers, pred: _Numbers, weight: Array | None) -> _Numbers:
        """Return what is left of each column."""


class MeanSquaredError(_OfErrors):
    """Mean of (y - t)² over rows and columns: scikit-learn's mean_squared_error, and the value of `MSE`.

    Examples
    --------
    >>> from fastnn.metrics import MeanSquaredError
    >>> MeanSquaredError()([1.0, 2.0], [1.0, 4.0])
    2.0
    """

    title = "mse"

    def _of_columns(self, true: _Numbers, pred: _Numbers, weight: Array | None) -> _Numbers:
        return _per_column((pred - true) ** 2, weight)


class RMSE(MeanSquaredError):
    """sqrt(mean of (y - t)²), of several columns the mean of their roots: scikit-learn's root_mean_squared_error.

    Examples
    --------
    >>> from fastnn.metrics import RMSE
    >>> RMSE()([1.0, 2.0, 3.0, 4.0], [1.0, 4.0, 3.0, 4.0])
    1.0
    """

    title = "rmse"

    def _of_columns(self, true: _Numbers, pred: _Numbers, weight: Array | None) -> _Numbers:
        return np.asarray(np.sqrt(super()._of_columns(true, pred, weight)))


class MeanAbsoluteError(_OfErrors):
    """Mean of |y - t| over rows and columns: scikit-learn's mean_absolute_error, and the value of `MAE`.

    Examples
    --------
    >>> from fastnn.metrics import MeanAbsoluteError
    >>> MeanAbsoluteError()([1.0, 2.0], [1.0, 4.0])
    1.0
    """

    title = "mae"

    def _of_columns(self, true: _Numbers, pred: _Numbers, weight: Array | None) -> _Numbers:
        return _per_column(np.abs(pred - true), weight)


class MeanAbsolutePercentageError(_OfErrors):
    """Mean of |y - t| / max(|t|, eps) over rows and columns, eps of float64: scikit-learn's; 1 is 100 %.

    Keras's, and the loss `MAPE`, are 100 times that, with an eps of their own.

    Examples
    --------
    >>> from fastnn.metrics import MeanAbsolutePercentageError
    >>> MeanAbsolutePercentageError()([1.0, 2.0], [1.5, 2.0])
    0.25
    """

    title = "mape"

    def _of_columns(self, true: _Numbers, pred: _Numbers, weight: Array | None) -> _Numbers:
        return _per_column(np.abs(pred - true) / np.maximum(np.abs(true), np.finfo(np.float64).eps), weight)


class MedianAbsoluteError(_OfErrors):
    """Median of |y - t| over rows, the mean of those of columns: scikit-learn's median_absolute_error.

    With weights it is the number below and above which rows weigh the same, or the mean of the two at that place.

    Examples
    --------
    >>> from fastnn.metrics import MedianAbsoluteError
    >>> MedianAbsoluteError()([1.0, 2.0, 3.0], [1.0, 2.5, 9.0])
    0.5
    """

    title = "median_absolute_error"

    def _of_columns(self, true: _Numbers, pred: _Numbers, weight: Array | None) -> _Numbers:
        errors = np.abs(pred - true)
        if weight is None:
            return np.asarray(np.median(errors, axis=0))
        w = np.broadcast_to(weight, errors.shape)
        return np.array([_weighted_median(errors[:, j], w[:, j]) for j in range(errors.shape[1])])


def _weighted_median(numbers: _Numbers, weight: Array) -> float:
    numbers, weight = numbers[weight > 0], weight[weight > 0]
    if not len(numbers):
        return float("nan")
    order = np.argsort(numbers, kind="stable")
    sums = np.cumsum(weight[order])
    half = sums[-1] / 2
    place = min(int(np.searchsorted(sums, half)), len(order) - 1)
    after = min(place + 1, len(order) - 1) if sums[place] - half <= np.finfo(np.float64).eps else place
    return float((numbers[order[place]] + numbers[order[after]]) / 2)


class _Explained(Metric):
    """1 - what is left / what there was, the mean over columns."""

    def _value(self, given: Given) -> float:
        true, pred = numbers_of(given)
        left, there = self._left(true, pred, given.weight), (true - _per_column(true, given.weight)) ** 2
        above, below = _per_column(left, given.weight), _per_column(there, given.weight)
        if not self._is_defined(len(true)):
            return float("nan")
        with np.errstate(all="ignore"):
            values = np.where(below == 0, np.where(above == 0, 1.0, 0.0), 1 - above / below)
        return float(np.nanmean(values))

    def _is_defined(self, rows: int) -> bool:
        return True

    @abstractmethod
    def _left(self, true: _Numbers, pred: _Numbers, weight: Array | None) -> _Numbers:
        """Return, of each number, what is not explained."""


class R2(_Explained):
    """1 - Σ (t - y)² / Σ (t - mean of t)², the mean over columns: scikit-learn's r2_score.

    Of targets that are all the same it is 1 where predictions are right, else 0. NaN of fewer than two rows, where
    scikit-learn warns.

    Examples
    --------
    >>> from fastnn.metrics import R2
    >>> R2()([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    0.5
    """

    title = "r2"

    def _is_defined(self, rows: int) -> bool:
        return rows > 1

    def _left(self, true: _Numbers, pred: _Numbers, weight: Array | None) -> _Numbers:
        return np.asarray((true - pred) ** 2)


class ExplainedVariance(_Explained):
    """1 - variance of (t - y) / variance of t, the mean over columns: scikit-learn's explained_variance_score.

    It is `R2` where errors are 0 in the mean. Of targets that are all the same it is 1 where errors are all the same,
    too, else 0.

    Examples
    --------
    >>> from fastnn.metrics import ExplainedVariance
    >>> ExplainedVariance()([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    1.0
    """

    title = "explained_variance"

    def _left(self, true: _Numbers, pred: _Numbers, weight: Array | None) -> _Numbers:
        error = true - pred
        return np.asarray((error - _per_column(error, weight)) ** 2)


class Pinball(Metric):
    """Mean of q (t - y) where y < t, else (1 - q) (y - t): scikit-learn's mean_pinball_loss, for the q-quantile.

    Parameters
    ----------
    q : float
        Between 0 and 1.
    column : int or None
        Which output of each target is that quantile, where a net has several, as for ``Quantile((0.1, 0.5, 0.9))``: 2
        is the last of the three. None where there is one.
    n : int
        How many outputs each target has.

    Examples
    --------
    >>> from fastnn.metrics import Pinball
    >>> Pinball(0.9)([3.0, 0.0], [1.0, 1.0])
    0.95
    >>> Pinball(0.9, column=1, n=2)([3.0, 0.0], [[0.0, 1.0], [0.0, 1.0]])
    0.95
    """

    larger_is_better = False
    q: Any = Number(most=1.0, moves=False)

    def __init__(self, q: float = 0.5, column: int | None = None, n: int = 1) -> None:
        super().__init__()
        self.q, self.n = q, n
        self.column = column

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "n":
            value = _whole("Pinball: n", value, 1, 10**6)
        elif name == "column" and value is not None:
            value = _whole("Pinball: column", value, -self.n, self.n - 1)
        super().__setattr__(name, value)

    @property
    def name(self) -> str:
        return f"pinball_{self.q:g}"

    def _value(self, given: Given) -> float:
        true, pred = numbers_of(given, self.n)
        if self.column is not None:
            pred = pred[:, self.column % self.n :: self.n]
        elif self.n > 1:
            raise ValueError(f"{self!r}: column is None, expected which of {self.n} outputs is the quantile")
        off = true - pred
        return mean(np.where(off >= 0, self.q * off, (self.q - 1) * off), given.weight)


class Coverage(Metric):
    """Σ weight [low <= t <= high] / Σ weight: how often targets lie in the interval between two outputs of each.

    The coverage of an interval between predicted quantiles is meant to be the difference of their levels (Gneiting and
    Raftery 2007): 0.8 for 0.1 and 0.9. The nearer to that the better, so what is better must be said where it is
    watched, ``EarlyStopping(monitor="coverage", mode="max")``.

    Parameters
    ----------
    n : int
        How many outputs each target has, at least 2, as for ``Quantile((0.1, 0.5, 0.9))`` 3.
    low, high : int
        Which of these are the ends; the last one is -1.

    Examples
    --------
    >>> from fastnn.metrics import Coverage
    >>> Coverage()([1.0, 2.0, 3.0, 4.0], [[0, 2], [0, 1], [3, 4], [4, 5]])
    0.75
    """

    title = "coverage"
    larger_is_better = None

    def __init__(self, n: int = 2, low: int = 0, high: int = -1) -> None:
        super().__init__()
        self.n, self.low, self.high = n, low, high

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("low", "high"):
            value = _whole(f"Coverage: {name}", value, -self.n, self.n - 1)
        elif name == "n":
            value = _whole("Coverage: n", value, 2, 10**6)
        super().__setattr__(name, value)

    def _value(self, given: Given) -> float:
        true, pred = numbers_of(given, self.n)
        low, high = (pred[:, place % self.n :: self.n] for place in (self.low, self.high))
        return mean((low <= true) & (true <= high), given.weight)


def _whole(where: str, value: object, least: int, most: int) -> int:
    """Return a whole number between bounds, which may be below 0."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        result = index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{where} is {shown(value)}, expected a whole number from {least} to {most}") from None
    if not least <= result <= most:
        raise ValueError(f"{where} is {result}, expected a whole number from {least} to {most}")
    return result
