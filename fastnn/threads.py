"""How many threads to use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from fastnn._core.team import most_threads
from fastnn.names import count

_WORTH_STARTING = 400  # chunks of about 5 us: with fewer, threads take longer to start than they save
_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of the kernel's control groups, version 2: quota and period


def available() -> int:
    """Return how many threads this process may use: never more than what FASTNN_NUM_THREADS says, where it is set."""
    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity else os.cpu_count() or 1
    given = os.environ.get("FASTNN_NUM_THREADS")
    if given:
        processors = min(processors, count("FASTNN_NUM_THREADS", int(given) if given.isdecimal() else given))
    return max(1, min(processors, int(_quota()), most_threads))


def check(n_threads: int | None) -> None:
    """Raise TypeError or ValueError unless it is None or a possible number of threads."""
    if n_threads is not None and count("n_threads", n_threads) > most_threads:
        raise ValueError(f"n_threads is {n_threads}, expected 1 to {most_threads} here")


def chosen(n_threads: int | None, chunks: int, times: int) -> int:
    """Return how many threads shall work on a tape with so many chunks that is replayed so many times."""
    if n_threads is not None:
        return n_threads if chunks > 1 else 1
    return worth(chunks * times) if chunks >= 8 else 1


def worth(chunks: float) -> int:
    """Return how many threads are worth starting for so many chunks of work."""
    return available() if chunks >= _WORTH_STARTING else 1


def _quota(file: Path = _QUOTA) -> float:
    """Return how many processors' time a container may use, which a processor count does not say."""
    try:
        quota, period = file.read_text().split()
    except (OSError, ValueError):
        return float(most_threads)
    return float(most_threads) if quota == "max" else max(1.0, int(quota) / int(period))


def together(n_threads: int, work: Callable[[], None], stop: Callable[[], object]) -> None:
    """Run `work` in so many threads at once, this one among them, and wait for all.

    Where one raises, `stop` is called, which shall let the others end, and the first error is raised here. They need
    no places of their own, as a `Team` does: nobody waits for somebody else before the end.
    """
    from threading import Thread  # only here: most programs never need it, and it would lengthen every import

    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
            stop()

    threads = [Thread(target=guarded, daemon=True) for _ in range(n_threads - 1)]
    for thread in threads:
        thread.start()
    guarded()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt as error:
        errors.append(error)
        stop()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
