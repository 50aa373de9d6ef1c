"""Functions of (shape, rng) that may be called with settings alone, for a function that has these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from fastnn import kernels
from fastnn.checks import count, lookup, number
from fastnn.words import no_such

if TYPE_CHECKING:  # numpy.random takes longer to import than all of this package
    from numpy.random import Generator

Shape = tuple[int, ...]
Initializer = Callable[[Shape, "Generator"], NDArray[Any]]

_MODES = {"fan_in": "fan_in", "fan_out": "fan_out", "fan_avg": "fan_avg"}
_DISTRIBUTIONS = {name: name for name in ("truncated_normal", "untruncated_normal", "uniform")}


def nonlinearities() -> dict[str, str]:
    """Return the names of activations that act on each number, and what they are called here."""
    rows = kernels.float64.activations
    known = {name: name for name, row in rows.items() if row.elementwise}
    return {**known, "linear": "identity", "swish": "silu"}


def any_number(where: str, value: object) -> float:
    """Return a finite number of either sign, checked."""
    return number(where, value, above=-float("inf"))


def _share(where: str, value: object) -> float:
    share = number(where, value)
    if share > 1:
        raise ValueError(f"{where} is {share}, expected a number from 0 to 1")
    return share


# How each setting is checked, whatever has it
_CHECKS: dict[str, Callable[[str, object], Any]] = {
    "a": any_number,
    "gain": any_number,
    "high": any_number,
    "low": any_number,
    "mean": any_number,
    "value": any_number,
    "std": number,
    "scale": lambda where, value: number(where, value, above=0.0),
    "sparsity": _share,
    "fan_in": count,
    "mode": lambda where, value: lookup(where, value, _MODES),
    "distribution": lambda where, value: lookup(where, value, _DISTRIBUTIONS),
    "nonlinearity": lambda where, value: lookup(where, value, nonlinearities()),
}


class WithSettings:
    """An initializer with settings of its own: what one of the functions returns that is called with some.

    Examples
    --------
    >>> from fastnn import Dense, initializers
    >>> Dense(8, weight_initializer=initializers.orthogonal(gain=1.4))
    Dense(8, weight_initializer=initializers.orthogonal(gain=1.4))
    """

    def __init__(self, initializer: Settable, settings: dict[str, Any]) -> None:
        self.initializer, self.settings = initializer, settings

    def __call__(self, shape: Shape, rng: Generator) -> NDArray[Any]:
        return self.initializer.__wrapped__(shape, rng, **self.settings)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WithSettings) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.initializer, tuple(self.settings)))

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"initializers.{self.initializer.__name__}({settings})"


class Settable(Protocol):
    """An initializer that may be called with settings, for one that has them."""

    __name__: str
    __wrapped__: Callable[..., NDArray[Any]]

    @overload
    def __call__(self, shape: Shape, rng: Generator, /) -> NDArray[Any]: ...

    @overload
    def __call__(self, *given: Any, **settings: Any) -> Initializer: ...


def settable(draw: Callable[..., NDArray[Any]]) -> Settable:
    """Let a function of (shape, rng, *, settings) be called with settings alone: that gives an initializer, too."""
    defaults: Mapping[str, Any] = draw.__kwdefaults__ or {}
    title = draw.__name__

    @wraps(draw)
    def initializer(*given: Any, **settings: Any) -> Any:
        if len(given) == 2 and isinstance(given[0], (tuple, list)) and not settings:
            return draw(tuple(given[0]), given[1])
        if len(given) > len(defaults):
            expected = f"at most {len(defaults)} ({', '.join(defaults)})" if defaults else "none"
            raise TypeError(f"{title} got {len(given)} settings, expected {expected}; or a shape and a generator")
        chosen = dict(zip(defaults, given, strict=False))
        for name, value in settings.items():
            if name not in defaults:
                raise TypeError(no_such(title, name, defaults))
            if name in chosen:
                raise TypeError(f"{title}: {name} is given twice")
            chosen[name] = value
        for name, value in chosen.items():
            if value is not None or defaults[name] is not None:
                chosen[name] = _CHECKS[name](f"{title}: {name}", value)
        draw((1, 1), np.random.default_rng(0), **chosen)  # says here what does not go together
        return WithSettings(initializer, chosen) if chosen else initializer

    return initializer
