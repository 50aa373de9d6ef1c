"""Losses of numbers."""

from __future__ import annotations

from typing import Any

from fastnn.losses.reduction import Reduced
from fastnn.settings import Cell, Number


class MSE(Reduced):
    """Mean squared error: the mean of (y - t)^2 over rows and columns.

    Parameters
    ----------
    reduction : str
        "mean": over all numbers, or over rows where a row has one loss. "sum": their sum; `fit` logs the mean of the
        sums of batches, weighted by their rows, as Keras does, and `evaluate` gives the sum over all rows. Weights
        count as they are then. "none": by hand, the losses one by one, with the gradient of their sum.
    output_weights : sequence of float or None
        What the outputs weigh, numbers >= 0, one for each column of the targets. Of a mean only their ratios count.
    missing : str
        "raise" is an error for targets that are NaN (None, NA). "ignore" leaves them out, and the mean is over those
        that are there: over all known data in `fit` and `evaluate`, otherwise over the batch. Where a row has one loss,
        a row of which a target is missing is left out.

    Examples
    --------
    >>> from fastnn import MSE
    >>> y, t = [[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 0.0]]
    >>> MSE()(y, t), MSE(reduction="sum")(y, t), MSE(output_weights=(3, 1))(y, t)
    (7.25, 29.0, 5.875)
    >>> MSE(reduction="none")(y, t)
    array([[ 0.,  4.],
           [ 9., 16.]])
    >>> MSE(missing="ignore")(y, [[1.0, None], [0.0, 0.0]])  # doctest: +ELLIPSIS
    8.333...
    """

    kernel = "mse"
    of_numbers = True


class MAE(Reduced):
    """Mean absolute error: the mean of |y - t| over rows and columns. The derivative at 0 is 0.

    Settings are those of `MSE`.

    Examples
    --------
    >>> from fastnn import MAE
    >>> MAE()([[1.0], [3.0]], [[0.0], [0.0]])
    2.0
    """

    kernel = "mae"
    of_numbers = True


class Huber(Reduced):
    """Mean of d^2 / 2 where |d| <= delta, else delta * (|d| - delta / 2), d = y - t (Huber 1964).

    Parameters
    ----------
    delta : float
        Above 0: where the square ends, in the units of y.
    **options
        ``reduction``, ``output_weights`` and ``missing``, as of `MSE`.

    Examples
    --------
    >>> from fastnn import Huber
    >>> Huber(0.5)([[0.5], [2.0]], [[0.0], [0.0]])
    0.5
    """

    kernel = "huber"
    of_numbers = True
    delta: Any = Number(above=0.0)

    def __init__(self, delta: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.delta = delta

    def _numbers(self) -> tuple[Cell, ...]:
        return (self.cell("delta"),)
