"""How good predictions are over a feed: piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.arena import Array
from fastnn.checks import count
from fastnn.feeds import Blocks, Feed
from fastnn.losses import Loss
from fastnn.metrics.contract import Asked
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
        self._trainer, self._feed, self._n_threads, self._rows = trainer, feed, n_threads, rows
        self._loss = loss._of_form()

    def numbers(self, metrics: Sequence[Asked] = (), prefix: str = "", own: bool = False) -> dict[str, float]:
        """Return the loss, with the penalties of the model, and metrics, under their names behind a prefix.

        For `metrics`, which are functions of all rows, outputs and targets are kept, but never x. Those of the loss
        itself, where they are asked for by `own`, are means over rows.
        """
        trainer, loss = self._trainer, self._loss
        reads = Reads(trainer.tree, loss, trainer.build, converted=False)
        sums: dict[str, float] = {}
        total = mass = 0.0
        kept: list[tuple[Any, Any, Any]] = []
        is_sum, n = getattr(loss, "reduction", "mean") == "sum", 0
        for piece in self._feed.pieces():
            data = reads(piece)
            if data is None:
                continue
            if not n:  # now it knows what targets look like
                end = ending(trainer.tree, loss)
            x, target, weight, _ = data
            relative = None if weight is None else loss.relative(weight, target)
            share = float(len(target)) if weight is None else loss._sum_of_weights(weight, target)
            value, outputs = evaluated(trainer.predictors, end, (x, target, relative, 0), self._rows, self._n_threads)
            total, mass = total + (value if is_sum else value * share), mass + share
            if own:
                found = end[0].metrics_of(outputs, target, relative)
                sums = {
                    name: sums.get(name, 0.0) + share * each for name, each in found.items() if not n or name in sums
                }
            if metrics:
                kept.append((outputs, np.array(target), weight))
            n += 1
        if not n:
            raise ValueError("there are no rows to evaluate, expected at least one")
        value = total if is_sum else total / mass
        value += trainer.restraints.value(trainer.tree, trainer.averages.params)
        answer = {f"{prefix}loss": value, **{name: each / mass for name, each in sums.items()}}
        if metrics:
            outputs, target = (np.concatenate([found[i] for found in kept]) for i in (0, 1))
            weight = None
            if any(own is not None for _, _, own in kept):
                weights = [np.ones((len(y), 1)) if own is None else own for y, _, own in kept]
                width = max(own.shape[1] for own in weights)
                weight = np.concatenate([np.broadcast_to(own, (len(own), width)) for own in weights])
                weight = loss.relative(weight, target)
            measures = end[0].measure(metrics, outputs, target, weight)
            answer |= {f"{prefix}{name}": each for name, each in measures.items()}
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
    trainer: Trainer,
    feed: Feed,
    loss: str | Loss | None,
    sample_weight: Any,
    batch_size: int | None,
    metrics: Any = None,
) -> dict[str, float]:
    """Return the loss over a feed and what else says how good predictions are."""
    if sample_weight is not None:
        raise TypeError(f"evaluate: sample_weight is given beside {feed!r}, expected it to hold them")
    rows = None if batch_size is None else count("batch_size", batch_size)

    def numbers() -> dict[str, float]:
        chosen = trainer.choose_loss(loss)
        over, asked = OverFeed(trainer, feed, chosen, None, rows), chosen.choose_metrics(metrics)
        return over.numbers(asked, own=True)

    found: dict[str, float] = trainer.as_it_was(numbers)
    return found
