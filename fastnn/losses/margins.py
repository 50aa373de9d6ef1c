"""Losses of margins: how far on the right side of 0, or above the other classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.arrays import as_array
from fastnn.checks import shown
from fastnn.layers.contract import Layer
from fastnn.losses.classification import _labels
from fastnn.losses.contract import Loss
from fastnn.losses.ends import range_of, refuse_targets, wrong_end
from fastnn.losses.reduction import Reduced
from fastnn.settings import Cell, Number


class Hinge(Reduced):
    """Mean of max(0, 1 - t * y) over rows and columns, for targets t of -1 and 1 (Cortes and Vapnik 1995).

    Targets may also be labels 0 and 1, which count as -1 and 1, as in Keras. The net ends without an activation, or in
    one that gives numbers on both sides of 0, such as tanh; the sign is the prediction. `Model.evaluate` gives
    "accuracy", for several columns "binary_accuracy".

    Parameters
    ----------
    **options
        ``reduction``, ``output_weights`` and ``missing``, as of `MSE`.

    Examples
    --------
    >>> from fastnn import Hinge
    >>> Hinge()([[2.0], [0.5], [0.5]], [1, 1, -1]), Hinge()([[2.0], [0.5], [0.5]], [1, 1, 0])
    (0.6666666666666666, 0.6666666666666666)
    """

    of_classes = True
    target_range = None
    kernel = "hinge"

    def for_end(self, last: Layer, droppable: bool) -> tuple[Loss, bool]:
        ends = range_of(last)
        if ends is not None and ends != (True, True):
            raise wrong_end(self, "numbers on both sides of 0", last, f"none {'above' if ends[0] else 'below'} 0")
        return self, False

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        """Return -1 and 1, as they are or from labels 0 and 1."""
        array = super().targets(t, n_out, dtype, name)
        of_labels = not (array < 0).any()
        wrong = (array != 1) & (array == array) & (array != (0 if of_labels else -1))
        expected = "-1 and 1, or labels 0 and 1," if of_labels else "-1 and 1, as others are,"
        refuse_targets(array, wrong, name, f"{expected} for {self}")
        return 2 * array - 1 if of_labels else array

    def require_changed(self, target: Array, n_out: int) -> None:
        refuse_targets(target, abs(target) > 1, "y", f"-1, 1, or what is mixed of them, for {self}")

    def reports(self, y: Array, t: Array) -> Sequence[str]:
        return ("accuracy" if t.shape[1] == 1 else "binary_accuracy",)

    def outcome(self, y: Array, t: Array, weight: Array | None) -> tuple[Array, Array, Array | None]:
        """Return margins so that 0.5 lies between the classes 0 and 1."""
        return (t + 1) / 2, (y + 1) / 2, weight


class SquaredHinge(Hinge):
    """Mean of max(0, 1 - t * y)^2 over rows and columns, for targets t of -1 and 1 (Keras's formula).

    Targets, the end of the net and metrics are those of `Hinge`.

    Parameters
    ----------
    **options
        ``reduction``, ``output_weights`` and ``missing``, as of `MSE`.

    Examples
    --------
    >>> from fastnn import SquaredHinge
    >>> SquaredHinge()([[2.0], [0.5]], [1, -1])
    1.125
    """

    kernel = "squared_hinge"


class MultiMargin(Reduced):
    """Mean over rows of sum_(j != t) max(0, margin - y_t + y_j)^p / n, t the row's label (Weston and Watkins 1999).

    The formula and defaults are PyTorch's, n the number of classes. Keras's categorical_hinge is another: it takes the
    largest of the other classes alone, and does not divide.

    Parameters
    ----------
    p : int
        1 or 2.
    margin : float
        Above 0: how far the right class shall be above each other.
    **options
        ``reduction`` and ``missing``, as of `MSE`.

    Examples
    --------
    >>> from fastnn import MultiMargin
    >>> MultiMargin()([[2.0, 0.5, 1.5, 0.0]], [0])
    0.125
    """

    of_classes = True
    target_range = None  # labels
    kernel = "multi_margin"
    of_rows = True
    element_weights = False
    margin: Any = Number(above=0.0)
    constants = ("p", *Reduced.constants)

    def __init__(self, p: int = 1, margin: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        if isinstance(p, bool) or p not in (1, 2):
            raise ValueError(f"{type(self).__name__}: p is {shown(p)}, expected 1 or 2")
        self.p, self.margin = int(p), margin

    def _numbers(self) -> tuple[Cell | float, ...]:
        return (self.cell("margin"),)

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "squared": self.p == 2}

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        """Return int64 labels of shape (rows,)."""
        if n_out == 1:
            raise ValueError(f"{self} needs one output per class, got 1: use Hinge, or 2 outputs")
        array = as_array(t, name)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise ValueError(f"{name} has shape {array.shape}, expected (rows,): labels from 0 to {n_out - 1}")
        return _labels(array, n_out, name)

    def reports(self, y: Array, t: Array) -> Sequence[str]:
        return ("accuracy",)


class CosineSimilarity(Reduced):
    """Mean over rows of 1 - y t / (max(|y|, eps) max(|t|, eps)): the cosine of the angle between y and t, from 1.

    The value lies between 0 (the same direction) and 2, as that of PyTorch's CosineEmbeddingLoss for pairs that are
    alike, with the eps of its cosine_similarity; Keras's CosineSimilarity is minus the cosine: the same gradient.

    Parameters
    ----------
    eps : float
        Above 0: the least length that a row is taken for.
    **options
        ``reduction`` and ``missing``, as of `MSE`.

    Examples
    --------
    >>> from fastnn import CosineSimilarity
    >>> CosineSimilarity()([[3.0, 4.0], [0.0, 2.0]], [[6.0, 8.0], [1.0, 0.0]])
    0.5
    """

    kernel = "cosine_similarity"
    of_rows = True
    element_weights = False
    eps: Any = Number(above=0.0)

    def __init__(self, eps: float = 1e-8, **options: Any) -> None:
        super().__init__(**options)
        self.eps = eps

    def _numbers(self) -> tuple[Cell | float, ...]:
        return (self.cell("eps"),)
