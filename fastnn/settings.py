"""What layers, losses and optimizers have in common: settings that take effect, or say why they cannot."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import signature
from types import FunctionType
from typing import Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import flag, lookup, number, shown
from fastnn.per_class import PerClass
from fastnn.schedules.contract import as_schedule
from fastnn.schedules.moving import Moving, changes
from fastnn.signatures import Parts, expression, is_ours, parameters_of, takes
from fastnn.words import answer, called, no_such

Cell = NDArray[np.float64]

edited = [object()]  # another object each time that an attribute of any part has been set

_NOTHING: Mapping[str, Moving] = {}
_PLAIN = (bool, int, float, str, type(None), np.generic, tuple, list)
_OF_SHAPES = re.compile(  # what NumPy says of arrays that do not fit together
    r"operands could not be broadcast|could not broadcast input|cannot broadcast a non-scalar|non-broadcastable|"
    r"shapes \(.*\) not aligned|shape-mismatch for sum|shape mismatch: |\w+: Input operand \d|input operand has more"
)
_OF_READ_ONLY = re.compile(r"\b(array|destination) is read-only$|, read-only\b")  # NumPy's words, and those of kernels
_KNOWN: PerClass[frozenset[str]] = PerClass()  # of each class, the names that it has
_FIXED: PerClass[frozenset[str]] = PerClass()
_FORMS: PerClass[dict[tuple[type, str], Forms]] = PerClass()


class Number:
    """A setting that may be changed at any time: kernels read it at every run.

    It is kept in a cell, a float64 array of shape (1,), whose address a recording holds. It may follow a schedule.

    Parameters
    ----------
    above, below, most : float or None
        Its bounds, which it may not reach, but the last; without `above` it may be 0.
    optional : bool
        Whether it may be None: then there is no cell.
    moves : bool
        Whether it may follow a schedule.
    """

    def __init__(
        self,
        above: float | None = None,
        below: float = float("inf"),
        most: float = float("inf"),
        *,
        optional: bool = False,
        moves: bool = True,
    ) -> None:
        self._above, self._below, self._most, self._optional, self._moves = above, below, most, optional, moves

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, part: Any, kind: type | None = None) -> Any:
        if part is None:
            return self
        try:
            return part._cells[self._name].item()
        except KeyError:
            if self._optional:
                return None
            raise no_attribute(type(part), type(part).__name__, self._name) from None

    def __set__(self, part: Any, value: object) -> None:
        above, name = self._above, self._name
        moving = None
        enough = type(value) is float and (value >= 0 if above is None else value > above)
        if not (enough and value < self._below and value <= self._most):  # type: ignore[operator]
            title = f"{type(part).__name__}: {name}"
            if self._moves and callable(value) and not isinstance(value, (type, Part)):
                moving = Moving(
                    as_schedule(title, value), title, above, min(self._below, np.nextafter(self._most, np.inf))
                )
                value = moving.cell.item()
            elif value is None and self._optional:
                part._cells.pop(name, None)
                part._follow(name, None)
                return
            else:
                value = number(title, value, above=above, below=self._below, most=self._most)
        if name in part._cells:
            part._cells[name][0] = value
        else:
            part._cells[name] = np.array([value])
        if moving is not None or "_moving" in part.__dict__:
            part._follow(name, moving)


class Flag:
    """A setting that is True or False."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, part: Any, value: object) -> None:
        part.__dict__[self._name] = flag(f"{type(part).__name__}: {self._name}", value)


class OneOf:
    """A setting that is one of some words, kept in the part's own dict, where it is read: a part prepares it there."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, part: Any, value: object) -> None:
        if not isinstance(value, str) or value not in self._words:
            expected = " or ".join(map(repr, self._words))
            kind = ValueError if isinstance(value, str) else TypeError
            raise kind(f"{type(part).__name__}: {self._name} is {shown(value)}, expected {expected}")
        part.__dict__[self._name] = value


class Numbers:
    """A setting that is one number or a sequence of them, all >= 0, or None: kernels read them at every run.

    They are kept in a float64 array. As many other numbers are written into it; another count is recorded anew.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, part: Any, kind: type | None = None) -> Any:
        if part is None:
            return self
        cell = part._cells.get(self._name)
        if cell is None:
            return None
        return cell.item() if part.__dict__[f"_{self._name}_is_one"] else tuple(cell.tolist())

    def __set__(self, part: Any, value: Any) -> None:
        where, name = f"{type(part).__name__}: {self._name}", self._name
        if value is None:
            part._cells.pop(name, None)
            return
        is_one = np.ndim(value) == 0
        given = [value] if is_one else list(value)
        if np.ndim(value) > 1 or not given:
            raise ValueError(f"{where} is {shown(value)}, expected a number, or one for each output")
        array = np.array([number(where if is_one else f"{where}[{i}]", one) for i, one in enumerate(given)])
        part.__dict__[f"_{name}_is_one"] = is_one
        before = part._cells.get(name)
        if before is not None and before.shape == array.shape:
            before[...] = array
        else:
            part._cells[name] = array


class Part(metaclass=Parts):
    """A layer, a loss, an optimizer, or what changes gradients on their way.

    Its settings are plain attributes, or `Number`. Those of this package know their own: a name that they do not have
    is an error with the near ones. Parts are compared by identity.
    """

    __slots__ = ("__dict__", "__weakref__", "_cells")
    _cells: dict[str, Cell]

    constants: tuple[str, ...] = ()  # the attributes that a recording fixes: a change records anew
    checked_together: tuple[str, ...] = ()  # settings that ``__init__`` compares: each may be set to what it refuses

    def __new__(cls, /, *args: Any, **options: Any) -> Any:
        part = super().__new__(cls)
        _set_cells(part, {})
        part._prepare()
        return part

    def _prepare(self) -> None:
        """Make what is there before ``__init__`` runs."""

    def _set_numbers(self, **values: object) -> None:
        """Set several at once, as `setattr` does."""
        kind = type(self)
        for name, value in values.items():
            getattr(kind, name).__set__(self, value)

    @property
    def _schedules(self) -> Mapping[str, Moving]:
        """The numbers that follow a schedule, by name."""
        found: Mapping[str, Moving] = self.__dict__.get("_moving", _NOTHING)
        return found

    def _follow(self, name: str, moving: Moving | None) -> None:
        """Write down what a number follows from now on, which may be nothing."""
        others, ended = dict(self._schedules), None
        if name in others:
            ended = others.pop(name)
            ended.cell = ended.cell.copy()  # recordings may keep it, and a model that is put back tells it where it is
        if moving is not None:
            moving.cell = self._cells[name]
            others[name] = moving
        elif ended is None:
            return
        if others:
            self.__dict__["_moving"] = others  # another dict each time: recordings and copies compare it
        else:
            del self.__dict__["_moving"]
        changes[0] += 1

    def _held(self) -> Iterable[Any]:
        """Return the parts inside this one that nobody else names: in an optimizer, and in heads."""
        return ()

    def _is_zero(self, name: str) -> bool:
        """Whether a number is 0, and stays so: one that follows a schedule may leave it."""
        return not self.cell(name)[0] and name not in self._schedules

    def cell(self, name: str) -> Cell:
        """Return the cell of a number: what kernels read."""
        try:
            return self._cells[name]
        except KeyError:
            raise no_attribute(type(self), type(self).__name__, name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(self)
        if name[0] != "_" and name not in _KNOWN.get(id(kind), ()):
            self._require_known(name)
        object.__setattr__(self, name, value)
        edited[0] = object()

    def _require_known(self, name: str) -> None:
        kind = type(self)
        known = names_of(kind)
        if name in known or name in self.__dict__:
            return
        settings = {*_settings_of(kind), *(known for known in known if isinstance(getattr(kind, known, None), Number))}
        if is_ours(kind) or called(name, settings) is not None:
            raise AttributeError(no_such(kind.__name__, name, known, settings))

    def __repr__(self) -> str:
        """Return the expression that makes it."""
        return expression(
            type(self).__name__, ((name, self._setting(name), *parameter) for name, parameter in self._expression())
        )

    def _setting(self, name: str) -> Any:
        """Return what a setting has been set to: a number, or the schedule that it follows."""
        moving = self._schedules.get(name)
        return getattr(self, name, ...) if moving is None else moving.schedule

    def _expression(self) -> Iterator[tuple[str, tuple[Any, bool]]]:
        """Yield what it is made of: names, with the default and whether it may stand by position."""
        yield from parameters_of(type(self)).all.items()

    def _in_files(self) -> Part:
        """Return the part that stands for this one in files: one that everybody knows."""
        return self

    def _made_with(self) -> dict[str, Any]:
        """Return the arguments that make it as it is now, by name, all of them."""
        return {name: self._setting(name) for name, _ in self._expression()}

    def _as_setting(self) -> str:
        """Return how it is written where another part is made of it."""
        return repr(self)

    def settings(self) -> object:
        """Return what it is set to: to be compared."""
        return dict(self.__dict__), [cell.tobytes() for cell in self._cells.values()]

    def __getstate__(self) -> Any:
        return {**self.__dict__, "_cells": {name: cell.tolist() for name, cell in self._cells.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        cells = {name: np.atleast_1d(np.array(value, np.float64)) for name, value in state["_cells"].items()}
        object.__setattr__(self, "_cells", cells)
        self.__dict__.update((name, value) for name, value in state.items() if name != "_cells")
        for name, moving in self._schedules.items():
            moving.cell = cells[name]
        edited[0] = object()


_set_cells = Part.__dict__["_cells"].__set__  # as object.__setattr__ does, in less time: losses are made for each step


def no_attribute(kind: type, title: str, name: str, when: str = "") -> AttributeError:
    """Return the error for an attribute that a part has not: what it is called, or what has not been done."""
    if name[:1] != "_":
        if name in _settings_of(kind):
            return AttributeError(f"{title} has no {name} yet: {kind.__name__}.__init__ must call super().__init__")
        is_own = isinstance(getattr(kind, name, None), property)  # which lacks what it reads
        found = None if is_own else answer(title, name, names_of(kind))
        if found is not None:
            return AttributeError(found)
    return AttributeError(f"{title} has no attribute {name!r}{when}")


def instead_of(name: str, kind: type, base: type, others: Iterable[str]) -> str:
    """Say which method a class has defined in place of one: what other libraries call it."""
    own = [vars(cls) for cls in kind.__mro__[: kind.__mro__.index(base)]]
    for other in others:
        if any(other in attributes for attributes in own):
            return f"; {other} is not called in a training: name it {name}"
    return ""


def made(what: str, given: object, base: type, by_name: Mapping[str, Callable[[], Any]]) -> Any:
    """Return a part: itself, a new one of its class, or a new one of that name.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, with the near ones, and for what is none of these.
    """
    if isinstance(given, base):
        return given
    if isinstance(given, type) and issubclass(given, base):
        return given()
    try:
        return lookup(what, given, by_name)()
    except TypeError as error:
        if not isinstance(given, str):
            error.args = (f"{error}{_misplaced(what, given, base)}",)
        raise


def _misplaced(what: str, given: object, base: type) -> str:
    """Say where something belongs that is no loss, optimizer or activation, as which it was given."""
    if callable(given) and not isinstance(given, Part):
        return f"; code of your own is a subclass of {base.__name__}"
    if what not in ("loss", "optimizer"):  # places of `fit`
        return ""
    if isinstance(given, Part):
        kinds = {"Loss": "loss", "Optimizer": "optimizer"}
        right = [kinds[cls.__name__] for cls in type(given).__mro__ if cls.__name__ in kinds]
        return f"; did you mean {right[0]}={given!r}?" if right else ""
    if isinstance(given, (bool, np.bool_)):
        return ""
    if isinstance(given, (int, np.integer)):
        return f"; did you mean epochs={shown(given)}, or batch_size={shown(given)}?"
    if isinstance(given, (float, np.floating)):
        return f"; did you mean optimizer=Adam(lr={given})?"
    if getattr(given, "shape", ()) or isinstance(given, (tuple, list)):
        return "; did you mean validation_data=(x, y), or sample_weight?"
    return ""


def explain_numpy(part: Part, name: str, error: ValueError) -> None:
    """Raise an error that says whose method it was, where NumPy has refused something in one of a user's part."""
    title = getattr(part, "title", None) or repr(part)
    if _OF_SHAPES.match(str(error)):
        raise ValueError(f"{title}: {name} has arrays whose shapes do not fit together ({error})") from error
    if _OF_READ_ONLY.search(str(error)):
        raise ValueError(
            f"{title}: {name} changes an array that it is given, which others read, too ({error}): make a new one, as "
            "x = x * 2 does, in place of x *= 2"
        ) from error


def fixed_settings(kind: type) -> frozenset[str]:
    """Return the settings of a class that are no numbers: what it is built with."""
    found = _FIXED.get(id(kind))
    if found is None:
        settings = _settings_of(kind)
        fixed = (name for name in settings if not isinstance(getattr(kind, name, None), (Number, property)))
        found = _FIXED.add(kind, frozenset(fixed))
    return found


def fixed_in_recording(part: Part) -> Iterable[str]:
    """Return the attributes of a user's part that a recording fixes: where it is made of kernels, all plain ones."""
    if getattr(part, "is_numpy", False):
        return part.constants
    plain = (name for name, value in part.__dict__.items() if name[0] != "_" and isinstance(value, _PLAIN))
    return dict.fromkeys((*part.constants, *plain))


def moving_numbers(parts: Iterable[Any]) -> list[Moving]:
    """Return the numbers of parts, and of those that they hold, that follow schedules."""
    found: list[Moving] = []
    for part in parts:
        found += part._schedules.values()
        found += moving_numbers(part._held())
    return found


def _settings_of(kind: type) -> Mapping[str, object]:
    """What the class of this package that it is, or derives from, is made with."""
    return parameters_of(next(base for base in kind.__mro__ if is_ours(base))).all


def names_of(kind: type) -> frozenset[str]:
    """Return the names that a class has: its attributes and its settings."""
    found = _KNOWN.get(id(kind))
    if found is None:
        names = {*_settings_of(kind), *dir(kind)}
        for base in kind.__mro__:
            names.update(vars(base).get("__annotations__", ()))
        found = _KNOWN.add(kind, frozenset(names))
    return found


def forms_of(kind: type, base: type, numpy_name: str, kernel_name: str) -> Forms:
    """Return which of two forms of a method a class uses: decided once."""
    known = _FORMS.get(id(kind))
    if known is None:
        known = _FORMS.add(kind, {})
    found = known.get((base, numpy_name))
    if found is None:
        found = known[base, numpy_name] = Forms(kind, base, numpy_name, kernel_name)
    return found


class Forms:
    """Which of two forms of a method a class uses: in NumPy, or from kernels.

    The more derived definition decides.
    """

    __slots__ = ("_cls", "is_kernels", "is_numpy")

    def __init__(self, kind: type, base: type, numpy_name: str, kernel_name: str) -> None:
        self.is_numpy = self.is_kernels = False
        self._cls: ref[type] | None = None  # what is kept of a class keeps none
        for cls in kind.__mro__:
            if cls is base:
                break
            own = cls.__dict__
            if numpy_name in own and kernel_name in own:
                raise TypeError(
                    f"{cls.__name__} defines both {numpy_name} and {kernel_name}, expected one of the two: "
                    f"{numpy_name} in NumPy, or {kernel_name} from kernels"
                )
            if self._cls is None and (numpy_name in own or kernel_name in own):
                self._cls, self.is_numpy, self.is_kernels = ref(cls), numpy_name in own, kernel_name in own
                _require_arguments(cls, base, numpy_name if self.is_numpy else kernel_name)
            elif self.is_kernels and numpy_name in own:
                name = self.cls.__name__ if self.cls is not None else ""
                raise TypeError(
                    f"{name} defines {kernel_name} over the {numpy_name} in NumPy of {cls.__name__}: "
                    f"override {numpy_name}, or derive from a class that is made of kernels"
                )

    @property
    def cls(self) -> type | None:
        """The class that has it."""
        return None if self._cls is None else self._cls()


def _require_arguments(cls: type, base: type, name: str) -> None:
    """Raise TypeError unless a method can be called as that of the base is: with so many arguments, by place."""
    own, expected = getattr(cls, name), getattr(base, name).__code__
    n = expected.co_argcount - len(getattr(base, name).__defaults__ or ())
    optional = expected.co_varnames[n : expected.co_argcount]
    if isinstance(own, FunctionType) and not (takes(own, n) or takes(own, n, *optional)):
        arguments = ", ".join(expected.co_varnames[:n])
        raise TypeError(f"{cls.__name__}: {name} takes {signature(own)}, expected ({arguments}): it is called so")
