"""Losses of probabilities: cross-entropies."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.arrays import as_array, check_finite, parts_of
from fastnn.checks import flag, shown
from fastnn.layers.contract import Layer, merges
from fastnn.losses.contract import Loss, of_outputs

_ROUNDING = 1e-3  # of sums that are 1


class _Likelihood(Loss):
    """A loss of probabilities: it merges with the activation that makes them."""

    expects: ClassVar[tuple[str, ...]] = ()  # what the last stage may give
    expected: ClassVar[str] = "probabilities"
    ends: ClassVar[str] = ""  # how a net for it ends
    constants = ("from_logits",)

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = flag(f"{type(self).__name__}: from_logits", from_logits)

    def for_end(self, last: Layer, droppable: bool) -> tuple[Loss, bool]:
        if self.from_logits:
            if last.gives in (None, "numbers"):
                return self, False
            raise self._wrong_end(last)
        plain = not self.is_numpy and type(self)._value_and_grad is Loss._value_and_grad
        of_logits = type(self).__new__(type(self))  # the same loss, of what comes before the last layer
        object.__setattr__(of_logits, "_cells", self._cells)
        of_logits.__dict__.update(self.__dict__)
        of_logits.from_logits = True
        if plain and merges(last) and last.kernel in self.fuses and droppable:
            return of_logits, True
        if plain and last.gives == "class log-probabilities" and "log_softmax" in self.fuses:
            return of_logits, False  # the softmax of log-probabilities is their exponential: nothing changes
        if last.gives in (None, *self.expects):
            return self, False
        raise self._wrong_end(last)

    def _require_given(self, y: Array) -> None:
        if self.from_logits or self.is_numpy:
            return
        row = self._not_expected(y)
        if row is not None:
            raise ValueError(
                f"y is {shown(y[row].tolist())} at row {row}, expected {self.expected}: of what a net gives without "
                f"an activation behind it, the loss is {type(self).__name__}(from_logits=True)"
            )

    def _not_expected(self, y: Array) -> int | None:
        """Return the first row of predictions outside [0, 1], beyond what rounding does.

        Sums are not looked at: what layers of users give is taken as it is in a training, and so it is here.
        """
        for start, part in parts_of(y):
            if _lie_between(part, -_ROUNDING, 1 + _ROUNDING):
                continue
            wrong = ((part < -_ROUNDING) | (part > 1 + _ROUNDING)).any(axis=1)
            if wrong.any():
                return start + int(np.argmax(wrong))
        return None

    def _wrong_end(self, last: Layer) -> ValueError:
        name = type(self).__name__
        without = f"leave {last!r} out" if last.kernel else ""
        if not self.from_logits:
            return ValueError(
                f"{self} expects {self.expected}, but the net ends in {last!r}: end it with {self.ends}, or "
                f"{without and without + ' and '}use {name}(from_logits=True)"
            )
        fits = last.gives in self.expects or (last.gives == "class log-probabilities" and "log_softmax" in self.fuses)
        cures = [cure for cure in (without, f"use {name}()" if fits else "") if cure]
        return ValueError(
            f"{self} expects logits, but the net ends in {last!r}: "
            + (" or ".join(cures) or "end it with a Dense without an activation")
        )


class BinaryCrossEntropy(_Likelihood):
    """Mean of -t log(p) - (1 - t) log(1 - p) over rows and columns, for targets t in [0, 1].

    Parameters
    ----------
    from_logits : bool
        Whether the net gives logits y instead of p = sigmoid(y). A net that ends in a sigmoid needs no such word: it
        is trained from its logits, which is stable and cannot take log(0).

    Notes
    -----
    `Model.evaluate` gives "accuracy" for one output. For several it gives "binary_accuracy", the share of right
    entries, and "accuracy", the share of rows whose largest output is right, where every row of targets is one class.

    The net may also end in softmax or hard sigmoid. The latter gives probabilities of exactly 0 and 1, whose loss is
    that of the nearest probability beside them, and where it is flat a row has no gradient: it trains, but what is far
    on the wrong side stays there.

    Probabilities that are taken as they are, of such a net or by hand, are clipped to [eps, 1 - eps] with eps of their
    dtype. So an entry that is certain and wrong has a finite loss and a finite gradient, which depend on the dtype:
    15.9 in float32, 36.0 in float64. A net that ends in a sigmoid, or in logits, has no such bound.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import BinaryCrossEntropy
    >>> for dtype in ("float32", "float64"):
    ...     value, gradient = BinaryCrossEntropy().value_and_grad(np.zeros((1, 1), dtype), np.ones((1, 1)))
    ...     print(f"{value:.1f} {gradient[0, 0]:.1e}")
    15.9 -8.4e+06
    36.0 -4.5e+15
    """

    fuses = ("sigmoid",)
    expects = ("probabilities", "class probabilities")
    ends = "Sigmoid()"

    def _kernel_name(self, t: Array) -> str:
        return "binary_cross_entropy" + ("_from_logits" if self.from_logits else "")

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        array = super().targets(t, n_out, dtype, name)
        if array.size and not (array.min() >= 0 and array.max() <= 1):
            row = int(np.argmax(((array < 0) | (array > 1)).any(axis=1)))
            raise ValueError(
                f"{name} is {array[row]} at row {row}, expected numbers from 0 to 1 for {self}: map labels to 0 and 1"
            )
        return array

    def metrics(self, y: Array, t: Array, weight: Array | None = None) -> dict[str, float]:
        if not y.size:
            return {}
        right = (y > (0 if self.from_logits else 0.5)) == (t > 0.5)
        if y.shape[1] == 1:
            return {"accuracy": _mean(right, weight)}
        found = {"binary_accuracy": _mean(right, weight)}
        if ((t == 0) | (t == 1)).all() and (t.sum(axis=1) == 1).all():
            found["accuracy"] = _mean(y.argmax(axis=1) == t.argmax(axis=1), weight)
        return found


class CrossEntropy(_Likelihood):
    """Mean over rows of -log(p_t) for a label t, or of -sum_j t_j log(p_j) for a row of probabilities t.

    Parameters
    ----------
    from_logits : bool
        Whether the net gives logits y instead of p = softmax(y). A net that ends in a softmax needs no such word: it
        is trained from its logits, which is stable and cannot take log(0).

    Notes
    -----
    A net that ends in anything else is refused: of numbers that do not sum to 1, such as those of a sigmoid, the loss
    is small where all are 1. That the outputs of a layer of your own are probabilities, its ``gives`` says (`Layer`).

    Probabilities that are taken as they are, as these or by hand, are not less than eps of their dtype. So a row that
    is certain and wrong has a finite loss and a finite gradient, which depend on the dtype: 15.9 in float32, 36.0 in
    float64. A net that ends in a softmax, or in logits, has no such bound.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import CrossEntropy
    >>> for dtype in ("float32", "float64"):
    ...     value, _ = CrossEntropy().value_and_grad(np.array([[1, 0]], dtype), [1])
    ...     print(f"{value:.1f}")
    15.9
    36.0
    """

    fuses = ("softmax", "log_softmax")
    expects = ("class probabilities",)
    expected = "probabilities of classes, which sum to 1"
    ends = "Softmax() (where a row may be of several classes, with Sigmoid() and BinaryCrossEntropy())"

    def _kernel_name(self, t: Array) -> str:
        return "cross_entropy" + ("_labels" if t.ndim == 1 else "") + ("_from_logits" if self.from_logits else "")

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        """Return int64 labels of shape (rows,), or probabilities of shape (rows, n_out)."""
        if n_out == 1:
            raise ValueError("CrossEntropy needs one output per class, got 1: use BinaryCrossEntropy, or 2 outputs")
        array = as_array(t, name)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim == 1:
            return _labels(array, n_out, name)
        array = super().targets(array, n_out, dtype, name)
        row = _no_probabilities(array)
        if row is not None:
            expected = "probabilities (numbers >= 0 with sum 1) or whole labels"
            raise ValueError(f"{name} is {array[row]} at row {row}, expected {expected}")
        return array

    def metrics(self, y: Array, t: Array, weight: Array | None = None) -> dict[str, float]:
        labels = t if t.ndim == 1 else t.argmax(axis=1)
        return {"accuracy": _mean(y.argmax(axis=1) == labels, weight)} if len(y) else {}


def _lie_between(array: Array, low: float, high: float) -> bool:
    return not array.size or bool(np.minimum.reduce(array, None) >= low and np.maximum.reduce(array, None) <= high)


def _no_probabilities(array: Array) -> int | None:
    """Return the first row that holds numbers below 0, or whose sum is not 1."""
    for start, part in parts_of(array):
        sums = np.add.reduce(part, axis=1, dtype=np.float64)
        if _lie_between(part, 0, np.inf) and _lie_between(sums, 1 - _ROUNDING, 1 + _ROUNDING):
            continue
        wrong = (part < 0).any(axis=1) | (np.abs(sums - 1) > _ROUNDING)
        if wrong.any():
            return start + int(np.argmax(wrong))
    return None


def _mean(right: Array, weight: Array | None) -> float:
    """Return the mean over rows, and over columns where there are some."""
    if weight is None:
        return float(right.mean())
    with np.errstate(all="ignore"):
        return float(np.average(right.reshape(len(right), -1).mean(axis=1), weights=weight))


def _labels(array: Array, n_classes: int, name: str) -> Array:
    usual = array.dtype == np.int64 and array.flags.c_contiguous and array.flags.aligned and array.size
    if usual and np.maximum.reduce(array.view(np.uint64)) < n_classes:  # without a sign, numbers below 0 are huge
        return array
    if array.dtype.kind == "f":
        check_finite(array, name)
        fractional = array != np.floor(array)
        if fractional.any():
            row = int(np.argmax(fractional))
            raise ValueError(f"{name} is {array[row]} at row {row}, expected whole labels from 0 to {n_classes - 1}")
    if array.size and not (array.min() >= 0 and array.max() < n_classes):
        row = int(np.argmax((array < 0) | (array >= n_classes)))
        expected = f"labels from 0 to {n_classes - 1} for {of_outputs(n_classes, name)}"
        raise ValueError(f"{name} is {array[row]} at row {row}, expected {expected}")
    return np.ascontiguousarray(array, dtype=np.int64)
