"""What a trainer was before a call that may be refused, to which it goes back then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.arena import Array

if TYPE_CHECKING:
    from fastnn.training.trainer import Trainer


class Mark:
    """All that a training changes before its first step: a refused call leaves nothing of it behind.

    Lists and dicts of what is remembered, recorded and named are replaced where something is added to them, so that
    they need no copies: a step is short.

    Attributes
    ----------
    averaging : Optimizer or None
        That of `State`.
    overwritten : list of tuple of ndarray
        Arrays of optimizers that have been begun anew, each with a copy of what it was.
    """

    __slots__ = (
        "_begun", "_kept", "_named", "_names", "_of_last", "_trainer", "_training", "_waiting", "_was_built",
        "averaging", "overwritten",
    )  # fmt: skip

    def __init__(self, trainer: Trainer) -> None:
        tree, state, begun = trainer.tree, trainer.state, trainer.begun
        self._trainer = trainer
        self._of_last = trainer.loss, trainer.optimizer, begun  # a copy of __dict__ would make all attributes slower
        self._named = trainer._named, trainer._named_losses
        self._training = trainer._training, trainer._training_of, trainer._updated
        self._begun = None if begun is None else (begun.asked, begun.lost)
        self._names, self._was_built = tree.feature_names, tree.built
        self._waiting = [layer for layer in tree.adapting if layer.waits] if tree.adapting and tree.built else None
        self.averaging = state.averaging
        self._kept = state.memories.kept, state.standings.kept, trainer._trainings.kept, trainer._steps.kept
        self.overwritten: list[tuple[Array, Array]] | None = None

    def put_back(self) -> None:
        """Let the trainer be as it was."""
        trainer, tree = self._trainer, self._trainer.tree
        self.forget_memories()
        trainer.loss, trainer.optimizer, trainer.begun = self._of_last
        trainer._named, trainer._named_losses = self._named
        if trainer.begun is not None and self._begun is not None:
            trainer.begun.asked, trainer.begun.lost = self._begun
        tree.feature_names = self._names
        for layer in self._waiting or ():
            layer.forget()
        if tree.built and not self._was_built:
            trainer.forget_rows()
            trainer.predictors.read(None)
            trainer.predictors.forget()
            tree.unbuild()

    def forget_memories(self) -> None:
        """Let nobody remember anything, or have recorded it, who did not before."""
        trainer, state = self._trainer, self._trainer.state
        for array, before in self.overwritten or ():
            array[...] = before
        state.memories.kept, state.standings.kept, trainer._trainings.kept, trainer._steps.kept = self._kept
        trainer._training, trainer._training_of, trainer._updated = self._training
        if state.averaging is not self.averaging:
            state.averaging = self.averaging
            trainer.predictors.read(trainer.averages.layers)
