"""Targets and validation data as people have them, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.checks import shown
from fastnn.sklearn.frames import is_missing


def targets_in(estimator: object, y: Any, n: int) -> Any:
    """Return targets as an array of as many rows."""
    name = type(estimator).__name__
    if y is None:
        raise ValueError(f"This {name} estimator requires y to be passed, but the target y is None.")
    y = np.asarray(y)
    if y.ndim == 0 or len(y) != n:
        raise ValueError(
            f"{name}: y has {len(y) if y.ndim else 'no'} rows, expected {n}: inconsistent numbers of samples"
        )
    if y.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name}: y has the dtype {y.dtype}")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{name}: Input y contains NaN or infinity: leave such rows out")
    if y.dtype.kind == "O":
        missing = [i for i, value in enumerate(y.ravel()) if is_missing(value)]
        if missing:
            raise ValueError(
                f"{name}: Input y contains NaN: nothing in {len(missing)} rows, row {missing[0]} the first"
            )
    return y


def validation_in(estimator: object, given: Any) -> Any:
    """Return what was given, where it is (x, y) or (x, y, weights)."""
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise TypeError(
            f"{type(estimator).__name__}: validation_data is {shown(given)}, expected (X, y) or (X, y, sample_weight)"
        )
    return given
