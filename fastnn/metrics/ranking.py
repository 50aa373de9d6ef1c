"""Metrics of order: whether rows of a class have higher scores than others."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.metrics.contract import Metric
from fastnn.metrics.given import Given, columns_of
from fastnn.settings import OneOf


def _sums(right: Array, scores: Array, weight: Array | None) -> tuple[Array, Array]:
    """Return what rows weigh that are of the class, and others, from the highest score down to each that occurs."""
    order = np.argsort(-scores, kind="stable")
    sorted_scores, right = scores[order], right[order]
    w: Any = 1.0 if weight is None else weight[order]
    last = np.append(np.flatnonzero(np.diff(sorted_scores)), len(order) - 1)
    return np.cumsum(right * w)[last], np.cumsum(~right * w)[last]


def _area(right: Array, scores: Array, weight: Array | None) -> float:
    """Return the area under the curve of the share of rows of the class over that of others."""
    if right.all() or not right.any():
        return float("nan")
    hits, others = (np.append(0.0, sums) for sums in _sums(right, scores, weight))
    area = (np.diff(others) * (hits[1:] + hits[:-1])).sum() / 2
    return float(area / hits[-1] / others[-1])


def _precision(right: Array, scores: Array, weight: Array | None) -> float:
    """Return the mean precision at each score, by how much recall rises there."""
    if not right.any():
        return 0.0
    hits, others = _sums(right, scores, weight)
    return float((np.diff(hits, prepend=0.0) * (hits / (hits + others))).sum() / hits[-1])


class _Ranking(Metric):
    average: Any = OneOf("macro", "micro", "weighted")

    def _prepare(self) -> None:
        self.__dict__["average"] = "macro"

    def __init__(self, average: str = "macro") -> None:
        super().__init__()
        self.average = average

    @property
    def name(self) -> str:
        return self.title + ("" if self.average == "macro" else f"_{self.average}")

    def _over_columns(
        self, right: Array, scores: Array, weight: Array | None, of_one: Callable[[Array, Array, Array | None], float]
    ) -> float:
        n = right.shape[1]
        if self.average == "micro" and n > 1:
            each = None if weight is None else np.broadcast_to(weight, right.shape).ravel()
            return of_one(right.ravel(), scores.ravel(), each)
        columns: list[Array | None] = [
            None if weight is None else weight[:, min(j, weight.shape[1] - 1)] for j in range(n)
        ]
        values = np.array([of_one(right[:, j], scores[:, j], columns[j]) for j in range(n)])
        if self.average != "weighted" or n == 1:
            return float(values.mean())
        weights = (right * (1.0 if weight is None else weight)).sum(axis=0)
        if not weights.any():
            return 0.0
        return float(np.average(np.where(weights > 0, values, 0.0), weights=weights))


class RocAUC(_Ranking):
    """P(score of a row of the class > that of another), half for equal ones: the area under the ROC curve.

    It is scikit-learn's roc_auc_score (Hanley and McNeil 1982; of pairs of classes Hand and Till 2001), of scores of
    any scale. One column is that of class 1, and so is the second of two. NaN where a class occurs in no row or in all,
    as in scikit-learn, which warns; pairs are those of classes that occur.

    Parameters
    ----------
    average : {"macro", "micro", "weighted"}
        Over classes: their mean; all columns as one; the mean by what rows of a class weigh.
    multi_class : {"ovr", "ovo"}
        Of three classes and more: each against the rest, or each pair. The latter takes weights of rows, too, which
        scikit-learn does not, and has no average "micro".

    Examples
    --------
    >>> from fastnn.metrics import RocAUC
    >>> RocAUC()([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """

    title = "roc_auc"
    multi_class: Any = OneOf("ovr", "ovo")

    def _prepare(self) -> None:
        self.__dict__.update(average="macro", multi_class="ovr")

    def __init__(self, average: str = "macro", multi_class: str = "ovr") -> None:
        super().__init__(average)
        self.multi_class = multi_class
        if multi_class == "ovo" and average == "micro":
            raise ValueError("RocAUC: average is 'micro', expected 'macro' or 'weighted' for multi_class='ovo'")

    @property
    def name(self) -> str:
        of_pairs = "_ovo" if self.multi_class == "ovo" else ""
        return self.title + of_pairs + super().name[len(self.title) :]

    def _value(self, given: Given) -> float:
        right, scores, is_one = columns_of(given)
        if self.multi_class == "ovr" or not is_one or right.shape[1] == 1:
            return self._over_columns(right, scores, given.weight, _area)
        weight, occur = given.of_rows, np.flatnonzero(right.any(axis=0))
        values, weights = [], []
        for a, b in combinations(occur.tolist(), 2):
            rows = right[:, a] | right[:, b]
            w = None if weight is None else weight[rows]
            both = _area(right[rows, a], scores[rows, a], w) + _area(right[rows, b], scores[rows, b], w)
            values.append(both / 2)
            weights.append(float(rows.sum()) if w is None else float(w.sum()))
        if not values:
            return float("nan")
        return float(np.average(values, weights=weights if self.average == "weighted" else None))


class AveragePrecision(_Ranking):
    """Σ_n (R_n - R_n-1) P_n over scores that occur: precision by how much recall rises, scikit-learn's.

    One column is that of class 1, and so is the second of two. 0 for a class that occurs in no row, as in scikit-learn,
    which warns.

    Parameters
    ----------
    average : {"macro", "micro", "weighted"}
        Over classes: their mean; all columns as one; the mean by what rows of a class weigh.

    Examples
    --------
    >>> from fastnn.metrics import AveragePrecision
    >>> round(AveragePrecision()([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 6)
    0.833333
    """

    title = "average_precision"

    def _value(self, given: Given) -> float:
        right, scores, _ = columns_of(given)
        return self._over_columns(right, scores, given.weight, _precision)
