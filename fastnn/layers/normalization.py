"""Normalization: of columns over a batch, and of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.arena import Array
from fastnn.checks import flag, shown
from fastnn.layers.contract import Layer
from fastnn.layers.declarations import Code
from fastnn.layers.passes import Run
from fastnn.settings import Number
from fastnn.words import LEARNT

if TYPE_CHECKING:
    from fastnn.formats.graph import Graph, Value


class _OfNorm(Number):
    """A number that comes first: a whole one, or several, would be the number of inputs, which PyTorch is given."""

    def __set__(self, part: Any, value: object) -> None:
        is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if isinstance(value, (tuple, list)) or (is_whole and value >= 1):  # type: ignore[operator]
            raise ValueError(
                f"{type(part).__name__}: {self._name} is {shown(value)}, expected a finite number as a float: {LEARNT}"
            )
        super().__set__(part, value)


class BatchNorm(Layer):
    """y = (x - mean) / sqrt(variance + eps) * scale + shift, with mean and variance of each column over the batch.

    A prediction takes running averages of them instead (Ioffe & Szegedy 2015): behind a `Dense` they are a factor and
    an offset of each column, in the same kernel. After each batch of a training, mean += momentum * (that of the batch
    - mean), and likewise the variance, of which the unbiased one is taken, as PyTorch does.

    Parameters
    ----------
    momentum : float
        How much the last batch counts: 0.1 as in PyTorch, which is 0.9 in Keras.
    eps : float
    trainable : bool
        As of every layer: False freezes its parameters.

    Attributes
    ----------
    scale, shift : ndarray of shape (n_in,)
        Trained; an optimizer's groups call them "norms".
    mean, variance : ndarray of shape (n_in,)
        The running averages.

    Examples
    --------
    >>> from fastnn import BatchNorm, Dense, Model, ReLU
    >>> net = Model([Dense(64, bias=False), BatchNorm(), ReLU(), Dense(10, "softmax")], seed=0)
    """

    code = Code(saved=("x",))
    gives = "numbers"
    running = ("mean", "variance")
    momentum: Any = _OfNorm(below=1.0 + 2**-52)
    eps: Any = _OfNorm(above=0.0)
    scale: Array
    shift: Array
    mean: Array
    variance: Array

    def __init__(self, momentum: float = 0.1, eps: float = 1e-5, *, trainable: bool = True) -> None:
        super().__init__(trainable=trainable)
        self.momentum, self.eps = momentum, eps

    def build(self, n_in: int) -> int:
        self.parameter("scale", (n_in,), "ones", "norms")
        self.parameter("shift", (n_in,), "zeros", "norms")
        self.state("mean", (n_in,), "zeros")
        self.state("variance", (n_in,), "ones")
        self.scratch("batch_mean", (n_in,))
        self.scratch("batch_variance", (n_in,))
        return n_in

    def for_prediction(self) -> Layer:
        return _Scaling(self)

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        own = run.scratch
        self.kernels.batch_norm_forward(
            x, self.scale, self.shift, y, own["batch_mean"], own["batch_variance"], self.cell("eps"), run.tape
        )

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        own = run.scratch
        self.kernels.batch_norm_backward(
            x, dy, self.scale, own["batch_mean"], own["batch_variance"], dx, self.dscale, self.dshift,
            self.cell("eps"), run.tape,
        )  # fmt: skip

    def _after_batch(self, run: Run) -> None:
        own = run.scratch
        self.kernels.batch_norm_averages(
            self.mean,
            self.variance,
            own["batch_mean"],
            own["batch_variance"],
            self.cell("momentum"),
            run.rows,
            run.tape,
        )


class _Scaling(Layer):
    """What a `BatchNorm` is in a prediction: a factor and an offset of each column, from what it holds at each call."""

    code = Code(saved=(), in_place=True, scales=True)

    def __init__(self, norm: BatchNorm) -> None:
        self.__dict__.update(norm=norm, kernels=norm.kernels, dtype=norm.dtype, label=norm.label)
        self.__dict__["_declared"] = {}
        self.scratch("factor", (norm.n_in,))
        self.scratch("offset", (norm.n_in,))
        self.__dict__.update(n_in=norm.n_in, n_out=norm.n_out, _gradients={})

    def children(self) -> list[Layer]:
        return []

    def factors(self, run: Run) -> tuple[Array, Array]:
        """Record what computes the factors and offsets, and return the arrays that will hold them."""
        norm, factor, offset = self.__dict__["norm"], run.scratch["factor"], run.scratch["offset"]
        self.kernels.batch_norm_factors(
            norm.scale, norm.shift, norm.mean, norm.variance, factor, offset, norm.cell("eps"), run.tape
        )
        return factor, offset

    def _graph(self, x: Value, to: Graph) -> Value:
        norm = self.__dict__["norm"]
        factor = norm.scale / np.sqrt(norm.variance + norm.eps)
        return to.scale(x, factor, norm.shift - norm.mean * factor)

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        factor, offset = self.factors(run)
        self.kernels.scale_columns(x, factor, offset, y, run.tape)


class LayerNorm(Layer):
    """y = (x - mean) / sqrt(variance + eps) * scale + shift, mean and variance of each row (Ba, Kiros & Hinton 2016).

    Parameters
    ----------
    eps : float
    trainable : bool
        As of every layer: False freezes its parameters.

    Attributes
    ----------
    scale, shift : ndarray of shape (n_in,)
        Trained; an optimizer's groups call them "norms".

    Examples
    --------
    >>> from fastnn import Dense, LayerNorm, Model, ReLU
    >>> net = Model([Dense(64), LayerNorm(), ReLU(), Dense(10, "softmax")], seed=0)
    """

    code = Code(saved=("x",))
    gives = "numbers"
    eps: Any = _OfNorm(above=0.0)
    scale: Array
    shift: Array

    def __init__(self, eps: float = 1e-5, *, trainable: bool = True) -> None:
        super().__init__(trainable=trainable)
        self.eps = eps

    def build(self, n_in: int) -> int:
        self.parameter("scale", (n_in,), "ones", "norms")
        self.parameter("shift", (n_in,), "zeros", "norms")
        self.scratch("mean", ("rows",))
        self.scratch("inverse", ("rows",))
        return n_in

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        own = run.scratch
        self.kernels.layer_norm_forward(
            x, self.scale, self.shift, y, own["mean"], own["inverse"], self.cell("eps"), run.tape
        )

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.row_norm(x, self.scale, self.shift, self.eps)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        own, k = run.scratch, self.kernels
        if run.trains:
            k.scale_columns_gradients(x, dy, own["mean"], own["inverse"], self.dscale, self.dshift, run.tape)
        if dx is not None:
            k.layer_norm_backward(x, dy, self.scale, own["mean"], own["inverse"], dx, run.tape)


class RMSNorm(Layer):
    """y = x / sqrt(mean(x^2) + eps) * scale, with the mean over each row (Zhang & Sennrich 2019).

    As `LayerNorm`, without a mean and a shift. As PyTorch's, whose eps is that of the dtype by default: it is 2^-23,
    that of float32, in both dtypes here. Keras's has 1e-6.

    Parameters
    ----------
    eps : float
        Above 0. It may be set at any time.
    elementwise_affine : bool
        Whether there is a scale that is trained; without, it stays 1.
    trainable : bool
        As of every layer: False freezes its parameter.

    Attributes
    ----------
    scale : ndarray of shape (n_in,)
        Trained; an optimizer's groups call it "norms".

    Examples
    --------
    >>> from fastnn import Dense, Model, ReLU, RMSNorm
    >>> net = Model([Dense(64), RMSNorm(), ReLU(), Dense(10, "softmax")], seed=0)
    """

    code = Code(saved=("x",))
    gives = "numbers"
    eps: Any = _OfNorm(above=0.0)
    scale: Array

    def __init__(self, eps: float = 2.0**-23, elementwise_affine: bool = True, *, trainable: bool = True) -> None:
        super().__init__(trainable=trainable)
        self.eps = eps
        self.elementwise_affine = flag("RMSNorm: elementwise_affine", elementwise_affine)

    def build(self, n_in: int) -> int:
        if self.elementwise_affine:
            self.parameter("scale", (n_in,), "ones", "norms")
        else:
            self.state("scale", (n_in,), "ones")
        self.scratch("inverse", ("rows",))
        return n_in

    def _forward(self, x: Array, y: Array, run: Run) -> None:
        inverse = run.scratch["inverse"]
        self.kernels.layer_norm_forward(x, self.scale, None, y, None, inverse, self.cell("eps"), run.tape)

    def _graph(self, x: Value, to: Graph) -> Value:
        return to.row_norm(x, self.scale, None, self.eps)

    def _backward(self, x: Array, y: Array, dy: Array, dx: Array | None, run: Run) -> None:
        inverse, k = run.scratch["inverse"], self.kernels
        if run.trains and self.elementwise_affine:
            k.scale_columns_gradients(x, dy, None, inverse, self.dscale, None, run.tape)
        if dx is not None:
            k.layer_norm_backward(x, dy, self.scale, None, inverse, dx, run.tape)
