"""What callbacks that write files have in common: paths that people give."""

from __future__ import annotations

import os
from typing import Any

from fastnn.checks import shown


def as_path(where: str, path: Any) -> str:
    """Return a path as text.

    Raises
    ------
    TypeError, ValueError
        For what is none, with what was given.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{where} is {shown(path)}, expected a path: a str, or a pathlib.Path")
    found = os.fspath(path)
    if not isinstance(found, str) or not found or "\0" in found:
        raise ValueError(f"{where} is {shown(path)}, expected a path that is not empty")
    return found


def require_folder(where: str, path: str) -> None:
    """Raise FileNotFoundError where the folder of a path does not exist."""
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        raise FileNotFoundError(f"{where} is {path!r}, expected one in a folder that exists: os.makedirs({folder!r})")
