"""The dense layer of predictions whose products are of 8-bit integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.arena import Array
from fastnn.layers.contract import Layer
from fastnn.layers.packed import PackedDense
from fastnn.layers.tree import build_alone

if TYPE_CHECKING:
    from fastnn.formats.graph import Graph, Value
    from fastnn.layers.dense import Dense

MOST_INPUTS = 65536  # so that sums fit into 32 bits
_GROUP, _COLUMNS = 4, 16  # terms, and columns, that lie together
_LARGEST = 127  # of a weight: the range is symmetric
_STEPS = 255


class Int8Dense(PackedDense):
    """y = activation(x @ w + b) in products of 8-bit integers: what `Model.quantize` makes of a `Dense`, to predict.

    Inputs are rounded to steps of their own, weights to those of their column (Jacob et al. 2018):

        q = min(max(rint(x * (1 / step)), -zero), 255 - zero)
        y = activation((q @ w) * scale + b)

    rint rounds half to even; sums are exact integers, so that x @ w has the same bits on every processor. Numbers
    beyond what the calibration has shown, infinite ones too, count as the ends of that range; a row with a NaN gives
    NaN.

    It has no derivative: a model of such layers cannot be trained.

    Parameters
    ----------
    units : int
        The number of outputs.
    activation : str, Layer or None
        What follows the product.

    Attributes
    ----------
    w : ndarray of int8 of shape (panels, groups, 64)
        The weights as products read them: that of input p for output j lies at ``w[j // 16, p // 4, 4 * (j % 16) +
        p % 4]``; ``weights`` has them in the shape (n_in, units).
    scale, b : ndarray of shape (units,)
        The step of the inputs times that of the weights of a column; the biases.
    correction : ndarray of int32 of shape (units,)
        ``zero`` times the sums of the weights of each column, which products of unsigned steps lose: who sets ``w`` or
        ``zero`` sets it, too.
    step, zero : ndarray of float64 of shape (1,)
        The step of the inputs, and which of the 256 stands for 0.

    References
    ----------
    Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR
    2018, https://arxiv.org/abs/1712.05877

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model
    >>> x = np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32)
    >>> net = Model([Dense(64, "relu"), Dense(1)], seed=0).build(64)
    >>> net.quantize(x)[0]
    Int8Dense(64, 'relu')
    """

    forward_kernel = "dense_int8"
    reads = ("w", "scale", "correction", "b", "step", "zero")
    bits = 8
    products = "products of 8-bit integers"
    stored = "weights of 8 bits with their scales and biases"
    w: NDArray[np.int8]
    scale: Array
    correction: NDArray[np.int32]
    b: Array
    step: Array
    zero: Array

    @property
    def weights(self) -> NDArray[np.int8]:
        """The weights in the shape (n_in, units): a copy."""
        panels, groups, _ = self.w.shape
        by_group = self.w.reshape(panels, groups, _COLUMNS, _GROUP).transpose(1, 3, 0, 2)
        return by_group.reshape(groups * _GROUP, panels * _COLUMNS)[: self.n_in, : self.units].copy()

    def build(self, n_in: int) -> int:
        if n_in > MOST_INPUTS:
            raise ValueError(f"{self.title}: {n_in} inputs, expected up to {MOST_INPUTS}: sums of more leave 32 bits")
        panels, groups = -(-self.units // _COLUMNS), -(-n_in // _GROUP)
        self.state("w", (panels, groups, _COLUMNS * _GROUP), dtype=np.int8)
        self.state("scale", (self.units,))
        self.state("correction", (self.units,), dtype=np.int32)
        self.state("b", (self.units,))
        self.state("step", (1,), "ones", dtype=np.float64)
        self.state("zero", (1,), dtype=np.float64)
        return super().build(n_in)

    def _graph(self, x: Value, to: Graph) -> Value:
        step, zero = float(self.step[0]), int(self.zero[0])
        return to.integer_product(x, w=self.weights, scale=self.scale, b=self.b, step=step, zero=zero)


def quantized(dense: Dense, low: float, high: float, activation: Layer | None) -> Int8Dense:
    """Return the layer of 8-bit integers that stands for a dense one, whose inputs are from `low` to `high`.

    The ends are widened to contain 0, which has to be one of the steps: behind a relu most inputs are 0.
    """
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    step = float(np.float32((high - low) / _STEPS))
    zero = round(-low / step)
    layer = Int8Dense(dense.units, activation)
    build_alone(layer, dense.n_in, dense.dtype)
    w = dense.w.astype(np.float64)
    steps = np.abs(w).max(axis=0) / _LARGEST
    if (step * steps[steps > 0] < np.finfo(np.float32).tiny).any():
        raise ValueError(f"quantize: products of {dense.title} are too small for float32: scale its inputs or weights")
    whole = np.rint(w / np.where(steps > 0, steps, 1)).astype(np.int8)
    layer.w[...] = packed(whole)
    layer.scale[...] = step * steps
    layer.correction[...] = zero * whole.sum(axis=0, dtype=np.int64)
    layer.b[...] = 0 if dense.b is None else dense.b
    layer.step[...], layer.zero[...] = step, zero
    return layer


def packed(w: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return weights (n_in, units) as products read them, with zeros beyond the last."""
    n_in, units = w.shape
    groups, panels = -(-n_in // _GROUP), -(-units // _COLUMNS)
    whole: Any = np.zeros((groups * _GROUP, panels * _COLUMNS), np.int8)
    whole[:n_in, :units] = w
    by_group = whole.reshape(groups, _GROUP, panels, _COLUMNS).transpose(2, 0, 3, 1)
    return by_group.reshape(panels, groups, _COLUMNS * _GROUP).copy()  # type: ignore[no-any-return]
