"""Losses of probabilities beside the cross-entropies: focal losses, and the divergence of Kullback and Leibler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import kernels
from fastnn.arena import Array
from fastnn.arrays import as_array
from fastnn.losses.classification import _labels, _Likelihood, _no_probabilities, of_answers
from fastnn.losses.ends import refuse_targets
from fastnn.settings import Cell, Number

if TYPE_CHECKING:
    from fastnn._core.tape import Tape


class _Balance(Number):
    """A number from 0 to below 1, or None: in the cell -1."""

    def __init__(self) -> None:
        super().__init__(below=1.0)

    def __get__(self, part: Any, kind: type | None = None) -> Any:
        found = super().__get__(part, kind)
        return None if part is not None and found < 0 else found

    def __set__(self, part: Any, value: object) -> None:
        if value is not None:
            super().__set__(part, value)
            return
        super().__set__(part, 0.0)  # which ends a schedule
        part._cells[self._name][0] = -1.0


class BinaryFocal(_Likelihood):
    """Mean of a w^gamma times the binary cross-entropy, w = t (1 - p) + (1 - t) p: how wrong p is (Lin et al. 2017).

    What is right already counts less, so that rare cases are learnt. The factor a is alpha where t = 1 and 1 - alpha
    where t = 0, or 1 without alpha. The formula and defaults are those of torchvision's sigmoid_focal_loss. Keras's
    BinaryFocalCrossentropy has no alpha by default: "binary_focal_crossentropy" is ``BinaryFocal(alpha=None)``.

    Parameters
    ----------
    gamma : float
        At least 0; for 0 and no alpha it is `BinaryCrossEntropy`.
    alpha : float or None
        0 to below 1: what t = 1 weighs.
    from_logits : bool
        Whether the net gives logits y instead of p = sigmoid(y). A net that ends in a sigmoid needs no such word: it
        is trained from its logits, which is stable.
    **options
        ``reduction``, ``output_weights`` and ``missing``, as of `MSE`.

    Examples
    --------
    >>> from fastnn import BinaryFocal
    >>> round(BinaryFocal(alpha=None)([[0.9], [0.2]], [[1.0], [1.0]]), 6)
    0.515547
    """

    of_classes = True
    target_range = 0.0, 1.0
    fuses = ("sigmoid",)
    expects = ("probabilities", "class probabilities")
    ends = "Sigmoid()"
    gamma: Any = Number()
    alpha: Any = _Balance()

    def __init__(
        self, gamma: float = 2.0, alpha: float | None = 0.25, from_logits: bool = False, **options: Any
    ) -> None:
        super().__init__(from_logits, **options)
        self.gamma, self.alpha = gamma, alpha

    def _kernel_name(self, t: Array) -> str:
        return "binary_focal" + ("_from_logits" if self.from_logits else "")

    def _numbers(self) -> tuple[Cell | float, ...]:
        return self.cell("gamma"), self.cell("alpha")

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        array = super().targets(t, n_out, dtype, name)
        refuse_targets(array, (array < 0) | (array > 1), name, f"numbers from 0 to 1 for {self}: map labels to 0 and 1")
        return array

    def reports(self, y: Array, t: Array) -> Sequence[str]:
        return of_answers(t)


class _OfClasses(_Likelihood):
    """A loss of rows of probabilities; from logits by their log_softmax."""

    fuses = ("softmax", "log_softmax")
    expects = ("class probabilities",)
    expected = "probabilities of classes, which sum to 1"
    ends = "Softmax()"
    of_rows = True

    def _run(
        self, y: Array, t: Array, weight: Array | None, dy: Array | None, value: Array, tape: Tape | None, **more: Any
    ) -> None:
        if not self.from_logits:
            super()._run(y, t, weight, dy, value, tape, **more)
            return
        build, log_p = kernels.of(y.dtype), np.empty_like(y)
        build.log_softmax_forward(y, log_p, tape)
        super()._run(log_p, t, weight, dy, value, tape, **more)
        if dy is not None:
            build.log_softmax_backward(log_p, dy, dy, tape)

    def _rows(self, array: Array, name: str) -> Array:
        row = _no_probabilities(array)
        if row is not None:
            expected = f"probabilities (numbers >= 0 with sum 1) for {self}"
            raise ValueError(f"{name} is {array[row]} at row {row}, expected {expected}")
        return array


class CategoricalFocal(_OfClasses):
    """Mean over rows of -sum_j alpha t_j (1 - p_j)^gamma log(p_j), for labels or rows of probabilities t (Lin 2017).

    Classes that are right already count less. The formula and defaults are those of Keras's
    CategoricalFocalCrossentropy (without its clipping at 1e-7); PyTorch has none.

    Parameters
    ----------
    gamma : float
        At least 0; for 0 and alpha = 1 it is `CrossEntropy`.
    alpha : float
        At least 0: a factor of all.
    from_logits : bool
        Whether the net gives logits y instead of p = softmax(y). A net that ends in a softmax needs no such word: it
        is trained from its logits, which is stable.
    **options
        ``reduction`` and ``missing``, as of `MSE`.

    Examples
    --------
    >>> from fastnn import CategoricalFocal
    >>> round(CategoricalFocal()([[0.7, 0.2, 0.1]], [0]), 6)
    0.008025
    """

    of_classes = True
    target_range = None
    gamma: Any = Number()
    alpha: Any = Number()

    def __init__(self, gamma: float = 2.0, alpha: float = 0.25, from_logits: bool = False, **options: Any) -> None:
        super().__init__(from_logits, **options)
        self.gamma, self.alpha = gamma, alpha

    def _kernel_name(self, t: Array) -> str:
        return "focal" + ("_of_logs" if self.from_logits else "")

    def _numbers(self) -> tuple[Cell | float, ...]:
        return self.cell("gamma"), self.cell("alpha")

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        """Return probabilities of shape (rows, n_out), 0 and 1 for labels."""
        if n_out == 1:
            raise ValueError(f"{self} needs one output per class, got 1: use BinaryFocal, or 2 outputs")
        array = as_array(t, name)
        if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1):
            labels = _labels(array.reshape(len(array)), n_out, name)
            rows: Array = np.zeros((len(labels), n_out), dtype)
            rows[np.arange(len(labels)), labels] = 1
            return rows
        return self._rows(super().targets(array, n_out, dtype, name), name)

    def reports(self, y: Array, t: Array) -> Sequence[str]:
        return ("accuracy",)


class KLDivergence(_OfClasses):
    """Mean over rows of sum_j t_j log(t_j / p_j), for rows of probabilities t (Kullback and Leibler 1951).

    It is `CrossEntropy` less the entropy of the targets, so 0 where p = t, with the same gradient. Predictions are
    probabilities, as in Keras; PyTorch's KLDivLoss takes log-probabilities, and its "batchmean" is the mean here: a
    net that ends in `LogSoftmax` is trained so, too.

    Parameters
    ----------
    from_logits : bool
        Whether the net gives logits y instead of p = softmax(y). A net that ends in a softmax needs no such word: it
        is trained from its logits, which is stable.
    **options
        ``reduction`` and ``missing``, as of `MSE`.

    Examples
    --------
    >>> from fastnn import KLDivergence
    >>> round(KLDivergence()([[0.5, 0.5], [0.2, 0.8]], [[1.0, 0.0], [0.2, 0.8]]), 6)
    0.346574
    """

    target_range = None

    def __init__(self, from_logits: bool = False, **options: Any) -> None:
        super().__init__(from_logits, **options)

    def _kernel_name(self, t: Array) -> str:
        return "kl_divergence" + ("_of_logs" if self.from_logits else "")

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        """Return probabilities of shape (rows, n_out)."""
        return self._rows(super().targets(t, n_out, dtype, name), name)
