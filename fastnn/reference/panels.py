"""Weights that lie in panels of 32 columns, as `dense_panels` reads them."""

import numpy as np

from fastnn.reference.types import Array


def weights(w: Array, n_out: int) -> Array:
    """Return the weights (n_in, n_out), of which that of input p for output j is w[j // 32, p, j % 32]."""
    panels, n_in, columns = w.shape
    return np.ascontiguousarray(w.transpose(1, 0, 2).reshape(n_in, panels * columns)[:, :n_out])
