"""Data as people have them, as arrays that the kernels need: of numbers, of rows, of a dtype, finite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn.arena import Array
from fastnn.checks import shown
from fastnn.tables import Names, SparseRows, Table, is_sparse, table_of
from fastnn.values import Place, numbers_of

_NUMBERS_PER_SUM = 4 * 1024 * 1024  # some milliseconds: signals are looked at between two
_BYTES_PER_CHECK = 256 * 1024  # what is looked at in one go: it stays in the cache, and so does what follows from it


def as_array(data: ArrayLike | Table, name: str, may_miss: bool = True) -> Array:
    """Return `data` as an array of numbers of the machine's byte order.

    Lists, data frames and their columns, sparse matrices, objects that are numbers, read-only, strided and byte-swapped
    arrays are welcome; a copy is made only where needed. What is missing among objects (None, NA) becomes NaN, where it
    may.

    Raises
    ------
    TypeError
        For what is no array, and for text, dates, complex numbers and other objects.
    ValueError
        For ragged lists and for masked arrays in which something is masked.
    """
    if type(data) is np.ndarray and data.dtype.kind in "fiub" and data.dtype.isnative:
        return data
    if isinstance(data, (list, tuple)):
        return numbers_of(data, name, None, may_miss)
    if isinstance(data, np.ma.MaskedArray):
        if np.ma.is_masked(data):
            raise ValueError(f"{name} has masked entries: fill or drop them first")
        data = data.data
    table = table_of(data)
    if table is not None:
        return table.matrix(name)
    return numbers_of(data.toarray() if is_sparse(data) else data, name, None, may_miss)  # type: ignore[union-attr]


def as_rows(
    data: ArrayLike | Table, name: str, dtype: np.dtype[Any] | None = None, names: Names | None = None
) -> Array:
    """Return `data` as an array (rows, columns) of numbers of any dtype.

    Parameters
    ----------
    data : array_like
    name : str
        What errors call it.
    dtype : dtype or None
        Of what has to be copied from data frames and sparse matrices.
    names : sequence of str or None
        The order of the columns, where they have names.
    """
    if type(data) is np.ndarray:
        usual = data.dtype.kind in "fiub" and data.dtype.isnative
        array = data if usual else as_array(data, name)
    else:
        table = table_of(data)
        if table is not None:
            array = table.matrix(name, dtype, table.order(names, name))
        elif dtype is not None and is_sparse(data):
            return SparseRows(data, name).astype(dtype)
        else:
            array = as_array(data, name)
    if array.ndim != 2:
        hint = "; a net whose first layer is Flatten() takes more" if array.ndim > 2 and name == "x" else ""
        hint = _row_or_column(data, Place(name).argument) if array.ndim == 1 else hint
        raise ValueError(f"{name} has shape {array.shape}, expected 2 dimensions (rows, columns){hint}")
    return array


def _row_or_column(data: Any, argument: str) -> str:
    """Return how one dimension becomes two, as code that runs."""
    if type(data) is np.ndarray:
        row, column = f"{argument}[None, :]", f"{argument}[:, None]"
    elif hasattr(data, "to_frame"):
        row, column = f"{argument}.to_numpy()[None, :]", f"{argument}.to_frame()"
    else:
        row, column = f"[{argument}]", f"[[value] for value in {argument}]"
    return f"; one row is {row}, one column {column}"


def as_matrix(data: ArrayLike, name: str, dtype: np.dtype[Any] | None = None) -> Array:
    """Return `data` as a float array (rows, columns): float64 stays float64 without a `dtype`, all else is float32."""
    array = as_rows(data, name, dtype)
    if dtype is None:
        dtype = np.dtype(np.float64 if array.dtype == np.float64 else np.float32)
    return convert(array, dtype)


def convert(array: Array, dtype: np.dtype[Any]) -> Array:
    """Return the array in that dtype, itself where it has it already and lies on whole elements."""
    if array.dtype == dtype:
        flags = array.flags
        whole = flags.c_contiguous or all(stride % dtype.itemsize == 0 for stride in array.strides)
        if whole and flags.aligned:
            return array
    with np.errstate(all="ignore"):  # what overflows is found as infinite, with its place
        return array.astype(dtype, order="C")  # rows are read in any order, so their numbers lie together


def copy_into(y: Array, x: Array) -> None:
    """Write x into y, in the dtype of y: what is too large for it becomes infinite, whatever `numpy.errstate` says."""
    if x.dtype == y.dtype:
        y[...] = x
    else:
        with np.errstate(all="ignore"):
            y[...] = x


def require_whole(array: Array, dtype: np.dtype[Any], name: str) -> None:
    """Raise ValueError where a dtype of whole numbers does not hold one of the array."""
    if dtype.kind not in "iu" or array.dtype == dtype:
        return
    with np.errstate(all="ignore"):
        lost = np.argwhere(array.astype(dtype) != array)
    if len(lost):
        place, bounds = tuple(lost[0].tolist()), np.iinfo(dtype)
        raise ValueError(
            f"{name} is {array[place]} at {place}, expected whole numbers from {bounds.min} to {bounds.max}"
        )


def require_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], read: Iterable[Array]) -> None:
    """Raise an error unless outputs of this shape and dtype can be written into `out`, beside arrays that are read."""
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out is {shown(out)}, expected a NumPy array of shape {shape} and dtype {dtype}")
    if out.dtype != dtype:
        raise TypeError(f"out has dtype {out.dtype}, expected {dtype}, that of the model")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, expected {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only: pass an array that can be written to, such as a copy of it")
    if any(np.may_share_memory(out, array) for array in read):
        raise ValueError("out shares memory with the parameters or states of the model, which would be overwritten")


def require_real(array: Array, where: str) -> None:
    """Raise TypeError where code of others has made something else than real numbers."""
    if array.dtype.kind not in "fiubO":
        raise TypeError(f"{where} numbers of dtype {array.dtype}, expected real ones")


def read_only(array: Array) -> Array:
    """Return a view that cannot be written to: what code of others may look at."""
    view = array.view()
    view.flags.writeable = False
    return view


def parts_of(array: Array) -> Iterator[tuple[int, Array]]:
    """Yield (first row, some rows) of all rows, so few at a time that what is computed from them takes no memory."""
    rows = max(1, _BYTES_PER_CHECK * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        yield start, array[start : start + rows]


def all_finite(array: Array) -> bool:
    """Whether there is neither NaN nor infinity among the numbers."""
    if array.nbytes <= _BYTES_PER_CHECK:
        return _finite(array)
    if array.flags.forc and array.dtype.isnative and all(np.isfinite(total) for total in _sums_of(array)):
        return True
    return all(_finite(part) for _, part in parts_of(array))


def _sums_of(array: Array) -> Iterator[Any]:
    """Yield sums that contain every number: only finite numbers have finite sums, which may still be too large.

    einsum takes a third of the time of isfinite, or of sum, which adds more accurately.
    """
    flat = array.ravel(order="K")
    for start in range(0, flat.size, _NUMBERS_PER_SUM):
        yield np.einsum("i->", flat[start : start + _NUMBERS_PER_SUM])


def _finite(array: Array) -> bool:
    return 0 not in np.isfinite(array).tobytes()  # for few numbers a third of the time of all()


def check_finite(
    array: Array,
    name: str,
    dtype: np.dtype[Any] | None = None,
    labels: Sequence[Any] | None = None,
    may_miss: Array | None = None,
) -> None:
    """Raise ValueError with the place of the first NaN or infinity, or number that is too large for the dtype.

    Columns are called by their labels, where there are any. Of which NaN may be part says ``may_miss``.
    """
    if dtype is None or (array.dtype == dtype and type(array) is np.ndarray):
        if array.nbytes <= _BYTES_PER_CHECK and 0 not in np.isfinite(array).tobytes():  # as in `_finite`
            return
        if all_finite(array):
            return
    for start, part in parts_of(array):
        numbers = part if dtype is None else convert(part, dtype)
        if not _finite(numbers):
            wrong = ~np.isfinite(numbers)
            if may_miss is not None:
                wrong &= ~(may_miss & np.isnan(numbers))
                if not wrong.any():
                    continue
            row, *column = (int(i) for i in np.argwhere(wrong)[0])
            value = part[(row, *column)]
            place = f"row {start + row}"
            if column:
                place += f", column {column[0] if labels is None else repr(labels[column[0]])}"
            what = "NaN" if np.isnan(value) else f"infinite, or too large for {numbers.dtype}"
            raise ValueError(f"{name} is {what} at {place}: fill in, clip or drop such rows first")


def check_lengths(n: int, other: Array, name: str) -> None:
    """Raise ValueError unless there is one row of `other` for each of the n of x."""
    if len(other) != n:
        raise ValueError(f"{name} has {len(other)} rows, expected {n} to match x")


def as_weights(weights: ArrayLike, n: int, dtype: np.dtype[Any], name: str = "sample_weight") -> Array:
    """Return finite weights of rows as (n, 1), or those of targets as (n, columns)."""
    array = as_array(weights, name)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(f"{name} has shape {array.shape}, expected one number per row: ({n},)")
    check_lengths(n, array, name)
    array = np.ascontiguousarray(convert(array, dtype))
    check_finite(array if array.shape[1] > 1 else array[:, 0], name)
    return array
