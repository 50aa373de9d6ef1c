"""Embeddings of numbers: waves, bins, and dense products of groups of columns."""
# ruff: noqa: D403 - a docstring that is a formula starts with the name of what it computes

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn.reference.types import Array


def grouped_forward(x: Array, w: Array, b: Array | None, last: Array | None, y: Array) -> None:
    """y_g = x_g w_g + b_g, and behind it last_g; x (batch, groups, n_x), w (groups, n_in, n_out), n_in <= n_x."""
    n_in, n_out = w.shape[1:]
    y[:, :, :n_out] = (x[:, :, :n_in].swapaxes(0, 1) @ w).swapaxes(0, 1)
    if b is not None:
        y[:, :, :n_out] += b
    if last is not None:
        y[:, :, n_out] = last


def grouped_backward(x: Array, w: Array, dy: Array, dx: Array | None, dw: Array | None, db: Array | None) -> None:
    """dx_g = dy_g w_g^T, dw_g = x_g^T dy_g, db_g = sum of dy_g over the batch."""
    n_in, n_out = w.shape[1:]
    x, dy = x[:, :, :n_in].swapaxes(0, 1), dy[:, :, :n_out].swapaxes(0, 1)
    if dx is not None:
        dx[...] = (dy @ w.swapaxes(1, 2)).swapaxes(0, 1)
    if dw is not None:
        dw[...] = x.swapaxes(1, 2) @ dy
    if db is not None:
        db[...] = dy.sum(axis=1)


def periodic_forward(x: Array, w: Array, c: Array | None, y: Array) -> None:
    """y = (cos a, sin a), a = 2 pi x w + c; x (batch, n), w, c (n, k), y (batch, n, 2 k)."""
    angle = 2 * np.pi * (x[:, :, None] * w) + (0 if c is None else c)
    y[...] = np.concatenate([np.cos(angle), np.sin(angle)], axis=2)


def periodic_backward(
    x: Array,
    w: Array,
    y: Array,
    dy: Array,
    beside: Array | None,
    dx: Array | None,
    dw: Array | None,
    dc: Array | None,
) -> None:
    """dc = sum of g, g = dy_sin cos a - dy_cos sin a, dw = 2 pi sum of x g, dx_j = 2 pi sum of w_j g_j, + beside."""
    k = w.shape[1]
    gradient = -dy[:, :, :k] * y[:, :, k:]
    if dy.shape[2] > k:
        gradient += dy[:, :, k:] * y[:, :, :k]
    if dx is not None:
        dx[...] = 2 * np.pi * (gradient * w).sum(axis=2) + (0 if beside is None else beside)
    if dw is not None:
        dw[...] = 2 * np.pi * (gradient * x[:, :, None]).sum(axis=0)
    if dc is not None:
        dc[...] = gradient.sum(axis=0)


def _placed(x: Array, edges: Array) -> tuple[NDArray[np.int64], Array, Array]:
    """Return the bin of each number, -1 where there is none, its width, and which part of it lies below the number."""
    inner, columns = edges[None, :, 1:-1], np.arange(x.shape[1])
    place = ((inner <= x[:, :, None]) & (inner < np.inf)).sum(axis=2)
    place = np.where(edges[columns, place + 1] < np.inf, place, place - 1)
    known = np.maximum(place, 0)
    low, high = edges[columns, known], edges[columns, known + 1]
    with np.errstate(all="ignore"):
        has_width = (place >= 0) & (high > low)
        width = np.where(has_width, high - low, np.inf).astype(x.dtype)
        part = np.where(has_width, (x - low) / width, 0).astype(x.dtype)
    return place, width, part


def bins_forward(x: Array, edges: Array, w: Array, b: Array, v: Array, sums: Array, y: Array) -> None:
    """y = x w + b + e V; x (batch, n), edges (n, bins + 1), w, b (n, d), v (n, bins, d), y (batch, n, d).

    e_t = (x - edge_t) / (edge_t+1 - edge_t), clamped to [0, 1], the first not below, the last not above; 0 where
    edge_t+1 is infinite. sums_t = b + the sum of v_s over s < t.
    """
    place, _, part = _placed(x, edges)
    sums[...] = b[:, None] + np.concatenate([np.zeros_like(v[:, :1]), np.cumsum(v, axis=1)[:, :-1]], axis=1)
    at = np.arange(x.shape[1]), np.maximum(place, 0)
    y[...] = x[:, :, None] * w + (sums[at] + part[:, :, None] * v[at])


def bins_backward(
    x: Array,
    edges: Array,
    w: Array,
    v: Array,
    dy: Array,
    sums: Array,
    dx: Array | None,
    dw: Array,
    db: Array,
    dv: Array,
) -> None:
    """dw = sum of x dy, db = sum of dy, dv_t = sum of e_t dy, dx = dy (w + v_t / (edge_t+1 - edge_t)), t the bin of x.

    sums_t = the sum of dy where x is in bin t or behind.
    """
    place, width, part = _placed(x, edges)
    for t in range(v.shape[1]):
        sums[:, t] = np.where((place >= t)[:, :, None], dy, 0).sum(axis=0)
        behind = np.where((place > t)[:, :, None], dy, 0)
        dv[:, t] = (behind + np.where((place == t)[:, :, None], part[:, :, None] * dy, 0)).sum(axis=0)
    dw[...], db[...] = (x[:, :, None] * dy).sum(axis=0), dy.sum(axis=0)
    if dx is not None:
        at = np.arange(x.shape[1]), np.maximum(place, 0)
        steep = np.where((place >= 0)[:, :, None], v[at] * dy / width[:, :, None], 0)
        dx[...] = (dy * w).sum(axis=2) + steep.sum(axis=2)
