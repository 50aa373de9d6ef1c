"""Losses of distributions: counts, amounts, means with their variances, probabilities."""

from __future__ import annotations

import numpy as np

from fastnn.reference.losses import _reduce
from fastnn.reference.types import Array, Cell


def _stirling(t: Array) -> Array:
    """Stirling's t log(t) - t + log(2 pi t) / 2 where t > 1, else 0."""
    s = np.maximum(t, 1)
    return np.where(t > 1, s * np.log(s) - s + 0.5 * np.log(2 * np.pi * s), 0)


def poisson(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, eps: float = 1e-8, full: float = 0.0, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_ij = y - t log(y + eps), of rates y; with `full` plus Stirling's log(t!) where t > 1."""
    rate = y + y.dtype.type(eps)
    _reduce(y - t * np.log(rate) + full * _stirling(t), 1 - t / rate, weight, dy, value, each, total)


def poisson_of_logs(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, full: float = 0.0, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_ij = e^y - t y, of logarithms y of rates; with `full` as above."""
    _reduce(np.exp(y) - t * y + full * _stirling(t), np.exp(y) - t, weight, dy, value, each, total)


def _bent(u: Array, a: float) -> Array:
    """(1 - e^(-a u)) / a, u in the limit a = 0."""
    return -np.expm1(-a * u) / a if a else u


def _tweedie_deviance(z: Array, t: Array, u: Array, p: float) -> Array:
    """2 (t^(2-p) / ((1-p) (2-p)) - t e^((1-p) z) / (1-p) + e^((2-p) z) / (2-p)), u = log(t) - z."""
    inside = np.where(t == 0, 1, t) ** (2 - p) * (_bent(u, 1 - p) - _bent(u, 2 - p))
    return 2 * np.where(t == 0, np.exp((2 - p) * z) / (2 - p) if p != 2 else np.inf, inside)


def tweedie_of_logs(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, power: float = 1.5, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_ij = the deviance of Tweedie's distribution with variance mean^power, mean = e^y (Jorgensen 1987)."""
    u = np.log(np.where(t == 0, 1, t)) - y
    gradient = 2 * (np.exp((2 - power) * y) - t * np.exp((1 - power) * y))
    _reduce(_tweedie_deviance(y, t, u, power), gradient, weight, dy, value, each, total)


def tweedie(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, power: float = 1.5, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """The same of means y, not less than eps; the gradient is that there."""
    mean = np.maximum(y, np.finfo(y.dtype).eps)
    losses = _tweedie_deviance(np.log(mean), t, np.log(np.where(t == 0, 1, t) / mean), power)
    _reduce(losses, 2 * (mean - t) * mean**-power, weight, dy, value, each, total)


def gaussian_nll(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, eps: float = 1e-6, *, full: bool = False,
    log_variance: bool = False, each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_ij = (log(v) + (m - t)^2 / v) / 2, y = means m (rows, n) beside variances v, not less than eps, or log(v)."""
    n = t.shape[1]
    d, spread = y[:, :n] - t, y[:, n:]
    if not log_variance:
        spread = np.maximum(spread, y.dtype.type(eps))
    precision = np.exp(-spread) if log_variance else 1 / spread
    square = d * d * precision
    losses = 0.5 * ((spread if log_variance else np.log(spread)) + square) + full * 0.5 * np.log(2 * np.pi)
    gradient = [d * precision, 0.5 * (1 - square) * (1 if log_variance else precision)]
    scratch = np.empty(1)
    for half, of_half in enumerate(gradient):
        of_dy = None if dy is None else dy[:, half * n : (half + 1) * n]
        _reduce(losses, of_half, weight, of_dy, scratch if half else value, None if half else each, total)


def _t_log(t: Array, over: Array) -> Array:
    """Return t log(t / over), 0 where t is."""
    return np.where(t == 0, 0 * over, t * np.log(np.where(t == 0, 1, t) / over))


def kl_divergence(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, *, each: Array | None = None,
    total: bool = False,
) -> None:  # fmt: skip
    """l_i = sum_j t_ij log(t_ij / p_ij), p = max(y, eps) (Kullback and Leibler 1951); the gradient is that at p."""
    p = np.maximum(y, np.finfo(y.dtype).eps)
    _reduce(_t_log(t, p), -t / p, weight, dy, value, each, total, of_rows=True)


def kl_divergence_of_logs(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, *, each: Array | None = None,
    total: bool = False,
) -> None:  # fmt: skip
    """l_i = sum_j t_ij (log(t_ij) - y_ij), of log-probabilities y."""
    losses = _t_log(t, np.ones_like(t)) - np.where((t == 0) & ~np.isnan(y), 0, t * y)
    _reduce(losses, -t, weight, dy, value, each, total, of_rows=True)
