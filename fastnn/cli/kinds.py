"""What the texts of a column are: numbers, dates, or values of a category."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fastnn.checks import shown
from fastnn.cli.errors import CommandError
from fastnn.cli.files import Block, Source
from fastnn.sklearn.frames import DATES, Column, Columns, of_array, values_in

# What stands for nothing: the words that pandas takes so
MISSING = frozenset(
    (
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
        "NULL", "NaN", "None", "n/a", "nan", "null",
    )
)  # fmt: skip
_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:inf(inity)?))", re.ASCII)
_CODE = re.compile(r"[+-]?0\d", re.ASCII)  # as in 00123, which is a name and no number
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
_OTHER_DATE = re.compile(r"(\d{1,2}([./-])\d{1,2}\2(\d{4}|\d\d)|\d{4}([./-])\d{1,2}\4\d{1,2})([T ].*)?", re.ASCII)
_TRUTHS = {"true": True, "false": False}
_AS_LEARNT = "as in the rows that the model learnt from"
# Texts among numbers are odd ones where numbers are more than this share of the values, and three at least, or of the
# rows, and two at least: 0 and 1 with a stray "?", but not grades 1, 2, a, b
_SHARE_OF_VALUES, _SHARE_OF_ROWS = 0.5, 0.9


def is_number(text: str) -> bool:
    """Whether a text is a number and no code with zeros in front."""
    return _NUMBER.fullmatch(text) is not None and _CODE.match(text) is None


def number_in(text: str) -> float:
    """Return a number; NaN for what stands for nothing.

    Raises
    ------
    ValueError
        For other texts.
    """
    if text in MISSING:
        return float("nan")
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(text)
    return float(text)


def date_in(text: str) -> np.datetime64:
    """Return a date of ISO 8601 as a clock there shows it; NaT for what stands for nothing.

    Raises
    ------
    ValueError
        For other texts.
    """
    if text in MISSING:
        return np.datetime64("NaT", "us")
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return np.datetime64(f"{found[1]}T{found[2]}" if found[2] else found[1], "us")


class Found:
    """What the texts of one column are.

    Attributes
    ----------
    column : Column
    hint : str
        What a user might want to know of it.
    """

    def __init__(self, texts: Sequence[str], place: Any) -> None:
        self.hint = ""
        stripped = [text.strip() for text in texts]
        values = [text for text in dict.fromkeys(stripped) if text not in MISSING]
        if values and all(map(is_number, values)):
            self.column = Column("number", np.array([number_in(text) for text in stripped]))
            return
        if values and all(map(_DATE.fullmatch, values)):
            dates: list[np.datetime64] = []
            try:
                dates.extend(map(date_in, stripped))
            except ValueError:  # the 31st of February
                odd = stripped[len(dates)]
                self.hint = f"a category of text, because {shown(odd)} in {place(len(dates))} is no date"
            else:
                self.column = Column("date", np.array(dates, DATES))
                return
        elif values and all(map(_OTHER_DATE.fullmatch, values)):
            at = next(i for i, text in enumerate(stripped) if text not in MISSING)
            self.hint = (
                f"a category of text, because {shown(stripped[at])} in {place(at)} is no date as dates are read: "
                "2026-01-31 or 2026-01-31T10:00"
            )
        numbers = {*filter(is_number, values)}
        known = [text in numbers for text in stripped if text not in MISSING]
        of_values = len(numbers) > 2 and len(numbers) > _SHARE_OF_VALUES * len(values)
        if of_values or (len(numbers) > 1 and sum(known) > _SHARE_OF_ROWS * len(known)):
            at, odd = next((i, text) for i, text in enumerate(stripped) if text not in MISSING and text not in numbers)
            self.hint = f"a category of text, because of {shown(odd)} in {place(at)}"
        self.column = values_in([None if text in MISSING else text for text in stripped], "")


class Whole:
    """All of a table, in memory.

    Attributes
    ----------
    columns : dict of str to Column
    hints : dict of str to str
    rows : int
    """

    def __init__(self, source: Source, without: Iterable[str] = ()) -> None:
        self.path, left_out = source.path, set(without)
        blocks = list(source.blocks())
        self.rows = sum(len(block.columns[0]) for block in blocks)
        self.columns: dict[str, Column] = {}
        self.hints: dict[str, str] = {}
        if not blocks:
            raise CommandError(f"{source.path} has no rows")
        for i, name in enumerate(source.names):
            if name in left_out:
                continue
            parts = [block.columns[i] for block in blocks]
            if blocks[0].text:
                found = Found([text for part in parts for text in part], lambda at: _place(blocks, at))
                self.columns[name] = found.column
                if found.hint:
                    self.hints[name] = found.hint
            else:
                self.columns[name] = with_dates(typed(parts, f"{source.path}: column {name!r}"))


def _place(blocks: Sequence[Block], at: int) -> str:
    for block in blocks:
        if at < len(block.columns[0]):
            return block.place(at)
        at -= len(block.columns[0])
    raise AssertionError("a row of these")


def typed(parts: Sequence[Any], where: str) -> Column:
    """Return a column of arrays, or of lists of Python's objects."""
    try:
        if all(isinstance(part, np.ndarray) for part in parts):
            return of_array(np.concatenate(parts), where)
        return values_in([value for part in parts for value in part], where)
    except (TypeError, ValueError) as error:
        raise CommandError(str(error)) from None


def with_dates(column: Column) -> Column:
    """Return a column of text in a typed file as dates where all of it is: JSON has no others."""
    if column.codes is None or not column.values or not all(isinstance(value, str) for value in column.values):
        return column
    try:
        dates = np.array([*map(date_in, column.values), np.datetime64("NaT")], DATES)
    except ValueError:
        return column
    return Column("date", dates[column.codes])


def of_plans(source: Source, block: Block, plans: Sequence[Any]) -> Columns:
    """Return the columns that a model was trained with, as what they were then.

    Raises
    ------
    CommandError
        Where a text is no number, or no date: with its place.
    """
    where = {name: i for i, name in enumerate(source.names)}
    columns = []
    for plan in plans:
        values, title = block.columns[where[plan.name]], f"{source.path}: column {plan.name!r}"
        if plan.said.startswith("dropped"):
            columns.append(Column("empty", np.full(len(values), np.nan)))
        elif block.text:
            columns.append(_as_kind(values, plan, block, title))
        else:
            column = typed([values], title)
            column = with_dates(column) if plan.kind == "date" else _as_texts(column, plan)
            if plan.kind != "category":
                require_no_text(column, plan.kind, values, block, title)
            columns.append(column)
    return Columns([plan.name for plan in plans], columns)


def require_no_text(column: Column, kind: str, values: Sequence[Any], block: Block, where: str) -> None:
    """Raise CommandError with the place of the first text among typed values, or of one that is no date."""
    if column.kind == "category":
        texts = [value if isinstance(value, str) else "" for value in values]
        read_all(date_in if kind == "date" else _nothing_in, texts, block, where, f"a {kind}, {_AS_LEARNT}")


def _nothing_in(text: str) -> None:
    if text:
        raise ValueError(text)


def truths_in(texts: Iterable[Any]) -> dict[bool, str]:
    """Return which text stands for which truth value, where texts of CSV are these alone; else nothing."""
    every = list(texts)
    found = {_TRUTHS[text.lower()]: text for text in every if isinstance(text, str) and text.lower() in _TRUTHS}
    return found if len(found) == len(every) else {}


def _as_texts(column: Column, plan: Any) -> Column:
    """Return truth values as texts, where a category was learnt from texts of these."""
    if plan.kind != "category" or column.codes is None or {*map(type, column.values)} != {bool}:
        return column
    texts = truths_in(plan.values)
    if not texts:
        return column
    return Column("category", None, column.codes, [texts.get(value, str(value)) for value in column.values])


def values_of_plan(source: Source, block: Block, place: int, plan: Any) -> Any:
    """Return a column of categories as objects, None where nothing is known.

    Raises
    ------
    CommandError
        Where a text is none of what the model learnt from: with its place.
    """
    values, title = block.columns[place], f"{source.path}: column {source.names[place]!r}"
    column = _as_kind(values, plan, block, title) if block.text else _as_texts(typed([values], title), plan)
    if column.codes is None:
        return np.array([None if value != value else value for value in column.numbers.tolist()], object)
    return np.array([*column.values, None], object)[column.codes]


def _as_kind(texts: Sequence[str], plan: Any, block: Block, where: str) -> Column:
    """Return texts as numbers, dates or values."""
    stripped = [text.strip() for text in texts]
    if plan.kind == "category" and "number" not in plan.kinds:
        return values_in([None if text in MISSING else text for text in stripped], where)
    if plan.kind == "category":
        read, kind = _value_in, "a number, true or false"
    else:
        read, kind = (date_in, "a date") if plan.kind == "date" else (number_in, "a number")
    found = read_all(read, stripped, block, where, f"{kind}, {_AS_LEARNT}")
    if plan.kind == "category":
        return values_in(found, where)
    return Column(plan.kind, np.array(found, DATES if plan.kind == "date" else np.float64))


def read_all(read: Callable[[str], Any], texts: Sequence[str], block: Block, where: str, expected: str) -> list[Any]:
    """Return what all texts are.

    Raises
    ------
    CommandError
        With the place of the first one that cannot be read.
    """
    found: list[Any] = []
    try:
        found.extend(map(read, texts))
    except ValueError:
        at = len(found)
        raise CommandError(
            f"{where}, {block.place(at)}: {shown(texts[at])}, expected {expected}, or nothing where it is missing"
        ) from None
    return found


def _value_in(text: str) -> Any:
    """Return a number or a truth value of a category; None for what stands for nothing."""
    if text in MISSING:
        return None
    truth = _TRUTHS.get(text.lower())
    return number_in(text) if truth is None else truth


def require_columns(source: Source, names: Iterable[str], what: str) -> None:
    """Raise CommandError unless the table has these columns."""
    lacks = [name for name in names if name not in source.names]
    if lacks:
        shown_names = ", ".join(map(repr, lacks[:5])) + (", ..." if len(lacks) > 5 else "")
        has = ", ".join(map(repr, source.names[:8])) + (", ..." if len(source.names) > 8 else "")
        plural = "s" if len(lacks) > 1 else ""
        raise CommandError(f"{source.path} lacks the column{plural} {shown_names} {what}; it has {has}")
