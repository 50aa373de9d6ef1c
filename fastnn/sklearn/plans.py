"""What becomes of one column of a table."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import shown
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.records import Labels, Record
from fastnn.formats.table_graph import A_DAY, A_YEAR, NOTHING, PARTS, TEXT, TableGraph
from fastnn.sklearn.frames import EXACT, Column, Floats, coded

if TYPE_CHECKING:
    from fastnn.formats.graph import Value

MOST_ONE_HOT = 8  # values of a category that become columns of 0 and 1: with the slot of what is missing, 9
_RARE = 2  # a value of an embedded category that occurs less often is unseen, so that the vector of those is trained
_SAME = 1e-12  # by how much parts of dates may differ that are the same


def weighted_quantiles(sorted_rows: NDArray[np.intp] | None, values: Floats, weight: Floats | None, at: Any) -> Floats:
    """Return quantiles of each column: the least number at or below which there is that share of the weight.

    A row of weight 2 counts as two rows. Numbers are those of NumPy's "inverted_cdf", which has no weights before 2.0.
    """
    n = len(values)
    if weight is None:
        places = np.maximum(np.ceil(np.asarray(at) * n).astype(int) - 1, 0)
        parted = np.partition(values, np.unique(places), axis=0)
        found: Floats = parted[places]
        return found
    order = np.argsort(values, axis=0, kind="stable") if sorted_rows is None else sorted_rows
    total = np.cumsum(weight[order], axis=0)
    found = np.empty((len(at), values.shape[1]))
    for j in range(values.shape[1]):
        places = np.searchsorted(total[:, j], np.asarray(at) * total[-1, j])
        found[:, j] = values[order[np.minimum(places, n - 1), j], j]
    return found


class Plan(ABC):
    """What becomes of one column.

    Attributes
    ----------
    place, name : int, str
        Of the column.
    missing : int
        In how many rows of the fit there was nothing.
    kind : str
        What it holds.
    """

    __slots__ = ("missing", "name", "place")
    kind = ""

    def __init__(self, place: int, name: str, missing: int) -> None:
        self.place, self.name, self.missing = place, name, missing

    @property
    def made(self) -> list[str]:
        """Names of what it becomes."""
        return []

    @property
    @abstractmethod
    def said(self) -> str:
        """The same in words."""

    @property
    @abstractmethod
    def given_as(self) -> str:
        """What other formats are given in its place, as `table_graph.Input` says it, or "" for nothing."""

    def _refuse(self, why: str) -> ValueError:
        return ValueError(
            f"column {self.name!r} {why}, which other formats cannot hold: change the column and fit anew, or export "
            "with preprocessing=False, what the nets read"
        )

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what `from_state` makes it of again, beside place, name and what is missing."""


class Dropped(Plan):
    """Nothing."""

    __slots__ = ("kind", "why")

    def __init__(self, place: int, name: str, missing: int, kind: str, why: str) -> None:
        super().__init__(place, name, missing)
        self.kind, self.why = kind, why

    @property
    def said(self) -> str:
        return f"dropped: {self.why}"

    @property
    def given_as(self) -> str:
        return ""

    def state(self) -> dict[str, Any]:
        return {"kind": self.kind, "why": self.why}

    @classmethod
    def from_state(cls, place: int, name: str, missing: int, state: Record) -> Dropped:
        """Return it again."""
        return cls(place, name, missing, state.choice("kind", _KINDS_OF_COLUMNS), state.text("why"))


class NumberPlan(Plan):
    """x, or the median of those that are known; behind all of them 1 where it was missing.

    Of whole numbers beyond 2^53 it is x - first, so that those which lie together stay apart; `last` is the largest one
    of the fit, if it is beyond 64 bits with a sign, else 0.
    """

    __slots__ = ("first", "last", "marks", "median")
    kind = "number"

    def __init__(
        self, place: int, name: str, missing: int, marks: bool, median: float, first: int = 0, last: int = 0
    ) -> None:
        super().__init__(place, name, missing)
        self.marks, self.median, self.first, self.last = marks, median, first, last

    def state(self) -> dict[str, Any]:
        return {"marks": self.marks, "median": self.median, "first": self.first}

    @classmethod
    def learnt(
        cls, place: int, name: str, missing: int, x: Floats, weight: Floats | None, unknown: Any, first: int, last: int
    ) -> NumberPlan:
        """Return what becomes of the numbers of a fit."""
        if not missing:
            return cls(place, name, 0, False, 0.0, first, last)
        of_known = None if weight is None else weight[~unknown]
        median = float(weighted_quantiles(None, x[~unknown][:, None], of_known, [0.5])[0, 0])
        return cls(place, name, missing, True, median, first, last)

    @property
    def made(self) -> list[str]:
        return [self.name]

    @property
    def said(self) -> str:
        found = f"less {self.first}, " if self.first else ""
        found += "scaled and smoothly clipped"
        return f"{found}; where it is missing, the median {self.median:g} and a mark" if self.marks else found

    @property
    def given_as(self) -> str:
        if not -(2**63) < self.first < 2**63:
            raise self._refuse(f"holds whole numbers beyond 64 bits, from {self.first} on")
        if self.first and self.last:
            raise self._refuse(f"holds whole numbers beyond 64 bits, up to {self.last}")
        return "whole numbers" if self.first else "numbers"


class DatePlan(Plan):
    """Days since the first date, and those parts of it that differ: year, place in the year, day of the week, hour."""

    __slots__ = ("first", "marks", "medians")
    kind = "date"

    def __init__(self, place: int, name: str, missing: int, marks: bool, first: int, medians: dict[str, float]) -> None:
        super().__init__(place, name, missing)
        self.marks, self.first, self.medians = marks, first, medians

    @classmethod
    def learnt(cls, place: int, name: str, missing: int, dates: Any) -> DatePlan:
        """Return what becomes of the dates of a fit."""
        known = dates[~np.isnat(dates)]
        first = int(known.min().astype(np.int64))
        parts = _parts_of(known, first)
        medians = {part: float(np.median(x)) for part, x in parts.items() if np.ptp(x) > _SAME}
        return cls(place, name, missing, missing > 0, first, medians)

    @property
    def parts(self) -> list[str]:
        """Names of the parts that differ."""
        return [*self.medians]

    @property
    def made(self) -> list[str]:
        return [f"{self.name}: {part}" for part in self.medians]

    @property
    def said(self) -> str:
        return "; ".join([", ".join(self.medians)] * bool(self.medians) + ["a mark where it is missing"] * self.marks)

    @property
    def given_as(self) -> str:
        return "dates"

    def _graph(self, x: Value, to: TableGraph) -> tuple[Value, Value]:
        """Add what dates become, and the days alone, which are NaN where they are missing."""
        days = to.date_parts(x, self.first, ["days"])
        if not self.medians:
            return days, days
        parts = to.date_parts(x, self.first, self.parts)
        return to.fill(parts, parts, np.array([*self.medians.values()])), days

    def state(self) -> dict[str, Any]:
        medians = np.array([*self.medians.values()], np.float64)
        return {"marks": self.marks, "first": self.first, "parts": self.parts, "medians": medians}

    @classmethod
    def from_state(cls, place: int, name: str, missing: int, state: Record) -> DatePlan:
        """Return it again."""
        marks, first, parts = state.flag("marks"), state.whole("first", -(2**63), 2**63 - 1), state.names("parts")
        if {*parts} - {*PARTS} or len({*parts}) < len(parts):
            raise ModelFormatError(f"column {name[:40]!r} has the parts {str(parts)[:80]}, expected those of dates")
        medians = state.array("medians", np.float64, len(parts)).tolist()
        return cls(place, name, missing, marks, first, dict(zip(parts, medians, strict=True)))

    def numbers(self, dates: NDArray[np.datetime64]) -> Floats:
        """Return what these dates become, a column each."""
        unknown = np.isnat(dates)
        columns = _parts_of(np.where(unknown, np.datetime64(self.first, "us"), dates), self.first)
        found = np.empty((len(dates), len(self.medians)))
        for j, (part, median) in enumerate(self.medians.items()):
            found[:, j] = np.where(unknown, median, columns[part])
        return found


def _parts_of(dates: NDArray[np.datetime64], first: int) -> dict[str, Floats]:
    """Return all parts, each from its date alone."""
    time = dates.astype(np.int64)
    days = dates.astype("datetime64[D]")
    year = days.astype("datetime64[Y]")
    in_year = (days - year.astype("datetime64[D]")).astype(np.float64) * (2 * np.pi / A_YEAR)
    weekday = (days.astype(np.int64) + 3) % 7  # 1970 began on a Thursday
    in_day = (time % A_DAY) * (2 * np.pi / A_DAY)
    found: list[Any] = [
        (time.astype(np.float64) - first) / A_DAY, year.astype(np.int64) + 1970.0,
        np.sin(in_year), np.cos(in_year), np.sin(in_day), np.cos(in_day),
        *((weekday == i).astype(np.float64) for i in range(7)),
    ]  # fmt: skip
    return dict(zip(PARTS, found, strict=True))


class CategoryPlan(Plan):
    """A column of 0 and 1 for each value, -1 and 1 for two, or a code for an embedding.

    Attributes
    ----------
    values : list
        In order: of a long list of values those that occur more than once.
    rare : int
        How many others there were.
    form : {"one-hot", "sign", "embedding", "mark"}
        Of the last one it only counts whether there is something.
    kinds : set of str
        Of the values of the fit.
    """

    __slots__ = ("_codes", "form", "kinds", "rare", "values")
    kind = "category"

    def __init__(
        self, place: int, name: str, missing: int, form: str, values: list[Any], kinds: set[str], rare: int
    ) -> None:
        super().__init__(place, name, missing)
        self.form, self.values, self.kinds, self.rare = form, values, kinds, rare
        self._codes: dict[Any, int] | None = None

    @classmethod
    def learnt(cls, place: int, name: str, missing: int, counts: dict[Any, int]) -> CategoryPlan:
        """Return what becomes of values that have occurred so often."""
        values = sorted(counts, key=_order)
        kinds = {_order(value)[0] for value in values}
        if len(values) <= MOST_ONE_HOT:
            return cls(place, name, missing, "sign" if len(values) == 2 else "one-hot", values, kinds, 0)
        often = [value for value in values if counts[value] >= _RARE]
        return cls(place, name, missing, "embedding" if often else "mark", often, kinds, len(values) - len(often))

    @property
    def made(self) -> list[str]:
        if self.form == "embedding":
            return [self.name]
        if self.form == "mark":
            return [f"{self.name}: missing"]
        return [f"{self.name}: {value}" for value in (self.values[1:] if self.form == "sign" else self.values)]

    @property
    def said(self) -> str:
        rest = "missing and unseen ones: "
        if self.form == "embedding":
            too = f", {self.rare} that occur once" if self.rare else ""
            return f"{len(self.values)} values: an embedding; {rest[:-2]}{too}: a vector of their own"
        if self.form == "mark":
            return f"1 where it is missing; each of its {self.rare} values occurs once"
        if self.form == "sign":
            return f"-1 for {self.values[0]!r}, 1 for {self.values[1]!r}; {rest}0"
        return f"{len(self.values)} columns of 0 and 1; {rest}all 0"

    @property
    def given_as(self) -> str:
        if self.kinds != {"text"} and self.kinds != {"number"}:
            raise self._refuse(f"holds {' and '.join(_KINDS[kind] for kind in sorted(self.kinds))}")
        if self.kinds == {"text"}:
            try:
                "".join(self.values).encode()
            except UnicodeEncodeError:
                raise self._refuse("holds halves of letters, which are no text of Unicode") from None
            if self.missing and "" in self.values:
                raise self._refuse('holds the text "" beside missing values, both of them given as ""')
            return "text"
        if not any(isinstance(value, int) and abs(value) > EXACT for value in self.values):
            return "numbers"
        if not all(value == int(value) and -(2**63) < value < 2**63 for value in self.values):
            raise self._refuse("holds whole numbers beyond 64 bits, or beside fractions")
        return "whole numbers"

    def _graph(self, x: Value, to: TableGraph) -> Value:
        """Add what values become: of text "" is what is missing, if it is no value."""
        if x.dtype == np.float32:
            x = to.cast(x, np.float64)
        if self.form == "mark":
            if x.dtype == np.float64:
                return to.missing(x)
            return to.lookup(x, ["" if x.dtype == TEXT else NOTHING], [1], 0)
        keys = self.values if x.dtype == TEXT else [x.dtype.type(value) for value in self.values]
        if self.form == "sign":
            return to.lookup(x, keys, [-1, 1], 0)
        codes = to.lookup(x, keys, range(len(keys)), -1)
        return codes if self.form == "embedding" else to.one_hot(codes, 0, len(keys), False)

    def state(self) -> dict[str, Any]:
        return {"form": self.form, "values": Labels(self.values), "kinds": sorted(self.kinds), "rare": self.rare}

    @classmethod
    def from_state(cls, place: int, name: str, missing: int, state: Record) -> CategoryPlan:
        """Return it again."""
        form, values = state.choice("form", ("one-hot", "sign", "embedding", "mark")), state.labels("values")
        kinds, rare = {*state.names("kinds")}, state.whole("rare")
        n = len(values)
        allowed = {"one-hot": 1 <= n <= MOST_ONE_HOT, "sign": n == 2, "embedding": n > 0, "mark": n == 0}[form]
        ordered = [*map(_order, values)]
        if not allowed or kinds - {*_KINDS} or any(a >= b for a, b in itertools.pairwise(ordered)):
            raise ModelFormatError(f"column {name[:40]!r} has {n} values as {form!r}, which it may not have")
        return cls(place, name, missing, form, values, kinds, rare)

    def find(self, column: Column) -> NDArray[np.int64]:
        """Return the code of each row, -1 where it is missing or unseen."""
        if self._codes is None and column.values:
            self._codes = {value: code for code, value in enumerate(self.values)}
        codes = np.array([*(self._codes.get(value, -1) for value in column.values), -1], np.int64)  # type: ignore[union-attr]
        found: NDArray[np.int64] = codes[column.codes]
        return found

    def write(self, column: Column, into: Floats) -> None:
        """Write what rows become into columns that are 0, as many as `made` names."""
        codes = self.find(column)
        if self.form == "embedding":
            into[:, 0] = codes
        elif self.form == "mark":
            into[:, 0] = column.codes < 0
        elif self.form == "sign":
            into[:, 0] = np.where(codes < 0, 0, 2 * codes - 1)
        else:
            rows = np.flatnonzero(codes >= 0)
            into[rows, codes[rows]] = 1


_KINDS_OF_COLUMNS = ("number", "category", "date", "empty")


def asked_in(asked: Any, names: Sequence[str]) -> set[int]:
    """Return the places of columns that are said to be categories, by names, places or a mask."""
    if asked is None or (isinstance(asked, str) and asked == "from_dtype"):
        return set()
    if isinstance(asked, (list, tuple, set)):  # of names and places, which an array would make text of
        given = [one.item() if isinstance(one, np.generic) else one for one in asked]
    else:
        given = np.asarray(asked).ravel().tolist()
    if given and all(isinstance(one, bool) for one in given):
        if len(given) != len(names):
            raise ValueError(f"categorical_features is a mask of {len(given)} columns, expected one of {len(names)}")
        return {i for i, one in enumerate(given) if one}
    found = set()
    for one in given:
        if isinstance(one, str) and one in names:
            found.add(names.index(one))
        elif isinstance(one, int) and not isinstance(one, bool) and -len(names) <= one < len(names):
            found.add(one % len(names))
        else:
            raise ValueError(
                f"categorical_features has {one!r}, expected 'from_dtype', or names, places or a mask of the "
                f"{len(names)} columns"
            )
    return found


def refuse_infinity(name: str, x: Floats) -> None:
    if np.isinf(x).any():
        raise ValueError(
            f"Input X contains infinity or a value too large for dtype('float64'): column {name!r}; NaN stands for "
            "what is missing"
        )


def _order(value: Any) -> tuple[str, Any]:
    kind = "text" if isinstance(value, str) else "bytes" if isinstance(value, bytes) else "number"
    return kind, value


def values_of(column: Column) -> Column:
    """Return numbers as values of a category."""
    if column.whole is not None:
        pairs = zip(column.whole.tolist(), column.numbers.tolist(), strict=True)
        given = [None if known != known else value for value, known in pairs]
        return coded(given)
    values, codes = np.unique(column.numbers, return_inverse=True)
    known = [value for value in values.tolist() if value == value]
    codes = codes.reshape(-1)
    return Column("category", None, np.where(codes < len(known), codes, -1), known)


def of_kinds(plan: CategoryPlan, column: Column) -> Column:
    """Return the values, where they are of the kinds that the fit had: True is the number 1, "1" is not."""
    if column.codes is None:
        column = values_of(column)
    assert column.codes is not None
    odd = [i for i, value in enumerate(column.values) if _order(value)[0] not in plan.kinds]
    if odd and np.isin(column.codes, odd).any():
        value = next(column.values[i] for i in odd if (column.codes == i).any())
        raise ValueError(
            f"column {plan.name!r} holds {_KINDS[_order(value)[0]]} ({shown(value)}), expected "
            f"{' or '.join(_KINDS[kind] for kind in sorted(plan.kinds))}, as in the rows of the fit: convert it, or "
            "fit anew"
        )
    return column


_KINDS = {"text": "text", "bytes": "bytes", "number": "numbers or booleans"}
