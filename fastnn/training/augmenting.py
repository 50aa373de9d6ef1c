"""Batches that are changed before each step: what a fit calls between the gather of a batch and its step."""

from __future__ import annotations

import numpy as np

from fastnn._core.tape import Tape
from fastnn.arena import Array
from fastnn.checks import shown
from fastnn.feeds.augmentation import Function, apply
from fastnn.layers.tree import Tree
from fastnn.losses import Loss


class Augmenting:
    """The changes of the batches of one fit.

    Parameters
    ----------
    functions : tuple of callables
    seed : int
        Of the fit.
    tree : Tree
        The layers.
    """

    def __init__(self, functions: tuple[Function, ...], seed: int, tree: Tree) -> None:
        self._functions, self._seed, self._n_out, self._dtype = functions, seed, tree.n_out, tree.dtype
        self._may_miss = tree.kinds is not None
        self._mixing = next((function for function in functions if getattr(function, "mixes_targets", False)), None)
        self._step = 0
        self._loss: Loss | None = None

    def begin(self, step: int) -> None:
        """Let the next batch be that of this step of the fit."""
        self._step = step

    def __call__(self, x: Array, y: Array) -> None:
        """Change the next batch, in its memory."""
        from numpy.random import Generator, Philox

        rng = Generator(Philox(key=[self._seed, self._step]))
        self._step += 1
        apply(self._functions, x, y, rng, self._require, self._may_miss)

    def _require(self, target: Array) -> None:
        assert self._loss is not None
        self._loss.require_changed(target, self._n_out)

    def like(self, target: Array, loss: Loss, per_row: int) -> Array:
        """Return an array like the targets of changed batches, which are those of this loss from now on.

        Raises
        ------
        TypeError
            Where targets are to be mixed that cannot be.
        """
        self._loss = loss
        if self._mixing is None:
            return target
        what = f"augment: {shown(self._mixing)} mixes rows"
        if per_row:
            raise TypeError(
                f"{what}, which have to weigh alike: leave out what gives them weights (sample_weight, class_weight, "
                "missing targets)"
            )
        if target.ndim > 1:
            return target
        rows = np.eye(self._n_out, dtype=self._dtype)
        try:
            return loss.read(rows, None, self._n_out, self._dtype)[0]
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{what} with their targets, and {loss!r} takes labels alone: take CrossEntropy ({error})"
            ) from None

    def record(self, x: Array, labels: Array | None, target: Array, tape: Tape) -> None:
        """Record the changes of a batch; labels become rows in `target` before."""
        if labels is not None:
            tape.call(lambda: _spread(labels, target))
        tape.call(lambda: self(x, target))

    def changed(self, x: Array, target: Array) -> tuple[Array, Array]:
        """Return a batch, changed."""
        x = np.array(x, self._dtype)
        if self._mixing is not None and target.ndim == 1:
            rows = np.empty((len(target), self._n_out), self._dtype)
            _spread(target, rows)
        else:
            rows = target.copy()
        self(x, rows)
        return x, rows


def _spread(labels: Array, rows: Array) -> None:
    """Write the row of 0 and 1 of each label."""
    rows[...] = 0
    rows[np.arange(len(labels)), labels] = 1
