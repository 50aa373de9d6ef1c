"""Optimizers: what one step does to parameters, each one kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels
from fastnn.arena import Array
from fastnn.optimizers.contract import Optimizer, State, zeros_like
from fastnn.settings import Cell, Flag, Number

if TYPE_CHECKING:
    from fastnn._core.tape import Tape


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964) and Nesterov's form of it (Sutskever et al. 2013).

    g = gradient + weight_decay * w; velocity = momentum * velocity + g; w -= lr * velocity, or with Nesterov's
    momentum w -= lr * (g + momentum * velocity). These are PyTorch's formulas.

    Parameters
    ----------
    lr, momentum, weight_decay : float
    nesterov : bool
        Needs a momentum.
    **options
        Those of `Optimizer`.
    """

    momentum: Any = Number(below=1.0)
    weight_decay: Any = Number()
    nesterov: Any = Flag()

    def __init__(
        self,
        lr: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(lr, **options)
        self._set_numbers(momentum=momentum, weight_decay=weight_decay)
        self.nesterov = nesterov
        if self.nesterov and not self.momentum:
            raise ValueError("SGD: nesterov=True needs a momentum above 0, such as 0.9")

    @property
    def structure(self) -> tuple[Any, ...]:
        cells = self._cells
        return cells["momentum"][0] != 0, self.nesterov, cells["weight_decay"][0] != 0

    @property
    def plain_lr(self) -> Cell | None:
        cells = self._cells
        if type(self) is not SGD or self.groups or self.transforms or cells["momentum"][0] or cells["weight_decay"][0]:
            return None
        return cells["lr"]

    def init(self, params: Array) -> State:
        return zeros_like(params, "velocity") if self.momentum else {}

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        kernels.of(params.dtype).sgd(
            params, grads, state.get("velocity"), self.cell("lr"), self.cell("momentum"), self.cell("weight_decay"),
            self.nesterov, tape,
        )  # fmt: skip


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
    """

    alpha: Any = Number(below=1.0)
    eps: Any = Number()
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
        names = ["square", *(["mean"] if self.centered else []), *(["velocity"] if self.momentum else [])]
        return zeros_like(params, *names)

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        cell = self.cell
        kernels.of(params.dtype).rmsprop(
            params, grads, state["square"], state.get("mean"), state.get("velocity"), cell("lr"), cell("alpha"),
            cell("eps"), cell("momentum"), cell("weight_decay"), self.centered, tape,
        )  # fmt: skip


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015).

    m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
    w -= lr * (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps).

    Parameters
    ----------
    lr, beta1, beta2, eps : float
    weight_decay : float
        weight_decay * w is added to the gradient, as in PyTorch's Adam.
    decoupled : bool
        w is first made smaller by lr * weight_decay * w instead: that is `AdamW`.
    **options
        Those of `Optimizer`.
    """

    beta1: Any = Number(below=1.0)
    beta2: Any = Number(below=1.0)
    eps: Any = Number()
    weight_decay: Any = Number()
    decoupled: Any = Flag()

    def __init__(
        self,
        lr: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(lr, **options)
        self._set_numbers(beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)
        self.decoupled = decoupled

    @property
    def structure(self) -> tuple[Any, ...]:
        return (self.decoupled,)

    def init(self, params: Array) -> State:
        return {**zeros_like(params, "m", "v"), "step": np.zeros(1)}

    def _advance(self, state: State, params: Array, tape: Tape | None) -> None:
        kernels.of(params.dtype).increment(state["step"], tape)

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        cell = self.cell
        kernels.of(params.dtype).adam(
            params, grads, state["m"], state["v"], cell("lr"), state["step"], cell("beta1"), cell("beta2"),
            cell("eps"), cell("weight_decay"), self.decoupled, tape,
        )  # fmt: skip


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): per step, w *= 1 - lr * weight_decay comes first.

    Parameters
    ----------
    lr, beta1, beta2, eps, weight_decay : float
    decoupled : bool
        False makes it `Adam`.
    **options
        Those of `Optimizer`; ``decay="weights"`` leaves biases and norms as they are.
    """

    def __init__(
        self,
        lr: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        decoupled: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, weight_decay, decoupled, **options)
