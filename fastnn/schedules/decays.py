"""Schedules that fall, or rise, once: steps, powers, lines, half a cosine; and warm-ups."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from fastnn.checks import count, lookup, number, shown
from fastnn.schedules.contract import Timed, Values

_positive = partial(number, above=0.0)


class StepDecay(Timed):
    """value = gamma ** floor(t / n): times gamma after every n steps, or epochs (PyTorch's StepLR).

    Parameters
    ----------
    gamma : float
    steps, epochs : int
        One of them: after how many, each time.

    Examples
    --------
    >>> from fastnn import StepDecay
    >>> (0.1 * StepDecay(0.5, epochs=30))([0, 29, 30, 60])
    array([0.1  , 0.1  , 0.05 , 0.025])
    """

    _needs, _ends = "a period", False
    gamma: float

    def __init__(self, gamma: float = 0.1, steps: int | None = None, epochs: int | None = None) -> None:
        self._set(gamma=number("StepDecay: gamma", gamma))
        self._time(steps, epochs)

    def _factors(self, t: Values, n: int) -> Values:
        return self.gamma ** np.floor(t / n)


class MultiStepDecay(Timed):
    """value = gamma ** (how many of the milestones have been reached) (PyTorch's MultiStepLR).

    Parameters
    ----------
    gamma : float
    steps, epochs : sequence of int
        One of them: the milestones, in order.

    Examples
    --------
    >>> from fastnn import MultiStepDecay
    >>> MultiStepDecay(epochs=[30, 80])([0, 30, 79, 80]).round(4)
    array([1.  , 0.1 , 0.1 , 0.01])
    """

    _needs, _ends = "milestones", False
    gamma: float

    def __init__(
        self, gamma: float = 0.1, steps: Sequence[int] | None = None, epochs: Sequence[int] | None = None
    ) -> None:
        self._set(gamma=number("MultiStepDecay: gamma", gamma))
        if steps is None and epochs is None:
            raise ValueError("MultiStepDecay: it needs milestones, as steps=[500, 800] or epochs=[30, 80]")
        self._time(steps, epochs, _milestones)

    def _factors(self, t: Values, n: tuple[int, ...]) -> Values:
        return self.gamma ** np.searchsorted(n, t, side="right").astype(np.float64)


def _milestones(where: str, given: Any) -> tuple[int, ...]:
    if not isinstance(given, (list, tuple, np.ndarray)) or not len(given):
        raise TypeError(f"{where} is {shown(given)}, expected a list of milestones such as [30, 80]")
    found = tuple(count(f"{where}[{i}]", value) for i, value in enumerate(given))
    if list(found) != sorted(found):
        raise ValueError(f"{where} is {shown(given)}, expected milestones in order")
    return found


class ExponentialDecay(Timed):
    """value = gamma ** (t / n): smoothly times gamma in n steps, or epochs.

    PyTorch's ExponentialLR has n = 1; Keras's ExponentialDecay calls gamma its decay_rate and n its decay_steps.

    Parameters
    ----------
    gamma : float
        Above 0.
    steps, epochs : int or None
        How long a factor of gamma takes; None is one step.

    Examples
    --------
    >>> from fastnn import ExponentialDecay
    >>> ExponentialDecay(0.5, steps=10)([0, 10, 20])
    array([1.  , 0.5 , 0.25])
    """

    _ends = False
    gamma: float

    def __init__(self, gamma: float, steps: int | None = None, epochs: int | None = None) -> None:
        self._set(gamma=_positive("ExponentialDecay: gamma", gamma))
        self._time(1 if steps is epochs else steps, epochs)

    def _factors(self, t: Values, n: int) -> Values:
        return self.gamma ** (t / n)


class InverseScaling(Timed):
    """value = (1 + t / n) ** -power: scikit-learn's "invscaling"; with power 1, Keras's InverseTimeDecay.

    Parameters
    ----------
    power : float
        scikit-learn's power_t.
    steps, epochs : float or None
        n: Keras's decay_steps / decay_rate; None is one step.

    Examples
    --------
    >>> from fastnn import InverseScaling
    >>> InverseScaling()([0, 3, 99])
    array([1. , 0.5, 0.1])
    """

    _ends = False
    power: float

    def __init__(self, power: float = 0.5, steps: float | None = None, epochs: float | None = None) -> None:
        self._set(power=number("InverseScaling: power", power))
        self._time(1 if steps is epochs else steps, epochs, _positive)

    def _factors(self, t: Values, n: float) -> Values:
        return (1 + t / n) ** -self.power


class InverseSquareRoot(Timed):
    """value = min((t + 1) / n, sqrt(n / (t + 1))): a linear warm-up, then as 1 / sqrt (Vaswani et al. 2017).

    The paper's rate is that times (d_model * n) ** -0.5; here the largest value is 1.

    Parameters
    ----------
    steps, epochs : int
        One of them: the warm-up, n.

    Examples
    --------
    >>> from fastnn import InverseSquareRoot
    >>> InverseSquareRoot(steps=4)([0, 3, 15])
    array([0.25, 1.  , 0.5 ])
    """

    _needs, _ends = "a warm-up", False

    def __init__(self, steps: int | None = None, epochs: int | None = None) -> None:
        self._time(steps, epochs)

    def _factors(self, t: Values, n: int) -> Values:
        return np.minimum((t + 1) / n, np.sqrt(n / (t + 1)))


class _Ramp(Timed):
    """From a start to an end in n steps."""

    start: float
    end: float

    def _between(self, start: float, end: float) -> None:
        name = type(self).__name__
        self._set(start=number(f"{name}: start", start), end=number(f"{name}: end", end))

    def _shape(self, part: Values) -> Values:
        """Return how much of the way is gone, from 0 to 1, at that part of the time."""
        return part

    def _factors(self, t: Values, n: float) -> Values:
        return self.start + (self.end - self.start) * self._shape(t / n)


class Linear(_Ramp):
    """value = start + (end - start) * t / n, then end (PyTorch's LinearLR is ``Linear(1 / 3, 1, steps=5)``).

    It is ``fastnn.schedules.Linear``: `fastnn.Linear` is a layer, `Dense`.

    Parameters
    ----------
    start, end : float
    steps, epochs : int or None
        n; without either the whole fit.

    Examples
    --------
    >>> from fastnn import Dropout
    >>> from fastnn.schedules import Linear
    >>> Linear(0, 0.5, epochs=10)([0, 5, 10, 20])
    array([0.  , 0.25, 0.5 , 0.5 ])
    >>> layer = Dropout(Linear(0, 0.5, epochs=10))
    """

    def __init__(
        self, start: float = 1.0, end: float = 0.0, steps: int | None = None, epochs: int | None = None
    ) -> None:
        self._between(start, end)
        self._time(steps, epochs)


class PolynomialDecay(_Ramp):
    """value = end + (start - end) * (1 - t / n) ** power, then end (PyTorch's PolynomialLR, Keras's PolynomialDecay).

    Parameters
    ----------
    power : float
        Above 0. 1, the default, as in both, is a line.
    start, end : float
        Keras ends at 0.0001, PyTorch and this at 0.
    steps, epochs : int or None
        n; without either the whole fit.

    Examples
    --------
    >>> from fastnn import PolynomialDecay
    >>> PolynomialDecay(2, steps=10)([0, 5, 10])
    array([1.  , 0.25, 0.  ])
    """

    power: float

    def __init__(
        self,
        power: float = 1.0,
        start: float = 1.0,
        end: float = 0.0,
        steps: int | None = None,
        epochs: int | None = None,
    ) -> None:
        self._set(power=_positive("PolynomialDecay: power", power))
        self._between(start, end)
        self._time(steps, epochs)

    def _shape(self, part: Values) -> Values:
        return 1 - (1 - part) ** self.power


class Cosine(_Ramp):
    """value = end + (start - end) * (1 + cos(pi * t / n)) / 2, then end (Loshchilov & Hutter 2017).

    PyTorch's CosineAnnealingLR rises again behind n, its T_max; this and Keras's CosineDecay stay.

    Parameters
    ----------
    start, end : float
    steps, epochs : int or None
        n; without either the whole fit.

    Examples
    --------
    >>> from fastnn import SGD, Cosine
    >>> Cosine(steps=100)([0, 50, 100]).round(4)
    array([1. , 0.5, 0. ])
    >>> optimizer = SGD(lr=0.1 * Cosine())
    """

    def __init__(
        self, start: float = 1.0, end: float = 0.0, steps: int | None = None, epochs: int | None = None
    ) -> None:
        self._between(start, end)
        self._time(steps, epochs)

    def _shape(self, part: Values) -> Values:
        return half_cosine(part)


def half_cosine(part: Values) -> Values:
    """Return (1 - cos(pi * part)) / 2: from 0 to 1, flat at both ends."""
    return 0.5 * (1 - np.cos(np.pi * part))


class LinearWarmup(_Ramp):
    """value = start + (1 - start) * t / n, then 1 (Goyal et al. 2017; PyTorch's LinearLR, with its default start).

    Parameters
    ----------
    start : float
    steps, epochs : int
        One of them: n.

    Examples
    --------
    >>> from fastnn import Cosine, LinearWarmup
    >>> schedule = LinearWarmup(epochs=5) >> Cosine()
    >>> LinearWarmup(0, steps=4)([0, 1, 2, 4, 9])
    array([0.  , 0.25, 0.5 , 1.  , 1.  ])
    """

    _needs = "a length"

    def __init__(self, start: float = 1 / 3, steps: int | None = None, epochs: int | None = None) -> None:
        self._between(start, 1.0)
        self._time(steps, epochs)


class CosineWarmup(LinearWarmup):
    """value = start + (1 - start) * (1 - cos(pi * t / n)) / 2, then 1: the warm-up of the one-cycle policy.

    Parameters
    ----------
    start : float
    steps, epochs : int
        One of them: n.

    Examples
    --------
    >>> from fastnn import CosineWarmup
    >>> CosineWarmup(0, steps=4)([0, 2, 4]).round(4)
    array([0. , 0.5, 1. ])
    """

    def __init__(self, start: float = 1 / 3, steps: int | None = None, epochs: int | None = None) -> None:
        self._between(start, 1.0)
        self._time(steps, epochs)

    def _shape(self, part: Values) -> Values:
        return half_cosine(part)


class FlatThenDecay(_Ramp):
    """value = 1 for a share of the time, then down to end, as half a cosine or a line (fastai's fit_flat_cos).

    Parameters
    ----------
    flat : float
        The share of the time, below 1.
    end : float
    shape : {"cosine", "linear"}
    steps, epochs : int or None
        The whole of it; without either the whole fit.

    Examples
    --------
    >>> from fastnn import FlatThenDecay
    >>> FlatThenDecay(0.5, steps=100)([0, 50, 75, 100]).round(4)
    array([1. , 1. , 0.5, 0. ])
    """

    flat: float
    shape: str

    def __init__(
        self,
        flat: float = 0.75,
        end: float = 0.0,
        shape: str = "cosine",
        steps: int | None = None,
        epochs: int | None = None,
    ) -> None:
        shapes = {"cosine": "cosine", "linear": "linear"}
        self._set(flat=number("FlatThenDecay: flat", flat, below=1.0))
        self._set(shape=lookup("FlatThenDecay: shape", shape, shapes))
        self._between(1.0, end)
        self._time(steps, epochs)

    def _shape(self, part: Values) -> Values:
        behind = np.maximum(part - self.flat, 0) / (1 - self.flat)
        return half_cosine(behind) if self.shape == "cosine" else behind
