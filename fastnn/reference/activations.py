"""Elementary functions, activations, softmax."""
# ruff: noqa: D403 - a docstring that is a formula starts with the name of what it computes

from __future__ import annotations

import math

import numpy as np

from fastnn.reference.types import Array

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
