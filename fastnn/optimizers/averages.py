"""Averages of weights: what a net predicts with, while an optimizer goes on from the parameters themselves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import kernels
from fastnn.arena import Arena, Array
from fastnn.checks import count, lookup, number, shown
from fastnn.settings import Cell, Flag, Number, Part

if TYPE_CHECKING:
    from fastnn._core.tape import Tape

State = dict[str, Array]
_PER = {"epoch": "epoch", "step": "step"}


class Average(Part):
    """An average of the parameters over steps (Polyak & Juditsky 1992), the argument `average` of every optimizer.

    average += rate * (w - average) behind each step: `EMA` and `SWA` say with which rate.

    Predictions, validation, `evaluate` and what `EarlyStopping` watches are of the average, from the first step on;
    ``net.params`` are the parameters that the optimizer changes, and ``net.use_averages()`` writes the average there.
    Running averages of layers such as `BatchNorm` are averaged likewise.

    Attributes
    ----------
    refreshes : bool
        Whether `fit` computes the statistics of `BatchNorm` anew for the average, by a pass over the training data
        before each validation and at its end, as ``torch.optim.swa_utils.update_bn`` does.

    Examples
    --------
    >>> from fastnn import SWA, Adam
    >>> Adam(average=SWA(0.5)).average.refreshes
    True
    """

    refreshes = False

    def init(self) -> State:
        """Return its counters."""
        return {"step": np.zeros(1)}

    @property
    def structure(self) -> tuple[Any, ...]:
        """What a recording fixes."""
        return ()

    def begin_fit(self, state: State, epochs: int, steps: float, anew: bool) -> None:
        """Write down what follows from the number of epochs, and of steps in each; `anew`, or for the first time."""

    @abstractmethod
    def rate(self, state: State, dtype: Any, tape: Tape) -> Cell:
        """Record what computes how far the average goes towards the parameters in this step, and return its cell."""


class EMA(Average):
    """An exponential moving average of the weights (Polyak & Juditsky 1992): average += (1 - decay) * (w - average).

    The average begins with the parameters behind the first step, as those of PyTorch (``AveragedModel`` with
    ``get_ema_multi_avg_fn``) and Keras (``use_ema``, whose ``ema_momentum`` is 0.99 by default) do.

    The running averages of `BatchNorm` are averaged alike: they are of the same steps as the average of weights, in
    which these move little, so that no further pass over the data is needed.

    Parameters
    ----------
    decay : float
        At least 0 and below 1: how much of the average stays in a step.
    bias_correction : bool
        Divide by the sum of the weights, 1 - decay^step, as Adam does (Kingma & Ba 2015): in the first 1 / (1 - decay)
        steps all count about alike, where the first one has nearly all of the weight otherwise.

    Examples
    --------
    >>> from fastnn import EMA, Adam
    >>> optimizer = Adam(1e-3, average=EMA(0.99))
    """

    decay: Any = Number(below=1.0)
    bias_correction: Any = Flag()

    def __init__(self, decay: float = 0.999, bias_correction: bool = False) -> None:
        self.decay, self.bias_correction = decay, bias_correction

    @property
    def structure(self) -> tuple[Any, ...]:
        return (self.bias_correction,)

    def rate(self, state: State, dtype: Any, tape: Tape) -> Cell:
        rate = np.zeros(1)
        kernels.of(dtype).ema_rate(state["step"], rate, self.cell("decay"), self.bias_correction, tape)
        return rate


class SWA(Average):
    """Stochastic weight averaging, the mean of the weights at the ends of epochs or steps (Izmailov et al. 2018).

    average = (w_1 + ... + w_n) / n; before the first of them, it is the parameters. As with PyTorch's ``AveragedModel``
    and ``update_bn``, the statistics of `BatchNorm` are computed anew by `fit`: as means over the batches of a pass
    over the training data with the averaged weights, before each validation and at the end of the fit.

    Parameters
    ----------
    start : float or int
        After how much of each fit it begins, where below 1 and a float, anew in each; or after how many epochs (or
        steps) since the optimizer began.
    every : int
        The parameters of every so many-th epoch (or step) behind it count.
    per : {"epoch", "step"}
        What is counted. Steps by hand and `train_batch` know no epochs, but those of the fit before. With `accumulate`
        that does not divide the batches of an epoch, an epoch is its steps rounded to a whole number.

    Examples
    --------
    >>> from fastnn import SGD, SWA
    >>> optimizer = SGD(0.05, momentum=0.9, average=SWA(start=0.75))
    """

    refreshes = True

    def __init__(self, start: float = 0.75, every: int = 1, per: str = "epoch") -> None:
        self.start, self.every, self.per = start, every, per

    def __setattr__(self, name: str, value: Any) -> None:
        where = f"SWA: {name}"
        if name == "start" and isinstance(value, (float, np.floating)) and not float(value).is_integer():
            value = number(where, value, below=1.0)
        elif name in ("start", "every"):
            value = count(where, value, least=int(name == "every"))
        elif name == "per":
            value = lookup(where, value, _PER)
        super().__setattr__(name, value)

    @property
    def structure(self) -> tuple[Any, ...]:
        return self.start, self.every, self.per

    def init(self) -> State:
        return {"step": np.zeros(1), "n": np.zeros(1), "start": np.zeros(1), "every": np.zeros(1)}

    def begin_fit(self, state: State, epochs: int, steps: float, anew: bool) -> None:
        if state["every"][0] and not anew:
            return
        of_unit = steps if self.per == "epoch" else 1
        state["every"][0] = max(1, round(self.every * of_unit))
        if self.start == int(self.start):
            state["start"][0] = round(self.start * of_unit)
            return
        unit = round(self.start * epochs) * steps if self.per == "epoch" else self.start * epochs * steps
        state["start"][0] = state["step"][0] + round(unit)
        state["n"][0] = 0

    def rate(self, state: State, dtype: Any, tape: Tape) -> Cell:
        if state["every"][0] == 0:
            if self.per == "epoch" or self.start != int(self.start):
                raise ValueError(
                    f"{self!r} counts epochs, and no fit has said how many steps one has: SWA(start=100, every=10, "
                    "per='step') counts steps"
                )
            state["start"][0], state["every"][0] = self.start, self.every
        rate = np.zeros(1)
        kernels.of(dtype).swa_rate(state["step"], state["n"], rate, state["start"], state["every"], tape)
        return rate


class Averaged:
    """Where the optimizer of a model keeps its average: a setting, checked where it is set."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __set__(self, optimizer: Any, value: Any) -> None:
        if not (value is None or isinstance(value, Average)):
            raise TypeError(
                f"{type(optimizer).__name__}: average is {shown(value)}, expected EMA(...), SWA(...) or None"
            )
        if value is not None and optimizer.averages and optimizer.average is None:
            raise ValueError(f"{type(optimizer).__name__}: average is {value!r}, but what it keeps is an average")
        optimizer.__dict__["average"] = value


def averages_of(running: Sequence[Array], state: State) -> Iterator[tuple[Array, Array]]:
    """Yield the running averages of layers, each behind what an optimizer that remembers `state` averages of it."""
    return zip(views_of(state["average.running"], running), running, strict=True) if running else iter(())


def copies_of(arrays: Sequence[Array]) -> Array:
    """Return the numbers of some arrays, one behind the other."""
    made = Arena([array.shape for array in arrays], arrays[0].dtype, padded=False)
    for own, array in zip(made.views, arrays, strict=True):
        own[...] = array
    return made.flat


def views_of(flat: Array, arrays: Sequence[Array]) -> list[Array]:
    """Return where in `flat` the numbers of these arrays lie, as arrays of the same shapes."""
    found, at = [], 0
    for array in arrays:
        found.append(flat[at : at + array.size].reshape(array.shape))
        at += array.size
    return found
