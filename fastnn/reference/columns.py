"""Columns that are chosen, codes that stand for rows of a table, and numbers brought to unit scale."""
# ruff: noqa: D403 - a docstring that is a formula starts with the name of what it computes

from __future__ import annotations

import numpy as np

from fastnn.reference.types import Array, Labels


def _places(x: Array, n: int) -> Labels:
    """The codes in a column, whole numbers from 0 to n - 1, and n for whatever else stands there."""
    code = x[:, 0]
    is_code = (code >= 0) & (code < n) & (code == np.floor(code))
    return np.where(is_code, code, n).astype(np.int64)


def columns_forward(x: Array, index: Labels, y: Array) -> None:
    """y_ij = x[i, index_j]; x (batch, n), index (m), y (batch, m)."""
    y[...] = x[:, index]


def columns_backward(dy: Array, index: Labels, dx: Array) -> None:
    """dx_ik = sum of dy_ij over all j with index_j = k; dy (batch, m), dx (batch, n)."""
    dx[...] = 0
    for j, k in enumerate(index):
        dx[:, k] += dy[:, j]


def embedding_forward(x: Array, table: Array, y: Array) -> None:
    """y_i = table[x_i] for codes 0 to n - 2, else its last row; x (batch, 1), table (n, size), y (batch, size)."""
    y[...] = table[_places(x, len(table) - 1)]


def embedding_backward(x: Array, dy: Array, dtable: Array) -> None:
    """dtable_k = sum of dy_i over all i with code k; the last row is that of what is no code."""
    dtable[...] = 0
    np.add.at(dtable, _places(x, len(dtable) - 1), dy)


def embedding_sgd(x: Array, dy: Array, table: Array, lr: float) -> None:
    """table_k -= lr times the sum of dy_i over all i with code k."""
    dtable = np.empty_like(table)
    embedding_backward(x, dy, dtable)
    table -= lr * dtable


def one_hot_forward(x: Array, y: Array, unseen: bool = False) -> None:
    """y[i, x_i] = 1, else 0; x (batch, 1), y (batch, n), whose last column is, with `unseen`, for what is no code."""
    n = y.shape[1]
    y[...] = _places(x, n - 1 if unseen else n)[:, None] == np.arange(n)


def normalize_forward(x: Array, center: Array, factor: Array, missing: Array, y: Array) -> None:
    """y = (x - center) factor, and missing where x is NaN; x, y (batch, n), the others (n)."""
    y[...] = np.where(np.isnan(x), missing, (x - center) * factor)


def normalize_backward(x: Array, dy: Array, factor: Array, dx: Array) -> None:
    """dx = dy factor, and 0 where x is NaN."""
    dx[...] = np.where(np.isnan(x), 0, dy * factor)
