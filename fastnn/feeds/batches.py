"""Batches that somebody else makes: of an iterable, a generator, a loader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from fastnn.checks import count, shown
from fastnn.feeds.contract import Feed, Piece


class Batches(Feed):
    """Batches as they come: each makes one step.

    `Model.fit` makes this by itself of an iterable without y: a list of batches, a generator, a loader of PyTorch
    (whose tensors are on the CPU). So does `Model.predict` of a generator or a loader, whose batches may be x alone.

    Parameters
    ----------
    batches : iterable, iterator, or callable
        Gives tuples (x, y) or (x, y, sample_weight), of any number of rows. A function without arguments is called for
        each epoch, and returns an iterable. A generator can be gone through once only.
    steps : int or None
        How many batches an epoch has. Then an endless generator will do, and the next epoch goes on where this one has
        ended; what can be begun anew is, where it ends. None is all that there are.

    Notes
    -----
    Weights are taken as they are, as in `train_batch`, and the loss of an epoch is the mean over its rows. Keras's
    ``steps_per_epoch`` is ``steps``. Batches are made in the thread that trains: to make the next one while this one
    trains, wrap the iterable in one that has a thread or processes, such as a loader of PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Dense, Model, feeds
    >>> def batches():
    ...     rng = np.random.default_rng(0)
    ...     while True:
    ...         x = rng.uniform(-1, 1, (32, 2))
    ...         yield x, x[:, :1] * x[:, 1:]
    >>> net = Model([Dense(8, "tanh"), Dense(1)], seed=0)
    >>> len(net.fit(feeds.Batches(batches(), steps=50), epochs=4))
    4
    """

    def __init__(self, batches: Iterable[Any] | Callable[[], Iterable[Any]], steps: int | None = None) -> None:
        if isinstance(batches, (str, bytes, dict)) or not (callable(batches) or hasattr(batches, "__iter__")):
            raise TypeError(
                f"Batches: batches is {shown(batches)}, expected an iterable of tuples (x, y) or (x, y, "
                "sample_weight), or a function that returns one"
            )
        self._given = batches
        self.steps = None if steps is None else count("Batches: steps", steps)
        self.once = not callable(batches) and iter(batches) is batches
        self._running: Iterator[Any] | None = None

    @property
    def steps_known(self) -> int | None:
        """How many batches an epoch has, where that is known."""
        if self.steps is not None:
            return self.steps
        try:
            n = len(self._given)  # type: ignore[arg-type]
        except TypeError:
            return None
        return n or None

    def _begin(self) -> Iterator[Any]:
        given: Any = self._given() if callable(self._given) else self._given
        if not hasattr(given, "__iter__"):
            raise TypeError(f"batches: the function returned {shown(given)}, expected an iterable of tuples (x, y)")
        return iter(given)

    def epoch(self) -> Iterator[Piece]:
        """Yield the batches of the next epoch.

        Raises
        ------
        ValueError
            Where there are fewer than there have to be, or none.
        """
        if self.steps is None:
            self._running = None
        for i, given in enumerate(self._next(self.steps)):
            yield self._piece(given, i)

    def skip(self, n: int) -> None:
        """Let so many batches go by, before the first epoch: where a fit goes on, those of the epochs before."""
        for _ in self._next(n):
            pass

    def _next(self, steps: int | None) -> Iterator[Any]:
        """Yield the next batches, so many or until they end."""
        i, fresh = 0, self._running is None
        if self._running is None:
            self._running = self._begin()
        while steps is None or i < steps:
            assert self._running is not None
            try:
                given = next(self._running)
            except StopIteration:
                if steps is None and i:
                    return
                if fresh:
                    raise ValueError("there are no batches, expected one at least") from None
                if self.once:
                    raise ValueError(
                        f"the batches end after {i} of this epoch, expected steps={steps}: pass a "
                        "function that returns a new generator, or fewer steps"
                    ) from None
                self._running, fresh = self._begin(), True
                continue
            fresh = False
            yield given
            i += 1

    def pieces(self, x: bool = True) -> Iterator[Piece]:
        return self.epoch()

    def inputs(self) -> Iterator[Piece]:
        for i, given in enumerate(self._begin()):
            if i == self.steps:
                return
            x = _array(given[0] if isinstance(given, tuple) and given else given)
            if isinstance(x, (np.ndarray, np.generic, list, float, int)) and np.ndim(x) < 2:
                raise TypeError(
                    f"x is a {type(self._given).__name__}, expected an array of numbers, or batches of several rows, "
                    f"got {shown(given)} as batch {i}: where it gives single rows, pass list(x)"
                )
            yield Piece(x, None, None, f"batch {i}", 0)

    def _piece(self, given: Any, i: int) -> Piece:
        if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
            raise TypeError(
                f"batch {i} is {shown(given)}, expected a tuple (x, y), or (x, y, sample_weight), of several rows"
            )
        x, y, weight = [*map(_array, given), None][:3]
        return Piece(x, y, weight, f"batch {i}", 0)

    def end(self) -> None:
        """Let generators that this has made end."""
        running, self._running = self._running, None
        if running is not None and running is not self._given and hasattr(running, "close"):
            running.close()

    def __repr__(self) -> str:
        steps = "" if self.steps is None else f", steps={self.steps}"
        return f"Batches({shown(self._given)}{steps})"


def _array(given: Any) -> Any:
    """Return what a batch holds as NumPy reads it: tensors of PyTorch know how."""
    if hasattr(given, "detach") and hasattr(given, "numpy"):
        return given.detach().numpy()
    return given
