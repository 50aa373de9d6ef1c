"""Progress on a terminal or in a notebook: a bar by tqdm where it is installed, else a line that is written over."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threading import Thread

_SECONDS_BETWEEN_LINES = 0.1
_SECONDS_BETWEEN_MOVES = 0.25  # within what is counted


class Progress:
    """A context that shows how far a fit has come.

    Parameters
    ----------
    total : int
    verbose : bool or "auto"
        "auto" shows it where standard error is a terminal, or a notebook runs.
    unit : str
        What is counted.

    Attributes
    ----------
    part : callable or None
        Returns how much of the present unit is done, from 0 to 1: a thread asks now and then, where it is shown.
    """

    def __init__(self, total: int, verbose: bool | int | str, unit: str = "epoch") -> None:
        if isinstance(verbose, str) and verbose != "auto":
            raise ValueError(f'verbose is {verbose!r}, expected True, False or "auto"')
        self.total, self.unit, self.done = total, unit, 0
        is_seen = _is_terminal() or _in_notebook() if verbose == "auto" else bool(verbose)
        self.shown = is_seen and sys.stderr is not None
        self.part: Callable[[], float] | None = None
        self._bar: Any = None
        self._text, self._width = "", 0
        self._written, self._at = -1.0, -1.0
        self._thread: Thread | None = None

    def __enter__(self) -> Progress:
        if self.shown:
            from threading import Lock, Thread  # not needed to import this package

            self._bar = _bar(self.total, self.unit)
            self._lock, self._ended = Lock(), Lock()
            self._ended.acquire()  # until the end
            thread = Thread(target=self._watch, daemon=True)
            with suppress(RuntimeError):  # the system has no more threads: then it moves behind units alone
                thread.start()
                self._thread = thread
        return self

    def update(self, count: int, logs: Mapping[str, float]) -> None:
        """Count on, and show the last losses."""
        if not self.shown:
            self.done += count
            return
        with self._lock:
            self.part = None
            self.done += count
            self._text = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
            now = time.perf_counter()
            if now - self._written >= _SECONDS_BETWEEN_LINES or self.done == self.total:
                self._written = now
                self._show(self.done)

    def _watch(self) -> None:
        """Move within a unit that takes long, until the end."""
        while not self._ended.acquire(timeout=_SECONDS_BETWEEN_MOVES):
            with self._lock:
                part = self.part  # it is there as long as what it counts on `done` is
                if part is not None and time.perf_counter() - self._written >= _SECONDS_BETWEEN_MOVES:
                    try:
                        self._show(round(self.done + min(part(), 0.99), 2))
                    except (OSError, ValueError):  # nobody sees it any more: no reason for a training to fail
                        return

    def _show(self, n: float) -> None:
        self._at = n
        if self._bar is not None:
            self._bar.n = n
            self._bar.set_postfix_str(self._text)
            return
        line = f"{self.unit} {n}/{self.total}{self._text and ': ' + self._text}"
        sys.stderr.write(f"\r{line:<{self._width}}")
        sys.stderr.flush()
        self._width = len(line)

    def __exit__(self, *exception: object) -> None:
        if not self.shown:
            return
        self._ended.release()
        if self._thread is not None:
            self._thread.join()
        if self._at != self.done:
            self._show(self.done)
        if self._bar is not None:
            self._bar.close()
        else:
            sys.stderr.write("\n")


def _bar(total: int, unit: str) -> Any:
    """Return a bar by tqdm, in a notebook one of its widgets where these are installed; None without tqdm."""
    import warnings  # NumPy has loaded it

    try:
        if not _in_notebook():
            from tqdm import tqdm
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that there are no widgets: then it is a bar of text
                from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(total=total, unit=unit)


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed: no reason for a training to fail
        return False


def _in_notebook() -> bool:
    """Whether this is the kernel of a notebook: IPython is loaded then, and its shell has a kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None
