"""One fit of a model: its data, what trains on them, and both anew where callbacks have changed something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastnn import threads
from fastnn._core.team import Team
from fastnn.arena import Array
from fastnn.arrays import as_weights, check_lengths
from fastnn.checks import shown
from fastnn.feeds import Feed
from fastnn.feeds.found import feed_of
from fastnn.losses import Heads, Loss
from fastnn.metrics.contract import Asked
from fastnn.optimizers import Optimizer
from fastnn.schedules.moving import Moving
from fastnn.settings import moving_numbers
from fastnn.signatures import is_ours
from fastnn.splits import Rows, Split, n_rows, rows_of
from fastnn.training import by_scipy
from fastnn.training.augmenting import Augmenting
from fastnn.training.batches import Limited
from fastnn.training.class_weight import class_weights
from fastnn.training.data import Data, known_weights, per_row, read
from fastnn.training.epochs import Fit
from fastnn.training.evaluation import measured, read_validation
from fastnn.training.history import History
from fastnn.training.marks import Mark
from fastnn.training.moving import MOST_ROOM
from fastnn.training.options import FitOptions, default_epochs
from fastnn.training.over_feeds import OverFeed
from fastnn.training.plan import EpochPlan, Plan
from fastnn.training.resuming import Begun, names_of, why_not_more
from fastnn.training.state import Snapshot
from fastnn.training.step import Training

if TYPE_CHECKING:
    from fastnn.training.moving import Schedules
    from fastnn.training.trainer import Trainer


class Fitting:
    """What one fit trains, and on what.

    Parameters
    ----------
    trainer : Trainer
    x, y, loss, optimizer
        As in `Model.fit`.
    options : FitOptions

    Attributes
    ----------
    training : Training
    epoch_plan : EpochPlan
        What goes over the data.
    epochs : int
    who_asked : str
        For so many epochs, in words.
    validates : bool
        Whether there are validation data.
    """

    training: Training
    _data: Data
    plan: Plan
    epoch_plan: EpochPlan
    epochs: int
    who_asked: str

    def __init__(
        self,
        trainer: Trainer,
        x: ArrayLike,
        y: ArrayLike,
        loss: str | Loss | None,
        optimizer: str | Optimizer | None,
        options: FitOptions,
    ) -> None:
        self._mark = Mark(trainer)
        self._trainer, self._x, self._y, self.options = trainer, x, y, options
        self._loss, self._rule = trainer.choose_loss(loss), trainer.choose_optimizer(optimizer)
        options.choose(self._loss)
        self._rows = options.batch_size
        self.validates = options.validates
        self._resumed = trainer.begun if options.resume else None
        if self._resumed is not None:
            self._resume(self._resumed, loss, optimizer)
        self._validation: Data | Feed | None = None
        self._form: tuple[Any, ...] = ()  # of the targets, and of those of the validation
        self._validation_form: tuple[Any, ...] = ()
        self._unweighted: Data | None = None  # without what classes weigh: for metrics
        self._apart: tuple[int, Rows, Rows] | None = None  # of so many rows, those to train and to validate with
        self.order = options.shuffle, trainer.order if self._resumed is None else self._resumed.order
        self.augmenting: Augmenting | None = None
        self._begun = set[Moving]()  # numbers whose schedules this fit has begun
        self.watches_training_loss = bool(options.calls.all) and options.calls.watch_training_loss(self.validates)

    @property
    def n_rows(self) -> int:
        """How many rows an epoch has; 0 where nobody knows."""
        return len(self._data[0])

    # -- the beginning ------------------------------------------------------------------------------------------------

    def run(self) -> History:
        """Train."""
        trainer, options, resumed = self._trainer, self.options, self._resumed
        if resumed is not None and resumed.ended and (options.epochs or 0) <= resumed.epochs:
            return trainer.history
        trainer.as_it_was(self._ready, self._mark)
        calls, state, model = options.calls, trainer.state, trainer.owner()
        options.progress.total = self.epochs
        if options.progress.shown:
            options.progress.rows = self.n_rows
        if calls.all:
            calls.attach(self.epochs, lambda: self._given(False))
        if self.epochs == 0:
            self._put_plan_back()
            trainer.history = History()
            trainer.history.who_asked = self.who_asked
            try:
                calls.begin(model)
            finally:
                calls.end(model)
            return trainer.history
        team = Team(threads.chosen(options.n_threads, self.chunks, self.epochs * self.n_batches))
        self._memory = self.training.memory
        self._before = Snapshot(state, self._memory, None)
        self._before.averaging = self._mark.averaging
        schedules = self.training.schedules
        if resumed is not None:
            begun = resumed
            if schedules is not None:
                schedules.resume(self._begun)
        else:
            if schedules is not None:
                self._begin_schedules(schedules, self.epochs)
            begun = trainer.begun = Begun(self._asked(calls.all), self.epochs, trainer.next_order())
            trainer.history = History()
        trainer.end_batch_by_hand()
        trainer.forget_rows()  # it does not say that it has gone on from where this fit ends
        self._history = trainer.history
        trainer.fitting = self
        fit = self._fit_class(self, trainer.history, self.order, model, self._before, resumed)
        begun.epochs = self.epochs
        begun.calls, self._history.why = calls, ""
        try:
            fit.run(team)
            begun.ended = not (isinstance(fit.stop, Limited) and fit.stop.reached())
        except BaseException as error:
            fit.failed(error)
            raise
        finally:
            begun.leave()
            try:
                if calls.ends:
                    calls.end(model)
            finally:
                trainer.fitting = None
                trainer.history = self._history  # a callback may have fitted, too
        self._put_plan_back()
        return self._history

    def _ready(self) -> None:
        """Begin; where data to validate with end too early, say so before the first epoch."""
        self._begin()
        if self.epochs > 1 and getattr(self._validation, "once", False):
            raise ValueError(
                f"validation_data is {shown(self._validation)}, which can be gone through once, and there are "
                f"{self.epochs} epochs: pass a list of batches, or a function that returns a new generator"
            )

    def _put_plan_back(self) -> None:
        """Keep what is recorded, for the next fit."""
        self.plan.put_back(self.epoch_plan)

    @property
    def _fit_class(self) -> type[Fit]:
        return by_scipy.ScipyFit if self._rule.takes_fits else Fit

    @property
    def n_batches(self) -> int:
        """The number of batches of an epoch."""
        return self.epoch_plan.n_batches

    def _begin_schedules(self, schedules: Schedules, epochs: int) -> None:
        """Begin the schedules that have not begun in this fit, of which so many epochs are to come."""
        schedules.begin(self._before, epochs, self.n_batches, self._begun)

    @property
    def chunks(self) -> int:
        """Into how many chunks, each worth a thread, the calls of a batch can be divided."""
        return self.epoch_plan.chunks

    def _begin(self) -> None:
        """Read the data, and prepare what trains on them: all that may fail before the first step."""
        trainer, rule = self._trainer, self._rule
        if rule.takes_fits:
            by_scipy.require(rule, trainer.tree, trainer.restraints.constraints)
        validate = self._read_validation if self.validates else None
        if self.options.split is not None:
            self._apart = self._set_apart(self.options.split)
        x, y, weight = self._given()
        try:
            self.training, self._data = trainer.ready(x, y, weight, self._loss, rule, True, validate, self._coming)
            self._form = self._loss._form
        except (TypeError, ValueError):
            if self._apart is not None:  # once more, with all rows: so the error calls them by the user's numbers
                read(trainer.tree, self._x, self._y, self.options.sample_weight, self._loss, trainer.build, True)
            raise
        if self.options.class_weight is not None:
            self._read_unweighted(self._loss)
        n = len(self._data[0])
        if self._resumed is not None:
            self._resumed.require_same(self._asked(()))
        if rule.takes_fits:
            by_scipy.require_whole(rule, self.options.batch_size, n)
            self._rows = None
        self.epochs, self.who_asked = self._epochs_for(n)
        self.plan, self.epoch_plan = self._plans(self.epochs, self._resumed is None)

    def _epochs_for(self, n: int) -> tuple[int, str]:
        """Return how many epochs there are for so many rows, and why."""
        asked, rule = self.options.epochs, self._rule
        if self._resumed is not None and asked is None:
            asked = self._resumed.epochs
        if asked is None:
            return by_scipy.default_epochs(rule) if rule.takes_fits else default_epochs(n, self._rows or n)
        return asked, "as asked"

    def _coming(self, n: int) -> int:
        """Return how many steps may come in one call, for so many rows."""
        batches = -(-n // (self._rows or n))
        return max(batches, min(batches * self._epochs_for(n)[0], MOST_ROOM))

    # -- data ---------------------------------------------------------------------------------------------------------

    def _set_apart(self, split: Split) -> tuple[int, Rows, Rows]:
        """Choose the rows that are set aside for validation: the same ones in each fit of the model on these data."""
        options, loss, n = self.options, self._loss, n_rows(self._x)
        pieces = loss.pieces(self._y)[0]
        for piece in pieces:
            check_lengths(n, piece, "y")
        weight = options.sample_weight
        counts = None if weight is None else known_weights(weight, n).any(axis=1)
        return n, *split.rows(n, loss.classes_of(pieces, n), counts, self._trainer.seed)

    def _some(self, rows: Rows) -> tuple[Any, Any, Any]:
        """Return x, y and the weights of some rows."""
        n, weight = n_rows(self._x), self.options.sample_weight
        if self._apart is not None and n != self._apart[0]:
            raise ValueError(f"a callback changed the number of rows from {self._apart[0]} to {n}, expected it to stay")
        pieces, targets = self._loss.pieces(self._y)
        weight = None if weight is None else rows_of(as_weights(weight, n, np.dtype(np.float64)), rows)
        return rows_of(self._x, rows), targets([rows_of(piece, rows) for piece in pieces]), weight

    def _given(self, weighs_classes: bool = True) -> tuple[Any, Any, Any]:
        """Return x, y and the weights of the rows to train with."""
        options = self.options
        given = self._x, self._y, options.sample_weight
        if self._apart is not None:
            given = self._some(self._apart[1])
        if options.class_weight is None or not weighs_classes:
            return given
        x, y, weight = given
        n = n_rows(x)
        known = None if weight is None else known_weights(weight, n)
        return x, y, class_weights(self._loss, y, options.class_weight, known, n)

    def _read_validation(self, loss: Loss) -> None:
        trainer, given = self._trainer, self.options.validation_data
        if self._apart is not None:
            given = self._some(self._apart[2])
        is_tuple = isinstance(given, (tuple, list)) and len(given) in (2, 3)
        self._validation = feed_of(*given) if is_tuple else feed_of(given)
        if self._validation is None:
            self._validation, self._validation_form = read_validation(trainer.tree, given, loss, trainer.build)

    def _read_unweighted(self, loss: Loss) -> None:
        trainer = self._trainer
        if self.options.class_weight is not None and self.options.metrics:
            self._unweighted = read(trainer.tree, *self._given(False), loss, trainer.build, True)

    def _plans(self, epochs: int, anew: bool = True) -> tuple[Plan, EpochPlan]:
        """Return the recorded step for batches of so many rows, or of all, and what goes over these data.

        That will be in so many epochs, `anew` at the beginning of a fit, or where another optimizer takes over.
        """
        training, (matrix, target, weight, _) = self.training, self._data
        size = min(self._rows or len(matrix), len(matrix))
        training.update.begin_fit(epochs, -(-len(matrix) // size), anew)
        plan = training.plan(size, self._like(target, per_row(weight)), per_row(weight), False)
        takes_fits = training.update.optimizer.takes_fits
        step = training.loss_and_grads if takes_fits else training.stepping(False)
        return plan, plan.take_epochs(size, matrix, target, weight, step, self.augmenting)

    def _like(self, target: Array, weights: int) -> Array:
        """Return an array like the targets of batches: where these are changed, they may differ from those given."""
        trainer, options = self._trainer, self.options
        if not options.augment:
            return target
        if self._rule.takes_fits:
            raise TypeError(f"augment changes each batch, while {self._rule!r} needs a loss that stays: leave it out")
        if self.augmenting is None:
            self.augmenting = Augmenting(options.augment, self.order[1], trainer.tree)
        assert trainer.loss is not None
        return self.augmenting.like(target, trainer.loss, weights)

    # -- where it goes on ---------------------------------------------------------------------------------------------

    def _asked(self, watched: object) -> dict[str, Any]:
        """Return what this fit is asked for that must not be another when it goes on.

        A loss and an optimizer that no callback can change meanwhile are looked at when it does.
        """
        options = self.options
        return {
            **self._known_of_data(),
            "batch_size": None if self._rule.takes_fits else int(options.batch_size or 0),
            "shuffle": options.shuffle,
            "loss": repr(self._loss) if watched else None,
            "optimizer": repr(self._rule) if watched else None,
            "validates": self.validates,
            "callbacks": names_of(options.calls.all),
            "augment": names_of(options.augment),
            "class_weight": repr(options.class_weight),
            "split": repr(options.split),
        }

    def _known_of_data(self) -> dict[str, Any]:
        """Return what is known of the data that must not be another when this fit goes on: how they come, and how many.

        Values are None as long as they are not known.
        """
        return {"data": "data in memory", "rows": len(self._data[0]) if hasattr(self, "_data") else None}

    def _resume(self, begun: Begun, loss: str | Loss | None, optimizer: str | Optimizer | None) -> None:
        """Go on with what the model has of that fit, after all that it has in common with this one."""
        trainer, asked = self._trainer, self._asked(True)
        own, rule = trainer.loss, trainer.optimizer
        assert own is not None
        assert rule is not None
        if loss is None or self._loss is own:
            asked["loss"] = None
        if optimizer is None or self._rule is rule:
            asked["optimizer"] = None
        for name, part in (("loss", own), ("optimizer", rule)):
            if begun.asked[name] is None:
                begun.asked = {**begun.asked, name: repr(part)}
        self._loss, self._rule = own, rule
        if begun.ended and (self.options.epochs or 0) <= begun.epochs:
            return
        begun.require_same(asked)
        begun.require_states(self.options.calls)
        spanning = [moving for moving in moving_numbers([own, rule, *trainer.tree.all]) if moving.schedule.spans_fit]
        spans = f"{spanning[0].title}, {spanning[0].schedule!r}," if spanning else ""
        start = getattr(rule.average, "start", 0)
        if start != int(start):
            spans = repr(rule.average)
        epochs = begun.epochs if self.options.epochs is None else self.options.epochs
        why = why_not_more(begun, epochs, spans, trainer.history)
        if rule.takes_fits:
            why = f"{rule!r} trains fits as a whole"
        if why:
            raise ValueError(f"fit: resume=True, but {why}: begin another fit with resume=False")

    # -- between epochs -----------------------------------------------------------------------------------------------

    @property
    def looks(self) -> bool:
        """Whether something has to be looked at between epochs."""
        schedules, options = self.training.schedules, self.options
        watches = schedules is not None and schedules.watch
        return self.validates or options.calls.looks or bool(options.metrics) or watches

    def renew(self) -> None:
        """Prepare anew what callbacks may have changed: numbers, structure, and data, which are then read again."""
        trainer, holds = self._trainer, True
        assert trainer.loss is not None
        assert trainer.optimizer is not None
        if self.options.calls.may_change_data:
            self._data = read(trainer.tree, *self._given(), trainer.loss, trainer.build, True, self._data[3])
            self._form = trainer.loss._form
            self._read_unweighted(trainer.loss)
            if self.validates:
                self._read_validation(trainer.loss)
            holds = not self.epoch_plan.has_moved() and self.epoch_plan.use(*self._data[:3])
        optimizer, data = trainer.optimizer, self._data
        if optimizer.takes_fits != self._rule.takes_fits:
            raise TypeError(f"a callback set the optimizer to {optimizer!r} in a fit by {self._rule!r}: begin another")
        now = trainer.prepared(trainer.loss, optimizer, data[1], per_row(data[2]), self.epoch_plan.n_batches)
        left = self.epochs - len(self._history)
        if now is not self.training or not holds:
            self.training = now
            self.plan, self.epoch_plan = self._plans(left, optimizer is not self._rule)
        if now.schedules is not None and left:
            self._begin_schedules(now.schedules, left)

    def some_rows(self, n: int) -> Data | None:
        """Return so many rows of the data, evenly, which `Model.check` can read; None where it cannot."""
        data, loss = getattr(self, "_data", None), self._trainer.loss
        if data is None or loss is None or isinstance(loss, Heads) or not is_ours(type(loss).targets):
            return None
        matrix, target, weight, rows = data
        step = max(1, -(-len(matrix) // n))
        some = (None if array is None else np.ascontiguousarray(array[::step]) for array in (matrix, target, weight))
        return *some, rows

    def numbers(self, loss: float) -> dict[str, float]:
        """Return what is logged for an epoch whose batches had this mean loss."""
        options = self.options
        given, logs = self._trainer.loss, {"loss": loss}
        assert given is not None
        own = given._of_form(self._form)
        if self.watches_training_loss:
            logs = self._measured(own, self._whole, options.metrics if self._unweighted is None else ())
        if options.metrics and len(logs) == 1:
            logs = {**self._measured(own, self._unweighted or self._whole, options.metrics), **logs}
        if self._validation is not None:
            logs |= self._measured(given._of_form(self._validation_form), self._validation, options.metrics, "val_")
        return logs

    @property
    def _whole(self) -> Data | Feed:
        """All that is trained on."""
        return self._data

    def _measured(self, loss: Loss, data: Data | Feed, metrics: Sequence[Asked], prefix: str = "") -> dict[str, float]:
        """Return the loss over these data, and metrics."""
        trainer, n_threads = self._trainer, self.options.n_threads
        if isinstance(data, Feed):
            return OverFeed(trainer, data, loss, n_threads).numbers(metrics, prefix)
        return measured(trainer, loss, data, metrics, n_threads, prefix)

    # -- where it ends ------------------------------------------------------------------------------------------------

    def refresh(self, team: Team) -> None:
        """Compute statistics of averaged parameters anew, with these threads, where there are any."""
        averages, x = self._trainer.averages, self._data[0]
        if averages.refreshes:
            rows = min(self._rows or len(x), len(x))
            averages.refresh((x[start : start + rows] for start in range(0, len(x), rows)), rows, team)

    def put_back(self) -> None:
        """Give the model the state from before this fit."""
        self._trainer.restore(self._before, self._memory, None)
        if not self.options.calls.hold_best:
            self._mark.forget_memories()
