"""Scores: scikit-learn's of plain arrays, computed at once, and what is said of scorers that give none.

To find out what arrays hold takes scikit-learn 30 times as long as to compute the score of plain ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.multiclass import type_of_target

from fastnn.arena import Array
from fastnn.arrays import all_finite


def plain_accuracy(y: Any, found: Array) -> float | None:
    """Return the share of labels that were found, or None where y is not as many of the same dtype in an array."""
    if not _are_alike(y, found) or y.dtype.kind not in "iubU":
        return None
    return float((found == y).mean())


def plain_r2(y: Any, found: Array) -> float | None:
    """Return R² of numbers, to the bit scikit-learn's, or None where y is not as many of the same dtype in an array.

    Where it says more than the number, None is returned, too: of less than two rows, and of numbers that are all alike
    or not finite.
    """
    if not _are_alike(y, found) or y.dtype.kind != "f" or len(y) < 2 or not (all_finite(y) and all_finite(found)):
        return None
    y, found = y[:, None], found[:, None]  # sums are those of columns there
    rest = ((y - found) ** 2).sum(axis=0)
    total = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    return float((1 - rest / total)[0]) if total[0] > 0 else None


def _are_alike(y: Any, found: Array) -> bool:
    return type(y) is np.ndarray and y.ndim == 1 and y.dtype == found.dtype and y.shape == found.shape


def as_score(found: Any) -> float:
    """Return what a scorer has returned.

    Raises
    ------
    TypeError
        Where that is no number.
    """
    if isinstance(found, (bool, np.bool_)) or not isinstance(found, (int, float, np.number)):
        raise TypeError(f"scoring returned {found!r}, expected a number, which is larger where predictions are better")
    return float(found)


def cannot_score(estimator: str, scoring: Any, y: Any, where: str, expected: str, error: Exception) -> ValueError:
    """Return the error for a scorer that has raised one."""
    what = f"{estimator}: scoring={scoring!r} cannot score {type_of_target(y)} targets{where}"
    return ValueError(f"{what}: {str(error).rstrip('.')}. Expected {expected}")
