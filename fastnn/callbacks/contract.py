"""The contract of a callback: what a fit calls, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn.settings import Part
from fastnn.signatures import is_ours

if TYPE_CHECKING:
    from fastnn.model import Model

# A function of (model, epoch, logs), called after each epoch, which is counted from 0; or a `Callback`, which is one.
Function = Callable[["Model", int, dict[str, Any]], Any]


class Callback(Part):
    """What a fit calls at its begin and end, and at those of its epochs and batches (Keras has the same places).

    A callback of your own is a subclass with the methods that it needs: those that nobody defines cost nothing. Without
    `begin_batch` and `end_batch` an epoch runs in one call without the GIL, and many epochs do without all four in the
    middle. A function ``f(model, epoch, logs)`` is a callback, too: it is called where an epoch ends. So is an object
    that is callable so, which may have any of the other methods.

    What it changes counts from then on: rates and other numbers at once, structure (``trainable``, a momentum that
    leaves 0) and data from the next epoch on. An error in any of them ends the fit.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model
    >>> from fastnn.callbacks import Callback
    >>> class Norm(Callback):
    ...     def __call__(self, model, epoch, logs):
    ...         logs["norm"] = np.linalg.norm(model.params)
    ...         return logs["norm"] > 100  # True ends the fit
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> history = Model([Dense(1)], seed=0).fit(x, 2 * x, epochs=3, callbacks=[Norm()])
    >>> len(history["norm"])
    3
    """

    def begin(self, model: Model) -> None:
        """Begin a fit: its data are checked, ``model.history`` is that of the fit."""

    def begin_epoch(self, model: Model, epoch: int) -> None:
        """Begin an epoch, which is counted from 0."""

    def begin_batch(self, model: Model, batch: int) -> None:
        """Begin a batch of an epoch, which is counted from 0."""

    def end_batch(self, model: Model, batch: int, logs: Mapping[str, float]) -> Any:
        """End a batch: the logs hold its "loss", before the step; True ends the fit behind it."""

    def __call__(self, model: Model, epoch: int, logs: dict[str, Any]) -> Any:
        """End an epoch; True ends the fit.

        The logs hold "loss" and, with validation data, "val_loss", and metrics. A callback may add numbers of its own:
        those behind it see them, and the history keeps them.
        """

    def end(self, model: Model) -> None:
        """End a fit, however it ends; ``model.history.ended`` says how."""

    def state(self) -> dict[str, Any]:
        """Return what a fit that is resumed needs: numbers, texts, arrays, and lists, tuples and dicts of these.

        Keys of dicts are texts, numbers, or tuples of these.
        """
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` has returned: behind `begin`, where a fit is resumed."""

    rank: ClassVar[int] = 0  # those of a higher one are called behind the others where an epoch ends
    sees_all: ClassVar[bool] = False  # whether it is told of an epoch in which one before it has failed
    takes_divergence: ClassVar[bool] = False  # whether a fit that diverges ends without an error
    writes_files: ClassVar[bool] = False  # whether copies of it, for several nets, would write the same ones

    @property
    def known_as(self) -> str:
        """What has to be the same where a fit is resumed."""
        return type(self).__name__

    # -- what a fit asks ----------------------------------------------------------------------------------------------

    def _hook(self, name: str) -> Callable[..., Any] | None:
        """Return the method of that name, where it does something."""
        own: Callable[..., Any] = getattr(self, name)
        return None if getattr(type(self), name) is getattr(Callback, name) else own

    def _attach(self, epochs: int, data: Callable[[], tuple[Any, Any, Any]]) -> None:
        """Take what a fit has to offer, before it begins: its epochs, and x, y and the weights that it trains with."""

    @property
    def may_change_data(self) -> bool:
        """Whether it may change the data of a fit, which are then read anew for each epoch."""
        return not is_ours(type(self))

    @property
    def may_log(self) -> bool:
        """Whether it may log numbers that nobody knows of before."""
        return not is_ours(type(self))

    @property
    def holds_best(self) -> bool:
        """Whether the model returns to a state that this holds when the fit ends."""
        return False

    @property
    def reason(self) -> str:
        """Why it has ended a fit, in words; empty where its name says that."""
        return ""

    def watches_training_loss(self, validates: bool) -> bool:
        """Whether it needs the loss over the training data at the end of each epoch.

        Parameters
        ----------
        validates : bool
            Whether there is a validation loss.
        """
        return False

    def require(self, modes: Mapping[str, str], is_open: bool) -> None:
        """Raise an error, before a fit, for what could not be done in it.

        Parameters
        ----------
        modes : dict
            The numbers that will be logged, and whether the better one is the smaller, "min", the larger, "max", or
            nobody knows, "".
        is_open : bool
            Whether a callback before this one may log others.
        """
