"""Files that are replaced as a whole: whoever reads, or is killed, finds the old one or the new one."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from typing import IO, Any

if sys.platform != "win32":
    import fcntl

FULL = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))  # what writing alone can meet
_written = count()
_writing: set[str] = set()  # files of this process


def replace(path: str | os.PathLike[str], parts: Iterable[Any]) -> None:
    """Write bytes to a file beside it, make sure that they are on the disk, and put that in its place.

    A pipe that has a name, and a device such as ``/dev/null``, is written to, and stays.

    Raises
    ------
    OSError
        Where it cannot be written, with its name: what was there before is as it was.
    """
    if not os.fspath(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    target = os.path.realpath(path)  # a link stays one
    if os.path.isdir(target) or not os.path.basename(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    try:
        mode = os.stat(target).st_mode
    except OSError:
        mode = None
    if mode is not None and not stat.S_ISREG(mode):
        _write_into(target, mode, parts)
        return
    folder, name = os.path.split(target)
    start = f".{name[:200]}."
    _clear(folder, start)
    beside = _beside(folder, start)
    while os.path.lexists(beside):  # of a process of another machine or container
        beside = _beside(folder, start)
    _writing.add(beside)
    made = False
    try:
        with open(beside, "xb") as file:
            made = True
            _lock(file)
            for part in parts:
                file.write(part)
            file.flush()
            if mode is not None:
                os.chmod(beside, mode & 0o777)
            os.fsync(file.fileno())
        os.replace(beside, target)
        made = False
    except OSError as error:
        if error.filename == beside or (error.filename is None and error.errno in FULL):
            error.filename = target
        raise
    finally:
        if made:
            with suppress(OSError):
                os.unlink(beside)
        _writing.discard(beside)
    _sync_folder(folder)


def _write_into(target: str, mode: int, parts: Iterable[Any]) -> None:
    """Write to what is no file: a disk, or a socket, is none that anybody means."""
    if not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
        raise OSError(errno.EINVAL, "expected the name of a file, of a pipe or of a device such as /dev/null", target)
    try:
        with open(target, "wb") as file:
            for part in parts:
                file.write(part)
    except OSError as error:
        if error.filename is None and error.errno in (*FULL, errno.EPIPE):
            error.filename = target
        raise


def _beside(folder: str, start: str) -> str:
    return os.path.join(folder, f"{start}{os.getpid()}.{next(_written)}.tmp")


def _clear(folder: str, start: str) -> None:
    """Remove what processes have left of the same file that were killed while they wrote it."""
    if sys.platform == "win32":  # where to ask for a process would be to end it
        return
    with suppress(OSError):
        for name in os.listdir(folder or "."):
            found = re.fullmatch(rf"{re.escape(start)}(\d+)\.\d+\.tmp", name, re.ASCII)
            path = os.path.join(folder, name)
            if found and path not in _writing and not _lives(int(found[1])):
                with suppress(OSError), open(path, "r+b") as file:
                    _lock(file, strictly=True)
                    os.unlink(path)


def _lives(process: int) -> bool:
    """Whether there is another process of that number."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _lock(file: IO[bytes], strictly: bool = False) -> None:
    """Lock a file as long as it is open: processes of other containers, too, have numbers like those here.

    Raises
    ------
    OSError
        Where another has done so; where it cannot be known, if `strictly`.
    """
    if sys.platform != "win32":
        with suppress(*(() if strictly else (OSError,))):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sync_folder(folder: str) -> None:
    """Make sure that a new name is on the disk: Windows, where folders cannot be opened, does so by itself."""
    if os.name == "nt":
        return
    folder_file = os.open(folder or ".", os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot
            os.fsync(folder_file)
    finally:
        os.close(folder_file)
