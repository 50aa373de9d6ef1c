"""Where data are wrong: what scikit-learn's checks of rows, targets and weights do not say, and what they let pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from fastnn.arrays import as_array, as_rows, check_finite
from fastnn.sklearn.borrowed import check_sample_weight
from fastnn.tables import is_sparse, labels_of


@contextmanager
def told(estimator: object, x: Any, y: Any = None) -> Iterator[None]:
    """Let scikit-learn's errors about x or y have a note that says where and what to do, as those of a `Model` do.

    Their texts stay what they are; Python has notes since 3.11, and shows them below the text. What it would take as
    other numbers than are meant is an error here: masked entries, and polars' dates, of which it sees the counts.
    """
    name = type(estimator).__name__
    require_unmasked(name, x, "X")
    require_unmasked(name, y, "y")
    require_known_text(name, x, "X")
    require_known_text(name, y, "y")
    if hasattr(x, "get_columns") and any(dtype.is_temporal() for dtype in x.dtypes):
        as_rows(x, f"{name}: X")
    try:
        yield
    except (TypeError, ValueError) as error:
        place = _place(x, y)
        if place is not None and hasattr(error, "add_note"):
            error.add_note(f"{name}: {place}")
        raise


def _place(x: Any, y: Any) -> str | None:
    """Return what is wrong with x or y, where it is seen without scikit-learn."""
    try:
        if not (is_sparse(x) or np.ndim(x) in (1, 3)):
            rows = as_rows(x, "X")
            if rows.shape[1] == 0:
                return f"X has shape {rows.shape}, expected at least one column"
            check_finite(rows, "X", None, labels_of(x))
    except (TypeError, ValueError) as error:
        return str(error)
    with suppress(TypeError):  # text is a label, and what is none the estimator says
        try:
            numbers = np.asarray([] if y is None or is_sparse(y) else as_array(y, "y"))
            if numbers.dtype.kind == "f":
                check_finite(numbers, "y")
        except ValueError as error:
            return str(error)
    return None


def require_unmasked(estimator: str, data: Any, name: str) -> None:
    """Raise ValueError where entries are masked, of which scikit-learn takes what lies under the mask."""
    if isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data):
        rows = f"{name}[known] with known = ~np.ma.getmaskarray({name}){'.any(axis=1)' if data.ndim > 1 else ''}"
        raise ValueError(f"{estimator}: {name} has masked entries: fill them, or leave such rows out, as by {rows}")


def require_known_text(estimator: str, data: Any, name: str) -> None:
    """Raise TypeError for NumPy's StringDType, of which scikit-learn only says that it is no dtype."""
    if isinstance(data, np.ndarray) and data.dtype.kind == "T":
        raise TypeError(
            f"{estimator}: {name} has the dtype {data.dtype}, which scikit-learn does not take: {name}.astype(object)"
        )


def weights_of_rows(estimator: object, weights: Any, x: Any, **options: Any) -> Any:
    """Return weights as scikit-learn checks them."""
    require_unmasked(type(estimator).__name__, weights, "sample_weight")
    return check_sample_weight(weights, x, **options)
