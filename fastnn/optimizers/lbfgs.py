"""L-BFGS: whole fits by SciPy's routine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastnn.arena import Array
from fastnn.checks import count
from fastnn.optimizers.contract import Optimizer, State
from fastnn.settings import Number

if TYPE_CHECKING:
    from fastnn._core.tape import Tape

_MEANINGLESS = {
    "lr", "groups", "decay", "clip_value", "clip_layer_norm", "clip_norm", "accumulate", "transforms", "average",
}  # fmt: skip
_MOST_HISTORY = 1000  # SciPy takes memory for its square


class LBFGS(Optimizer):
    """L-BFGS, a quasi-Newton method for all rows at once (Liu & Nocedal 1989): a step goes along -H * g.

    H is an approximation of the inverse of the Hessian by the last changes of parameters and of gradients, and a line
    search finds how far to go, until the strong Wolfe conditions hold (Moré & Thuente 1994). Both are those of
    ``scipy.optimize.minimize(method="L-BFGS-B")`` (Zhu, Byrd, Lu & Nocedal 1997), in double, with the loss and its
    gradient from one replay of a recording. ``solver="lbfgs"`` of scikit-learn is the same routine. PyTorch's ``LBFGS``
    with ``line_search_fn="strong_wolfe"`` has another line search and another first step: the path differs from here,
    where both end is the same kind of point.

    It trains in `fit` alone, which needs SciPy. An epoch is an iteration, in which the data are gone over once or some
    times; each fit begins anew. For small nets and data, and where rows are few for the digits that are wanted. Layers
    that change what the loss is from batch to batch, such as `Dropout`, are refused.

    Parameters
    ----------
    max_iter : int
        How many iterations a fit has at most, where its `epochs` is None.
    history_size : int
        How many changes are remembered: from 3 to 20 as a rule, at most 1,000.
    tolerance_grad : float
        It ends where no number of the gradient is larger.
    tolerance_change : float
        It ends where an iteration makes the loss smaller by less, as a part of it. (PyTorch's is no part.)

    Raises
    ------
    ImportError
        From `fit`, without SciPy: ``pip install 'fastnn-numpy[scipy]'``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import LBFGS, Dense, Model
    >>> x = np.linspace(-1, 1, 50)[:, None]
    >>> net = Model([Dense(8, "tanh"), Dense(1)], seed=0, dtype="float64")
    >>> history = net.fit(x, x**2, "mse", LBFGS(), epochs=100)
    >>> history.loss[-1] < 1e-4
    True
    """

    tolerance_grad: Any = Number(moves=False)
    tolerance_change: Any = Number(moves=False)
    takes_fits = True

    def __init__(
        self,
        max_iter: int = 1000,
        history_size: int = 10,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
    ) -> None:
        self.max_iter, self.history_size = max_iter, history_size
        self._set_numbers(tolerance_grad=tolerance_grad, tolerance_change=tolerance_change)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _MEANINGLESS:
            why = "a line search finds how far to go" if name == "lr" else "SciPy takes loss and gradient as they are"
            raise AttributeError(f"{type(self).__name__}: {name} cannot be set: {why}")
        if name in ("max_iter", "history_size"):
            most = {"most": _MOST_HISTORY} if name == "history_size" else {}
            value = count(f"{type(self).__name__}: {name}", value, **most)
        super().__setattr__(name, value)

    @property
    def lr(self) -> float:
        raise AttributeError(f"{type(self).__name__} has no lr: a line search finds how far to go")

    @property
    def structure(self) -> tuple[Any, ...]:
        return (self.history_size,)

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        raise self.only_fits()

    def only_fits(self) -> TypeError:
        """Return the error for steps one by one."""
        return TypeError(
            f"{type(self).__name__} trains in net.fit(...) alone, with all rows at once: for train_batch and steps by "
            "hand take another optimizer, such as Adam"
        )

    def minimizer(self) -> Callable[..., Any]:
        """Return SciPy's ``minimize``."""
        try:
            from scipy.optimize import minimize
        except ImportError:
            raise ImportError(
                f"{type(self).__name__} needs SciPy: pip install 'fastnn-numpy[scipy]'; Adam needs nothing"
            ) from None
        return minimize  # type: ignore[no-any-return]
