"""The pure-NumPy twin of every kernel: the specification.

Each function has the name, the arguments and the order of arguments of the kernel that it specifies (without
``tape``), works in the dtype of its inputs and writes into its output arguments. Shapes are row-major, batch
first: x, y, dy, dx (batch, n); w is (n_in, n_out); b is (n_out). An activation's backward takes y where the derivative
follows from y, else x. An output may be the array that it is computed from: y is x, dx is dy.
"""
# ruff: noqa: D403 - a docstring that is a formula starts with the name of what it computes

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastnn.kernels import Rows

Array: TypeAlias = NDArray[np.floating[Any]]
Labels: TypeAlias = NDArray[np.int64]
Cell: TypeAlias = NDArray[np.float64]

SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772
GELU_TANH_CUBIC = 0.044715
FAR = 1000.0  # silu and mish have reached their limits there: bounded by it, an infinite x gives them, and not 0 * inf

_erf = np.frompyfunc(math.erf, 1, 1)
_erfc = np.frompyfunc(math.erfc, 1, 1)


# Elementary functions


def exp(x: Array, y: Array) -> None:
    """y = e^x; x, y (batch, n)."""
    np.exp(x, out=y)


def expm1(x: Array, y: Array) -> None:
    """y = e^x - 1, accurate near 0; x, y (batch, n)."""
    np.expm1(x, out=y)


def log(x: Array, y: Array) -> None:
    """y = log(x); x, y (batch, n)."""
    np.log(x, out=y)


def log1p(x: Array, y: Array) -> None:
    """y = log(1 + x), accurate near 0; x, y (batch, n)."""
    np.log1p(x, out=y)


def erf(x: Array, y: Array) -> None:
    """y = 2 / sqrt(pi) * integral of exp(-s^2) for s from 0 to x; x, y (batch, n)."""
    y[...] = _erf(x)


def add(x: Array, z: Array, y: Array) -> None:
    """y = x + z; x, z, y (batch, n)."""
    np.add(x, z, out=y)


# The dense layer


def _rows(x: Array | Rows, n: int) -> Array:
    """Return x, or the n rows of it that an index chooses."""
    return x if isinstance(x, np.ndarray) else x.array[x.index[x.cursor[0] : x.cursor[0] + n]]


def _fused(op: str, activation: str, direction: str, alpha: float | None) -> Callable[..., None]:
    """Return forward or backward of an activation that dense kernels may apply: elementwise, with backward from y."""
    backward = globals().get(f"{activation}_backward")
    if backward is None or "softmax" in activation or backward.__code__.co_varnames[0] != "y":
        raise ValueError(f"{op}: activation is {activation!r}, expected None or one whose derivative follows from y")
    function: Callable[..., None] = globals()[f"{activation}_{direction}"]
    return function if alpha is None else partial(function, alpha=alpha)


def dense_forward(
    x: Array | Rows,
    w: Array,
    b: Array | None,
    y: Array,
    activation: str | None = None,
    alpha: float | None = None,
    *,
    factor: Array | None = None,
    offset: Array | None = None,
) -> None:
    """y = f(x @ w + b); x (batch, n_in), w (n_in, n_out), b (n_out) or None, y (batch, n_out); x may be `Rows`.

    ``activation`` names f, whose derivative follows from y; ``alpha`` is its constant, None for its default. With
    ``factor`` and ``offset`` (n_out), y = f((x @ w + b) factor + offset).
    """
    if (factor is None) != (offset is None):
        missing, given = ("factor", "offset") if factor is None else ("offset", "factor")
        raise ValueError(f"dense_forward: {missing} is None, expected an array where {given} is one: both or neither")
    f = None if activation is None else _fused("dense_forward", activation, "forward", alpha)
    np.matmul(_rows(x, len(y)), w, out=y)
    if b is not None:
        y += b
    if factor is not None and offset is not None:
        scale_columns(y, factor, offset, y)
    if f is not None:
        f(y, y)


def dense_backward(
    x: Array | Rows,
    w: Array,
    dy: Array,
    dx: Array | None,
    dw: Array | None,
    db: Array | None,
    activation: str | None = None,
    alpha: float | None = None,
) -> None:
    """dx = (dy @ w.T) * f'(x), dw = x.T @ dy, db = sum_i dy_i; dy is the gradient of x @ w + b; each may be None.

    f' is the derivative of the activation whose output x is, 1 for None.
    """
    derivative = None if activation is None else _fused("dense_backward", activation, "backward", alpha)
    if dx is not None:
        np.matmul(dy, w.T, out=dx)
        if derivative is not None:
            derivative(_rows(x, len(dy)), dx, dx)
    if dw is not None:
        np.matmul(_rows(x, len(dy)).T, dy, out=dw)
    if db is not None:
        np.add.reduce(dy, axis=0, out=db)


def dense_sgd(x: Array | Rows, w: Array, b: Array | None, dy: Array, lr: Array) -> None:
    """w -= lr x.T @ dy; b -= lr sum_i dy_i; dy is the gradient of x @ w + b; b may be None."""
    w -= lr[0] * (_rows(x, len(dy)).T @ dy)
    if b is not None:
        b -= lr[0] * dy.sum(axis=0)


# Activations


def identity_forward(x: Array, y: Array) -> None:
    """y = x."""
    y[...] = x


def identity_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx = dy."""
    dx[...] = dy


def relu_forward(x: Array, y: Array) -> None:
    """y = max(x, 0) (Nair & Hinton 2010)."""
    np.maximum(x, 0, out=y)


def relu_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx = dy where y > 0, else 0."""
    dx[...] = np.where(y > 0, dy, 0)


def leaky_relu_forward(x: Array, y: Array, alpha: float = 0.01) -> None:
    """y = x where x > 0, else alpha x (Maas, Hannun & Ng 2013)."""
    y[...] = np.where(x > 0, x, alpha * x)


def leaky_relu_backward(y: Array, dy: Array, dx: Array, alpha: float = 0.01) -> None:
    """dx = dy where y > 0, else alpha dy; needs alpha >= 0."""
    dx[...] = np.where(y > 0, dy, alpha * dy)


def elu_forward(x: Array, y: Array, alpha: float = 1.0) -> None:
    """y = x where x > 0, else alpha (e^x - 1) (Clevert, Unterthiner & Hochreiter 2016)."""
    y[...] = np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_backward(y: Array, dy: Array, dx: Array, alpha: float = 1.0) -> None:
    """dx = dy where y > 0, else (y + alpha) dy; needs alpha >= 0.

    y + alpha = alpha e^x has the rounding error of y: up to epsilon alpha, though it goes to 0.
    """
    dx[...] = np.where(y > 0, dy, (y + alpha) * dy)


def celu_forward(x: Array, y: Array, alpha: float = 1.0) -> None:
    """y = x where x > 0, else alpha (e^(x / alpha) - 1) (Barron 2017)."""
    y[...] = np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def celu_backward(y: Array, dy: Array, dx: Array, alpha: float = 1.0) -> None:
    """dx = dy where y > 0, else (y / alpha + 1) dy; needs alpha > 0."""
    dx[...] = np.where(y > 0, dy, (y / alpha + 1) * dy)


def selu_forward(x: Array, y: Array) -> None:
    """y = scale x where x > 0, else scale alpha (e^x - 1) (Klambauer, Unterthiner, Mayr & Hochreiter 2017)."""
    y[...] = np.where(x > 0, SELU_SCALE * x, SELU_SCALE * SELU_ALPHA * np.expm1(np.minimum(x, 0)))


def selu_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx = scale dy where y > 0, else (y + scale alpha) dy, with an error up to epsilon scale alpha, as in elu."""
    dx[...] = np.where(y > 0, SELU_SCALE * dy, (y + SELU_SCALE * SELU_ALPHA) * dy)


def _normal_cdf(x: Array) -> Array:
    """Phi(x) = erfc(-x / sqrt(2)) / 2, which keeps its relative accuracy for x << 0."""
    return 0.5 * np.asarray(_erfc(-math.sqrt(0.5) * x.astype(np.float64)), x.dtype)


def gelu_forward(x: Array, y: Array) -> None:
    """y = x Phi(x), Phi the distribution function of the standard normal (Hendrycks & Gimpel 2016)."""
    y[...] = x * _normal_cdf(x)


def gelu_backward(x: Array, dy: Array, dx: Array) -> None:
    """dx = (Phi(x) + x phi(x)) dy, phi(x) = exp(-x^2 / 2) / sqrt(2 pi)."""
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    dx[...] = (_normal_cdf(x) + x * density) * dy


def gelu_tanh_forward(x: Array, y: Array) -> None:
    """y = x (1 + tanh(u)) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks & Gimpel 2016)."""
    u = math.sqrt(2 / math.pi) * x * (1 + GELU_TANH_CUBIC * x * x)
    y[...] = 0.5 * x * (1 + np.tanh(u))


def gelu_tanh_backward(x: Array, dy: Array, dx: Array) -> None:
    """dx = (1 + tanh(u) + x (1 - tanh(u)^2) du/dx) / 2 dy, du/dx = sqrt(2 / pi) (1 + 3 * 0.044715 x^2)."""
    th = np.tanh(math.sqrt(2 / math.pi) * x * (1 + GELU_TANH_CUBIC * x * x))
    du = math.sqrt(2 / math.pi) * (1 + 3 * GELU_TANH_CUBIC * x * x)
    dx[...] = 0.5 * (1 + th + x * (1 - th * th) * du) * dy


def _sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) for x >= 0 and e^x / (1 + e^x) for x < 0: the exponential never overflows."""
    e: Array = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, e, 1) / (1 + e))


def silu_forward(x: Array, y: Array) -> None:
    """y = x sigmoid(x) (Elfwing, Uchibe & Doya 2017; as "swish" Ramachandran, Zoph & Le 2017)."""
    y[...] = np.maximum(x, -FAR) * _sigmoid(x)


def silu_backward(x: Array, dy: Array, dx: Array) -> None:
    """dx = s (1 + x (1 - s)) dy, s = sigmoid(x)."""
    s = _sigmoid(x)
    dx[...] = s * (1 + np.clip(x, -FAR, FAR) * (1 - s)) * dy


def _softplus(x: Array) -> Array:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|): the exponential never overflows."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def softplus_forward(x: Array, y: Array) -> None:
    """y = log(1 + e^x) (Dugas et al. 2001; Glorot, Bordes & Bengio 2011)."""
    y[...] = _softplus(x)


def softplus_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx = (1 - e^-y) dy."""
    dx[...] = -np.expm1(-y) * dy


def softsign_forward(x: Array, y: Array) -> None:
    """y = x / (1 + |x|) (Bergstra et al. 2009)."""
    y[...] = x / (1 + np.abs(x))


def softsign_backward(x: Array, dy: Array, dx: Array) -> None:
    """dx = dy / (1 + |x|)^2."""
    dx[...] = dy / np.square(1 + np.abs(x))


def sigmoid_forward(x: Array, y: Array) -> None:
    """y = 1 / (1 + e^-x)."""
    y[...] = _sigmoid(x)


def sigmoid_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx = y (1 - y) dy."""
    dx[...] = y * (1 - y) * dy


def hard_sigmoid_forward(x: Array, y: Array) -> None:
    """y = min(max(x / 6 + 1/2, 0), 1) (Courbariaux, Bengio & David 2015, here with slope 1/6)."""
    np.clip(x / 6 + 0.5, 0, 1, out=y)


def hard_sigmoid_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx = dy / 6 where 0 < y < 1, else 0."""
    dx[...] = np.where((y > 0) & (y < 1), dy / 6, 0)


def tanh_forward(x: Array, y: Array) -> None:
    """y = tanh(x)."""
    np.tanh(x, out=y)


def tanh_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx = (1 - y^2) dy."""
    dx[...] = (1 - y * y) * dy


def hard_tanh_forward(x: Array, y: Array) -> None:
    """y = min(max(x, -1), 1) (Collobert 2004)."""
    np.clip(x, -1, 1, out=y)


def hard_tanh_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx = dy where -1 < y < 1, else 0."""
    dx[...] = np.where((y > -1) & (y < 1), dy, 0)


def mish_forward(x: Array, y: Array) -> None:
    """y = x tanh(softplus(x)) (Misra 2019)."""
    y[...] = np.maximum(x, -FAR) * np.tanh(_softplus(x))


def mish_backward(x: Array, dy: Array, dx: Array) -> None:
    """dx = (th + x (1 - th^2) sigmoid(x)) dy, th = tanh(softplus(x))."""
    th = np.tanh(_softplus(x))
    dx[...] = (th + np.clip(x, -FAR, FAR) * (1 - th * th) * _sigmoid(x)) * dy


# Softmax, over the rows of x


def softmax_forward(x: Array, y: Array) -> None:
    """y_ij = exp(x_ij - max_j x_ij) / sum_j exp(x_ij - max_j x_ij); x, y (batch, n)."""
    np.exp(x - x.max(axis=1, keepdims=True), out=y)
    y /= y.sum(axis=1, keepdims=True)


def softmax_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx_i = y_i (dy_i - sum_j y_ij dy_ij): the Jacobian times dy; y, dy, dx (batch, n)."""
    dx[...] = y * (dy - np.sum(y * dy, axis=1, keepdims=True))


def softmax_jacobian(y: Array, jacobian: Array) -> None:
    """jacobian_i = diag(y_i) - y_i y_i^T; y (batch, n), jacobian (batch, n, n)."""
    np.multiply(-y[:, :, None], y[:, None, :], out=jacobian)
    jacobian[:, np.arange(y.shape[1]), np.arange(y.shape[1])] += y


def log_softmax_forward(x: Array, y: Array) -> None:
    """y_ij = z_ij - log(sum_j exp(z_ij)), z_ij = x_ij - max_j x_ij; x, y (batch, n)."""
    z = x - x.max(axis=1, keepdims=True)
    y[...] = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))


def log_softmax_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx_i = dy_i - exp(y_i) sum_j dy_ij; y, dy, dx (batch, n)."""
    dx[...] = dy - np.exp(y) * np.sum(dy, axis=1, keepdims=True)


# Dropout


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of SplitMix64 (Steele, Lea & Flood 2014)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _dropout_bits(rows: int, n: int, seed: float, count: float) -> NDArray[np.uint32]:
    """32 random bits for each element: a key of SplitMix64 for each row, both halves of which mix the columns."""
    step = np.uint64(0x9E3779B97F4A7C15)
    key = _mixed(np.array([int(seed)], np.uint64) + _mixed(np.array([int(count)], np.uint64) + step))
    keys = _mixed(key + np.arange(1, rows + 1, dtype=np.uint64) * step)[:, None]
    bits = np.arange(n, dtype=np.uint32) + keys.astype(np.uint32)
    bits = (bits ^ (bits >> np.uint32(16))) * np.uint32(0x7FEB352D)
    bits ^= (keys >> np.uint64(32)).astype(np.uint32)
    bits = (bits ^ (bits >> np.uint32(15))) * np.uint32(0x846CA68B)
    return bits ^ (bits >> np.uint32(16))


def dropout(x: Array, y: Array, rate: float, seed: float, count: float) -> None:
    """y = x / (1 - rate) with probability 1 - rate, else 0 (Srivastava et al. 2014, inverted); x, y (batch, n).

    Which elements are kept follows from seed, count, row and column alone: dx is the same function of dy.
    """
    kept = _dropout_bits(len(x), x.shape[1], seed, count) >= np.uint32(2**32 * rate)
    y[...] = np.where(kept, x / (1 - rate), 0)


# Normalization: x, y, dy, dx (batch, n), scale, shift, dscale, dshift (n); no rows have the mean 0 and the variance 0


def _mean(x: Array, axis: int) -> Array:
    """The mean along an axis, which stays; 0 of no numbers."""
    mean: Array = x.sum(axis=axis, keepdims=True) / max(x.shape[axis], 1)
    return mean


def batch_norm_forward(
    x: Array, scale: Array, shift: Array, y: Array, mean: Array, variance: Array, eps: float = 1e-5
) -> None:
    """y = (x - mean) / sqrt(variance + eps) * scale + shift (Ioffe & Szegedy 2015); mean, variance (n), over the batch.

    The variance is the biased one, the mean of (x - mean)^2.
    """
    mean[...] = _mean(x, 0)[0]
    variance[...] = _mean(np.square(x - mean), 0)[0]
    y[...] = (x - mean) * (scale / np.sqrt(variance + eps)) + shift


def batch_norm_backward(
    x: Array,
    dy: Array,
    scale: Array,
    mean: Array,
    variance: Array,
    dx: Array | None,
    dscale: Array,
    dshift: Array,
    eps: float = 1e-5,
) -> None:
    """dshift = sum_i dy_i, dscale = sum_i dy_i xhat_i, dx = scale inverse (dy - dshift / batch - xhat dscale / batch).

    xhat = (x - mean) inverse, inverse = 1 / sqrt(variance + eps); dx may be None.
    """
    inverse = 1 / np.sqrt(variance + eps)
    xhat = (x - mean) * inverse
    dshift[...] = dy.sum(axis=0)
    dscale[...] = (dy * xhat).sum(axis=0)
    if dx is not None:
        rows = max(len(x), 1)
        dx[...] = scale * inverse * (dy - dshift / rows - xhat * (dscale / rows))


def batch_norm_factors(
    scale: Array, shift: Array, mean: Array, variance: Array, factor: Array, offset: Array, eps: float = 1e-5
) -> None:
    """factor = scale / sqrt(variance + eps), offset = shift - mean factor; all (n)."""
    factor[...] = scale / np.sqrt(variance + eps)
    offset[...] = shift - mean * factor


def batch_norm_averages(
    mean: Array, variance: Array, batch_mean: Array, batch_variance: Array, momentum: float = 0.1, rows: float = 1.0
) -> None:
    """mean += momentum (batch_mean - mean), variance likewise, of the unbiased one of a batch of so many rows."""
    mean += momentum * (batch_mean - mean)
    if rows > 1:
        variance += momentum * (batch_variance * rows / (rows - 1) - variance)


def scale_columns(x: Array, factor: Array, offset: Array, y: Array) -> None:
    """y = x factor + offset; x, y (batch, n), factor, offset (n)."""
    y[...] = x * factor + offset


def layer_norm_forward(
    x: Array, scale: Array, shift: Array, y: Array, mean: Array, inverse: Array, eps: float = 1e-5
) -> None:
    """y = (x - mean) inverse scale + shift, inverse = 1 / sqrt(variance + eps) (Ba, Kiros & Hinton 2016).

    The mean and the variance, which is the mean of (x - mean)^2, are those of each row; mean, inverse (batch).
    """
    mean[...] = _mean(x, 1)[:, 0]
    centered = x - mean[:, None]
    inverse[...] = 1 / np.sqrt(_mean(np.square(centered), 1)[:, 0] + eps)
    y[...] = centered * inverse[:, None] * scale + shift


def layer_norm_backward(x: Array, dy: Array, scale: Array, mean: Array, inverse: Array, dx: Array) -> None:
    """dx = inverse (g - mean_j g - xhat mean_j (g xhat)), g = dy scale, xhat = (x - mean) inverse; dx may be dy.

    `layer_norm_gradients` reads dy, too: where dx is dy, it comes first.
    """
    g = dy * scale
    xhat = (x - mean[:, None]) * inverse[:, None]
    dx[...] = inverse[:, None] * (g - _mean(g, 1) - xhat * _mean(g * xhat, 1))


def layer_norm_gradients(x: Array, dy: Array, mean: Array, inverse: Array, dscale: Array, dshift: Array) -> None:
    """dshift = sum_i dy_i, dscale = sum_i dy_i xhat_i, xhat = (x - mean) inverse; before dy is overwritten."""
    dshift[...] = dy.sum(axis=0)
    dscale[...] = (dy * ((x - mean[:, None]) * inverse[:, None])).sum(axis=0)


# Losses: value = sum_i weight_i l_i / rows, a missing weight is 1; dy, which may be None, is its gradient


def _weighted_mean(elements: Array, weight: Array | None) -> float:
    """sum_i weight_i sum_j elements_ij / rows in float64, 0 for no rows; elements (rows, n)."""
    rows: Array = elements.sum(axis=1, dtype=np.float64)
    return float(np.sum(rows if weight is None else weight * rows)) / max(len(rows), 1)


def _row_factor(y: Array, weight: Array | None) -> float | Array:
    """weight_i / rows, broadcastable to y (rows, n): what one row's gradient is multiplied by."""
    return 1.0 / max(len(y), 1) if weight is None else weight[:, None] / len(y)


def mse(y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = mean_j d_ij^2, d = y - t; y, t, dy (rows, n), weight (rows), value (1)."""
    d = y - t
    value[0] = _weighted_mean(d * d, weight) / y.shape[1]
    if dy is not None:
        np.multiply(d, 2 / y.shape[1] * _row_factor(y, weight), out=dy)


def mae(y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = mean_j |d_ij|, d = y - t; the derivative at 0 is 0."""
    d = y - t
    value[0] = _weighted_mean(np.abs(d), weight) / y.shape[1]
    if dy is not None:
        np.multiply(np.sign(d), _row_factor(y, weight) / y.shape[1], out=dy)


def huber(y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell, delta: float = 1.0) -> None:
    """l_i = mean_j of d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), d = y - t (Huber 1964)."""
    d = y - t
    size = np.abs(d)
    value[0] = _weighted_mean(np.where(size <= delta, 0.5 * d * d, delta * (size - 0.5 * delta)), weight) / y.shape[1]
    if dy is not None:
        np.multiply(np.clip(d, -delta, delta), _row_factor(y, weight) / y.shape[1], out=dy)


def binary_cross_entropy(y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = -mean_j of t log(p) + (1 - t) log(1 - p), p = y clipped to [eps, 1 - eps]; the gradient is that at p."""
    eps = np.finfo(y.dtype).eps
    p = np.clip(y, eps, 1 - eps)
    value[0] = -_weighted_mean(t * np.log(p) + (1 - t) * np.log1p(-p), weight) / y.shape[1]
    if dy is not None:
        np.multiply((1 - t) / (1 - p) - t / p, _row_factor(y, weight) / y.shape[1], out=dy)


def binary_cross_entropy_from_logits(y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = mean_j of max(y, 0) - y t + log(1 + e^-|y|): sigmoid and binary cross-entropy in one stable pass."""
    value[0] = _weighted_mean(_softplus(y) - y * t, weight) / y.shape[1]
    if dy is not None:
        np.multiply(_sigmoid(y) - t, _row_factor(y, weight) / y.shape[1], out=dy)


def cross_entropy(y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = -sum_j t_ij log(p_ij), p = max(y, eps); the gradient is that at p."""
    p = np.maximum(y, np.finfo(y.dtype).eps)
    value[0] = -_weighted_mean(t * np.log(p), weight)
    if dy is not None:
        np.multiply(-t / p, _row_factor(y, weight), out=dy)


def cross_entropy_from_logits(y: Array, t: Array, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = sum_j t_ij (log(sum_k e^y_ik) - y_ij): softmax and cross-entropy in one stable pass."""
    z = y - y.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = np.sum(e, axis=1, keepdims=True)
    value[0] = _weighted_mean(t * (np.log(total) - z), weight)
    if dy is not None:
        np.multiply(e / total * np.sum(t, axis=1, keepdims=True) - t, _row_factor(y, weight), out=dy)


def cross_entropy_labels(y: Array, t: Labels, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = -log(p_i), p_i = max(y_i,t_i, eps); y (rows, n) probabilities, t (rows) classes; gradient at p."""
    here = np.arange(len(t)), t
    p = np.maximum(y[here], np.finfo(y.dtype).eps)[:, None]
    value[0] = -_weighted_mean(np.log(p), weight)
    if dy is not None:
        dy[...] = 0
        dy[here] = (-_row_factor(y, weight) / p)[:, 0]


def cross_entropy_labels_from_logits(y: Array, t: Labels, weight: Array | None, dy: Array | None, value: Cell) -> None:
    """l_i = log(sum_k e^y_ik) - y_i,t_i; y (rows, n) logits, t (rows) classes."""
    here = np.arange(len(t)), t
    z = y - y.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    value[0] = _weighted_mean(np.log(total) - z[here][:, None], weight)
    if dy is not None:
        np.divide(e, total, out=dy)
        dy[here] -= 1
        dy *= _row_factor(y, weight)


# Optimizers: w, dw, velocity, m, v (n); lr and step (1) are read at every run


def sgd(
    w: Array,
    dw: Array,
    velocity: Array | None,
    lr: Cell,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> None:
    """w -= lr g, g = dw + weight_decay w; with momentum, velocity = momentum velocity + g and w -= lr velocity.

    Nesterov's step is lr (g + momentum velocity): PyTorch's convention of Sutskever, Martens, Dahl & Hinton 2013.
    The velocity may be None when momentum is 0.
    """
    g = dw + weight_decay * w if weight_decay else dw
    if momentum:
        if velocity is None:
            raise ValueError("sgd: velocity is None, expected an array, because momentum is not 0")
        velocity *= momentum
        velocity += g
        g = g + momentum * velocity if nesterov else velocity
    w -= float(lr[0]) * g


def rmsprop(
    w: Array,
    dw: Array,
    square: Array,
    mean: Array | None,
    velocity: Array | None,
    lr: Cell,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    centered: bool = False,
) -> None:
    """square = alpha square + (1 - alpha) g^2; w -= lr g / (sqrt(square) + eps) (Tieleman & Hinton 2012; PyTorch).

    g = dw + weight_decay w. Centered, mean += (1 - alpha) (g - mean), and square - mean^2 stands for the square (Graves
    2013). With momentum, velocity = momentum velocity + g / (...), and w -= lr velocity.
    """
    g = dw + weight_decay * w if weight_decay else dw
    square *= alpha
    square += (1 - alpha) * np.square(g)
    variance = square
    if centered:
        if mean is None:
            raise ValueError("rmsprop: mean is None, expected an array, because it is centered")
        mean += (1 - alpha) * (g - mean)
        variance = np.maximum(square - mean * mean, 0)
    g = g / (np.sqrt(variance) + eps)
    if momentum:
        if velocity is None:
            raise ValueError("rmsprop: velocity is None, expected an array, because momentum is not 0")
        velocity *= momentum
        velocity += g
        g = velocity
    w -= float(lr[0]) * g


def adam(
    w: Array,
    dw: Array,
    m: Array,
    v: Array,
    lr: Cell,
    step: Cell,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = True,
) -> None:
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w -= lr m^ / (sqrt(v^) + eps) (Kingma & Ba 2015).

    m^ = m / (1 - beta1^step), v^ = v / (1 - beta2^step), and step[0] is 1 in the first call. Weight decay is decoupled,
    w *= 1 - lr weight_decay (Loshchilov & Hutter 2019), or part of the gradient, g = dw + weight_decay w.
    """
    rate, count = float(lr[0]), float(step[0])
    g = dw + weight_decay * w if weight_decay and not decoupled else dw
    if weight_decay and decoupled:
        w *= 1 - rate * weight_decay
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * np.square(g)
    w -= rate / (1 - beta1**count) * m / (np.sqrt(v / (1 - beta2**count)) + eps)


def increment(step: Cell) -> None:
    """step += 1."""
    step += 1


# What is done to gradients, and to parameters beside an optimizer's step: total, g, x, y (n); numbers written are (1)

SQUARES = 4096  # elements of a block


def accumulate(total: Array, g: Array) -> None:
    """total += g."""
    total += g


def scale(g: Array, factor: float) -> None:
    """g *= factor; g is not touched where factor is 1."""
    if factor != 1:
        g *= factor


def clip_values(g: Array, limit: float) -> None:
    """g = min(max(g, -limit), limit)."""
    np.clip(g, -limit, limit, out=g)


def block_squares(g: Array, sums: Cell) -> None:
    """sums_i = the sum of g^2 over the i-th 4096 elements, in float64; sums (blocks)."""
    for i in range(len(sums)):
        sums[i] = np.square(g[i * SQUARES : (i + 1) * SQUARES], dtype=np.float64).sum()


def norm_factor(sums: Cell, limit: float, norm: Cell, factor: Cell) -> None:
    """norm = sqrt(sum_i sums_i), finite, and factor = min(1, limit / norm) (Pascanu, Mikolov & Bengio 2013)."""
    norm[0] = np.sqrt(sums.sum())
    factor[0] = limit / norm[0] if norm[0] > limit else 1
    if not np.isfinite(norm[0]):
        raise FloatingPointError("norm_factor: the norm is not finite")


def guard_numbers(g: Array) -> None:
    """Refuse NaN and infinities in g."""
    if not np.isfinite(g).all():
        raise FloatingPointError("guard_numbers: g is not finite")


def clear(x: Array) -> None:
    """x = 0."""
    x[...] = 0


def approach(x: Array, y: Array, rate: float) -> None:
    """x += rate (y - x), exactly y for a rate of 1 (averages of parameters: Polyak & Juditsky 1992)."""
    if rate == 1:
        x[...] = y
    else:
        x += rate * (y - x)


def multiply_numbers(a: float, b: float, product: Cell) -> None:
    """product = a b."""
    product[0] = a * b


def every(count: Cell, k: float) -> None:
    """count += 1, and 0 again at k; what a replay does behind it is done at every k-th run."""
    count += 1
    if not count[0] < k:
        count[0] = 0


# Batches


def gather_rows(x: Array, index: Labels, cursor: Labels, y: Array) -> None:
    """y_i = x[index[cursor + i]]; x (n, d), index (any), cursor (1), y (batch, d)."""
    y[...] = x[index[cursor[0] : cursor[0] + len(y)]]


def gather_labels(x: Labels, index: Labels, cursor: Labels, y: Labels) -> None:
    """y_i = x[index[cursor + i]]; x (n), index (any), cursor (1), y (batch)."""
    y[...] = x[index[cursor[0] : cursor[0] + len(y)]]
