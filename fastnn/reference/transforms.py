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
    """x += rate (y - x), exactly y for a rate of 1, x for 0 (averages of parameters: Polyak & Juditsky 1992)."""
    if rate == 1:
        x[...] = y
    elif rate != 0:
        x += rate * (y - x)


def ema_rate(step: Cell, rate: Cell, decay: float, corrected: bool = False) -> None:
    """step += 1; rate = 1 - decay, 1 in step 1; corrected, over 1 - decay^step (Kingma & Ba 2015)."""
    step += 1
    rate[0] = (1 - decay) / (1 - decay ** step[0]) if corrected else 1 if step[0] == 1 else 1 - decay


def swa_rate(step: Cell, n: Cell, rate: Cell, start: float, every: float) -> None:
    """step += 1; in every so many-th step behind start n += 1, rate = 1 / n; else 0, and 1 while n is 0.

    The rates of a mean over these steps (Izmailov et al. 2018).
    """
    step += 1
    rate[0] = n[0] == 0
    if step[0] > start and (step[0] - start) % every == 0:
        n += 1
        rate[0] = 1 / n[0]


def multiply_numbers(a: float, b: float, product: Cell) -> None:
    """product = a b."""
    product[0] = a * b


def every(count: Cell, k: float) -> None:
    """count += 1, and 0 again at k; what a replay does behind it is done at every k-th run."""
    count += 1
    if not count[0] < k:
        count[0] = 0


def follow_schedule(step: Cell, first: float, table: Cell, number: Cell, advances: bool = False) -> None:
    """number = table_i with i = step - first, with `advances` behind step += 1; it stays where there is none."""
    if advances:
        step += 1
    at = step[0] - first
    if 0 <= at < len(table) and not np.isnan(table[int(at)]):
        number[0] = table[int(at)]
    elif not advances:
        raise IndexError("follow_schedule: table has no number for step[0] - first")
