"""What a fit leaves behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import nan
from typing import Any, NoReturn

from fastnn.checks import logged, number_of
from fastnn.markup import data_frame, escape, html_table
from fastnn.metrics import how_to_log
from fastnn.training.curves import plot, sparkline


class History:
    """What a fit has logged, epoch by epoch: losses, metrics and what callbacks add, by name: ``history["accuracy"]``.

    Attributes
    ----------
    loss : list of float
        The mean over the rows of an epoch, each at the time of its batch; where `EarlyStopping` watches it, that over
        all rows at the end of the epoch.
    val_loss : list of float
        The loss on the validation data after each epoch; empty without such data.
    seconds : float
        How long the fit took.
    ended : str
        Why it ended, in words: after how many epochs and who wanted so many, or what has stopped, interrupted or
        broken it. Empty while it runs.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> history = Model([Dense(1)], seed=0).fit(x, 2 * x, epochs=3, validation_data=(x, 2 * x))
    >>> list(history), len(history["val_loss"])
    (['loss', 'val_loss'], 3)
    """

    def __init__(self) -> None:
        self.why = self.who_asked = ""  # what `ended` is made from, when somebody looks
        self.loss: list[float] = []
        self._more: dict[str, list[float]] = {}
        self.seconds = 0.0

    @property
    def val_loss(self) -> list[float]:
        """The loss on the validation data after each epoch; empty without such data."""
        return self["val_loss"] if "val_loss" in self._more else []

    def keep(self, logs: Mapping[str, Any]) -> None:
        """Keep the numbers that are logged for the last epoch; of one that comes late, earlier ones are NaN."""
        last = len(self.loss) - 1
        for name, value in logs.items():
            if not isinstance(name, str) or not name:
                raise TypeError(f"a callback has logged {value!r} as {name!r}, expected a name, as in logs['score']")
            number = logged(value)
            if number is None:
                continue
            numbers = self.loss if name == "loss" else self._more.setdefault(name, [])
            numbers += [nan] * (last + 1 - len(numbers))
            numbers[last] = number

    @property
    def ended(self) -> str:
        """Why the fit ended, in words."""
        if self.why or not self.who_asked:
            return self.why
        return f"after {number_of(len(self), 'epoch')}, {self.who_asked}"

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def epoch(self) -> list[int]:
        """The numbers of the epochs, from 0."""
        return list(range(len(self)))

    def keys(self) -> list[str]:
        """Return the names of the numbers that it holds for each epoch."""
        return ["loss", *self._more]

    def values(self) -> list[list[float]]:
        """Return these numbers, in the order of their names."""
        return [self[name] for name in self]

    def items(self) -> list[tuple[str, list[float]]]:
        """Return the names with their numbers, as of a dict."""
        return [(name, self[name]) for name in self]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __getitem__(self, name: str) -> list[float]:
        """Return the numbers of that name: ``history["loss"]`` is ``history.loss``."""
        if name == "loss":
            return self.loss
        if name not in self._more:
            raise KeyError(self._lacks(name))
        numbers = self._more[name]
        numbers += [nan] * (len(self) - len(numbers))  # of epochs that have not logged it
        return numbers

    def __getattr__(self, name: str) -> NoReturn:
        """Say where the numbers are that have been logged, or what logs them."""
        if name[:1] == "_":
            raise AttributeError(f"'History' object has no attribute {name!r}")
        raise AttributeError(f"they are history[{name!r}]" if name in self._more else self._lacks(name))

    def _lacks(self, name: str) -> str:
        return f"the history has no {name}, but {' and '.join(self.keys())}{how_to_log(name, self)}"

    def to_dict(self) -> dict[str, list[float]]:
        """Return a copy of the numbers by name, one for each epoch: NaN where one has not been logged."""
        return {name: list(numbers) for name, numbers in self.items()}

    def to_frame(self) -> Any:
        """Return the numbers as a data frame of pandas: a column each, a row for each epoch.

        Raises
        ------
        ImportError
            Without pandas, with what installs it.
        """
        return data_frame(self.to_dict(), "epoch", "history.to_frame()")

    @property
    def history(self) -> dict[str, list[float]]:
        """The same dict: the name that Keras has for it."""
        return self.to_dict()

    def __repr__(self) -> str:
        last = "".join(f", {name} {numbers[-1]:.4g}" for name, numbers in self.items() if numbers)
        why = f"; {self.ended}" if self.ended else ""
        return f"<History: {number_of(len(self), 'epoch')}{last}{why}>"

    def plot(self, ax: Any = None) -> Any:
        """Draw all numbers over the epochs, with the best epoch marked, and return the matplotlib axes of the losses.

        Losses stand in the first panel, metrics from -1 to 1 in the second, others below these: they share the epochs.
        What spans two decades or more has a logarithmic scale. The best epoch is that of the least validation loss, or
        training loss where there is none.

        Parameters
        ----------
        ax : matplotlib axes or None
            Where to draw: panels divide it. None makes a figure.

        Raises
        ------
        ImportError
            Without matplotlib, with what installs it.
        """
        return plot(self.to_dict(), ax)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the losses as a sparkline, and of each number the first, best and last."""
        curves = self.to_dict()
        rows = []
        for name, own in curves.items():
            there = [number for number in own if number == number] or own
            if own:
                rows.append((name, *map("{:.4g}".format, (own[0], own[-1], min(there), max(there)))))
        title = f"<b>History</b> {escape(repr(self)[len('<History: ') : -1])}"
        table = html_table(("", "first", "last", "least", "largest"), rows, right=4)
        return f'<div style="line-height:1.4"><div>{title}</div>{sparkline(curves)}{table}</div>'
