"""What layers, losses and optimizers have in common: settings that take effect, or say why they cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import flag, lookup, number

Cell = NDArray[np.float64]

# What users of other libraries write, and what it is called here.
_CONFUSIONS = {
    "learning_rate": "lr", "beta_1": "beta1", "beta_2": "beta2", "epsilon": "eps",
    "alpha": "negative_slope", "requires_grad": "trainable", "kernel_initializer": "weight_initializer",
    "use_bias": "bias",
}  # fmt: skip
_TAKES_OPTIONS = 8  # a flag of code objects: **options
_PLAIN = (bool, int, float, str, type(None), np.generic, tuple, list)
_KNOWN: dict[type, frozenset[str]] = {}  # of each class, the names that it has
_FIXED: dict[type, frozenset[str]] = {}
_FORMS: dict[tuple[type, type, str], Forms] = {}


class Number:
    """A setting that may be changed at any time: kernels read it at every run.

    It is kept in a cell, a float64 array of shape (1,), whose address a recording holds.
    """

    def __init__(self, above: float | None = None, below: float = float("inf")) -> None:
        self._above, self._below = above, below

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, part: Any, kind: type | None = None) -> Any:
        if part is None:
            return self
        try:
            return part._cells[self._name].item()
        except KeyError:
            raise AttributeError(
                f"{type(part).__name__} has no {self._name} yet: its __init__ must call super().__init__"
            ) from None

    def __set__(self, part: Any, value: object) -> None:
        above = self._above
        if type(value) is not float or not ((value >= 0 if above is None else value > above) and value < self._below):
            value = number(f"{type(part).__name__}: {self._name}", value, above=above, below=self._below)
        if self._name in part._cells:
            part._cells[self._name][0] = value
        else:
            part._cells[self._name] = np.array([value])


class Flag:
    """A setting that is True or False."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, part: Any, value: object) -> None:
        part.__dict__[self._name] = flag(f"{type(part).__name__}: {self._name}", value)


class Part:
    """A layer, a loss, an optimizer, or what changes gradients on their way.

    Its settings are plain attributes, or `Number`. Those of this package know their own: a name that they do not have
    is an error with the near ones. Parts are compared by identity.
    """

    __slots__ = ("__dict__", "__weakref__", "_cells")
    _cells: dict[str, Cell]

    constants: tuple[str, ...] = ()  # the attributes that a recording fixes: a change records anew

    def __new__(cls, *args: Any, **options: Any) -> Any:
        part = super().__new__(cls)
        object.__setattr__(part, "_cells", {})
        return part

    def _set_numbers(self, **values: object) -> None:
        """Set several at once, as `setattr` does."""
        kind = type(self)
        for name, value in values.items():
            getattr(kind, name).__set__(self, value)

    def cell(self, name: str) -> Cell:
        """Return the cell of a number: what kernels read."""
        try:
            return self._cells[name]
        except KeyError:
            kind = type(self).__name__
            raise AttributeError(f"{kind} has no {name} yet: its __init__ must call super().__init__") from None

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(self)
        if name[0] != "_" and name not in _KNOWN.get(kind, ()):
            self._require_known(name)
        object.__setattr__(self, name, value)

    def _require_known(self, name: str) -> None:
        kind = type(self)
        if kind not in _KNOWN:
            _KNOWN[kind] = _names_of(kind)
        if name in _KNOWN[kind] or name in self.__dict__:
            return
        right = _CONFUSIONS.get(name)
        if right is not None and (right in _KNOWN[kind]):
            raise AttributeError(f"{kind.__name__} has no {name}: it is called {right} here")
        if not _is_ours(kind):
            return
        from difflib import get_close_matches  # only here: what is rarely needed does not make every import longer

        settings = {known for known in _KNOWN[kind] if isinstance(getattr(kind, known, None), Number)}
        settings |= _settings_of(kind)
        near = get_close_matches(name, settings, n=3, cutoff=0.6)
        hint = (
            f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(sorted(settings)) or 'no settings'}"
        )
        raise AttributeError(f"{kind.__name__} has no {name}: {hint}")

    def settings(self) -> object:
        """Return what it is set to: to be compared."""
        return dict(self.__dict__), [cell.tobytes() for cell in self._cells.values()]

    def __getstate__(self) -> Any:
        return {**self.__dict__, "_cells": {name: cell.item() for name, cell in self._cells.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        cells = {name: np.array([value]) for name, value in state["_cells"].items()}
        object.__setattr__(self, "_cells", cells)
        self.__dict__.update((name, value) for name, value in state.items() if name != "_cells")


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
    return lookup(what, given, by_name)()


def fixed_settings(kind: type) -> frozenset[str]:
    """Return the settings of a class that are no numbers: what it is built with."""
    if kind not in _FIXED:
        _FIXED[kind] = frozenset(
            name for name in _settings_of(kind) if not isinstance(getattr(kind, name, None), (Number, property))
        )
    return _FIXED[kind]


def fixed_in_recording(part: Part) -> Iterable[str]:
    """Return the attributes of a user's part that a recording fixes: where it is made of kernels, all plain ones."""
    if getattr(part, "is_numpy", False):
        return part.constants
    plain = (name for name, value in part.__dict__.items() if name[0] != "_" and isinstance(value, _PLAIN))
    return dict.fromkeys((*part.constants, *plain))


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "fastnn"


def _settings_of(kind: type) -> set[str]:
    """The parameters of the classes of this package that it is made of."""
    found: set[str] = set()
    for base in kind.__mro__:
        code = getattr(base.__dict__.get("__init__"), "__code__", None)
        if code is not None and _is_ours(base):
            n = code.co_argcount + code.co_kwonlyargcount
            found.update(code.co_varnames[1:n])
            if not code.co_flags & _TAKES_OPTIONS:
                break
    return found


def _names_of(kind: type) -> frozenset[str]:
    names = _settings_of(kind).union(dir(kind))
    for base in kind.__mro__:
        names.update(vars(base).get("__annotations__", ()))
    return frozenset(names)


def forms_of(kind: type, base: type, numpy_name: str, kernel_name: str) -> Forms:
    """Return which of two forms of a method a class uses: decided once."""
    key = kind, base, numpy_name
    found = _FORMS.get(key)
    if found is None:
        found = _FORMS[key] = Forms(kind, base, numpy_name, kernel_name)
    return found


class Forms:
    """Which of two forms of a method a class uses: in NumPy, or from kernels.

    The more derived definition decides. `cls` is the class that has it.
    """

    __slots__ = ("cls", "is_kernels", "is_numpy")

    def __init__(self, kind: type, base: type, numpy_name: str, kernel_name: str) -> None:
        self.is_numpy = self.is_kernels = False
        self.cls: type | None = None
        for cls in kind.__mro__:
            if cls is base:
                break
            own = cls.__dict__
            if numpy_name in own and kernel_name in own:
                raise TypeError(
                    f"{cls.__name__} defines both {numpy_name} and {kernel_name}, expected one of the two: "
                    f"{numpy_name} in NumPy, or {kernel_name} from kernels"
                )
            if self.cls is None and (numpy_name in own or kernel_name in own):
                self.cls, self.is_numpy, self.is_kernels = cls, numpy_name in own, kernel_name in own
            elif self.is_kernels and numpy_name in own:
                name = self.cls.__name__ if self.cls is not None else ""
                raise TypeError(
                    f"{name} defines {kernel_name} over the {numpy_name} in NumPy of {cls.__name__}: "
                    f"override {numpy_name}, or derive from a class that is made of kernels"
                )
