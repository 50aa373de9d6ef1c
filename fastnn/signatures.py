"""What classes are made with, and the expressions that make their objects."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Iterable, Mapping
from inspect import Signature, signature
from typing import Any, TypeVar

from fastnn.checks import shown
from fastnn.per_class import PerClass
from fastnn.words import no_such, second_name

F = TypeVar("F", bound=Callable[..., Any])

_TAKES_MANY, _TAKES_OPTIONS = 4, 8  # flags of code objects: *arguments, **options
_OF: PerClass[Parameters] = PerClass()


def is_ours(code: Any) -> bool:
    """Whether a class or function is this package's."""
    return str(getattr(code, "__module__", "")).partition(".")[0] == "fastnn"  # those of NumPy 1 may have none


REQUIRED: Any = object()  # the default of what has none


class Parameters:
    """What a class is made with: the arguments of its ``__init__``, and of those to which that passes its options on.

    Attributes
    ----------
    all : dict
        By name, the default and whether it may be given by position.
    places : list of str or None
        Those that may be given by position, in order; None where nobody knows.
    needed : list of str
        Those of its own ``__init__`` that have no default.
    several : str or None
        The name of ``*arguments``, if it takes any number of them.
    is_open : bool
        Whether code of others takes options.
    """

    __slots__ = ("all", "is_open", "needed", "places", "several")

    def __init__(self, kind: type) -> None:
        self.all: dict[str, tuple[Any, bool]] = {}
        self.places: list[str] | None = None
        self.needed: list[str] = []
        self.several: str | None = None
        self.is_open = False
        is_first = True
        for base in kind.__mro__:
            function = base.__dict__.get("__init__")
            code = getattr(function, "__code__", None)
            if function is None or base is object:
                continue
            if code is None:  # compiled, or wrapped: nobody knows
                self.is_open = True
                break
            n, n_named = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
            names = code.co_varnames[1:n_named]
            defaults = dict(zip(reversed(code.co_varnames[1:n]), reversed(function.__defaults__ or ()), strict=False))
            defaults |= function.__kwdefaults__ or {}
            for i, name in enumerate(names):
                self.all.setdefault(name, (defaults.get(name, REQUIRED), is_first and i < n - 1))
            if is_first:
                self.needed = [name for name in names if defaults.get(name, REQUIRED) is REQUIRED]
                takes_many = code.co_flags & _TAKES_MANY
                self.places = None if takes_many else list(names[: n - 1])
                self.several = code.co_varnames[n_named] if takes_many else None
            is_first = False
            if not code.co_flags & _TAKES_OPTIONS:
                break
            self.is_open = self.is_open or not is_ours(base)
        else:
            if is_first:
                self.places = []

    def require(self, kind: type, args: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
        """Return the options under their names here, and raise TypeError for one that is unknown, or one too many."""
        if not self.is_open and not options.keys() <= self.all.keys():
            options = self._renamed(kind, args, options)
        if self.places is not None and len(args) > len(self.places) and not self.is_open:
            places = f" ({', '.join(self.places)})" if self.places else ""
            in_one = f": pass one list, {shown(list(args))}" if self.places[:1] == ["layers"] else ""
            raise TypeError(
                f"{kind.__name__} got {len(args)} argument{'s'[: len(args) > 1]} without a name, {shown(args)}, "
                f"expected {f'at most {len(self.places)}' if self.places else 'none'}{places}{in_one}"
            )
        for name, value in zip(self.places or (), args, strict=False):
            if name in options and not self.is_open:
                raise TypeError(
                    f"{kind.__name__}: {name} is given twice, as {shown(value)} without a name and as "
                    f"{shown(options[name])}: those without a name are ({', '.join(self.places or ())}), in this order"
                )
        return options

    def missing(self, args: tuple[Any, ...], options: dict[str, Any]) -> list[str]:
        """Return what is needed and is not given."""
        given = {*(self.places or ())[: len(args)], *options}
        return [name for name in self.needed if name not in given]

    def _renamed(self, kind: type, args: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
        """Return the options, those with names of other libraries under their names here."""
        found: dict[str, Any] = {}
        for name, value in options.items():
            rights = [name] if name in self.all else second_name(name, self.all)
            if not rights:
                raise TypeError(no_such(kind.__name__, name, self.all))
            values = [value]
            if len(rights) > 1:
                if not isinstance(value, (tuple, list)) or len(value) != len(rights):
                    raise TypeError(
                        f"{kind.__name__}: {name} is {shown(value)}, expected {len(rights)} numbers: "
                        f"{' and '.join(rights)}"
                    )
                values = list(value)
            for right, own in zip(rights, values, strict=True):
                if right in found or (right != name and right in (self.places or ())[: len(args)]):
                    raise TypeError(f"{kind.__name__}: {right} is given twice, also as {name}: expected one of them")
                found[right] = own
        return found


def lacking(kind: str, names: list[str]) -> TypeError:
    """Return the error for arguments without which nothing is made."""
    example = ", ".join("[Dense(1)]" if name == "layers" else name for name in names)
    return TypeError(f"{kind} needs {' and '.join(names)}: {kind}({example})")


def closed(function: F) -> F:
    """Show the signature of a function without ``**unknown``, which it takes to refuse it, and defaults `REQUIRED`."""
    whole = signature(function)
    own = [
        parameter.replace(default=parameter.empty) if parameter.default is REQUIRED else parameter
        for parameter in whole.parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    function.__signature__ = whole.replace(parameters=own)  # type: ignore[attr-defined]
    return function


def refused(title: str, function: Callable[..., Any], unknown: Mapping[str, Any]) -> TypeError:
    """Return the error for options that a function has not."""
    return TypeError(no_such(title, next(iter(unknown)), [*signature(function).parameters][1:]))


def takes(function: Callable[..., Any], n: int, *names: str) -> bool:
    """Whether a function can be called with so many arguments, and with those of these names."""
    code = getattr(function, "__code__", None)
    if code is not None and code.co_argcount == n and not code.co_kwonlyargcount and not names:
        return True
    try:
        signature(function).bind(*range(n), **dict.fromkeys(names))
    except TypeError:
        return False
    except ValueError:  # compiled: nobody knows
        return True
    return True


def parameters_of(kind: type) -> Parameters:
    """Return what a class is made with."""
    found = _OF.get(id(kind))
    return _OF.add(kind, Parameters(kind)) if found is None else found


def written(value: object) -> str:
    """Return the expression for a setting."""
    if hasattr(value, "_as_setting"):  # a part
        return str(value._as_setting())
    if value is ...:
        return "..."
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(written, value))}]"
    if callable(value) and hasattr(value, "__name__"):
        name = str(value.__name__)
        return repr(name) if is_ours(value) else name  # an initializer is known by its name
    return repr(value)


def expression(kind: str, settings: Iterable[tuple[str, object, object, bool]]) -> str:
    """Return the expression that makes an object: what has no default, and what differs from it.

    Parameters
    ----------
    kind : str
        The name of its class.
    settings : iterable of tuple
        Name, value, default (`REQUIRED` for none), and whether it may stand by position.
    """
    shown, by_position = [], True
    for name, value, default, has_place in settings:
        text = written(value)
        if default is not REQUIRED and text == written(default):
            by_position = False
            continue
        is_part = isinstance(value, str) or hasattr(value, "_as_setting")
        by_position = by_position and has_place and (default is REQUIRED or is_part)
        shown.append(text if by_position else f"{name}={text}")
    return f"{kind}({', '.join(shown)})"


class Parts(ABCMeta):
    """The class of classes of parts: what they are made with is checked, and may have the names of other libraries.

    A part may be an abstract class, too.
    """

    __instancecheck__ = type.__instancecheck__  # nothing is registered: that of ABCMeta takes longer

    @property
    def __signature__(cls) -> Signature:
        """That of ``__init__``: help and editors would show that of the call."""
        whole = signature(cls.__init__)  # type: ignore[misc]
        return whole.replace(parameters=list(whole.parameters.values())[1:])

    def __call__(cls, *args: Any, **options: Any) -> Any:
        if args or options:
            options = parameters_of(cls).require(cls, args, options)
        try:
            return type.__call__(cls, *args, **options)  # as ABCMeta does: a part may be made for each step
        except TypeError:
            missing = parameters_of(cls).missing(args, options)
            if missing:
                raise lacking(cls.__name__, missing) from None
            raise
