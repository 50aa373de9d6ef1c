"""Arrays on disk: memory-mapped ones, .npy files, datasets of h5py and zarr; and sparse rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from glob import glob
from typing import IO, Any

import numpy as np

from fastnn.arena import Array
from fastnn.arrays import as_array
from fastnn.checks import shown
from fastnn.feeds.contract import BLOCK_BYTES, Blocks, Piece
from fastnn.tables import Named, is_sparse, labels_of

_CHUNK_BYTES = 1024 * 1024  # that lie together: a block is made of many, from all over the data
_ROWS_AT_ONCE = 4096  # of sparse rows


class Column:
    """Rows that lie one behind the other: an array, of which some rows are read at a time.

    Attributes
    ----------
    shape : tuple of int
    dtype : dtype
    name : str
        What errors call it.
    labels : list or None
        Of the columns of a data frame.
    """

    labels: list[Any] | None = None

    def __init__(self, array: Any, name: str) -> None:
        self._array, self.name = array, name
        self.shape: tuple[int, ...] = tuple(array.shape)
        if not self.shape:
            raise TypeError(f"{name} is {shown(array.item())}, expected rows: an array, or files of them")
        self.dtype = np.dtype(array.dtype)

    def take(self, start: int, stop: int) -> Array:
        """Return these rows."""
        rows = np.array(self._array[start:stop])
        _forget(self._array, start, stop)
        return rows

    def some(self, rows: Any) -> Array:
        """Return chosen rows, each once: they are read in order, in which files give them."""
        order = np.argsort(rows)
        found = np.asarray(self._array[rows[order]])
        return found[np.argsort(order)]


def _forget(array: Any, start: int, stop: int) -> None:
    """Let the system take back memory into which rows of a mapped file have been read, or they would all be there.

    What is shared with a file loses nothing by that. Of a private copy, changes would be lost.
    """
    mapped = getattr(array, "_mmap", None)
    if mapped is None or getattr(array, "mode", "c") == "c" or not hasattr(mapped, "madvise") or start >= stop:
        return
    import mmap

    part = array[start:stop]
    if min(part.strides) < 0:
        return
    base = np.frombuffer(mapped, np.uint8)
    low = part.ctypes.data - base.ctypes.data
    high = low + sum((n - 1) * stride for n, stride in zip(part.shape, part.strides, strict=True)) + part.itemsize
    first = low // mmap.PAGESIZE * mmap.PAGESIZE
    length = min(high, base.size) - first
    if first >= 0 and length > 0:
        mapped.madvise(mmap.MADV_DONTNEED, first, length)


class _NpyColumn(Column):
    """A .npy file, which is read, not mapped: what is mapped counts as memory of the process."""

    def __init__(self, path: str) -> None:
        self.name = self._path = path
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, OverflowError) as error:
            raise ValueError(f"{path} is no .npy file of numbers: {error}") from None
        if not isinstance(mapped, np.memmap):
            raise TypeError(f"{path} holds several arrays, expected a .npy file: write each by np.save")
        if not mapped.ndim:
            raise TypeError(f"{path} holds one number, {shown(mapped.item())}, expected rows")
        self.shape, self.dtype = tuple(mapped.shape), mapped.dtype
        self._by_columns = not mapped.flags.c_contiguous and mapped.ndim > 1
        with open(path, "rb") as file:
            self._header = file.read(mapped.offset)

    def take(self, start: int, stop: int) -> Array:
        if self._by_columns:
            return np.array(self._mapped()[start:stop])
        width = int(np.prod(self.shape[1:], dtype=np.int64))
        with open(self._path, "rb") as file:
            self._require_header(file)
            file.seek(start * width * self.dtype.itemsize, os.SEEK_CUR)
            found = np.fromfile(file, self.dtype, (stop - start) * width)
        if found.size < (stop - start) * width:
            raise ValueError(f"{self.name} ends before row {stop - 1}: it has been cut off since it was opened")
        return found.reshape(stop - start, *self.shape[1:])

    def some(self, rows: Any) -> Array:
        return np.asarray(self._mapped()[rows])

    def _mapped(self) -> Any:
        with open(self._path, "rb") as file:
            self._require_header(file)
        try:
            return np.load(self._path, mmap_mode="r")
        except ValueError as error:  # it is shorter than its header says
            raise ValueError(f"{self.name} has been cut off since it was opened: {error}") from None

    def _require_header(self, file: IO[bytes]) -> None:
        """Raise ValueError unless a file still holds an array of the same shape and dtype."""
        if file.read(len(self._header)) != self._header:
            raise ValueError(
                f"{self.name} has been written anew since it was opened, when it had shape {self.shape} and dtype "
                f"{self.dtype}: make the feed again"
            )


class _Sparse(Column):
    """Sparse rows of SciPy, of which some at a time become an array."""

    def __init__(self, matrix: Any, name: str) -> None:
        super().__init__(matrix.tocsr(), name)

    def take(self, start: int, stop: int) -> Array:
        return self.some(slice(start, stop))

    def some(self, rows: Any) -> Array:
        found: Array = self._array[rows].toarray()
        return found


class _Parts:
    """Columns one behind the other: those of several files."""

    def __init__(self, parts: Sequence[Column]) -> None:
        self.parts = parts
        self.starts = np.cumsum([0, *(part.shape[0] for part in parts)])
        self.rows = int(self.starts[-1])
        first = parts[0]
        for part in parts:
            if part.shape[1:] != first.shape[1:]:
                raise ValueError(
                    f"{part.name} has shape {part.shape}, expected rows of shape {first.shape[1:]} as {first.name} has"
                )

    def take(self, start: int, stop: int) -> Array:
        found, i = [], int(np.searchsorted(self.starts, start, "right")) - 1
        while start < stop:
            end = min(stop, int(self.starts[i + 1]))
            if end > start:
                found.append(self.parts[i].take(start - int(self.starts[i]), end - int(self.starts[i])))
            start, i = end, i + 1
        return found[0] if len(found) == 1 else np.concatenate(found)


class Arrays(Blocks):
    """Arrays that are larger than memory, or that take more of it as a whole than row by row.

    Blocks of rows are read in turn, and shuffled in them (see `Blocks`): x may be an ``np.memmap``, a dataset of h5py
    or zarr, or whatever has ``shape``, ``dtype`` and slices. Rows of a sparse matrix of SciPy become numbers a block at
    a time; they are shuffled as a whole, so that a fit has the bits of one with the same rows as an array. `fit` makes
    such a feed by itself of an ``np.memmap`` and of sparse rows of more than 64 MB.

    Parameters
    ----------
    x : array_like of shape (rows, n_in), or list of these
        Of a list the rows follow each other. Columns of data frames have names, as in `fit`.
    y : array_like, list of these, or None
        Targets, as in `fit`. None is for predictions.
    sample_weight : array_like, or None
        As in `fit`.
    block_bytes : int
        How much memory a block takes; there are two.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model, feeds
    >>> x = np.linspace(-1, 1, 1000)[:, None]
    >>> data = feeds.Arrays(x, x**2, block_bytes=4096)
    >>> data
    <Arrays: 1,000 rows, 1 column>
    >>> net = Model([Dense(8, "tanh"), Dense(1)], seed=0)
    >>> len(net.fit(data, epochs=5))
    5
    """

    def __init__(self, x: Any, y: Any = None, sample_weight: Any = None, *, block_bytes: int = BLOCK_BYTES) -> None:
        super().__init__(block_bytes)
        self._x, self.by_row = self._columns(x, "x")
        self._y = None if y is None else self._columns(y, "y")[0]
        self._weight = None if sample_weight is None else self._columns(sample_weight, "sample_weight")[0]
        given = (self._x, self._y, self._weight)
        self.by_row = self.by_row and all(own is None or len(own.parts) == 1 for own in given)
        self.has_targets, self.has_weights = y is not None, sample_weight is not None
        for column, name in ((self._y, "y"), (self._weight, "sample_weight")):
            if column is not None and column.rows != self._x.rows:
                raise ValueError(f"{name} has {column.rows} rows, expected {self._x.rows} to match x")
        if not self._x.rows:
            raise ValueError("x has no rows, expected at least one")
        shape = self._x.parts[0].shape
        if len(shape) < 2:
            raise ValueError(f"{self._x.parts[0].name} has shape {shape}, expected 2 dimensions (rows, columns)")
        self._per_chunk = max(1, _CHUNK_BYTES // max(1, self.n_columns * self._x.parts[0].dtype.itemsize))
        self._chunks = [  # of one file each
            (int(first), i, start, min(start + self._per_chunk, part.shape[0]))
            for i, (first, part) in enumerate(zip(self._x.starts, self._x.parts, strict=False))
            for start in range(0, part.shape[0], self._per_chunk)
        ]

    def _columns(self, given: Any, name: str) -> tuple[_Parts, bool]:
        parts = list(given) if self._are_parts(given, name) else [given]
        found = [self._column(part, name if len(parts) == 1 else f"{name}[{i}]") for i, part in enumerate(parts)]
        return _Parts(found), len(found) == 1 and isinstance(found[0], _Sparse)

    def _are_parts(self, given: Any, name: str) -> bool:
        """Whether it is a list of arrays that follow each other, and not one of rows."""
        if not isinstance(given, (list, tuple)) or not len(given):
            return False
        dimensions = len(getattr(given[0], "shape", ()))
        return dimensions > 1 or (dimensions == 1 and name != "x" and len(given) != self._x.rows)

    def _column(self, given: Any, name: str) -> Column:
        if is_sparse(given):
            return _Sparse(given, name)
        if _is_read_by_place(given):
            return Column(given, name)
        column = Column(as_array(given, name), name)
        column.labels = labels_of(given)
        return column

    @property
    def sizes(self) -> list[int]:
        return [stop - start for _, _, start, stop in self._chunks]

    @property
    def n_columns(self) -> int:
        return int(np.prod(self._x.parts[0].shape[1:], dtype=np.int64))

    def chunk(self, i: int, x: bool = True) -> Iterator[Piece]:
        first, part, start, stop = self._chunks[i]
        column = self._x.parts[part]
        y, weight = (None if own is None else own.take(first + start, first + stop) for own in (self._y, self._weight))
        files = [column, *(own.parts[0] for own in (self._y, self._weight) if own is not None and len(own.parts) == 1)]
        where = ", ".join(file.name for file in files if isinstance(file, _NpyColumn))
        row = start if where else first + start
        rows: Any = column.take(start, stop) if x else None
        yield Piece(Named(rows, column.labels) if x and column.labels else rows, y, weight, where, row)

    def some(self, rows: Any) -> Piece:
        given = (self._x, self._y, self._weight)
        x, y, weight = (None if own is None else own.parts[0].some(rows) for own in given)
        return Piece(x, y, weight, "", -1)


def _is_read_by_place(given: Any) -> bool:
    """Whether it gives rows by place, as NumPy's numbers: not by an index, and none that are masked."""
    if isinstance(given, np.ma.MaskedArray) or hasattr(given, "iloc"):
        return False
    has_rows = hasattr(given, "shape") and hasattr(given, "__getitem__")
    return has_rows and isinstance(getattr(given, "dtype", None), np.dtype)


class Npy(Arrays):
    """Arrays in .npy files that are larger than memory, as ``np.save`` writes them.

    They are read block by block and shuffled in blocks (see `Blocks`), the next while this one trains.

    Parameters
    ----------
    x : str, path, or list of these
        A file of shape (rows, n_in); with ``*`` in it, all files of such names, in the order of these.
    y : str, path, list of these, array_like, or None
        A file of targets, or an array. None is for predictions.
    sample_weight : str, path, list of these, array_like, or None
        As in `fit`.
    block_bytes : int
        How much memory a block takes; there are two.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastnn import Dense, Model, feeds
    >>> folder = tempfile.TemporaryDirectory()
    >>> x = np.linspace(-1, 1, 1000)[:, None]
    >>> np.save(os.path.join(folder.name, "x.npy"), x)
    >>> np.save(os.path.join(folder.name, "y.npy"), x**2)
    >>> data = feeds.Npy(os.path.join(folder.name, "x.npy"), os.path.join(folder.name, "y.npy"))
    >>> net = Model([Dense(8, "tanh"), Dense(1)], seed=0)
    >>> history = net.fit(data, epochs=5, validation_data=data)
    >>> net.predict(data).shape
    (1000, 1)
    >>> folder.cleanup()
    """

    def _columns(self, given: Any, name: str) -> tuple[_Parts, bool]:
        paths = paths_of(given, f"{type(self).__name__}: {name}", "npy")
        if paths is None:
            return super()._columns(given, name)
        return _Parts([_NpyColumn(path) for path in paths]), False


def paths_of(given: Any, where: str, kind: str) -> list[str] | None:
    """Return the paths of files, of which patterns may stand for several; None for what is no path."""
    many = list(given) if isinstance(given, (list, tuple)) and len(given) else [given]
    if not all(isinstance(path, (str, os.PathLike)) for path in many):
        return None
    found: list[str] = []
    for path in map(os.fspath, many):
        if "*" in path and not os.path.exists(path):
            names = sorted(glob(path))
            if not names:
                raise FileNotFoundError(f"{where}: there is no file {path}")
            found += names
        elif not os.path.exists(path):
            raise FileNotFoundError(f"{where}: there is no file {path}, expected a .{kind} file, or a pattern with *")
        else:
            found.append(path)
    for path in filter(os.path.isdir, found):
        pattern = os.path.join(path, f"*.{kind}")
        raise IsADirectoryError(f"{where}: {path} is a directory, expected files: {pattern!r} are those in it")
    return found
