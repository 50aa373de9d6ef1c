"""Losses of numbers."""

from __future__ import annotations

from typing import Any

from fastnn.losses.reduction import Reduced
from fastnn.settings import Cell, Number


class MSE(Reduced):
    """Mean squared error: the mean of (y - t)^2 over rows and columns."""

    kernel = "mse"
    of_numbers = True


class MAE(Reduced):
    """Mean absolute error: the mean of |y - t| over rows and columns. The derivative at 0 is 0."""

    kernel = "mae"
    of_numbers = True


class Huber(Reduced):
    """Mean of d^2 / 2 where |d| <= delta, else delta * (|d| - delta / 2), d = y - t (Huber 1964).

    Parameters
    ----------
    delta : float
        Above 0: where the square ends, in the units of y.
    """

    kernel = "huber"
    of_numbers = True
    delta: Any = Number(above=0.0)

    def __init__(self, delta: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.delta = delta

    def _numbers(self) -> tuple[Cell, ...]:
        return (self.cell("delta"),)
