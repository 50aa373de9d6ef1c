"""What losses must know of the end of a net: which numbers it gives. And targets that a loss cannot take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels
from fastnn.arena import Array
from fastnn.layers.contract import Layer


def range_of(last: Layer) -> tuple[bool, bool] | None:
    """Return whether the last stage may give numbers below 0, and above; None where nobody knows."""
    if last.gives is None:
        return None
    row = kernels.float64.activations.get(last.kernel)
    if row is None:
        return True, True
    low, high = row.range
    return low.startswith("-"), high != "0"


def wrong_end(loss: object, expected: str, last: Layer, gives: str, *cures: str) -> ValueError:
    """Return the error for a net whose end a loss cannot take, with what to do."""
    without = [f"leave {last!r} out"] if last.kernel else []
    cure = " or ".join([*without, *cures])
    return ValueError(f"{loss} expects {expected}, but the net ends in {last!r}, which gives {gives}: {cure}")


def refuse_targets(array: Array, wrong: NDArray[np.bool_], name: str, expected: str) -> None:
    """Raise ValueError for the first row that holds a wrong number."""
    if wrong.any():
        row = int(np.argmax(wrong.any(axis=1)))
        column: Any = int(np.argmax(wrong[row]))
        got = array[row, column] if array.shape[1] == 1 else array[row]
        raise ValueError(f"{name} is {got} at row {row}, expected {expected}")
