"""What is wrong with a file."""

from __future__ import annotations


class ModelFormatError(ValueError):
    """A file is no model file, or a damaged one, or of a version or with parts that are not known here.

    Nothing in such a file has been run, and no more memory taken than it is long, and some.

    Examples
    --------
    >>> from pathlib import Path
    >>> import fastnn
    >>> written = Path("notes.txt").write_text("to do")
    >>> try:
    ...     fastnn.load("notes.txt")
    ... except fastnn.ModelFormatError as error:
    ...     print(error)
    notes.txt: no model file: it has 5 bytes, expected 8 and more
    """
