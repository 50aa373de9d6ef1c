"""Losses of probabilities. Targets may be smoothed: t + smoothing (share - t)."""

from __future__ import annotations

import numpy as np

from fastnn.reference.activations import _exponentials, _sigmoid, _softplus
from fastnn.reference.losses import _reduce, _weighed
from fastnn.reference.types import Array, Cell, Labels


def _smoothed(t: Array, smoothing: float, share: float) -> Array:
    return t if smoothing == 0 else t + smoothing * (share - t)


def _with_positive(t: Array, weight: Array | None, positive: Cell | None) -> tuple[Array, Array | None]:
    """Targets and weights with which the terms of t = 1 count q times.

    q t a + (1 - t) b = factor (t' a + (1 - t') b) with factor = 1 + (q - 1) t and t' = q t / factor.
    """
    if positive is None:
        return t, weight
    q = positive.astype(t.dtype)
    factor = 1 + (q - 1) * t
    weight = factor if weight is None else _weighed(np.broadcast_to(factor, t.shape), weight)
    return np.divide(q * t, factor, where=factor != 0, out=np.zeros_like(t)), weight


def binary_cross_entropy(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, smoothing: float = 0.0, *,
    each: Array | None = None, total: bool = False, positive: Cell | None = None,
) -> None:  # fmt: skip
    """l_ij = -q t log(p) - (1 - t) log(1 - p), p = y clipped to [eps, 1 - eps]; the gradient is that at p.

    q is 1, or `positive` (1) or (n); the share of smoothed targets is 1 / 2.
    """
    eps = np.finfo(y.dtype).eps
    p = np.clip(y, eps, 1 - eps)
    t, weight = _with_positive(_smoothed(t, smoothing, 0.5), weight, positive)
    losses = -(t * np.log(p) + (1 - t) * np.log1p(-p))
    _reduce(losses, (1 - t) / (1 - p) - t / p, weight, dy, value, each, total)


def binary_cross_entropy_from_logits(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, smoothing: float = 0.0, *,
    each: Array | None = None, total: bool = False, positive: Cell | None = None,
) -> None:  # fmt: skip
    """l_ij = max(y, 0) - y t + log(1 + e^-|y|): sigmoid and binary cross-entropy in one stable pass.

    That is t log(1 + e^-y) + (1 - t) log(1 + e^y), of which the first term counts q times, as above.
    """
    t, weight = _with_positive(_smoothed(t, smoothing, 0.5), weight, positive)
    _reduce(_softplus(y) - y * t, _sigmoid(y) - t, weight, dy, value, each, total)


def cross_entropy(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, smoothing: float = 0.0, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_i = -sum_j t_ij log(p_ij), p = max(y, eps); the gradient is that at p; the share is 1 / n."""
    p, t = np.maximum(y, np.finfo(y.dtype).eps), _smoothed(t, smoothing, 1 / max(y.shape[1], 1))
    _reduce(-t * np.log(p), -t / p, weight, dy, value, each, total, of_rows=True)


def cross_entropy_from_logits(
    y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, smoothing: float = 0.0, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_i = sum_j w_ij t_ij (log(sum_k e^y_ik) - y_ij): softmax and cross-entropy in one stable pass.

    Where all weights of a row are 0, nothing of it counts.
    """
    t = _smoothed(t, smoothing, 1 / max(y.shape[1], 1))
    if weight is not None and weight.shape[1] > 1:
        t = _weighed(t, weight)
        weight = np.any(weight != 0, axis=1, keepdims=True).astype(y.dtype)
    z, e, total_e = _exponentials(y)
    gradient = e / total_e * np.sum(t, axis=1, keepdims=True) - t
    _reduce(t * (np.log(total_e) - z), gradient, weight, dy, value, each, total, of_rows=True)


def _counting(t: Labels, weight: Array | None) -> Labels:
    """Labels, 0 in rows that do not count."""
    return t if weight is None else np.where(weight[:, 0] != 0, t, 0)


def cross_entropy_labels(
    y: Array, t: Labels, weight: Array | None, dy: Array | None, value: Cell, smoothing: float = 0.0, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_i = -log(p_i,t_i), p = max(y, eps), of probabilities y and classes t; the gradient is that at p.

    Smoothed, it is (1 - smoothing) of that, and smoothing times the mean of -log(p_ij) over the classes j.
    """
    here = np.arange(len(t)), _counting(t, weight)
    p = np.maximum(y, np.finfo(y.dtype).eps)
    share = np.full_like(p, smoothing / max(y.shape[1], 1))
    share[here] += 1 - smoothing
    losses = -np.log(p[here])[:, None] * (1 - smoothing)
    if smoothing:
        losses = losses - smoothing * np.log(p).sum(axis=1, keepdims=True) / max(y.shape[1], 1)
    gradient = np.divide(-share, p, where=share != 0, out=np.zeros_like(p))
    _reduce(losses, gradient, weight, dy, value, each, total, of_rows=True)
    if dy is not None:
        dy[share == 0] = 0  # nothing is read there


def cross_entropy_labels_from_logits(
    y: Array, t: Labels, weight: Array | None, dy: Array | None, value: Cell, smoothing: float = 0.0, *,
    each: Array | None = None, total: bool = False,
) -> None:  # fmt: skip
    """l_i = log(sum_k e^y_ik) - y_i,t_i of logits y and classes t; smoothed as above."""
    here = np.arange(len(t)), _counting(t, weight)
    z, e, total_e = _exponentials(y)
    losses = np.log(total_e) - z[here][:, None] * (1 - smoothing)
    if smoothing:
        losses = losses - smoothing * z.sum(axis=1, keepdims=True) / max(y.shape[1], 1)
    gradient = e / total_e - y.dtype.type(smoothing / max(y.shape[1], 1))
    gradient[here] -= 1 - smoothing
    _reduce(losses, gradient, weight, dy, value, each, total, of_rows=True)
