"""Model files that are written while a model is trained."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from string import Formatter
from typing import TYPE_CHECKING, Any

from fastnn.callbacks.files import as_path, require_folder
from fastnn.callbacks.monitoring import Monitoring
from fastnn.checks import count, flag

if TYPE_CHECKING:
    from fastnn.model import Model


class ModelCheckpoint(Monitoring):
    """Save the model after each epoch, or where a number has become better; keep all files, or the last k (Keras's).

    A file is whole at any moment: a process that is killed leaves the old one or the new one (`Model.save`). It comes
    behind all other callbacks, so that a fit that is resumed from it has what they have remembered.

    Parameters
    ----------
    path : str or Path
        In a folder that exists. What stands in braces is filled in: ``"net-{epoch:03d}-{val_loss:.3f}.fastnn"``, the
        number of the epoch, from 1, and any number that is logged. Without the epoch, the same file is written anew.
    save_best_only : bool
        Whether it is saved only where the number has become better.
    last : int or None
        How many of the files of this fit are kept; older ones are deleted. None keeps all.
    every : int
        After how many epochs a file is written. The number is looked at then.
    monitor, mode, min_delta
        The number, whether smaller or larger is better, and by how much: as of `EarlyStopping`.

    Examples
    --------
    >>> from fastnn.callbacks import ModelCheckpoint
    >>> saving = ModelCheckpoint("net-{epoch:03d}.fastnn", last=3)
    >>> best = ModelCheckpoint("best.fastnn", save_best_only=True)
    """

    rank = 2
    writes_files = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        save_best_only: bool = False,
        last: int | None = None,
        every: int = 1,
        monitor: str | None = None,
        mode: str | None = None,
        min_delta: float = 0.0,
    ) -> None:
        self.path = as_path("ModelCheckpoint: path", path)
        self.save_best_only = flag("ModelCheckpoint: save_best_only", save_best_only)
        self.last = None if last is None else count("ModelCheckpoint: last", last)
        self.every = count("ModelCheckpoint: every", every)
        self._fields = _fields(self.path)
        if self.last is not None and self.last > 1 and not self._fields:
            raise ValueError(
                f"ModelCheckpoint: last is {self.last}, but path is {self.path!r}, the same file for all epochs: "
                "expected one with the epoch, such as 'net-{epoch:03d}.fastnn'"
            )
        self._written: list[str] = []
        super().__init__(monitor, mode, min_delta)

    def begin(self, model: Model) -> None:
        """Forget the fit before; its files stay."""
        self._forget()
        self._written = []

    def watches_training_loss(self, validates: bool) -> bool:
        return self.save_best_only and super().watches_training_loss(validates)

    def require(self, modes: Mapping[str, str], is_open: bool) -> None:
        require_folder("ModelCheckpoint: path", self.path)
        if self.save_best_only:
            super().require(modes, is_open)
        if not is_open:
            self._require_logged({"epoch", *modes})

    def __call__(self, model: Model, epoch: int, logs: Mapping[str, Any]) -> None:
        """Save the model, where it is time."""
        if (epoch + 1) % self.every:
            return
        if self.save_best_only:
            value = self._number(logs)
            if not self._is_better(value, self.best, self.min_delta):
                return
            self.best, self.best_epoch = value, epoch
        path = self._path_of(epoch, logs)
        self._written = [*(other for other in self._written if other != path), path]
        model.save(path)
        while self.last is not None and len(self._written) > self.last:
            with suppress(FileNotFoundError):  # somebody else has deleted it
                os.remove(self._written[0])
            del self._written[0]

    def _path_of(self, epoch: int, logs: Mapping[str, Any]) -> str:
        known = {"epoch": epoch + 1, **logs}
        self._require_logged(known)
        try:
            return self.path.format(**known)
        except (TypeError, ValueError) as error:
            raise ValueError(f"ModelCheckpoint: path {self.path!r} cannot be filled in: {error}") from None

    def _require_logged(self, known: Collection[str]) -> None:
        unknown = [name for name in self._fields if name not in known]
        if unknown:
            raise ValueError(
                f"ModelCheckpoint: path {self.path!r} names {', '.join(unknown)}, expected epoch, or a number that is "
                f"logged: {', '.join(sorted({*known} - {'epoch'}))}"
            )

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "written": self._written}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on with the best number, and the files that are counted."""
        self.best, self.best_epoch = float(state["best"]), int(state["best_epoch"])
        self._written = [*state["written"]]


def _fields(path: str) -> list[str]:
    """Return what stands in braces in a path."""
    try:
        names = [name for _, name, _, _ in Formatter().parse(path) if name is not None]
    except ValueError as error:
        raise ValueError(f"ModelCheckpoint: path is {path!r}, expected braces around names alone: {error}") from None
    wrong = [name for name in names if not name.isidentifier()]
    if wrong:
        raise ValueError(
            f"ModelCheckpoint: path is {path!r}, expected names in braces, such as {{epoch:03d}}, got {{{wrong[0]}}}"
        )
    return names
