"""Progress: a bar on a terminal or in a notebook, by tqdm where it is installed, and lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threading import Thread

_SECONDS_BETWEEN_SHOWS = 0.1
_SECONDS_BETWEEN_MOVES = 0.25  # within what is counted
_FIRST_LINE, _LONGEST, _SHARE = 1.0, 60.0, 0.2  # of a log: after a second, then later and later, each minute at least


class Progress:
    """A context that shows how far a fit has come: its numbers, its rate and the time that is left.

    On a terminal it is a line that is written over, or a bar by tqdm; in a notebook a bar, too. Where there is neither,
    in a log, lines come after 1 second, 2, 3, 4 and so on, later and later, at least one a minute, and one at the end.

    Parameters
    ----------
    total : int
    verbose : bool or "auto"
        "auto" shows it where standard error is a terminal, or a notebook runs.
    unit : str
        What is counted.

    Attributes
    ----------
    done : int or float
        How much is there: what was there at the beginning says nothing of the rate.
    rows : int
        How many rows a unit has, for the rate; 0 where there are none.
    part : callable or None
        Returns how much of the present unit is done, from 0 to 1: a thread asks now and then, where it is shown.
    """

    def __init__(self, total: int, verbose: bool | int | str, unit: str = "epoch") -> None:
        if isinstance(verbose, str) and verbose != "auto":
            raise ValueError(f'verbose is {verbose!r}, expected True, False or "auto"')
        self.total, self.unit, self.done, self.rows = total, unit, 0, 0
        self.shown = False
        if verbose:
            self._by_lines = not (_is_terminal() or _in_notebook())
            self.shown = (verbose != "auto" or not self._by_lines) and sys.stderr is not None
        self.part: Callable[[], float] | None = None
        self._bar: Any = None
        self._logs: Mapping[str, float] = {}
        self._width = 0
        self._at, self._before = -1.0, 0.0
        self._thread: Thread | None = None

    def __enter__(self) -> Progress:
        if self.shown:
            from threading import Lock, Thread  # not needed to import this package

            self._start, self._before = time.perf_counter(), self.done
            self._due = self._start + _FIRST_LINE if self._by_lines else 0.0
            self._bar = None if self._by_lines else _bar(self.total, self.unit, self.done)
            self._lock, self._ended = Lock(), Lock()
            self._ended.acquire()  # until the end
            thread = Thread(target=self._watch, daemon=True)
            with suppress(RuntimeError):  # the system has no more threads: then it moves behind units alone
                thread.start()
                self._thread = thread
        return self

    def update(self, count: int, logs: Mapping[str, float]) -> None:
        """Count on, and show the last numbers."""
        if not self.shown:
            self.done += count
            return
        with self._lock:
            self.part = None
            self.done += count
            self._logs = dict(logs)
            now = time.perf_counter()
            if now >= self._due or (self.done == self.total and not self._by_lines):
                self._show(self.done, now)
                self._wait(now)

    def _wait(self, now: float) -> None:
        """Say when something is shown again."""
        wait = _SECONDS_BETWEEN_SHOWS
        if self._by_lines:
            wait = min(_LONGEST, max(_FIRST_LINE, _SHARE * (now - self._start)))
        self._due = now + wait

    def _watch(self) -> None:
        """Move within a unit that takes long, until the end."""
        while not self._ended.acquire(timeout=_SECONDS_BETWEEN_MOVES):
            with self._lock:
                part, now = self.part, time.perf_counter()  # it is there as long as what it counts on `done` is
                wait = 0.0 if self._by_lines else _SECONDS_BETWEEN_MOVES - _SECONDS_BETWEEN_SHOWS
                if part is not None and now >= self._due + wait:
                    try:
                        self._show(round(self.done + min(part(), 0.99), 2), now)
                    except (OSError, ValueError):  # nobody sees it any more: no reason for a training to fail
                        return
                    if self._by_lines:  # a bar also moves at the end of what is counted
                        self._wait(now)

    def _show(self, n: float, now: float) -> None:
        self._at, passed = n, now - self._start
        facts = [f"{name} {value:.4g}" for name, value in self._logs.items()]
        since = n - self._before
        if since > 0 and passed > 0 and self.rows:
            facts.append(f"{_short(since * self.rows / passed)} rows/s")
        if self._bar is not None:  # it has the time by itself
            self._bar.n = n
            self._bar.set_postfix_str(", ".join(facts))
            return
        if n >= self.total:
            facts.append(f"in {_clock(passed)}")
        elif since > 0:
            facts.append(f"{_clock((self.total - n) * passed / since)} left")
        line = f"{self.unit} {n}/{self.total}{': ' if facts else ''}{', '.join(facts)}"
        sys.stderr.write(f"{line}\n" if self._by_lines else f"\r{line:<{self._width}}")
        sys.stderr.flush()
        self._width = len(line)

    def __exit__(self, *exception: object) -> None:
        if not self.shown:
            return
        self._ended.release()
        if self._thread is not None:
            self._thread.join()
        if self._at != self.done or (self._by_lines and self.done != self.total):  # that of the last unit says all
            self._show(self.done, time.perf_counter())
        if self._bar is not None:
            self._bar.close()
        elif not self._by_lines:
            sys.stderr.write("\n")


def _short(value: float) -> str:
    """Return a rate with three digits: 1.23M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _clock(seconds: float) -> str:
    """Return a time as 0:05, or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _bar(total: int, unit: str, done: int = 0) -> Any:
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
    return tqdm(total=total, unit=unit, **({"initial": done} if done else {}))


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed: no reason for a training to fail
        return False


def _in_notebook() -> bool:
    """Whether this is the kernel of a notebook: IPython is loaded then, and its shell has a kernel."""
    get = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get is not None and getattr(get(), "kernel", None) is not None
