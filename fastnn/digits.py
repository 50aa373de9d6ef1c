"""Digits that a conversion loses, and with them what tells rows apart: said once for each model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.arrays import as_array
from fastnn.checks import warn
from fastnn.tables import Table
from fastnn.values import Place

_STEPS = 1000  # a column whose numbers span fewer steps of the dtype has lost too much
_SAMPLED = 16  # rows that are looked at first: a column that spans few steps does so in any of its rows
_SEEN = 4096  # rows, at most twice as many: what is constant in them counts as constant
_FEW = 64 * 1024  # numbers: with fewer, a look costs about as much as to convert them
_FIRST = 4  # times that so few are looked at, one after the other


class Digits:
    """Looks for columns whose numbers differ by little beside their size: times, large counts, money.

    A column is told if its largest and its smallest number differ, lie fewer than 1000 steps of the dtype apart (a step
    is the distance from the largest number to the next one of the dtype), and are not held exactly.

    Attributes
    ----------
    told : str or None
        Of which data, "x" or "y", once it has been told.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._few = _STEPS * float(np.finfo(dtype).eps)
        self.told: str | None = None
        self._calls = 0

    def due(self, x: Any) -> bool:
        """Whether it is time to look: always where there is much, else at first and then ever more rarely."""
        if self.told:
            return False
        if x.size >= _FEW:
            return True
        self._calls += 1
        return self._calls <= _FIRST or self._calls & (self._calls - 1) == 0

    def skips(self) -> bool:
        """Whether few numbers that have been converted need no look; they have been counted then, as by `due`."""
        calls = self._calls + 1
        if self.told is None and (calls <= _FIRST or calls & (calls - 1) == 0):
            return False
        self._calls = calls
        return True

    def look(self, x: Any, given: Any, name: str, labels: Sequence[Any] | None = None) -> None:
        """Warn about the first such column, if there is one and none has been told before.

        Parameters
        ----------
        x : ndarray of shape (rows, columns) or (rows,), or other
            As given, or already of the dtype. Sparse rows lose nothing: a column with a zero in it spans many steps.
        given : array_like
            What it has been made from.
        name : str
            What a warning calls it.
        labels : sequence or None
            Of its columns.
        """
        if self.told or len(x) < 2 or type(x) is not np.ndarray or getattr(given, "dtype", None) == self._dtype:
            return
        columns = x[:, None] if x.ndim == 1 else x
        with np.errstate(all="ignore"):
            for i in self._suspects(columns):
                source = columns[:, i] if x.dtype != self._dtype else _column(given, i, labels, name)
                found = self._lost(source)
                if found is not None:
                    label = labels[i] if labels is not None else i if columns.shape[1] > 1 else None
                    self._tell(*found, given, Place(name, label), labels is not None)
                    return

    def _suspects(self, x: Array) -> list[int]:
        """Return the columns of which some rows span few steps."""
        first, last = x[0], x[-1]
        if x.dtype.kind != "f":
            first, last = first.astype(np.float64), last.astype(np.float64)
        size = np.abs(first)
        if 1 not in (np.abs(last - first) < self._few * size).tobytes():
            return []
        rows = x[np.arange(_SAMPLED) * (len(x) - 1) // (_SAMPLED - 1)]
        sample = rows.astype(np.float64)
        low, high = sample.min(axis=0), sample.max(axis=0)
        size = np.maximum(-low, high)
        few = (high - low <= self._few * size) & (size > 0)
        if x.dtype != self._dtype:
            few &= (rows.astype(self._dtype).astype(x.dtype) != rows).any(axis=0)
        found: list[int] = np.flatnonzero(few).tolist()
        return found

    def _lost(self, column: Array) -> tuple[Any, Any, float] | None:
        """Return the lowest and highest number and the step between numbers, where digits are lost."""
        part = column[:: len(column) // _SEEN | 1]
        if part.min() == part.max():
            return None
        low, high = column.min().item(), column.max().item()
        step = float(np.spacing(self._dtype.type(max(abs(low), abs(high)))))
        if not 0 < high - low < _STEPS * step or (column.astype(self._dtype).astype(column.dtype) == column).all():
            return None
        return low, high, step

    def _tell(self, low: Any, high: Any, step: float, given: Any, place: Place, is_named: bool) -> None:
        code = place.code if is_named else place.argument
        if is_named or hasattr(given, "min"):
            cure = f"{code} - {code}.min({'' if is_named or place.label is None else 'axis=0'})"
        else:
            cure = f"np.subtract({code}, np.min({code}, axis=0))"
        again = "the same from all data" if place.argument == "x" else "and add it to predictions"
        wider = ', or use Model(..., dtype="float64")' if self._dtype == np.float32 else ""
        warn(
            f"{place} holds numbers from {low} to {high}, where {self._dtype} has steps of {step:g}: much of what "
            f"tells rows apart is lost. Subtract what they have in common before, {cure}, {again}{wider}"
        )
        self.told = place.argument


def _column(given: Any, i: int, labels: Sequence[Any] | None, name: str) -> Array:
    """Return a column of what data have been made from."""
    if isinstance(given, Table):
        names = given.names or ()
        return given.column(names.index(labels[i]) if labels is not None and labels[i] in names else i, name)
    if isinstance(given, np.ndarray) and given.ndim == 2:
        return as_array(given[:, i], name)
    array = as_array(given, name)
    return array[:, i] if array.ndim == 2 else array
