"""Numbers from whatever holds them; and what holds none is refused by its place, with what to do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from numbers import Complex, Number, Real
from typing import Any, NamedTuple

import numpy as np

from fastnn.arena import Array

_DATES = ("date", "datetime", "Timestamp", "Period", "NaTType", "time")
_DURATIONS = ("timedelta", "Timedelta")
_KINDS = {
    "U": "text",
    "S": "text",
    "T": "text",
    "M": "dates",
    "m": "durations",
    "c": "complex numbers",
    "category": "categories",
    "V": "records",
}


class Place(NamedTuple):
    """Where data stand: an argument, or a column of it.

    Attributes
    ----------
    name : str
        What an error calls the argument, whose own name is the last word: "x", "Dense 1: x".
    label : object
        That of the column, or None.
    """

    name: str
    label: object = None

    def __str__(self) -> str:
        return self.name if self.label is None else f"{self.name}: column {self.label!r}"

    @property
    def argument(self) -> str:
        """The argument as code."""
        return self.name.split()[-1]

    @property
    def code(self) -> str:
        """What stands there, as code."""
        return self.argument if self.label is None else f"{self.argument}[{self.label!r}]"


def is_missing(value: Any) -> bool:
    """Whether a value says that there is none: None, NaN, NaT or pandas's NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return False


def numbers_of(data: Any, name: str, label: object = None, may_miss: bool = True) -> Array:
    """Return what an array, a list, or a column of a data frame holds, as an array of numbers of this machine's order.

    A copy is made only where needed. What is missing becomes NaN, where it may. Name and label say where it stands, as
    in `Place`.

    Raises
    ------
    TypeError
        For what is no array, and for text, categories, dates, complex numbers and other objects.
    ValueError
        For ragged lists, and for numbers that no float64 holds.
    """
    of_frames = hasattr(data, "to_numpy") and (hasattr(data, "dtype") or is_of_arrow(data))  # a column of pandas ...
    if not of_frames and not isinstance(data, (list, tuple, np.ndarray)):
        _require_array(data, Place(name, label))
    try:
        values = _of_column(data, Place(name, label)) if of_frames else np.asarray(data)
    except ValueError as error:
        raise ValueError(f"{Place(name, label)} is no rectangular array of numbers: {error}") from None
    if values.dtype.kind == "O":
        return _of_objects(values, data, Place(name, label), may_miss)
    if values.dtype.kind not in "fiub":
        raise _no_numbers(values, data, Place(name, label), values.dtype.kind)
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def numbers_by_name(values: Any, names: Sequence[Any], name: str) -> Array:
    """Return the numbers of one row, as `numbers_of`: errors tell the name of the one that is none."""
    try:
        return numbers_of(values, name)
    except (TypeError, ValueError):
        for label, value in zip(names, values, strict=False):
            cell = np.empty(1, object)
            cell[0] = value
            numbers_of(cell, name, label)
        raise


def is_of_arrow(data: Any) -> bool:
    """Whether it is a column or a table of pyarrow."""
    return hasattr(data, "to_pylist")


def _dtype_of(column: Any) -> Any:
    return column.type if is_of_arrow(column) else column.dtype


def _of_column(column: Any, place: Place) -> Array:
    dtype = _dtype_of(column)
    kind = "category" if str(dtype).startswith(("category", "dictionary")) else getattr(dtype, "kind", "")
    try:
        values = np.asarray(column if is_of_arrow(column) else column.to_numpy())
    except Exception:  # of polars: for numbers that NumPy has no dtype for
        values = np.array(column.to_list(), object)
    if kind in ("category", "M", "m"):  # some of them would give numbers, or objects
        raise _no_numbers(values, column, place, kind)
    if place.label is not None and values.ndim != 1:
        raise _no_numbers(np.array([*column, None], object)[:-1], column, place, "O")
    return values


def _of_objects(values: Array, data: Any, place: Place, may_miss: bool) -> Array:
    """Return the numbers that an array of objects holds; whole ones stay whole where nothing is missing."""
    flat = values.ravel()
    kinds = set(map(type, flat))
    missing = set(filter(_is_missing, kinds))
    if not all(map(_is_number, kinds - missing)):
        raise _no_numbers(values, data, place, "O")
    if missing and not may_miss:
        i = next(i for i, value in enumerate(flat) if type(value) in missing)
        raise TypeError(f"{place} holds {flat[i]} at {_at(values, i)}, expected numbers")
    if missing:
        flat = np.array([np.nan if type(value) in missing else value for value in flat], object)
    whole = bool(kinds) and all(issubclass(kind, (int, np.integer, np.bool_)) for kind in kinds)
    for dtype in (np.int64, np.float64) if whole else (np.float64,):
        numbers = _converted(flat, dtype)
        if numbers is not None:
            return numbers if values.ndim == 1 else numbers.reshape(values.shape)
    i = next(i for i in range(flat.size) if _converted(flat[i : i + 1], np.float64) is None)
    raise ValueError(f"{place} is {_short(flat[i])} at {_at(values, i)}, which no float64 holds")


def _converted(objects: Array, dtype: type) -> Array | None:
    try:
        return objects.astype(dtype)
    except (OverflowError, ValueError, ArithmeticError):
        return None


def _is_missing(kind: type) -> bool:
    return kind is type(None) or kind.__name__ == "NAType"


def _is_number(kind: type) -> bool:
    if issubclass(kind, np.timedelta64):  # which NumPy takes for a whole number
        return False
    return issubclass(kind, (Real, np.bool_)) or (issubclass(kind, Number) and not issubclass(kind, Complex))


def _at(values: Array, i: int) -> str:
    row, *column = np.unravel_index(i, values.shape) if values.ndim else (0,)
    return f"row {row}" + (f", column {column[0]}" if column else "")


def _short(value: object) -> str:
    text = " ".join(repr(value).splitlines())
    return text if len(text) <= 40 else f"{text[:37]}..."


def _no_numbers(values: Array, data: Any, place: Place, kind: str) -> TypeError:
    """Return the error for values that are no numbers: what they are, an example, and what to do."""
    telling = [*islice(filter(partial(_tells, kind), enumerate(values.ravel())), 1000)]
    i, example = next((pair for pair in telling if not _reads_as_number(pair[1])), [*telling, (0, None)][0])
    if kind == "O":
        kind = _kind_of(example)
    what = _KINDS.get(kind, f"{type(example).__name__} objects")
    of = f"dtype {_dtype_of(data) if is_of_arrow(data) else getattr(data, 'dtype', values.dtype)}"
    if example is not None:
        shown = str(example) if isinstance(example, (np.datetime64, np.timedelta64)) else _short(_plain(example))
        of += f", {shown} at {_at(values, i)}"
    real = "real " if kind == "c" else ""
    return TypeError(f"{place} holds {what} ({of}), expected {real}numbers: {_cure(kind, example, data, place)}")


def _tells(kind: str, pair: tuple[int, Any]) -> bool:
    """Whether a value shows what is wrong with its neighbours."""
    value = pair[1]
    if kind == "O":
        return not (_is_missing(type(value)) or _is_number(type(value)))
    return not (_is_missing(type(value)) or bool(value != value))


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _kind_of(example: object) -> str:
    if isinstance(example, (str, bytes)):
        return "U"
    if isinstance(example, Complex):
        return "c"
    name = type(example).__name__
    return "M" if name in _DATES else "m" if name in _DURATIONS else "O"


def _cure(kind: str, example: Any, data: Any, place: Place) -> str:
    """Return what to do with values that are no numbers."""
    code, library = place.code, type(data).__module__.partition(".")[0]
    if kind in ("U", "S", "T", "category"):
        if _reads_as_number(example):
            convert = {"pandas": f"{code}.astype(float)", "polars": f"{code}.cast(float)"}
            return f"what reads as numbers is converted by {convert.get(library, f'np.asarray({code}, float)')}"
        if place.argument == "y":
            return "encode classes as whole numbers from 0, as in: classes, y = np.unique(y, return_inverse=True)"
        if place.label is not None and library in ("pandas", "polars"):
            dummies = f"pandas.get_dummies({place.argument}, columns=[{place.label!r}])"
            dummies = dummies if library == "pandas" else f"{place.argument}.to_dummies({place.label!r})"
            codes = "as codes for an Embedding" + " by pandas.Categorical" * (library == "pandas")
            return f"encode text and categories, {codes}, or for example as a column for each: {dummies}"
        return "encode text and categories as numbers, for example as a column of 0 and 1 for each"
    if library == "pyarrow":
        code = f"np.asarray({code})"
    if kind in ("M", "m"):
        since = code if kind == "m" else f"({code} - {code}.min())"
        if library not in ("pandas", "polars"):
            return f"a number is, for example, the time in seconds: {since} / np.timedelta64(1, 's')"
        if str(data.dtype).startswith("period"):
            return f"a number is, for example, that of the period: {code}.astype('int64') - {code}.min().ordinal"
        if str(data.dtype).lower() == "object":
            return f"convert it first: pandas.to_{'timedelta' if kind == 'm' else 'datetime'}({code})"
        return f"a number is, for example, the time in seconds: {since}.dt.total_seconds()"
    if kind == "V":
        return f"columns are made of fields by numpy.lib.recfunctions: structured_to_unstructured({code})"
    if kind == "c":
        return "pass .real, or both parts as columns"
    if isinstance(example, Mapping):
        split = {"polars": f"{place.argument}.unnest({place.label!r})", "pyarrow": f"{place.argument}.flatten()"}
        if place.label is not None and library in split:
            return f"each of its fields becomes a column by {split[library]}"
        return f"rows that are dicts are a table as pandas.DataFrame({code})"
    if isinstance(example, Iterable):
        return f"each of its numbers needs a column of its own: np.stack({code})"
    return "convert it to numbers first"


def _reads_as_number(example: Any) -> bool:
    try:
        float(example if isinstance(example, (str, bytes)) or _is_number(type(example)) else "")
    except (TypeError, ValueError, ArithmeticError):
        return False
    return True


def _require_array(data: Any, place: Place) -> None:
    """Raise TypeError for what people pass where data are expected, and NumPy would take for one object."""
    code, kind = place.argument, type(data).__name__
    are_tables = code in ("x", "y")
    if data is None:
        what = "an array, a list of rows or a data frame" if are_tables else "an array or a list"
        raise TypeError(
            f"{place} is None, expected numbers: pass {what}; a function that was to make it may lack its return"
        )
    if isinstance(data, (str, bytes)) and not are_tables:
        raise TypeError(f"{place} is {_short(data)}, expected numbers: pass an array or a list")
    if isinstance(data, (str, bytes, os.PathLike)):
        cure = f"read a file first, for example by np.loadtxt({_short(data)}, delimiter=',') or pandas.read_csv"
        raise TypeError(f"{place} is {_short(data)}, expected numbers, not the name of a file: {cure}")
    if isinstance(data, Mapping):
        if code == "sample_weight":
            cure = "weights of classes become one for each row by np.array([sample_weight[label] for label in y])"
        elif code == "row":
            cure = "pass [row[name] for name in names], with the names in the order of the columns: net.feature_names"
            cure += ", where the model was given a data frame"
        else:
            cure = f"its values are columns of np.column_stack(list({code}.values())), or of pandas.DataFrame({code})"
    elif isinstance(data, (set, frozenset)):
        cure = f"a set has no order: pass a list, for example sorted({code})"
    elif hasattr(data, "collect"):
        cure = f"it is computed by {code}.collect()"
    elif hasattr(data, "read"):
        cure = f"read it first, for example by np.loadtxt({code}, delimiter=',') or pandas.read_csv({code})"
    elif hasattr(data, "__next__"):
        cure = f"it can be read only once: pass list({code})"
    elif isinstance(data, type) or (callable(data) and not hasattr(data, "__array__")):
        cure = f"pass what it returns: {code}()"
    elif isinstance(data, Iterable) and not hasattr(data, "__array__") and not hasattr(data, "__getitem__"):
        if _has_buffer(data):
            return
        cure = f"pass list({code})"
    else:
        return
    raise TypeError(f"{place} is a {kind}, expected an array of numbers: {cure}")


def _has_buffer(data: Any) -> bool:
    try:
        memoryview(data)
    except TypeError:
        return False
    return True
