"""Losses: value = sum_i weight_i l_i / rows, a missing weight is 1; dy, which may be None, is its gradient."""

from __future__ import annotations

import numpy as np

from fastnn.reference.activations import _sigmoid, _softplus
from fastnn.reference.types import Array, Cell, Labels


def _weighted_mean(elements: Array, weight: Array | None) -> float:
    """sum_i weight_i sum_j elements_ij / rows in float64, 0 for no rows; elements (rows, n)."""
    rows: Array = elements.sum(axis=1, dtype=np.float64)
    return float(np.sum(rows if weight is None else weight * rows)) / max(len(rows), 1)


def _row_factor(y: Array, weight: Array | None) -> float | Array:
    """weight_i / rows, broadcastable to y (rows, n): what one row's gradient is multiplied by."""
    return 1.0 / max(len(y), 1) if weight is None else weight[:, None] / len(y)


def mse(y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = mean_j d_ij^2, d = y - t; y, t, dy (rows, n), weight (rows), value (1)."""
    d = y - t
    value[0] = _weighted_mean(d * d, weight) / y.shape[1]
    if dy is not None:
        np.multiply(d, 2 / y.shape[1] * _row_factor(y, weight), out=dy)


def mae(y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = mean_j |d_ij|, d = y - t; the derivative at 0 is 0."""
    d = y - t
    value[0] = _weighted_mean(np.abs(d), weight) / y.shape[1]
    if dy is not None:
        np.multiply(np.sign(d), _row_factor(y, weight) / y.shape[1], out=dy)


def huber(y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, delta: float = 1.0) -> None:
    """l_i = mean_j of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d = y - t (Huber 1964)."""
    d = y - t
    size = np.abs(d)
    value[0] = _weighted_mean(np.where(size <= delta, 0.5 * d * d, delta * (size - 0.5 * delta)), weight) / y.shape[1]
    if dy is not None:
        np.multiply(np.clip(d, -delta, delta), _row_factor(y, weight) / y.shape[1], out=dy)


def binary_cross_entropy(y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = -mean_j of t log(p) + (1 - t) log(1 - p), p = y clipped to [eps, 1 - eps]; the gradient is that at p."""
    eps = np.finfo(y.dtype).eps
    p = np.clip(y, eps, 1 - eps)
    value[0] = -_weighted_mean(t * np.log(p) + (1 - t) * np.log1p(-p), weight) / y.shape[1]
    if dy is not None:
        np.multiply((1 - t) / (1 - p) - t / p, _row_factor(y, weight) / y.shape[1], out=dy)


def binary_cross_entropy_from_logits(y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = mean_j of max(y, 0) - y t + log(1 + e^-|y|): sigmoid and binary cross-entropy in one stable pass."""
    value[0] = _weighted_mean(_softplus(y) - y * t, weight) / y.shape[1]
    if dy is not None:
        np.multiply(_sigmoid(y) - t, _row_factor(y, weight) / y.shape[1], out=dy)


def cross_entropy(y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = -sum_j t_ij log(p_ij), p = max(y, eps); the gradient is that at p."""
    p = np.maximum(y, np.finfo(y.dtype).eps)
    value[0] = -_weighted_mean(t * np.log(p), weight)
    if dy is not None:
        np.multiply(-t / p, _row_factor(y, weight), out=dy)


def cross_entropy_from_logits(y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = sum_j t_ij (log(sum_k e^y_ik) - y_ij): softmax and cross-entropy in one stable pass."""
    z = y - y.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = np.sum(e, axis=1, keepdims=True)
    value[0] = _weighted_mean(t * (np.log(total) - z), weight)
    if dy is not None:
        np.multiply(e / total * np.sum(t, axis=1, keepdims=True) - t, _row_factor(y, weight), out=dy)


def cross_entropy_labels(y: Array, t: Labels, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = -log(p_i), p_i = max(y_i,t_i, eps); y (rows, n) probabilities, t (rows) classes; gradient at p."""
    here = np.arange(len(t)), t
    p = np.maximum(y[here], np.finfo(y.dtype).eps)[:, None]
    value[0] = -_weighted_mean(np.log(p), weight)
    if dy is not None:
        dy[...] = 0
        dy[here] = (-_row_factor(y, weight) / p)[:, 0]


def cross_entropy_labels_from_logits(y: Array, t: Labels, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = log(sum_k e^y_ik) - y_i,t_i; y (rows, n) logits, t (rows) classes."""
    here = np.arange(len(t)), t
    z = y - y.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    value[0] = _weighted_mean(np.log(total) - z[here][:, None], weight)
    if dy is not None:
        np.divide(e, total, out=dy)
        dy[here] -= 1
        dy *= _row_factor(y, weight)
