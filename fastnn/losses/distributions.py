"""Losses of counts and amounts: the negative log-likelihood, or the deviance, of the predicted distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.arrays import parts_of
from fastnn.checks import flag, shown
from fastnn.layers.contract import Layer
from fastnn.losses.contract import Loss
from fastnn.losses.ends import range_of, refuse_targets, wrong_end
from fastnn.losses.reduction import Reduced
from fastnn.settings import Cell, Number


class _OfMeans(Reduced):
    """A loss of means above 0, or of their logarithms."""

    constants = ("log_input", *Reduced.constants)

    def __init__(self, log_input: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self.log_input = flag(f"{type(self).__name__}: log_input", log_input)

    def for_end(self, last: Layer, droppable: bool) -> tuple[Loss, bool]:
        ends, name = range_of(last), type(self).__name__
        if ends is not None and self.log_input and not ends[0]:
            raise wrong_end(
                self, "logarithms of means", last, "none below 0, so no mean below 1", f"use {name}(log_input=False)"
            )
        if ends is not None and not self.log_input and ends != (False, True):
            cures = "end it with Softplus()", f"use {name}(log_input=True)"
            raise wrong_end(self, "means above 0", last, "numbers below 0, too", *cures)
        return self, False

    def outcome(self, y: Array, t: Array, weight: Array | None) -> tuple[Array, Array, Array | None]:
        with np.errstate(over="ignore"):
            return t, np.exp(y) if self.log_input else y, weight

    def _require_given(self, y: Array) -> None:
        if self.log_input or self.is_numpy:
            return
        for start, part in parts_of(y):
            wrong = (part < 0).any(axis=1)
            if wrong.any():
                row = start + int(np.argmax(wrong))
                raise ValueError(
                    f"y is {shown(y[row].tolist())} at row {row}, expected means >= 0: of logarithms of means the loss "
                    f"is {type(self).__name__}(log_input=True)"
                )


class PoissonNLL(_OfMeans):
    """Mean of exp(y) - t * y, for counts t and logarithms y of rates, or of y - t * log(y + eps) for rates y.

    That is the negative log-likelihood of Poisson's distribution without log(t!), over rows and columns. The formulas
    and defaults are PyTorch's.

    Parameters
    ----------
    log_input : bool
        Whether the net gives logarithms of rates, as one without an activation at its end should.
    full : bool
        Whether Stirling's approximation of log(t!), t log(t) - t + log(2 pi t) / 2, is added for t > 1. It changes the
        value alone.
    eps : float
        At least 0: keeps log(0) away where `log_input` is False.
    **options
        ``reduction``, ``output_weights`` and ``missing``, as of `MSE`.

    Notes
    -----
    Keras's Poisson is of rates: the name "poisson" is ``PoissonNLL(log_input=False)``, which an activation whose
    numbers are positive comes before, such as `Softplus`; "poisson_nll" is ``PoissonNLL()``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import PoissonNLL
    >>> y, t = np.log([[1.0], [4.0]]), [[0.0], [3.0]]
    >>> round(PoissonNLL()(y, t), 6), round(PoissonNLL(log_input=False)(np.exp(y), t), 6)
    (0.420558, 0.420558)
    """

    eps: Any = Number()
    target_range = 0.0, float("inf")
    constants = ("full", *_OfMeans.constants)

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, **options: Any) -> None:
        super().__init__(log_input, **options)
        self.full = flag(f"{type(self).__name__}: full", full)
        self.eps = eps

    def _kernel_name(self, t: Array) -> str:
        return "poisson_of_logs" if self.log_input else "poisson"

    def _numbers(self) -> tuple[Cell | float, ...]:
        return (float(self.full),) if self.log_input else (self.cell("eps"), float(self.full))

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        array = super().targets(t, n_out, dtype, name)
        refuse_targets(array, array < 0, name, f"counts, numbers >= 0, for {self}")
        return array


class GammaDeviance(_OfMeans):
    """Mean of 2 (t / m - 1 - log(t / m)), for amounts t > 0 and predicted means m = exp(y), or m = y.

    That is the deviance of the gamma distribution, over rows and columns: 0 where the prediction is right. Its gradient
    is twice that of the negative log-likelihood log(m) + t / m, from which it differs by what predictions do not
    change. The formula is that of scikit-learn's mean_gamma_deviance; PyTorch and Keras have none.

    Parameters
    ----------
    log_input : bool
        Whether the net gives logarithms of means, as one without an activation at its end should. Means that are given
        as they are, are not less than eps of their dtype.
    **options
        ``reduction``, ``output_weights`` and ``missing``, as of `MSE`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import GammaDeviance
    >>> round(GammaDeviance()(np.log([[2.0], [0.5]]), [[1.0], [0.5]]), 6)
    0.193147
    """

    target_range = 5e-324, float("inf")  # from the least number above 0

    def _kernel_name(self, t: Array) -> str:
        return "tweedie_of_logs" if self.log_input else "tweedie"

    def _numbers(self) -> tuple[Cell | float, ...]:
        return (2.0,)  # the power of Tweedie's distribution that it is

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        array = super().targets(t, n_out, dtype, name)
        refuse_targets(array, array <= 0, name, f"numbers > 0 for {self}")
        return array


class TweedieDeviance(_OfMeans):
    """Mean deviance of Tweedie's distribution, whose variance is mean^power (Jorgensen 1987), for targets t >= 0.

    With the predicted mean m = exp(y), or m = y, it is the mean over rows and columns of
    2 (t^(2-p) / ((1-p) (2-p)) - t m^(1-p) / (1-p) + m^(2-p) / (2-p)), p = power; for p = 2 the limit, which is the
    deviance of the gamma distribution. Powers between 1 and 2 are for amounts of which many
    are 0, such as claims or rainfall; 3 is the inverse Gaussian distribution. The formula is that of scikit-learn's
    mean_tweedie_deviance; PyTorch and Keras have none.

    Parameters
    ----------
    power : float
        Above 1, and near 1 that of Poisson's distribution, whose loss is `PoissonNLL`; 2 is that of `GammaDeviance`.
        (For power 0, the normal distribution, the loss is `MSE`; between 0 and 1 there is none.)
    log_input : bool
        Whether the net gives logarithms of means, as one without an activation at its end should. Means that are given
        as they are, are not less than eps of their dtype.
    **options
        ``reduction``, ``output_weights`` and ``missing``, as of `MSE`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import TweedieDeviance
    >>> round(TweedieDeviance(1.5)(np.log([[2.0], [0.5]]), [[0.0], [0.5]]), 6)
    2.828427
    """

    target_range = None  # it depends on the power
    power: Any = Number(above=1.0)

    def __init__(self, power: float = 1.5, log_input: bool = True, **options: Any) -> None:
        super().__init__(log_input, **options)
        self.power = power

    def _kernel_name(self, t: Array) -> str:
        return "tweedie_of_logs" if self.log_input else "tweedie"

    def _numbers(self) -> tuple[Cell | float, ...]:
        return (self.cell("power"),)

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        array = super().targets(t, n_out, dtype, name)
        wrong, sign = (array < 0, ">=") if self.power < 2 else (array <= 0, ">")
        refuse_targets(array, wrong, name, f"numbers {sign} 0 for {self}")
        return array


class GaussianNLL(Reduced):
    """Mean of (log(v) + (m - t)^2 / v) / 2, for means m and variances v that the net gives (Nix and Weigend 1994).

    That is the negative log-likelihood of normal distributions without log(2 pi) / 2, PyTorch's formula. For n targets
    the net has 2 n outputs: the n means, then the n variances, or their logarithms.

    Parameters
    ----------
    log_variance : bool
        Whether the net gives logarithms of variances, as one without an activation at its end should. PyTorch's
        GaussianNLLLoss takes variances: that is ``log_variance=False``.
    full : bool
        Whether log(2 pi) / 2 is added, which changes the value alone.
    eps : float
        Above 0: variances that are given as they are, are not less; the gradient is that there, as in PyTorch.
    **options
        ``reduction``, ``output_weights`` (one for each target) and ``missing``, as of `MSE`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import GaussianNLL
    >>> y = np.array([[1.0, 0.25], [0.0, 4.0]])  # a mean and a variance
    >>> round(GaussianNLL(log_variance=False)(y, [0.0, 2.0]), 6)
    1.25
    >>> y[:, 1] = np.log(y[:, 1])
    >>> round(GaussianNLL()(y, [0.0, 2.0]), 6)
    1.25
    """

    kernel = "gaussian_nll"
    eps: Any = Number(above=0.0)
    target_range = -float("inf"), float("inf")
    constants = ("log_variance", "full", *Reduced.constants)

    def __init__(self, log_variance: bool = True, full: bool = False, eps: float = 1e-6, **options: Any) -> None:
        super().__init__(**options)
        self.log_variance = flag(f"{type(self).__name__}: log_variance", log_variance)
        self.full = flag(f"{type(self).__name__}: full", full)
        self.eps = eps

    def _numbers(self) -> tuple[Cell | float, ...]:
        return (self.cell("eps"),)

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "full": self.full, "log_variance": self.log_variance}

    def for_end(self, last: Layer, droppable: bool) -> tuple[Loss, bool]:
        ends = range_of(last)
        if ends is not None and self.log_variance and not ends[0]:
            cure = "use GaussianNLL(log_variance=False)"
            raise wrong_end(self, "logarithms of variances", last, "none below 0, so no variance below 1", cure)
        if ends is not None and not self.log_variance and ends != (False, True):
            raise wrong_end(self, "variances above 0", last, "numbers below 0, too", "use GaussianNLL()")
        return self, False

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        if n_out % 2:
            raise ValueError(
                f"{self} needs a mean and a variance for each target, got {n_out} outputs: end the net with twice as "
                "many outputs as there are targets"
            )
        return super().targets(t, n_out // 2, dtype, name)

    def outcome(self, y: Array, t: Array, weight: Array | None) -> tuple[Array, Array, Array | None]:
        """Return the means."""
        return t, y[:, : y.shape[1] // 2], weight
