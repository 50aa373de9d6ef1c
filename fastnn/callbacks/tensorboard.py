"""The numbers of a fit for TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastnn.callbacks.contract import Callback
from fastnn.callbacks.files import as_path
from fastnn.checks import count, logged, shown

if TYPE_CHECKING:
    from fastnn.model import Model


class TensorBoard(Callback):
    """Write what is logged into event files, which TensorBoard shows: ``tensorboard --logdir logs``.

    They are written by tensorboard's own writer (``pip install tensorboard``), with the names that Keras gives: the
    runs "train" and "validation", so that both curves are in one picture, and "epoch_loss", "epoch_accuracy" and so on
    at the number of the epoch, from 0; "batch_loss" at the number of the step.

    Parameters
    ----------
    log_dir : str or Path
        A folder, which is made where it does not exist. A second fit into it shows as part of the same runs.
    update_freq : "epoch", "batch" or int
        How often the loss of a batch is written, too: never, for each one, or for one of so many. Then batches come
        back to Python.

    Examples
    --------
    >>> from fastnn.callbacks import TensorBoard
    >>> TensorBoard("logs/first", update_freq=100)
    TensorBoard('logs/first', update_freq=100)
    """

    rank = 1
    sees_all = True
    writes_files = True

    def __init__(self, log_dir: str | os.PathLike[str] = "logs", update_freq: str | int = "epoch") -> None:
        self.log_dir = as_path("TensorBoard: log_dir", log_dir)
        if isinstance(update_freq, str) and update_freq not in ("epoch", "batch"):
            raise ValueError(f"TensorBoard: update_freq is {shown(update_freq)}, expected 'epoch', 'batch' or a number")
        self.update_freq = (
            update_freq if isinstance(update_freq, str) else count("TensorBoard: update_freq", update_freq)
        )
        self._writers: dict[str, Any] = {}
        self._step = 0
        self._every = 1 if update_freq == "batch" else self.update_freq

    def require(self, modes: Mapping[str, str], is_open: bool) -> None:
        _writer_class()

    def begin(self, model: Model) -> None:
        """Begin anew; files are begun with the first number."""
        self._writers, self._step = {}, 0

    def _hook(self, name: str) -> Callable[..., Any] | None:
        return None if name == "end_batch" and self.update_freq == "epoch" else super()._hook(name)

    def end_batch(self, model: Model, batch: int, logs: Mapping[str, float]) -> None:
        """Write the loss of a batch."""
        if self._step % self._every == 0:  # type: ignore[operator]
            self._writer("train").add_scalar("batch_loss", logs["loss"], self._step)
        self._step += 1

    def __call__(self, model: Model, epoch: int, logs: Mapping[str, Any]) -> None:
        """Write what is logged."""
        for name, value in logs.items():
            number = logged(value)
            if number is not None:
                run = "validation" if name.startswith("val_") else "train"
                self._writer(run).add_scalar(f"epoch_{name.removeprefix('val_')}", number, epoch)
        for writer in self._writers.values():
            writer.flush()

    def end(self, model: Model) -> None:
        """Close the files."""
        writers, self._writers = self._writers, {}
        for writer in writers.values():
            writer.close()

    def state(self) -> dict[str, Any]:
        return {"step": self._step}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Count steps on."""
        self._step = int(state["step"])

    def _writer(self, run: str) -> Any:
        if run not in self._writers:
            self._writers[run] = _writer_class()(os.path.join(self.log_dir, run))
        return self._writers[run]


def _writer_class() -> Any:
    try:
        from tensorboard.summary import Writer
    except ImportError:
        raise ImportError("TensorBoard needs tensorboard: pip install 'fastnn-numpy[tensorboard]'") from None
    return Writer
