"""Columns as people have them: what is in each, as numbers, as dates, or as values of a category."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import shown
from fastnn.values import is_missing

Floats = NDArray[np.float64]

DATES = "datetime64[us]"  # holds the years of Python's dates, 1 to 9999, where nanoseconds hold 1678 to 2261
_YEARS = 290_000  # before and after 1970, that microseconds hold
EXACT = 2**53  # up to which float64 holds every whole number
_LABELS = (str, bytes, bool, Real)  # what a value of a category may be
_FEW = 1000  # numbers in a frame
_TIMES = (datetime.date, np.datetime64)  # a datetime, and pandas's Timestamp, are dates


class Column:
    """What one column of a table holds.

    Attributes
    ----------
    kind : {"number", "category", "date", "empty"}
    numbers : ndarray or None
        Of a number what it is; dates as datetime64[us], "NaT" where one is missing.
    codes : ndarray or None
        Of a category the places of the values, -1 where one is missing.
    values : list
        Of a category: each once.
    whole : ndarray or None
        Of numbers some of which are whole and beyond 2^53: what they are, where `numbers` has lost digits; anything
        where there is none.
    """

    __slots__ = ("codes", "kind", "numbers", "values", "whole")

    def __init__(
        self, kind: str, numbers: Any = None, codes: Any = None, values: Sequence[Any] = (), whole: Any = None
    ) -> None:
        self.kind, self.numbers, self.codes, self.values = kind, numbers, codes, list(values)
        self.whole = whole

    def __len__(self) -> int:
        return len(self.numbers if self.codes is None else self.codes)

    def take(self, rows: NDArray[np.intp]) -> Column:
        """Return some rows."""
        if self.codes is None:
            return Column(self.kind, self.numbers[rows])
        return Column(self.kind, None, self.codes[rows], self.values)


def numbers_in(values: Any, whole: Any = None) -> Column:
    """Return a column of numbers, of which `whole` are the same as whole numbers, where they are."""
    numbers = np.asarray(values, np.float64)
    if whole is not None:
        with np.errstate(invalid="ignore"):
            if not (np.abs(numbers) > EXACT).any():
                whole = None
    return Column("number", numbers, whole=whole)


def less(column: Column, first: int) -> Floats:
    """Return numbers less a whole one, rounded once."""
    numbers: Floats = column.numbers
    if not first:
        return numbers
    found = np.empty(len(numbers))
    given = numbers.tolist() if column.whole is None else column.whole.tolist()
    for i, (value, known) in enumerate(zip(given, numbers.tolist(), strict=True)):
        if known != known or known in (np.inf, -np.inf):
            found[i] = known
        else:
            found[i] = int(value) - first if value == int(value) else value - first
    return found


def dates_in(values: Any, where: str) -> Column:
    """Return a column of dates."""
    dates = np.asarray(values)
    if np.datetime_data(dates.dtype)[0] in ("Y", "M", "W", "D", "h", "m", "s", "ms"):
        years = dates.astype("datetime64[Y]")
        odd = np.flatnonzero(np.abs(np.where(np.isnat(years), 0, years.astype(np.int64))) > _YEARS)
        if len(odd):
            raise ValueError(
                f"{where} holds the date {dates[odd[0]]}, expected dates within {_YEARS} years of 1970: NaT stands for "
                "what is missing"
            )
    return Column("date", dates.astype(DATES))


def values_in(values: Iterable[Any], where: str) -> Column:
    """Return a column of Python's objects: numbers, dates, or the values of a category."""
    found = list(values)
    kinds = {type(value) for value in found}
    some = [value for value in found if not is_missing(value)]
    if not some:
        return Column("empty", np.full(len(found), np.nan))
    present = {type(value) for value in some}
    if all(issubclass(kind, (Real, Decimal, np.number)) and not issubclass(kind, bool) for kind in present):
        try:
            whole = None
            if all(issubclass(kind, (int, np.integer)) for kind in present):
                whole = np.array([0 if is_missing(value) else int(value) for value in found], object)
            if kinds <= {float, int}:
                return numbers_in(found, whole)
            return numbers_in([np.nan if is_missing(value) else float(value) for value in found], whole)
        except OverflowError:
            raise ValueError(
                f"{where} holds a whole number beyond float64's range, which ends at 1.8e308: divide it, or give text"
            ) from None
    if all(issubclass(kind, _TIMES) for kind in present):
        plain = [np.datetime64("NaT", "us") if is_missing(value) else _wall_time(value, where) for value in found]
        return dates_in(np.array(plain, DATES), where)
    if all(issubclass(kind, (datetime.timedelta, np.timedelta64)) for kind in present):
        return numbers_in([np.nan if is_missing(value) else _seconds_of(value) for value in found])
    if not all(issubclass(kind, (str, bytes, bool, np.bool_, Real, np.number)) for kind in present):
        odd = next(v for v in some if not isinstance(v, (str, bytes, bool, np.bool_, Real, np.number)))
        if isinstance(odd, (*_TIMES, datetime.timedelta)):
            other = next(v for v in some if type(v) is not type(odd))
            raise TypeError(
                f"{where} holds {shown(odd)} and {shown(other)}, expected values of one kind: make dates, numbers or "
                "text of all"
            )
        raise TypeError(
            f"{where} holds {shown(odd)}, expected numbers, text, booleans or dates: drop the column, or make such "
            "columns of it (an argument must be a string or a number, or something that tells the day)"
        )
    return coded(found)


def coded(values: Sequence[Any]) -> Column:
    """Return a category of these values, with codes in the order of their first appearance."""
    places: dict[Any, int] = {None: -1}
    found: list[Any] = []
    codes = np.empty(len(values), np.int64)
    for i, value in enumerate(values):
        code = places.get(value)
        if code is None:
            code = -1
            if not is_missing(value):
                code = len(found)
                found.append(value)
            places[value] = code
        codes[i] = code
    return Column("category", None, codes, found)


def _wall_time(value: Any, where: str) -> Any:
    """Return a time without its zone, as a clock there shows it."""
    if isinstance(value, np.datetime64):
        return dates_in(np.array([value]), where).numbers[0]
    if getattr(value, "tzinfo", None) is not None:
        value = value.replace(tzinfo=None)
    return np.datetime64(value, "us") if not hasattr(value, "to_datetime64") else value.to_datetime64()


def _seconds_of(value: Any) -> float:
    """Return how many seconds one span is."""
    if isinstance(value, np.timedelta64):
        return float(_seconds(np.array([value]))[0])
    found: float = value.total_seconds()
    return found


def of_array(values: NDArray[Any], where: str) -> Column:
    """Return what a column of an array holds."""
    kind = values.dtype.kind
    if kind in "iuf":
        return numbers_in(values, values if kind in "iu" and values.dtype.itemsize > 4 else None)
    if kind == "b":
        return Column("category", None, values.astype(np.int64), [False, True])
    if kind == "M":
        return dates_in(values, where)
    if kind == "m":
        return numbers_in(_seconds(values))
    if kind in "OUST":
        return values_in(values.tolist(), where)
    raise _refused(where, str(values.dtype))


def _seconds(values: NDArray[Any]) -> Floats:
    if np.datetime_data(values.dtype)[0] in ("Y", "M", "generic"):  # of no fixed length
        values = values.astype("timedelta64[s]")
    found: Floats = values / np.timedelta64(1, "s")
    return found


def _refused(where: str, dtype: str) -> TypeError:
    return TypeError(
        f"{where} has the dtype {dtype}, expected numbers, text, categories, booleans or dates: drop the column, or "
        "make such columns of it"
    )


def of_pandas(series: Any, where: str) -> Column:
    """Return what a column of pandas holds."""
    dtype = series.dtype
    if hasattr(dtype, "fill_value") and hasattr(series, "sparse"):
        series = series.sparse.to_dense()
        dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return of_array(series.to_numpy(), where)
    if hasattr(dtype, "categories") and hasattr(series, "cat"):
        codes, categories = series.cat.codes.to_numpy(np.int64), series.cat.categories
        if len(codes) < len(categories):  # those that occur
            used = np.unique(codes[codes >= 0])
            codes, categories = np.where(codes < 0, -1, np.searchsorted(used, codes)), categories[used]
        values = [value if isinstance(value, _LABELS) else str(value) for value in categories.tolist()]
        return Column("category", None, codes, values)
    kind = getattr(dtype, "kind", "O")
    if getattr(getattr(dtype, "pyarrow_dtype", dtype), "tz", None) is not None:
        return dates_in(series.dt.tz_localize(None).to_numpy(), where)
    if kind in "iuf":
        whole = series.to_numpy(np.int64 if kind == "i" else np.uint64, na_value=0) if kind in "iu" else None
        return numbers_in(series.to_numpy(np.float64, na_value=np.nan), whole)
    if kind == "M":
        return dates_in(series.to_numpy(DATES), where)
    if kind == "m":
        return numbers_in(_seconds(series.to_numpy(f"timedelta64[{'ns' if 'ns' in str(dtype) else 'us'}]")))
    if kind in "bOUST" and type(dtype).__name__ not in ("PeriodDtype", "IntervalDtype"):
        return values_in(series.tolist(), where)
    raise _refused(where, str(dtype))


def of_polars(series: Any, where: str) -> Column:
    """Return what a column of polars holds."""
    dtype = series.dtype
    name = type(dtype).__name__ if not isinstance(dtype, type) else dtype.__name__
    if name in ("Boolean", "String", "Utf8", "Categorical", "Enum", "Object", "Binary"):
        return values_in(series.to_list(), where)
    if name == "Null":
        return Column("empty", np.full(len(series), np.nan))
    if dtype.is_numeric():
        from polars import Float64

        numbers = series.cast(Float64).to_numpy()
        is_large = dtype.is_integer() and bool((np.abs(numbers[~np.isnan(numbers)]) > EXACT).any())
        return numbers_in(numbers, np.array(series.fill_null(0).to_list(), object) if is_large else None)
    if name in ("Date", "Datetime"):
        if getattr(dtype, "time_zone", None) is not None:
            series = series.dt.replace_time_zone(None)
        return dates_in(series.to_numpy(), where)
    if name == "Duration":
        return numbers_in(_seconds(series.to_numpy()))
    raise _refused(where, str(dtype))


class Columns:
    """Columns with names, as readers of files make them: a table that needs neither pandas nor polars.

    Parameters
    ----------
    names : sequence of str
    columns : sequence of Column
        Of the same length.
    """

    def __init__(self, names: Sequence[str], columns: Sequence[Column]) -> None:
        self.columns = list(names)
        self._columns = list(columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, columns."""
        return (len(self._columns[0]) if self._columns else 0), len(self._columns)

    def __len__(self) -> int:
        return self.shape[0]

    def get_columns(self) -> list[Column]:
        """Return the columns."""
        return self._columns

    def take(self, rows: NDArray[np.intp]) -> Columns:
        """Return some rows."""
        return Columns(self.columns, [column.take(rows) for column in self._columns])


def columns_in(x: Any) -> tuple[list[Any], Any]:
    """Return the columns of a table, and the function that says what is in one: ``kind_of(column, where)``."""
    if isinstance(x, Columns):
        return x.get_columns(), lambda column, where: column
    if hasattr(x, "iloc"):
        return [column for _, column in x.items()], of_pandas
    if hasattr(x, "get_columns"):
        return x.get_columns(), of_polars
    return list(x.T), of_array


def numbers_of(x: Any) -> NDArray[Any] | None:
    """Return a table whose columns are all plain numbers as one array; None where some are not, or lose digits so."""
    if isinstance(x, Columns):  # whose columns are read already
        return None
    if isinstance(x, np.ndarray):
        plain = x.dtype.kind in "iuf"
    elif not hasattr(x, "iloc"):
        plain = all(dtype.is_numeric() for dtype in x.dtypes)
    else:  # for few numbers it is quicker to look at what they are together
        few = len(x) * x.shape[1] < _FEW
        plain = few or all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in x.dtypes.tolist())
    if not plain:
        return None
    found: NDArray[Any] = x if isinstance(x, np.ndarray) else x.to_numpy()
    if found.dtype.kind not in "iuf":
        return None
    if found.dtype.kind != "f" or not isinstance(x, np.ndarray):
        with np.errstate(invalid="ignore", over="ignore"):  # of float16
            if (np.abs(found) > EXACT).any():
                return None
    return found


def require_names(estimator: str, x: Any, names: Sequence[str] | None) -> None:
    """Raise ValueError where two columns of a frame have one name, or where they have others than those of the fit.

    scikit-learn, which looks at names of frames that are text, does not look at numbers.
    """
    given = [str(name) for name in x.columns]
    twice = next((name for i, name in enumerate(given) if name in given[:i]), None) if _are_doubled(given) else None
    if twice is not None:
        raise ValueError(f"{estimator}: X has two columns {twice!r}, expected each name once: rename one of them")
    looked_at = not isinstance(x, Columns) and all(isinstance(name, str) for name in x.columns)
    if names is None or given == names or looked_at:
        return
    if sorted(given) == sorted(names):
        own, name = next(pair for pair in zip(given, names, strict=True) if pair[0] != pair[1])
        raise ValueError(
            f"{estimator}: X has the column {own!r} where the fit had {name!r}, expected the columns in the same order"
        )
    odd = [name for name in given if name not in names]
    what = f"a column {odd[0]!r}" if odd else f"no column {next(name for name in names if name not in given)!r}"
    raise ValueError(f"{estimator}: X has {what}, expected the {len(names)} columns of the fit: {shown([*names])}")


def _are_doubled(names: Sequence[str]) -> bool:
    return len({*names}) < len(names)


def as_table(estimator: str, x: Any) -> Any:
    """Return x, where it may be a table: one of pyarrow as a frame of pandas, what is masked as missing."""
    if hasattr(x, "collect") and hasattr(x, "collect_schema"):
        raise TypeError(f"{estimator}: X is a {type(x).__name__}, which holds no rows yet: X.collect() reads them")
    if hasattr(x, "column_names") and hasattr(x, "to_pandas"):
        return x.to_pandas()
    if isinstance(x, np.ma.MaskedArray):
        found: NDArray[Any] = np.ma.filled(x.astype(np.float64 if x.dtype.kind in "iuf" else object), np.nan)
        return found
    of_dicts = isinstance(x, (list, tuple)) and x and isinstance(x[0], Mapping)
    if of_dicts or (isinstance(x, Mapping) and not hasattr(x, "toarray")):  # scipy's dok_array is a dict
        raise TypeError(
            f"{estimator}: X is a {type(x).__name__}{' of dicts' if not isinstance(x, Mapping) else ''}, expected a "
            "table: pandas.DataFrame(X) makes one"
        )
    return x


def is_plain(x: Any, names: list[str] | None, n: int) -> bool:
    """Whether it is a table with the columns of a fit, in a form of which nothing else has to be checked."""
    if is_frame(x):
        given = x.columns if isinstance(x.columns, list) else x.columns.tolist()
        return names is not None and given == names and len(x) > 0
    is_known = names is None and type(x) is np.ndarray and x.dtype.kind in "iuf"
    return is_known and x.ndim == 2 and x.shape[1] == n and len(x) > 0


def is_frame(x: Any) -> bool:
    """Whether it is a data frame of pandas or polars."""
    return (hasattr(x, "iloc") and hasattr(x, "columns")) or hasattr(x, "get_columns")
