"""The range test of learning rates: which ones a model learns with, and where it diverges."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn.arena import Array
from fastnn.checks import count, number, number_of, shown
from fastnn.drawing import BEST, GREY, axes, color
from fastnn.losses import Loss
from fastnn.model import Model
from fastnn.optimizers import Optimizer

_KEPT = 0.9  # of the smoothed loss, at each step
_WORSE = 4.0  # times the least smoothed loss: the test ends there, as in fastai
_SKIPPED = 10  # steps, of too little smoothing to tell a slope
_FEWEST = 5  # steps from which something can be said


class RangeTest:
    """What `lr_find` has found.

    Attributes
    ----------
    rates, losses : ndarray of shape (steps,)
        The rate of each step, and the loss of its batch before it.
    smoothed : ndarray of shape (steps,)
        A running mean of these losses, over about ten steps.
    steepest : float
        The rate at which the smoothed loss falls fastest, per factor of the rate, behind the first ten steps: what
        PyTorch Lightning suggests. It depends much on the noise of the batches.
    tenth : float
        A tenth of the rate at which the smoothed loss is least: below the first rate where no rate has made it less.
    suggestion : float
        It is `tenth`.
    """

    def __init__(self, rates: NDArray[np.float64], losses: NDArray[np.float64]) -> None:
        self.rates, self.losses = rates, losses
        mean, self.smoothed = 0.0, np.empty_like(losses)
        for i, loss in enumerate(losses.tolist()):
            mean = _KEPT * mean + (1 - _KEPT) * loss
            self.smoothed[i] = mean / (1 - _KEPT ** (i + 1))
        least = int(self.smoothed.argmin())
        slope = np.gradient(self.smoothed, np.log(rates))
        skipped = min(_SKIPPED, least)
        self.steepest = float(rates[skipped + slope[skipped : least + 1].argmin()])
        self.suggestion = self.tenth = float(rates[least]) / 10

    def __repr__(self) -> str:
        n = number_of(len(self.rates), "step")
        return f"<RangeTest: {n} up to a rate of {self.rates[-1]:.3g}; suggestion {self.suggestion:.3g}>"

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses over the rates, with the suggestion, and return the matplotlib axes.

        Raises
        ------
        ImportError
            Without matplotlib, with what installs it.
        """
        ax = axes("RangeTest.plot()", ax)
        ax.plot(self.rates, self.losses, color=GREY, alpha=0.5, label="of each batch")
        ax.plot(self.rates, self.smoothed, color=color(0), label="smoothed")
        ax.axvline(self.suggestion, color=color(4), linestyle="--", label=f"suggestion: {self.suggestion:.2g}")
        ax.set_xscale("log")
        low, high = self.smoothed.min(), self.smoothed[0]
        if high > low:
            ax.set_ylim(low - 0.1 * (high - low), high + 0.5 * (high - low))
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss")
        ax.legend(**BEST)
        return ax


def lr_find(
    model: Model,
    x: ArrayLike,
    y: ArrayLike,
    loss: str | Loss | None = None,
    optimizer: str | Optimizer | None = None,
    start: float = 1e-7,
    end: float = 10.0,
    steps: int = 100,
    batch_size: int = 32,
) -> RangeTest:
    """Train a copy of the model for some steps with a rate that grows by the same factor each time (Smith 2017).

    It ends before the last step where the smoothed loss is four times its least, or not finite. The model, what its
    optimizer remembers, its rate and what randomness follows from are not touched, however this ends.

    Parameters
    ----------
    model : Model
        Built or not.
    x, y, loss, optimizer
        As in `Model.fit`. The rate of the optimizer does not matter.
    start, end : float
        The first and the last rate.
    steps : int
        At least 5.
    batch_size : int

    Returns
    -------
    RangeTest

    Raises
    ------
    FloatingPointError
        Where the model diverges within the first 5 steps.
    ValueError, TypeError
        As in `Model.fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import SGD, Dense, Model, lr_find
    >>> x = np.linspace(-1, 1, 200)[:, None]
    >>> net = Model([Dense(8, "tanh"), Dense(1)], seed=0)
    >>> found = lr_find(net, x, x**2, "mse", SGD())
    >>> bool(0.001 < found.suggestion < 1)
    True
    >>> history = net.fit(x, x**2, "mse", SGD(found.suggestion), epochs=5)
    """
    if not isinstance(model, Model):
        raise TypeError(f"lr_find: got {shown(model)}, expected a Model")
    first, last = number("lr_find: start", start, above=0.0), number("lr_find: end", end, above=0.0)
    n, rows = count("lr_find: steps", steps, _FEWEST), count("lr_find: batch_size", batch_size)
    if first >= last:
        raise ValueError(f"lr_find: start is {start} and end is {end}, expected a start below the end")
    net, own_loss, rule = deepcopy((model, loss, optimizer))
    if net.built:
        net._own()
    trainer = net._trainer
    rule = trainer.choose_optimizer(rule)
    if rule.takes_fits:
        raise TypeError(f"lr_find: {rule!r} has no learning rate to find: take another optimizer, such as Adam")
    rates, losses = np.geomspace(first, last, n), np.empty(n)
    rule.lr = first
    training, (matrix, target, _, _) = trainer.ready(x, y, None, own_loss, rule, steps=lambda rows: n)
    rows = min(rows, len(matrix))
    training.update.begin_fit(1, n, True)
    plan = training.plan(rows, target, 0)
    recorded = plan.recorded(rows, training.step)
    if training.schedules is not None:  # of other numbers: this is their fit
        training.schedules.begin(plan, 1, n, set())
    smoothed, least, taken = 0.0, np.inf, n
    for i, chosen in zip(range(n), _batches(len(matrix), rows, net.seed), strict=False):
        rule.lr = rates[i]
        try:
            losses[i] = plan.run(recorded, matrix[chosen], target[chosen], None)
        except FloatingPointError:
            taken = i
            break
        smoothed = _KEPT * smoothed + (1 - _KEPT) * losses[i]
        mean = smoothed / (1 - _KEPT ** (i + 1))
        if i >= _FEWEST and mean > _WORSE * least:
            taken = i + 1
            break
        least = min(least, mean)
    if taken < _FEWEST:
        raise FloatingPointError(
            f"lr_find: the loss became infinite or NaN in step {taken + 1}, at a rate of {rates[taken]:.3g}: begin "
            "with a lower rate, and scale inputs and targets to about -1 to 1"
        )
    return RangeTest(rates[:taken], losses[:taken])


def _batches(n: int, rows: int, seed: int) -> Iterator[Array]:
    """Yield the numbers of the rows of one batch after the other, in a new order for each pass."""
    rng = np.random.default_rng([seed, 1])
    while True:
        order = rng.permutation(n)
        for at in range(0, n - rows + 1, rows):
            yield order[at : at + rows]
