"""What twins of losses have in common: weights, and the mean or the sum.

y, dy (rows, n), t (rows, n) or labels (rows), value (1), weight (rows, 1) or (rows, n), None for ones. dy may be None.
`each` gets the weighted losses one by one, of numbers (rows, n) or of rows (rows); `total` is the sum, not the mean.
"""

from __future__ import annotations

import numpy as np

from fastnn.reference.types import Array, Cell


def _weighed(elements: Array, weight: Array | None) -> Array:
    """Weight times elements, and 0 where the weight is 0, whatever they are."""
    if weight is None:
        return elements
    return np.multiply(elements, weight, where=weight != 0, out=np.zeros_like(elements))


def _reduce(
    losses: Array,
    gradient: Array,
    weight: Array | None,
    dy: Array | None,
    value: Cell,
    each: Array | None,
    total: bool,
    of_rows: bool = False,
) -> None:
    """Write what a loss gives, from losses and their derivatives (rows, n), all without weights.

    Where losses are `of_rows`, each row has one: the sum of its numbers, or (rows, 1).
    """
    parts = len(losses) if of_rows else losses.size
    scale = 1.0 if total else 1.0 / max(parts, 1)
    weighted = _weighed(losses, weight)
    rows = weighted.sum(axis=1, dtype=np.float64)
    value[0] = rows.sum() * scale
    if each is not None:
        each[...] = rows if of_rows else weighted
    if dy is not None:
        np.multiply(_weighed(gradient, weight), scale, out=dy)


def add_loss(part: Cell, total: Cell, weight: float = 1.0, first: bool = False) -> None:
    """Total = weight * part, added to what it was unless this is the first."""
    total[0] = (0.0 if first else total[0]) + weight * part[0]


def share_weights(weight: Array, mean: float, share: Cell) -> None:
    """Weight *= mean / mean(weight), and share = columns / sum(weight), of the weights as they come."""
    with np.errstate(divide="ignore", invalid="ignore"):  # of no rows or columns, or of weights that are all 0
        total = weight.sum(dtype=np.float64) / weight.shape[1]
        share[0] = 1 / total
        weight *= mean * len(weight) / total
