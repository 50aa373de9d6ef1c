"""Nets side by side: the last axis of every array has a number of each."""
# ruff: noqa: D403 - a docstring that is a formula starts with the name of what it computes

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn.reference.types import Array

Labels = NDArray[np.int64]


def lanes_dense_forward(x: Array, w: Array, b: Array | None, y: Array, relu: bool = False) -> None:
    """y = x w + b; x (batch, n_in, nets), w (n_in, n_out, nets), b (n_out, nets); with relu, of that."""
    y[...] = np.einsum("bin,ion->bon", x, w) + (0 if b is None else b)
    if relu:
        y[y <= 0] = 0


def lanes_dense_backward(
    x: Array, w: Array, dy: Array, dx: Array | None, dw: Array, db: Array | None, relu: bool = False
) -> None:
    """dx = dy w^T, dw = x^T dy, db = sum of dy over the batch; with relu, dx behind a relu whose outputs are x."""
    if dx is not None:
        dx[...] = np.einsum("bon,ion->bin", dy, w)
        if relu:
            dx[~(x > 0)] = 0
    dw[...] = np.einsum("bin,bon->ion", x, dy)
    if db is not None:
        db[...] = dy.sum(axis=0)


def lanes_gather(x: Array, index: Labels, cursor: Labels, y: Array) -> None:
    """y_l = the rows of x_l that index_l chooses, from cursor on; x (sets, n, columns), the last for all beyond."""
    start, rows = cursor[0], len(y)
    for net in range(y.shape[2]):
        y[:, :, net] = x[min(net, len(x) - 1)][index[net, start : start + rows]]


def lanes_mean(losses: Array, value: Array) -> None:
    """value = the mean of the losses of each net, (n, nets)."""
    value[...] = losses.mean(axis=0, dtype=np.float64) if len(losses) else 0


def lanes_cross_entropy(y: Array, t: Array, dy: Array, value: Array) -> None:
    """value = -mean of log softmax(y)_t, dy its gradient; y (batch, n, nets), t (batch, nets) the labels as numbers."""
    shifted = y - y.max(axis=1, keepdims=True, initial=-np.inf)
    total = np.exp(shifted).sum(axis=1, keepdims=True)
    is_label = np.arange(y.shape[1])[:, None] == t[:, None, :]
    dy[...] = (np.exp(shifted) / total - is_label) / max(len(y), 1)
    of_labels = np.where(is_label.any(axis=1), np.where(is_label, shifted, 0).sum(axis=1), np.nan)
    losses = np.log(total[:, 0]).astype(np.float64) - of_labels
    value[...] = losses.mean(axis=0) if len(y) else 0
