"""Losses of probabilities: cross-entropies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastnn import kernels
from fastnn.arena import Array
from fastnn.arrays import as_array, check_finite, parts_of
from fastnn.checks import flag, number, shown
from fastnn.layers.contract import Layer, merges
from fastnn.losses.contract import Loss, of_outputs
from fastnn.losses.reduction import Mask, Reduced
from fastnn.settings import Cell, Number, Numbers

_ROUNDING = 1e-3  # of sums that are 1


class _Likelihood(Reduced):
    """A loss of probabilities: it merges with the activation that makes them."""

    expects: ClassVar[tuple[str, ...]] = ()  # what the last stage may give
    expected: ClassVar[str] = "probabilities"
    ends: ClassVar[str] = ""  # how a net for it ends
    constants = ("from_logits", *Reduced.constants)

    def __init__(self, from_logits: bool = False, **options: Any) -> None:
        super().__init__(**options)
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

    def outcome(self, y: Array, t: Array, weight: Array | None) -> tuple[Array, Array, Array | None]:
        if self.from_logits:
            logits, y = np.ascontiguousarray(y), np.empty(y.shape, y.dtype)
            getattr(kernels.of(y.dtype), f"{self.fuses[0]}_forward")(logits, y)
        if self.of_rows and weight is not None and weight.shape[1] > 1:  # a class counts as its probability
            weight = (weight * t).sum(axis=1, keepdims=True)
        return t, y, weight

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


class _Smoothed(_Likelihood):
    """One whose targets may be smoothed."""

    label_smoothing: Any = Number(most=1.0)

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0, **options: Any) -> None:
        super().__init__(from_logits, **options)
        self.label_smoothing = label_smoothing

    def _numbers(self) -> tuple[Cell | float, ...]:
        return (self.cell("label_smoothing"),)


class BinaryCrossEntropy(_Smoothed):
    """Mean of -q t log(p) - (1 - t) log(1 - p) over rows and columns, for targets t in [0, 1].

    Parameters
    ----------
    from_logits : bool
        Whether the net gives logits y instead of p = sigmoid(y). A net that ends in a sigmoid needs no such word: it
        is trained from its logits, which is stable and cannot take log(0).
    label_smoothing : float
        0 to 1: targets are t + label_smoothing * (1 / 2 - t), as in Keras (PyTorch has none here).
    pos_weight : float, sequence of float or None
        q >= 0, or one for each column: how often the term of t = 1 counts, PyTorch's formula. The mean is over the
        number of terms, whatever they weigh. It may be changed at any time, between epochs by a callback; it follows no
        schedule.
    **options
        ``reduction``, ``output_weights`` and ``missing``, as of `MSE`.

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

    of_classes = True
    fuses = ("sigmoid",)
    expects = ("probabilities", "class probabilities")
    ends = "Sigmoid()"
    target_range = 0.0, 1.0
    constants = ("_n_positive", *_Likelihood.constants)
    pos_weight: Any = Numbers()

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        pos_weight: float | Sequence[float] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(from_logits, label_smoothing, **options)
        self.pos_weight = pos_weight

    @property
    def _n_positive(self) -> int:
        """How many weights of positive terms there are."""
        cell = self._cells.get("pos_weight")
        return 0 if cell is None else len(cell)

    def _options(self) -> dict[str, Any]:
        cell = self._cells.get("pos_weight")
        return super()._options() if cell is None else {**super()._options(), "positive": cell}

    def _kernel_name(self, t: Array) -> str:
        return "binary_cross_entropy" + ("_from_logits" if self.from_logits else "")

    def targets(self, t: ArrayLike, n_out: int, dtype: np.dtype[Any], name: str = "y") -> Array:
        array = super().targets(t, n_out, dtype, name)
        if self._n_positive not in (0, 1, array.shape[1]):
            raise ValueError(
                f"{self}: pos_weight has {self._n_positive} numbers, expected one, or {array.shape[1]}, one for each "
                "output"
            )
        if array.size and not (array.min() >= 0 and array.max() <= 1):
            row = int(np.argmax(((array < 0) | (array > 1)).any(axis=1)))
            raise ValueError(
                f"{name} is {array[row]} at row {row}, expected numbers from 0 to 1 for {self}: map labels to 0 and 1"
            )
        return array

    def reports(self, y: Array, t: Array) -> Sequence[str]:
        return of_answers(t)


class CrossEntropy(_Smoothed):
    """Mean over rows of -log(p_t) for a label t, or of -sum_j t_j log(p_j) for a row of probabilities t.

    Parameters
    ----------
    from_logits : bool
        Whether the net gives logits y instead of p = softmax(y). A net that ends in a softmax needs no such word: it
        is trained from its logits, which is stable and cannot take log(0).
    label_smoothing : float
        0 to 1, of n classes: targets are t + label_smoothing * (1 / n - t), as in PyTorch and Keras.
    class_weight : dict, sequence of float, "balanced" or None
        What classes weigh, numbers >= 0: all of them in order, or by label, where those that are not named weigh 1.
        "balanced": the number of rows, by that of classes and that of rows of the class, over all known data: in `fit`
        and `evaluate`, not in single steps.
    ignore_index : int or None
        Rows with this label are left out. PyTorch's default is -100; here a negative label is an error by default.
    **options
        ``reduction`` and ``missing``, as of `MSE`; a label that is NaN is missing.

    Notes
    -----
    With ``class_weight`` a row of label t weighs w_t, smoothed or not; of a row of probabilities the term of class j
    weighs w_j, as in PyTorch, which weighs so the smoothed terms of labels, too. PyTorch divides by the sum of the
    weights of each batch. Here weights are relative over known data, as all weights of rows are (`Model.fit`), so that
    small batches are unbiased; a single step takes them as they are and divides by the number of rows.

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

    of_classes = True
    target_range = None  # labels, or numbers whose sum is 1
    fuses = ("softmax", "log_softmax")
    expects = ("class probabilities",)
    expected = "probabilities of classes, which sum to 1"
    ends = "Softmax() (where a row may be of several classes, with Sigmoid() and BinaryCrossEntropy())"
    of_rows = True

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        class_weight: Mapping[int, float] | Sequence[float] | str | None = None,
        ignore_index: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(from_logits, label_smoothing, **options)
        self.class_weight, self.ignore_index = class_weight, ignore_index

    @property
    def class_weight(self) -> Any:
        """What classes weigh."""
        return self.__dict__.get("_class_weight")

    @class_weight.setter
    def class_weight(self, weights: Any) -> None:
        self.__dict__["_class_weight"] = _checked_class_weight(f"{type(self).__name__}: class_weight", weights)

    @property
    def ignore_index(self) -> int | None:
        """The label of rows that are left out."""
        return self.__dict__.get("_ignore_index")

    @ignore_index.setter
    def ignore_index(self, label: int | None) -> None:
        if label is not None and (isinstance(label, bool) or not isinstance(label, (int, np.integer))):
            raise TypeError(f"{type(self).__name__}: ignore_index is {shown(label)}, expected a whole number or None")
        self.__dict__["_ignore_index"] = None if label is None else int(label)

    def _may_miss(self) -> bool:
        return self.ignore_index is not None or super()._may_miss()

    def _absent(self, column: Array) -> Mask:
        absent = super()._absent(column) if self.missing == "ignore" else np.zeros(column.shape, bool)
        if self.ignore_index is not None and column.shape[1] == 1:
            absent |= column == self.ignore_index
        return absent

    def _own_weights(self, target: Array, n_out: int, absent: Mask | None, known: bool) -> Array | None:
        weights, n = self.class_weight, n_out
        if weights is None:
            return None
        there = target if absent is None else target[~absent[:, 0]]
        if isinstance(weights, str):  # "balanced"
            if not known:
                raise ValueError(
                    f"{self}: class_weight='balanced' is known in fit and evaluate, where all rows are: pass a number "
                    "for each class, 1 / np.bincount(labels)"
                )
            counts = np.bincount(there, minlength=n) if there.ndim == 1 else there.sum(axis=0, dtype=np.float64)
            with np.errstate(divide="ignore"):
                found = np.where(counts > 0, len(there) / (np.count_nonzero(counts) * counts), 0.0)
        elif isinstance(weights, dict):
            found = np.ones(n)
            for label, weight in weights.items():
                if not 0 <= label < n:
                    raise ValueError(f"{self}: class_weight names class {label}, expected labels from 0 to {n - 1}")
                found[label] = weight
        else:
            found = np.array(weights)
            if len(found) != n:
                raise ValueError(f"{self}: class_weight has {len(found)} numbers, expected {n}, one for each class")
        weighed = found[target][:, None] if target.ndim == 1 else found[None, :]
        if target.ndim == 1 and not found[there].any():
            raise ValueError(f"{self}: all classes that occur weigh 0: there is nothing to learn")
        return weighed

    def _sum_of_weights(self, weight: Array, target: Array) -> float:
        if target.ndim == 2 and weight.shape[1] > 1:  # a class counts as its probability
            return float((weight * target).sum(dtype=np.float64) * weight.shape[1])
        return super()._sum_of_weights(weight, target)

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

    def reports(self, y: Array, t: Array) -> Sequence[str]:
        return ("accuracy",)


def of_answers(t: Array) -> Sequence[str]:
    """Return the names of the accuracies of targets (rows, columns) from 0 to 1."""
    if t.shape[1] == 1:
        return ("accuracy",)
    is_one = ((t == 0) | (t == 1)).all() and (t.sum(axis=1) == 1).all()
    return ("binary_accuracy", "accuracy") if is_one else ("binary_accuracy",)


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


def _checked_class_weight(where: str, weights: Any) -> Any:
    """Return weights of classes by label, in order, or a word, or None."""
    if weights is None or (isinstance(weights, str) and weights == "balanced"):
        return weights
    if isinstance(weights, Mapping):
        for label in weights:
            is_number = isinstance(label, (int, float, np.number)) and not isinstance(label, bool)
            if not is_number or not float(label).is_integer() or label < 0:
                kind = ValueError if is_number else TypeError
                raise kind(f"{where} names {shown(label)}, expected labels of classes: whole numbers >= 0")
        return {int(label): number(f"{where}[{label}]", weight) for label, weight in weights.items()}
    if isinstance(weights, str) or np.ndim(weights) != 1 or not len(weights):
        kind = ValueError if isinstance(weights, str) else TypeError
        raise kind(f"{where} is {shown(weights)}, expected a number for each class, a dict of them, or 'balanced'")
    return tuple(number(f"{where}[{label}]", weight) for label, weight in enumerate(weights))


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
