"""Losses of numbers."""

from __future__ import annotations

import numpy as np

from fastnn.reference.losses import _reduce
from fastnn.reference.types import Array, Cell


def mse(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, *, each: Array | None = None,
    total: bool = False,
) -> None:  # fmt: skip
    """l_ij = d^2, d = y - t."""
    d = y - t
    _reduce(d * d, 2 * d, weight, dy, value, each, total)


def mae(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, *, each: Array | None = None,
    total: bool = False,
) -> None:  # fmt: skip
    """l_ij = |d|, d = y - t; the derivative at 0 is 0."""
    d = y - t
    _reduce(np.abs(d), np.sign(d), weight, dy, value, each, total)


def huber(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, delta: float = 1.0, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_ij = d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d = y - t (Huber 1964)."""
    d = y - t
    size = np.abs(d)
    losses = np.where(size <= delta, 0.5 * d * d, delta * (size - 0.5 * delta))
    _reduce(losses, np.clip(d, -delta, delta), weight, dy, value, each, total)
