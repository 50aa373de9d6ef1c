"""Tables in files, read block by block: CSV, TSV, JSON lines, Parquet, Arrow and NumPy's arrays."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any

import numpy as np

from fastnn.checks import number_of, shown
from fastnn.cli.errors import CommandError, OptionError

ROWS = 8192  # of a block
_LONGEST = 1 << 20  # letters of a field
_DELIMITERS = (",", ";", "\t", "|")

SUFFIXES = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
    ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow", ".npy": "npy", ".npz": "npz",
}  # fmt: skip
COMPRESSED = (".bz2", ".xz", ".lzma", ".zst", ".zip", ".lz4", ".br", ".z")  # otherwise than by gzip
_MAGIC = {b"\x1f\x8b": "gzip", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"BZh": "bzip2"}
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))


@dataclass(frozen=True)
class Block:
    """Some rows of a table.

    Attributes
    ----------
    columns : list
        In the order of the source's names: lists of texts where `text`, else arrays or lists of Python's objects.
    lines : sequence of int or None
        The line of the file on which each row begins, where it has lines.
    first : int
        The place of the first row, from 0.
    """

    columns: list[Any]
    text: bool
    lines: Sequence[int] | None
    first: int

    def place(self, row: int) -> str:
        """Say where a row of the block stands."""
        return f"line {self.lines[row]}" if self.lines is not None else f"row {self.first + row}"


class Source(ABC):
    """A table in a file.

    Attributes
    ----------
    path : str
    names : list of str
        Of its columns.
    """

    path: str
    names: list[str]

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """Yield its rows, once."""

    def _named(self, names: Sequence[Any]) -> None:
        found = [str(name).strip() or f"column {i + 1}" for i, name in enumerate(names)]
        twice = sorted({name for name in found if found.count(name) > 1}) if len(set(found)) < len(found) else []
        if twice:
            raise CommandError(f"{self.path} has more than one column named {twice[0]!r}: rename them")
        if not found:
            raise CommandError(f"{self.path} has no columns")
        self.names = found


def format_of(path: str, given: str | None = None) -> str:
    """Return the format that a file has by its name."""
    if given is not None:
        return given
    if path == "-":
        return "csv"
    stem, suffix = os.path.splitext(path.lower())
    if suffix == ".gz":
        suffix = os.path.splitext(stem)[1]
    if suffix not in SUFFIXES:
        raise CommandError(
            f"{path}: the format is not known by the name, which should end in one of {', '.join(SUFFIXES)}: "
            f"--format says it ({', '.join(FORMATS)})"
        )
    return SUFFIXES[suffix]


def is_gzip(path: str) -> bool:
    """Whether the name of a file says that it is compressed by gzip."""
    return path.lower().endswith(".gz")


@contextmanager
def opened(path: str, given: str | None = None, delimiter: str | None = None, encoding: str = "utf-8-sig") -> Any:
    """Open a table: standard input where the path is "-".

    Raises
    ------
    CommandError
        Where it is no such table: with the line.
    OSError
        Where it cannot be read.
    """
    if os.path.isdir(path):
        raise CommandError(f"{path} is a directory, expected a file with a table")
    kind = format_of(path, given)
    if kind in ("csv", "tsv", "jsonl"):
        with _bytes_of(path) as raw:
            try:
                text = io.TextIOWrapper(raw, encoding=encoding, newline="")
            except LookupError:
                raise OptionError(f"--encoding is {encoding!r}, which Python does not know") from None
            try:
                if kind == "jsonl":
                    yield JSONLines(path, text)
                else:
                    yield Separated(path, text, "\t" if kind == "tsv" and delimiter is None else delimiter)
            except UnicodeDecodeError as error:
                packed = next((name for magic, name in _MAGIC.items() if bytes(error.object).startswith(magic)), None)
                if packed is not None:
                    raise CommandError(
                        f"{_titled(path)} is compressed by {packed}: decompress it first, as `zcat FILE | "
                        "fastnn ... -` does for gzip, which is also read from files whose names end in .gz"
                    ) from None
                raise CommandError(
                    f"{_titled(path)} is not in {error.encoding} (byte 0x{error.object[error.start]:02x}): --encoding "
                    "says what it is in, such as latin-1"
                ) from None
            finally:
                text.detach()
    elif kind in ("npy", "npz"):
        yield Arrays(path)
    else:
        with _bytes_of(path) as raw:
            yield Columnar(path, raw, kind)


def _titled(path: str) -> str:
    return "standard input" if path == "-" else path


@contextmanager
def _bytes_of(path: str) -> Iterator[IO[bytes]]:
    if path == "-":
        if sys.stdin is None:
            raise CommandError("standard input is closed: redirect it, as by < table.csv")
        yield sys.stdin.buffer
    elif is_gzip(path):
        with gzip.open(path) as file:
            try:
                yield file  # type: ignore[misc]
            except (gzip.BadGzipFile, EOFError) as error:
                raise CommandError(f"{path} is no whole gzip file: {error}") from None
    else:
        with open(path, "rb") as file:
            yield file


class Separated(Source):
    """Lines of fields with a delimiter between them: the first line has the names (RFC 4180)."""

    def __init__(self, path: str, file: IO[str], delimiter: str | None) -> None:
        self.path = _titled(path)
        first = file.readline(_LONGEST)
        while first and not first.strip():
            first = file.readline(_LONGEST)
        if not first:
            raise CommandError(f"{self.path} is empty, expected a line with the names of the columns")
        if delimiter is None:
            delimiter = next((one for one in _DELIMITERS if one in first), ",")
        if len(delimiter) != 1 or delimiter in '"\r\n':
            raise OptionError(f"--delimiter is {delimiter!r}, expected one letter")
        csv.field_size_limit(_LONGEST)
        self._reader = csv.reader(chain([first], file), delimiter=delimiter, strict=True)
        self._line = 0  # on which the last row began
        self._named(self._row() or [])

    def _row(self) -> list[str] | None:
        """Return the next row that is not blank."""
        try:
            while True:
                self._line = self._reader.line_num + 1
                row: list[str] | None = next(self._reader, None)
                if row or row is None:
                    return row
        except csv.Error as error:
            hint = " (a quote that was opened is not closed)" if "unexpected end" in str(error) else ""
            raise CommandError(f"{self.path}, line {self._line}: {error}{hint}") from None

    def blocks(self) -> Iterator[Block]:
        n, first = len(self.names), 0
        while True:
            rows: list[list[str]] = []
            lines: list[int] = []
            while len(rows) < ROWS:
                row = self._row()
                if row is None:
                    break
                if len(row) != n:
                    raise CommandError(
                        f"{self.path}, line {self._line}: {number_of(len(row), 'field')}, expected {n}, as many as the "
                        "first line has names (a field with a delimiter in it stands between quotes)"
                    )
                rows.append(row)
                lines.append(self._line)
            if not rows:
                return
            yield Block([list(column) for column in zip(*rows, strict=True)], True, lines, first)
            first += len(rows)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} comes twice")
    return found


_JSON = json.JSONDecoder(object_pairs_hook=_members)


class JSONLines(Source):
    """An object on each line: the keys of the first block are the columns, and what a line lacks is missing."""

    def __init__(self, path: str, file: IO[str]) -> None:
        self.path, self._lines = _titled(path), enumerate(file, 1)
        self._first = self._some()
        if not self._first:
            raise CommandError(f"{self.path} is empty, expected an object on each line")
        names: dict[str, None] = {}
        for _, row in self._first:
            names.update(dict.fromkeys(row))
        self._keys = list(names)
        self._named(self._keys)

    def _some(self) -> list[tuple[int, dict[str, Any]]]:
        """Return the objects of the next lines, with the numbers of these."""
        found: list[tuple[int, dict[str, Any]]] = []
        for line, text in self._lines:
            if not text.strip():
                continue
            try:
                row = _JSON.decode(text)
            except (ValueError, RecursionError) as error:
                what = (
                    f"{error.msg} (letter {error.pos + 1})" if isinstance(error, json.JSONDecodeError) else str(error)
                )
                raise CommandError(f"{self.path}, line {line}: no JSON: {what}") from None
            if not isinstance(row, dict):
                raise CommandError(f"{self.path}, line {line}: {shown(row)}, expected an object")
            found.append((line, row))
            if len(found) == ROWS:
                break
        return found

    def blocks(self) -> Iterator[Block]:
        first, rows, known = 0, self._first, set(self._keys)
        while rows:
            for line, row in rows:
                if not row.keys() <= known:
                    odd = next(key for key in row if key not in known)
                    raise CommandError(
                        f"{self.path}, line {line}: the key {odd!r} is new, expected those of the first {ROWS:,} lines"
                    )
                for key, value in row.items():
                    if isinstance(value, (dict, list)):
                        raise CommandError(
                            f"{self.path}, line {line}: {key!r} is {shown(value)}, expected a number, text, true, "
                            "false or null"
                        )
            columns = [[row.get(key) for _, row in rows] for key in self._keys]
            yield Block(columns, False, [line for line, _ in rows], first)
            first += len(rows)
            rows = self._some()


class Columnar(Source):
    """Files of Parquet and Arrow, which pyarrow reads."""

    def __init__(self, path: str, file: IO[bytes], kind: str) -> None:
        try:
            import pyarrow
            import pyarrow.ipc
            import pyarrow.parquet
        except ImportError:
            raise CommandError(
                f"{_titled(path)}: files of {kind.capitalize()} need pyarrow: pip install 'fastnn-numpy[arrow]'"
            ) from None
        self.path = _titled(path)
        self._errors = pyarrow.ArrowException
        try:
            if kind == "parquet":
                source = pyarrow.BufferReader(file.read()) if path == "-" else file
                whole = pyarrow.parquet.ParquetFile(source)
                self._batches = whole.iter_batches(ROWS)
                self._named(whole.schema_arrow.names)
            else:
                stream = self._stream(pyarrow.ipc, file, path == "-")
                self._batches = stream
                self._named(self._schema.names)
        except (pyarrow.ArrowException, OSError) as error:
            raise CommandError(f"{self.path} is no file of {kind.capitalize()}: {_first_line(error)}") from None

    def _stream(self, ipc: Any, file: IO[bytes], piped: bool) -> Iterator[Any]:
        magic = b"" if piped else file.read(6)
        if not piped:
            file.seek(0)
        reader = ipc.open_file(file) if magic == b"ARROW1" else ipc.open_stream(file)
        self._schema = reader.schema
        if magic == b"ARROW1":
            return (reader.get_batch(i) for i in range(reader.num_record_batches))
        return iter(reader)

    def blocks(self) -> Iterator[Block]:
        first = 0
        try:
            for batch in self._batches:
                for start in range(0, batch.num_rows, ROWS):
                    part = batch.slice(start, ROWS)
                    columns = [
                        _of_arrow(column, f"{self.path}: column {name!r}")
                        for column, name in zip(part.columns, self.names, strict=True)
                    ]
                    yield Block(columns, False, None, first)
                    first += part.num_rows
        except self._errors as error:
            raise CommandError(f"{self.path}: {_first_line(error)}") from None


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _of_arrow(column: Any, where: str) -> Any:
    """Return a column of Arrow as an array of NumPy, or a list of Python's objects."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_integer(kind) and not column.null_count:
        return column.to_numpy(zero_copy_only=False)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if pa.types.is_timestamp(kind) and kind.tz is not None:  # as a clock there shows it
        from pyarrow.compute import local_timestamp

        column, kind = local_timestamp(column), pa.timestamp(kind.unit)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return column.cast(pa.timestamp("us"), safe=False).to_numpy(zero_copy_only=False)
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise CommandError(f"{where} holds {kind}, expected numbers, text, booleans or dates: leave it out")
    return column.to_pylist()


class Arrays(Source):
    """Arrays of NumPy: the columns of a matrix are x0, x1 ..., those of an archive have the names of its arrays."""

    def __init__(self, path: str) -> None:
        if path == "-":
            raise CommandError("standard input cannot be an array of NumPy: name a file")
        self.path = path
        try:
            found = np.load(path, mmap_mode="r", allow_pickle=False)
            if isinstance(found, np.lib.npyio.NpzFile):
                with found:
                    parts = {name: found[name] for name in found.files}
            else:
                parts = {"x": found}
        except (ValueError, EOFError, KeyError) as error:
            raise CommandError(f"{path} is no array of NumPy, or holds objects: {_first_line(error)}") from None
        columns: dict[str, Any] = {}
        alone = len(parts) == 1
        for name, array in parts.items():
            if array.dtype.names:
                columns.update({field: array[field] for field in array.dtype.names})
            elif array.ndim == 1:
                columns[name] = array
            elif array.ndim == 2:
                columns.update({f"{name if not alone else 'x'}{i}": array[:, i] for i in range(array.shape[1])})
            else:
                raise CommandError(
                    f"{path}: the array {name!r} has shape {array.shape}, expected (rows,) or (rows, columns)"
                )
        sizes = {len(column) for column in columns.values()}
        if len(sizes) > 1:
            said = ", ".join(f"{name} {array.shape}" for name, array in parts.items())
            raise CommandError(f"{path}: its arrays have other numbers of rows: {said}")
        self._named([*columns])
        self._columns, self._n = [*columns.values()], sizes.pop() if sizes else 0

    def blocks(self) -> Iterator[Block]:
        for first in range(0, self._n, ROWS):
            part = slice(first, first + ROWS)
            yield Block([np.asarray(column[part]) for column in self._columns], False, None, first)
