"""Digits that a conversion loses, and with them what tells rows apart: said once for each model."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.arrays import as_array
from fastnn.tables import table_of
from fastnn.values import Place

_STEPS = 1000  # a column whose numbers span fewer steps of the dtype has lost too much
_SAMPLED = 16  # rows that are looked at first: a column that spans few steps does so in any of its rows
_FEW = 4096  # numbers: with fewer, a look would cost as much as what they are for


class Digits:
    """Looks for columns whose numbers differ by little beside their size: times, large counts, prices.

    A column is told if its largest and smallest number differ, lie fewer than 1000 steps of the dtype apart (a step is
    the distance to the next number of the dtype, at the largest number), and are not held exactly.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._told = self._looked = False

    def look(self, x: Array, given: Any, name: str, labels: Sequence[Any] | None = None, often: bool = False) -> None:
        """Warn about the first such column, if there is one and nobody has been warned.

        Parameters
        ----------
        x : ndarray of shape (rows, columns) or (rows,)
            As given, or already of the dtype.
        given : array_like
            What it has been made from.
        name : str
            What warnings call it.
        labels : sequence or None
            Of the columns.
        often : bool
            Whether it comes in small parts, of which only the first is worth a look.
        """
        is_small = often and self._looked and x.size < _FEW
        if self._told or is_small or len(x) < 2 or getattr(given, "dtype", None) == self._dtype:
            return
        self._looked = True
        columns = x[:, None] if x.ndim == 1 else x
        with np.errstate(all="ignore"):
            for i in self._suspects(columns):
                own = labels[i] if labels is not None else i if columns.shape[1] > 1 else None
                source = columns[:, i] if x.dtype != self._dtype else _column(given, i, own, name)
                found = self._lost(source)
                if found is not None:
                    self._tell(*found, given, name, own, labels is not None)
                    return

    def _suspects(self, x: Array) -> Sequence[int]:
        """Return the columns of which some rows span few steps."""
        rows = x[:: -(-len(x) // _SAMPLED)]
        sample = rows.astype(np.float64)
        low, high = sample.min(axis=0), sample.max(axis=0)
        size = np.maximum(-low, high)
        few = (high - low <= _STEPS * np.finfo(self._dtype).eps * size) & (size > 0)
        if few.any() and x.dtype != self._dtype:
            few &= (rows.astype(self._dtype).astype(x.dtype) != rows).any(axis=0)
        found: list[int] = np.flatnonzero(few).tolist()
        return found

    def _lost(self, column: Array) -> tuple[Any, Any, float] | None:
        """Return the lowest and highest number and the step between numbers, where digits are lost."""
        dtype = self._dtype
        low, high = column.min().item(), column.max().item()
        step = float(np.spacing(dtype.type(max(abs(low), abs(high)))))
        if not 0 < high - low < _STEPS * step or (column.astype(dtype).astype(column.dtype) == column).all():
            return None
        return low, high, step

    def _tell(self, low: Any, high: Any, step: float, given: Any, name: str, label: Any, is_named: bool) -> None:
        place = Place(name, label)
        code = place.code if is_named else place.argument
        axis = "axis=0" if label is not None and not is_named else ""
        cure = (
            f"{code} - {code}.min({axis})" if hasattr(given, "min") else f"np.subtract({code}, np.min({code}, axis=0))"
        )
        again = "the same from all data" if place.argument == "x" else "and add it to predictions"
        wider = ', or use Model(..., dtype="float64")' if self._dtype == np.float32 else ""
        warn(
            f"{place} holds numbers from {low} to {high}, where {self._dtype} has steps of {step:g}: much of what "
            f"tells rows apart is lost. Subtract what they have in common before, {cure}, {again}{wider}"
        )
        self._told = True


def _column(given: Any, i: int, label: Any, name: str) -> Array:
    """Return a column of what data have been made from."""
    table = table_of(given)
    if table is not None:
        names = table.names or ()
        return table.column(names.index(label) if label in names else i, name)
    array = as_array(given, name)
    return array[:, i] if array.ndim == 2 else array


def warn(message: str) -> None:
    """Warn whoever has called this package."""
    level, frame = 1, sys._getframe(0)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "fastnn":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
