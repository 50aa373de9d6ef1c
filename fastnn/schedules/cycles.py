"""Schedules that rise and fall: restarts, one cycle, cycles in log2."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from fastnn.checks import count, flag, lookup, number, shown
from fastnn.schedules.contract import Timed, Values
from fastnn.schedules.decays import _Ramp, half_cosine


class CosineRestarts(_Ramp):
    """Half a cosine from start to end, again and again, each `growth` times as long (Loshchilov & Hutter 2017).

    value = end + (start * decay ** i - end) * (1 + cos(pi * t_i / n_i)) / 2 in cycle i, which is n_i = n * growth ** i
    long and in which t_i steps have been finished. PyTorch's CosineAnnealingWarmRestarts calls n T_0 and growth T_mult;
    Keras's CosineDecayRestarts calls growth t_mul and decay m_mul.

    Parameters
    ----------
    growth : int
    start, end : float
    decay : float
        What each start is of the one before.
    steps, epochs : int
        One of them: n, the length of the first cycle.

    Examples
    --------
    >>> from fastnn import CosineRestarts
    >>> CosineRestarts(2, steps=10)([0, 5, 10, 20, 30]).round(4)
    array([1. , 0.5, 1. , 0.5, 1. ])
    """

    _needs, _ends = "the length of its first cycle", False
    growth: int
    decay: float

    def __init__(
        self,
        growth: int = 1,
        start: float = 1.0,
        end: float = 0.0,
        decay: float = 1.0,
        steps: int | None = None,
        epochs: int | None = None,
    ) -> None:
        self._set(growth=count("CosineRestarts: growth", growth), decay=number("CosineRestarts: decay", decay))
        self._between(start, end)
        self._time(steps, epochs)

    def _factors(self, t: Values, n: float) -> Values:
        if self.growth == 1:
            cycle = np.floor(t / n)
            part = (t - cycle * n) / n
        else:
            begins = [0.0]  # of the cycles, exactly: a logarithm may be a step off
            while t.size and begins[-1] <= t.max():
                begins.append(begins[-1] + n * float(self.growth) ** (len(begins) - 1))
            cycle = np.searchsorted(begins, t, side="right") - 1.0
            part = (t - np.asarray(begins)[cycle.astype(np.intp)]) / (n * float(self.growth) ** cycle)
        return self.end + (self.start * self.decay**cycle - self.end) * (1 - half_cosine(part))


class Coslog(Timed):
    """value = (1 - cos(2 pi * log2(1 + (2 ** cycles - 1) * t / n))) / 2: cycles, each twice as long as the one before.

    It is the multi-cycle schedule of RealMLP (Holzmüller, Grinsztajn & Steinwart 2024). It begins and ends at 0.

    Parameters
    ----------
    cycles : int
        4, as there.
    steps, epochs : int or None
        n; without either the whole fit.

    Examples
    --------
    >>> from fastnn import Coslog
    >>> Coslog(2, steps=3)([0, 1, 2, 3]).round(2)
    array([0.  , 0.  , 0.93, 0.  ])
    """

    cycles: int

    def __init__(self, cycles: int = 4, steps: int | None = None, epochs: int | None = None) -> None:
        self._set(cycles=count("Coslog: cycles", cycles, most=50))
        self._time(steps, epochs)

    def _factors(self, t: Values, n: float) -> Values:
        return 0.5 * (1 - np.cos(2 * np.pi * np.log2(1 + (2.0**self.cycles - 1) * t / n)))


class OneCycle(Timed):
    """One cycle of the rate, up to max_lr and far down (Smith & Topin 2018): PyTorch's OneCycleLR.

    The rate goes from max_lr / div_factor up to max_lr in a share pct_start of the steps, then down to that of the
    beginning / final_div_factor, while the momentum goes from max_momentum down to base_momentum and back; each along
    half a cosine, or a line. ``OneCycle(0.1).of(optimizer)`` sets both; alone it is the schedule of the rate, and its
    `momentum` the other one.

    Parameters
    ----------
    max_lr : float
    pct_start : float
        From 0 to 1.
    shape : {"cosine", "linear"}
        PyTorch's anneal_strategy.
    base_momentum, max_momentum : float
    div_factor, final_div_factor : float
        At least 1, in use.
    three_phase : bool
        The rate falls as slowly as it has risen, to that of the beginning, and then to the end.
    steps, epochs : int or None
        The whole of it; without either the whole fit.

    Examples
    --------
    >>> from fastnn import SGD, OneCycle
    >>> optimizer = OneCycle(0.1).of(SGD(momentum=0.9))
    >>> optimizer.lr, optimizer.momentum
    (0.004, 0.95)
    >>> OneCycle(0.1, steps=100)([0, 29, 64, 99]).round(4)
    array([0.004, 0.1  , 0.05 , 0.   ])
    """

    max_lr: float
    pct_start: float
    shape: str
    base_momentum: float
    max_momentum: float
    div_factor: float
    final_div_factor: float
    three_phase: bool

    def __init__(
        self,
        max_lr: float,
        pct_start: float = 0.3,
        shape: str = "cosine",
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        steps: int | None = None,
        epochs: int | None = None,
    ) -> None:
        most = 0.5 if three_phase is True else 1.0
        share = number("OneCycle: pct_start", pct_start)
        if share > most:
            raise ValueError(f"OneCycle: pct_start is {pct_start}, expected a number from 0 to {most:g}")
        shapes = {"cosine": "cosine", "cos": "cosine", "linear": "linear"}
        self._set(
            max_lr=number("OneCycle: max_lr", max_lr),
            pct_start=share,
            shape=lookup("OneCycle: shape", shape, shapes),
            base_momentum=number("OneCycle: base_momentum", base_momentum, below=1.0),
            max_momentum=number("OneCycle: max_momentum", max_momentum, below=1.0),
            div_factor=number("OneCycle: div_factor", div_factor, above=0.0),
            final_div_factor=number("OneCycle: final_div_factor", final_div_factor, above=0.0),
            three_phase=flag("OneCycle: three_phase", three_phase),
        )
        self._time(steps, epochs)

    @property
    def momentum(self) -> CycledMomentum:
        """The schedule of the momentum."""
        return CycledMomentum(self)

    def of(self, optimizer: Any) -> Any:
        """Let the rate of an optimizer, and its momentum, or its beta1, follow; return the optimizer.

        Raises
        ------
        TypeError
            Where it has no momentum.
        """
        names = [name for name in ("momentum", "beta1") if hasattr(type(optimizer), name)]
        if not names or not hasattr(type(optimizer), "lr"):
            raise TypeError(
                f"OneCycle.of: {shown(optimizer)} has no momentum or beta1: set its rate alone, lr={self!r}"
            )
        optimizer.lr = self
        setattr(optimizer, names[0], self.momentum)
        return optimizer

    def _factors(self, t: Values, n: float) -> Values:
        first = self.max_lr / self.div_factor
        return self._phases(t, n, first, self.max_lr, first, first / self.final_div_factor)

    def _phases(self, t: Values, n: float, first: float, top: float, back: float, last: float) -> Values:
        """Return where it is on the way from the first number to the top, back, and to the last one."""
        up = self.pct_start * n - 1  # PyTorch counts the last step of each phase, from 0
        if self.three_phase:
            corners = [(0.0, first), (up, top), (2 * up, back), (n - 1, last)]
        else:
            corners = [(0.0, first), (up, top), (n - 1, last)]
        found = np.full(t.shape, last)
        for (begin, a), (end, b) in reversed([*pairwise(corners)]):
            inside = t <= end
            part = (t[inside] - begin) / (end - begin) if end > begin else np.ones(inside.sum())
            found[inside] = a + (b - a) * (half_cosine(part) if self.shape == "cosine" else part)
        return found


class CycledMomentum(Timed):
    """The momentum of the one-cycle policy (Smith & Topin 2018): ``OneCycle(...).momentum``.

    Parameters
    ----------
    cycle : OneCycle

    Examples
    --------
    >>> from fastnn import OneCycle
    >>> OneCycle(0.1, steps=101).momentum([0, 100])
    array([0.95, 0.95])
    """

    cycle: OneCycle

    def __init__(self, cycle: OneCycle) -> None:
        self._set(cycle=cycle)
        self._time(cycle.steps, cycle.epochs)

    def _factors(self, t: Values, n: float) -> Values:
        cycle = self.cycle
        most, least = cycle.max_momentum, cycle.base_momentum
        return cycle._phases(t, n, most, least, most, most)

    def __repr__(self) -> str:
        """Return the expression that makes it."""
        return f"{self.cycle!r}.momentum"
