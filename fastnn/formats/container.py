"""The container of a model file, which is that of safetensors: 8 bytes, a header in JSON, and arrays.

The 8 bytes are the length of the header, least first. The header names each array, with its dtype, its shape and where
its bytes lie behind the header: one behind the other, without gaps. (https://github.com/huggingface/safetensors)
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from math import prod
from typing import IO, Any

import numpy as np

from fastnn.arena import Array
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.strict_json import Budget, parse, write

METADATA = "__metadata__"
_LENGTH = 8  # bytes, of the number in front
_ALIGNMENT = 64  # of where arrays begin: the header ends in blanks
_MOST_DIMENSIONS = 8
DTYPES = {
    "F64": "<f8", "I64": "<i8", "U64": "<u8", "F32": "<f4", "I32": "<i4", "U32": "<u4", "F16": "<f2", "I16": "<i2",
    "U16": "<u2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in DTYPES.items()}


class Entry:
    """Where an array lies behind the header.

    Attributes
    ----------
    dtype : dtype
    shape : tuple of int
    begin, end : int
    """

    __slots__ = ("begin", "dtype", "end", "shape")

    def __init__(self, dtype: np.dtype[Any], shape: tuple[int, ...], begin: int, end: int) -> None:
        self.dtype, self.shape, self.begin, self.end = dtype, shape, begin, end


class Container:
    """A file that is open, whose header has been checked: what it says of sizes is so.

    Parameters
    ----------
    file : binary file
    size : int
        Of the file.

    Attributes
    ----------
    metadata : dict of str to str
    entries : dict of str to Entry
    budget : Budget
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size
        if size <= _LENGTH:
            raise ModelFormatError(f"no model file: it has {size} bytes, expected {_LENGTH} and more")
        length = int.from_bytes(_read(file, _LENGTH), "little")
        if length > size - _LENGTH:
            if _read(file, 1) != b"{":
                raise ModelFormatError("no model file: no header begins behind its first 8 bytes")
            raise ModelFormatError(
                f"no model file, or one that was cut off: its header would have {length:,} bytes, and it has {size:,} "
                "in all"
            )
        self._start = _LENGTH + length
        self.budget = Budget(size)
        self.budget.spend(length, f"a header of {length:,} bytes")
        text = _read(file, length)
        self.budget.spend_for_text(text)
        header = parse(text, "the header") if text[:1] == b"{" else None
        if not isinstance(header, dict):
            raise ModelFormatError("no model file: its header is no JSON object")
        metadata = header.pop(METADATA, {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ModelFormatError(f"its {METADATA} is {_kind(metadata)}, expected texts by name")
        self.metadata: dict[str, str] = metadata
        self.entries = {name: _entry(name, given) for name, given in header.items()}
        self._require_no_gaps()

    def _require_no_gaps(self) -> None:
        at = 0
        for name, entry in sorted(self.entries.items(), key=lambda item: (item[1].begin, item[1].end)):
            if entry.begin != at:
                raise ModelFormatError(f"the array {name!r} begins at byte {entry.begin:,}, expected {at:,}")
            at = entry.end
        have = self._size - self._start
        if at != have:
            what = "was cut off" if at > have else "has more than that behind them"
            raise ModelFormatError(f"its arrays have {at:,} bytes, and it {what}: there are {have:,}")

    def numbers(self, name: str) -> list[float]:
        """Return one array of numbers as a list."""
        entry = self.entries[name]
        self._file.seek(self._start + entry.begin)
        found: list[float] = np.frombuffer(_read(self._file, entry.end - entry.begin), entry.dtype).tolist()
        return found

    def arrays(self, mapped: bool) -> dict[str, Array]:
        """Return the arrays: read, or views into the file that cannot be written to."""
        if not self.entries:
            return {}
        if mapped:
            buffer: Any = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            start = self._start
        else:
            buffer, start = np.empty(self._size - self._start, np.uint8), 0
            _fill(self._file, buffer)
        found = {}
        for name, entry in self.entries.items():
            flat = np.frombuffer(buffer, entry.dtype, prod(entry.shape), start + entry.begin)
            if entry.dtype == np.bool_ and not np.isin(flat.view(np.uint8), (0, 1)).all():
                raise ModelFormatError(f"the array {name!r} holds what is neither True nor False")
            found[name] = flat.reshape(entry.shape)
        return found


def _read(file: IO[bytes], n: int) -> bytes:
    text = file.read(n)
    if len(text) != n:
        raise ModelFormatError(f"it ends {n - len(text):,} bytes too early")
    return text


def _fill(file: IO[bytes], buffer: Array) -> None:
    view, at = memoryview(buffer), 0  # type: ignore[arg-type]
    while at < len(view):
        n = file.readinto(view[at:])  # type: ignore[attr-defined]
        if not n:
            raise ModelFormatError(f"it ends {len(view) - at:,} bytes too early")
        at += n


def _entry(name: str, given: Any) -> Entry:
    """Return an entry of the header, checked."""
    if not isinstance(given, dict) or given.keys() != {"dtype", "shape", "data_offsets"}:
        raise ModelFormatError(f"the array {name!r} is {_kind(given)}, expected its dtype, shape and data_offsets")
    code, shape, offsets = given["dtype"], given["shape"], given["data_offsets"]
    if not isinstance(code, str) or code not in DTYPES:
        raise ModelFormatError(f"the array {name!r} has the dtype {str(code)[:40]!r}, expected one of {[*DTYPES]}")
    for what, value in (("shape", shape), ("data_offsets", offsets)):
        if not isinstance(value, list) or not all(type(one) is int and 0 <= one < 2**63 for one in value):
            raise ModelFormatError(f"the array {name!r}: its {what} is {_kind(value)}, expected whole numbers >= 0")
    if len(shape) > _MOST_DIMENSIONS or len(offsets) != 2:
        raise ModelFormatError(f"the array {name!r} has {len(shape)} dimensions and {len(offsets)} offsets")
    dtype, (begin, end) = np.dtype(DTYPES[code]), offsets
    if prod(shape) * dtype.itemsize != end - begin:
        raise ModelFormatError(
            f"the array {name!r} of shape {tuple(shape)} has {prod(shape) * dtype.itemsize:,} bytes, and lies from "
            f"{begin:,} to {end:,}"
        )
    return Entry(dtype, tuple(shape), begin, end)


def _kind(value: object) -> str:
    return f"{type(value).__name__} {str(value)[:60]}"


def encoded(metadata: Mapping[str, str], arrays: Mapping[str, Array]) -> tuple[bytes, list[Array]]:
    """Return the beginning of a file, and the arrays in the order in which they lie behind it.

    Arrays of larger numbers come first, so that all begin where their numbers may.
    """
    header: dict[str, Any] = {METADATA: dict(metadata)}
    at, ordered = 0, []
    for name, given in sorted(arrays.items(), key=lambda item: -item[1].itemsize):
        dtype = given.dtype.newbyteorder("<") if given.dtype.byteorder == ">" else given.dtype
        if dtype not in _NAMES:
            raise TypeError(f"save: the array {name!r} has the dtype {given.dtype}, which no model file holds")
        array = np.ascontiguousarray(given, dtype).reshape(given.shape)
        header[name] = {
            "dtype": _NAMES[dtype], "shape": list(array.shape), "data_offsets": [at, at + array.nbytes],
        }  # fmt: skip
        at += array.nbytes
        ordered.append(array)
    text = write(header).encode("utf-8")
    text += b" " * (-(len(text) + _LENGTH) % _ALIGNMENT)
    return len(text).to_bytes(_LENGTH, "little") + text, ordered


def size_of(file: IO[bytes]) -> int:
    """Return how many bytes a file has."""
    return os.fstat(file.fileno()).st_size
