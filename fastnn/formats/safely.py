"""Files that are replaced as a whole: whoever reads, or is killed, finds the old one or the new one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from typing import Any

_written = count()


def replace(path: str | os.PathLike[str], parts: Iterable[Any]) -> None:
    """Write bytes to a file beside it, make sure that they are on the disk, and put that in its place.

    Raises
    ------
    OSError
        Where it cannot be written: what was there before is as it was.
    """
    target = os.path.realpath(path)  # a link stays one
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".{name[:200]}.{os.getpid()}.{next(_written)}.tmp")
    try:
        mode = os.stat(target).st_mode & 0o777
    except OSError:
        mode = None
    made = False
    try:
        with open(beside, "xb") as file:
            made = True
            for part in parts:
                file.write(part)
            file.flush()
            if mode is not None:
                os.chmod(beside, mode)
            os.fsync(file.fileno())
        os.replace(beside, target)
        made = False
    except OSError as error:
        if error.filename == beside:
            error.filename = target
        raise
    finally:
        if made:
            with suppress(OSError):
                os.unlink(beside)
    _sync_folder(folder)


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
