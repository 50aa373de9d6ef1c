"""Tables in text, in HTML and as data frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Greys that can be read on white and on black, where a notebook says nothing else
_STYLE = "border-collapse:collapse;font-size:0.9em"
_CELL = "padding:0.15em 0.8em 0.15em 0;border:0"


def text_table(head: Sequence[str], rows: Iterable[Sequence[str]], right: int) -> list[str]:
    """Return the lines of a table whose last so many columns stand to the right."""
    cells = [list(head), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    left = len(head) - right
    lines = [
        "  ".join(f"{cell:<{width}}" if i < left else f"{cell:>{width}}" for i, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in cells)
    ]
    rule = "-" * max(map(len, lines))
    return [lines[0].rstrip(), rule, *[line.rstrip() for line in lines[1:]], rule]


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]], right: int) -> str:
    """Return a table of texts, which are escaped, in the colours of the page around it."""
    left = len(head) - right

    def row(cells: Sequence[str], tag: str) -> str:
        aligned = [(cell, "left" if i < left else "right") for i, cell in enumerate(cells)]
        return "".join(
            f'<{tag} style="text-align:{side};white-space:pre;{_CELL}">{escape(cell)}</{tag}>' for cell, side in aligned
        )

    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    return f'<table style="{_STYLE}"><thead><tr>{row(head, "th")}</tr></thead><tbody>{body}</tbody></table>'


def escape(text: str) -> str:
    """Return text as HTML shows it."""
    for letter, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot"), ("'", "#x27")):
        text = text.replace(letter, f"&{name};")
    return text


def size(nbytes: float) -> str:
    """Return a number of bytes in words."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if nbytes < 1000 or unit == "GB":
            return f"{nbytes:.0f} {unit}" if unit == "bytes" or nbytes >= 99.5 else f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    raise AssertionError


def brief(number: float) -> str:
    """Return a number in few letters."""
    if number != number:
        return "NaN"
    return "0" if number == 0 else f"{number:.2g}"


def data_frame(numbers: Mapping[str, Any], index: str, what: str) -> Any:
    """Return numbers as a data frame of pandas: a column for each name, and rows that are counted under `index`.

    Raises
    ------
    ImportError
        Without pandas: that `what` needs it, and what installs it.
    """
    try:
        from pandas import DataFrame, RangeIndex
    except ImportError:
        raise ImportError(f"{what} needs pandas: pip install pandas") from None
    rows = max(map(len, numbers.values()), default=0)
    return DataFrame(dict(numbers), index=RangeIndex(rows, name=index))
