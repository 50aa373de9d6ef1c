"""The dense layer of predictions whose weights are kept in bfloat16, as products read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.arena import Array
from fastnn.layers.contract import Layer
from fastnn.layers.packed import PackedNumbers, stand_in

if TYPE_CHECKING:
    from fastnn.layers.dense import Dense

_PAIR, _COLUMNS = 2, 32  # terms, and columns, that lie together


class BFloat16Dense(PackedNumbers):
    """y = activation(x @ w + b) with x and w in bfloat16: what `Model.quantize` makes of a `Dense`, to predict.

    A bfloat16 is a float32 of 8 significant bits, rounded half to even; subnormal numbers are 0. Products are exact,
    sums float32. The bits are those of the `Dense` in a model of ``precision="bf16"``, which rounds its weights in
    every prediction; here they are rounded once, lie as products read them, and take half the memory. In a model of
    float64 weights alone are rounded.

    It has no derivative: a model of such layers cannot be trained.

    Parameters
    ----------
    units : int
        The number of outputs.
    activation : str, Layer or None
        What follows the product.
    bias : bool
        Whether there is a b.

    Attributes
    ----------
    w : ndarray of uint16 of shape (panels, pairs, 64)
        The bits of the weights as products read them: that of input p for output j lies at ``w[j // 32, p // 2,
        2 * (j % 32) + p % 2]``, what is beyond the last is 0; ``weights`` has them in the shape (n_in, units), and
        packs what it is set to.
    b : ndarray of shape (units,)
        The biases; None without a bias.

    References
    ----------
    Kalamkar et al., "A Study of BFLOAT16 for Deep Learning Training", 2019, https://arxiv.org/abs/1905.12322

    Examples
    --------
    >>> from fastnn import Dense, Model
    >>> net = Model([Dense(64, "relu"), Dense(1)], seed=0).build(64)
    >>> net.quantize(precision="bf16")[0]
    BFloat16Dense(64, 'relu')
    """

    forward_kernel = "dense_bf16"
    bits = 16
    stored = "weights of 16 bits with their biases"
    products = "products in bfloat16, of weights that are kept in it"
    w: NDArray[np.uint16]

    def _packed(self, weights: Array) -> NDArray[np.uint16]:
        return packed(weights)

    def _unpacked(self) -> Array:
        from fastnn.reference.bfloat16 import weights

        return weights(self.w, self.n_in, self.units)

    def build(self, n_in: int) -> int:
        self.state("w", (-(-self.units // _COLUMNS), -(-n_in // _PAIR), _COLUMNS * _PAIR), dtype=np.uint16)
        return super().build(n_in)


def kept(dense: Dense, activation: Layer | None) -> BFloat16Dense:
    """Return the layer that stands for a dense one in predictions in bfloat16."""
    return stand_in(BFloat16Dense, dense, activation)


def packed(w: Array) -> NDArray[np.uint16]:
    """Return weights (n_in, units) of float32 in bfloat16, as products read them, with zeros beyond the last."""
    from fastnn.reference.bfloat16 import rounded

    n_in, units = w.shape
    pairs, panels = -(-n_in // _PAIR), -(-units // _COLUMNS)
    whole: Any = np.zeros((pairs * _PAIR, panels * _COLUMNS), np.uint16)
    whole[:n_in, :units] = rounded(w).view(np.uint32) >> np.uint32(16)
    by_pair = whole.reshape(pairs, _PAIR, panels, _COLUMNS).transpose(2, 0, 3, 1)
    return by_pair.reshape(panels, pairs, _COLUMNS * _PAIR).copy()  # type: ignore[no-any-return]
