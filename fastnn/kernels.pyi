"""Types of the kernels: ``fastnn.kernels.float32`` and ``fastnn.kernels.float64`` have the same functions."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn._core.tape import Tape
from fastnn.arena import Rows

Real: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]
Cell: TypeAlias = NDArray[np.float64]

class Kernels:
    """One build: the functions compiled for one dtype and one instruction set."""

    # elementary.pxi: y = f(x), elementwise; x, y (batch, n)
    @staticmethod
    def exp(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def expm1(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def log(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def log1p(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def erf(x: Real, y: Real, tape: Tape | None = None) -> None: ...

    # dense.pxi: x (batch, n_in), or Rows of an array of n_in columns; w (n_in, n_out), b (n_out) or None, y, dy
    # (batch, n_out); dx, dw and db may be None
    @staticmethod
    def dense_forward(
        x: Real | Rows,
        w: Real,
        b: Real | None,
        y: Real,
        activation: str | None = None,
        alpha: float = 0.0,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def dense_backward(
        x: Real | Rows,
        w: Real,
        dy: Real,
        dx: Real | None,
        dw: Real | None,
        db: Real | None,
        activation: str | None = None,
        alpha: float = 0.0,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def dense_sgd(x: Real | Rows, w: Real, b: Real | None, dy: Real, lr: Cell, tape: Tape | None = None) -> None: ...

    # activations.pxi: x, y, dy, dx (batch, n); backward needs y where the derivative follows from y, else x
    @staticmethod
    def identity_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def identity_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def relu_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def relu_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def leaky_relu_forward(x: Real, y: Real, alpha: float = 0.01, tape: Tape | None = None) -> None: ...
    @staticmethod
    def leaky_relu_backward(y: Real, dy: Real, dx: Real, alpha: float = 0.01, tape: Tape | None = None) -> None: ...
    @staticmethod
    def elu_forward(x: Real, y: Real, alpha: float = 1.0, tape: Tape | None = None) -> None: ...
    @staticmethod
    def elu_backward(y: Real, dy: Real, dx: Real, alpha: float = 1.0, tape: Tape | None = None) -> None: ...
    @staticmethod
    def selu_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def selu_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def gelu_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def gelu_backward(x: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def gelu_tanh_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def gelu_tanh_backward(x: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def silu_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def silu_backward(x: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def softplus_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def softplus_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def softsign_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def softsign_backward(x: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def sigmoid_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def sigmoid_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def hard_sigmoid_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def hard_sigmoid_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def tanh_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def tanh_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def hard_tanh_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def hard_tanh_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def mish_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def mish_backward(x: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...

    # softmax.pxi: over the rows of x (batch, n); jacobian (batch, n, n)
    @staticmethod
    def softmax_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def softmax_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def softmax_jacobian(y: Real, jacobian: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def log_softmax_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def log_softmax_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...

    # losses.pxi: y (batch, n) predictions, t (batch, n) targets or (batch) labels, weight (batch) or None,
    # dy (batch, n) or None, value (1)
    @staticmethod
    def mse(y: Real, t: Real, weight: Real | None, dy: Real | None, value: Cell, tape: Tape | None = None) -> None: ...
    @staticmethod
    def mae(y: Real, t: Real, weight: Real | None, dy: Real | None, value: Cell, tape: Tape | None = None) -> None: ...
    @staticmethod
    def huber(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        delta: float = 1.0,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def binary_cross_entropy(
        y: Real, t: Real, weight: Real | None, dy: Real | None, value: Cell, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def binary_cross_entropy_from_logits(
        y: Real, t: Real, weight: Real | None, dy: Real | None, value: Cell, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def cross_entropy(
        y: Real, t: Real, weight: Real | None, dy: Real | None, value: Cell, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def cross_entropy_from_logits(
        y: Real, t: Real, weight: Real | None, dy: Real | None, value: Cell, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def cross_entropy_labels(
        y: Real, t: Labels, weight: Real | None, dy: Real | None, value: Cell, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def cross_entropy_labels_from_logits(
        y: Real, t: Labels, weight: Real | None, dy: Real | None, value: Cell, tape: Tape | None = None
    ) -> None: ...

    # optimizers.pxi: w, dw, velocity, m, v flat (n); lr (1) and step (1) are read at every run
    @staticmethod
    def sgd(
        w: Real,
        dw: Real,
        velocity: Real | None,
        lr: Cell,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def adam(
        w: Real,
        dw: Real,
        m: Real,
        v: Real,
        lr: Cell,
        step: Cell,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = True,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def increment(step: Cell, tape: Tape | None = None) -> None: ...

    # gather.pxi: y[i] = x[index[cursor + i]]; x (n, ...), y (batch, ...), index (n) and cursor (1) int64
    @staticmethod
    def gather_rows(x: Real, index: Labels, cursor: Labels, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def gather_labels(x: Labels, index: Labels, cursor: Labels, y: Labels, tape: Tape | None = None) -> None: ...

    # peak.pxi: no kernel, but the measure of them: runs n blocks of multiply-adds, returns the number of operations
    @staticmethod
    def fma_peak(n: int) -> float: ...

float32: Kernels
float64: Kernels
built: tuple[str, ...]
supported: tuple[str, ...]
selected: str
reason: str

def of(dtype: np.dtype[Any]) -> Kernels: ...
