"""scikit-learn's scores of plain arrays, computed at once: to find out what arrays hold takes it 30 times as long."""

from __future__ import annotations

from typing import Any

import numpy as np

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
