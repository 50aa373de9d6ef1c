"""Optimizers that take the gradient as it is, or only its sign: SGD, Lion, Rprop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import kernels
from fastnn.arena import Array
from fastnn.optimizers.contract import Optimizer, State, zeros_like
from fastnn.settings import Cell, Flag, Number

if TYPE_CHECKING:
    from fastnn._core.tape import Tape


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964) and Nesterov's form of it (Sutskever et al. 2013).

    g = gradient + weight_decay * w; velocity = momentum * velocity + (1 - dampening) * g, in the first step g;
    w -= lr * velocity, or with Nesterov's momentum w -= lr * (g + momentum * velocity). These are PyTorch's formulas.

    Parameters
    ----------
    lr, momentum, weight_decay : float
    nesterov : bool
        Needs a momentum.
    dampening : float
        Of gradients in the momentum; not with Nesterov's.
    **options
        Those of `Optimizer`.

    Examples
    --------
    >>> from fastnn import SGD
    >>> optimizer = SGD(0.05, momentum=0.9, nesterov=True)
    """

    remembers_most: ClassVar[dict[str, Any]] = {"momentum": 0.5}
    checked_together = ("momentum", "nesterov", "dampening")
    momentum: Any = Number(below=1.0)
    weight_decay: Any = Number()
    nesterov: Any = Flag()
    dampening: Any = Number(below=1.0)

    def __init__(
        self,
        lr: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(lr, **options)
        self._set_numbers(momentum=momentum, weight_decay=weight_decay, dampening=dampening)
        self.nesterov = nesterov
        if self.nesterov and self._is_zero("momentum"):
            raise ValueError("SGD: nesterov=True needs a momentum above 0, such as 0.9")
        if not self._is_zero("dampening") and (self.nesterov or self._is_zero("momentum")):
            raise ValueError("SGD: dampening needs a momentum above 0, such as 0.9, and nesterov=False")

    @property
    def structure(self) -> tuple[Any, ...]:
        cells = self._cells
        return cells["momentum"][0] != 0, self.nesterov, cells["weight_decay"][0] != 0

    @property
    def plain_lr(self) -> Cell | None:
        is_zero = self._is_zero
        if type(self) is SGD and not self.groups and not self.transforms and is_zero("momentum"):
            return self._cells["lr"] if is_zero("weight_decay") else None
        return None

    def init(self, params: Array) -> State:
        return {**zeros_like(params, "velocity"), "step": np.zeros(1)} if not self._is_zero("momentum") else {}

    def _advance(self, state: State, params: Array, tape: Tape | None) -> None:
        if not self._is_zero("momentum"):
            kernels.of(params.dtype).increment(state["step"], tape)

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        kernels.of(params.dtype).sgd(
            params, grads, state.get("velocity"), self.cell("lr"), self.cell("momentum"), self.cell("weight_decay"),
            self.nesterov, self.cell("dampening"), state.get("step", 0.0), tape,
        )  # fmt: skip


class Lion(Optimizer):
    """Lion, the sign of a momentum (Chen et al. 2023).

    w -= lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * w); m = beta2 * m + (1 - beta2) * g. These are the
    paper's formulas and the defaults of its code. Good rates are a third to a tenth of Adam's, good decays so much
    larger.

    Parameters
    ----------
    lr, beta1, beta2, weight_decay : float
    **options
        Those of `Optimizer`.

    Examples
    --------
    >>> from fastnn import Lion
    >>> optimizer = Lion(1e-4, weight_decay=0.1)
    """

    beta1: Any = Number(below=1.0)
    beta2: Any = Number(below=1.0)
    weight_decay: Any = Number()

    def __init__(
        self,
        lr: float = 1e-4,
        beta1: float = 0.9,
        beta2: float = 0.99,
        weight_decay: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(lr, **options)
        self._set_numbers(beta1=beta1, beta2=beta2, weight_decay=weight_decay)

    def init(self, params: Array) -> State:
        return zeros_like(params, "m")

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        cell = self.cell
        kernels.of(params.dtype).lion(
            params, grads, state["m"], cell("lr"), cell("beta1"), cell("beta2"), cell("weight_decay"), tape
        )


class Rprop(Optimizer):
    """Rprop, a step size for each number that follows the signs of its gradients (Riedmiller & Braun 1993).

    size *= eta_plus where g has the sign that it had in the step before, and eta_minus where it has the other one, and
    then g = 0; w -= lr * size * sign(g). The sizes begin as 1, and lr * size stays from `min_step` to `max_step`. It is
    for steps over all rows, ``fit(..., batch_size=None)``: the signs of batches are noise.

    The formula is PyTorch's while `lr` stays as it is. Here `lr` scales the steps at any time, and there only the
    first.

    Parameters
    ----------
    lr : float
    eta_minus, eta_plus : float
        PyTorch's ``etas``; below and above 1.
    min_step, max_step : float
        PyTorch's ``step_sizes``. A rate of 0 is below any `min_step`: nothing moves.
    **options
        Those of `Optimizer`.

    Examples
    --------
    >>> from fastnn import Rprop
    >>> optimizer = Rprop(0.01, max_step=1.0)
    """

    checked_together = ("min_step", "max_step")
    eta_minus: Any = Number(above=0.0, below=1.0)
    eta_plus: Any = Number(above=1.0)
    min_step: Any = Number()
    max_step: Any = Number(above=0.0)

    def __init__(
        self,
        lr: float = 0.01,
        eta_minus: float = 0.5,
        eta_plus: float = 1.2,
        min_step: float = 1e-6,
        max_step: float = 50.0,
        **options: Any,
    ) -> None:
        super().__init__(lr, **options)
        self._set_numbers(eta_minus=eta_minus, eta_plus=eta_plus, min_step=min_step, max_step=max_step)
        least, most = self.min_step, self.max_step
        if least > most:
            raise ValueError(f"Rprop: min_step is {least:g} and max_step is {most:g}, expected min_step <= max_step")

    def init(self, params: Array) -> State:
        state = zeros_like(params, "previous", "size")
        state["size"][...] = 1
        return state

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        cell = self.cell
        kernels.of(params.dtype).rprop(
            params, grads, state["previous"], state["size"], cell("lr"), cell("eta_minus"), cell("eta_plus"),
            cell("min_step"), cell("max_step"), tape,
        )  # fmt: skip
