"""Fits over data that are read block by block: the recorded step runs over one block while the next one is read."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._core.team import Team
from fastnn.checks import number_of
from fastnn.feeds import Blocks, Feed
from fastnn.losses import Loss
from fastnn.training.batches import Batches, Stopped, gathers
from fastnn.training.epochs import Fit, Gathers
from fastnn.training.fitting import Fitting
from fastnn.training.plan import Batch, EpochPlan, Plan
from fastnn.training.stream import Block, Reads, Stream, batches_of, room_for, survey

if TYPE_CHECKING:
    from fastnn.optimizers import Optimizer
    from fastnn.training.history import History
    from fastnn.training.options import FitOptions
    from fastnn.training.trainer import Trainer

_SOME = 1024  # rows that are kept to be looked at
_BLOCKS_APART = 0x9E3779B97F4A7C15  # seeds of the orders of rows in blocks


def require_plain(feed: Feed, optimizer: Optimizer, options: FitOptions) -> None:
    """Raise what keeps a fit over a feed from beginning."""
    if not feed.has_targets:
        raise ValueError(f"fit: {feed!r} has no targets: say what y is when it is made")
    if options.sample_weight is not None:
        raise ValueError(
            f"fit: sample_weight is given beside {feed!r}, expected it to hold them: pass it where that is made"
        )
    if options.class_weight is not None:
        raise ValueError(
            f"fit: class_weight is given beside {feed!r}, which gives some rows at a time: pass it to the loss, "
            "CrossEntropy(class_weight=[...]), with a number for each class"
        )
    if options.split is not None:
        raise ValueError(f"fit: validation_split is given beside {feed!r}: pass another feed as validation_data")
    if optimizer.takes_fits:
        raise TypeError(
            f"{optimizer!r} takes all rows at once, and {feed!r} gives some at a time: take another optimizer, such as "
            "Adam"
        )


class BlocksFitting(Fitting):
    """What one fit over blocks trains, and on what.

    Parameters
    ----------
    trainer, loss, optimizer, options
        As `Fitting` has them.
    feed : Blocks

    Attributes
    ----------
    stream : Stream
        What the blocks come from.
    """

    stream: Stream

    def __init__(
        self,
        trainer: Trainer,
        feed: Blocks,
        loss: str | Loss | None,
        optimizer: str | Optimizer | None,
        options: FitOptions,
    ) -> None:
        super().__init__(trainer, None, None, loss, optimizer, options)  # type: ignore[arg-type]
        require_plain(feed, self._rule, options)
        self.feed = feed

    def run(self) -> History:
        try:
            return super().run()
        finally:
            if hasattr(self, "stream"):
                self.stream.end()

    def _put_plan_back(self) -> None:
        """The blocks are memory that is given back."""

    @property
    def _fit_class(self) -> type[Fit]:
        return BlocksFit

    # -- the beginning -------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        trainer, loss = self._trainer, self._loss
        first = self._open(loss)
        if trainer.tree.adapting:
            trainer.tree.adapt(first.data[0], first.data[2])
        if self.validates:
            self._read_validation(loss)
        trainer.check_scale(loss, first.data, None)
        x, target, weight, n = first.data
        step = max(1, n // _SOME)
        some = None if weight is None else weight[::step].copy()
        self._data = x[::step].copy(), target[::step].copy(), some, n  # for who wants to look at some rows
        if self._resumed is not None:
            self._resumed.require_same(self._asked(()))
        self.epochs, self.who_asked = self._epochs_for(self.stream.rows)
        self.training = trainer.prepared(
            loss, self._rule, first.target, self._per_row, self._coming(self.stream.rows), True
        )
        self.plan, self.epoch_plan = self._plans(self.epochs, self._resumed is None)

    def _known_of_data(self) -> dict[str, Any]:
        if not hasattr(self, "stream"):
            return {"data": None, "rows": None}
        room = None if self.stream.is_whole else len(self.stream.blocks[0].x)  # all rows in one are as those of arrays
        return {"data": "data in memory" if room is None else f"blocks of {room} rows", "rows": self.stream.rows}

    def _open(self, loss: Loss) -> Block:
        """Make ready to read data as they are for this loss, and return the first of them."""
        trainer, feed = self._trainer, self.feed
        reads = Reads(trainer.tree, loss, trainer.build)
        like = next(filter(None, map(reads, feed.pieces())), None)
        found = reads.survey = survey(feed, reads)
        assert like is not None
        self._per_row, self._of_loss = found.per_row, loss
        self._size = min(self._rows or found.rows, found.rows)
        room = room_for(feed, found.rows, self._size, trainer.tree.dtype)
        if self._rows is None and found.rows * feed.n_columns * trainer.tree.dtype.itemsize > feed.block_bytes:
            raise ValueError(
                f"batch_size is None, and {feed!r} does not fit into a block of {feed.block_bytes:,} bytes: say how "
                "many rows a batch has"
            )
        self.stream = Stream(feed, reads, like, room, self.order)
        return self.stream.first()

    @property
    def n_rows(self) -> int:
        return self.stream.rows

    @property
    def n_batches(self) -> int:
        return -(-self.stream.rows // self._size)

    # -- the recorded step ---------------------------------------------------------------------------------------------

    def _plans(self, epochs: int, anew: bool = True) -> tuple[Plan, EpochPlan]:
        training, block = self.training, self.stream.blocks[0]
        training.update.begin_fit(epochs, self.n_batches, anew)
        self.plan = training.plan(self._size, self._like(block.target, self._per_row), self._per_row, False)
        self._step, self._over = training.stepping(False), dict[int, EpochPlan]()
        return self.plan, self.over(block)

    def over(self, block: Block) -> EpochPlan:
        """Return what goes over the rows of a block."""
        found = self._over.get(id(block))
        if found is None:
            found = EpochPlan(self.plan, block.x, block.target, block.weight, is_own=False, augmenting=self.augmenting)
            self._over[id(block)] = found
        if found.begun != (block.rows, self._size):
            found.begin(self.plan, block.rows, self._size, self._step)
        return found

    # -- between epochs ------------------------------------------------------------------------------------------------

    def renew(self) -> None:
        trainer = self._trainer
        loss, optimizer = trainer.loss, trainer.optimizer
        assert loss is not None
        assert optimizer is not None
        require_plain(self.feed, optimizer, self.options)
        is_other = loss is not self._of_loss
        if is_other:
            self.stream.end()
            self._open(loss)
        if self.validates and (is_other or self.options.calls.may_change_data):
            self._read_validation(loss)
        target = self.stream.blocks[0].target
        now = trainer.prepared(loss, optimizer, target, self._per_row, self.n_batches)
        left = self.epochs - len(self._history)
        if now is not self.training or is_other:
            self.training = now
            self.plan, self.epoch_plan = self._plans(left, optimizer is not self._rule)
        if is_other:
            self.begin_stream()
        if now.schedules is not None and left:
            self._begin_schedules(now.schedules, left)

    def begin_stream(self) -> None:
        """Begin to read the epochs that are left."""
        if not self.stream.is_whole:
            self.stream.begin(len(self._history), self.epochs)

    @property
    def _whole(self) -> Feed:
        return self.feed

    def refresh(self, team: Team) -> None:
        trainer = self._trainer
        if trainer.averages.refreshes:
            reads = Reads(trainer.tree, self._of_loss, trainer.build)
            trainer.averages.refresh(batches_of(map(reads, self.feed.pieces()), self._size), self._size, team)


class BlocksFit(Fit):
    """The epochs of a fit over blocks."""

    fitting: BlocksFitting

    def run(self, team: Team) -> None:
        self.fitting.begin_stream()
        self._gathers: dict[EpochPlan, tuple[tuple[int, int], Gathers]] = {}
        self._told: Batches | None = None
        self._told_of: Batch | None = None
        super().run(team)

    def _epochs(self, n: int, team: Team) -> str | None:
        if self.fitting.stream.is_whole:
            return super()._epochs(n, team)
        for _ in range(n):
            what = self._epoch(team)
            if what is not None or self._stopped:
                return what
        return None

    def _epoch(self, team: Team) -> str | None:
        """Go over all blocks, and say what has become NaN or infinite, if anything has."""
        fitting, history, first = self.fitting, self.history, len(self.history.loss)
        training, stream, schedules = fitting.training, fitting.stream, fitting.training.schedules
        shuffle, seed = self._order
        if schedules is not None:
            schedules.cover(self._asked, 1, fitting.epochs - first, fitting.n_batches)
        if fitting.augmenting is not None:
            fitting.augmenting.begin(first * fitting.n_batches)
        training.begins(fitting.epoch_plan.rows, False)
        total, done, loss, n, batches = 0.0, 0, np.empty(1), 0, 0
        try:
            while (block := stream.next(self.stop)) is not None:
                plan, before = fitting.over(block), done
                plan.cursor[0] = 0
                self.progress.part = lambda: float(before + plan.cursor[0]) / stream.rows  # noqa: B023 - of this block
                found = None
                if self.calls.in_batches:
                    found = self._telling(plan, n == 0)
                own = (seed + n * _BLOCKS_APART) % 2**64
                is_shuffled = shuffle and not fitting.feed.by_row
                diverged = plan.run(is_shuffled, own, first, loss, team, self.stop, found)
                if diverged is not None:
                    what = training.what_diverged(float(plan.batch.value[0]))
                    return f"{what} in epoch {first + 1}, batch {batches + diverged[1] + 1}"
                total, done, n, batches = (
                    total + float(loss[0]) * block.rows,
                    done + block.rows,
                    n + 1,
                    batches + plan.n_batches,
                )
                stream.give_back(block)
            if self._told is not None:
                self._told.end()
            if done != stream.rows:
                raise ValueError(
                    f"{fitting.feed!r} gave {number_of(done, 'row')} in epoch {first + 1}, expected {stream.rows:,} as "
                    "at the beginning: it has been changed meanwhile"
                )
            history.loss.append(total / done)
        except Stopped as stopped:
            self._stopped = str(stopped)
        except FloatingPointError as error:  # of a loss in NumPy
            return str(error)
        finally:
            self.progress.part = None
            history.seconds = time.perf_counter() - self._start
            if schedules is not None:
                schedules.finish(len(history.loss) - first)
        return None

    def _telling(self, plan: EpochPlan, is_first: bool) -> Gathers:
        """Return what callbacks are told of the batches of a block by, the first of an epoch or another one."""
        if self._told is None or self._told_of is not plan.batch:
            self._told, self._told_of = Batches(plan, self.calls, self._model), plan.batch
            self._gathers.clear()
        if is_first:
            self._told.begin()
        kept = self._gathers.get(plan)
        if kept is None or kept[0] != plan.begun:
            kept = plan.begun, gathers(plan, self._told)
            self._gathers[plan] = kept
        return kept[1]
