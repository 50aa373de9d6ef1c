"""What commands write: files that are replaced as a whole, and never without being asked."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn.cli.errors import CommandError, OptionError
from fastnn.cli.files import COMPRESSED, format_of, is_gzip
from fastnn.formats.safely import replace
from fastnn.markup import size

WRITTEN = ("csv", "tsv", "jsonl")


def refuse_existing(path: str, force: bool, *inputs: str) -> None:
    """Raise CommandError where there is such a file, unless it may be replaced: never one that is read."""
    if path == "-":
        return
    for other in inputs:
        if other != "-" and os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other):
            raise OptionError(f"{path} is what is read: name another file to write")
    if os.path.isdir(path):
        raise CommandError(f"{path} is a folder, expected the name of a file")
    if os.path.lexists(path) and not force:
        raise CommandError(f"{path} exists: --force replaces it, -o names another file")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise CommandError(f"{path}: there is no folder {folder}")


def drop_output() -> None:
    """Let what standard output still holds go nowhere: Python would fail to write it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_size(path: str) -> str:
    """Return the size of a file in words."""
    return size(os.path.getsize(path))


def write(path: str, parts: Iterable[bytes]) -> None:
    """Write to a file, which is there once all of it is, or to standard output: compressed where the name says so."""
    if path == "-":
        sys.stdout.flush()
        for part in parts:
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
    else:
        replace(path, _compressed(parts) if is_gzip(path) else parts)


def _compressed(parts: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)  # a header of gzip, without name and time
    for part in parts:
        yield packer.compress(part)
    yield packer.flush()


def require_written(path: str, given: str | None) -> str:
    """Return the format of a table that is to be written.

    Raises
    ------
    OptionError
        Where tables are not written so.
    """
    kind, suffix = format_of(path, given), os.path.splitext(path.lower())[1]
    if kind not in WRITTEN:
        raise OptionError(f"{path}: predictions are written as {', '.join(WRITTEN)}, not as {kind}")
    if suffix in COMPRESSED:
        raise OptionError(f"{path}: predictions are compressed by gzip alone, not as {suffix}: end the name in .gz")
    return kind


def rows_in(path: str, given: str | None, names: Sequence[str], blocks: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """Yield a table, block by block: CSV, TSV or JSON lines by the name of the file.

    Parameters
    ----------
    blocks : iterable of sequences of columns
        In the order of the names.
    """
    kind = require_written(path, given)
    return (_json if kind == "jsonl" else _separated("\t" if kind == "tsv" else ","))(names, blocks)


def _plain(column: Any) -> list[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else list(column)


def _json(names: Sequence[str], blocks: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    for columns in blocks:
        lines = [
            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, default=str)
            for row in zip(*map(_plain, columns), strict=True)
        ]
        yield "".join(f"{line}\n" for line in lines).encode()


def _separated(delimiter: str) -> Callable[[Sequence[str], Iterable[Sequence[Any]]], Iterator[bytes]]:
    def parts(names: Sequence[str], blocks: Iterable[Sequence[Any]]) -> Iterator[bytes]:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        writer.writerow(names)
        for columns in blocks:
            writer.writerows(zip(*map(_plain, columns), strict=True))
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
        yield text.getvalue().encode()

    return parts
