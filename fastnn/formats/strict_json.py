"""JSON from files that nobody has to trust: what it may cost is known before it is read."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from fastnn.formats.errors import ModelFormatError

_DEPTH = 64  # of lists and dicts inside each other
_DIGITS = 400  # of a whole number: seeds may be long
_STRING_OR_BRACKET = re.compile(rb'"[^"]*"|[\[\]{}]')
_LONE = re.compile('"([^"]*[\ud800-\udfff][^"]*)"')
_OF_A_BYTE, _OF_A_VALUE, _OF_A_PART = 14, 100, 4096  # bytes of memory
_SPARE = 12 * 2**20  # bytes that a file may cost beside what it is long
NO_END = 2**60  # bytes


class Budget:
    """The memory that a file may cost: about what it is long, and some.

    Parameters
    ----------
    size : int
        Of the file, in bytes.
    """

    def __init__(self, size: int) -> None:
        self._size, self.left = size, size + _SPARE

    @property
    def spent(self) -> int:
        """How many bytes of it have been taken: of one without end, while a file is written, what it will cost."""
        return self._size + _SPARE - self.left

    def spend(self, n: int, what: str) -> None:
        """Take n bytes of it, and raise ModelFormatError where there are not so many left."""
        self.left -= n
        if self.left < 0:
            most = (self._size + _SPARE) / 2**20
            raise ModelFormatError(f"{what} would take more memory than a file of this size may, {most:.1f} MB")

    def spend_for_text(self, text: bytes) -> None:
        """Take what the header of a file may need, with the JSON that its strings hold."""
        values = sum(map(text.count, (b",", b":", b"[", b"{")))
        self.spend(_OF_A_BYTE * len(text) + _OF_A_VALUE * values, f"a header of {values:,} values")

    def spend_for_part(self) -> None:
        """Take what a layer, or another part, may need."""
        self.spend(_OF_A_PART, "its layers and other parts")


def parse(text: bytes | str, what: str) -> Any:
    """Return what JSON holds: no name twice, no NaN or infinity, nothing nested deeply, and UTF-8.

    Raises
    ------
    ModelFormatError
        For anything else.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(raw.replace(b"\\\\", b"").replace(b'\\"', b"")):
        found = match[0]
        depth += found in (b"[", b"{")
        depth -= found in (b"]", b"}")
        if depth > _DEPTH:
            raise ModelFormatError(f"{what} is nested more than {_DEPTH} deep")
    try:
        decoded = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelFormatError(f"{what} is not UTF-8: {error}") from None
    try:
        return _DECODER.decode(decoded)
    except ModelFormatError as error:
        raise ModelFormatError(f"{what}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{what} is not JSON: {error}") from None


def write(value: object) -> str:
    """Return the JSON of it, in which there are no NaN and infinity, as text that has bytes in UTF-8."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    lone = _LONE.search(text)
    if lone:
        raise ValueError(f"save: the text {_short(lone[1])} has half a character, a lone surrogate: take another text")
    return text


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ModelFormatError(f"it has the name {_short(name)} twice")
        found[name] = value
    return found


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise ModelFormatError(f"it has a number of {len(text)} digits")
    return int(text)


def _decimal(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ModelFormatError(f"it has the number {_short(text)}, which is too large")
    return value


def _constant(text: str) -> None:
    raise ModelFormatError(f"it has {text}, which is no number of JSON")


def _short(text: str) -> str:
    return repr(text if len(text) < 80 else f"{text[:60]}...")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_whole, parse_float=_decimal, parse_constant=_constant
)
