"""What a fit leaves behind."""

from __future__ import annotations

from typing import Any


class History:
    """The losses of a fit, epoch by epoch.

    Attributes
    ----------
    loss : list of float
        The mean over the rows of an epoch, each at the time of its batch; where `EarlyStopping` watches it, that over
        all rows at the end of the epoch.
    val_loss : list of float
        The loss on the validation data after each epoch; empty without such data.
    seconds : float
        How long the fit took.
    """

    def __init__(self) -> None:
        self.loss: list[float] = []
        self.val_loss: list[float] = []
        self.seconds = 0.0

    def __len__(self) -> int:
        return len(self.loss)

    def __repr__(self) -> str:
        last = f", loss {self.loss[-1]:.4g}" if self.loss else ""
        last += f", val_loss {self.val_loss[-1]:.4g}" if self.val_loss else ""
        return f"<History: {len(self)} epochs{last}>"

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
