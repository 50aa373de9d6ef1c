"""How many threads to use."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastnn._core.team import most_threads, run_threads, start_threads, wait_for
from fastnn.checks import count

_WORTH_STARTING = 400  # chunks of about 5 us: with fewer, threads take longer to start than they save
_QUOTA = "/sys/fs/cgroup/cpu.max"  # of the kernel's control groups, version 2: quota and period


def available() -> int:
    """Return how many threads this process may use: never more than what FASTNN_NUM_THREADS says, where it is set."""
    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity else os.cpu_count() or 1
    given = os.environ.get("FASTNN_NUM_THREADS", "").strip()
    if given:
        if not given.isdecimal() or int(given) < 1:
            raise ValueError(f"FASTNN_NUM_THREADS is {given!r}, expected a whole number >= 1")
        processors = min(processors, int(given))
    return max(1, min(processors, int(_quota()), most_threads))


def check(n_threads: int | None) -> int | None:
    """Return a possible number of threads, or None.

    Raises
    ------
    TypeError, ValueError
        Where it is neither.
    """
    return None if n_threads is None else count("n_threads", n_threads, most=most_threads)


def chosen(n_threads: int | None, chunks: int, times: int) -> int:
    """Return how many threads shall work on a tape with so many chunks that is replayed so many times."""
    if n_threads is not None:
        return n_threads if chunks > 1 else 1
    return worth(chunks * times) if chunks >= 8 else 1


def worth(chunks: float) -> int:
    """Return how many threads are worth starting for so many chunks of work."""
    return available() if chunks >= _WORTH_STARTING else 1


def _quota(file: str | os.PathLike[str] = _QUOTA) -> float:
    """Return how many processors' time a container may use, which a processor count does not say."""
    try:
        with open(file, encoding="ascii") as text:
            quota, period = text.read().split()
    except (OSError, ValueError):
        return float(most_threads)
    return float(most_threads) if quota == "max" else max(1.0, int(quota) / int(period))


def together(n_threads: int, work: Callable[[], None], stop: Callable[[], object], helps: bool = True) -> None:
    """Run `work` in so many threads at once, or as many as the system allows, this one among them.

    Where one raises, `stop` is called, which shall let the others end, and the first error is raised here. They need
    no places of their own, as a `Team` does: nobody waits for somebody else before the end.

    Where this thread does not help, it waits, unless no other can be started: what a signal's handler raises is then
    no error of the work. It is raised here, whatever else is.
    """
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
            stop()

    ends: list[Any] = []
    try:
        if helps or run_threads(guarded, [()] * n_threads, stop) == 0:
            if n_threads > 1:
                ends = start_threads(guarded, [()] * (n_threads - 1))
            guarded()
            wait_for(ends, stop)
    except BaseException:  # of a signal's handler, as on Ctrl-C
        stop()
        wait_for(ends)
        raise
    if errors:
        raise errors[0]
