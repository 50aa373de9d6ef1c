"""Fits by a routine of SciPy, for optimizers that take all rows at once: an iteration is an epoch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from fastnn._core.tape import Tape
from fastnn._core.team import Team
from fastnn.arena import Array
from fastnn.checks import number_of
from fastnn.constraints import Constraint
from fastnn.layers.contract import Layer
from fastnn.layers.tree import Tree
from fastnn.training.epochs import Fit
from fastnn.training.options import BATCH_SIZE

_MANY = 2**31 - 1  # evaluations of the loss: what counts are iterations


def require(optimizer: Any, tree: Tree, constraints: Sequence[Constraint]) -> None:
    """Raise what keeps a fit from beginning: SciPy is not there, or the loss would change from batch to batch."""
    optimizer.minimizer()
    if constraints:
        raise ValueError(
            f"Model: constraints[0], {constraints[0]!r}, holds behind each step of an optimizer, which {optimizer!r} "
            "does not take: set net.constraints = [], or take another optimizer, such as Adam"
        )
    for layer in tree.all:
        if type(layer)._after_batch is not Layer._after_batch and not layer.running:
            raise TypeError(
                f"{layer.title} computes something else in each batch, while {optimizer!r} needs a loss that depends "
                "on the parameters alone: leave it out, or take another optimizer"
            )


def require_whole(optimizer: Any, batch_size: int | None, n: int) -> None:
    """Refuse batches of fewer than all n rows, where somebody wants them."""
    if batch_size is not None and batch_size is not BATCH_SIZE and batch_size < n:
        raise ValueError(
            f"batch_size is {batch_size}, but {optimizer!r} takes all {n} rows at once, expected None: for batches "
            "take another optimizer, such as Adam"
        )


def default_epochs(optimizer: Any) -> tuple[int, str]:
    """Return how many epochs a fit has for which nobody says that, and why, in words."""
    return optimizer.max_iter, f"max_iter of {optimizer!r}"


class _Diverged(Exception):
    """The loss, or its gradient, is not finite."""


class ScipyFit(Fit):
    """One fit by ``scipy.optimize.minimize``: what it asks of the model is what every fit does."""

    def run(self, team: Team) -> None:
        """Minimize the loss. The history says why this has ended."""
        history, fitting, ended, self._stopped = self.history, self.fitting, "", ""
        self._start = time.perf_counter()
        with self.progress, team:
            if self.calls.begins:
                self.calls.begin(self._model)
                fitting.renew()
            self._begin_epoch()
            while not ended and len(history.loss) < fitting.epochs:
                search = _Search(self, team)
                try:
                    ended = search.run(fitting.epochs - len(history.loss))
                except _Diverged as error:
                    if not self.calls.takes_divergence:
                        raise self._diverged(str(error)) from None
                    self._diverged(str(error))
                    return
                except KeyboardInterrupt:
                    search.put(search.best)
                    if not self._is_over():
                        raise
                    ended = self._stopped
                except BaseException:
                    search.put(search.best)  # not what the line search was trying
                    raise
                search.put(search.best)
                history.seconds = time.perf_counter() - self._start
        history.why, history.who_asked = ended, fitting.who_asked

    def _begin_epoch(self) -> None:
        """Tell of an iteration, which is an epoch of one batch."""
        if self.calls.begins_epochs or self.calls.begins_batches:
            self.calls.begin_epoch(self._model, len(self.history.loss))
            self.calls.begin_batch(self._model, 0)
            self.fitting.renew()

    def accepted(self, search: _Search) -> str | None:
        """Write an iteration down, and tell everybody; return why the search is to end, if it is."""
        history, fitting = self.history, self.fitting
        history.loss.append(search.loss)
        if not fitting.looks:
            self.progress.update(1, {"loss": search.loss})
            return self._stopped if self._is_over() else None
        self._stopped = self.calls.end_batch(self._model, 0, {"loss": search.loss})
        self._look()
        fitting.renew()
        if self._stopped or self._is_over():
            return self._stopped
        if len(history.loss) < fitting.epochs:
            self._begin_epoch()
        return None


class _Search:
    """One call of SciPy's routine, from where the parameters are.

    Attributes
    ----------
    best : ndarray
        The trained parameters behind the last iteration, in double.
    loss : float
        The loss there.
    """

    def __init__(self, fit: ScipyFit, team: Team) -> None:
        self.fit, self._team = fit, team
        self.training, self.plan = training, plan = fit.fitting.training, fit.fitting.epoch_plan
        self._memory, optimizer = training.memory, training.update.optimizer
        self._optimizer: Any = optimizer
        self._places = training.update.places()
        plan.cursor[0] = 0
        plan.gather.replay(stop=fit.stop)
        self._step, self._value, self._begun = plan.step, plan.batch.value, (training, plan)
        self._changes = Tape()
        training.chain.after_batch(plan.batch.work.first(plan.rows), self._changes)
        self._why: str | None = None
        self.best = self._gathered(self._memory.params)
        self.loss = np.nan

    def _gathered(self, flat: Array) -> Array:
        """Return the numbers of what is trained, in double."""
        return np.concatenate([flat[start:stop] for start, stop in self._places] or [flat[:0]]).astype(np.float64)

    def put(self, w: Array) -> None:
        """Write the numbers of what is trained into the parameters."""
        at = 0
        for start, stop in self._places:
            self._memory.params[start:stop] = w[at : at + stop - start]
            at += stop - start

    def _loss_and_gradient(self, w: Array) -> tuple[float, Array]:
        self.put(w)
        self._memory.without_gradients = None
        try:
            self._step.replay(team=self._team, stop=self.fit.stop)
        except FloatingPointError as error:
            is_of_kernels = "the loss is not finite" in str(error)
            what = self.training.what_diverged(float(self._value[0])) if is_of_kernels else str(error)
            raise _Diverged(f"{what} in epoch {len(self.fit.history.loss) + 1}") from None
        self._last = w.copy(), float(self._value[0])
        return self._last[1], self._gathered(self._memory.grads)

    def run(self, iterations: int) -> str:
        """Search for so many iterations at most; return why it has ended, or nothing where it goes on or may not."""
        optimizer, first = self._optimizer, len(self.fit.history.loss)
        if not self.best.size:
            with suppress(StopIteration):
                self._loss_and_gradient(self.best)
                self._accepted(self.best)
            return self._why or "nothing is trained: all parameters are frozen"
        result = optimizer.minimizer()(
            self._loss_and_gradient, self.best, jac=True, method="L-BFGS-B", callback=self._accepted,
            options={
                "maxiter": iterations, "maxfun": _MANY, "maxcor": optimizer.history_size,
                "gtol": optimizer.tolerance_grad, "ftol": optimizer.tolerance_change,
            },
        )  # fmt: skip
        if self._why is not None:
            return self._why
        done = len(self.fit.history.loss)
        if done == 0:  # it begins at a minimum: that is seen once
            with suppress(StopIteration):
                self._accepted(self.best)
        if done - first == iterations:
            return ""
        after = f"after {number_of(len(self.fit.history.loss), 'epoch')}"
        if result.status == 0:
            is_flat = np.abs(result.jac).max() <= optimizer.tolerance_grad
            return f"converged {after}: " + (
                f"no number of the gradient is above tolerance_grad, {optimizer.tolerance_grad:g}"
                if is_flat
                else f"the loss became smaller by less than tolerance_change, {optimizer.tolerance_change:g} of it"
            )
        return f"converged {after}: no smaller loss is found along the last direction, in the digits that there are"

    def _accepted(self, w: Array) -> None:
        """End an iteration: at these parameters, which are written down and looked at."""
        if not np.array_equal(self._last[0], w):
            self._loss_and_gradient(w)
        self.put(w)
        self.best, self.loss = w.copy(), self._last[1]
        self._changes.replay()
        stopped = self.fit.accepted(self)
        if stopped is not None:
            self._why = stopped
        elif self._is_another():
            self._why = ""
        if self._why is not None:
            raise StopIteration

    def _is_another(self) -> bool:
        """Whether callbacks have changed what is minimized, or where: then the search begins anew from there."""
        if (self.fit.fitting.training, self.fit.fitting.epoch_plan) != self._begun:
            return True
        if not self.fit.calls.may_change_data:
            return False
        now = self._gathered(self._memory.params)
        if not np.array_equal(now, self.best.astype(self._memory.params.dtype)):
            self.best = now
            return True
        self.plan.cursor[0] = 0
        self.plan.gather.replay(stop=self.fit.stop)
        return self._loss_and_gradient(self.best)[0] != self.loss
