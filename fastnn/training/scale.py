"""Targets far from unit scale: a net starts with outputs around 0 of about that scale, and default steps are small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.checks import warn
from fastnn.tables import labels_of

_LARGE, _SMALL = 10.0, 0.1  # of means and standard deviations: docs/performance.md says what is learnt beside these
_RANGE = 1.0  # what spreads as far is not small, even if most of it lies at one place
_ROWS = 256  # of which a net's outputs are looked at


def check_scale(
    target: Array, weight: Array | None, y: ArrayLike, bounded: bool, outputs: Callable[[int], Array]
) -> None:
    """Warn about the first column that default training would not learn well, with what to do.

    Parameters
    ----------
    target : ndarray of shape (rows, n_out)
    weight : ndarray of shape (rows, 1) or (rows, n_out), or None
    y : array_like
        What the user has handed in.
    bounded : bool
        Whether the net ends in an activation. Its range tells which targets there can be: only large ones are told.
    outputs : callable
        Return those of the net for the first so many rows. Where they are on the scale of the targets, because the net
        is trained already or its last biases are set, there is nothing to say.
    """
    if target.ndim != 2:  # those of a loss of a user
        return
    if target.shape[1] == 1:  # by numbers, which takes a moment
        low, high = float(target.min()), float(target.max())
        suspects = [] if low >= -_LARGE and high <= _LARGE and high - low >= _RANGE else [0]
    else:
        with np.errstate(all="ignore"):
            lowest, highest = target.min(axis=0), target.max(axis=0)
            far = (lowest < -_LARGE) | (highest > _LARGE) | (highest - lowest < _RANGE)
        suspects = np.flatnonzero(far).tolist()
    for i in suspects:
        column = target[:, i].astype(np.float64)
        weights = None if weight is None else weight[:, i % weight.shape[1]]
        if weights is not None and not weights.any():
            continue
        with np.errstate(all="ignore"):
            mean = float(np.average(column, weights=weights))
            std = float(np.sqrt(np.average(np.square(column - mean), weights=weights)))
            is_constant = std <= 1e-6 * abs(mean)
            is_large = abs(mean) > _LARGE or std > _LARGE
            is_small = std < _SMALL and not is_constant and np.ptp(column) < _RANGE
            if is_large or (is_small and not bounded):
                given = outputs(_ROWS)[:, i].astype(np.float64)
                is_there = abs(given.mean() - mean) <= std and std / 3 <= given.std() <= 3 * std
                distance = np.sqrt(np.square(given - column[:_ROWS]).mean())
                if not (is_there or (is_large and distance <= _LARGE)):
                    _tell(y, i, target.shape[1], mean, 0.0 if is_constant else std, bounded)
                    return


def _tell(y: Any, i: int, n: int, mean: float, std: float, bounded: bool) -> None:
    axis = "axis=0" if n > 1 else ""
    labels = labels_of(y)
    has_methods = hasattr(y, "mean") and hasattr(y, "std")
    mean_of, std_of = (
        f"y.{name}({axis})" if has_methods else f"np.{name}(y{', ' + axis if axis else ''})" for name in ("mean", "std")
    )
    if bounded:
        steps = f"scale = np.abs(y).max({axis}); net.fit(x, y / scale)", "net.predict(x) * scale"
    elif std:
        steps = f"mean, std = {mean_of}, {std_of}; net.fit(x, (y - mean) / std)", "net.predict(x) * std + mean"
    else:
        steps = f"mean = {mean_of}; net.fit(x, y - mean)", "net.predict(x) + mean"
    if labels is not None:  # frames differ in what a mean is, and in what becomes of an array by it
        steps = f"y = y.to_numpy(); {steps[0]}", steps[1]
    column = "" if n == 1 else f" in column {i if labels is None else repr(labels[i])}"
    warn(
        f"y has mean {mean:.4g} and standard deviation {std:.4g}{column}, and the net starts with outputs around 0 of "
        f"about unit scale: it learns slowly, or not at all. Scale y: {steps[0]}, and undo it behind: {steps[1]}"
    )
