"""What a prediction comes from, and which columns count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.layers import Dropout
from fastnn.markup import html_table, text_table
from fastnn.model import Model

if TYPE_CHECKING:
    from fastnn.sklearn.preprocessing import Preprocessing

Floats = NDArray[np.float64]

_POINTS = 200  # on the way from the typical row


@dataclass(frozen=True)
class Explanation:
    """What each column of a table adds to a prediction.

    Attributes
    ----------
    columns : tuple of str
    contributions : ndarray of shape (columns,)
        They add up to prediction - base, but for the error of the integral.
    base, prediction : float
        Of a typical row: medians, the more frequent ones of two values, categories that are unseen; and of the row.
    unit : str
        What these numbers are.
    """

    columns: tuple[str, ...]
    contributions: Floats
    base: float
    prediction: float
    unit: str

    def _rows(self) -> list[tuple[str, str]]:
        order = np.argsort(-np.abs(self.contributions), kind="stable")
        rows = [(self.columns[i], f"{self.contributions[i]:+.4g}") for i in order.tolist()]
        return [("a typical row", f"{self.base:.4g}"), *rows, ("this row", f"{self.prediction:.4g}")]

    def __str__(self) -> str:
        return "\n".join(text_table(("column", self.unit), self._rows(), 1))

    def _repr_html_(self) -> str:
        return html_table(("column", self.unit), self._rows(), 1)


def one_row(row: Any, names: Sequence[str]) -> NDArray[np.object_]:
    """Return a row of a table, (1, columns): of values in the order of the columns, of a dict or a series of pandas."""
    if hasattr(row, "keys"):
        row = {str(name): value for name, value in row.items()}
        missing = [name for name in names if name not in row]
        odd = [name for name in row if name not in names]
        if odd:
            raise ValueError(f"explain: row has {odd[0]!r}, expected the columns of the fit alone: {names}")
        if missing:
            raise ValueError(f"explain: row lacks {missing[0]!r}, expected the columns of the fit: {names}")
        row = [row[name] for name in names]
    values = list(np.ravel(np.asarray(row, object)))
    if len(values) != len(names):
        raise ValueError(f"explain: row has {len(values)} columns, expected {len(names)}: {names}")
    found = np.empty((1, len(names)), object)
    found[0] = values
    return found


def without_dropout(net: Model) -> Model:
    """Return a copy that computes in training what it computes in predictions."""
    copy = deepcopy(net)
    for layer in copy.layers:
        if isinstance(layer, Dropout):
            layer.rate = 0.0
    return copy


def integrated_gradients(
    nets: Sequence[Model], value: Callable[[Floats], tuple[Floats, Floats]], row: NDArray[Any], n_scaled: int
) -> tuple[Floats, float, float]:
    """Return what each number of a row adds, the value of the typical row, and that of this one.

    It is x_i ∫ ∂f/∂x_i(t x) dt for t from 0 to 1, by the midpoint rule (Sundararajan, Taly & Yan 2017); codes are first
    taken, one after the other, from unseen to what they are, for the typical numbers.

    Parameters
    ----------
    nets : sequence of Model
        Of which the mean counts.
    value : callable
        Of the mean of their outputs, (rows, n_out): the number that is explained, and its gradient with respect to it.
    row : ndarray of shape (columns,)
    n_scaled : int
        How many columns are no codes.
    """
    n = len(row)
    codes = range(n_scaled, n)
    steps = np.zeros((len(codes) + 1, n), row.dtype)
    steps[:, n_scaled:] = -1
    for i, code in enumerate(codes):
        steps[i + 1 :, code] = row[code]
    t = (np.arange(_POINTS) + 0.5) / _POINTS
    way = np.repeat(steps[-1:], _POINTS, axis=0)
    way[:, :n_scaled] = t[:, None] * row[:n_scaled]
    found = np.zeros(n)
    values = value(_mean([net.predict(np.concatenate([steps, row[None]])) for net in nets]))[0]
    found[n_scaled:] = np.diff(values[:-1])
    copies = [without_dropout(net) for net in nets]
    slope = value(_mean([net.forward(way) for net in copies]))[1] / len(nets)
    for net in copies:
        of_x = net.backward(slope.astype(row.dtype))[:, :n_scaled]
        found[:n_scaled] += row[:n_scaled] * of_x.mean(axis=0, dtype=np.float64)
    return found, float(values[0]), float(values[-1])


def _mean(outputs: Sequence[NDArray[Any]]) -> Floats:
    found: Floats = np.mean(outputs, axis=0, dtype=np.float64)
    return found


def by_column(preprocessing: Preprocessing, contributions: Floats) -> Floats:
    """Return the sums of what comes from each column of the table."""
    columns = len(preprocessing.plans)
    found = np.zeros(columns)
    np.add.at(found, preprocessing.origin, contributions[: len(preprocessing.origin)])
    return found


def permutation_importances(
    score: Callable[[NDArray[Any]], float], matrix: NDArray[Any], preprocessing: Preprocessing, repeats: int, rng: Any
) -> Floats:
    """Return by how much a score falls where a column of the table is permuted (Breiman 2001), (columns, repeats).

    All that becomes of a column moves together; columns that were dropped have 0.
    """
    found = np.zeros((len(preprocessing.plans), repeats))
    whole = score(matrix)
    for column in np.unique(preprocessing.origin).tolist():
        places = np.flatnonzero(preprocessing.origin == column)
        for r in range(repeats):
            changed = matrix.copy()
            changed[:, places] = matrix[rng.permutation(len(matrix))][:, places]
            found[column, r] = whole - score(changed)
    return found
