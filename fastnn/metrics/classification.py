"""Metrics of classes: how many are right, and which are taken for which."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.checks import count, number, shown
from fastnn.metrics.contract import Metric, mean
from fastnn.metrics.given import Classes, Given, classes_of, columns_of, confusion
from fastnn.settings import Number, OneOf

_UNDEFINED = float("nan")


class _OfClasses(Metric):
    """A metric of classes, which may have names."""

    reads_names = True

    def _one_class(self, given: Given) -> Classes:
        """Return classes, where each row has one."""
        classes = classes_of(given)
        if classes.are_several:
            raise ValueError(f"{self!r}: rows of y_true have several labels, expected one class for each row")
        return classes


class Accuracy(_OfClasses):
    """Σ weight [predicted = right] / Σ weight: the share of rows whose class is right.

    It is scikit-learn's accuracy_score: where rows have several labels, all of them must be right. One column of
    predictions is on its side of 0.5, or of 0 for classes -1 and 1; of several columns the largest is predicted. Keras
    has three names for it, and means `BinaryAccuracy` where rows have several labels.

    Examples
    --------
    >>> from fastnn.metrics import Accuracy
    >>> Accuracy()([0, 1, 1, 0], [0.2, 0.7, 0.4, 0.1])
    0.75
    """

    title = "accuracy"

    def _value(self, given: Given) -> float:
        classes = classes_of(given)
        right = classes.true == classes.pred
        if classes.are_several:
            right = right.all(axis=1)
        weight = given.of_rows
        return mean(right, None if weight is None else weight[:, None])


class BinaryAccuracy(_OfClasses):
    """Σ weight [predicted = right] / Σ weight over rows and columns: the share of right entries (Keras's formula).

    Each column is a question of its own, answered by a number above 0.5, or above 0 for answers -1 and 1. For one
    column it is `Accuracy`.

    Examples
    --------
    >>> from fastnn.metrics import BinaryAccuracy
    >>> BinaryAccuracy()([[0, 1], [1, 1]], [[0.2, 0.7], [0.9, 0.3]])
    0.75
    """

    title = "binary_accuracy"

    def _value(self, given: Given) -> float:
        if given.true.ndim == 1 or given.true.shape != given.pred.shape:
            classes = classes_of(given)
            return mean(classes.true == classes.pred, given.weight)
        middle = 0 if (given.true == -1).any() else 0.5
        return mean((given.true > middle) == (given.pred > middle), given.weight)


class TopK(Metric):
    """Σ weight [the right class is among the k with the largest scores] / Σ weight.

    It is scikit-learn's top_k_accuracy_score. Of equal scores that of the last column counts as larger, as there. With
    one column, k = 1 is `Accuracy`.

    Parameters
    ----------
    k : int
        At least 1.

    Examples
    --------
    >>> from fastnn.metrics import TopK
    >>> TopK(2)([0, 2], [[0.3, 0.5, 0.2], [0.4, 0.5, 0.1]])
    0.5
    """

    def __init__(self, k: int = 5) -> None:
        super().__init__()
        self.k = k

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, count("TopK: k", value) if name == "k" else value)

    @property
    def name(self) -> str:
        return f"top_{self.k}_accuracy"

    def _value(self, given: Given) -> float:
        right, scores, is_one = columns_of(given)
        if not is_one:
            raise ValueError(f"{self!r}: rows of y_true have several labels, expected one class for each row")
        weight = given.of_rows
        rows = None if weight is None else weight[:, None]
        if scores.shape[1] == 1:
            middle = 0 if given.true.ndim == 1 and (given.true == -1).any() else 0.5
            return mean(((scores > middle) == right)[:, 0] if self.k == 1 else np.ones(len(scores)), rows)
        labels = right.argmax(axis=1)
        own = np.take_along_axis(scores, labels[:, None], axis=1)
        behind = np.arange(scores.shape[1]) > labels[:, None]
        above = ((scores > own) | ((scores == own) & behind)).sum(axis=1)
        return mean(above < self.k, rows)


class BalancedAccuracy(_OfClasses):
    """Mean over classes of (rows of the class that are right) / (rows of the class): scikit-learn's.

    Classes that are predicted, but right in no row, are left out of the mean, about which scikit-learn warns.

    Examples
    --------
    >>> from fastnn.metrics import BalancedAccuracy
    >>> BalancedAccuracy()([0, 0, 0, 1], [0, 0, 1, 1])
    0.8333333333333333
    """

    title = "balanced_accuracy"

    def _value(self, given: Given) -> float:
        table = confusion(self._one_class(given), given.of_rows)
        rows = table.sum(axis=1)
        occurs = rows > 0
        return float(np.mean(table.diagonal()[occurs] / rows[occurs]))


class _Averaged(_OfClasses):
    """A ratio of counts, of class 1 or averaged over classes."""

    average: Any = OneOf("auto", "binary", "macro", "micro", "weighted")

    def _prepare(self) -> None:
        self.__dict__.update(average="auto", _zero_division=0.0)

    def __init__(self, average: str = "auto", zero_division: float = 0.0) -> None:
        super().__init__()
        self.average, self.zero_division = average, zero_division

    @property
    def zero_division(self) -> float:
        """What a ratio is taken for where nothing is to be divided by."""
        return self.__dict__["_zero_division"]  # type: ignore[no-any-return]

    @zero_division.setter
    def zero_division(self, value: float) -> None:
        where = f"{type(self).__name__}: zero_division"
        if not (isinstance(value, (float, np.floating)) and np.isnan(value)):
            value = number(where, value, most=1.0)
            if value not in (0, 1):
                raise ValueError(f"{where} is {value}, expected 0.0, 1.0 or float('nan')")
        self.__dict__["_zero_division"] = float(value)

    @property
    def name(self) -> str:
        return self.title + ("" if self.average in ("auto", "binary") else f"_{self.average}")

    def _value(self, given: Given) -> float:
        classes = classes_of(given)
        right, predicted, true = _counts(classes, given.weight if classes.are_several else given.of_rows)
        average, place = self.average, classes.positive
        if average == "auto":
            average = "macro" if place is None else "binary"
        if average == "binary":
            if place is None:
                names = "several labels in a row" if classes.names is None else shown(classes.names[:5].tolist())
                raise ValueError(
                    f"{self!r}: average is 'binary', but there are {names}, expected classes 0 and 1, or -1 and 1: use "
                    "average='macro', 'micro' or 'weighted'"
                )
            right, predicted, true = (np.array([one[place] if place >= 0 else 0.0]) for one in (right, predicted, true))
        elif average == "micro":
            right, predicted, true = (np.array([one.sum()]) for one in (right, predicted, true))
        above, below = self._ratio(right, predicted, true)
        empty = below == 0
        ratios = np.where(empty, self.zero_division, above / np.where(empty, 1, below))
        counts = ~np.isnan(ratios)
        if not counts.any():
            return _UNDEFINED
        weights = true[counts] if average == "weighted" and true[counts].any() else None
        return float(np.average(ratios[counts], weights=weights))

    @abstractmethod
    def _ratio(self, right: Array, predicted: Array, true: Array) -> tuple[Array, Array]:
        """Return what is divided by what."""


def _counts(classes: Classes, weight: Array | None) -> tuple[Array, ...]:
    """Return of each class what those rows weigh that are right, that are predicted as it, and that are of it."""
    true, pred = classes.true, classes.pred
    if classes.names is not None:
        n, right = len(classes.names), true == pred
        return (
            np.bincount(true[right], None if weight is None else weight[right], n).astype(np.float64),
            np.bincount(pred, weight, n).astype(np.float64),
            np.bincount(true, weight, n).astype(np.float64),
        )
    factor: Any = 1.0 if weight is None else weight
    return tuple(np.asarray((factor * one).sum(axis=0)) for one in (true & pred, pred, true))


class Precision(_Averaged):
    """(rows of a class that are predicted as it) / (rows that are predicted as it): the formula of scikit-learn's.

    Parameters
    ----------
    average : {"auto", "binary", "macro", "micro", "weighted"}
        "binary": of class 1, where classes are 0 and 1, or -1 and 1. Over classes that occur: "macro" is their mean,
        "weighted" that by what rows of a class weigh, "micro" the ratio of the sums. "auto" is binary where it can be,
        else macro; scikit-learn's default is binary, and an error for more classes.
    zero_division : float
        0, 1 or NaN: what a ratio is where there is nothing to divide by; NaN is left out of means. scikit-learn's
        default is 0, too, with a warning.

    Examples
    --------
    >>> from fastnn.metrics import Precision
    >>> Precision()([0, 1, 1, 0], [0.2, 0.7, 0.4, 0.6])
    0.5
    """

    title = "precision"

    def _ratio(self, right: Array, predicted: Array, true: Array) -> tuple[Array, Array]:
        return right, predicted


class Recall(_Averaged):
    """(rows of a class that are predicted as it) / (rows of the class): the formula of scikit-learn's recall_score.

    Parameters
    ----------
    average, zero_division
        As of `Precision`.

    Examples
    --------
    >>> from fastnn.metrics import Recall
    >>> Recall(average="macro")([0, 1, 1, 2], [0, 1, 2, 2])
    0.8333333333333334
    """

    title = "recall"

    def _ratio(self, right: Array, predicted: Array, true: Array) -> tuple[Array, Array]:
        return right, true


class FBeta(_Averaged):
    """(1 + beta²) right / (beta² true + predicted): the mean of precision and recall (van Rijsbergen 1979).

    Right are the rows of a class that are predicted as it, true those of it, predicted those that are predicted as it.
    It is scikit-learn's fbeta_score; "f1" is ``FBeta(1)``.

    Parameters
    ----------
    beta : float
        Above 0: how much more recall counts than precision.
    average, zero_division
        As of `Precision`.

    Examples
    --------
    >>> from fastnn.metrics import FBeta
    >>> FBeta(2, average="macro")([0, 1, 1, 2], [0, 1, 2, 2])
    0.7962962962962963
    """

    title = "f"
    beta: Any = Number(above=0.0, moves=False)

    def __init__(self, beta: float = 1.0, average: str = "auto", zero_division: float = 0.0) -> None:
        super().__init__(average, zero_division)
        self.beta = beta

    @property
    def name(self) -> str:
        return super().name.replace("f", f"f{self.beta:g}", 1)

    def _ratio(self, right: Array, predicted: Array, true: Array) -> tuple[Array, Array]:
        square = self.beta**2
        return (1 + square) * right, square * true + predicted


class CohenKappa(_OfClasses):
    """1 - Σ w_ij c_ij / Σ w_ij e_ij: agreement beyond what chance gives (Cohen 1960), scikit-learn's.

    c is the table of what rows weigh by the right and the predicted class, e that of independent ones with the same
    sums. NaN where only one class occurs, as in scikit-learn, which warns.

    Parameters
    ----------
    weights : {"none", "linear", "quadratic"}
        What it counts to take class i for j: 1, |i - j| or (i - j)², by their places among classes that occur.

    Examples
    --------
    >>> from fastnn.metrics import CohenKappa
    >>> CohenKappa()([0, 0, 1, 1], [0, 0, 1, 0])
    0.5
    """

    title = "cohen_kappa"
    weights: Any = OneOf("none", "linear", "quadratic")

    def _prepare(self) -> None:
        self.__dict__["weights"] = "none"

    def __init__(self, weights: str | None = "none") -> None:
        super().__init__()
        self.weights = "none" if weights is None else weights

    @property
    def name(self) -> str:
        return self.title + ("" if self.weights == "none" else f"_{self.weights}")

    def _value(self, given: Given) -> float:
        table = confusion(self._one_class(given), given.of_rows)
        places = np.arange(len(table))
        apart = np.abs(places[:, None] - places)
        power = {"none": apart > 0, "linear": apart, "quadratic": apart**2}[self.weights]
        expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
        below = float((power * expected).sum())
        return 1 - float((power * table).sum()) / below if below else _UNDEFINED


class Matthews(_OfClasses):
    """(c s - Σ p_k t_k) / sqrt((s² - Σ p_k²) (s² - Σ t_k²)): the correlation of classes (Matthews 1975, Gorodkin 2004).

    c is what right rows weigh, s all, t_k those of class k, p_k those predicted as it. It is scikit-learn's
    matthews_corrcoef: 0 where all rows are of one class, or predicted as one.

    Examples
    --------
    >>> from fastnn.metrics import Matthews
    >>> round(Matthews()([0, 0, 1, 1], [0, 0, 1, 0]), 4)
    0.5774
    """

    title = "matthews"

    def _value(self, given: Given) -> float:
        table = confusion(self._one_class(given), given.of_rows)
        true, pred, total = table.sum(axis=1), table.sum(axis=0), table.sum()
        if (true > 0).sum() < 2 or (pred > 0).sum() < 2:
            return 0.0
        below = (total**2 - pred @ pred) * (total**2 - true @ true)
        return float((table.trace() * total - true @ pred) / np.sqrt(below)) if below > 0 else 0.0
