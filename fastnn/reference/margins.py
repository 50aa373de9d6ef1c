"""Losses of margins; and losses that look at more than one number of a row."""

from __future__ import annotations

import numpy as np

from fastnn.reference.losses import _reduce
from fastnn.reference.types import Array, Cell, Labels


def hinge(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, *, each: Array | None = None,
    total: bool = False,
) -> None:  # fmt: skip
    """l_ij = max(0, 1 - t y), t = -1 or 1; the derivative at the kink is 0."""
    short = 1 - t * y
    _reduce(np.maximum(short, 0), np.where(short <= 0, 0, -t), weight, dy, value, each, total)


def squared_hinge(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, *, each: Array | None = None,
    total: bool = False,
) -> None:  # fmt: skip
    """l_ij = max(0, 1 - t y)^2, t = -1 or 1."""
    short = np.maximum(1 - t * y, 0)
    _reduce(short * short, -2 * t * short, weight, dy, value, each, total)


def multi_margin(
    y: Array, t: Labels, weight: Array | None, dy: Array | None, value: Cell, margin: float = 1.0, *,
    squared: bool = False, each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_i = sum_(j != t) max(0, margin - y_it + y_ij) / n, or of squares; t (rows) (Weston and Watkins 1999)."""
    n = y.shape[1]
    here = np.arange(len(t)), np.where((t < 0) | (t >= n), 0, t)  # rows that are left out may have any label
    short = np.maximum(margin - y[here][:, None] + y, 0)
    short[here] = 0
    gradient = (2 * short if squared else np.where(short <= 0, 0, y.dtype.type(1))) / n
    gradient[here] = -gradient.sum(axis=1)
    losses = (short * short if squared else short).sum(axis=1, keepdims=True, dtype=np.float64) / n
    _reduce(losses.astype(y.dtype), gradient, weight, dy, value, each, total, of_rows=True)


def cosine_similarity(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, eps: float = 1e-8, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_i = 1 - y_i t_i / (max(|y_i|, eps) max(|t_i|, eps))."""
    y_, t_ = y.astype(np.float64), t.astype(np.float64)
    of_y = np.sqrt((y_ * y_).sum(axis=1, keepdims=True))
    lengths = np.maximum(of_y, eps) * np.maximum(np.sqrt((t_ * t_).sum(axis=1, keepdims=True)), eps)
    cosine = (y_ * t_).sum(axis=1, keepdims=True) / lengths
    along = np.where(of_y < eps, 0, cosine / np.maximum(of_y, eps) ** 2)
    _reduce(1 - cosine, along * y_ - t_ / lengths, weight, dy, value, each, total, of_rows=True)


def quantiles(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, q: Cell, crossing: float = 0.0, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_ij = q_k (t - y) where y < t, else (1 - q_k) (y - t), of k = j modulo len(q), plus, for k > 0,
    crossing * max(0, y_(i, j-1) - y_ij).
    """
    d = y - t
    levels = np.resize(q.astype(y.dtype), y.shape)
    factor = np.where(d < 0, -levels, 1 - levels)
    over = np.zeros_like(y)
    over[:, 1:] = np.fmax(y[:, :-1] - y[:, 1:], 0)
    over[:, :: len(q)] = 0
    of_crossing = crossing * (over > 0).astype(y.dtype)
    _reduce(
        factor * d + crossing * over, np.where(np.abs(d) > 0, factor, d) - of_crossing, weight, dy, value, each, total
    )
    if dy is not None:  # each crossing lifts its own number, and lowers the one before
        before, scratch = np.zeros_like(dy), np.empty(1)
        _reduce(over, of_crossing, weight, before, scratch, None, total)
        dy[:, :-1] += np.where(np.isnan(before), 0, before)[:, 1:]
