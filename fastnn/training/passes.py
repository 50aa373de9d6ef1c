"""One pass over rows of which more come: the steps of `train_batch`, in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import threads
from fastnn._core.team import Team
from fastnn.arrays import all_finite
from fastnn.checks import count, flag
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.training.data import per_row
from fastnn.training.marks import Mark
from fastnn.training.state import Snapshot

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer


def partial_fit(
    trainer: Trainer,
    x: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    loss: str | Loss | None,
    optimizer: str | Optimizer | None,
    batch_size: int | None,
    shuffle: bool,
    n_threads: int | None,
) -> None:
    """Take a step for each batch of these rows; where that diverges, the model is as it was before."""
    rows = None if batch_size is None else count("batch_size", batch_size)
    is_shuffled, n_threads = flag("shuffle", shuffle), threads.check(n_threads)
    mark = Mark(trainer)

    def begin() -> Any:
        training, data = trainer.ready(x, y, sample_weight, loss, optimizer, steps=lambda n: -(-n // (rows or n)))
        matrix, target, weight, n = data
        size = min(rows or n, n)
        plan = training.plan(size, target, per_row(weight), False)
        over_data = plan.take_epochs(size, matrix, target, weight, training.stepping(False))
        if training.schedules is not None:
            training.schedules.ready(over_data.n_batches)
        return training, plan, over_data

    training, plan, over_data = trainer.as_it_was(begin, mark)
    trainer.lose("partial_fit has taken steps since then")
    before = Snapshot(trainer.state, training.memory, None)
    before.averaging = mark.averaging
    seed = trainer.next_order()
    trainer.end_batch_by_hand()
    without = training.memory.without_gradients
    training.begins(over_data.rows, False)
    team = Team(threads.chosen(n_threads, over_data.chunks, over_data.n_batches))
    what = None
    try:
        with team:
            diverged = over_data.run(is_shuffled, seed, 0, np.empty(1), team)
        if diverged is not None:
            what = f"{training.what_diverged(float(plan.batch.value[0]))} in batch {diverged[1] + 1}"
        elif not all_finite(training.memory.params):  # no loss came after the last step
            what = "the parameters overflowed in the last batch"
    except FloatingPointError as error:  # of a loss in NumPy
        what = str(error)
    if what is not None:
        trainer.restore(before, training.memory, None)
        diverging = training.diverged(what, "the parameters are again those from before this pass")
        training.memory.without_gradients = without
        mark.put_back()
        raise diverging
    plan.put_back(over_data)
