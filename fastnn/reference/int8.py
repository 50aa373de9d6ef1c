"""Dense products of 8-bit integers, to the bit."""
# ruff: noqa: D403 - a docstring that is a formula starts with the name of what it computes

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn.reference.layers import _fused, scale_columns
from fastnn.reference.types import Array

_COLUMNS, _GROUP, _MOST = 16, 4, 65536


def dense_int8(
    x: Array,
    w: NDArray[np.int8],
    scale: Array,
    correction: NDArray[np.int32],
    b: Array,
    y: Array,
    step: float,
    zero: float,
    activation: str | None = None,
    alpha: float | None = None,
    *,
    factor: Array | None = None,
    offset: Array | None = None,
    beta: float | None = None,
) -> None:
    """y = f((q @ w - correction) * scale + b), q = min(max(rint(x / step), -zero), 255 - zero) + zero.

    x / step is x * (1 / step), rounded half to even; the sums are integers. Rows with NaN are NaN. The weight of input
    p for output j lies at w[j // 16, p // 4, 4 * (j % 16) + p % 4]. Activation, factor and offset as in
    `dense_forward`.
    """
    n_in, n_out = x.shape[1], len(scale)
    if n_in > _MOST:
        raise ValueError(f"dense_int8: x has {n_in} columns, expected up to {_MOST}: sums of more could leave 32 bits")
    panels, groups, _ = w.shape
    weights = w.reshape(panels, groups, _COLUMNS, _GROUP).transpose(1, 3, 0, 2).reshape(-1, panels * _COLUMNS)
    whole, dtype = int(zero), x.dtype.type
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        scaled = x * (1 / dtype(step))
    q = np.rint(np.fmin(np.fmax(scaled, -whole), 255 - whole)).astype(np.int64) + whole  # of NaN and a number, that
    sums = q @ weights[:n_in, :n_out].astype(np.int64) - correction
    y[...] = sums.astype(dtype) * scale + b
    y[np.isnan(x).any(axis=1)] = np.nan
    if factor is not None and offset is not None:
        scale_columns(y, factor, offset, y)
    if activation is not None:
        f = _fused("dense_int8", activation, "forward", alpha=alpha, beta=beta)
        f(y, y)
