"""The column that is learnt: numbers, or classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import number_of
from fastnn.cli.errors import CommandError
from fastnn.cli.kinds import truths_in
from fastnn.sklearn.frames import Column

_MOST_CLASSES = 10  # whole numbers of so few values are classes
_OFTEN = 5  # rows that each of these has at least, on average
_MANY, _SHARE = 10, 0.3  # texts, by number and by share of the rows, that are hardly classes
_EXACT = 2**53  # below which float64 holds all whole numbers


@dataclass(frozen=True)
class Target:
    """What is learnt.

    Attributes
    ----------
    of_classes : bool
    known : ndarray of int
        The rows in which it is not missing.
    y : ndarray
        Of the known rows.
    why : str
        Why it is taken for classes or for numbers.
    """

    of_classes: bool
    known: NDArray[np.intp]
    y: NDArray[Any]
    why: str


def target_in(where: str, column: Column, task: str, hint: str = "") -> Target:
    """Return a column as what is learnt: its task is "classification", "regression" or "auto".

    Errors begin with `where`; `hint` says why a column of numbers is text.

    Raises
    ------
    CommandError
        Where it can be neither.
    """
    if column.kind == "date":
        raise CommandError(f"{where} holds dates, expected numbers or classes")
    if column.kind == "empty":
        raise CommandError(f"{where} is missing in all rows")
    if column.kind == "category":
        return _of_words(where, column, task, hint)
    return _of_numbers(where, column, task)


def _of_words(where: str, column: Column, task: str, hint: str) -> Target:
    known = np.flatnonzero(column.codes >= 0)
    words = column.values
    if task == "regression":
        raise CommandError(f"{where} holds {words[0]!r}: --task regression needs numbers")
    if task == "auto" and hint:
        raise CommandError(f"{where} is {hint}: mend that, or --task classification takes each text for a class")
    if task == "auto" and len(words) > _MANY and len(words) > _SHARE * len(known):
        raise CommandError(
            f"{where} has {len(words):,} texts in {len(known):,} rows, such as {words[0]!r}: numbers need a decimal "
            "point and no other signs; --task classification takes each text for a class"
        )
    kinds = {type(value) for value in words}
    array = np.array(words if len(kinds) == 1 else [str(value) for value in words])
    return Target(
        True, known, array[column.codes[known]], "it holds text" if str in kinds else "it holds true and false"
    )


def _of_numbers(where: str, column: Column, task: str) -> Target:
    known = np.flatnonzero(~np.isnan(column.numbers))
    y = column.numbers[known]
    values = np.unique(y)
    if not len(values) or not np.isfinite(values).all():
        raise CommandError(f"{where} is {'infinite in some rows' if len(values) else 'missing in all rows'}")
    whole = bool((values == np.floor(values)).all() and np.abs(values).max() < _EXACT)
    few = whole and (len(values) == 2 or (len(values) <= _MOST_CLASSES and len(y) >= _OFTEN * len(values)))
    of_classes, why = few, number_of(len(values), "whole number" if whole else "number")
    if task == "classification" and (values != np.floor(values)).any():
        odd = values[values != np.floor(values)][0]
        raise CommandError(
            f"{where} holds numbers with fractions, such as {odd:g}, which are no classes: --task regression"
        )
    if task != "auto":
        of_classes, why = task == "classification", f"--task {task}"
    return Target(of_classes, known, y.astype(np.int64) if of_classes and whole else y, why)


def labels_like(classes: NDArray[Any], column: Column, where: str) -> NDArray[Any]:
    """Return targets of other rows as the classes are: text, truth values or numbers; None where one is missing.

    Raises
    ------
    CommandError
        For a class that the model does not know.
    """
    if column.codes is not None:
        known = [*column.values, None]
        found = [known[code] for code in column.codes.tolist()]
    else:
        found = [None if value != value else value for value in column.numbers.tolist()]
    places = {value: value for value in classes.tolist()} | {str(value): value for value in classes.tolist()}
    places |= truths_in(classes.tolist())
    if classes.dtype.kind == "b":
        places |= {"true": True, "false": False, "True": True, "False": False}
    odd = next((value for value in found if value is not None and value not in places), None)
    if odd is not None:
        raise CommandError(f"{where} has {odd!r}, which is not among the classes {classes.tolist()}")
    return np.array([None if value is None else places[value] for value in found], object)
