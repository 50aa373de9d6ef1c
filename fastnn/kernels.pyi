"""Types of the kernels: ``fastnn.kernels.float32`` and ``fastnn.kernels.float64`` have the same functions.

Written by tests/stubs.py from the declarations of the kernels.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn._core.tape import Tape

Real: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]
Cell: TypeAlias = NDArray[np.float64]
Number: TypeAlias = float | Cell

class Rows:
    array: NDArray[Any]
    index: Labels
    cursor: Labels
    def __init__(self, array: NDArray[Any], index: Labels, cursor: Labels) -> None: ...

class Activation:
    name: str
    constants: dict[str, float]
    bounds: dict[str, list[tuple[str, str]]]
    range: tuple[str, str]
    derivative_from: str
    initializer: str
    elementwise: bool
    fusable: bool

class Kernels:
    """One build: the functions compiled for one dtype and one instruction set."""

    __name__: str
    activations: dict[str, Activation]

    @staticmethod
    def identity_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def identity_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def relu_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def relu_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def leaky_relu_forward(x: Real, y: Real, alpha: Number = 0.01, tape: Tape | None = None) -> None: ...
    @staticmethod
    def leaky_relu_backward(y: Real, dy: Real, dx: Real, alpha: Number = 0.01, tape: Tape | None = None) -> None: ...
    @staticmethod
    def elu_forward(x: Real, y: Real, alpha: Number = 1.0, tape: Tape | None = None) -> None: ...
    @staticmethod
    def elu_backward(y: Real, dy: Real, dx: Real, alpha: Number = 1.0, tape: Tape | None = None) -> None: ...
    @staticmethod
    def celu_forward(x: Real, y: Real, alpha: Number = 1.0, tape: Tape | None = None) -> None: ...
    @staticmethod
    def celu_backward(y: Real, dy: Real, dx: Real, alpha: Number = 1.0, tape: Tape | None = None) -> None: ...
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
    def softplus_forward(x: Real, y: Real, alpha: Number = 1.0, tape: Tape | None = None) -> None: ...
    @staticmethod
    def softplus_backward(y: Real, dy: Real, dx: Real, alpha: Number = 1.0, tape: Tape | None = None) -> None: ...
    @staticmethod
    def softplus_threshold_forward(
        x: Real, y: Real, alpha: Number = 1.0, beta: Number = 20.0, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def softplus_threshold_backward(
        x: Real, dy: Real, dx: Real, alpha: Number = 1.0, beta: Number = 20.0, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def log_sigmoid_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def log_sigmoid_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def squareplus_forward(x: Real, y: Real, alpha: Number = 4.0, tape: Tape | None = None) -> None: ...
    @staticmethod
    def squareplus_backward(y: Real, dy: Real, dx: Real, alpha: Number = 4.0, tape: Tape | None = None) -> None: ...
    @staticmethod
    def exponential_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def exponential_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def softsign_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def softsign_backward(x: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def sigmoid_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def sigmoid_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def tanh_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def tanh_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def mish_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def mish_backward(x: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def quick_gelu_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def quick_gelu_backward(x: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def tanh_shrink_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def tanh_shrink_backward(x: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def lisht_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def lisht_backward(x: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def sine_forward(x: Real, y: Real, alpha: Number = 1.0, tape: Tape | None = None) -> None: ...
    @staticmethod
    def sine_backward(x: Real, dy: Real, dx: Real, alpha: Number = 1.0, tape: Tape | None = None) -> None: ...
    @staticmethod
    def snake_forward(x: Real, y: Real, alpha: Number = 1.0, tape: Tape | None = None) -> None: ...
    @staticmethod
    def snake_backward(x: Real, dy: Real, dx: Real, alpha: Number = 1.0, tape: Tape | None = None) -> None: ...
    @staticmethod
    def relu6_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def relu6_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def threshold_forward(
        x: Real, y: Real, alpha: Number = 0.0, beta: Number = 0.0, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def threshold_backward(
        x: Real, dy: Real, dx: Real, alpha: Number = 0.0, beta: Number = 0.0, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def hard_sigmoid_forward(
        x: Real, y: Real, alpha: Number = 0.16666666666666666, beta: Number = 0.5, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def hard_sigmoid_backward(
        y: Real, dy: Real, dx: Real, alpha: Number = 0.16666666666666666, beta: Number = 0.5, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def hard_tanh_forward(
        x: Real, y: Real, alpha: Number = -1.0, beta: Number = 1.0, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def hard_tanh_backward(
        y: Real, dy: Real, dx: Real, alpha: Number = -1.0, beta: Number = 1.0, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def hard_swish_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def hard_swish_backward(x: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def hard_shrink_forward(x: Real, y: Real, alpha: Number = 0.5, tape: Tape | None = None) -> None: ...
    @staticmethod
    def hard_shrink_backward(y: Real, dy: Real, dx: Real, alpha: Number = 0.5, tape: Tape | None = None) -> None: ...
    @staticmethod
    def soft_shrink_forward(x: Real, y: Real, alpha: Number = 0.5, tape: Tape | None = None) -> None: ...
    @staticmethod
    def soft_shrink_backward(y: Real, dy: Real, dx: Real, alpha: Number = 0.5, tape: Tape | None = None) -> None: ...
    @staticmethod
    def sparse_plus_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def sparse_plus_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def gated_forward(x: Real, y: Real, activation: str, tape: Tape | None = None) -> None: ...
    @staticmethod
    def gated_backward(x: Real, dy: Real, dx: Real, activation: str, tape: Tape | None = None) -> None: ...
    @staticmethod
    def dense_forward(
        x: Real | Rows,
        w: Real,
        b: Real | None,
        y: Real,
        activation: str | None = None,
        alpha: Number | None = None,
        tape: Tape | None = None,
        *,
        factor: Real | None = None,
        offset: Real | None = None,
        beta: Number | None = None,
        bf16: bool = False,
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
        alpha: Number | None = None,
        tape: Tape | None = None,
        *,
        beta: Number | None = None,
        bf16: bool = False,
    ) -> None: ...
    @staticmethod
    def dense_sgd(
        x: Real | Rows, w: Real, b: Real | None, dy: Real, lr: Number, tape: Tape | None = None, *, bf16: bool = False
    ) -> None: ...
    @staticmethod
    def dense_panels(
        x: Real,
        w: Real,
        b: Real | None,
        y: Real,
        activation: str | None = None,
        alpha: Number | None = None,
        tape: Tape | None = None,
        *,
        factor: Real | None = None,
        offset: Real | None = None,
        beta: Number | None = None,
    ) -> None: ...
    @staticmethod
    def dense_bf16(
        x: Real,
        w: NDArray[np.uint16],
        b: Real | None,
        y: Real,
        activation: str | None = None,
        alpha: Number | None = None,
        tape: Tape | None = None,
        *,
        factor: Real | None = None,
        offset: Real | None = None,
        beta: Number | None = None,
    ) -> None: ...
    @staticmethod
    def dense_int8(
        x: Real,
        w: NDArray[np.int8],
        scale: Real,
        correction: NDArray[np.int32],
        b: Real,
        y: Real,
        step: Number,
        zero: Number,
        activation: str | None = None,
        alpha: Number | None = None,
        tape: Tape | None = None,
        *,
        factor: Real | None = None,
        offset: Real | None = None,
        beta: Number | None = None,
    ) -> None: ...
    @staticmethod
    def grouped_forward(
        x: Real, w: Real, b: Real | None, last: Real | None, y: Real, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def grouped_backward(
        x: Real, w: Real, dy: Real, dx: Real | None, dw: Real | None, db: Real | None, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def lanes_dense_forward(
        x: Real, w: Real, b: Real | None, y: Real, relu: bool = False, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def lanes_dense_backward(
        x: Real,
        w: Real,
        dy: Real,
        dx: Real | None,
        dw: Real,
        db: Real | None,
        relu: bool = False,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def lanes_gather(x: Real, index: Labels, cursor: Labels, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def lanes_mean(losses: Real, value: Cell, tape: Tape | None = None) -> None: ...
    @staticmethod
    def lanes_cross_entropy(y: Real, t: Real, dy: Real, value: Cell, tape: Tape | None = None) -> None: ...
    @staticmethod
    def columns_forward(x: Real, index: Labels, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def columns_backward(dy: Real, index: Labels, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def embedding_forward(x: Real, table: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def embedding_backward(x: Real, dy: Real, dtable: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def embedding_sgd(x: Real, dy: Real, table: Real, lr: Number, tape: Tape | None = None) -> None: ...
    @staticmethod
    def one_hot_forward(x: Real, y: Real, unseen: bool = False, tape: Tape | None = None) -> None: ...
    @staticmethod
    def normalize_forward(
        x: Real, center: Real, factor: Real, missing: Real, y: Real, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def normalize_backward(x: Real, dy: Real, factor: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def dropout(x: Real, y: Real, rate: Number, seed: Number, count: Number, tape: Tape | None = None) -> None: ...
    @staticmethod
    def alpha_dropout_forward(
        x: Real, y: Real, rate: Number, seed: Number, count: Number, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def alpha_dropout_backward(
        dy: Real, dx: Real, rate: Number, seed: Number, count: Number, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def gaussian_noise(
        x: Real, y: Real, stddev: Number, seed: Number, count: Number, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def gaussian_dropout(
        x: Real, y: Real, rate: Number, seed: Number, count: Number, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def batch_norm_forward(
        x: Real,
        scale: Real,
        shift: Real,
        y: Real,
        mean: Real,
        variance: Real,
        eps: Number = 1e-5,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def batch_norm_backward(
        x: Real,
        dy: Real,
        scale: Real,
        mean: Real,
        variance: Real,
        dx: Real | None,
        dscale: Real,
        dshift: Real,
        eps: Number = 1e-5,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def batch_norm_factors(
        scale: Real,
        shift: Real,
        mean: Real,
        variance: Real,
        factor: Real,
        offset: Real,
        eps: Number = 1e-5,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def batch_norm_averages(
        mean: Real,
        variance: Real,
        batch_mean: Real,
        batch_variance: Real,
        momentum: Number = 0.1,
        rows: Number = 1.0,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def scale_columns(x: Real, factor: Real | None, offset: Real | None, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def scale_columns_backward(
        x: Real, dy: Real, factor: Real, dx: Real | None, dfactor: Real, doffset: Real | None, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def layer_norm_forward(
        x: Real,
        scale: Real,
        shift: Real | None,
        y: Real,
        mean: Real | None,
        inverse: Real,
        eps: Number = 1e-5,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def layer_norm_backward(
        x: Real, dy: Real, scale: Real, mean: Real | None, inverse: Real, dx: Real, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def scale_columns_gradients(
        x: Real,
        dy: Real,
        mean: Real | None,
        inverse: Real | None,
        dscale: Real | None,
        dshift: Real | None,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def prelu_forward(x: Real, alpha: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def prelu_backward(x: Real, dy: Real, alpha: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def prelu_gradient(x: Real, dy: Real, dalpha: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def parametric_forward(
        x: Real,
        a: Real,
        f: Real,
        y: Real,
        activation: str,
        alpha: Number | None = None,
        beta: Number | None = None,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def parametric_backward(
        x: Real,
        f: Real,
        dy: Real,
        a: Real,
        dx: Real | None,
        da: Real | None,
        activation: str,
        alpha: Number | None = None,
        beta: Number | None = None,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def periodic_forward(x: Real, w: Real, c: Real | None, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def periodic_backward(
        x: Real,
        w: Real,
        y: Real,
        dy: Real,
        beside: Real | None,
        dx: Real | None,
        dw: Real | None,
        dc: Real | None,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def bins_forward(
        x: Real, edges: Real, w: Real, b: Real, v: Real, sums: Real, y: Real, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def bins_backward(
        x: Real,
        edges: Real,
        w: Real,
        v: Real,
        dy: Real,
        sums: Real,
        dx: Real | None,
        dw: Real,
        db: Real,
        dv: Real,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def maxout_forward(z: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def maxout_backward(z: Real, y: Real, dy: Real, dz: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def copy(x: Real, y: Real, tape: Tape | None = None) -> None: ...
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
    @staticmethod
    def add(x: Real, z: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def sin(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def cos(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def negative(x: Real, y: Real, tape: Tape | None = None) -> None: ...
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
    @staticmethod
    def sparsemax_forward(x: Real, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def sparsemax_backward(y: Real, dy: Real, dx: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def add_loss(
        part: Cell, total: Cell, weight: Number = 1.0, first: bool = False, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def share_weights(weight: Real, mean: Number, share: Cell, tape: Tape | None = None) -> None: ...
    @staticmethod
    def mse(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def mae(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def huber(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        delta: Number = 1.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def smooth_l1(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        beta: Number = 1.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def log_cosh(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def quantile(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        q: Number = 0.5,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def expectile(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        tau: Number = 0.5,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def msle(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def mape(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        eps: Number = 1e-7,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def binary_cross_entropy(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        smoothing: Number = 0.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
        positive: Cell | None = None,
    ) -> None: ...
    @staticmethod
    def binary_cross_entropy_from_logits(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        smoothing: Number = 0.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
        positive: Cell | None = None,
    ) -> None: ...
    @staticmethod
    def cross_entropy(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        smoothing: Number = 0.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def cross_entropy_from_logits(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        smoothing: Number = 0.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def cross_entropy_labels(
        y: Real,
        t: Labels,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        smoothing: Number = 0.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def cross_entropy_labels_from_logits(
        y: Real,
        t: Labels,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        smoothing: Number = 0.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def poisson(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        eps: Number = 1e-8,
        full: Number = 0.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def poisson_of_logs(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        full: Number = 0.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def tweedie_of_logs(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        power: Number = 1.5,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def tweedie(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        power: Number = 1.5,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def kl_divergence(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def kl_divergence_of_logs(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def binary_focal(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        gamma: Number = 2.0,
        alpha: Number = -1.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def binary_focal_from_logits(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        gamma: Number = 2.0,
        alpha: Number = -1.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def focal(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        gamma: Number = 2.0,
        alpha: Number = 1.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def focal_of_logs(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        gamma: Number = 2.0,
        alpha: Number = 1.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def hinge(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def squared_hinge(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def gaussian_nll(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        eps: Number = 1e-6,
        tape: Tape | None = None,
        *,
        full: bool = False,
        log_variance: bool = False,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def quantiles(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        q: Cell,
        crossing: Number = 0.0,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def multi_margin(
        y: Real,
        t: Labels,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        margin: Number = 1.0,
        tape: Tape | None = None,
        *,
        squared: bool = False,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def cosine_similarity(
        y: Real,
        t: Real,
        weight: Real | None,
        dy: Real | None,
        value: Cell,
        eps: Number = 1e-8,
        tape: Tape | None = None,
        *,
        each: Real | None = None,
        total: bool = False,
    ) -> None: ...
    @staticmethod
    def sgd(
        w: Real,
        dw: Real,
        velocity: Real | None,
        lr: Number,
        momentum: Number = 0.0,
        weight_decay: Number = 0.0,
        nesterov: bool = False,
        dampening: Number = 0.0,
        step: Number = 0.0,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def lion(
        w: Real,
        dw: Real,
        m: Real,
        lr: Number,
        beta1: Number = 0.9,
        beta2: Number = 0.99,
        weight_decay: Number = 0.0,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def rprop(
        w: Real,
        dw: Real,
        previous: Real,
        size: Real,
        lr: Number,
        eta_minus: Number = 0.5,
        eta_plus: Number = 1.2,
        min_step: Number = 1e-6,
        max_step: Number = 50.0,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def rmsprop(
        w: Real,
        dw: Real,
        square: Real,
        mean: Real | None,
        velocity: Real | None,
        lr: Number,
        alpha: Number = 0.99,
        eps: Number = 1e-8,
        momentum: Number = 0.0,
        weight_decay: Number = 0.0,
        centered: bool = False,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def adagrad(
        w: Real,
        dw: Real,
        square: Real,
        lr: Number,
        step: Number,
        lr_decay: Number = 0.0,
        weight_decay: Number = 0.0,
        eps: Number = 1e-10,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def adadelta(
        w: Real,
        dw: Real,
        square: Real,
        change: Real,
        lr: Number,
        rho: Number = 0.9,
        eps: Number = 1e-6,
        weight_decay: Number = 0.0,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def increment(step: Cell, tape: Tape | None = None) -> None: ...
    @staticmethod
    def accumulate(total: Real, g: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def scale(g: Real, factor: Number, tape: Tape | None = None) -> None: ...
    @staticmethod
    def clip_values(g: Real, limit: Number, tape: Tape | None = None) -> None: ...
    @staticmethod
    def block_squares(g: Real, sums: Cell, tape: Tape | None = None) -> None: ...
    @staticmethod
    def norm_factor(sums: Cell, limit: Number, norm: Cell, factor: Cell, tape: Tape | None = None) -> None: ...
    @staticmethod
    def guard_numbers(g: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def clear(x: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def approach(x: Real, y: Real, rate: Number, tape: Tape | None = None) -> None: ...
    @staticmethod
    def ema_rate(step: Cell, rate: Cell, decay: Number, corrected: bool = False, tape: Tape | None = None) -> None: ...
    @staticmethod
    def swa_rate(step: Cell, n: Cell, rate: Cell, start: Number, every: Number, tape: Tape | None = None) -> None: ...
    @staticmethod
    def multiply_numbers(a: Number, b: Number, product: Cell, tape: Tape | None = None) -> None: ...
    @staticmethod
    def every(count: Cell, k: Number, tape: Tape | None = None) -> None: ...
    @staticmethod
    def follow_schedule(
        step: Cell, first: Number, table: Cell, number: Cell, advances: bool = False, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def penalty(
        w: Real,
        dw: Real | None,
        sums: Cell,
        l1: Number = 0.0,
        l2: Number = 0.0,
        scale: Number = 1.0,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def add_sum(sums: Cell, total: Cell, tape: Tape | None = None) -> None: ...
    @staticmethod
    def bound_column_norms(
        w: Real, low: Number = 0.0, high: Number = 1.0, rate: Number = 1.0, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def bound_row_norms(
        w: Real, low: Number = 0.0, high: Number = 1.0, rate: Number = 1.0, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def bound(w: Real, low: Number, high: Number, tape: Tape | None = None) -> None: ...
    @staticmethod
    def adam(
        w: Real,
        dw: Real,
        m: Real,
        v: Real,
        lr: Number,
        step: Number,
        beta1: Number = 0.9,
        beta2: Number = 0.999,
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        decoupled: bool = True,
        largest: Real | None = None,
        eps_hat: bool = False,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def nadam(
        w: Real,
        dw: Real,
        m: Real,
        v: Real,
        lr: Number,
        step: Number,
        product: Number,
        beta1: Number = 0.9,
        beta2: Number = 0.999,
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        momentum_decay: Number = 4e-3,
        decoupled: bool = False,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def nadam_product(
        product: Cell, step: Number, beta1: Number = 0.9, momentum_decay: Number = 4e-3, tape: Tape | None = None
    ) -> None: ...
    @staticmethod
    def radam(
        w: Real,
        dw: Real,
        m: Real,
        v: Real,
        lr: Number,
        step: Number,
        beta1: Number = 0.9,
        beta2: Number = 0.999,
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        decoupled: bool = False,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def adamax(
        w: Real,
        dw: Real,
        m: Real,
        u: Real,
        lr: Number,
        step: Number,
        beta1: Number = 0.9,
        beta2: Number = 0.999,
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def schedule_free_adamw(
        w: Real,
        dw: Real,
        z: Real,
        x: Real,
        v: Real,
        lr: Number,
        step: Number,
        part: Number,
        before: Number,
        beta1: Number = 0.9,
        beta2: Number = 0.999,
        eps: Number = 1e-8,
        weight_decay: Number = 0.0,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def schedule_free_part(
        largest: Cell,
        total: Cell,
        part: Cell,
        before: Cell,
        now: Cell,
        lr: Number,
        beta1: Number,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def lamb(
        w: Real,
        dw: Real,
        m: Real,
        v: Real,
        u: Real,
        squares: Cell,
        step: Number,
        beta1: Number = 0.9,
        beta2: Number = 0.999,
        eps: Number = 1e-6,
        weight_decay: Number = 0.0,
        tape: Tape | None = None,
    ) -> None: ...
    @staticmethod
    def trust_rate(squares: Cell, lr: Number, rate: Cell, tape: Tape | None = None) -> None: ...
    @staticmethod
    def gather_rows(x: Real, index: Labels, cursor: Labels, y: Real, tape: Tape | None = None) -> None: ...
    @staticmethod
    def gather_labels(x: Labels, index: Labels, cursor: Labels, y: Labels, tape: Tape | None = None) -> None: ...

    # no kernel, but the measure of them: runs n blocks of multiply-adds, returns the number of operations
    @staticmethod
    def fma_peak(n: int) -> float: ...

float32: Kernels
bfloat16: Kernels
float64: Kernels
built: tuple[str, ...]
supported: tuple[str, ...]
far_reads: str
selected: str
reason: str
WIDE: int

def is_wide(n_in: int, n_out: int) -> bool: ...
def of(dtype: np.dtype[Any], precision: str | None = None) -> Kernels: ...
def guard(value: Cell, tape: Tape | None = None) -> None: ...
