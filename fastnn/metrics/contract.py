"""The contract of a metric: a number that says how good predictions are, weighted by rows."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.metrics.given import Given, read
from fastnn.settings import Part


class Metric(Part):
    """A number that says how good predictions are; called as scikit-learn's functions: (y_true, y_pred, sample_weight).

    Only ratios of weights count: a row of weight 2 is a row twice, and one of weight 0 is left out, whatever it holds.
    A loss is called the other way round, with the predictions first: it is not meant to be looked at alone.

    One of your own is a function of (y_true, y_pred), or of (y_true, y_pred, sample_weight), or, where it has settings,
    a subclass with ``__call__(self, y_true, y_pred, sample_weight=None)``, which says ``larger_is_better``.

    Attributes
    ----------
    name : str
        Under which it is logged: "accuracy", and "val_accuracy" of validation data.
    larger_is_better : bool or None
        None where nobody knows: of functions whose name says nothing, and of `Coverage`.

    Examples
    --------
    >>> from fastnn.metrics import get
    >>> get("accuracy")([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], sample_weight=[1, 1, 2])
    0.5

    The share of predictions that are near enough, ``fit(..., metrics=[Near(0.1)])``:

    >>> import numpy as np
    >>> from fastnn import Metric
    >>> class Near(Metric):
    ...     def __init__(self, off):
    ...         super().__init__()
    ...         self.off = off
    ...     def __call__(self, y_true, y_pred, sample_weight=None):
    ...         near = np.abs(np.subtract(y_true, y_pred)) <= self.off
    ...         return np.average(near, axis=0, weights=sample_weight).mean()
    >>> Near(0.5).name, float(Near(0.5)([1.0, 2.0], [1.2, 3.0]))
    ('near', 0.5)
    """

    larger_is_better: ClassVar[bool | None] = True
    reads_names: ClassVar[bool] = False  # whether predictions may be names of classes
    title: ClassVar[str] = ""  # what it is called where it is logged, without its settings

    def __init__(self) -> None:
        super().__init__()

    @property
    def name(self) -> str:
        """What it is logged as."""
        return self.title or type(self).__name__.lower()

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return how good predictions are.

        Parameters
        ----------
        y_true, y_pred
            What is right, and what is predicted, a row for each.
        sample_weight : array_like of shape (rows,), or None
            What rows weigh, numbers >= 0. Of metrics of numbers also (rows, columns): what each number weighs.

        Raises
        ------
        ValueError, TypeError
            For predictions that it is none of, with what was expected.
        """
        with np.errstate(all="ignore"):  # what is too small is 0
            return float(self._value(read(self, y_true, y_pred, sample_weight, self.reads_names)))

    def _value(self, given: Given) -> Any:
        """Return the metric of checked rows."""
        kind = type(self).__name__
        raise TypeError(f"{kind} has no value: define __call__(self, y_true, y_pred, sample_weight=None)")


class Asked(NamedTuple):
    """A metric that is asked for, and what it is logged as; of one head where there are several."""

    name: str
    metric: Metric
    head: str | None = None


def mean(numbers: Array, weight: Array | None) -> float:
    """Return the mean over rows, and over columns where there are some; weights are of rows or of all numbers."""
    if weight is None or not numbers.size:
        return float(np.mean(numbers)) if numbers.size else float("nan")
    if numbers.ndim == 2 and weight.shape[1] == 1:
        numbers = numbers.mean(axis=1)
    elif numbers.ndim == 2:
        return float(np.average(numbers, weights=weight))
    return float(np.average(numbers, weights=weight[:, 0]))
