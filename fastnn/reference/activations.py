"""Activations, softmax."""
# ruff: noqa: D403 - a docstring that is a formula starts with the name of what it computes

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fastnn.reference.types import Array

SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772
GELU_TANH_CUBIC = 0.044715
FAR = 1000.0  # silu and mish have reached their limits there: bounded by it, an infinite x gives them, and not 0 * inf

_erfc = np.frompyfunc(math.erfc, 1, 1)


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


def softplus_forward(x: Array, y: Array, alpha: float = 1.0) -> None:
    """y = log(1 + e^(alpha x)) / alpha (Dugas et al. 2001; Glorot, Bordes & Bengio 2011)."""
    y[...] = _softplus(alpha * x) / alpha


def softplus_backward(y: Array, dy: Array, dx: Array, alpha: float = 1.0) -> None:
    """dx = (1 - e^(-alpha y)) dy; needs alpha > 0."""
    dx[...] = -np.expm1(-alpha * y) * dy


def softplus_threshold_forward(x: Array, y: Array, alpha: float = 1.0, beta: float = 20.0) -> None:
    """y = log(1 + e^(alpha x)) / alpha, and x where alpha x > beta."""
    y[...] = np.where(alpha * x > beta, x, _softplus(alpha * x) / alpha)


def softplus_threshold_backward(x: Array, dy: Array, dx: Array, alpha: float = 1.0, beta: float = 20.0) -> None:
    """dx = sigmoid(alpha x) dy, and dy where alpha x > beta."""
    dx[...] = np.where(alpha * x > beta, dy, _sigmoid(alpha * x) * dy)


def log_sigmoid_forward(x: Array, y: Array) -> None:
    """y = log(sigmoid(x)) = -log(1 + e^-x)."""
    y[...] = -_softplus(-x)


def log_sigmoid_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx = (1 - e^y) dy."""
    dx[...] = -np.expm1(y) * dy


def squareplus_forward(x: Array, y: Array, alpha: float = 4.0) -> None:
    """y = (x + sqrt(x^2 + alpha)) / 2 (Barron 2021); for x < 0 alpha / (2 (|x| + sqrt(x^2 + alpha)))."""
    large = 0.5 * (np.abs(x) + np.hypot(x, np.asarray(math.sqrt(alpha), x.dtype)))
    y[...] = np.where(x > 0, large, 0.25 * alpha / large)


def squareplus_backward(y: Array, dy: Array, dx: Array, alpha: float = 4.0) -> None:
    """dx = y^2 / (y^2 + alpha / 4) dy; needs alpha > 0."""
    with np.errstate(divide="ignore"):
        dx[...] = dy / (1 + 0.25 * alpha / (y * y))


def exponential_forward(x: Array, y: Array) -> None:
    """y = e^x."""
    np.exp(x, out=y)


def exponential_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx = y dy."""
    np.multiply(y, dy, out=dx)


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


def hard_sigmoid_forward(x: Array, y: Array, alpha: float = 1 / 6, beta: float = 0.5) -> None:
    """y = min(max(alpha x + beta, 0), 1) (Courbariaux, Bengio & David 2015, here with slope 1/6)."""
    np.clip(alpha * x + beta, 0, 1, out=y)


def hard_sigmoid_backward(y: Array, dy: Array, dx: Array, alpha: float = 1 / 6, beta: float = 0.5) -> None:
    """dx = alpha dy where 0 < y < 1, else 0."""
    dx[...] = np.where((y > 0) & (y < 1), alpha * dy, 0)


def tanh_forward(x: Array, y: Array) -> None:
    """y = tanh(x)."""
    np.tanh(x, out=y)


def tanh_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx = (1 - y^2) dy."""
    dx[...] = (1 - y * y) * dy


def hard_tanh_forward(x: Array, y: Array, alpha: float = -1.0, beta: float = 1.0) -> None:
    """y = min(max(x, alpha), beta) (Collobert 2004)."""
    np.clip(x, alpha, beta, out=y)


def hard_tanh_backward(y: Array, dy: Array, dx: Array, alpha: float = -1.0, beta: float = 1.0) -> None:
    """dx = dy where alpha < y < beta, else 0."""
    dx[...] = np.where((y > alpha) & (y < beta), dy, 0)


def relu6_forward(x: Array, y: Array) -> None:
    """y = min(max(x, 0), 6) (Krizhevsky 2010)."""
    np.clip(x, 0, 6, out=y)


def relu6_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx = dy where 0 < y < 6, else 0."""
    dx[...] = np.where((y > 0) & (y < 6), dy, 0)


def threshold_forward(x: Array, y: Array, alpha: float = 0.0, beta: float = 0.0) -> None:
    """y = x where x > alpha, else beta."""
    y[...] = np.where(x <= alpha, beta, x)


def threshold_backward(x: Array, dy: Array, dx: Array, alpha: float = 0.0, beta: float = 0.0) -> None:
    """dx = dy where x > alpha, else 0."""
    dx[...] = np.where(x <= alpha, 0, dy)


def hard_swish_forward(x: Array, y: Array) -> None:
    """y = 0 for x <= -3, x for x >= 3, else x (x + 3) / 6 (Howard et al. 2019)."""
    between = np.clip(x, -3, 3)
    y[...] = np.where(x >= 3, x, between * (between + 3) / 6)


def hard_swish_backward(x: Array, dy: Array, dx: Array) -> None:
    """dx = 0 for x <= -3, dy for x >= 3, else (x / 3 + 1/2) dy."""
    dx[...] = np.where(x <= -3, 0, np.where(x >= 3, dy, (np.clip(x, -3, 3) / 3 + 0.5) * dy))


def hard_shrink_forward(x: Array, y: Array, alpha: float = 0.5) -> None:
    """y = x where |x| > alpha, else 0."""
    y[...] = np.where(np.abs(x) <= alpha, 0, x)


def hard_shrink_backward(y: Array, dy: Array, dx: Array, alpha: float = 0.5) -> None:
    """dx = dy where y is not 0, else 0; needs alpha >= 0."""
    dx[...] = np.where(y == 0, 0, dy)


def soft_shrink_forward(x: Array, y: Array, alpha: float = 0.5) -> None:
    """y = sign(x) max(|x| - alpha, 0) (Donoho & Johnstone 1994)."""
    y[...] = np.where(np.abs(x) <= alpha, 0, np.sign(x) * (np.abs(x) - alpha))


def soft_shrink_backward(y: Array, dy: Array, dx: Array, alpha: float = 0.5) -> None:
    """dx = dy where y is not 0, else 0; needs alpha >= 0."""
    dx[...] = np.where(y == 0, 0, dy)


def sparse_plus_forward(x: Array, y: Array) -> None:
    """y = 0 for x <= -1, x for x >= 1, else (x + 1)^2 / 4."""
    y[...] = np.where(x >= 1, x, 0.25 * np.square(np.clip(x, -1, 1) + 1))


def sparse_plus_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx = min(sqrt(y), 1) dy, and sqrt(y) = (x + 1) / 2."""
    dx[...] = np.minimum(np.sqrt(np.maximum(y, 0)), 1) * dy


def mish_forward(x: Array, y: Array) -> None:
    """y = x tanh(softplus(x)) (Misra 2019)."""
    y[...] = np.maximum(x, -FAR) * np.tanh(_softplus(x))


def mish_backward(x: Array, dy: Array, dx: Array) -> None:
    """dx = (th + x (1 - th^2) sigmoid(x)) dy, th = tanh(softplus(x))."""
    th = np.tanh(_softplus(x))
    dx[...] = (th + np.clip(x, -FAR, FAR) * (1 - th * th) * _sigmoid(x)) * dy


def quick_gelu_forward(x: Array, y: Array) -> None:
    """y = x sigmoid(1.702 x) (Hendrycks & Gimpel 2016)."""
    y[...] = np.maximum(x, -FAR) * _sigmoid(1.702 * x)


def quick_gelu_backward(x: Array, dy: Array, dx: Array) -> None:
    """dx = s (1 + 1.702 x (1 - s)) dy, s = sigmoid(1.702 x)."""
    silu_backward(1.702 * x, dy, dx)


def tanh_shrink_forward(x: Array, y: Array) -> None:
    """y = x - tanh(x), for small x by its series x^3/3 - 2 x^5/15 + ..., where the difference would cancel."""
    wide, series = x.astype(np.float64), np.zeros(x.shape)
    z = np.square(np.clip(wide, -1, 1))
    for factor in reversed((1 / 3, -2 / 15, 17 / 315, -62 / 2835, 1382 / 155925, -21844 / 6081075)):
        series = factor + z * series
    y[...] = np.where(np.abs(x) < 0.1, wide * z * series, wide - np.tanh(wide))


def tanh_shrink_backward(x: Array, dy: Array, dx: Array) -> None:
    """dx = tanh(x)^2 dy."""
    dx[...] = np.square(np.tanh(x)) * dy


def lisht_forward(x: Array, y: Array) -> None:
    """y = x tanh(x) (Roy et al. 2019)."""
    y[...] = x * np.tanh(x)


def lisht_backward(x: Array, dy: Array, dx: Array) -> None:
    """dx = (t + x (1 - t^2)) dy, t = tanh(x)."""
    t = np.tanh(x)
    dx[...] = (t + np.clip(x, -FAR, FAR) * (1 - t * t)) * dy


def sine_forward(x: Array, y: Array, alpha: float = 1.0) -> None:
    """y = sin(alpha x) (Sitzmann et al. 2020)."""
    np.sin(alpha * x, out=y)


def sine_backward(x: Array, dy: Array, dx: Array, alpha: float = 1.0) -> None:
    """dx = alpha cos(alpha x) dy."""
    dx[...] = alpha * np.cos(alpha * x) * dy


def snake_forward(x: Array, y: Array, alpha: float = 1.0) -> None:
    """y = x + sin(alpha x)^2 / alpha (Ziyin, Hartwig & Ueda 2020)."""
    y[...] = x + np.square(np.sin(alpha * x)) / alpha


def snake_backward(x: Array, dy: Array, dx: Array, alpha: float = 1.0) -> None:
    """dx = (1 + sin(2 alpha x)) dy."""
    dx[...] = (1 + np.sin(2 * alpha * x)) * dy


# Softmax, over the rows of x


def _from_largest(x: Array) -> Array:
    """X minus the largest number of its row."""
    return np.asarray(x - x.max(axis=1, keepdims=True, initial=-np.inf))


def _exponentials(x: Array) -> tuple[Array, Array, Array]:
    """Return z = x - max_j x_ij, e^z, and the sums of its rows: at least 1, as which that of no columns counts."""
    z = _from_largest(x)
    e = np.exp(z)
    return z, e, np.maximum(e.sum(axis=1, keepdims=True), 1)


def softmax_forward(x: Array, y: Array) -> None:
    """y_ij = exp(x_ij - max_j x_ij) / sum_j exp(x_ij - max_j x_ij); x, y (batch, n)."""
    _, e, total = _exponentials(x)
    np.divide(e, total, out=y)


def softmax_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx_i = y_i (dy_i - sum_j y_ij dy_ij): the Jacobian times dy; y, dy, dx (batch, n)."""
    dx[...] = y * (dy - np.sum(y * dy, axis=1, keepdims=True))


def softmax_jacobian(y: Array, jacobian: Array) -> None:
    """jacobian_i = diag(y_i) - y_i y_i^T; y (batch, n), jacobian (batch, n, n)."""
    np.multiply(-y[:, :, None], y[:, None, :], out=jacobian)
    jacobian[:, np.arange(y.shape[1]), np.arange(y.shape[1])] += y


def log_softmax_forward(x: Array, y: Array) -> None:
    """y_ij = z_ij - log(sum_j exp(z_ij)), z_ij = x_ij - max_j x_ij; x, y (batch, n)."""
    z, _, total = _exponentials(x)
    y[...] = z - np.log(total)


def log_softmax_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx_i = dy_i - exp(y_i) sum_j dy_ij, dy_i where that sum is 0, whatever y is; y, dy, dx (batch, n)."""
    total = np.sum(dy, axis=1, keepdims=True)
    dx[...] = dy - np.where(total == 0, 0, np.exp(y) * total)


def sparsemax_forward(x: Array, y: Array) -> None:
    """y_ij = max(x_ij - tau_i, 0), tau_i such that sum_j y_ij = 1 (Martins & Astudillo 2016); x, y (batch, n)."""
    if x.shape[1] == 0:
        return
    z = _from_largest(x)
    largest = -np.sort(-z, axis=1)
    total, k = np.cumsum(largest, axis=1), np.arange(1, x.shape[1] + 1)
    n = np.maximum(np.sum(1 + k * largest > total, axis=1, keepdims=True), 1)
    tau = (np.take_along_axis(total, n - 1, axis=1) - 1) / n.astype(x.dtype)
    np.maximum(z - tau, 0, out=y)


def sparsemax_backward(y: Array, dy: Array, dx: Array) -> None:
    """dx_i = dy_i - mean of dy_ij where y_ij > 0, there, else 0; y, dy, dx (batch, n)."""
    inside = ~(y <= 0)
    n = np.maximum(inside.sum(axis=1, keepdims=True), 1).astype(y.dtype)
    mean = np.sum(np.where(inside, dy, 0), axis=1, keepdims=True) / n
    dx[...] = np.where(inside, dy - mean, 0)


# Activations with parameters, or with gates


def prelu_forward(x: Array, alpha: Array, y: Array) -> None:
    """y = x where x > 0, else alpha x (He et al. 2015); x, y (batch, n), alpha (n) or (1)."""
    y[...] = np.where(x > 0, x, alpha * x)


def prelu_backward(x: Array, dy: Array, alpha: Array, dx: Array) -> None:
    """dx = dy where x > 0, else alpha dy."""
    dx[...] = np.where(x > 0, dy, alpha * dy)


def prelu_gradient(x: Array, dy: Array, dalpha: Array) -> None:
    """dalpha = sum of x dy where x <= 0, over the batch, and over columns where alpha is one number."""
    terms = np.where(x > 0, 0, x * dy)
    dalpha[...] = terms.sum() if len(dalpha) == 1 else terms.sum(axis=0)


def _of_gate(op: str, activation: str, direction: str) -> tuple[Callable[..., None], str]:
    """Return forward or backward of an activation of single numbers, and whether the latter needs x or y."""
    backward = globals().get(f"{activation}_backward")
    if backward is None or activation in ("softmax", "log_softmax", "sparsemax"):
        raise ValueError(f"{op}: activation is {activation!r}, expected one of single numbers")
    return globals()[f"{activation}_{direction}"], backward.__code__.co_varnames[0]


def gated_forward(x: Array, y: Array, activation: str) -> None:
    """y = a f(b), x = (a, b) (Dauphin et al. 2017; Shazeer 2020); x (batch, 2 n), y (batch, n)."""
    f, _ = _of_gate("gated_forward", activation, "forward")
    a, b = x[:, : y.shape[1]], x[:, y.shape[1] :]
    f(b, y)
    y *= a


def gated_backward(x: Array, dy: Array, dx: Array, activation: str) -> None:
    """dx = (dy f(b), dy a f'(b)); x, dx (batch, 2 n), dy (batch, n)."""
    n = dy.shape[1]
    a, b, value, slope = x[:, :n], x[:, n:], np.empty_like(dy), np.empty_like(dy)
    _of_gate("gated_backward", activation, "forward")[0](b, value)
    gradient, needs = _of_gate("gated_backward", activation, "backward")
    gradient(value if needs == "y" else b, dy * a, slope)
    dx[:, :n], dx[:, n:] = dy * value, slope


def parametric_forward(
    x: Array,
    a: Array,
    f: Array,
    y: Array,
    activation: str,
    alpha: float | None = None,
    beta: float | None = None,
) -> None:
    """y = x + a (f(x) - x) (Holzmüller, Grinsztajn & Steinwart 2024); x, f, y (batch, n), a (n)."""
    constants = {name: value for name, value in (("alpha", alpha), ("beta", beta)) if value is not None}
    _of_gate("parametric_forward", activation, "forward")[0](x, f, **constants)
    y[...] = x + a * (f - x)


def parametric_backward(
    x: Array,
    f: Array,
    dy: Array,
    a: Array,
    dx: Array | None,
    da: Array | None,
    activation: str,
    alpha: float | None = None,
    beta: float | None = None,
) -> None:
    """da = the sum of dy (f - x) over the batch, dx = dy + a (dy f'(x) - dy)."""
    constants = {name: value for name, value in (("alpha", alpha), ("beta", beta)) if value is not None}
    gradient, needs = _of_gate("parametric_backward", activation, "backward")
    slope, total = np.empty_like(dy), (dy * (f - x)).sum(axis=0)
    gradient(f if needs == "y" else x, dy, slope, **constants)
    if dx is not None:
        dx[...] = dy + a * (slope - dy)
    if da is not None:
        da[...] = total
