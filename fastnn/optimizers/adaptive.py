"""Optimizers that divide by the size of gradients: RMSprop, Adagrad, Adadelta."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import kernels
from fastnn.arena import Array
from fastnn.checks import number
from fastnn.optimizers.contract import Optimizer, State, zeros_like
from fastnn.settings import Flag, Number

if TYPE_CHECKING:
    from fastnn._core.tape import Tape


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012), with momentum, and centered (Graves 2013): PyTorch's formulas.

    g = gradient + weight_decay * w; square = alpha * square + (1 - alpha) * g^2; g /= sqrt(square) + eps; with
    momentum, velocity = momentum * velocity + g stands for g; w -= lr * g. Centered, mean = alpha * mean +
    (1 - alpha) * g, and square - mean^2, an estimate of the variance, stands for the square (0 where rounding makes it
    less).

    Parameters
    ----------
    lr, alpha, eps, momentum, weight_decay : float
    centered : bool
    **options
        Those of `Optimizer`.

    Examples
    --------
    >>> from fastnn import RMSprop
    >>> optimizer = RMSprop(0.001, momentum=0.9)
    """

    alpha: Any = Number(below=1.0)
    eps: Any = Number()
    remembers_most: ClassVar[dict[str, Any]] = {"momentum": 0.5, "centered": True}
    momentum: Any = Number(below=1.0)
    weight_decay: Any = Number()
    centered: Any = Flag()

    def __init__(
        self,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        centered: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(lr, **options)
        self._set_numbers(alpha=alpha, eps=eps, momentum=momentum, weight_decay=weight_decay)
        self.centered = centered

    @property
    def structure(self) -> tuple[Any, ...]:
        return self._cells["momentum"][0] != 0, self.centered

    def init(self, params: Array) -> State:
        names = ["square", *(["mean"] if self.centered else []), *([] if self._is_zero("momentum") else ["velocity"])]
        return zeros_like(params, *names)

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        cell = self.cell
        kernels.of(params.dtype).rmsprop(
            params, grads, state["square"], state.get("mean"), state.get("velocity"), cell("lr"), cell("alpha"),
            cell("eps"), cell("momentum"), cell("weight_decay"), self.centered, tape,
        )  # fmt: skip


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer 2011): PyTorch's formulas.

    g = gradient + weight_decay * w; square += g^2; w -= lr / (1 + (step - 1) * lr_decay) * g / (sqrt(square) + eps).

    Parameters
    ----------
    lr, lr_decay, weight_decay : float
    initial_accumulator_value : float
        Where the squares begin; it is fixed.
    eps : float
    **options
        Those of `Optimizer`.

    Examples
    --------
    >>> from fastnn import Adagrad
    >>> optimizer = Adagrad(0.05, initial_accumulator_value=0.1)
    """

    lr_decay: Any = Number()
    weight_decay: Any = Number()
    eps: Any = Number()

    def __init__(
        self,
        lr: float = 0.01,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        **options: Any,
    ) -> None:
        super().__init__(lr, **options)
        self._set_numbers(lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)
        self._begin = number("Adagrad: initial_accumulator_value", initial_accumulator_value)

    @property
    def initial_accumulator_value(self) -> float:
        """Where the squares begin."""
        return self._begin

    @initial_accumulator_value.setter
    def initial_accumulator_value(self, value: object) -> None:
        raise AttributeError(
            f"Adagrad: initial_accumulator_value is fixed, because squares may have begun with {self._begin:g}: make "
            f"another one, Adagrad(initial_accumulator_value={value!r})"
        )

    def init(self, params: Array) -> State:
        state = zeros_like(params, "square")
        with np.errstate(over="ignore"):  # inf in float32: no step changes anything, as with what is that large
            state["square"][...] = self._begin
        return {**state, "step": np.zeros(1)}

    def _advance(self, state: State, params: Array, tape: Tape | None) -> None:
        kernels.of(params.dtype).increment(state["step"], tape)

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        cell = self.cell
        kernels.of(params.dtype).adagrad(
            params, grads, state["square"], cell("lr"), state["step"], cell("lr_decay"), cell("weight_decay"),
            cell("eps"), tape,
        )  # fmt: skip


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012): PyTorch's formulas.

    g = gradient + weight_decay * w; square = rho * square + (1 - rho) * g^2; d = sqrt(change + eps) / sqrt(square +
    eps) * g; change = rho * change + (1 - rho) * d^2; w -= lr * d. The rate of the paper is 1, the default here and in
    PyTorch; that of Keras is 0.001.

    Parameters
    ----------
    lr, rho, eps, weight_decay : float
    **options
        Those of `Optimizer`.

    Examples
    --------
    >>> from fastnn import Adadelta
    >>> optimizer = Adadelta(rho=0.95)
    """

    rho: Any = Number(below=1.0)
    eps: Any = Number()
    weight_decay: Any = Number()

    def __init__(
        self, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0, **options: Any
    ) -> None:
        super().__init__(lr, **options)
        self._set_numbers(rho=rho, eps=eps, weight_decay=weight_decay)

    def init(self, params: Array) -> State:
        return zeros_like(params, "square", "change")

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        cell = self.cell
        kernels.of(params.dtype).adadelta(
            params, grads, state["square"], state["change"], cell("lr"), cell("rho"), cell("eps"),
            cell("weight_decay"), tape,
        )  # fmt: skip
