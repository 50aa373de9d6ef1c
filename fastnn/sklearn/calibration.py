"""Probabilities that mean what they say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastnn.formats.graph import Value
from fastnn.formats.table_graph import TableGraph

Floats = NDArray[np.float64]

_POSITIVE = 1e-30  # what a probability of 0 counts as
_LEAST = 20  # rows below which no temperature is looked for
_MOST = 2_000_000  # probabilities that are looked at, of evenly spaced rows: a hundred times each
_OF_MEAN = 0.9  # of the temperature of nets, that of their mean
_ERRORS = 10  # with so many errors, half of the way to a temperature below 1 is gone


def log_loss_at(logarithms: Floats, labels: NDArray[np.int64], weight: Floats | None, temperature: float) -> float:
    """Return the mean of -log p of the labels, where p are the probabilities at a temperature."""
    z = logarithms / temperature
    z -= z.max(axis=1, keepdims=True)
    of_labels = z[np.arange(len(z)), labels]
    losses = np.log(np.exp(z, out=z).sum(axis=1)) - of_labels
    return float(np.average(losses, weights=weight))


def best_temperature(logarithms: Floats, labels: NDArray[np.int64], weight: Floats | None) -> float:
    """Return the temperature of the least log loss, from 1/2 to 8: golden sections of its logarithm."""
    ratio = (5**0.5 - 1) / 2
    low, high = -np.log(2.0), np.log(8.0)

    def at(t: float) -> float:
        return log_loss_at(logarithms, labels, weight, float(np.exp(t)))

    a, b = high - ratio * (high - low), low + ratio * (high - low)
    of_a, of_b = at(a), at(b)
    for _ in range(30):
        if of_a < of_b:
            high, b, of_b = b, a, of_a
            a = high - ratio * (high - low)
            of_a = at(a)
        else:
            low, a, of_a = a, b, of_b
            b = low + ratio * (high - low)
            of_b = at(b)
    return float(np.exp((low + high) / 2))


def temperature_for(probabilities: Floats, labels: NDArray[np.int64], weight: Floats | None = None) -> float:
    """Return the temperature T by which p ∝ p^(1 / T) has the least log loss (Guo et al. 2017), or 1 where none helps.

    It helps where the temperature of one half of the rows makes the log loss of the other half smaller, both ways
    together. Below 1, where probabilities become surer, errors are what speaks against it: with few of them T is shrunk
    to T^(e / (e + 10)), where e is how many rows have another class than the most likely one.

    Parameters
    ----------
    probabilities : ndarray of shape (rows, classes)
        Of rows that were not trained with.
    labels : ndarray of shape (rows,)
    weight : ndarray of shape (rows,) or None

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.sklearn.calibration import temperature_for
    >>> labels = np.arange(100) % 2
    >>> sure = np.where(labels == (np.arange(100) % 10 == 0), 0.999, 0.001)  # right in 6 of 10 rows
    >>> temperature_for(np.stack([1 - sure, sure], axis=1), labels) > 3
    True
    >>> temperature_for(np.where(np.eye(2)[labels], 0.9, 0.1), labels)  # never wrong: no row says how sure is too sure
    1.0
    """
    n = len(labels)
    if n < _LEAST:
        return 1.0
    some = slice(None, None, max(1, -(-probabilities.size // _MOST)))
    probabilities, labels, weight = probabilities[some], labels[some], None if weight is None else weight[some]
    n = len(labels)
    logarithms = np.log(np.maximum(probabilities, 1e-12))
    halves = np.arange(n) % 2 == 0
    gain = 0.0
    for half in (halves, ~halves):
        of_half = None if weight is None else weight[half]
        rest = None if weight is None else weight[~half]
        found = best_temperature(logarithms[half], labels[half], of_half)
        gain += log_loss_at(logarithms[~half], labels[~half], rest, 1.0)
        gain -= log_loss_at(logarithms[~half], labels[~half], rest, found)
    if gain <= 0:
        return 1.0
    found = best_temperature(logarithms, labels, weight)
    errors = np.count_nonzero(logarithms.argmax(axis=1) != labels)
    return found if found >= 1 else float(found ** (errors / (errors + _ERRORS)))


def of_mean(temperature: float, nets: int) -> float:
    """Return the temperature of the mean of nets of several folds, from that of the rows that each has not seen.

    A mean of nets is less sure than each of them, and no rows say by how much: those that one net has not seen, the
    others have. That it is about a tenth, and less where several nets have not seen a row, is by measurement.
    """
    return temperature if temperature == 1.0 else temperature * float(_OF_MEAN ** (1 / nets))


def at_temperature(probabilities: Floats, temperature: float) -> Floats:
    """Return p^(1 / T) / Σ p^(1 / T)."""
    if temperature == 1.0:
        return probabilities
    z = np.log(np.maximum(probabilities, _POSITIVE)) / temperature
    z = np.exp(z - z.max(axis=1, keepdims=True))
    found: Floats = z / z.sum(axis=1, keepdims=True)
    return found


def graph_at_temperature(probabilities: Value, temperature: float, to: TableGraph) -> Value:
    """Add the same to a graph."""
    if temperature == 1.0:
        return probabilities
    n = probabilities.n
    z = to.log(to.clip(probabilities, np.full(n, _POSITIVE), np.full(n, np.inf)))
    return to.activation(to.scale(z, 1 / temperature), "softmax")
