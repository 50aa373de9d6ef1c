"""How good predictions are over a feed: piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.arena import Array
from fastnn.checks import count
from fastnn.feeds import Blocks, Feed
from fastnn.losses import Loss
from fastnn.training.evaluation import ending, evaluated
from fastnn.training.stream import Reads, placed

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer


class OverFeed:
    """Evaluates a loss, and metrics, over a feed.

    Parameters
    ----------
    trainer : Trainer
    feed : Feed
    loss : Loss
    n_threads, rows : int or None
        How many threads predict, and how many rows at a time.
    """

    def __init__(
        self, trainer: Trainer, feed: Feed, loss: Loss, n_threads: int | None = None, rows: int | None = None
    ) -> None:
        if not feed.has_targets:
            raise ValueError(f"{feed!r} has no targets: say what y is when it is made")
        self._trainer, self._feed, self._loss, self._n_threads, self._rows = trainer, feed, loss, n_threads, rows

    def numbers(self, metrics: Sequence[Any] = (), prefix: str = "", own: bool = False) -> dict[str, float]:
        """Return the loss, with the penalties of the model, and metrics, under their names behind a prefix.

        For `metrics`, which are functions of all rows, outputs and targets are kept, but never x. Those of the loss
        itself, where they are asked for by `own`, are means over rows.
        """
        trainer, loss = self._trainer, self._loss
        end = used, without_last = ending(trainer.tree, loss)
        reads = Reads(trainer.tree, loss, trainer.build, converted=False)
        sums: dict[str, float] = {}
        total = mass = 0.0
        kept: list[tuple[Any, Any, Any]] = []
        is_sum, n = getattr(loss, "reduction", "mean") == "sum", 0
        for piece in self._feed.pieces():
            data = reads(piece)
            if data is None:
                continue
            x, target, weight, _ = data
            relative = None if weight is None else loss.relative(weight, target)
            share = float(len(target)) if weight is None else loss._sum_of_weights(weight, target)
            value, outputs = evaluated(trainer.predictors, end, (x, target, relative, 0), self._rows, self._n_threads)
            total, mass = total + (value if is_sum else value * share), mass + share
            if own:
                found = used.metrics_of(outputs, target, relative)
                sums = {
                    name: sums.get(name, 0.0) + share * each for name, each in found.items() if not n or name in sums
                }
            if metrics:
                if without_last:
                    outputs = trainer.predictors.current().some(x, self._rows, self._n_threads)
                kept.append((outputs, target.copy(), weight))
            n += 1
        if not n:
            raise ValueError("there are no rows to evaluate, expected at least one")
        value = total if is_sum else total / mass
        value += trainer.restraints.value(trainer.tree, trainer.averages.params)
        answer = {f"{prefix}loss": value, **{name: each / mass for name, each in sums.items()}}
        if metrics:
            answer |= _of_all(metrics, kept, prefix)
        return answer


def predicted(predict: Callable[..., Array], feed: Feed, batch_size: int | None, n_threads: int | None) -> Array:
    """Return the outputs for all rows of a feed, predicted piece by piece."""
    rows = feed.rows if isinstance(feed, Blocks) else None
    found: list[Array] = []
    outputs, at = None, 0
    for piece in feed.inputs():
        with placed(piece):
            y = predict(piece.x, batch_size, n_threads)
        if rows is None:
            found.append(y)
            continue
        if outputs is None:
            outputs = np.empty((rows, *y.shape[1:]), y.dtype)
        outputs[at : at + len(y)] = y
        at += len(y)
    if outputs is not None:
        return outputs
    if not found:
        raise ValueError("there are no batches to predict, expected one at least")
    return np.concatenate(found)


def evaluate_over(
    trainer: Trainer, feed: Feed, loss: str | Loss | None, sample_weight: Any, batch_size: int | None
) -> dict[str, float]:
    """Return the loss over a feed and what else says how good predictions are."""
    if sample_weight is not None:
        raise TypeError(f"evaluate: sample_weight is given beside {feed!r}, expected it to hold them")
    rows = None if batch_size is None else count("batch_size", batch_size)
    over = OverFeed(trainer, feed, trainer.choose_loss(loss), None, rows)
    found: dict[str, float] = trainer.as_it_was(lambda: over.numbers(own=True))
    return found


def _of_all(metrics: Sequence[Callable[..., float]], kept: Sequence[Any], prefix: str) -> dict[str, float]:
    outputs, targets = (np.concatenate([found[i] for found in kept]) for i in (0, 1))
    weights = None
    if any(weight is not None for _, _, weight in kept):
        weights = np.concatenate([np.ones((len(y), 1)) if weight is None else weight for y, _, weight in kept])
    return {f"{prefix}{f.__name__}": float(f(targets, outputs, sample_weight=weights)) for f in metrics}
