"""Losses of quantiles and expectiles: what lies above a prediction counts otherwise than what lies below."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.arrays import as_array
from fastnn.checks import number, number_of, shown
from fastnn.losses.reduction import Reduced
from fastnn.settings import Cell, Number, Numbers


class _Levels(Numbers):
    """One level between 0 and 1, or several that rise."""

    def __set__(self, part: Any, value: Any) -> None:
        where = f"{type(part).__name__}: {self._name}"
        if value is None or isinstance(value, str) or np.ndim(value) > 1 or not np.size(value):
            raise TypeError(f"{where} is {shown(value)}, expected a number between 0 and 1, or several that rise")
        levels = [number(where, level, above=0.0, below=1.0) for level in np.atleast_1d(value).tolist()]
        if any(high <= low for low, high in pairwise(levels)):
            raise ValueError(f"{where} is {shown(value)}, expected levels that rise")
        super().__set__(part, value)


class Quantile(Reduced):
    """Mean of q (t - y) where y < t, else (1 - q) (y - t): the pinball loss (Koenker and Bassett 1978).

    What makes it small is the q-quantile of the targets: for 0.5 their median, as half of `MAE` makes it. The formula
    is that of scikit-learn's mean_pinball_loss; PyTorch and Keras have none. The derivative at 0 is 0.

    Parameters
    ----------
    q : float or sequence of float
        Between 0 and 1: the quantile, or several at once, which rise. For k of them the net has k outputs for each
        target, one beside the other: of the first target all, then those of the second. ``output_weights``, and weights
        of single targets, are those of targets, for all of their quantiles.
    crossing : float
        At least 0. Where a quantile is predicted below the one before it, that is wrong; crossing times the difference
        is added to its loss, so that training removes it. It is a penalty: rows that are not trained with may still
        cross, and ``np.sort`` of the predictions of a target puts them right (Chernozhukov et al. 2010).
    **options
        ``reduction``, ``output_weights`` and ``missing``, as of `MSE`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model, Quantile
    >>> Quantile(0.9)([[1.0], [1.0]], [[3.0], [0.0]])
    0.95
    >>> y = np.random.default_rng(0).normal(size=(500, 1))
    >>> net = Model([Dense(3)], seed=0)
    >>> history = net.fit(np.ones((500, 1)), y, Quantile((0.1, 0.5, 0.9), crossing=1.0), epochs=200)
    >>> low, middle, high = net.predict(np.ones((1, 1)))[0]
    >>> bool(low < middle < high), round(float(np.mean(y < high)), 1)
    (True, 0.9)
    """

    q: Any = _Levels()
    crossing: Any = Number()
    target_range = None
    constants = ("_n_levels", *Reduced.constants)

    def __init__(self, q: float | Sequence[float] = 0.5, crossing: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.q, self.crossing = q, crossing

    @property
    def _n_levels(self) -> int:
        return len(self.cell("q"))

    @property
    def of_numbers(self) -> bool:  # type: ignore[override]
        """Whether the columns of targets are those of the net."""
        return self._n_levels == 1

    def _kernel_name(self, t: Array) -> str:
        return "quantile" if self._n_levels == 1 else "quantiles"

    def _numbers(self) -> tuple[Cell | float, ...]:
        return (self.cell("q"),) if self._n_levels == 1 else (self.cell("q"), self.cell("crossing"))

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        """Return the targets of shape (rows, n_out / k), k the number of quantiles."""
        k = self._n_levels
        if n_out % k:
            raise ValueError(f"{self} needs {k} outputs for each target, got {n_out}: end the net with Dense({k})")
        array = as_array(t, name)
        if array.ndim == 1 and n_out == k > 1:
            array = array[:, None]
        if k > 1 and array.ndim == 2 and array.shape[1] * k != n_out:
            raise ValueError(
                f"{name} has shape {array.shape}, expected (rows, {n_out // k}) for {number_of(k, 'quantile')} of each "
                f"and {number_of(n_out, 'output')}"
            )
        return super().targets(array if k > 1 else t, n_out // k, dtype, name)

    def read(
        self, t: Any, weight: Array | None, n_out: int, dtype: np.dtype[Any], name: str = "y", known: bool = False
    ) -> tuple[Array, Array | None]:
        """Return each target, and what it weighs, as often as there are quantiles."""
        target, weight = super().read(t, weight, n_out, dtype, name, known)
        k = self._n_levels
        if weight is not None and weight.shape[1] > 1:
            weight = np.repeat(weight, k, axis=1)
        return (target if k == 1 else np.repeat(target, k, axis=1)), weight

    def require_changed(self, target: Array, n_out: int) -> None:
        super().require_changed(target[:, :: self._n_levels], n_out)

    def outcome(self, y: Array, t: Array, weight: Array | None) -> tuple[Array, Array, Array | None]:
        """Return each target once, beside its quantiles."""
        k = self._n_levels
        return t[:, ::k], y, weight[:, ::k] if weight is not None and weight.shape[1] > 1 else weight


class Expectile(Reduced):
    """Mean of tau * d^2 where y < t, else (1 - tau) * d^2, d = y - t (Newey and Powell 1987).

    What makes it small is the tau-expectile of the targets: for 0.5 their mean, as half of `MSE` makes it.

    Parameters
    ----------
    tau : float
        Above 0 and below 1: the larger it is, the higher the predictions.
    **options
        ``reduction``, ``output_weights`` and ``missing``, as of `MSE`.

    Examples
    --------
    >>> from fastnn import Expectile
    >>> Expectile(0.75)([[0.0], [0.0]], [[2.0], [-2.0]])
    2.0
    """

    kernel = "expectile"
    of_numbers = True
    tau: Any = Number(above=0.0, below=1.0)

    def __init__(self, tau: float = 0.5, **options: Any) -> None:
        super().__init__(**options)
        self.tau = tau

    def _numbers(self) -> tuple[Cell | float, ...]:
        return (self.cell("tau"),)
