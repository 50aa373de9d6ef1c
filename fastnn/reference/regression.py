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


def smooth_l1(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, beta: float = 1.0, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_ij = d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, d = y - t (Girshick 2015)."""
    d = y - t
    size = np.abs(d)
    inside = size < beta
    divisor = beta or 1.0  # nothing lies inside 0
    losses = np.where(inside, 0.5 * d * d / divisor, size - 0.5 * beta)
    _reduce(losses, np.where(inside, d / divisor, np.sign(d)), weight, dy, value, each, total)


def log_cosh(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, *, each: Array | None = None,
    total: bool = False,
) -> None:  # fmt: skip
    """l_ij = log(cosh(d)), d = y - t: near 0 from cosh(d) - 1 = m^2 / (2 (1 + m)), m = e^-|d| - 1."""
    d = y - t
    size = np.abs(d)
    m = np.expm1(-size)
    near = np.log1p(m * m / (2 * np.maximum(1 + m, 0.1)))
    far = size - np.log(2) + np.log1p((1 + m) ** 2)
    _reduce(np.where(size < 1, near, far), np.tanh(d), weight, dy, value, each, total)


def quantile(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, q: float = 0.5, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_ij = q (t - y) where y < t, else (1 - q) (y - t) (Koenker and Bassett 1978); the derivative at 0 is 0."""
    d = y - t
    factor = np.where(d < 0, -q, 1 - q)
    _reduce(factor * d, np.where(np.abs(d) > 0, factor, d), weight, dy, value, each, total)


def expectile(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, tau: float = 0.5, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_ij = tau d^2 where y < t, else (1 - tau) d^2, d = y - t (Newey and Powell 1987)."""
    d = y - t
    factor = np.where(d < 0, tau, 1 - tau)
    _reduce(factor * d * d, 2 * factor * d, weight, dy, value, each, total)


def msle(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, *, each: Array | None = None,
    total: bool = False,
) -> None:  # fmt: skip
    """l_ij = (l(y) - log(1 + t))^2, l(y) = log(1 + y) where y > 0, else y."""
    above = np.maximum(y, 0)
    d = np.where(y > 0, np.log1p(above), y) - np.log1p(t)
    _reduce(d * d, 2 * d / (1 + above), weight, dy, value, each, total)


def mape(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, eps: float = 1e-7, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_ij = 100 |y - t| / max(|t|, eps)."""
    d, size = y - t, np.maximum(np.abs(t), y.dtype.type(eps))
    _reduce(100 * np.abs(d) / size, 100 * np.sign(d) / size, weight, dy, value, each, total)
