"""Parquet and Arrow files, read by row groups with pyarrow."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fastnn.checks import number_of, shown
from fastnn.feeds.arrays import paths_of
from fastnn.feeds.contract import BLOCK_BYTES, Blocks, Piece
from fastnn.tables import ArrowTable
from fastnn.words import near

_BYTES_AT_ONCE = 4 * 1024 * 1024  # of numbers


def _pyarrow(module: str) -> Any:
    """Return a module of pyarrow."""
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise ImportError(
            f"this reads files with {module}, which is not installed: pip install 'fastnn-numpy[arrow]'"
        ) from None


def _names(where: str, given: Any) -> list[Any]:
    """Return the names of columns in a list of these."""
    found = list(given) if isinstance(given, Iterable) and not isinstance(given, (str, bytes)) else []
    if not found:
        raise TypeError(f"{where} is {shown(given)}, expected a list of names of columns")
    return found


def _said(error: BaseException) -> str:
    """Return what an error of pyarrow says, in one line."""
    return " ".join(str(error).split())


class _Columnar(Blocks):
    """Files of columns, whose chunks are groups of rows."""

    _extension: str

    def __init__(
        self,
        paths: Any,
        target: str | Sequence[str] | None = None,
        *,
        columns: Sequence[str] | None = None,
        sample_weight: str | None = None,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        super().__init__(block_bytes)
        kind = type(self).__name__
        self._open_file: tuple[int, Any] | None = None
        found = paths_of(paths, f"{kind}: paths", self._extension)
        if found is None:
            raise TypeError(f"{kind}: paths is {shown(paths)}, expected the name of a file, or a list of these")
        self._paths = found
        known: list[str] = []
        self._groups: list[tuple[int, int, int]] = []  # (file, group, rows)
        self._layouts: list[tuple[list[str], int]] = []  # of each file
        for i, path in enumerate(found):
            try:
                layout, sizes = self._look(path)
            except ValueError as error:  # of pyarrow
                raise ValueError(f"{path} is no {kind} file: {_said(error)}") from None
            self._layouts.append(layout)
            names = layout[0]
            if i and (lacks := [name for name in known if name not in names]):
                raise ValueError(f"{path} lacks the columns {lacks} that {found[0]} has")
            known = known or names
            self._groups += [(i, group, rows) for group, rows in enumerate(sizes) if rows]
        one_target = isinstance(target, str)
        self._target = None if target is None else [target] if one_target else _names(f"{kind}: target", target)
        self._one_target, self._weight = one_target, sample_weight
        others = [*(self._target or ()), *(() if sample_weight is None else (sample_weight,))]
        all_others = [name for name in known if name not in others]
        chosen = all_others if columns is None else _names(f"{kind}: columns", columns)
        said = [(name, "columns") for name in chosen] + [(name, "target") for name in self._target or ()]
        for name, where in [*said, *(() if sample_weight is None else ((sample_weight, "sample_weight"),))]:
            self._require_column(name, f"{kind}: {where} has {name!r}")
            if where == "columns" and name in (self._target or ()):
                raise ValueError(f"{kind}: columns has {name!r}, the target: x would hold what is to be predicted")
        if not chosen:
            raise ValueError(f"{kind}: no columns are left for x, expected one at least")
        if not self._groups:
            raise ValueError(f"{kind}: {found[0]} has no rows, expected at least one")
        self.names = tuple(chosen)
        self.has_targets, self.has_weights = target is not None, sample_weight is not None

    def _require_column(self, name: Any, where: str) -> None:
        """Raise ValueError unless each file has one column of this name."""
        for path, (known, _) in zip(self._paths, self._layouts, strict=True):
            if name not in known:
                hint = near(str(name), known, 0.5) if isinstance(name, str) else []
                says = f"did you mean {' or '.join(map(repr, hint))}?" if hint else f"it has {known}"
                raise ValueError(f"{where}, which is no column of {path}: {says}")
            if known.count(name) > 1:
                raise ValueError(f"{where}, and {path} has {known.count(name)} columns of this name: rename them")

    def _look(self, path: str) -> tuple[tuple[list[str], int], list[int]]:
        """Return the layout of a file, and how many rows its groups have."""
        file = self._open(path)
        try:
            layout = self._layout(file)
            return layout, [self._rows_of(file, group) for group in range(layout[1])]
        finally:
            file.close()

    @abstractmethod
    def _layout(self, file: Any) -> tuple[list[str], int]:
        """Return the names of the columns of an open file, and how many groups it has."""

    @abstractmethod
    def _rows_of(self, file: Any, group: int) -> int:
        """Return how many rows a group of an open file has."""

    @abstractmethod
    def _read(self, file: int, group: int, columns: list[str], rows: int) -> Iterator[Any]:
        """Yield some rows of a group at a time."""

    @property
    def sizes(self) -> list[int]:
        return [rows for _, _, rows in self._groups]

    @property
    def n_columns(self) -> int:
        assert self.names is not None
        return len(self.names)

    def chunk(self, i: int, x: bool = True) -> Iterator[Piece]:
        assert self.names is not None
        names, start = self.names, 0
        others = [*(self._target or ()), *(() if self._weight is None else (self._weight,))]
        columns = list(dict.fromkeys([*(names if x else ()), *others]))
        rows = max(1, _BYTES_AT_ONCE // (8 * len(columns)))
        where = self._where(i)
        for batch in self._batches(i, columns, rows):
            for at in range(0, batch.num_rows, rows):
                part = batch.slice(at, rows)
                targets: Any = None
                if self._target is not None:
                    targets = ArrowTable(part.select(self._target))
                    targets = targets.column(0, "y") if self._one_target else targets
                weight = None if self._weight is None else part.column(self._weight)
                yield Piece(ArrowTable(part.select(names)) if x else None, targets, weight, where, start)
                start += part.num_rows

    def _batches(self, i: int, columns: list[str], rows: int) -> Iterator[Any]:
        """Yield the record batches of a group, which has the rows that it had when the feed was made."""
        file, group, left = self._groups[i]
        try:
            for batch in self._read(file, group, columns, rows):
                left -= batch.num_rows
                if left < 0:
                    break
                yield batch
        except FileNotFoundError:
            raise
        except (_pyarrow("pyarrow").ArrowException, OSError) as error:
            raise ValueError(f"{self._where(i)}, cannot be read: {_said(error)}") from error
        if left:
            raise self._changed(file)

    _group_name = "row group"

    def _where(self, i: int) -> str:
        file, group, _ = self._groups[i]
        return f"{self._paths[file]}, {self._group_name} {group}"

    def _changed(self, file: int) -> ValueError:
        return ValueError(
            f"{self._paths[file]} has been written anew since it was opened, with other columns or rows: make the feed "
            "again"
        )

    def _opened(self, file: int) -> Any:
        """Return an open file: the last one stays open."""
        if self._open_file is None or self._open_file[0] != file:
            self.close()
            self._open_file = file, self._open(self._paths[file])
            if self._layout(self._open_file[1]) != self._layouts[file]:
                raise self._changed(file)
        return self._open_file[1]

    @abstractmethod
    def _open(self, path: str) -> Any:
        """Open a file."""

    def close(self) -> None:
        if self._open_file is not None:
            opened, self._open_file = self._open_file[1], None
            opened.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open_file": None}

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, {number_of(len(self._groups), 'group')}>"


class Parquet(_Columnar):
    """Columns of Parquet files that are larger than memory, read by row groups with pyarrow (extra ``arrow``).

    Row groups come in a new order in each epoch, and their rows are shuffled in blocks of memory (see `Blocks`), the
    next of which is read while one trains. Rows are mixed the better, the smaller row groups are: some 10,000 rows.

    Parameters
    ----------
    paths : str, path, or list of these
        With ``*`` in it, all files of such names, in the order of these.
    target : str, sequence of str, or None
        The column of targets, or several. None is for predictions.
    columns : sequence of str or None
        Those of x; None takes all others. Their names become the model's ``feature_names``.
    sample_weight : str or None
        The column of what rows weigh.
    block_bytes : int
        How much memory a block takes; there are two.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastnn import Dense, Model, Softmax, feeds
    >>> import pyarrow as pa
    >>> from pyarrow import parquet
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "iris.parquet")
    >>> columns = {name: np.random.default_rng(i).normal(size=1000) for i, name in enumerate("ab")}
    >>> table = pa.table({**columns, "label": (columns["a"] > columns["b"]).astype(int)})
    >>> parquet.write_table(table, path, row_group_size=100)
    >>> data = feeds.Parquet(path, target="label")
    >>> data
    <Parquet: 1,000 rows, 2 columns, 10 groups>
    >>> net = Model([Dense(8, "relu"), Dense(2), Softmax()], seed=0)
    >>> history = net.fit(data, epochs=5)
    >>> net.feature_names
    ('a', 'b')
    >>> folder.cleanup()
    """

    _extension = "parquet"

    def _open(self, path: str) -> Any:
        return _pyarrow("pyarrow.parquet").ParquetFile(path, pre_buffer=False)

    def _layout(self, file: Any) -> tuple[list[str], int]:
        return list(file.schema_arrow.names), file.metadata.num_row_groups

    def _rows_of(self, file: Any, group: int) -> int:
        return int(file.metadata.row_group(group).num_rows)

    def _read(self, file: int, group: int, columns: list[str], rows: int) -> Iterator[Any]:
        yield from self._opened(file).iter_batches(rows, row_groups=[group], columns=columns, use_threads=False)


class Arrow(_Columnar):
    """Columns of Arrow IPC (Feather version 2) files that are larger than memory, read by record batches with pyarrow.

    Record batches come in a new order in each epoch, and their rows are shuffled in blocks of memory, as those of
    `Parquet`, whose parameters it has.

    Parameters
    ----------
    paths : str, path, or list of these
        With ``*`` in it, all files of such names, in the order of these.
    target : str, sequence of str, or None
        The column of targets, or several. None is for predictions.
    columns : sequence of str or None
        Those of x; None takes all others. Their names become the model's ``feature_names``.
    sample_weight : str or None
        The column of what rows weigh.
    block_bytes : int
        How much memory a block takes; there are two.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastnn import Dense, Model, feeds
    >>> import pyarrow as pa
    >>> from pyarrow import feather
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "line.arrow")
    >>> feather.write_feather(pa.table({"a": [0.0, 0.5, 1.0], "y": [0.0, 1.0, 2.0]}), path)
    >>> net = Model([Dense(1)], seed=0)
    >>> history = net.fit(feeds.Arrow(path, target="y"), epochs=5)
    >>> folder.cleanup()
    """

    _extension, _group_name = "arrow", "record batch"

    def _open(self, path: str) -> Any:
        pa = _pyarrow("pyarrow")
        return _ArrowFile(pa.OSFile(path), _pyarrow("pyarrow.ipc"))

    def _layout(self, file: Any) -> tuple[list[str], int]:
        reader = file.reader(None)
        return list(reader.schema.names), reader.num_record_batches

    def _rows_of(self, file: Any, group: int) -> int:
        return int(file.reader(None).get_batch(group).num_rows)

    def _read(self, file: int, group: int, columns: list[str], rows: int) -> Iterator[Any]:
        yield self._opened(file).reader(columns).get_batch(group)


class _ArrowFile:
    def __init__(self, source: Any, ipc: Any) -> None:
        self._source, self._ipc = source, ipc
        self._readers: dict[Any, Any] = {}

    def reader(self, columns: list[str] | None) -> Any:
        key = None if columns is None else tuple(columns)
        if key not in self._readers:
            options = self._ipc.IpcReadOptions(use_threads=False)
            if columns is not None:
                names = self.reader(None).schema.names
                options.included_fields = [names.index(name) for name in columns]
            self._readers[key] = self._ipc.open_file(self._source, options=options)
        return self._readers[key]

    def close(self) -> None:
        self._readers.clear()
        self._source.close()
