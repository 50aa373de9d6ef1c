"""Adam and its kin: a mean of gradients, divided by their size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn import kernels
from fastnn.arena import Array
from fastnn.optimizers.contract import Optimizer, State, zeros_like
from fastnn.optimizers.transforms import blocks_of
from fastnn.settings import Cell, Flag, Number

if TYPE_CHECKING:
    from fastnn._core.tape import Tape


class _Moments(Optimizer):
    """What Adam and its kin have in common: numbers, two moments of gradients, and a count of steps."""

    beta1: Any = Number(below=1.0)
    beta2: Any = Number(below=1.0)
    eps: Any = Number()
    weight_decay: Any = Number()

    def __init__(self, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, **options: Any) -> None:
        super().__init__(lr, **options)
        self._set_numbers(beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)

    def init(self, params: Array) -> State:
        return {**zeros_like(params, "m", "v"), "step": np.zeros(1)}

    def _advance(self, state: State, params: Array, tape: Tape | None) -> None:
        kernels.of(params.dtype).increment(state["step"], tape)


class _Decayed(_Moments):
    """Those that add weight decay to the gradient, or, decoupled, take it from the parameters."""

    decoupled: Any = Flag()

    def __init__(
        self, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool, **options: Any
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, weight_decay, **options)
        self.decoupled = decoupled

    @property
    def structure(self) -> tuple[Any, ...]:
        return (self.decoupled,)


class Adam(_Decayed):
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
    amsgrad : bool
        The largest v so far stands for v (AMSGrad, Reddi et al. 2018).
    eps_hat : bool
        eps / sqrt(1 - beta2^step) stands for eps: it is then what the paper calls eps-hat, which Keras and scikit-learn
        call epsilon. In the first steps it is up to 32 times as large, and weighs more where gradients are tiny.
    **options
        Those of `Optimizer`.

    Examples
    --------
    >>> from fastnn import Adam
    >>> optimizer = Adam(0.001, amsgrad=True)
    """

    remembers_most: ClassVar[dict[str, Any]] = {"amsgrad": True}
    amsgrad: Any = Flag()
    eps_hat: Any = Flag()

    def __init__(
        self,
        lr: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        amsgrad: bool = False,
        eps_hat: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, weight_decay, decoupled, **options)
        self.amsgrad, self.eps_hat = amsgrad, eps_hat

    @property
    def structure(self) -> tuple[Any, ...]:
        return self.decoupled, self.amsgrad, self.eps_hat

    def init(self, params: Array) -> State:
        return {**super().init(params), **(zeros_like(params, "largest") if self.amsgrad else {})}

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        cell = self.cell
        kernels.of(params.dtype).adam(
            params, grads, state["m"], state["v"], cell("lr"), state["step"], cell("beta1"), cell("beta2"),
            cell("eps"), cell("weight_decay"), self.decoupled,
            state["largest"] if self.amsgrad else None, self.eps_hat, tape,
        )  # fmt: skip


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): per step, w *= 1 - lr * weight_decay comes first.

    Parameters
    ----------
    lr, beta1, beta2, eps, weight_decay : float
    decoupled : bool
        False makes it `Adam`.
    amsgrad : bool
        The largest v so far stands for v (AMSGrad, Reddi et al. 2018).
    eps_hat : bool
        As of `Adam`.
    **options
        Those of `Optimizer`; ``decay="weights"`` leaves biases and norms as they are.

    Examples
    --------
    >>> from fastnn import AdamW
    >>> optimizer = AdamW(0.001, weight_decay=0.05, decay="weights")
    """

    def __init__(
        self,
        lr: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        decoupled: bool = True,
        amsgrad: bool = False,
        eps_hat: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, eps_hat, **options)


class NAdam(_Decayed):
    """NAdam, Adam with Nesterov's momentum (Dozat 2016): PyTorch's formulas.

    m and v as in `Adam`. mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2) in step t; with the product of all mu up to
    mu_t, w -= lr * (g * (1 - mu_t) / (1 - product) + m * mu_(t+1) / (1 - product * mu_(t+1))) /
    (sqrt(v / (1 - beta2^t)) + eps).

    Parameters
    ----------
    lr, beta1, beta2, eps, weight_decay, momentum_decay : float
    decoupled : bool
        Weight decay as in `AdamW`, not as in `Adam`.
    **options
        Those of `Optimizer`.

    Examples
    --------
    >>> from fastnn import NAdam
    >>> optimizer = NAdam(0.002, weight_decay=0.01, decoupled=True)
    """

    momentum_decay: Any = Number()

    def __init__(
        self,
        lr: float = 0.002,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 0.004,
        decoupled: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, weight_decay, decoupled, **options)
        self._set_numbers(momentum_decay=momentum_decay)

    def init(self, params: Array) -> State:
        return {**super().init(params), "product": np.ones(1)}

    def _advance(self, state: State, params: Array, tape: Tape | None) -> None:
        super()._advance(state, params, tape)
        kernels.of(params.dtype).nadam_product(
            state["product"], state["step"], self.cell("beta1"), self.cell("momentum_decay"), tape
        )

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        cell = self.cell
        kernels.of(params.dtype).nadam(
            params, grads, state["m"], state["v"], cell("lr"), state["step"], state["product"], cell("beta1"),
            cell("beta2"), cell("eps"), cell("weight_decay"), cell("momentum_decay"), self.decoupled, tape,
        )  # fmt: skip


class RAdam(_Decayed):
    """RAdam, Adam that begins as momentum until v can be relied upon (Liu et al. 2020): PyTorch's formulas.

    m and v as in `Adam`; all = 2 / (1 - beta2) - 1, and now = all - 2 * t * beta2^t / (1 - beta2^t) in step t. Where
    now is above 5, w -= lr * r * m / (1 - beta1^t) * sqrt(1 - beta2^t) / (sqrt(v) + eps), with r^2 = (now - 4) *
    (now - 2) * all / ((all - 4) * (all - 2) * now); before, w -= lr * m / (1 - beta1^t).

    Parameters
    ----------
    lr, beta1, beta2, eps, weight_decay : float
    decoupled : bool
        Weight decay as in `AdamW`, not as in `Adam`.
    **options
        Those of `Optimizer`.

    Examples
    --------
    >>> from fastnn import RAdam
    >>> optimizer = RAdam(0.001)
    """

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
        super().__init__(lr, beta1, beta2, eps, weight_decay, decoupled, **options)

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        cell = self.cell
        kernels.of(params.dtype).radam(
            params, grads, state["m"], state["v"], cell("lr"), state["step"], cell("beta1"), cell("beta2"),
            cell("eps"), cell("weight_decay"), self.decoupled, tape,
        )  # fmt: skip


class Adamax(_Moments):
    """Adamax, Adam with the largest gradient for the mean of squares (Kingma & Ba 2015): PyTorch's formulas.

    g = gradient + weight_decay * w; m = beta1 * m + (1 - beta1) * g; u = max(beta2 * u, |g| + eps);
    w -= lr / (1 - beta1^step) * m / u. Keras adds eps to u at the end, and has the rate 0.001.

    Parameters
    ----------
    lr, beta1, beta2, eps, weight_decay : float
    **options
        Those of `Optimizer`.

    Examples
    --------
    >>> from fastnn import Adamax
    >>> optimizer = Adamax(0.002)
    """

    def __init__(
        self,
        lr: float = 0.002,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, weight_decay, **options)

    def init(self, params: Array) -> State:
        return {**zeros_like(params, "m", "u"), "step": np.zeros(1)}

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        cell = self.cell
        kernels.of(params.dtype).adamax(
            params, grads, state["m"], state["u"], cell("lr"), state["step"], cell("beta1"), cell("beta2"),
            cell("eps"), cell("weight_decay"), tape,
        )  # fmt: skip


class ScheduleFreeAdamW(_Moments):
    """AdamW that needs no schedule: predictions are of an average x of its steps z (Defazio et al. 2024).

    v as in `Adam`; z -= lr * (g / (sqrt(v / (1 - beta2^step)) + eps) + weight_decay * w); x += c * (z - x);
    w = beta1 * x + (1 - beta1) * z: gradients are taken between the two. Each step counts in x as the largest rate so
    far, squared, so that c = lr_max^2 / (the sum of all lr_max^2): the steps of a warm-up, a schedule of `lr`, count
    little. These are the formulas of ``schedulefree.AdamWScheduleFree`` (1.4), where ``optimizer.eval()`` brings x into
    the parameters; here predictions read x, and ``net.use_averages()`` brings it there.

    As for `SWA`, `fit` computes the statistics of `BatchNorm` anew for x. What others do to the parameters between two
    steps (constraints, another optimizer) moves x and z by as much.

    Parameters
    ----------
    lr, beta1, beta2, eps, weight_decay : float
        beta1 is where w lies between z and x.
    **options
        Those of `Optimizer`, but for `average`.

    Examples
    --------
    >>> from fastnn import ScheduleFreeAdamW
    >>> optimizer = ScheduleFreeAdamW(0.01, weight_decay=0.01, decay="weights")
    """

    _averaged = "x"
    _positions = ("x", "z")
    averages = True
    refreshes = True

    def __init__(
        self,
        lr: float = 0.0025,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, weight_decay, **options)

    def init(self, params: Array) -> State:
        made = zeros_like(params, "z", "x", "v")
        made["z"][...] = made["x"][...] = params
        return {**made, **{name: np.zeros(1) for name in ("step", "largest", "total", "part", "before", "now")}}

    def begin_average(self, state: State, params: Array, running: Sequence[Array]) -> None:
        super().begin_average(state, params, running)
        state["total"][...] = 0

    def _average_rate(self, own: State, state: State, params: Array, tape: Tape) -> Cell:
        return state["part"]

    def _advance(self, state: State, params: Array, tape: Tape | None) -> None:
        super()._advance(state, params, tape)
        lr = (self._of_all or self._cells)["lr"]  # the same for all groups, whose own are in proportion
        kernels.of(params.dtype).schedule_free_part(
            state["largest"], state["total"], state["part"], state["before"], state["now"], lr, self.cell("beta1"), tape
        )

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        cell = self.cell
        kernels.of(params.dtype).schedule_free_adamw(
            params, grads, state["z"], state["x"], state["v"], cell("lr"), state["step"], state["part"],
            state["before"], cell("beta1"), cell("beta2"), cell("eps"), cell("weight_decay"), tape,
        )  # fmt: skip


class LAMB(_Moments):
    """LAMB, Adam whose steps are as long as the array of parameters that they change is large (You et al. 2020).

    m and v as in `Adam`; u = m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps) + weight_decay * w;
    w -= lr * |w| / |u| * u for each array of parameters, with norms over all of it, or w -= lr * u where one is 0: the
    formulas of the paper and of optax.

    Parameters
    ----------
    lr, beta1, beta2, eps, weight_decay : float
    **options
        Those of `Optimizer`.

    Examples
    --------
    >>> from fastnn import LAMB
    >>> optimizer = LAMB(0.01, weight_decay=0.01, decay="weights")
    """

    _by_array = True

    def __init__(
        self,
        lr: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(lr, beta1, beta2, eps, weight_decay, **options)

    def _step(self, params: Array, grads: Array, state: State, tape: Tape | None) -> None:
        cell, k = self.cell, kernels.of(params.dtype)
        u, rate, n = np.empty_like(params), np.zeros(1), blocks_of(params)
        squares = np.zeros((2, n))
        k.lamb(
            params, grads, state["m"], state["v"], u, squares, state["step"],
            cell("beta1"), cell("beta2"), cell("eps"), cell("weight_decay"), tape,
        )  # fmt: skip
        k.trust_rate(squares, cell("lr"), rate, tape)
        k.sgd(params, u, None, rate, tape=tape)
