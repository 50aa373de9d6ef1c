"""Rows in two parts, one to train with and one to validate with; and some rows of whatever holds data."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.arrays import as_array
from fastnn.checks import number, number_of, shown, warn
from fastnn.settings import Flag, Number, Part
from fastnn.tables import is_sparse, table_of
from fastnn.values import is_of_arrow

Rows = NDArray[np.int64]
Codes = NDArray[np.int64]

_ROUNDING = 1e-9  # 0.3 of 10 rows are 3, not 4


class Split(Part):
    """A share of the rows, set aside for validation: ceil(fraction * rows), as scikit-learn's train_test_split.

    Which ones follows from the seed of the model alone: another fit of it on the same rows sets the same aside.

    Parameters
    ----------
    fraction : float
        Above 0 and below 1: the share of the rows. The ones that weigh nothing do not count.
    stratify : bool, array_like of shape (rows,), or None
        Whether each class keeps its share in both parts, to one row; an array holds classes of your own. None does so
        where the targets are classes. A class of one row is trained with.
    groups : array_like of shape (rows,), or None
        To which group a row belongs (a person, a day): groups stay together, and so many are drawn that their rows come
        nearest to the fraction.
    last : bool
        Whether it is the last rows that are set aside, in place of some that are drawn: for series, whose future is not
        known. Keras's validation_split does so.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Split
    >>> people = np.repeat([1, 2, 3, 4, 5], 20)
    >>> training, validation = Split(0.2, groups=people).rows(100)
    >>> len(validation), len(set(people[validation])), len(set(people[training]))
    (20, 1, 4)
    >>> Split(0.2, last=True).rows(10)[1]
    array([8, 9])
    """

    fraction: Any = Number(above=0.0, below=1.0, moves=False)
    last: Any = Flag()
    stratify: bool | NDArray[Any] | None
    groups: NDArray[Any] | None

    def __init__(
        self,
        fraction: float = 0.2,
        *,
        stratify: bool | ArrayLike | None = None,
        groups: ArrayLike | None = None,
        last: bool = False,
    ) -> None:
        self.fraction, self.last = fraction, last
        if isinstance(stratify, (bool, np.bool_)) or stratify is None:
            self.stratify = None if stratify is None else bool(stratify)
        else:
            self.stratify = labels_of_rows(stratify, "Split: stratify")
        self.groups = None if groups is None else labels_of_rows(groups, "Split: groups")
        stratifies = self.stratify is not None and self.stratify is not False
        given = {"stratify": stratifies, "groups": groups is not None, "last": self.last}
        if sum(given.values()) > 1:
            names = " and ".join(name for name, is_given in given.items() if is_given)
            raise ValueError(f"{self!r}: {names} exclude each other, expected one of them")

    def _setting(self, name: str) -> Any:
        value = super()._setting(name)
        return ... if isinstance(value, np.ndarray) else value

    def rows(
        self, n: int, classes: ArrayLike | None = None, counts: ArrayLike | None = None, seed: int = 0
    ) -> tuple[Rows, Rows]:
        """Return the numbers of the rows to train with, and of those to validate with, each in order.

        Parameters
        ----------
        n : int
            How many rows there are.
        classes : array_like of shape (rows,), or None
            What the rows are stratified by where `stratify` says no other classes.
        counts : array_like of bool of shape (rows,), or None
            Which rows count; others are with those to train with.
        seed : int
        """
        counting = np.arange(n) if counts is None else np.flatnonzero(counts)
        most = len(counting) - 1
        if most < 1:
            raise ValueError(
                f"{self!r}: {number_of(len(counting), 'row')} of x may be split, expected 2 at least: one to train "
                "with, and one to validate with"
            )
        wanted = min(ceil(self.fraction * len(counting) - _ROUNDING), most)
        if self.last:
            chosen = counting[len(counting) - wanted :]
        else:
            rng = np.random.default_rng([seed, 2])
            if self.groups is not None:
                chosen = counting[_whole_groups(self._codes("groups", n)[counting], wanted, rng)]
            else:
                codes = self._classes(n, classes)
                if codes is None:
                    chosen = counting[rng.permutation(len(counting))[:wanted]]
                else:
                    chosen = counting[_of_each_class(codes[counting], wanted, rng)]
        aside = np.zeros(n, bool)
        aside[chosen] = True
        return np.flatnonzero(~aside), np.flatnonzero(aside)

    def _codes(self, name: str, n: int) -> Codes:
        labels: NDArray[Any] = getattr(self, name)
        if len(labels) != n:
            raise ValueError(f"{self!r}: {name} has {number_of(len(labels), 'label')}, expected {n}, one for each row")
        return codes_of(labels)

    def _classes(self, n: int, classes: ArrayLike | None) -> Codes | None:
        if isinstance(self.stratify, np.ndarray):
            return self._codes("stratify", n)
        if self.stratify is False:
            return None
        if classes is None:
            if self.stratify:
                raise ValueError(
                    f"{self!r}: stratify is True, but the targets are no classes: pass an array of classes, "
                    "stratify=labels, one for each row"
                )
            return None
        return codes_of(np.asarray(classes))


def as_split(given: Any) -> Split | None:
    """Return what `fit` is given as a split: a number is its fraction."""
    if given is None or isinstance(given, Split):
        return given
    return Split(number("validation_split", given, above=0.0, below=1.0))


def labels_of_rows(labels: ArrayLike, name: str) -> NDArray[Any]:
    """Return a label for each row: numbers, texts, whatever can be told apart and put in order."""
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} is {shown(labels)}, expected one label for each row: (rows,)")
    try:
        codes_of(array)
    except TypeError:
        raise TypeError(
            f"{name} holds labels that cannot be put in order, expected all numbers, or all texts"
        ) from None
    return array


def codes_of(labels: NDArray[Any]) -> Codes:
    """Return labels as numbers 0, 1, 2 ... in their order."""
    codes: Codes = np.unique(labels, return_inverse=True)[1].reshape(-1)
    return codes


def shares(counts: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Return how many of each count are among so many of all: in proportion, by largest remainders, and never all."""
    exact = counts * (wanted / counts.sum())
    found: NDArray[np.int64] = np.minimum(np.floor(exact).astype(np.int64), counts - 1)
    order = np.argsort(found - exact, kind="stable")
    while found.sum() < wanted and (found < counts - 1).any():
        for i in order[: max(wanted - int(found.sum()), 0)]:
            found[i] += found[i] < counts[i] - 1
        order = order[found[order] < counts[order] - 1]
    return found


def _of_each_class(codes: Codes, wanted: int, rng: np.random.Generator) -> Rows:
    """Return rows of which each class has its share."""
    order = rng.permutation(len(codes))
    ordered = order[np.argsort(codes[order], kind="stable")]
    counts = np.bincount(codes)
    counts, starts = counts[counts > 0], np.flatnonzero(np.r_[True, np.diff(codes[ordered]) > 0])
    each = shares(counts, wanted)
    found: Rows = np.concatenate([ordered[start : start + n] for start, n in zip(starts, each, strict=True)])
    return found


def _whole_groups(codes: Codes, wanted: int, rng: np.random.Generator) -> Rows:
    """Return the rows of groups that come nearest to so many."""
    sizes = np.bincount(codes)
    groups = rng.permutation(np.flatnonzero(sizes))
    if len(groups) < 2:
        raise ValueError(
            "Split: groups is the same for all rows, expected 2 groups at least: one to train with, and one to "
            "validate with"
        )
    taken, chosen = 0, list[Any]()
    for group in groups:
        if len(chosen) < len(groups) - 1 and abs(taken + sizes[group] - wanted) < abs(taken - wanted):
            chosen.append(group)
            taken += sizes[group]
    if not chosen:  # each one is more than twice what is wanted
        chosen = [groups[np.argmin(sizes[groups])]]
    found: Rows = np.flatnonzero(np.isin(codes, chosen))
    return found


def k_folds(n: int, k: int) -> Codes:
    """Return in which of k folds each row is held out: rows in order, the first folds one longer if need be.

    As scikit-learn's KFold.
    """
    return np.repeat(np.arange(k), np.full(k, n // k) + (np.arange(k) < n % k))


def stratified_folds(classes: NDArray[Any], k: int) -> Codes:
    """Return in which of k folds each row is held out: each class has its share in all, by rows in order.

    As scikit-learn's StratifiedKFold. A warning names a class that is too small for each fold to have a row of it.
    """
    names, first, codes, counts = np.unique(classes, return_index=True, return_inverse=True, return_counts=True)
    if counts.min() < k:
        least = int(np.argmin(counts))
        what = f"class {names[least]} has {number_of(int(counts[least]), 'row')}, fewer than the {k} folds"
        if counts.max() < k:
            raise ValueError(
                f"folds: {what}, and no class has more than {counts.max()}: expected at most so many folds"
            )
        warn(f"folds: {what}: some hold out none of it")
    own = np.argsort(np.argsort(first))[codes.reshape(-1)]  # classes are counted as they come
    ordered, found = np.sort(own), np.empty(len(own), np.int64)
    each = np.stack([np.bincount(ordered[i::k], minlength=len(names)) for i in range(k)])
    for j in range(len(names)):
        found[own == j] = np.repeat(np.arange(k), each[:, j])
    return found


def group_folds(codes: Codes, k: int) -> Codes:
    """Return in which of k folds each row is held out: groups whole, large ones first, each to the smallest fold.

    As scikit-learn's GroupKFold.
    """
    sizes = np.bincount(codes)
    if len(sizes) < k:
        raise ValueError(f"folds: there are {number_of(len(sizes), 'group')}, expected at least {k}, one for each fold")
    fold, held = np.empty(len(sizes), np.int64), np.zeros(k)
    for group in np.argsort(sizes, kind="stable")[::-1]:
        fold[group] = np.argmin(held)
        held[fold[group]] += sizes[group]
    return fold[codes]


def rows_of(data: Any, rows: Rows) -> Any:
    """Return some rows of data, of the kind that these are: an array, a frame or series, sparse rows, a list."""
    if isinstance(data, np.ndarray):
        first, n = (int(rows[0]), len(rows)) if len(rows) else (0, 0)
        in_a_row = n > 0 and rows[-1] - first == n - 1
        return data[first : first + n] if in_a_row else data[rows]
    if hasattr(data, "iloc"):
        return data.iloc[rows]
    if is_of_arrow(data):
        return data.take(rows)
    if is_sparse(data):
        return data.tocsr()[rows]
    if isinstance(data, (list, tuple)):
        return [data[row] for row in rows.tolist()]
    if table_of(data) is not None or hasattr(data, "to_list"):  # of polars
        return data[rows]
    return as_array(data, "x")[rows]


def n_rows(data: Any) -> int:
    """Return how many rows data of any kind have."""
    shape = getattr(data, "shape", None)
    if shape:
        return int(shape[0])
    if not hasattr(data, "__len__"):
        raise TypeError(f"x is {shown(data)}, expected an array, a frame or a list, of rows that can be chosen from")
    return len(data)
