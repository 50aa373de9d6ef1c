"""The dense layer of predictions whose weights lie as products read them, with all of their bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn.arena import Array
from fastnn.layers.packed import PackedNumbers, stand_in

if TYPE_CHECKING:
    from fastnn.layers.contract import Layer
    from fastnn.layers.dense import Dense

_COLUMNS = 32  # that lie together


class PanelDense(PackedNumbers):
    """y = activation(x @ w + b) of weights that lie in panels: what `Model.quantize` makes of a `Dense`, to predict.

    Nothing is rounded: the bits are those of the `Dense`. A product reads a panel from end to end, where it reads short
    parts of all rows of other weights, far apart in memory.

    It has no derivative: a model of such layers cannot be trained.

    Parameters
    ----------
    units : int
        The number of outputs: 4 or more, since sums for fewer have another order.
    activation : str, Layer or None
        What follows the product.
    bias : bool
        Whether there is a b.

    Attributes
    ----------
    w : ndarray of shape (panels, n_in, 32)
        The weights as products read them: that of input p for output j lies at ``w[j // 32, p, j % 32]``, what is
        beyond the last is 0; ``weights`` has them in the shape (n_in, units), and packs what it is set to.
    b : ndarray of shape (units,)
        The biases; None without a bias.

    References
    ----------
    Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", ACM TOMS 34(3), 2008: panels

    Examples
    --------
    >>> from fastnn import Dense, Model
    >>> net = Model([Dense(512, "relu"), Dense(1)], seed=0).build(256)
    >>> net.quantize(precision="float32")[0]
    PanelDense(512, 'relu')
    """

    forward_kernel = "dense_panels"
    least_units = 4  # products of up to three columns may be dot products, whose sums have another order
    stored = "weights in panels with their biases"
    products = "products of weights that lie in panels"
    w: Array

    @property
    def bits(self) -> int:  # type: ignore[override]
        """Of a weight."""
        return 8 * self.dtype.itemsize

    def _packed(self, weights: Array) -> Array:
        return panels(weights)

    def _unpacked(self) -> Array:
        from fastnn.reference.panels import weights

        return weights(self.w, self.units)

    def build(self, n_in: int) -> int:
        self.state("w", (-(-self.units // _COLUMNS), n_in, _COLUMNS))
        return super().build(n_in)


def in_panels(dense: Dense, activation: Layer | None) -> PanelDense:
    """Return the layer that stands for a dense one in predictions."""
    return stand_in(PanelDense, dense, activation)


def panels(w: Array) -> Array:
    """Return weights (n_in, units) as products read them, with zeros beyond the last column."""
    n_in, units = w.shape
    n = -(-units // _COLUMNS)
    whole: Array = np.zeros((n_in, n * _COLUMNS), w.dtype)
    whole[:, :units] = w
    return np.ascontiguousarray(whole.reshape(n_in, n, _COLUMNS).transpose(1, 0, 2))
