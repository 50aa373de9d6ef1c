"""What the command line says in one line, and ends with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

DONE, FAILED, MISUSED = 0, 1, 2  # exit codes


class CommandError(Exception):
    """What a user can mend: a file, or a column. It is printed without a traceback."""

    code = FAILED


class OptionError(CommandError):
    """An option that cannot be."""

    code = MISUSED


@contextmanager
def told(where: str = "") -> Iterator[None]:
    """Raise CommandError for what a model says of the data that it is given."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise CommandError(f"{where}{error}") from error
