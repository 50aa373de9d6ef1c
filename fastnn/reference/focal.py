"""Focal losses: cross-entropies that count less what is right (Lin et al. 2017)."""

from __future__ import annotations

import numpy as np

from fastnn.reference.activations import _sigmoid, _softplus
from fastnn.reference.losses import _reduce
from fastnn.reference.types import Array, Cell


def _balance(t: Array, alpha: float) -> Array | float:
    """Return alpha for t = 1, 1 - alpha for t = 0; below 0: 1 for both."""
    return 1.0 if alpha < 0 else alpha * t + (1 - alpha) * (1 - t)


def _above_zero(x: Array) -> Array:
    return np.maximum(x, np.finfo(x.dtype).tiny)


def binary_focal(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, gamma: float = 2.0, alpha: float = -1.0,
    *, each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_ij = a w^gamma e, e = -t log(p) - (1 - t) log(1 - p), w = t (1 - p) + (1 - t) p, p = y clipped as there."""
    eps = np.finfo(y.dtype).eps
    p = np.clip(y, eps, 1 - eps)
    wrong, entropy = t * (1 - p) + (1 - t) * p, -(t * np.log(p) + (1 - t) * np.log1p(-p))
    factor = _balance(t, alpha) * wrong**gamma
    gradient = factor * (gamma * (1 - 2 * t) / wrong * entropy + (p - t) / (p * (1 - p)))
    _reduce(factor * entropy, gradient, weight, dy, value, each, total)


def binary_focal_from_logits(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, gamma: float = 2.0, alpha: float = -1.0,
    *, each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """The same of p = sigmoid(y), which is not clipped."""
    p, q, entropy = _sigmoid(y), _sigmoid(-y), _softplus(y) - y * t
    wrong = _above_zero(t * q + (1 - t) * p)
    factor = _balance(t, alpha) * wrong**gamma
    gradient = factor * (gamma * (1 - 2 * t) * p * q * entropy / wrong + (1 - t) * p - t * q)
    _reduce(factor * entropy, gradient, weight, dy, value, each, total)


def focal(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, gamma: float = 2.0, alpha: float = 1.0,
    *, each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_i = -sum_j alpha t_ij (1 - p_ij)^gamma log(p_ij), p = y clipped to [eps, 1 - eps]."""
    eps = np.finfo(y.dtype).eps
    p = np.clip(y, eps, 1 - eps)
    factor = -alpha * t * (1 - p) ** gamma
    _reduce(
        factor * np.log(p), factor * (1 / p - gamma * np.log(p) / (1 - p)), weight, dy, value, each, total, of_rows=True
    )


def focal_of_logs(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, gamma: float = 2.0, alpha: float = 1.0,
    *, each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """The same of log-probabilities y = log(p), which are not clipped."""
    wrong = _above_zero(-np.expm1(y))
    factor = -alpha * t * wrong**gamma
    _reduce(factor * y, factor * (1 - gamma * np.exp(y) * y / wrong), weight, dy, value, each, total, of_rows=True)
