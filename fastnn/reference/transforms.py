"""What is done to gradients, and to parameters beside an optimizer's step: flat arrays; numbers written are (1)."""
# ruff: noqa: D403 - a docstring that is a formula starts with the name of what it computes

from __future__ import annotations

import numpy as np

from fastnn.reference.types import Array, Cell

SQUARES = 4096  # elements of a block


def accumulate(total: Array, g: Array) -> None:
    """total += g."""
    total += g


def scale(g: Array, factor: float) -> None:
    """g *= factor; g is not touched where factor is 1."""
    if factor != 1:
        g *= factor


def clip_values(g: Array, limit: float) -> None:
    """g = min(max(g, -limit), limit)."""
    np.clip(g, -limit, limit, out=g)


def block_squares(g: Array, sums: Cell) -> None:
    """sums_i = the sum of g^2 over the i-th 4096 elements, in float64; sums (blocks)."""
    for i in range(len(sums)):
        sums[i] = np.square(g[i * SQUARES : (i + 1) * SQUARES], dtype=np.float64).sum()


def norm_factor(sums: Cell, limit: float, norm: Cell, factor: Cell) -> None:
    """norm = sqrt(sum_i sums_i), finite, and factor = min(1, limit / norm) (Pascanu, Mikolov & Bengio 2013)."""
    norm[0] = np.sqrt(sums.sum())
    factor[0] = limit / norm[0] if norm[0] > limit else 1
    if not np.isfinite(norm[0]):
        raise FloatingPointError("norm_factor: the norm is not finite")


def guard_numbers(g: Array) -> None:
    """Refuse NaN and infinities in g."""
    if not np.isfinite(g).all():
        raise FloatingPointError("guard_numbers: g is not finite")


def clear(x: Array) -> None:
    """x = 0."""
    x[...] = 0


def approach(x: Array, y: Array, rate: float) -> None:
    """x += rate (y - x), exactly y for a rate of 1 (averages of parameters: Polyak & Juditsky 1992)."""
    if rate == 1:
        x[...] = y
    else:
        x += rate * (y - x)


def multiply_numbers(a: float, b: float, product: Cell) -> None:
    """product = a b."""
    product[0] = a * b


def every(count: Cell, k: float) -> None:
    """count += 1, and 0 again at k; what a replay does behind it is done at every k-th run."""
    count += 1
    if not count[0] < k:
        count[0] = 0
