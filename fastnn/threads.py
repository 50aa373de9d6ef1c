"""How many threads to use."""

from __future__ import annotations

import os
import sys
from _thread import _local
from collections.abc import Callable
from typing import Any

from fastnn._core import team
from fastnn._core.team import Stop, most_threads, run_threads, start_threads, wait_for
from fastnn.checks import count

WORTH_STARTING = 400  # chunks of about 5 us: with fewer, threads take longer to start than they save
_WORTH_SHARING = 16  # chunks of one step: in shorter ones a thread that is late costs more than others can save
_SYMBOL = "PyInit_team"  # of the compiled core, by which threadpoolctl knows its file
_QUOTA = "/sys/fs/cgroup/cpu.max"  # of the kernel's control groups, version 2: quota and period
_limited = _local()  # to what threadpoolctl has limited this thread, as `most`
_controllers: list[type] = []  # what is registered with threadpoolctl: nothing, or one


def available() -> int:
    """Return how many threads this one may use, itself among them: where nobody asks for a number.

    As many as there are processors for this process, but no more than FASTNN_NUM_THREADS says, or OMP_NUM_THREADS where
    that is not set, nor than threadpoolctl allows.
    """
    register()
    return min(_usable(), getattr(_limited, "most", most_threads))


def _usable() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity else os.cpu_count() or 1
    given = asked()
    if (
        not given
    ):  # a list has a number for each level of OpenMP's nested regions; what is none is the business of others
        given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if given.isdecimal() and int(given) >= 1:
        processors = min(processors, int(given))
    return max(1, min(processors, int(_quota()), most_threads))


def asked() -> str:
    """Return what FASTNN_NUM_THREADS says: a model asks when it is made, so that no first large request fails by it.

    Raises
    ------
    ValueError
        Where that is no number of threads.
    """
    given = os.environ.get("FASTNN_NUM_THREADS", "").strip()
    if given and (not given.isdecimal() or int(given) < 1):
        raise ValueError(f"FASTNN_NUM_THREADS is {given!r}, expected a whole number >= 1")
    return given


def register() -> None:
    """Let threadpoolctl see these threads, and limit them, once the program has imported it.

    It knows libraries by their files, and asks what has been registered for a file how many threads it uses. A limit is
    for the thread that sets it, as threadpoolctl wants it where that is possible.
    """
    module: Any = None if _controllers else sys.modules.get("threadpoolctl")
    if not (hasattr(module, "register") and hasattr(module, "LibController")):  # versions before 3.2 have no such thing
        return
    methods = {
        "get_num_threads": lambda controller: available(),
        "set_num_threads": lambda controller, n: _limit(n),
        "get_version": lambda controller: None,
    }
    file = os.path.basename(team.__file__).lower()
    names = {"user_api": "fastnn", "internal_api": "fastnn", "filename_prefixes": (file,), "check_symbols": (_SYMBOL,)}
    _controllers.append(type("FastnnController", (module.LibController,), methods | names))
    module.register(_controllers[0])


def _limit(n: int) -> None:
    _limited.most = max(1, n) if n < _usable() else most_threads  # to give back what there was is no limit


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
    register()
    if n_threads is not None:
        return n_threads if chunks > 1 else 1
    return worth(chunks * times) if chunks >= _WORTH_SHARING else 1


def worth(chunks: float) -> int:
    """Return how many threads are worth starting for so many chunks of work."""
    return available() if chunks >= WORTH_STARTING else 1


def _quota(file: str | os.PathLike[str] = _QUOTA) -> float:
    """Return how many processors' time a container may use, which a processor count does not say."""
    try:
        with open(file, encoding="ascii") as text:
            quota, period = text.read().split()
    except (OSError, ValueError):
        return float(most_threads)
    return float(most_threads) if quota == "max" else max(1.0, int(quota) / int(period))


def together(n_threads: int, work: Callable[[], None], stop: Stop, helps: bool = True) -> None:
    """Run `work` in so many threads at once, or as many as the system allows, this one among them.

    Where one raises, `stop` is set, which shall let the others end, and the first error is raised here. They need
    no places of their own, as a `Team` does: nobody waits for somebody else before the end.

    Where this thread does not help, it waits, unless no other can be started: what a signal's handler raises is then
    no error of the work. It is raised here, whatever else is.
    """
    errors: list[BaseException] = []
    begun: list[bool] = []

    def guarded() -> None:
        try:
            begun.append(True)
            work()
        except BaseException as error:
            stop.set()
            errors.append(error)

    ends: list[Any] = []
    if not helps:
        run_threads(guarded, n_threads, stop)  # it has waited for them when it raises
    if not begun and not errors:  # nor by others, which the system or their memory may not have let come so far
        try:
            if n_threads > 1:
                ends = start_threads(guarded, [()] * (n_threads - 1))
            guarded()
            wait_for(ends, stop.set)
        except BaseException:  # of a signal's handler, as on Ctrl-C
            stop.set()
            wait_for(ends)
            raise
    if errors:
        raise errors[0]


register()
