"""Optimizers: one kernel over the flat array of all parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels
from fastnn.arena import Arena, Array
from fastnn.names import lookup, number

if TYPE_CHECKING:
    from fastnn._core.tape import Tape

State = dict[str, Array]


class Optimizer:
    """How parameters follow from gradients.

    An optimizer of your own is a subclass with ``update(self, params, grads)``, which changes the flat array `params`
    in place; ``self.lr`` is the learning rate.

    Parameters
    ----------
    lr : float
        The learning rate. It may be set at any time, also by a callback during ``fit``.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Optimizer
    >>> class SignSGD(Optimizer):
    ...     def update(self, params, grads):
    ...         params -= self.lr * np.sign(grads)
    """

    constants: ClassVar[tuple[str, ...]] = ()  # the attributes that a recording fixes: a change records anew

    def __init__(self, lr: float = 0.01) -> None:
        self._lr: NDArray[np.float64] = np.empty(1)
        self.lr = lr

    @property
    def lr(self) -> float:
        """The learning rate."""
        return float(self._lr[0])

    @lr.setter
    def lr(self, lr: float) -> None:
        self._lr[0] = number(f"{type(self).__name__}: lr", lr)

    def update(self, params: Array, grads: Array) -> None:
        """Change `params` in place."""
        raise TypeError(f"{type(self).__name__} has no update: define update(self, params, grads)")

    @property
    def plain_lr(self) -> NDArray[np.float64] | None:
        """The cell of the learning rate where a step is params -= lr * grads and nothing else, else None."""
        return None

    def state(self, params: Array) -> State:
        """Return what the optimizer remembers between steps, for a model with these parameters."""
        return {}

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        if tape is not None:
            tape.call(lambda: self.update(params, grads))
        else:
            self.update(params, grads)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(lr={self.lr:g})"


def _zeros_like(params: Array, *names: str) -> dict[str, Any]:
    arena = Arena([params.shape] * len(names), params.dtype, padded=True)
    return dict(zip(names, arena.views, strict=True))


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak 1964) and Nesterov's form of it (Sutskever et al. 2013).

    g = gradient + weight_decay * w; velocity = momentum * velocity + g; w -= lr * velocity, or with Nesterov's
    momentum w -= lr * (g + momentum * velocity). These are PyTorch's formulas.

    Parameters
    ----------
    lr, momentum, weight_decay : float
    nesterov : bool
        Needs a momentum.
    """

    constants = ("momentum", "nesterov", "weight_decay")

    def __init__(
        self, lr: float = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        super().__init__(lr)
        self.momentum = number(f"{type(self).__name__}: momentum", momentum, below=1.0)
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError("SGD: nesterov=True needs a momentum above 0, such as 0.9")
        self.weight_decay = number(f"{type(self).__name__}: weight_decay", weight_decay)

    @property
    def plain_lr(self) -> NDArray[np.float64] | None:
        return self._lr if type(self) is SGD and not self.momentum and not self.weight_decay else None

    def state(self, params: Array) -> State:
        return _zeros_like(params, "velocity") if self.momentum else {}

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        kernels.of(params.dtype).sgd(
            params, grads, state.get("velocity"), self._lr, self.momentum, self.weight_decay, self.nesterov, tape
        )


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
    """

    constants = ("alpha", "eps", "momentum", "weight_decay", "centered")

    def __init__(
        self,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(lr)
        self.alpha = number(f"{type(self).__name__}: alpha", alpha, below=1.0)
        self.eps = number(f"{type(self).__name__}: eps", eps)
        self.momentum = number(f"{type(self).__name__}: momentum", momentum, below=1.0)
        self.weight_decay = number(f"{type(self).__name__}: weight_decay", weight_decay)
        self.centered = bool(centered)

    def state(self, params: Array) -> State:
        names = ["square", *(["mean"] if self.centered else []), *(["velocity"] if self.momentum else [])]
        return _zeros_like(params, *names)

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        kernels.of(params.dtype).rmsprop(
            params, grads, state["square"], state.get("mean"), state.get("velocity"), self._lr, self.alpha, self.eps,
            self.momentum, self.weight_decay, self.centered, tape,
        )  # fmt: skip


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015) with decoupled weight decay (Loshchilov & Hutter 2019, "AdamW").

    m = beta1 * m + (1 - beta1) * g; v = beta2 * v + (1 - beta2) * g^2;
    w -= lr * (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps).

    Parameters
    ----------
    lr, beta1, beta2, eps : float
    weight_decay : float
        Per step, w is first made smaller by lr * weight_decay * w.
    decoupled : bool
        False adds weight_decay * w to the gradient instead, as Adam did before 2019.
    """

    constants = ("beta1", "beta2", "eps", "weight_decay", "decoupled")

    def __init__(
        self,
        lr: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = True,
    ) -> None:
        super().__init__(lr)
        self.beta1 = number(f"{type(self).__name__}: beta1", beta1, below=1.0)
        self.beta2 = number(f"{type(self).__name__}: beta2", beta2, below=1.0)
        self.eps = number(f"{type(self).__name__}: eps", eps)
        self.weight_decay = number(f"{type(self).__name__}: weight_decay", weight_decay)
        self.decoupled = bool(decoupled)

    def state(self, params: Array) -> State:
        return {**_zeros_like(params, "m", "v"), "step": np.zeros(1)}

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        k = kernels.of(params.dtype)
        k.increment(state["step"], tape)
        k.adam(
            params, grads, state["m"], state["v"], self._lr, state["step"], self.beta1, self.beta2, self.eps,
            self.weight_decay, self.decoupled, tape,
        )  # fmt: skip


_BY_NAME: dict[str, type[Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": Adam}


def get(optimizer: str | Optimizer) -> Optimizer:
    """Return a new optimizer of that name, or the optimizer itself.

    Raises
    ------
    ValueError
        For an unknown name, with the near ones.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
        return optimizer()
    return lookup("optimizer", optimizer, _BY_NAME)()
