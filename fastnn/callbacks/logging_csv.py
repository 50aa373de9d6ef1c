"""The numbers of a fit in a file of text."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.callbacks.contract import Callback
from fastnn.callbacks.files import as_path, require_folder
from fastnn.checks import flag, logged, shown

if TYPE_CHECKING:
    from fastnn.model import Model


class CSVLogger(Callback):
    """Write what is logged into a file of comma-separated values: a line for each epoch, as it ends (Keras's).

    The first column is "epoch", counted from 0; the others are the names of the numbers. What is logged late, from the
    second epoch on, gets a column of its own, which is empty before. Callbacks that log numbers may stand behind this
    one: it comes after them all the same.

    Parameters
    ----------
    path : str or Path
        In a folder that exists.
    separator : str
        One character between the columns.
    append : bool
        Whether lines come behind those of a file that exists, in place of a new file for each fit. A fit that is
        resumed does so by itself, and takes lines back that were written for epochs after it had been saved.

    Examples
    --------
    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> from fastnn import Dense, Model
    >>> from fastnn.callbacks import CSVLogger
    >>> x = np.linspace(-1, 1, 40)[:, None]
    >>> with TemporaryDirectory() as folder:
    ...     path = f"{folder}/log.csv"
    ...     history = Model([Dense(1)], seed=0).fit(x, 2 * x, epochs=2, callbacks=[CSVLogger(path)])
    ...     with open(path) as file:
    ...         print(*(line.partition(",")[0] for line in file))
    epoch 0 1
    """

    rank = 1
    sees_all = True
    writes_files = True

    def __init__(self, path: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.path, self.append = as_path("CSVLogger: path", path), flag("CSVLogger: append", append)
        if not isinstance(separator, str) or len(separator) != 1 or separator in '\r\n"':
            raise ValueError(f"CSVLogger: separator is {shown(separator)}, expected one character, such as ',' or ';'")
        self.separator = separator
        self._names: list[str] | None = None
        self._n_lines = 0  # of the file, with that of the names
        self._resumed = False

    def require(self, modes: Mapping[str, str], is_open: bool) -> None:
        require_folder("CSVLogger: path", self.path)

    def begin(self, model: Model) -> None:
        """Begin a file, or find the end of one."""
        lines = self._lines() if self.append else []
        self._names, self._n_lines, self._resumed = lines[0] if lines else None, len(lines), False

    def state(self) -> dict[str, Any]:
        return {"lines": self._n_lines}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on with the file of the fit that is resumed, as long as it was then."""
        self._n_lines, self._resumed = int(state["lines"]), True

    def __call__(self, model: Model, epoch: int, logs: Mapping[str, Any]) -> None:
        """Write a line."""
        if self._resumed:
            self._resumed = False
            kept = self._lines()[: self._n_lines]
            self._names, self._n_lines = kept[0] if kept else None, len(kept)
            if kept:
                self._write(kept, "w")
        names = ["epoch", *logs]
        if self._names is None:
            self._write([names], "w")
            self._names, self._n_lines = names, 1
        elif not {*names} <= {*self._names}:  # what is logged late
            old, own = self._lines(), [name for name in names if name not in self._names]
            self._names = [*self._names, *own]
            self._write([self._names, *(line + [""] * len(own) for line in old[1:])], "w")
        values: dict[str, Any] = {"epoch": epoch, **logs}
        self._write([[_text(values.get(name, "")) for name in self._names]], "a")
        self._n_lines += 1

    def _lines(self) -> list[list[str]]:
        if not os.path.exists(self.path):
            return []
        with open(self.path, encoding="utf-8", newline="") as file:
            return [*csv.reader(file, delimiter=self.separator)]

    def _write(self, lines: Iterable[list[str]], mode: str) -> None:
        with open(self.path, mode, encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=self.separator, lineterminator="\n").writerows(lines)


def _text(value: Any) -> str:
    """Return a value as text: of numbers all digits."""
    number = None if isinstance(value, (int, np.integer, np.bool_)) else logged(value)
    return str(value) if number is None else repr(number)
