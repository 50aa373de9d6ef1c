"""Parts as JSON: what each is made with, by the arguments of its class.

A part is an object {"type": its class, and by name what it is made with}. Classes are those of this package that are
public; nothing is imported by a name. What is a user's own has "own" in the place of "type", or is a function, and is
looked up among what a user passes for it. A part that stands in several places has a number there, "id", and
{"same": number} elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np

from fastnn import callbacks, constraints, initializers, layers, losses, metrics, optimizers, penalties, schedules
from fastnn.arena import Array
from fastnn.checks import shown
from fastnn.formats.container import DTYPES
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.strict_json import NO_END, Budget
from fastnn.schedules import Schedule
from fastnn.settable import WithSettings
from fastnn.settings import Part
from fastnn.signatures import is_ours, parameters_of
from fastnn.words import near

Custom = Mapping[str, Any]
Known = Mapping[str, type]  # classes of this package that are not public, which files of a kind may name, too

_RESERVED = {"type", "own", "id", "settings"}  # beside which no setting of that name stands
_NUMBERS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_LONG = 200  # letters, of a name
_MOST_IN_TEXT = 1024  # numbers of an array among settings
_DTYPES = frozenset(np.dtype(code).name for code in DTYPES.values())
_FUNCTIONS = (FunctionType, BuiltinFunctionType, np.ufunc)
_classes: dict[str, type] = {}
_draws = {draw.__name__: draw for draw in initializers.BY_NAME.values()}
_names_of_draws = {id(draw): name for name, draw in _draws.items()}


def public_classes() -> dict[str, type]:
    """Return the classes of parts that a file may name."""
    if not _classes:
        for module in (layers, losses, optimizers, schedules, penalties, constraints, metrics, callbacks):
            for one in _public(module):
                if isinstance(one, type) and issubclass(one, (Part, Schedule)) and is_ours(one):
                    _classes.setdefault(one.__name__, one)
    return _classes


def _public(module: ModuleType) -> Iterator[object]:
    names = getattr(module, "__all__", None)
    if names is not None:
        return (getattr(module, name) for name in names)
    return (
        one
        for name, one in vars(module).items()
        if name[0] != "_" and getattr(one, "__module__", "") == module.__name__
    )


def made_with(part: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments that make a part, as it is now: those without a name, and the others."""
    kind = type(part)
    if isinstance(part, Part):
        named = part._made_with()
    else:
        named = {name: getattr(part, name, ...) for name in parameters_of(kind).all}
    several = parameters_of(kind).several
    return list(getattr(part, several, (...,))) if several else [], named


def require_custom(where: str, custom: object) -> None:
    """Raise TypeError unless it is None, or names with classes and functions."""
    if not isinstance(custom, Mapping | None):
        raise TypeError(f"{where}: custom is {shown(custom)}, expected a dict, as in {{'Scale': Scale}}")
    for name, value in (custom or {}).items():
        if not isinstance(name, str) or not callable(value):
            raise TypeError(
                f"{where}: custom has {shown(name)}: {shown(value)}, expected names with classes or functions, as in "
                'custom={"Scale": Scale}'
            )


# -- to be written ----------------------------------------------------------------------------------------------------


class Encoder:
    """Writes parts of one file: what stands in several places is written once.

    Parameters
    ----------
    custom : mapping or None
        Names for functions and classes that have none.
    budget : Budget or None
        Of which is taken what it will cost to read the parts.
    also : mapping or None
        Classes of this package that the file may name beside the public ones.
    """

    def __init__(self, custom: Custom | None = None, budget: Budget | None = None, also: Known | None = None) -> None:
        self._custom, self._also = dict(custom or {}), also or {}
        self._names = {id(value): name for name, value in self._custom.items()}
        self._written: dict[int, tuple[object, dict[str, Any]]] = {}
        self._own: dict[str, object] = {}
        self._n_shared = 0
        self.budget = Budget(NO_END) if budget is None else budget

    def part(self, part: Any, where: str) -> dict[str, Any]:
        """Return a part as JSON; `where` says in errors what it is."""
        if id(part) in self._written:
            return self.reference(part)
        given, also = part, self._also.get(type(part).__name__)
        part = part._in_files() if isinstance(part, Part) and type(part) is not also else part
        kind = type(part)
        own = not is_ours(kind)
        if not own and kind not in (public_classes().get(kind.__name__), also):
            raise TypeError(
                f"save: {where} is {shown(part)}, which no model file holds: write a public part in its place"
            )
        made: dict[str, Any] = {"own" if own else "type": self._name_of(kind, where) if own else kind.__name__}
        positional, named = made_with(part)
        several = parameters_of(kind).several
        if several:
            named = {several: positional, **named}
        settings = {}
        for name, value in named.items():
            if value is ... or (isinstance(value, list) and ... in [*filter(lambda one: one is ..., value)]):
                raise TypeError(
                    f"save: {where}, {kind.__name__}, does not keep what it is made with: let its __init__ set "
                    f"self.{name} = {name}"
                )
            settings[name] = self.value(value, f"{where}: {name}")
        made |= {"settings": settings} if settings.keys() & _RESERVED else settings
        self._written[id(given)] = given, made
        self.budget.spend_for_part()
        return made

    def reference(self, part: Any) -> dict[str, Any]:
        """Return what stands for a part that is written elsewhere."""
        _, made = self._written[id(part)]
        if "id" not in made:
            self._n_shared += 1
            made["id"] = self._n_shared
        return {"same": made["id"]}

    def parts(self) -> list[Any]:
        """Return all that have been written."""
        return [part for part, _ in self._written.values()]

    def knows(self, part: object) -> bool:
        """Whether a part has been written."""
        return id(part) in self._written

    def decoder(self, known: list[Any]) -> Decoder:
        """Return what reads more of the same file, where some parts have been made."""
        decoder = Decoder({**self._custom, **self._own}, Budget(NO_END), self._also)
        made = [(part, self._written[id(part)][1]) for part in known]
        decoder._shared = {of["id"]: part for part, of in made if "id" in of}
        return decoder

    def require_made_again(self) -> None:
        """Raise TypeError where a user's part, made anew of what it keeps, would be another one."""
        for part in self.parts():
            if is_ours(type(part)):
                continue
            once = Encoder(self._custom)
            made, title = once.part(part, type(part).__name__), shown(part)
            try:
                again = Decoder({**self._custom, **once._own}, Budget(NO_END)).value(made, type(part).__name__)
                is_same = Encoder(self._custom).part(again, type(part).__name__) == made
            except Exception as error:
                raise TypeError(f"save: {title} cannot be made anew of what it keeps: {error}") from error
            if not is_same:
                raise TypeError(
                    f"save: {title} would be another one, made anew of what it keeps: each argument of __init__ has to "
                    "be in an attribute of its name, as it was given"
                )

    def value(self, value: Any, where: str) -> Any:
        """Return a setting as JSON."""
        if value is None or isinstance(value, (bool, str)):
            if isinstance(value, str):
                require_text(value, where)
            return value
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, (int, float)):
            return value if isinstance(value, int) or math.isfinite(value) else {"number": str(value)}
        if isinstance(value, (Part, Schedule)):
            return self.part(value, where)
        if isinstance(value, (list, tuple)):
            several = [self.value(one, f"{where}[{i}]") for i, one in enumerate(value)]
            return {"tuple": several} if isinstance(value, tuple) else several
        if isinstance(value, Mapping):
            return {"dict": [[self.value(k, where), self.value(v, f"{where}[{k!r}]")] for k, v in value.items()]}
        if isinstance(value, slice):
            return {"slice": [self.value(end, where) for end in (value.start, value.stop, value.step)]}
        if isinstance(value, WithSettings):
            name = value.initializer.__name__
            return {"initializer": name, "settings": {k: self.value(v, where) for k, v in value.settings.items()}}
        if id(value) in _names_of_draws:
            return {"initializer": _names_of_draws[id(value)]}
        if isinstance(value, np.ndarray) and value.size <= _MOST_IN_TEXT and value.dtype.name in _DTYPES:
            return {"array": self.value(value.tolist(), where), "dtype": value.dtype.name}
        if callable(value) and not isinstance(value, type):
            return {"function": self._name_of(value, where)}
        raise TypeError(f"save: {where} is {shown(value)}, which no model file holds")

    def _name_of(self, value: Any, where: str) -> str:
        """Return by what name a user's class or function is asked for when the file is loaded."""
        name = self._names.get(id(value))
        if name is None:
            name = getattr(value, "__name__", None)
            is_local = isinstance(value, FunctionType) and "<" in value.__qualname__
            of_one = not isinstance(getattr(value, "__self__", None), (type(None), ModuleType))  # a method
            if name is None or is_local or of_one or not isinstance(value, (type, *_FUNCTIONS)):
                what = "a function without a name of its own" if isinstance(value, FunctionType) else shown(value)
                raise TypeError(
                    f"save: {where} is {what}, which no model file holds: define it by def at the top of a module, or "
                    'name it, as in net.save(path, custom={"name": function}), and pass the same to fastnn.load'
                )
        if self._own.setdefault(name, value) is not value:
            raise TypeError(
                f"save: {where} is a second {name!r}, another class or function than the first: rename one, or name "
                "both, as in net.save(path, custom={...})"
            )
        return str(name)


# -- to be read -------------------------------------------------------------------------------------------------------


class Decoder:
    """Reads parts of one file: each is made by its class, which checks what it is made with.

    Parameters
    ----------
    custom : mapping or None
        The classes and functions that are a user's own, by name.
    budget : Budget
    also : mapping or None
        Classes of this package that the file may name beside the public ones.
    """

    def __init__(self, custom: Custom | None, budget: Budget, also: Known | None = None) -> None:
        self._custom, self._budget, self._also = dict(custom or {}), budget, also or {}
        self._shared: dict[int, Any] = {}

    def part(self, given: Any, base: type | tuple[type, ...], where: str) -> Any:
        """Return the part that JSON describes, which has to be of some class."""
        made = self.value(given, where)
        if not isinstance(made, base):
            expected = base.__name__ if isinstance(base, type) else base[0].__name__
            raise ModelFormatError(f"{where} is {shown(made)}, expected a {expected}")
        return made

    def value(self, given: Any, where: str) -> Any:
        """Return what JSON describes."""
        if isinstance(given, str):
            require_text(given, where)
            return given
        if given is None or isinstance(given, (bool, int, float)):
            return given
        if isinstance(given, list):
            return [self.value(one, f"{where}[{i}]") for i, one in enumerate(given)]
        for tag, read in _READ.items():
            if tag in given:
                return read(self, given, where)
        raise ModelFormatError(f"{where} is {str(given)[:80]}, expected a value or a part")

    def _part(self, given: dict[str, Any], where: str) -> Any:
        self._budget.spend_for_part()
        tag = "own" if "own" in given else "type"
        name = given[tag]
        kind = self._own(name, where, True) if tag == "own" else self._public(_text(name, where))
        if kind is None:
            raise _unknown(name, where)
        settings = given["settings"] if isinstance(given.get("settings"), dict) else given
        settings = {
            name: self.value(value, f"{where}: {name}")
            for name, value in settings.items()
            if settings is not given or name not in _RESERVED
        }
        known = parameters_of(kind)
        positional = settings.pop(known.several, ()) if known.several else ()
        if not isinstance(positional, (list, tuple)):
            raise ModelFormatError(f"{where}: {known.several} is {shown(positional)}, expected a list")
        together = getattr(kind, "checked_together", ()) if tag == "type" else ()
        names = [k for k in settings if k in together or not (known.is_open or k in known.all)]
        later = {k: settings.pop(k) for k in names}
        part = kind(*positional, **settings)
        for name, value in later.items():  # also what every part of its kind has, but its class does not take
            if name not in {*together, *(known for known, _ in part._expression())}:
                raise ModelFormatError(f"{where}: {kind.__name__} has no setting {name!r}")
            if getattr(part, name) != value:
                setattr(part, name, value)
        if "id" in given:
            number = given["id"]
            if type(number) is not int or number in self._shared:
                raise ModelFormatError(f"{where}: its id is {str(number)[:40]}, expected a number of its own")
            self._shared[number] = part
        return part

    def _public(self, name: str) -> Any:
        return self._also.get(name) or public_classes().get(name)

    def _own(self, name: Any, where: str, is_class: bool) -> Any:
        """Return what a user has passed for a name."""
        what = "class" if is_class else "function"
        found = self._custom.get(_text(name, where))
        if found is None:
            close = near(name, self._custom, 0.5)
            hint = f" (custom has {', '.join(self._custom)}: did you mean {close[0]}?)" if close else ""
            raise ModelFormatError(
                f"{where} is {name!r}, a {what} that is not fastnn's, which no file can bring along: pass yours, "
                f"fastnn.load(path, custom={{{name!r}: {name}}}){hint}"
            )
        if is_class and not (isinstance(found, type) and issubclass(found, (Part, Schedule))):
            raise ModelFormatError(f"{where}: custom[{name!r}] is {shown(found)}, expected a class of parts")
        return found

    def _same(self, given: dict[str, Any], where: str) -> Any:
        number = given["same"]
        if type(number) is not int or number not in self._shared:
            raise ModelFormatError(f"{where} stands for part {str(number)[:40]}, which the file does not have")
        return self._shared[number]

    def _tuple(self, given: dict[str, Any], where: str) -> Any:
        return tuple(self._list(given["tuple"], where))

    def _list(self, given: Any, where: str) -> list[Any]:
        if not isinstance(given, list):
            raise ModelFormatError(f"{where} is {str(given)[:80]}, expected a list")
        return [self.value(one, where) for one in given]

    def _dict(self, given: dict[str, Any], where: str) -> Any:
        pairs = self._list(given["dict"], where)
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise ModelFormatError(f"{where} is {str(given)[:80]}, expected pairs")
        return dict(pairs)

    def _slice(self, given: dict[str, Any], where: str) -> Any:
        ends = self._list(given["slice"], where)
        if len(ends) != 3:
            raise ModelFormatError(f"{where} is {str(given)[:80]}, expected three numbers")
        return slice(*ends)

    def _number(self, given: dict[str, Any], where: str) -> Any:
        return _NUMBERS[_text(given["number"], where)]

    def _array(self, given: dict[str, Any], where: str) -> Array:
        dtype = _text(given.get("dtype"), where)
        if dtype not in _DTYPES:
            raise ModelFormatError(f"{where} has the dtype {dtype[:40]!r}, expected one of {[*_DTYPES]}")
        return np.array(self._list(given["array"], where), dtype)

    def _initializer(self, given: dict[str, Any], where: str) -> Any:
        draw = _draws.get(_text(given["initializer"], where))
        if draw is None:
            raise _unknown(given["initializer"], where)
        settings = given.get("settings", {})
        return draw(**{name: self.value(value, where) for name, value in settings.items()}) if settings else draw

    def _function(self, given: dict[str, Any], where: str) -> Any:
        return self._own(given["function"], where, False)


_READ: dict[str, Callable[[Decoder, dict[str, Any], str], Any]] = {
    "type": Decoder._part, "own": Decoder._part, "same": Decoder._same, "tuple": Decoder._tuple,
    "dict": Decoder._dict, "slice": Decoder._slice, "number": Decoder._number, "array": Decoder._array,
    "initializer": Decoder._initializer, "function": Decoder._function,
}  # fmt: skip


def _unknown(name: object, where: str) -> ModelFormatError:
    found = near(str(name)[:80], [*public_classes(), *_draws], 0.6)
    hint = f" (near: {', '.join(found)})" if found else ""
    return ModelFormatError(
        f"{where} is {str(name)[:80]!r}, a part that fastnn does not know{hint}: the file may be of a newer version"
    )


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > _LONG:
        raise ModelFormatError(f"{where} has {str(value)[:80]}, expected a name")
    return value


def require_text(value: str, where: str) -> None:
    """Raise ModelFormatError for half of a letter, which JSON may hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ModelFormatError(f"{where} is {value!r}, which is no text of Unicode") from None
