"""Ctrl-C in the second that the imports of the command line take: one line in place of a traceback through them.

Nothing has been read or written by then, so the process can end at once. Programs that import the package keep what
they do on Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from itertools import pairwise

INTERRUPTED, SAID = 130, "interrupted"  # exit code as shells have it for the signal

_SCRIPTS = ("fastnn", "fastnn.exe", "fastnn-script.py")  # what installers call the command


def _end(number: int, frame: object) -> None:
    """End the process: an exception would be lost where it is raised in a callback of an import."""
    os.write(2, f"{SAID}\n".encode())
    os._exit(INTERRUPTED)


def _is_command() -> bool:
    """Whether this process is the command `fastnn`, or `python -m fastnn`, which has imported nothing yet."""
    started = (getattr(sys, "argv", None) or [""])[0]
    if started == "-m":  # so it is until Python has found the module, and with it imported this package
        given = sys.orig_argv
        return "-mfastnn" in given or ("-m", "fastnn") in pairwise(given)
    return os.path.basename(started) in _SCRIPTS


def raise_again() -> None:
    """Let Ctrl-C raise KeyboardInterrupt, as it does in other programs."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# A shell lets processes in the background ignore the signal, and so they go on
if _is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    with suppress(ValueError):  # only the main thread may say so
        signal.signal(signal.SIGINT, _end)
