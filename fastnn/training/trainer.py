"""What a model trains with: its loss and optimizer, what is recorded for them, and the state that they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from fastnn import losses, optimizers
from fastnn._core.tape import Claim, RowsSteps, Tape
from fastnn.arena import Array, Memory
from fastnn.feeds import Batches, Blocks
from fastnn.feeds.found import feed_of
from fastnn.inference import Predictors
from fastnn.layers.chain import Chain
from fastnn.layers.contract import no_derivative
from fastnn.layers.sizes import Sizes
from fastnn.layers.tree import Tree
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer
from fastnn.optimizers.update import Update, frozen_gradients
from fastnn.training.averages import Averages
from fastnn.training.by_batches import BatchesFitting
from fastnn.training.by_blocks import BlocksFitting
from fastnn.training.by_hand import STEPS_KEPT, ByHand, Recorded, Step
from fastnn.training.data import Data, per_row, read, require_targets
from fastnn.training.evaluation import ending
from fastnn.training.fitting import Fitting
from fastnn.training.history import History
from fastnn.training.marks import Mark
from fastnn.training.moving import schedules_of
from fastnn.training.options import FitOptions
from fastnn.training.plan import Batch, Constants, Plan
from fastnn.training.restraints import Restrained, Restraints
from fastnn.training.resuming import Begun
from fastnn.training.rows import keep_for_rows
from fastnn.training.scale import check_scale
from fastnn.training.selfcheck import check_recordable
from fastnn.training.state import Recordings, Snapshot, State
from fastnn.training.step import Training

Result = TypeVar("Result")

_TRAININGS_KEPT = 8  # pairs of a loss and an optimizer, in turn
_SEEDS_APART = 1_000_003  # fits of one model shuffle by neighbouring seeds, and models by distant ones
_BY_ANOTHER = (
    "the model is being trained by another thread: wait for that, or give each thread a copy of its own beforehand "
    "(copy.deepcopy)"
)
_BY_LAST = {"softmax": "cross_entropy", "log_softmax": "cross_entropy", "sigmoid": "binary_cross_entropy"}


class Trainer:
    """The training of the layers of one model.

    Attributes
    ----------
    tree : Tree
    predictors : Predictors
        What computes outputs for losses over validation data.
    seed : int
    restraints : Restraints
    loss, optimizer : object or None
        Of the last training.
    history : History
        Of the last fit.
    begun : Begun or None
        That fit, which may be resumed.
    fitting : Fitting or None
        The fit that is under way, for callbacks that look at its data.
    """

    fitting: Any = None
    _own_loss: tuple[Loss, ...] = ()  # the last one that knows what it has read, as given and as this model has it

    def __init__(
        self, tree: Tree, predictors: Predictors, seed: int, owner: Callable[[], Any], restraints: Restraints
    ) -> None:
        self.tree, self.predictors, self.seed, self.owner = tree, predictors, seed, owner
        self.restraints = restraints
        self.loss: Loss | None = None
        self.optimizer: Optimizer | None = None
        self.history = History()
        self.begun: Begun | None = None
        self.state = State()
        self._named: dict[str, Optimizer] = {}
        self._named_losses: dict[str, tuple[Loss, object]] = {}
        self.forget()

    def forget(self) -> None:
        """Drop what was made for the present memory."""
        self.claim = Claim(_BY_ANOTHER)
        self.forget_rows()
        self._training: Training | None = None
        self._training_of: tuple[Any, ...] = ()  # the loss, the optimizer, and how many weights a row has
        self._trainings: Recordings[Training] = Recordings(_TRAININGS_KEPT)
        self._by_hand: ByHand | None = None
        self._steps: Recordings[Step] = Recordings(STEPS_KEPT)
        self._updated: Update | None = None  # by what the last step was taken
        self._mark: Mark | None = None  # of a call that may be refused
        self.averages = Averages(self.tree, self.state)

    def forget_rows(self) -> None:
        """Let Python take the next steps on few rows."""
        self.of_rows = RowsSteps()

    def __getstate__(self) -> dict[str, Any]:
        memories = [(part, dict(arrays)) for part, arrays in self.state.memories.items()]
        kept = {
            name: getattr(self, name)
            for name in ("seed", "loss", "optimizer", "history", "begun", "_named", "_named_losses")
        }
        standings = [(number, dict(arrays)) for number, arrays in self.state.standings.items()]
        return {
            **kept,
            "memories": memories,
            "standings": standings,
            "fits": self.state.fits,
            "averaging": self.state.averaging,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = State()
        self.state.fits = np.array(state.pop("fits"))
        for optimizer, arrays in state.pop("memories"):
            self.state.memories.set(optimizer, arrays)
        for number, arrays in state.pop("standings"):
            self.state.standings.set(number, arrays)
        self.state.averaging = state.pop("averaging")
        self.__dict__.update(state)
        self.forget()

    def own(self, predictors: Predictors) -> None:
        """Take arrays over that cannot be written to, and predict with these from now on."""
        self.state.own()
        self.averages.forget()
        self.predictors = predictors
        predictors.read(self.averages.layers)

    def restore(self, snapshot: Snapshot, memory: Memory, sizes: Sizes | None) -> None:
        """Put a snapshot back, and predict with what predictions were of."""
        snapshot.require(sizes)
        self.lose("another state has been put back, by restore or by a callback that keeps the best one")
        self._updated = None
        snapshot.restore(self.state, memory)
        self.predictors.read(self.averages.layers)

    def use_averages(self) -> None:
        """Write averages into the parameters."""
        self.averages.require()
        self.lose("averages have been written into the parameters")
        self.averages.use()
        self.predictors.read(None)
        self._updated = None

    def lose(self, why: str) -> None:
        """Write down that the last fit cannot go on."""
        if self.begun is not None and not self.begun.lost:
            self.begun.lost = why

    # -- what to train with -------------------------------------------------------------------------------------------

    def choose_loss(self, loss: str | Loss | None) -> Loss:
        """Return the loss that is asked for: by default that of the last training, or what fits the last activation.

        A name means the one that the model has, for which a step may be recorded already, as long as it is unchanged.
        """
        if loss is None:
            if self.loss is not None:
                return self._own(self.loss)
            return losses.get(_BY_LAST.get(self.tree.last.kernel, "mse"))
        if not isinstance(loss, str):
            return self._own(loss) if isinstance(loss, Loss) else losses.get(loss)
        own, settings = self._named_losses.get(loss, (None, None))
        if own is None or settings != own.settings():  # it has been changed since
            own = losses.get(loss)
            self._named_losses = {**self._named_losses, loss: (own, own.settings())}
        return own

    def _own(self, loss: Loss) -> Loss:
        """Return a loss as this model has it: what it knows of the targets it has read is of no other model's."""
        if not loss._has_form:
            return loss
        if not any(loss is known for known in self._own_loss):
            self._own_loss = loss, loss._of_form()
        return self._own_loss[1]

    def choose_optimizer(self, optimizer: str | Optimizer | None) -> Optimizer:
        """Return the optimizer that is asked for: a name means the model's own optimizer of that name."""
        if optimizer is None:
            return self.optimizer or self.choose_optimizer("adam")
        if not isinstance(optimizer, str):
            return optimizer if isinstance(optimizer, Optimizer) else optimizers.get(optimizer)
        own = self._named.get(optimizer)
        if own is None:
            made = optimizers.get(optimizer)  # names differ in case, and there are synonyms
            same = [other for other in self._named.values() if type(other) is type(made)]
            own = same[0] if same else made
            self._named = {**self._named, optimizer: own}
        return own

    def require_derivatives(self) -> None:
        """Raise TypeError unless every layer has a backward."""
        for layer in self.tree.without_derivative:
            raise no_derivative(layer)

    def prepared(
        self, loss: Loss, optimizer: Optimizer, target: Array, weights: int, steps: int = 0, in_fit: bool = True
    ) -> Training:
        """Make ready to train with this loss and optimizer: the last thing that may fail before the first step.

        Numbers that follow schedules have tables for so many steps.
        """
        training, wanted = self._training, (loss, optimizer, weights)
        if optimizer.takes_fits and not in_fit:  # also where a fit has recorded these passes
            optimizer._step(self.tree.memory.params, self.tree.memory.grads, {}, None)  # says what to do
        if training is None or wanted != self._training_of or not training.holds(steps):
            training = self._trainings.find(optimizer, lambda found: found.fits(loss, weights))
            if training is None or not training.holds(steps):
                made = self._made(loss, optimizer, target, weights, steps)
                self._trainings.add(optimizer, made, training)
                training = made
        self.turn_to(training, loss, optimizer)
        return training

    def turn_to(self, training: Training, loss: Loss, optimizer: Optimizer) -> None:
        """Make ready for a step that has been recorded before others have trained with something else."""
        before, self._training = self._training, training
        self._training_of = training.given, optimizer, training.weights
        if before is not None and before is not training:
            before.put_aside()
        if training.update is not self._updated:
            self._begins(training.update, optimizer)
        self.loss, self.optimizer = loss, optimizer

    def _begins(self, update: Update, optimizer: Optimizer) -> None:
        """Make ready for steps of an update: another one took the last step.

        What belongs to frozen parameters is cleared, which that may have trained, and predictions are of what this one
        averages, if it does.
        """
        averaging = optimizer if optimizer.averages else None
        if self._mark is not None:
            begins = averaging is not None and averaging is not self.state.averaging
            arrays = [*update.unused, *(update.state.values() if begins else ())]
            self._mark.overwritten = [(array, array.copy()) for array in arrays]
        update.clear_unused()
        if averaging is not None or self.state.averaging is not None:
            self.averages.follow(averaging)
            self.predictors.read(self.averages.layers)
        self._updated = update

    def _made(self, loss: Loss, optimizer: Optimizer, target: Array, weights: int, steps: int) -> Training:
        self.require_derivatives()
        tree = self.tree
        tree.require_same()
        row, memory = tree.elements, tree.memory
        trained, without_last = ending(tree, loss)
        chain = Chain(row[:-1] if without_last else row, tree.n_in, tree.dtype)
        update, restrained = self._update(optimizer)
        check_recordable(chain, trained, optimizer, target, weights, memory)
        constants = Constants((loss, *self.restraints.recorded(), *tree.all), optimizer)
        schedules = schedules_of(constants.moving, self.state, update, steps)
        return Training(chain, trained, update, memory, constants, loss, weights, schedules, restrained)

    def _update(self, optimizer: Optimizer) -> tuple[Update, Restrained | None]:
        """Return the optimizer at work on the parameters, and their penalties and constraints."""
        memory, entries = self.tree.memory, self.tree.entries()
        restrained = self.restraints.on(memory, entries)
        project = None if restrained is None else restrained.project
        return Update(optimizer, memory, entries, self.state.of(optimizer, memory), project), restrained

    # -- training -----------------------------------------------------------------------------------------------------

    def as_it_was(self, begin: Callable[[], Result], mark: Mark | None = None) -> Result:
        """Call what makes ready for a step; where it fails, all is as it was, or as it was where there is a mark."""
        self._mark = mark = mark or Mark(self)
        try:
            return begin()
        except BaseException:
            mark.put_back()
            raise
        finally:
            self._mark = None

    def build(self, n_in: int) -> None:
        self.tree.build(n_in, self.seed, self.owner())

    def ready(
        self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        loss: str | Loss | None,
        optimizer: str | Optimizer | None,
        known: bool = False,
        more: Callable[[Loss], None] | None = None,
        steps: Callable[[int], int] | None = None,
    ) -> tuple[Training, Data]:
        """Build and prepare the model for these data, and return them checked, with what trains on them.

        `more` reads what else may fail, before anything is prepared; `steps` says how many steps may come in one call,
        for so many rows.
        """
        chosen, rule = self.choose_loss(loss), self.choose_optimizer(optimizer)
        data = read(self.tree, x, y, sample_weight, chosen, self.build, known)
        if self.tree.adapting:  # weights of a single step may be advantages, which say nothing of the rows
            self.tree.adapt(data[0], data[2] if known else None)
        if more is not None:
            more(chosen)
        if known:
            self.check_scale(chosen, data, y)
        coming = 0 if steps is None else steps(len(data[0]))
        weights = 0 if data[2] is None else per_row(data[2])
        return self.prepared(chosen, rule, data[1], weights, coming, known), data

    def check_scale(self, loss: Loss, data: Data, y: Any) -> None:
        """Warn before the first fit about targets that are far from unit scale: these, which were made of y."""
        if loss.of_numbers and not self.state.fits[0] and self.tree.digits.told != "y":
            bounded = self.tree.last.kernel not in ("", "identity")
            check_scale(data[1], data[2], y, bounded, lambda n: self.predictors.current().some(data[0][:n], None))

    def train_batch(
        self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        loss: str | Loss | None,
        optimizer: str | Optimizer | None,
    ) -> float:
        """Take one step, and return the loss before it."""
        value, training, plan, recorded = self.take_batch(x, y, sample_weight, loss, optimizer)
        keep_for_rows(self, training, plan, recorded, loss, optimizer)
        return value

    def take_batch(
        self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        loss: str | Loss | None,
        optimizer: str | Optimizer | None,
        mark: Mark | None = None,
    ) -> tuple[float, Training, Plan, tuple[Batch, Tape]]:
        """Take one step, and return the loss before it, with what it was taken by.

        Where it is refused, all is as it was at the mark, which is by default here.
        """

        def begin() -> tuple[Training, Data, Plan, tuple[Batch, Tape]]:
            training, data = self.ready(x, y, sample_weight, loss, optimizer)
            if training.schedules is not None:
                training.schedules.ready()
            matrix, target, *_ = data
            plan = training.plan(len(matrix), target, training.weights, again=True)
            return training, data, plan, plan.recorded(len(matrix), training.step)

        mark = mark or Mark(self)
        training, (matrix, target, weight, _), plan, recorded = self.as_it_was(begin, mark)
        if self.begun is not None:
            self.lose("train_batch has taken steps since then")
        self.end_batch_by_hand()
        without, training.memory.without_gradients = training.memory.without_gradients, None
        try:
            return float(plan.run(recorded, matrix, target, weight)), training, plan, recorded
        except Exception as error:
            found = training.failure(plan.batch.value, error) if isinstance(error, FloatingPointError) else None
            training.memory.without_gradients = without
            mark.put_back()
            if found is None:  # of parts that are no code of this package
                raise
            raise found from None

    @property
    def has_trained(self) -> bool:
        """Whether it keeps what it has made ready for steps."""
        return self._training is not None

    @property
    def order(self) -> int:
        """The seed of the order of rows in the next fit."""
        return (self.seed * _SEEDS_APART + int(self.state.fits[0])) % 2**64

    def next_order(self) -> int:
        """Return the seed of the order of rows in the fit that begins."""
        order = self.order
        self.state.fits[0] += 1
        return order

    def fit(
        self,
        x: Any,
        y: ArrayLike | None,
        loss: str | Loss | None,
        optimizer: str | Optimizer | None,
        options: FitOptions,
    ) -> History:
        """Train."""
        feed = feed_of(x, y, options.sample_weight)
        if feed is None:
            require_targets("fit", x, y)
            assert y is not None
            return self.as_it_was(lambda: Fitting(self, x, y, loss, optimizer, options)).run()
        if feed is not x and isinstance(feed, Blocks):
            options.sample_weight = None  # the feed has them
        if isinstance(feed, Blocks):
            return self.as_it_was(lambda: BlocksFitting(self, feed, loss, optimizer, options)).run()
        assert isinstance(feed, Batches)
        return self.as_it_was(lambda: BatchesFitting(self, feed, loss, optimizer, options)).run()

    # -- by hand ------------------------------------------------------------------------------------------------------

    def end_batch_by_hand(self) -> None:
        """End the batch of passes one by one: others take steps."""
        if self._by_hand is not None:
            self._by_hand.end_batch()

    def passes(self) -> ByHand:
        """Return what takes passes one by one."""
        passes = self._by_hand
        if passes is None or not passes.is_current():
            tree = self.tree
            memory, entries = tree.memory, tree.entries()
            chain, restrained = Chain(tree.elements, tree.n_in, tree.dtype), self.restraints.on(memory, entries)
            constants = Constants((*self.restraints.recorded(), *tree.all))
            passes = ByHand(chain, memory, constants, restrained, frozen_gradients(memory, entries))
            self._by_hand = passes
        return passes

    def step(self, asked: str | Optimizer | None) -> None:
        """Take a step of this optimizer on the gradients as they are."""
        mark = Mark(self) if isinstance(asked, str) else None
        optimizer = self.choose_optimizer(asked)
        if self.tree.memory.without_gradients is not None:
            raise RuntimeError(f"step: no gradients: {self.tree.memory.without_gradients}")
        passes = self._by_hand
        pending = None if passes is None else passes.recorded_pending()
        kept = self._steps if pending is None else pending.steps
        found = kept.last(optimizer) or kept.find(optimizer)
        if found is not None and found.update is self._updated and found.constants.hold():
            found.take()  # where it is refused, there is nothing to put back
        else:
            self._begin_step(optimizer, passes, pending, kept, found, mark or Mark(self))
        self.lose("step has taken steps since then")
        if passes is not None:
            passes.end_batch()

    def _begin_step(
        self,
        optimizer: Optimizer,
        passes: ByHand | None,
        pending: Recorded | None,
        kept: Recordings[Step],
        found: Step | None,
        mark: Mark,
    ) -> None:
        """Take a step by hand behind those of others, with what has been recorded for it, where that holds."""
        before = kept.kept

        def begin() -> Step:
            step = found
            if step is None or not step.constants.hold():
                update, _ = self._update(optimizer)
                constants = Constants((*self.restraints.recorded(), *self.tree.all), optimizer)
                step = Step(update, constants, schedules_of(constants.moving, self.state, update))
                step.record(self.tree.memory.grads, passes, pending)
                kept.add(optimizer, step, found)
            if step.update is not self._updated:
                self._begins(step.update, optimizer)
            return step

        try:
            self.as_it_was(begin, mark).take()
        except Exception:
            mark.put_back()
            kept.kept = before
            raise
