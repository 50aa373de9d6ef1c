"""Progress on a terminal: a bar by tqdm where it is installed, else a line that is written over."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

_SECONDS_BETWEEN_LINES = 0.1


class Progress:
    """A context that shows how far a fit has come.

    Parameters
    ----------
    total : int
    verbose : bool or "auto"
        "auto" shows it where standard error is a terminal.
    unit : str
        What is counted.
    """

    def __init__(self, total: int, verbose: bool | int | str, unit: str = "epoch") -> None:
        if isinstance(verbose, str) and verbose != "auto":
            raise ValueError(f'verbose is {verbose!r}, expected True, False or "auto"')
        self.total, self.unit, self.done = total, unit, 0
        self.shown = _is_terminal() if verbose == "auto" else bool(verbose) and sys.stderr is not None
        self._bar: Any = None
        self._written = -1.0

    def __enter__(self) -> Progress:
        if self.shown:
            try:
                from tqdm import tqdm
            except ImportError:
                pass
            else:
                self._bar = tqdm(total=self.total, unit=self.unit)
        return self

    def update(self, count: int, logs: Mapping[str, float]) -> None:
        """Count on, and show the last losses."""
        self.done += count
        if not self.shown:
            return
        text = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(count)
            return
        now = time.perf_counter()
        if now - self._written >= _SECONDS_BETWEEN_LINES or self.done == self.total:
            self._written = now
            sys.stderr.write(f"\r{self.unit} {self.done}/{self.total}: {text}\x1b[K")
            sys.stderr.flush()

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self.shown:
            sys.stderr.write("\n")


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed: no reason for a training to fail
        return False
