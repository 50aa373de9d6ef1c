"""What objects come to, as JSON and arrays: written by `Writer`, and read by `Record`, which checks each of it.

An object says what it has come to as a dict of plain values, arrays, texts and models, and is made again of a record of
it. Arrays stand in the file as such ({"array": name}), also those of many texts, so that little has to be JSON.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from fastnn.arena import Array
from fastnn.formats.container import DTYPES
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.parts import Custom, Decoder, Encoder
from fastnn.formats.strict_json import Budget
from fastnn.model import Model
from fastnn.optimizers import Optimizer

T = TypeVar("T")
_KNOWN = frozenset(np.dtype(code) for code in DTYPES.values())
_SOME = 16  # labels that are written as JSON
_OF_A_LABEL, _OF_A_RECORD = 80, 1024  # bytes of memory
_UNIT = r"\[([1-9][0-9]{0,8})?(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\]"
_DATES = re.compile(rf"([<>=|]?M8|datetime64){_UNIT}|([<>=|]?m8|timedelta64)({_UNIT})?")


def _of_texts(n: int, n_bytes: int) -> int:
    """Return the bytes of memory that texts take, and what they are read from."""
    return _OF_A_LABEL * n + 4 * n_bytes


class Labels(list[Any]):
    """Texts, bytes and numbers, of which there may be many: values of a category, names, classes."""


class Settings(dict[str, Any]):
    """What a user has set, by name, where several objects have settings."""


class Trained:
    """A model with optimizers that others keep for it, by name, beside its own."""

    def __init__(self, model: Model, rules: Mapping[str, Optimizer]) -> None:
        self.model, self.rules = model, rules


class Writer:
    """Writes what objects have come to.

    Parameters
    ----------
    custom : mapping or None
        Names for functions that have none.
    budget : Budget
        Of which is taken what it will cost to read all.

    Attributes
    ----------
    arrays : dict
    models : list of tuple (Model, dict)
        Each once, with optimizers that others keep for it.
    """

    def __init__(self, custom: Custom | None, budget: Budget) -> None:
        self._encoder, self._budget = Encoder(custom, budget), budget
        self.arrays: dict[str, Array] = {}
        self.models: list[tuple[Model, Mapping[str, Optimizer]]] = []

    def value(self, value: Any, where: str) -> Any:
        """Return it as JSON."""
        if isinstance(value, Model):
            return {"model": self._place_of(value, {})}
        if isinstance(value, Trained):
            return {"model": self._place_of(value.model, value.rules)}
        if isinstance(value, Settings):
            return self.settings(value, where)
        if isinstance(value, np.ndarray):
            if value.dtype in _KNOWN:
                return self._array(value)
            self._budget.spend(value.nbytes, "its labels")
            return self._labels(value.tolist(), where)
        if isinstance(value, Labels):
            return self._labels(value, where)
        if isinstance(value, Mapping):
            self._budget.spend(_OF_A_RECORD, "what it holds")
            return {name: self.value(one, f"{where}: {name}") for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(one, f"{where}[{i}]") for i, one in enumerate(value)]
        return self._encoder.value(value, where)

    def settings(self, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return what a user has set as JSON."""
        return {
            name: self._array(value)
            if isinstance(value, np.ndarray) and value.dtype in _KNOWN
            else self._encoder.value(value.tolist() if isinstance(value, np.ndarray) else value, f"{where}: {name}")
            for name, value in given.items()
        }

    def _labels(self, values: Sequence[Any], where: str) -> Any:
        kinds = {type(value) for value in values}
        if len(values) > _SOME:
            if kinds == {str}:
                texts = [value.encode("utf-8", "surrogatepass") for value in values]
                lengths = np.array([*map(len, texts)], np.uint32)
                self._budget.spend(_of_texts(len(texts), int(lengths.sum(dtype=np.uint64))), "its texts")
                return {
                    "texts": self._array(np.frombuffer(b"".join(texts), np.uint8)), "lengths": self._array(lengths),
                }  # fmt: skip
            if kinds == {float} or (kinds == {int} and all(-(2**63) <= value < 2**63 for value in values)):
                self._budget.spend(_OF_A_LABEL * len(values), "its labels")
                return self._array(np.array(values, np.int64 if int in kinds else np.float64))
        return [
            {"bytes": value.hex()} if isinstance(value, bytes) else self._encoder.value(value, where)
            for value in values
        ]

    def _array(self, array: Array) -> dict[str, str]:
        name = f"state.{len(self.arrays)}"
        self.arrays[name] = array
        return {"array": name}

    def _place_of(self, model: Model, rules: Mapping[str, Optimizer]) -> int:
        for i, (known, _) in enumerate(self.models):
            if known is model:
                return i
        self.models.append((model, rules))
        return len(self.models) - 1


class Source:
    """What records of one file have in common: its arrays and models, and the memory that it may cost.

    Attributes
    ----------
    arrays : dict
        Those that nobody has taken.
    """

    def __init__(
        self, arrays: Mapping[str, Array], models: Sequence[Model], budget: Budget, custom: Custom | None
    ) -> None:
        self.arrays, self.models, self.budget = dict(arrays), models, budget
        self.decoder = Decoder(custom, budget)


class Record:
    """A JSON object of a file, whose values are taken by name, each checked.

    Raises
    ------
    ModelFormatError
        Where a value is missing, or another one than it may be.
    """

    def __init__(self, given: Any, where: str, source: Source) -> None:
        source.budget.spend(_OF_A_RECORD, "what it holds")
        if not isinstance(given, dict):
            raise ModelFormatError(f"{where} is {_short(given)}, expected a JSON object")
        self._left, self.where, self._source = dict(given), where, source

    def _take(self, name: str) -> Any:
        if name not in self._left:
            raise ModelFormatError(f"{self.where} has no {name}")
        return self._left.pop(name)

    def _wrong(self, name: str, value: Any, expected: str) -> ModelFormatError:
        return ModelFormatError(f"{self.where}: its {name} is {_short(value)}, expected {expected}")

    def has(self, name: str) -> bool:
        """Whether there is something of that name; "nothing" is taken."""
        if self._left.get(name, 0) is None:
            del self._left[name]
            return False
        return name in self._left

    def has_objects(self, name: str) -> bool:
        """Whether there is a list of objects of that name, as `items` takes it."""
        value = self._left.get(name)
        return isinstance(value, list) and bool(value) and isinstance(value[0], dict)

    def spend(self, n: int, what: str) -> None:
        """Take n bytes of the memory that the file may cost."""
        self._source.budget.spend(n, what)

    def names_left(self) -> tuple[str, ...]:
        """Return the names of what has not been taken."""
        return tuple(self._left)

    def like(self, name: str, default: Any) -> Any:
        """Return a value of the kind of another: a number, a text, a flag, or numbers in a row; or None."""
        value = self._take(name)
        kind = type(default)
        if kind is tuple and isinstance(value, list) and all(type(one) is int for one in value):
            return tuple(value)
        allowed = (int, type(None)) if default is None else (float, int) if kind is float else (kind,)
        if type(value) not in allowed or (type(value) is float and not math.isfinite(value)):
            raise self._wrong(name, value, f"a value like {default!r}")
        return float(value) if kind is float else value

    def end(self) -> None:
        """Raise ModelFormatError where something is left."""
        for name in self._left:
            raise ModelFormatError(f"{self.where} has {_short(name)}, which nothing takes")

    def text(self, name: str) -> str:
        """Return a text."""
        value = self._take(name)
        if not isinstance(value, str):
            raise self._wrong(name, value, "a text")
        return value

    def flag(self, name: str) -> bool:
        """Return True or False."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false")
        return value

    def whole(self, name: str, least: int = 0, most: int = 2**53) -> int:
        """Return a whole number."""
        value = self._take(name)
        if type(value) is not int or not least <= value <= most:
            raise self._wrong(name, value, f"a whole number from {least} to {most}")
        return value

    def number(self, name: str, above: float = -math.inf) -> float:
        """Return a finite number."""
        value = self._take(name)
        if type(value) not in (int, float) or not (abs(value) < 1e308 and value > above):
            raise self._wrong(name, value, f"a finite number above {above:g}")
        return float(value)

    def real(self, name: str) -> float | None:
        """Return a number, which may be infinite or NaN, or None."""
        value = self._take(name)
        if isinstance(value, dict) and isinstance(value.get("number"), str):
            value = self._source.decoder.value(value, f"{self.where}: {name}")
        if type(value) not in (int, float, type(None)):
            raise self._wrong(name, value, "a number or null")
        return None if value is None else float(value)

    def choice(self, name: str, options: Sequence[str] | Mapping[str, Any]) -> str:
        """Return one of some texts."""
        value = self._take(name)
        if not isinstance(value, str) or value not in options:
            raise self._wrong(name, value, f"one of {', '.join(map(repr, options))}")
        return value

    def array(self, name: str, dtype: Any, *shape: int | None, finite: bool = True) -> Array:
        """Return an array of a dtype, or one of several, and a shape, in which None stands for any number."""
        given = self._take(name)
        array = self._array_of(name, given)
        dtypes = [np.dtype(one) for one in (dtype if isinstance(dtype, tuple) else (dtype,))]
        fits = array.ndim == len(shape) and all(
            n is None or n == own for n, own in zip(shape, array.shape, strict=True)
        )
        if array.dtype not in dtypes or not fits:
            raise ModelFormatError(
                f"{self.where}: its {name} has shape {array.shape} and dtype {array.dtype}, expected "
                f"{tuple('any' if n is None else n for n in shape)} and {' or '.join(one.name for one in dtypes)}"
            )
        if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelFormatError(f"{self.where}: its {name} holds NaN or infinity")
        return array

    def _array_of(self, name: str, given: Any) -> Array:
        own = given.get("array") if isinstance(given, dict) else None
        array = self._source.arrays.pop(own, None) if isinstance(own, str) else None
        if array is None:
            raise self._wrong(name, given, "an array that is there")
        return array

    def labels(self, name: str) -> list[Any]:
        """Return texts, bytes and numbers."""
        given = self._take(name)
        if isinstance(given, dict) and "texts" in given:
            return self._texts(name, given)
        if isinstance(given, dict):
            array = self._array_of(name, given)
            if array.ndim != 1 or array.dtype not in (np.int64, np.float64):
                raise self._wrong(name, array, "numbers in a row")
            self._source.budget.spend(_OF_A_LABEL * len(array), "its labels")
            found: list[Any] = array.tolist()
            return found
        if not isinstance(given, list):
            raise self._wrong(name, given, "a list")
        return [self._label(name, one) for one in given]

    def _label(self, name: str, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("bytes"), str):
            return bytes.fromhex(given["bytes"])
        value = self._source.decoder.value(given, f"{self.where}: {name}")
        if not isinstance(value, (str, bool, int, float)):
            raise self._wrong(name, given, "texts, bytes or numbers")
        return value

    def _texts(self, name: str, given: dict[str, Any]) -> list[str]:
        texts, lengths = self._array_of(name, given["texts"]), self._array_of(name, given.get("lengths"))
        if texts.dtype != np.uint8 or lengths.dtype != np.uint32 or texts.ndim != 1 or lengths.ndim != 1:
            raise self._wrong(name, texts, "texts as bytes, and their lengths")
        if int(lengths.sum(dtype=np.uint64)) != len(texts):
            raise ModelFormatError(f"{self.where}: its {name} have other lengths than bytes")
        self._source.budget.spend(_of_texts(len(lengths), len(texts)), "its texts")
        ends = np.cumsum(lengths, dtype=np.int64).tolist()
        found, begin = list[str](), 0
        for end in ends:
            found.append(texts[begin:end].tobytes().decode("utf-8", "surrogatepass"))
            begin = end
        return found

    def pairs(self, name: str, n: int) -> dict[int, int]:
        """Return whole numbers by places below n."""
        given = self._take(name)
        if not isinstance(given, list) or not all(
            isinstance(one, list) and [*map(type, one)] == [int, int] and 0 <= one[0] < n for one in given
        ):
            raise self._wrong(name, given, f"pairs of places below {n} and whole numbers")
        return dict(given)

    def names(self, name: str, n: int | None = None) -> list[str]:
        """Return texts, n where it is said how many."""
        found = self.labels(name)
        if not all(isinstance(one, str) for one in found) or (n is not None and len(found) != n):
            raise self._wrong(name, found, "texts" if n is None else f"{n} texts")
        return found

    def items(self, name: str) -> Iterator[Record]:
        """Return objects, each to be taken as a whole."""
        given = self._take(name)
        if not isinstance(given, list):
            raise self._wrong(name, given, "a list")
        for i, one in enumerate(given):
            record = Record(one, f"{self.where}: {name} {i}", self._source)
            yield record
            record.end()

    def part(self, name: str, read: Callable[[Record], T]) -> T:
        """Return what is made of an object."""
        record = Record(self._take(name), f"{self.where}: {name}", self._source)
        made = read(record)
        record.end()
        return made

    def models(self, name: str) -> list[Model]:
        """Return models, one at least."""
        given = self._take(name)
        known = self._source.models
        if not isinstance(given, list) or not given:
            raise self._wrong(name, given, "a list of models")
        found = []
        for one in given:
            place = one.get("model") if isinstance(one, dict) else None
            if type(place) is not int or not 0 <= place < len(known):
                raise self._wrong(name, one, f"one of {len(known)} models")
            found.append(known[place])
        return found

    def settings(self, name: str) -> dict[str, Any]:
        """Return what a user has set, by name."""
        given = self._take(name)
        if not isinstance(given, dict):
            raise self._wrong(name, given, "a JSON object")
        return {
            key: self._array_of(key, value)
            if isinstance(value, dict) and isinstance(value.get("array"), str)
            else self._source.decoder.value(value, f"{self.where}: {key}")
            for key, value in given.items()
        }


def dates_of(text: str) -> np.dtype[Any]:
    """Return a dtype of dates or spans, from its name."""
    if not _DATES.fullmatch(text):
        raise ModelFormatError(f"there is a dtype {text[:40]!r}, expected one of dates")
    return np.dtype(text)


def _short(value: object) -> str:
    text = f"{type(value).__name__} {str(value)[:60]}"
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else text
