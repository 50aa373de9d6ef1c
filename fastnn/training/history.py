"""What a fit leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastnn.checks import number_of


class History:
    """The losses of a fit, epoch by epoch. They may be read by name, too: ``history["loss"]``.

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
    """

    def __init__(self) -> None:
        self.why = self.who_asked = ""  # what `ended` is made from, when somebody looks
        self.loss: list[float] = []
        self.val_loss: list[float] = []
        self.seconds = 0.0

    @property
    def ended(self) -> str:
        """Why the fit ended, in words."""
        if self.why or not self.who_asked:
            return self.why
        return f"after {number_of(len(self), 'epoch')}, {self.who_asked}"

    def __len__(self) -> int:
        return len(self.loss)

    def keys(self) -> list[str]:
        """Return the names of the numbers that it holds for each epoch."""
        return ["loss", "val_loss"] if self.val_loss else ["loss"]

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
        if name not in self.keys():
            hint = ": fit was given no validation_data" if name == "val_loss" else ""
            raise KeyError(f"the history has no {name}, but {' and '.join(self.keys())}{hint}")
        numbers: list[float] = getattr(self, name)
        return numbers

    def to_dict(self) -> dict[str, list[float]]:
        """Return a copy of the numbers by name, as a table is made of: ``pandas.DataFrame(history.to_dict())``."""
        return {name: list(self[name]) for name in self.keys()}

    @property
    def history(self) -> dict[str, list[float]]:
        """The same dict: the name that Keras has for it."""
        return self.to_dict()

    def __repr__(self) -> str:
        last = f", loss {self.loss[-1]:.4g}" if self.loss else ""
        last += f", val_loss {self.val_loss[-1]:.4g}" if self.val_loss else ""
        why = f"; {self.ended}" if self.ended else ""
        return f"<History: {number_of(len(self), 'epoch')}{last}{why}>"

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses over the epochs and return the matplotlib axes.

        Raises
        ------
        ImportError
            Without matplotlib, with what installs it.
        """
        if ax is None:
            try:
                from matplotlib import pyplot
            except ImportError:
                raise ImportError("history.plot() needs matplotlib: pip install matplotlib") from None
            ax = pyplot.subplots()[1]
        epochs = range(1, len(self) + 1)
        ax.plot(epochs, self.loss, label="training loss")
        if self.val_loss:
            ax.plot(epochs, self.val_loss, label="validation loss")
            ax.legend()
        ax.set_xlabel("epoch")
        ax.set_ylabel("loss")
        return ax
