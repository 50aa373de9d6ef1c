"""Classes in files: labels of any dtype, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.records import Labels, Record, dates_of

_MOST_SHOWN = 8


def classes_state(classes: Array) -> dict[str, Any]:
    """Return labels of any dtype."""
    if classes.dtype.kind in "mM":
        return {"dtype": classes.dtype.name, "values": classes.astype(np.int64)}
    if classes.dtype.kind in "US":
        return {"dtype": classes.dtype.str, "values": classes}  # which may be wider than its texts
    return {"dtype": classes.dtype.str if classes.dtype.kind != "O" else "O", "values": Labels(classes.tolist())}


def classes_from(state: Record, least: int = 2) -> Array:
    """Return them again: so many at least, in order."""
    dtype = state.text("dtype")
    if dtype[:1] in "mMdt" and dtype != "O":
        found: Array = state.array("values", np.int64, None).astype(dates_of(dtype))
    else:
        values = state.labels("values")
        kind, size = dtype.lstrip("<>|=")[:1], dtype.lstrip("<>|=")[1:]
        if kind not in "biufUSO" or not (kind == "O" or size.isdecimal()):
            raise ModelFormatError(f"its classes have the dtype {dtype[:40]!r}, expected that of numbers or text")
        if kind != "O":
            state.spend(len(values) * int(size) * (4 if kind == "U" else 1), f"classes of the dtype {dtype[:40]}")
        found = np.array(values, object).astype(dtype) if kind != "O" else np.array(values, object)
    if found.ndim != 1 or len(found) < least or not (found[:-1] < found[1:]).all():
        raise ModelFormatError(f"its classes are not in order, or fewer than {least}")
    return found


def classes_in_words(classes: Array) -> str:
    """Return the first of them."""
    some = ", ".join(map(str, classes[:_MOST_SHOWN].tolist()))
    return f"{some}, ... ({len(classes)} in all)" if len(classes) > _MOST_SHOWN else some
