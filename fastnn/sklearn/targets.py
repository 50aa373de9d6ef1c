"""Targets and validation data as people have them, checked."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import column_or_1d

from fastnn.checks import number_of, shown
from fastnn.sklearn.places import require_known_text, require_unmasked
from fastnn.tables import is_sparse
from fastnn.values import is_missing

_MOST = float(np.finfo(np.float32).max)


def targets_in(estimator: object, y: Any, n: int) -> Any:
    """Return targets as an array of as many rows."""
    name = type(estimator).__name__
    if y is None:
        raise ValueError(f"This {name} estimator requires y to be passed, but the target y is None.")
    require_unmasked(name, y, "y")
    if is_sparse(y):
        raise TypeError(f"{name}: y is a sparse matrix, expected an array: y.toarray()")
    y = np.asarray(y)
    if y.ndim == 0 or len(y) != n:
        raise ValueError(
            f"{name}: y has {len(y) if y.ndim else 'no'} rows, expected {n}: inconsistent numbers of samples"
        )
    if y.ndim > 2 or y.size == 0:
        raise ValueError(f"{name}: y has shape {y.shape}, expected ({n},) or ({n}, targets)")
    if y.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name}: y has the dtype {y.dtype}")
    if y.dtype.kind == "f":
        refuse_missing(name, y)
    if y.dtype.kind in "mM" and np.isnat(y).any():
        refuse_missing(name, np.where(np.isnat(y), np.nan, 0.0))
    if y.dtype.kind == "O":
        _refuse_nothing(name, y)
    return y


def _refuse_nothing(name: str, y: NDArray[Any]) -> None:
    missing = [i for i, value in enumerate(y.ravel()) if is_missing(value)]
    if missing:
        rows = number_of(len(missing), "row")
        raise ValueError(f"{name}: Input y contains NaN: missing in {rows}, row {missing[0]} the first")


def refuse_missing(name: str, y: NDArray[Any]) -> None:
    """Raise ValueError for targets that are no finite numbers, which says in which rows."""
    odd = ~np.isfinite(y)
    rows = np.flatnonzero(odd.any(axis=1) if odd.ndim == 2 else odd)
    if len(rows):
        raise ValueError(
            f"{name}: Input y contains NaN or infinity in {number_of(len(rows), 'row')}, row {rows[0]} the first: "
            "leave such rows out, as by X[known], y[known] with known = np.isfinite(y)"
        )


def labels_to_learn(estimator: object, y: Any, n: int, warn: bool) -> NDArray[Any]:
    """Return one label for each of so many rows."""
    name, found = type(estimator).__name__, targets_in(estimator, y, n)
    if found.ndim == 2 and found.shape[1] > 1:
        raise ValueError(
            f"{name}: y should be a 1d array, got an array of shape {found.shape} instead: of several columns of "
            f"labels MLPClassifier trains one net, and sklearn.multioutput.MultiOutputClassifier({name}()) one for each"
        )
    require_known_text(name, found, "y")
    found = column_or_1d(found, warn=warn)
    return labels_of(name, found) if found.dtype.kind == "O" else found


def labels_of(name: str, y: NDArray[Any]) -> NDArray[Any]:
    """Return labels that are objects as what they are: text, numbers or booleans, all of one kind."""
    _refuse_nothing(name, y)
    first: dict[str, Any] = {}
    for value in y.ravel().tolist():
        kind = next((kind for kind, classes in _KINDS.items() if isinstance(value, classes)), type(value).__name__)
        first.setdefault(kind, value)
    if len(first) > 1:
        (one, a), (other, b) = [*first.items()][:2]
        raise ValueError(
            f"{name}: y holds {one} ({shown(a)}) and {other} ({shown(b)}), expected labels of one kind: make text of "
            "all, as by [str(label) for label in y]"
        )
    return y if next(iter(first)) in ("text", "bytes") else np.array(y.tolist())


_KINDS: dict[str, Any] = {
    "text": str, "bytes": bytes, "booleans": (bool, np.bool_), "numbers": (int, float, np.integer, np.floating),
    "dates": (datetime.date, np.datetime64),
}  # fmt: skip


def numbers_to_learn(estimator: object, y: Any, n: int) -> NDArray[np.float64]:
    """Return targets that are numbers, in the range of float32."""
    name = type(estimator).__name__
    y = targets_in(estimator, y, n)
    if y.dtype.kind in "mM":
        raise ValueError(
            f"{name}: y holds {'dates' if y.dtype.kind == 'M' else 'time spans'}, expected numbers: "
            f"(y - y.min()) / np.timedelta64(1, 's') are seconds"
        )
    try:
        found: NDArray[np.float64] = y.astype(np.float64)
    except OverflowError:
        found = np.array([_MOST * 10])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: y holds what is no number: {error}") from None
    if np.isnan(found).any():
        refuse_missing(name, found)
    most = np.abs(found).max()
    if most > _MOST:
        raise ValueError(
            f"{name}: Input y contains infinity or a number beyond float32's range: {most:.3g} in size, expected at "
            f"most {_MOST:.3g}: divide y, or leave such rows out"
        )
    return found


def validation_in(estimator: object, given: Any) -> Any:
    """Return what was given, where it is (x, y) or (x, y, weights)."""
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        raise TypeError(
            f"{type(estimator).__name__}: validation_data is {shown(given)}, expected (X, y) or (X, y, sample_weight)"
        )
    return given
