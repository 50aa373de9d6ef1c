"""Losses of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.losses.ends import refuse_targets
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

    def _numbers(self) -> tuple[Cell | float, ...]:
        return (self.cell("delta"),)


class SmoothL1(Reduced):
    """Mean of d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, d = y - t (Girshick 2015).

    It is `Huber` with delta = beta, divided by beta: as beta falls it becomes `MAE`, where Huber becomes 0.

    Parameters
    ----------
    beta : float
        At least 0: where the square ends, in the units of y.
    **options
        ``reduction``, ``output_weights`` and ``missing``, as of `MSE`.

    Examples
    --------
    >>> from fastnn import Huber, SmoothL1
    >>> SmoothL1(0.5)([[0.25], [2.0]], [[0.0], [0.0]]), Huber(0.5)([[0.25], [2.0]], [[0.0], [0.0]])
    (0.90625, 0.453125)
    """

    kernel = "smooth_l1"
    of_numbers = True
    beta: Any = Number()

    def __init__(self, beta: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.beta = beta

    def _numbers(self) -> tuple[Cell | float, ...]:
        return (self.cell("beta"),)


class LogCosh(Reduced):
    """Mean of log(cosh(d)), d = y - t: about d^2 / 2 for small differences, |d| - log(2) for large ones.

    The formula is Keras's. It is computed without overflow, and accurate near 0.

    Parameters
    ----------
    **options
        ``reduction``, ``output_weights`` and ``missing``, as of `MSE`.

    Examples
    --------
    >>> from fastnn import LogCosh
    >>> round(LogCosh()([[1000.0]], [[0.0]]), 4)
    999.3069
    """

    kernel = "log_cosh"
    of_numbers = True


class MSLE(Reduced):
    """Mean squared logarithmic error: the mean of (log(1 + y) - log(1 + t))^2 over rows and columns, for targets >= 0.

    Parameters
    ----------
    **options
        ``reduction``, ``output_weights`` and ``missing``, as of `MSE`.

    Notes
    -----
    For predictions below 0, where a net without an activation at its end may begin, log(1 + y) goes on as the straight
    line y, so that there is a gradient. Keras takes them for 0 there, and a row has no gradient; scikit-learn refuses
    them.

    Examples
    --------
    >>> from fastnn import MSLE
    >>> round(MSLE()([[2.5, 5.0], [4.0, 8.0]], [[3.0, 5.0], [2.5, 7.0]]), 6)
    0.03973
    """

    target_range = 0.0, float("inf")
    kernel = "msle"

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        array = super().targets(t, n_out, dtype, name)
        refuse_targets(array, array < 0, name, f"numbers >= 0 for {self}")
        return array


class MAPE(Reduced):
    """Mean absolute percentage error: the mean of 100 |y - t| / max(|t|, eps) over rows and columns.

    Parameters
    ----------
    eps : float
        Above 0, in the units of t: what smaller targets are divided by.
    **options
        ``reduction``, ``output_weights`` and ``missing``, as of `MSE`.

    Notes
    -----
    The factor 100 and eps are those of Keras; scikit-learn has no factor. Of targets that are 0 a difference counts
    100 / eps times: where there are some, choose an eps of the size of a difference that does not matter, or `MSLE`.

    Examples
    --------
    >>> from fastnn import MAPE
    >>> MAPE()([[90.0], [2.5]], [[100.0], [2.0]])
    17.5
    """

    kernel = "mape"
    of_numbers = True
    eps: Any = Number(above=0.0)

    def __init__(self, eps: float = 1e-7, **options: Any) -> None:
        super().__init__(**options)
        self.eps = eps

    def _numbers(self) -> tuple[Cell | float, ...]:
        return (self.cell("eps"),)
