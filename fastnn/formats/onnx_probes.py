"""Numbers that tell functions apart: of all sizes that a dtype has, of both signs, and near all that is special."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.arena import Array

_ABSOLUTE, _RELATIVE = 1e-12, {"float32": 3e-6, "float64": 1e-11}
LARGE = 80.0  # what lies beyond may overflow in a group of operators, as exp does, where a layer does not


def _both(sizes: Any) -> Array:
    return np.concatenate([-np.asarray(sizes)[::-1], [0.0], sizes])


def _moderate() -> Array:
    rng = np.random.default_rng(0)
    wide, small = rng.normal(0, 3, (40, 7)), rng.normal(0, 0.1, (10, 7))
    return np.concatenate([wide, np.linspace(-9, 9, 70).reshape(10, 7), small])


PROBE = _both([1e-9, 0.004, 0.03, 0.4, 1.0, 1.3, 2.2, 3.1, 5.0, 8.7, 19.0, 70.0, 3e3, 1e7, 1e30])
_ROWS = _moderate()
PROBE.flags.writeable = _ROWS.flags.writeable = False
MODERATE = len(_ROWS)  # of the rows: that many, the first ones


def _near(constants: Sequence[float]) -> Array:
    """Return numbers at constants and on both sides of them."""
    c = np.array([one for one in constants if np.isfinite(one)], np.float64)
    with np.errstate(over="ignore"):
        found = [c * factor for factor in (1, 1 - 1e-6, 1 + 1e-6, 1 - 1e-14, 1 + 1e-14, 2, 0.5)] + [c + 1, c - 1]
        return _both(np.concatenate(found)) if len(c) else np.zeros(0)


def around(constants: Sequence[float], dtype: str) -> Array:
    """Return numbers in order: over the whole range of a dtype, and near constants."""
    limits = np.finfo(dtype)
    first, last = np.log10(float(limits.smallest_subnormal)), np.log10(float(limits.max))
    sizes: list[Any] = [
        np.logspace(first + 0.01, last - 0.01, 200),
        np.logspace(-6, 9, 120),
        [float(limits.smallest_subnormal), float(limits.tiny), float(limits.max)],
    ]
    found: Array = np.unique(np.concatenate([_both(np.concatenate(sizes)), _near(constants), _ROWS.reshape(-1)]))
    return np.asarray(found[np.abs(found) <= float(limits.max)])


def rows_around(constants: Sequence[float]) -> Array:
    """Return rows of numbers: moderate ones first, then small and large ones, and those near constants."""
    rng = np.random.default_rng(1)
    near = _near(constants)
    pool = np.concatenate([_both(np.logspace(-3, 6, 30)), near, near])
    mixed = rng.choice(pool, (60, _ROWS.shape[1]))
    level = rng.choice(pool, (20, 1)) + _ROWS[:20]
    scaled = [_ROWS[::4] * scale for scale in (1e-6, 1e-3, 0.1, 4.0, 20.0, 1e3, 1e6, 1e15)]
    return np.concatenate([_ROWS, *scaled, mixed, level])


SPECIAL = np.array([np.nan, np.inf, -np.inf, -0.0])
_SPECIAL_ROWS = _ROWS[: 2 * len(SPECIAL)].copy()
_SPECIAL_ROWS[:, 2] = np.tile(SPECIAL, 2)


def agree_beyond(of_numbers: Any, expected: Any, of_rows: bool = False, may_choose: bool = False) -> bool:
    """Whether functions make the same of special numbers: NaN of NaN, and of infinities what has not overflown.

    In a row with an infinity either may overflow. `may_choose` is of one that may make a number of NaN, which is on
    neither side of a bound.
    """
    x = _SPECIAL_ROWS if of_rows else SPECIAL
    with np.errstate(all="ignore"):
        y, z = of_numbers(x), expected(x)
        if y is None:
            return False
        is_missing = np.isnan(x).any(axis=-1, keepdims=True) if of_rows else np.isnan(x)
        is_same = np.isfinite(z) & np.isclose(y, z, _RELATIVE["float32"], _ABSOLUTE)
        is_same |= ~np.isfinite(y) | (~np.isfinite(z) & of_rows)
        return bool(np.where(is_missing, np.isnan(y) | may_choose, is_same).all())


def within(x: Array, y: Array) -> bool:
    """Whether y is finite but where large numbers overflow, from one on, on either side."""
    finite = np.isfinite(y)
    if not finite[np.abs(x) <= LARGE].all():
        return False
    return not any((np.diff(side.astype(int)) > 0).any() for side in (finite[x > 0], finite[x < 0][::-1]))


def agree(x: Array, y: Array, expected: Array, dtype: str, axis: int | None = None) -> Any:
    """Whether y is what is expected, where it has not overflown."""
    with np.errstate(all="ignore"):
        size = np.abs(x).max(axis=-1, keepdims=True) if x.ndim > 1 else np.abs(x)
        most = _ABSOLUTE + _RELATIVE[dtype] * np.abs(expected) + 4e-16 * size
        is_same = (np.abs(y - expected) <= most) & np.isfinite(expected)
        return (is_same | ~np.isfinite(y) & (size > LARGE)).all(axis=axis)
