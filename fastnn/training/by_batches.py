"""Fits over batches that somebody else makes: each is a step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._core.team import Team
from fastnn.arena import Array
from fastnn.feeds import Batches, Piece
from fastnn.losses import Loss
from fastnn.training.by_blocks import require_plain
from fastnn.training.data import Data, per_row
from fastnn.training.epochs import Fit
from fastnn.training.fitting import Fitting
from fastnn.training.options import BATCH_SIZE, default_epochs_of_batches
from fastnn.training.plan import Batch, Plan
from fastnn.training.stream import Reads

if TYPE_CHECKING:
    from fastnn.optimizers import Optimizer
    from fastnn.training.history import History
    from fastnn.training.moving import Schedules
    from fastnn.training.options import FitOptions
    from fastnn.training.trainer import Trainer


class BatchesFitting(Fitting):
    """What one fit over batches of others trains.

    Parameters
    ----------
    trainer, loss, optimizer, options
        As `Fitting` has them.
    feed : Batches
    """

    def __init__(
        self,
        trainer: Trainer,
        feed: Batches,
        loss: str | Loss | None,
        optimizer: str | Optimizer | None,
        options: FitOptions,
    ) -> None:
        self.feed, self.steps = feed, feed.steps_known
        super().__init__(trainer, None, None, loss, optimizer, options)  # type: ignore[arg-type]
        require_plain(feed, self._rule, options)
        if options.batch_size is not BATCH_SIZE:
            raise ValueError(
                f"fit: batch_size is {options.batch_size}, but batches come as {feed!r} makes them: leave it out"
            )
        if options.metrics or self.watches_training_loss:
            raise ValueError(
                f"fit: the loss or metrics over all training data are asked for behind each epoch, and {feed!r} gives "
                "them once: let callbacks watch val_loss, and pass metrics to evaluate"
            )
        if feed.once and feed.steps is None and options.epochs is not None and options.epochs > 1:
            raise ValueError(
                f"fit: epochs is {options.epochs}, but {feed!r} can be gone through once: pass a function that returns "
                "a new one for each epoch, a list, or feeds.Batches(generator, steps=...)"
            )

    def run(self) -> History:
        try:
            return super().run()
        finally:
            self.feed.end()

    @property
    def _fit_class(self) -> type[Fit]:
        return BatchesFit

    # -- the beginning -------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Prepare what trains on batches such as the first one, which the first epoch begins with."""
        trainer, loss, rule = self._trainer, self._loss, self._rule
        self._reads, self._of_loss = Reads(trainer.tree, loss, trainer.build), loss
        if self._resumed is not None:
            self._skip(len(trainer.history))
        come = self.feed.epoch()
        first = self._piece = next(come)
        self._first: Iterator[Piece] | None = chain([first], come)
        data = self._reads(first, known=False)
        assert data is not None
        if trainer.tree.adapting:
            trainer.tree.adapt(data[0], None)
        if self.validates:
            self._read_validation(loss)
        trainer.check_scale(loss, data, first.y)
        once = self.feed.once and self.feed.steps is None
        asked = self.options.epochs
        if self._resumed is not None:
            asked = asked or self._resumed.epochs
        self.epochs, self.who_asked = asked or 0, "as asked"
        if asked is None:
            self.epochs, self.who_asked = default_epochs_of_batches(self.steps, once)
        weights = 0 if data[2] is None else per_row(data[2])
        self.training = trainer.prepared(loss, rule, data[1], weights, self.n_batches, True)
        self._begin_average(self.epochs, self._resumed is None)
        self._last = self._data = data
        self.plan = self.training.plan(len(data[0]), self._like(data[1], weights), weights, False)
        self.plan.recorded(len(data[0]), self.training.stepping(False))  # what it refuses has changed nothing yet
        if self.training.schedules is not None and self.steps is None:
            self.training.schedules.ready_without_epochs()

    def _begin_schedules(self, schedules: Schedules, epochs: int) -> None:
        if self.steps is not None:  # else they go on as for single steps
            super()._begin_schedules(schedules, epochs)

    def _begin_average(self, epochs: int, anew: bool) -> None:
        """Say how many steps epochs have, where that is known."""
        if self.steps is not None:
            self.training.update.begin_fit(epochs, self.steps, anew)

    @property
    def n_rows(self) -> int:
        return 0

    def _known_of_data(self) -> dict[str, Any]:
        steps = "" if self.steps is None else f", {self.steps} in an epoch"
        return {"data": f"batches as they come{steps}", "rows": 0}

    @property
    def n_batches(self) -> int:
        return self.steps or 1

    def _skip(self, epochs: int) -> None:
        """Let the batches of epochs go by, where the next epoch begins behind them and not anew."""
        feed = self.feed
        if feed.once:
            raise ValueError(
                f"fit: resume=True, and nobody knows where {feed!r} is: pass a function that returns a new one"
            )
        if feed.steps is not None:
            feed.skip(epochs * feed.steps)

    @property
    def chunks(self) -> int:
        return self.plan.recorded(self.plan.room, self.training.stepping(False))[1].chunks

    def _put_plan_back(self) -> None:
        """There is nothing to keep."""

    # -- batches -------------------------------------------------------------------------------------------------------

    def come(self) -> Iterator[Data]:
        """Yield the batches of the next epoch, read and checked."""
        pieces, self._first = self._first or self.feed.epoch(), None
        for piece in pieces:
            data = self._reads(piece, known=False)
            assert data is not None
            yield data

    def plan_for(self, data: Data) -> tuple[Plan, tuple[Batch, Any], tuple[Array, Array, Array | None]]:
        """Return what takes a step on a batch, and the batch as it is then."""
        x, target, weight, _ = data
        weights = self.training.weights
        if weight is not None and per_row(weight) > weights:  # the first that has some
            trainer, weights = self._trainer, per_row(weight)
            assert trainer.loss is not None
            assert trainer.optimizer is not None
            self.training = trainer.prepared(trainer.loss, trainer.optimizer, target, weights, self.n_batches, True)
            self._last = data
        target = self._like(target, weights)
        if self.augmenting is not None:
            x, target = self.augmenting.changed(x, data[1])
        plan = self.training.plan(len(x), target, weights, False)
        return plan, plan.recorded(len(x), self.training.stepping(False)), (x, target, weight)

    # -- between epochs ------------------------------------------------------------------------------------------------

    def renew(self) -> None:
        trainer = self._trainer
        loss, optimizer = trainer.loss, trainer.optimizer
        assert loss is not None
        assert optimizer is not None
        require_plain(self.feed, optimizer, self.options)
        if loss is not self._of_loss:
            self._reads, self._of_loss = Reads(trainer.tree, loss, trainer.build), loss
            data = self._reads(self._piece, known=False)  # which says what targets look like to this loss
            assert data is not None
            self._last = data
        if self.validates and self.options.calls.may_change_data:
            self._read_validation(loss)
        now = trainer.prepared(loss, optimizer, self._last[1], self.training.weights, self.n_batches)
        left = self.epochs - len(self._history)
        if now is not self.training:
            self.training = now
            self._begin_average(left, optimizer is not self._rule)
        if now.schedules is not None and left:
            self._begin_schedules(now.schedules, left)

    def refresh(self, team: Team) -> None:
        if self._trainer.averages.refreshes:
            raise ValueError(
                f"{self._trainer.optimizer!r} goes over all training data once more behind each epoch, for the running "
                f"averages of layers, and {self.feed!r} gives them once: take EMA, or data in an array or a file"
            )


class BatchesFit(Fit):
    """The epochs of a fit over batches of others."""

    fitting: BatchesFitting

    def _epochs(self, n: int, team: Team) -> str | None:
        for _ in range(n):
            what = self._epoch(team)
            if what is not None or self._stopped:
                return what
        return None

    def _epoch(self, team: Team) -> str | None:
        """Go over the batches of an epoch, and say what has become NaN or infinite, if anything has."""
        fitting, history, first, calls = self.fitting, self.history, len(self.history.loss), self.calls
        steps = fitting.steps
        schedules = fitting.training.schedules
        if schedules is not None and steps is not None:
            schedules.cover(self._asked, 1, fitting.epochs - first, steps)
        if fitting.augmenting is not None:  # where nobody knows how many batches there are, epochs are far apart
            fitting.augmenting.begin(first * (2**32 if steps is None else steps))
        total, rows, i, value = 0.0, 0, 0, 0.0
        if steps is not None:
            self.progress.part = lambda: i / steps
        try:
            for data in fitting.come():
                if self.stop is not None and self.stop.is_set():
                    raise KeyboardInterrupt
                if steps is not None and i >= steps:
                    raise ValueError(f"{fitting.feed!r} gave more than the {steps:,} batches that its length says")
                if calls.in_batches:
                    calls.begin_batch(self._model, i)
                plan, recorded, batch = fitting.plan_for(data)
                training = fitting.training
                if training.schedules is not None and steps is None:
                    training.schedules.ready()
                training.begins(len(data[0]), False)
                value = np.nan
                value = plan.run(recorded, *batch, team, self.stop)
                total, rows, i = total + value * len(data[0]), rows + len(data[0]), i + 1
                if calls.in_batches:
                    self._stopped = calls.end_batch(self._model, i - 1, {"loss": value}) or ""
                    if self._stopped:
                        return None
            history.loss.append(total / rows)
        except FloatingPointError as error:
            value = float(plan.batch.value[0])
            is_of_kernels = "is not finite" in str(error)
            what = training.what_diverged(value) if is_of_kernels else str(error)
            return f"{what} in epoch {first + 1}, batch {i + 1}"
        finally:
            self.progress.part = None
            history.seconds = time.perf_counter() - self._start
            schedules = fitting.training.schedules
            if schedules is not None:
                schedules.finish(len(history.loss) - first)
        return None
