"""The dense layer, dropout, normalization, rows of a batch."""
# ruff: noqa: D403 - a docstring that is a formula starts with the name of what it computes

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastnn.reference import activations, bfloat16, panels
from fastnn.reference.types import Array, Labels

if TYPE_CHECKING:
    from fastnn.kernels import Rows

# The dense layer


def _rows(x: Array | Rows, n: int) -> Array:
    """Return x, or the n rows of it that an index chooses."""
    return x if isinstance(x, np.ndarray) else x.array[x.index[x.cursor[0] : x.cursor[0] + n]]


def _fused(op: str, activation: str, direction: str, **constants: float | None) -> Callable[..., None]:
    """Return forward or backward of an activation that dense kernels may apply: elementwise, with backward from y."""
    backward = getattr(activations, f"{activation}_backward", None)
    if backward is None or "softmax" in activation or backward.__code__.co_varnames[0] != "y":
        raise ValueError(f"{op}: activation is {activation!r}, expected None or one whose derivative follows from y")
    function: Callable[..., None] = getattr(activations, f"{activation}_{direction}")
    return partial(function, **{name: value for name, value in constants.items() if value is not None})


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
    beta: float | None = None,
    bf16: bool = False,
) -> None:
    """y = f(x @ w + b); x (batch, n_in), w (n_in, n_out), b (n_out) or None, y (batch, n_out); x may be `Rows`.

    ``activation`` names f, whose derivative follows from y; ``alpha`` and ``beta`` are its constants, None for their
    defaults. With ``factor`` and ``offset`` (n_out), y = f((x @ w + b) factor + offset). With ``bf16``, x and w are
    rounded to bfloat16.
    """
    if (factor is None) != (offset is None):
        missing, given = ("factor", "offset") if factor is None else ("offset", "factor")
        raise ValueError(f"dense_forward: {missing} is None, expected an array where {given} is one: both or neither")
    f = None if activation is None else _fused("dense_forward", activation, "forward", alpha=alpha, beta=beta)
    bfloat16.product(_rows(x, len(y)), w, y, bf16)
    if b is not None:
        y += b
    if factor is not None and offset is not None:
        scale_columns(y, factor, offset, y)
    if f is not None:
        f(y, y)


def dense_bf16(
    x: Array,
    w: NDArray[np.uint16],
    b: Array | None,
    y: Array,
    activation: str | None = None,
    alpha: float | None = None,
    *,
    factor: Array | None = None,
    offset: Array | None = None,
    beta: float | None = None,
) -> None:
    """y = activation(x @ w + b), with numbers of w, and of x in float32, in bfloat16: `dense_forward` with bf16.

    The bits of the weight of input p for output j are w[j // 32, p // 2, 2 * (j % 32) + p % 2].
    """
    weights = bfloat16.weights(w, x.shape[1], y.shape[1]).astype(x.dtype)
    dense_forward(
        x, weights, b, y, activation, alpha, factor=factor, offset=offset, beta=beta, bf16=x.dtype == np.float32
    )


def dense_panels(
    x: Array,
    w: Array,
    b: Array | None,
    y: Array,
    activation: str | None = None,
    alpha: float | None = None,
    *,
    factor: Array | None = None,
    offset: Array | None = None,
    beta: float | None = None,
) -> None:
    """y = activation(x @ w + b); the weight of input p for output j is w[j // 32, p, j % 32]."""
    dense_forward(x, panels.weights(w, y.shape[1]), b, y, activation, alpha, factor=factor, offset=offset, beta=beta)


def dense_backward(
    x: Array | Rows,
    w: Array,
    dy: Array,
    dx: Array | None,
    dw: Array | None,
    db: Array | None,
    activation: str | None = None,
    alpha: float | None = None,
    *,
    beta: float | None = None,
    bf16: bool = False,
) -> None:
    """dx = (dy @ w.T) * f'(x), dw = x.T @ dy, db = sum_i dy_i; dy is the gradient of x @ w + b; each may be None.

    f' is the derivative of the activation whose output x is, 1 for None. With ``bf16``, x, w and dy are rounded to
    bfloat16 in the products.
    """
    derivative = None
    if activation is not None:
        derivative = _fused("dense_backward", activation, "backward", alpha=alpha, beta=beta)
    if dx is not None:
        bfloat16.product(dy, w.T, dx, bf16)
        if derivative is not None:
            derivative(_rows(x, len(dy)), dx, dx)
    if dw is not None:
        bfloat16.product(_rows(x, len(dy)).T, dy, dw, bf16)
    if db is not None:
        np.add.reduce(dy, axis=0, out=db)


def dense_sgd(x: Array | Rows, w: Array, b: Array | None, dy: Array, lr: float, *, bf16: bool = False) -> None:
    """w -= lr x.T @ dy; b -= lr sum_i dy_i; dy is the gradient of x @ w + b; b may be None; bf16 as before."""
    dw = np.empty_like(w)
    bfloat16.product(_rows(x, len(dy)).T, dy, dw, bf16)
    w -= lr * dw
    if b is not None:
        b -= lr * dy.sum(axis=0)


# Dropout


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of SplitMix64 (Steele, Lea & Flood 2014)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _keys(rows: int, seed: float, count: float) -> NDArray[np.uint64]:
    """A key of SplitMix64 for each row."""
    step = np.uint64(0x9E3779B97F4A7C15)
    key = _mixed(np.array([int(seed)], np.uint64) + _mixed(np.array([int(count)], np.uint64) + step))
    return _mixed(key + np.arange(1, rows + 1, dtype=np.uint64) * step)


def _dropout_bits(rows: int, n: int, seed: float, count: float) -> NDArray[np.uint32]:
    """32 random bits for each element: both halves of the key of a row mix the columns."""
    return _bits_of(_keys(rows, seed, count), n)


def _bits_of(keys: NDArray[np.uint64], n: int) -> NDArray[np.uint32]:
    """32 random bits for each of n columns and each key."""
    keys = keys[:, None]
    bits = np.arange(n, dtype=np.uint32) + keys.astype(np.uint32)
    bits = (bits ^ (bits >> np.uint32(16))) * np.uint32(0x7FEB352D)
    bits ^= (keys >> np.uint64(32)).astype(np.uint32)
    bits = (bits ^ (bits >> np.uint32(15))) * np.uint32(0x846CA68B)
    return bits ^ (bits >> np.uint32(16))


def dropout(x: Array, y: Array, rate: float, seed: float, count: float) -> None:
    """y = x / (1 - rate) with probability 1 - rate, else 0 (Srivastava et al. 2014, inverted); x, y (batch, n).

    Which elements are kept follows from seed, count, row and column alone: dx is the same function of dy.
    """
    y[...] = np.where(_kept(x, rate, seed, count), x / (1 - rate), 0)


def _kept(x: Array, rate: float, seed: float, count: float) -> NDArray[np.bool_]:
    """What dropout keeps."""
    kept: NDArray[np.bool_] = _dropout_bits(len(x), x.shape[1], seed, count) >= np.uint32(2**32 * rate)
    return kept


# Where dropped outputs of SELU go to (Klambauer et al. 2017): minus its scale times its alpha
ALPHA = 1.7580993408473766


def _alpha_factor(rate: float) -> float:
    """What keeps the variance 1."""
    return float(1 / np.sqrt((1 - rate) * (1 + rate * ALPHA**2)))


def alpha_dropout_forward(x: Array, y: Array, rate: float, seed: float, count: float) -> None:
    """y = a x + b with probability 1 - rate, else b - a alpha (Klambauer et al. 2017); x, y (batch, n).

    a = 1 / sqrt((1 - rate) (1 + rate alpha^2)) and b = a alpha rate: a mean of 0 and a variance of 1 stay so.
    """
    a = _alpha_factor(rate)
    y[...] = np.where(_kept(x, rate, seed, count), a * x, -a * ALPHA) + a * ALPHA * rate


def alpha_dropout_backward(dy: Array, dx: Array, rate: float, seed: float, count: float) -> None:
    """dx = a dy where `alpha_dropout_forward` keeps x, else 0."""
    dx[...] = np.where(_kept(dy, rate, seed, count), _alpha_factor(rate) * dy, 0)


# Noise


def _normal(x: Array, seed: float, count: float) -> Array:
    """Normal numbers (Box & Muller 1958, with a sine over half a turn) that x may be added to, in its dtype.

    u has 31 bits, but no more than 24 behind the first that is set, and v has 24: both are exact in float32.
    """
    n, keys = x.shape[1], _keys(len(x), seed, count)
    bits = _bits_of(keys, n) >> np.uint32(1)
    u = np.maximum(np.where(bits < 2**24, bits, bits & ~np.uint32(127)).astype(x.dtype), 0.5) * 2.0**-31
    v = ((_bits_of(_mixed(keys), n) >> np.uint32(8)) * 2.0 + 1 - 2**24).astype(x.dtype) * 2.0**-25
    z: Array = np.sqrt(-2 * np.log(u)) * np.sin(np.pi * v)
    return z


def gaussian_noise(x: Array, y: Array, stddev: float, seed: float, count: float) -> None:
    """y = x + stddev z, z normal with mean 0 and variance 1; x, y (batch, n)."""
    y[...] = x + stddev * _normal(x, seed, count)


def gaussian_dropout(x: Array, y: Array, rate: float, seed: float, count: float) -> None:
    """y = x (1 + sqrt(rate / (1 - rate)) z), z normal with mean 0 and variance 1; x, y (batch, n).

    Which numbers z are follows from seed, count, row and column alone: dx is the same function of dy.
    """
    y[...] = x * (1 + np.sqrt(rate / (1 - rate)) * _normal(x, seed, count))


# Maxout


def maxout_forward(z: Array, y: Array) -> None:
    """y_j = max_k z_kj (Goodfellow et al. 2013); z (batch, pieces, n), y (batch, n)."""
    y[...] = z.max(axis=1)


def maxout_backward(z: Array, y: Array, dy: Array, dz: Array) -> None:
    """dz = dy at the first piece that is y, else 0; dz may be z."""
    is_y = z == y[:, None]
    is_first = is_y & (np.cumsum(is_y, axis=1) == 1)
    dz[...] = np.where(is_first, dy[:, None], 0)


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


def scale_columns(x: Array, factor: Array | None, offset: Array | None, y: Array) -> None:
    """y = x factor + offset; x, y (batch, n), factor, offset (n), or None for 1 and 0."""
    y[...] = x * (1 if factor is None else factor) + (0 if offset is None else offset)


def scale_columns_backward(
    x: Array, dy: Array, factor: Array, dx: Array | None, dfactor: Array, doffset: Array | None
) -> None:
    """dx = dy factor, dfactor = sum_i dy_i x_i, doffset = sum_i dy_i; dx may be dy."""
    dfactor[...] = (dy * x).sum(axis=0)
    if doffset is not None:
        doffset[...] = dy.sum(axis=0)
    if dx is not None:
        dx[...] = dy * factor


def layer_norm_forward(
    x: Array, scale: Array, shift: Array | None, y: Array, mean: Array | None, inverse: Array, eps: float = 1e-5
) -> None:
    """y = (x - mean) inverse scale + shift, inverse = 1 / sqrt(variance + eps) (Ba, Kiros & Hinton 2016).

    The mean and the variance, which is the mean of (x - mean)^2, are those of each row; mean, inverse (batch). Without
    a mean and a shift, these are 0 (Zhang & Sennrich 2019).
    """
    centered = x
    if mean is not None:
        mean[...] = _mean(x, 1)[:, 0]
        centered = x - mean[:, None]
    inverse[...] = 1 / np.sqrt(_mean(np.square(centered), 1)[:, 0] + eps)
    y[...] = centered * inverse[:, None] * scale + (0 if shift is None else shift)


def layer_norm_backward(x: Array, dy: Array, scale: Array, mean: Array | None, inverse: Array, dx: Array) -> None:
    """dx = inverse (g - mean_j g - xhat mean_j (g xhat)), g = dy scale, xhat = (x - mean) inverse; dx may be dy.

    Without a mean, dx = inverse (g - xhat mean_j (g xhat)), xhat = x inverse. `scale_columns_gradients` reads dy, too:
    where dx is dy, it comes first.
    """
    g = dy * scale
    xhat = (x if mean is None else x - mean[:, None]) * inverse[:, None]
    dx[...] = inverse[:, None] * (g - (0 if mean is None else _mean(g, 1)) - xhat * _mean(g * xhat, 1))


def scale_columns_gradients(
    x: Array, dy: Array, mean: Array | None, inverse: Array | None, dscale: Array | None, dshift: Array | None
) -> None:
    """dshift = sum_i dy_i, dscale = sum_i dy_i xhat_i, xhat = (x - mean) inverse; before dy is overwritten.

    Without a mean or an inverse, these are 0 and 1.
    """
    if dshift is not None:
        dshift[...] = dy.sum(axis=0)
    if dscale is not None:
        xhat = (x if mean is None else x - mean[:, None]) * (1 if inverse is None else inverse[:, None])
        dscale[...] = (dy * xhat).sum(axis=0)


def copy(x: Array, y: Array) -> None:
    """y = x; x, y (batch, n) of any strides."""
    y[...] = x


# Batches


def gather_rows(x: Array, index: Labels, cursor: Labels, y: Array) -> None:
    """y_i = x[index[cursor + i]]; x (n, d), index (any), cursor (1), y (batch, d)."""
    y[...] = x[index[cursor[0] : cursor[0] + len(y)]]


def gather_labels(x: Labels, index: Labels, cursor: Labels, y: Labels) -> None:
    """y_i = x[index[cursor + i]]; x (n), index (any), cursor (1), y (batch)."""
    y[...] = x[index[cursor[0] : cursor[0] + len(y)]]
