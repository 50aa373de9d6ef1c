"""Tables as people have them: data frames, whose columns have names, and sparse rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from operator import itemgetter
from typing import Any

import numpy as np

from fastnn.arena import Array
from fastnn.values import Place, numbers_of

Names = tuple[str, ...]

_SHOWN = 5  # names in an error
_FEW = 8192  # numbers that are copied together
_BLOCK = 2048  # rows that stay in the cache while a row's numbers come together


class Table(ABC):
    """Columns with labels, of the same length.

    Attributes
    ----------
    labels : list
        In the order of the columns; they are names where all are text.
    rows : int
    """

    labels: list[Any]
    rows: int
    _chosen, _by_place = "{}[list(net.feature_names)]", "{}.to_numpy()"  # code for an error

    @abstractmethod
    def columns(self) -> Iterator[Any]:
        """Yield the columns, in order: arrays, or what `numbers_of` takes."""

    @abstractmethod
    def whole(self, dtype: np.dtype[Any] | None) -> Array | None:
        """Return all as one matrix where that takes no copy, or one of the dtype and no other memory."""

    @cached_property
    def names(self) -> Names | None:
        """The names of the columns, if they have any."""
        named = bool(self.labels) and all(isinstance(label, str) for label in self.labels)
        return tuple(map(str, self.labels)) if named else None

    def order(self, names: Names | None, name: str) -> list[int] | None:
        """Return where the columns of these names stand; None where they are in order, or have no names.

        Raises
        ------
        ValueError
            For a name that stands there twice, and for names that are missing or unknown.
        """
        own = self.names
        if own is None or own == names:
            return None
        argument = Place(name).argument
        by_place = f"{self._by_place.format(argument)} goes by place instead"
        where = {label: i for i, label in enumerate(own)}
        if len(where) < len(own):
            twice = [label for i, label in enumerate(own) if where[label] != i]
            raise ValueError(f"{name} has more than one column named {_listed(twice)}: rename them; {by_place}")
        if names is None:
            return None
        missing, unknown = [label for label in names if label not in where], [*where.keys() - {*names}]
        if not missing and not unknown:
            return [where[label] for label in names]
        unknown.sort(key=where.__getitem__)
        lacks = f" lacks {_columns(missing)}" if missing else ""
        has = f"{' and' if missing else ''} has {_columns(unknown)} that the model does not know" if unknown else ""
        cure = "rename or add them" if missing else f"pass {self._chosen.format(argument)}"
        raise ValueError(
            f"{name}{lacks}{has}: {cure}. It was first given columns named {_listed(names)} (net.feature_names); "
            f"{by_place}"
        )

    def matrix(self, name: str, dtype: np.dtype[Any] | None = None, order: Sequence[int] | None = None) -> Array:
        """Return the numbers as (rows, columns): as they lie, or copied column by column into one array of the dtype.

        Without a dtype it is the one that holds all columns.

        Raises
        ------
        TypeError, ValueError
            With the names of columns that hold no numbers.
        """
        if not self.labels:
            return np.empty((self.rows, 0))
        if order is not None and self.rows * len(order) <= _FEW:
            return self.matrix(name, dtype)[:, order]
        whole = self.whole(dtype) if order is None else None
        if whole is not None:
            return whole
        numbers = self._numbers(name)
        if dtype is None:
            columns = list(numbers)
            dtype = np.result_type(*columns)
            numbers = iter(columns)
        matrix = np.empty((self.rows, len(self.labels)), dtype)
        targets = range(len(self.labels)) if order is None else np.argsort(order)
        views = []
        with np.errstate(all="ignore"):  # what is too large is found as infinite, with its place
            for i, column in zip(targets, numbers, strict=True):
                if column.base is None:  # it has been made from what the frame holds: one at a time
                    matrix[:, i] = column
                else:
                    views.append((i, column))
            for start in range(0, self.rows if views else 0, _BLOCK):
                part = slice(start, start + _BLOCK)
                for i, column in views:
                    matrix[part, i] = column[part]
        return matrix

    def _numbers(self, name: str) -> Iterator[Array]:
        """Yield the numbers of each column."""
        columns = self.columns()
        for i, column in enumerate(columns):
            try:
                numbers = numbers_of(column, name, self.labels[i])
            except (TypeError, ValueError) as error:
                rest = zip(self.labels[i + 1 :], columns, strict=True)
                also = [label for label, column in rest if not _holds_numbers(column, label)]
                if also:
                    error.args = (f"{error} (also: {_listed(also)})",)
                raise
            yield numbers

    def column(self, i: int, name: str) -> Array:
        """Return the numbers of one column."""
        return numbers_of(next(islice(self.columns(), i, None)), name, self.labels[i])


class Named(Table):
    """A matrix whose columns have names."""

    def __init__(self, matrix: Array, names: Sequence[Any]) -> None:
        self._matrix, self.labels, self.rows = matrix, list(names), len(matrix)

    def columns(self) -> Iterator[Any]:
        return iter(self._matrix.T)

    def whole(self, dtype: np.dtype[Any] | None) -> Array | None:
        return self._matrix

    def __len__(self) -> int:
        return self.rows


class NamedRow(Named):
    """One row of a dict."""

    _chosen, _by_place = "{{name: {0}[name] for name in net.feature_names}}", "list({}.values())"


class _PandasTable(Table):
    def __init__(self, frame: Any) -> None:
        self._frame, self.labels, self.rows = frame, frame.columns.tolist(), len(frame)

    def columns(self) -> Iterator[Any]:
        return map(itemgetter(1), self._frame.items())

    def whole(self, dtype: np.dtype[Any] | None) -> Array | None:
        frame = self._frame
        dtypes = set(frame.dtypes)
        if not all(isinstance(own, np.dtype) and own.kind in "fiub" for own in dtypes):
            return None
        first = frame[:2]
        if len(dtypes) == 1 and np.may_share_memory(first.to_numpy(), first.to_numpy()):  # no copies: all is one block
            dtype = None
        elif dtype is not None and self.rows * len(self.labels) > _FEW:  # pandas would put columns together, not rows
            return None
        with np.errstate(all="ignore"):
            matrix: Array = frame.to_numpy(dtype=dtype or np.result_type(*dtypes))
        return matrix


class _PolarsTable(Table):
    def __init__(self, frame: Any) -> None:
        self._frame, self.labels, self.rows = frame, list(frame.columns), len(frame)

    def columns(self) -> Iterator[Any]:
        return iter(self._frame.get_columns())

    def whole(self, dtype: np.dtype[Any] | None) -> Array | None:
        try:
            matrix: Array = self._frame.to_numpy(allow_copy=False)
        except RuntimeError:
            return None
        return matrix if matrix.dtype.kind in "fiub" else None


class ArrowTable(Table):
    """A table or record batch of pyarrow."""

    _chosen, _by_place = "{}.select(list(net.feature_names))", "np.column_stack({}.columns)"

    def __init__(self, table: Any) -> None:
        self._table, self.labels, self.rows = table, table.column_names, table.num_rows

    def columns(self) -> Iterator[Any]:
        return map(self._table.column, range(len(self.labels)))

    def whole(self, dtype: np.dtype[Any] | None) -> Array | None:
        return None

    def __len__(self) -> int:
        return self.rows


class SparseRows:
    """A sparse matrix of SciPy, of which some rows at a time become an array.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    size, nbytes : int
        Of all rows as an array.
    """

    def __init__(self, matrix: Any, name: str) -> None:
        if len(matrix.shape) != 2:
            raise ValueError(f"{name} has shape {matrix.shape}, expected 2 dimensions (rows, columns)")
        self._rows = matrix.tocsr()
        numbers_of(self._rows.data[:1], name)  # what they are is seen on one
        self.shape: tuple[int, int] = matrix.shape
        self.dtype = matrix.dtype
        self.size = self.shape[0] * self.shape[1]
        self.nbytes = self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        found: Array = self._rows[rows].toarray()
        return found

    def astype(self, dtype: np.dtype[Any]) -> Array:
        """Return all rows as an array: what is not zero is converted first, so that there is one of that size."""
        with np.errstate(all="ignore"):
            matrix: Array = self._rows.astype(dtype).toarray()
        return matrix


def table_of(data: Any) -> Table | None:
    """Return a data frame of pandas or polars, one of pyarrow, or what looks like theirs; None for all else."""
    if isinstance(data, Table):
        return data
    if hasattr(data, "iloc"):
        return _PandasTable(data) if hasattr(data, "columns") else None
    if hasattr(data, "column_names") and hasattr(data, "itercolumns"):
        return ArrowTable(data)
    return _PolarsTable(data) if hasattr(data, "get_columns") else None


def is_sparse(data: Any) -> bool:
    """Whether it is a sparse matrix or array of SciPy, or one that looks like theirs."""
    return hasattr(data, "toarray") and hasattr(data, "nnz")


def labels_of(data: Any) -> list[Any] | None:
    """Return the labels of the columns of a data frame."""
    table = table_of(data)
    return None if table is None else table.labels


def row_names(row: Any, known: Names | None) -> Names | None:
    """Return the names of the numbers of one row of a data frame: its index, if that is text.

    Those of a named tuple count where they are the known ones: pandas makes others of what is no word of Python.
    """
    if isinstance(row, tuple):
        fields = getattr(row, "_fields", ())
        return fields if known is not None and {*fields} == {*known} else None
    if not hasattr(row, "iloc") or hasattr(row, "columns"):
        return None
    return Named(np.empty((0, 0)), row.index).names


def _holds_numbers(column: Any, label: object) -> bool:
    try:
        numbers_of(column, "x", label)
    except (TypeError, ValueError):
        return False
    return True


def _columns(labels: Sequence[str]) -> str:
    return f"the column{'s' * (len(labels) > 1)} {_listed(labels)}"


def _listed(labels: Sequence[Any]) -> str:
    more = len(labels) - _SHOWN
    shown = ", ".join(repr(label) for label in labels[:_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
