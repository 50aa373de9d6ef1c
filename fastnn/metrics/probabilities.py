"""Metrics of probabilities: how much of it what happens was given."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.checks import count
from fastnn.metrics.contract import Metric, mean
from fastnn.metrics.given import Given, probabilities_of


class LogLoss(Metric):
    """Mean over rows of -Σ_k t_k log(p_k), for probabilities p of classes and t 0 or 1: scikit-learn's log_loss.

    One column is the probability of class 1. Probabilities are clipped to [eps, 1 - eps], with eps of their dtype.
    Where rows have several labels, it is the mean over columns of -t log(p) - (1 - t) log(1 - p), as
    `BinaryCrossEntropy` has it; scikit-learn takes such columns for classes of one row.

    Examples
    --------
    >>> from fastnn.metrics import LogLoss
    >>> round(LogLoss()([0, 1], [[0.9, 0.1], [0.2, 0.8]]), 6)
    0.164252
    """

    larger_is_better = False
    title = "log_loss"

    def _value(self, given: Given) -> float:
        true, p, is_one = probabilities_of(given)
        eps = np.finfo(p.dtype).eps
        p = np.clip(p, eps, 1 - eps).astype(np.float64)
        if is_one:
            weight = given.of_rows
            return mean(-(true * np.log(p)).sum(axis=1), None if weight is None else weight[:, None])
        return mean(-true * np.log(p) - (1 - true) * np.log1p(-p), given.weight)


class Brier(Metric):
    """Mean over rows of Σ_k (p_k - t_k)², for probabilities p of classes and t 0 or 1 (Brier 1950).

    Of two classes it is half of that, (p - t)² of class 1, as in scikit-learn's brier_score_loss. Where rows have
    several labels it is the mean of (p - t)² over columns.

    Examples
    --------
    >>> from fastnn.metrics import Brier
    >>> round(Brier()([0, 1], [0.1, 0.8]), 6)
    0.025
    """

    larger_is_better = False
    title = "brier"

    def _value(self, given: Given) -> float:
        true, p, is_one = probabilities_of(given)
        squares = (p.astype(np.float64) - true) ** 2
        if not is_one:
            return mean(squares, given.weight)
        weight, n = given.of_rows, squares.shape[1]
        value = mean(squares.sum(axis=1), None if weight is None else weight[:, None])
        return value / 2 if n == 2 else value


class CalibrationError(Metric):
    """Σ_b (weight of b / weight) |share of right rows - mean confidence in b| over bins b (Guo et al. 2017).

    That is the expected calibration error: by how much the confidence, which is the largest probability of a row, is
    off what happens. Bins are (0, 1/n], (1/n, 2/n] and so on. One column is the probability of class 1, and stands for
    two; where rows have several labels, each entry is such a question.

    Parameters
    ----------
    bins : int
        At least 1.

    Examples
    --------
    >>> from fastnn.metrics import CalibrationError
    >>> round(CalibrationError(bins=10)([1, 1, 1, 0], [0.75, 0.75, 0.75, 0.75]), 6)
    0.0
    """

    larger_is_better = False
    title = "expected_calibration_error"

    def __init__(self, bins: int = 15) -> None:
        super().__init__()
        self.bins = bins

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, count("CalibrationError: bins", value, most=10**6) if name == "bins" else value)

    def _value(self, given: Given) -> float:
        true, p, is_one = probabilities_of(given)
        p = p.astype(np.float64)
        weight: Any = np.ones(len(p))
        if is_one:
            predicted = p.argmax(axis=1)
            confidence, right = p.max(axis=1), predicted == true.argmax(axis=1)
            weight = weight if given.weight is None else given.of_rows
        else:
            confidence, right = np.maximum(p, 1 - p).ravel(), ((p > 0.5) == (true > 0.5)).ravel()
            weight = np.broadcast_to(1.0 if given.weight is None else given.weight, p.shape).ravel()
        place = np.clip(np.ceil(confidence * self.bins).astype(np.int64) - 1, 0, self.bins - 1)
        gaps = np.bincount(place, weight * (right - confidence), self.bins)
        return float(np.abs(gaps).sum() / weight.sum())
