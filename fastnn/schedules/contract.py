"""The contract of a schedule: a number for every step, and how schedules are put together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.checks import count, lookup, number, number_of, shown
from fastnn.drawing import axes, color
from fastnn.signatures import Parts, expression, parameters_of, takes, written

Values = NDArray[np.float64]
Length = tuple[str, float]  # "steps" or "epochs", and how many

_UNITS = {"steps": "steps", "epochs": "epochs"}
_POINTS = 512  # that are drawn, or looked at, of a schedule


class Clock:
    """The times for which values are asked.

    Attributes
    ----------
    steps, epochs : ndarray of float64
        How many have been finished, at each of these times.
    total : float or None
        The steps of the whole fit, if there is one.
    per_epoch : float or None
        The steps of an epoch, if that is known.
    factors : dict
        Of schedules that follow what is logged, by their identity: what they have come to.
    """

    __slots__ = ("epochs", "factors", "per_epoch", "steps", "total")

    def __init__(
        self,
        steps: Values,
        epochs: Values,
        total: float | None = None,
        per_epoch: float | None = None,
        factors: dict[int, float] | None = None,
    ) -> None:
        self.steps, self.epochs, self.total, self.per_epoch = steps, epochs, total, per_epoch
        self.factors = {} if factors is None else factors

    def behind(self, steps: float | None, epochs: float | None) -> Clock:
        """Return the same times, counted from another beginning; None is one that nobody knows."""
        unknown = np.full(self.steps.shape, np.nan)
        return Clock(
            unknown if steps is None else np.maximum(self.steps - steps, 0),
            unknown if epochs is None else np.maximum(self.epochs - epochs, 0),
            None if steps is None or self.total is None else max(self.total - steps, 1),
            self.per_epoch,
            self.factors,
        )


class Schedule(metaclass=Parts):
    """A number for every step of a training, in the place of one that stays: a rate, a momentum, a dropout rate.

    It is a function of how many steps, or epochs, have been finished: ``schedule(t)``, for a number or an array of
    them. Any number of a layer, loss, optimizer, group or transform that may be set at any time takes one: reading it
    gives what the next step uses, and setting a number again ends the schedule.

    ``0.1 * schedule`` and ``a * b`` are products; ``a >> b`` is a, then b, where a has an end. A number stands for one
    that stays: ``LinearWarmup(steps=100) >> 1.0``. Schedules do not change: make another one.

    A schedule counts the steps of an optimizer (with accumulation fewer than batches), or epochs, since it was set: for
    each model apart, also over several fits. One that spans a whole fit, because it was given neither steps nor epochs,
    begins anew with each fit. Epochs are counted by `fit` alone: `train_batch` and steps by hand leave what follows
    them as it is, and refuse what spans a fit. Steps by hand move numbers of layers and optimizers, not those of a
    loss that you call yourself, which they do not know: its numbers stay what they are until you set them.

    A function of your own is a schedule, too: ``SGD(lr=lambda step: 0.1 * 0.99**step)``, see `Function`.

    Examples
    --------
    >>> from fastnn import SGD, Cosine, LinearWarmup
    >>> schedule = 0.1 * (LinearWarmup(steps=10) >> Cosine(steps=90))
    >>> schedule([0, 10, 55, 100]).round(4)
    array([0.0333, 0.1   , 0.05  , 0.    ])
    >>> SGD(lr=schedule)
    SGD(lr=0.1 * (LinearWarmup(steps=10) >> Cosine(steps=90)))
    """

    __array_ufunc__ = None  # NumPy's numbers leave products to this class

    def _set(self, **settings: Any) -> None:
        self.__dict__.update(settings)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}: {name} cannot be set, schedules do not change: make another one")

    # -- what it is ---------------------------------------------------------------------------------------------------

    def _values(self, clock: Clock) -> Values:
        """Return the values at these times."""
        raise TypeError(f"{type(self).__name__} has no values: derive from Function, or hand in a function of the step")

    def values(self, clock: Clock) -> Values:
        """Return the values at these times: inf, NaN or 0, without a warning, where they are too large or small."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return self._values(clock)

    @property
    def parts(self) -> tuple[Schedule, ...]:
        """The schedules that it is made of."""
        return ()

    @property
    def length(self) -> Length | None:
        """When it ends: after how many "steps" or "epochs"; None where it does not, or with the fit."""
        return None

    @property
    def spans_fit(self) -> bool:
        """Whether it spans a whole fit, and begins anew with each."""
        return any(part.spans_fit for part in self.parts)

    @property
    def counts_epochs(self) -> bool:
        """Whether it depends on the number of epochs."""
        return any(part.counts_epochs for part in self.parts)

    def walk(self) -> Iterator[Schedule]:
        """Yield it and all that it is made of."""
        yield self
        for part in self.parts:
            yield from part.walk()

    # -- what people do with it ---------------------------------------------------------------------------------------

    def __call__(self, t: ArrayLike, total: float | None = None, steps_per_epoch: float = 1) -> Any:
        """Return the value after t steps: a float, or an array as t is.

        Parameters
        ----------
        t : array_like
            Steps that have been finished; epochs, where it counts these and an epoch is one step.
        total : float or None
            The steps of the fit, for what spans one.
        steps_per_epoch : float
        """
        expected = f"{type(self).__name__}: t is {shown(t)}, expected numbers >= 0 of finished steps"
        try:
            steps = np.asarray(t, np.float64)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(expected) from None
        if not ((steps >= 0) & (steps < np.inf)).all():
            raise ValueError(expected)
        per_epoch = number("steps_per_epoch", steps_per_epoch, above=0.0)
        of_fit = None if total is None else number("total", total, above=0.0)
        flat = steps.reshape(-1)
        found = self.values(Clock(flat, np.floor(flat / per_epoch), of_fit, per_epoch)).reshape(steps.shape)
        return float(found) if steps.ndim == 0 else found

    def plot(self, total: float | None = None, steps_per_epoch: float = 1, ax: Any = None) -> Any:
        """Draw the values over the steps and return the matplotlib axes.

        Parameters
        ----------
        total : float or None
            How many steps; None is up to its end, or 100.
        steps_per_epoch : float
        ax : matplotlib axes or None

        Raises
        ------
        ImportError
            Without matplotlib, with what installs it.
        """
        ax = axes("schedule.plot()", ax)
        per_epoch = number("steps_per_epoch", steps_per_epoch, above=0.0)
        if total is None:
            unit, n = self.length or ("steps", 100.0)
            total = n if unit == "steps" else n * per_epoch
        last = number("total", total, above=0.0)
        t = np.unique(np.linspace(0, last, 4 * _POINTS).round())
        by_epoch = per_epoch == 1 and not any(part.length and part.length[0] == "steps" for part in self.walk())
        style = {"drawstyle": "steps-post" if len(t) < _POINTS else "default", "color": color(len(ax.get_lines()))}
        ax.plot(t, self(t, last, per_epoch), **style)
        ax.set_xlabel("epoch" if by_epoch and self.counts_epochs else "step")
        ax.set_ylabel("value")
        return ax

    def __mul__(self, other: object) -> Schedule:
        return Product(self, other) if _may_be(other) else NotImplemented

    def __rmul__(self, other: object) -> Schedule:
        return Product(other, self) if _may_be(other) else NotImplemented

    def __rshift__(self, other: object) -> Schedule:
        return Sequence(self, other) if _may_be(other) else NotImplemented

    def __rrshift__(self, other: object) -> Schedule:
        raise TypeError(
            f"{shown(other)} >> {self!r}: the first has no end: say how long it lasts, as "
            f"Constant({shown(other)}, steps=100)"
        )

    def __repr__(self) -> str:
        """Return the expression that makes it."""
        settings = parameters_of(type(self)).all
        return expression(type(self).__name__, ((k, getattr(self, k, ...), *v) for k, v in settings.items()))


def _may_be(value: object) -> bool:
    """Whether it is a schedule, or stands for one."""
    return isinstance(value, Schedule) or (isinstance(value, (int, float, np.number)) and not isinstance(value, bool))


def as_schedule(where: str, value: object) -> Schedule:
    """Return a schedule: itself, that of a function, or a number that stays."""
    if isinstance(value, Schedule):
        return value
    if callable(value) and not isinstance(value, type):
        return Function(value)
    return Constant(number(where, value))


class Timed(Schedule):
    """A schedule with a time of its own: so many steps, so many epochs, or the whole fit."""

    steps: Any
    epochs: Any
    _needs: str = ""  # what its steps or epochs are, where it must be given them
    _ends = True  # whether it comes to an end with them; else they are a period

    def _time(self, steps: Any, epochs: Any, check: Callable[[str, Any], Any] = count) -> None:
        name = type(self).__name__
        if steps is not None and epochs is not None:
            raise ValueError(f"{name}: steps is {shown(steps)} and epochs {shown(epochs)}, expected one of the two")
        if self._needs and steps is None and epochs is None:
            raise ValueError(f"{name}: it needs {self._needs}, as steps=100 or epochs=10")
        self._set(
            steps=None if steps is None else check(f"{name}: steps", steps),
            epochs=None if epochs is None else check(f"{name}: epochs", epochs),
        )

    @property
    def length(self) -> Length | None:
        """When it ends: after how many "steps" or "epochs"; None where it does not, or with the fit."""
        if not self._ends or self.steps is self.epochs:
            return None
        return ("steps", self.steps) if self.epochs is None else ("epochs", self.epochs)

    @property
    def spans_fit(self) -> bool:
        """Whether it spans a whole fit, and begins anew with each."""
        return self._ends and self.steps is None and self.epochs is None

    @property
    def counts_epochs(self) -> bool:
        """Whether it depends on the number of epochs."""
        return self.epochs is not None

    def _values(self, clock: Clock) -> Values:
        t = clock.steps if self.epochs is None else clock.epochs
        n = self.steps if self.epochs is None else self.epochs
        if n is None:
            if clock.total is None:
                raise ValueError(
                    f"{self!r} spans a whole fit, and this is none: say how long it lasts, "
                    f"{type(self).__name__}(..., steps=1000), or, where it is called or drawn, total=1000"
                )
            n = clock.total
        if t.size and np.isnan(t[0]):
            raise ValueError(
                f"{self!r} stands behind what ends after {'steps' if self.epochs is not None else 'epochs'}: how many "
                "steps an epoch has is known in a fit over known data alone: let both count the same"
            )
        return self._factors(np.minimum(t, n) if self._ends else t, n)

    @abstractmethod
    def _factors(self, t: Values, n: Any) -> Values:
        """Return the values at times t, of n."""


class Constant(Timed):
    """A number that stays, for ever or for some time: value (PyTorch's ConstantLR is ``Constant(1 / 3, 5) >> 1``).

    Parameters
    ----------
    value : float
    steps, epochs : int or None
        Until when, where another schedule stands behind it.

    Examples
    --------
    >>> from fastnn import Constant, Cosine
    >>> (Constant(0.1, steps=10) >> Cosine(steps=100))([0, 9, 10, 60])
    array([0.1, 0.1, 1. , 0.5])
    """

    value: float

    def __init__(self, value: float, steps: int | None = None, epochs: int | None = None) -> None:
        self._set(value=number("Constant: value", value))
        self._time(steps, epochs)

    @property
    def spans_fit(self) -> bool:
        """Whether it spans a whole fit: never."""
        return False

    def _values(self, clock: Clock) -> Values:
        return self._factors(clock.steps, None)  # at any time, whatever its own is

    def _factors(self, t: Values, n: Any) -> Values:
        return np.full(t.shape, self.value)


class Function(Schedule):
    """The schedule of a function of your own: function(t), where t is how many steps have been finished.

    It is what ``lr=function`` stands for; PyTorch's is LambdaLR, which multiplies the rate by it. The function is
    called ahead, for some thousand steps at a time: what it returns must follow from t alone.

    Parameters
    ----------
    function : callable
        Of one argument, a whole number.
    per : {"steps", "epochs"}
        What it is given.

    Examples
    --------
    >>> from fastnn import Function, SGD
    >>> rates = [0.1, 0.1, 0.01]
    >>> optimizer = SGD(lr=Function(lambda epoch: rates[min(epoch, 2)], per="epochs"))
    >>> optimizer.lr
    0.1
    """

    function: Callable[[int], float]
    per: str

    def __init__(self, function: Callable[[int], float], per: str = "steps") -> None:
        if not callable(function) or isinstance(function, type) or not takes(function, 1):
            raise TypeError(f"Function: function is {shown(function)}, expected a function of one number")
        self._set(function=function, per=lookup("Function: per", per, _UNITS))

    @property
    def counts_epochs(self) -> bool:
        """Whether it depends on the number of epochs."""
        return self.per == "epochs"

    def _values(self, clock: Clock) -> Values:
        times = clock.epochs if self.per == "epochs" else clock.steps
        if times.size and np.isnan(times[0]):
            raise ValueError(f"{self!r} stands behind what counts otherwise: let both count {self.per}")
        different, where = np.unique(times, return_inverse=True)
        found = np.full(different.shape, np.nan)  # from where on it fails: it may never come to that
        for i, t in enumerate(different.tolist()):
            try:
                found[i] = self._value(int(t) if t == int(t) else t)
            except Exception:  # noqa: PERF203
                if i == 0:
                    raise
                break
        return found[where.reshape(-1)]

    def _value(self, t: float) -> float:
        value = self.function(t)  # type: ignore[arg-type]  # where the times that are asked for are no whole numbers
        try:
            if isinstance(value, (str, bytes, bool, np.bool_)):  # float() takes them
                raise TypeError
            return float(value)
        except (TypeError, ValueError):
            raise TypeError(f"{self!r} returned {shown(value)} for {t}, expected a number") from None


class _Several(Schedule):
    """Schedules that together are one."""

    _parts: tuple[Schedule, ...]

    def _take(self, what: str, given: tuple[Any, ...]) -> None:
        """Check them, and take those of others of this kind for them."""
        name = type(self).__name__
        if len(given) < 2:
            raise ValueError(f"{name}: got {number_of(len(given), what)}, expected two or more")
        found: list[Schedule] = []
        for one in given:
            part = as_schedule(f"{name}: {what}", one)
            found += part.parts if isinstance(part, type(self)) else (part,)
        self._set(_parts=tuple(found))

    @property
    def parts(self) -> tuple[Schedule, ...]:
        """The schedules that it is made of."""
        return self._parts


class Product(_Several):
    """The product of schedules, and of numbers: ``0.1 * Cosine()``, ``a * b``; a(t) * b(t).

    Parameters
    ----------
    *factors : Schedule, callable or float

    Examples
    --------
    >>> from fastnn import Cosine, LinearWarmup
    >>> (0.1 * LinearWarmup(start=0, steps=10) * Cosine(steps=100))([0, 5, 50]).round(4)
    array([0.    , 0.0497, 0.05  ])
    """

    def __init__(self, *factors: Any) -> None:
        self._take("factor", factors)

    @property
    def factors(self) -> tuple[Schedule, ...]:
        """What is multiplied."""
        return self._parts

    @property
    def length(self) -> Length | None:
        """When the last of them ends that does; None where they count differently, or one ends with the fit."""
        lengths = [part.length for part in self._parts]
        ends = [length for length in lengths if length is not None]
        if self.spans_fit or len({unit for unit, _ in ends}) != 1:
            return None
        return max(ends)

    def _values(self, clock: Clock) -> Values:
        found = self._parts[0]._values(clock)
        for part in self._parts[1:]:
            found = found * part._values(clock)
        return found

    def __repr__(self) -> str:
        """Return the expression that makes it."""
        return " * ".join(f"({part!r})" if isinstance(part, Sequence) else _short(part) for part in self._parts)


class Sequence(_Several):
    """Schedules one after the other, each from its own beginning: ``a >> b`` (PyTorch's SequentialLR).

    Where one counts steps and another epochs, a fit converts them by the steps of its epochs.

    Parameters
    ----------
    *schedules : Schedule, callable or float
        All but the last with an end.

    Examples
    --------
    >>> from fastnn import Constant, LinearWarmup
    >>> from fastnn.schedules import Linear
    >>> (LinearWarmup(start=0, steps=4) >> Constant(1, steps=2) >> Linear(1, 0.5, steps=4))([0, 2, 5, 8, 20])
    array([0.  , 0.5 , 1.  , 0.75, 0.5 ])
    """

    def __init__(self, *schedules: Any) -> None:
        self._take("schedule", schedules)
        for part, behind in pairwise(self._parts):
            if part.length is None:
                raise ValueError(f"{part!r} >> {behind!r}: the first has no end: say how long it lasts, as steps=100")

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """What follows one another."""
        return self._parts

    @property
    def length(self) -> Length | None:
        """When the last of them ends, if it does, and all count the same."""
        lengths = [part.length for part in self._parts]
        if lengths[-1] is None or len({length[0] for length in lengths if length is not None}) != 1:
            return None
        return lengths[-1][0], sum(length[1] for length in lengths if length is not None)

    def _values(self, clock: Clock) -> Values:
        steps = epochs = 0.0
        found = self._parts[0]._values(clock)
        for part, before in zip(self._parts[1:], self._parts, strict=False):
            assert before.length is not None
            unit, n = before.length
            steps, epochs = (steps + n, epochs) if unit == "steps" else (steps, epochs + n)
            own_steps = steps if not epochs else None if clock.per_epoch is None else steps + epochs * clock.per_epoch
            own_epochs = epochs if not steps else None
            if steps and clock.per_epoch is not None:
                own_epochs = float(np.floor(epochs + steps / clock.per_epoch))
            if not steps:
                begun = clock.epochs >= epochs
            elif own_steps is None:
                raise ValueError(
                    f"{self!r} counts steps and epochs, which a fit over known data alone can convert: count the same"
                )
            else:
                begun = clock.steps >= own_steps
            if begun.any():
                found = np.where(begun, part._values(clock.behind(own_steps, own_epochs)), found)
        return found

    def __repr__(self) -> str:
        """Return the expression that makes it."""
        return " >> ".join(map(_short, self._parts))


def _short(part: Schedule) -> str:
    """Return how it is written beside others: a number that stays is a number."""
    is_number = type(part) is Constant and part.length is None
    return written(part.value) if is_number else repr(part)  # type: ignore[attr-defined]
