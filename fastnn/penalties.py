"""Penalties: what is added to a loss for the size of parameters, or of what a layer puts out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels
from fastnn.arena import Array
from fastnn.arrays import as_array, read_only, require_real
from fastnn.checks import logged, shown
from fastnn.layers import Code, Layer
from fastnn.layers.selection import Selection
from fastnn.settings import Cell, Number, explain_numpy, forms_of, instead_of, made

if TYPE_CHECKING:
    from fastnn._core.tape import Tape
    from fastnn.layers.passes import Run

_PART = 4096  # numbers whose sizes are summed in one go: sums are the same for any number of threads
_NONE = np.zeros(1)


class Penalty(Selection):
    """What a model adds to its loss for the size of some of its parameters: one of its `penalties`.

    It is part of the loss that `fit` makes small, and of the numbers of the history, of `evaluate` and of validation,
    as in Keras. Its gradient is added behind backward, before gradients are clipped. Frozen parameters have none.

    One of your own is a subclass with ``value_and_grad(self, w)``, in NumPy, which returns its value for one array of
    parameters, and the gradient, an array of the shape of w.

    Parameters
    ----------
    which : str or Layer
        A kind of parameters ("weights", "biases" or "norms"), a pattern for names such as "0.w" or "2.*", or a layer:
        all that is in it.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model, Penalty
    >>> class Smooth(Penalty):  # of weights of neighbouring inputs
    ...     def value_and_grad(self, w):
    ...         step = np.diff(w, axis=0)
    ...         return 0.1 * np.sum(step**2), 0.2 * np.diff(step, axis=0, prepend=0, append=0) * -1
    >>> net = Model([Dense(4, "tanh"), Dense(1)], penalties=[Smooth("0.w")])
    """

    @property
    def is_numpy(self) -> bool:
        """Whether its code is NumPy."""
        form = forms_of(type(self), Penalty, "value_and_grad", "_measure")
        if form.cls is None:
            raise _no_value(type(self))
        return form.is_numpy

    def value_and_grad(self, w: Any) -> tuple[float, Array]:
        """Return the value for one array of parameters, and its gradient: the kernel, run now."""
        array = np.ascontiguousarray(as_array(w, f"{type(self).__name__}: w"))
        if array.dtype not in (np.float32, np.float64):
            array = array.astype(np.float64)
        dw, sums = np.zeros_like(array), sums_for(array)
        self._measure(array.reshape(-1), dw.reshape(-1), sums, 1.0, None)
        return float(sums.sum()), dw

    def _measure(self, w: Array, dw: Array | None, sums: Array, scale: float, tape: Tape | None) -> None:
        raise _no_value(type(self))

    def measure(self, w: Array, dw: Array | None, sums: Array, scale: float, tape: Tape | None) -> None:
        """Write sums that together are scale times the value, and add the gradient to dw; or record that."""
        if not self.is_numpy:
            self._measure(w.reshape(-1), None if dw is None else dw.reshape(-1), sums, scale, tape)
        elif tape is None:
            self._in_numpy(w, dw, sums, scale)
        else:
            tape.call(lambda: self._in_numpy(w, dw, sums, scale))

    def _in_numpy(self, w: Array, dw: Array | None, sums: Array, scale: float) -> None:
        try:
            returned = self.value_and_grad(read_only(w))
        except ValueError as error:
            explain_numpy(self, "value_and_grad", error)
            raise
        is_pair = isinstance(returned, (tuple, list)) and len(returned) == 2
        value = logged(returned[0]) if is_pair else None
        if value is None or np.shape(returned[1]) != w.shape:
            raise ValueError(
                f"{self}: value_and_grad returned {shown(returned)}, expected a number and its gradient, of shape "
                f"{w.shape}"
            )
        sums[...] = 0
        sums[0] = scale * value
        if dw is not None:
            gradient = np.asarray(returned[1])
            require_real(gradient, f"{self}: the gradient has")
            dw += np.multiply(scale, gradient, dtype=dw.dtype)


def _no_value(kind: type) -> TypeError:
    instead = instead_of("value_and_grad", kind, Penalty, ("__call__", "call", "value", "penalty"))
    return TypeError(
        f"{kind.__name__} has no value: define value_and_grad(self, w), which returns it and its gradient{instead}"
    )


def sums_for(w: Array) -> Array:
    """Return memory for the sums of an array: for as many parts as it has."""
    return np.empty(max(1, -(-w.size // _PART)))


class _OfSizes(Penalty):
    """l1 * Σ |w| + l2 * Σ w²."""

    def _measure(self, w: Array, dw: Array | None, sums: Array, scale: float, tape: Tape | None) -> None:
        cells: dict[str, Cell] = self._cells
        k = kernels.of(w.dtype)
        k.penalty(w, dw, sums, cells.get("l1", _NONE), cells.get("l2", _NONE), scale, tape)


class L1(_OfSizes):
    """l1 * Σ |w|, whose gradient is l1 * sign(w), 0 at 0 (Tibshirani 1996): many parameters come near to 0.

    Parameters
    ----------
    l1 : float
        At least 0.
    which : str or Layer
        As of `Penalty`.

    Examples
    --------
    >>> from fastnn import L1, Dense, Model
    >>> net = Model([Dense(16, "relu"), Dense(1)], penalties=[L1(1e-4, "0.w")])
    """

    l1: Any = Number()

    def __init__(self, l1: float = 0.01, which: str | Layer = "weights") -> None:
        super().__init__(which)
        self.l1 = l1


class L2(_OfSizes):
    """l2 * Σ w², whose gradient is 2 * l2 * w (Hoerl & Kennard 1970).

    The factor is Keras's. PyTorch's ``weight_decay``, as that of `SGD` here, is 2 * l2, and is no part of the loss;
    scikit-learn's ``alpha`` for n rows is 2 * n * l2. With `Adam` a penalty is divided by the size of gradients, as all
    of the loss is: `AdamW` decays weights beside it.

    Parameters
    ----------
    l2 : float
        At least 0.
    which : str or Layer
        As of `Penalty`.

    Examples
    --------
    >>> from fastnn import L2, Dense, Model
    >>> net = Model([Dense(16, "relu"), Dense(1)], penalties=[L2(1e-4)])
    >>> L2(0.5).value_and_grad([3.0, -4.0])
    (12.5, array([ 3., -4.]))
    """

    l2: Any = Number()

    def __init__(self, l2: float = 0.01, which: str | Layer = "weights") -> None:
        super().__init__(which)
        self.l2 = l2


class ElasticNet(_OfSizes):
    """l1 * Σ |w| + l2 * Σ w² (Zou & Hastie 2005): Keras's ``L1L2``, `L1` and `L2` in one.

    Parameters
    ----------
    l1, l2 : float
        At least 0.
    which : str or Layer
        As of `Penalty`.

    Examples
    --------
    >>> from fastnn import Dense, ElasticNet, Model
    >>> net = Model([Dense(16, "relu"), Dense(1)], penalties=[ElasticNet(1e-5, 1e-4, "weights")])
    """

    l1: Any = Number()
    l2: Any = Number()

    def __init__(self, l1: float = 0.01, l2: float = 0.01, which: str | Layer = "weights") -> None:
        super().__init__(which)
        self._set_numbers(l1=l1, l2=l2)


class Penalize(Layer):
    """y = x, and a penalty on x is part of the loss: its sum over a batch, divided by the number of rows.

    It is Keras's ``activity_regularizer`` and ``ActivityRegularization``. A prediction is computed without it, and so
    are the losses of `evaluate` and of validation data: it is part of the loss that is trained alone.

    Parameters
    ----------
    penalty : Penalty or str

    Examples
    --------
    >>> from fastnn import L1, Dense, Model, Penalize
    >>> net = Model([Dense(16, "relu"), Penalize(L1(1e-3)), Dense(1)])  # few of the 16 are far from 0
    """

    code = Code(saved=("y",), in_place=True)
    adds = "sums"

    def __init__(self, penalty: Penalty | str) -> None:
        self.penalty = get(penalty)
        if self.penalty.which != "weights":
            raise ValueError(
                f"Penalize: {self.penalty!r} is for {self.penalty.which!r}, but here it is for what comes in: leave it "
                "out"
            )
        super().__init__()

    def build(self, n_in: int) -> int:
        self.scratch("sums", ("rows",), dtype="float64")
        return n_in

    def _held(self) -> Iterable[Any]:
        return (self.penalty,)

    def for_prediction(self) -> None:
        return None

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        if y is not x:
            self.kernels.identity_forward(x, y, run.tape)
        self.penalty.measure(y, None, run.scratch["sums"], 1 / run.rows, run.tape)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        if dx is None:
            return
        if dx is not dy:
            self.kernels.identity_forward(dy, dx, run.tape)
        self.penalty.measure(y, dx, run.scratch["sums"], 1 / run.rows, run.tape)


_BY_NAME: dict[str, Callable[[], Penalty]] = {
    "l1": L1,
    "l2": L2,
    "elastic_net": ElasticNet,
    "l1_l2": ElasticNet,
}


def get(penalty: str | Penalty) -> Penalty:
    """Return a new penalty of that name, or the penalty itself."""
    found: Penalty = made("penalty", penalty, Penalty, _BY_NAME)
    return found
