"""What is added to a loss for the size of numbers, and sets to which parameters are brought back; numbers are (1)."""
# ruff: noqa: D403 - a docstring that is a formula starts with the name of what it computes

from __future__ import annotations

import numpy as np

from fastnn.reference.types import Array, Cell


def penalty(w: Array, dw: Array | None, sums: Cell, l1: float = 0.0, l2: float = 0.0, scale: float = 1.0) -> None:
    """dw += scale (l1 sign(w) + 2 l2 w), sums_i = sum over the i-th part of w of scale (l1 |w| + l2 w^2).

    Parts have ceil(n / len(sums)) elements (Hoerl & Kennard 1970; Tibshirani 1996; Zou & Hastie 2005).
    """
    length = -(-w.size // len(sums))
    for i in range(len(sums)):
        part = w[i * length : (i + 1) * length].astype(np.float64)
        sums[i] = scale * ((l1 * np.abs(part).sum() if l1 else 0) + (l2 * np.square(part).sum() if l2 else 0))
    if dw is not None:
        dw += scale * (l1 * np.sign(w) + 2 * l2 * w)


def add_sum(sums: Cell, total: Cell) -> None:
    """total += sum_i sums_i."""
    total += sums.sum()


def bound_column_norms(w: Array, low: float = 0.0, high: float = 1.0, rate: float = 1.0) -> None:
    """w_j *= (rate min(max(|w_j|, low), high) + (1 - rate) |w_j|) / |w_j|, of the columns (Srebro & Shraibman 2005)."""
    w *= _factors(np.sqrt(np.square(w, dtype=np.float64).sum(axis=0)), low, high, rate)


def bound_row_norms(w: Array, low: float = 0.0, high: float = 1.0, rate: float = 1.0) -> None:
    """As `bound_column_norms`, of the rows."""
    w *= _factors(np.sqrt(np.square(w, dtype=np.float64).sum(axis=1)), low, high, rate)[:, None]


def _factors(norms: Cell, low: float, high: float, rate: float) -> Cell:
    target = rate * np.clip(norms, low, high) + (1 - rate) * norms
    return np.divide(target, norms, out=np.ones_like(norms), where=norms > 0)


def bound(w: Array, low: float, high: float) -> None:
    """w = min(max(w, low), high)."""
    np.clip(w, low, high, out=w)
