"""What becomes of one column of a table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import shown
from fastnn.sklearn.frames import Column, Floats

MOST_ONE_HOT = 8  # values of a category that become columns of 0 and 1: with the slot of what is missing, 9
_DAY = 86_400_000_000  # microseconds
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


class Plan:
    """What becomes of one column.

    Attributes
    ----------
    place, name : int, str
        Of the column.
    kind : str
        What it holds.
    made : list of str
        Names of what it becomes.
    said : str
        The same in words.
    """

    kind = ""

    def __init__(self, place: int, name: str) -> None:
        self.place, self.name = place, name
        self.made: list[str] = []
        self.said = ""
        self.missing = 0.0


class Dropped(Plan):
    def __init__(self, place: int, name: str, kind: str, why: str) -> None:
        super().__init__(place, name)
        self.kind, self.said = kind, f"dropped: {why}"


class NumberPlan(Plan):
    """x, or the median of those that are known; behind all of them 1 where it was missing."""

    kind = "number"

    def __init__(self, place: int, name: str, x: Floats, weight: Floats | None, unknown: NDArray[np.bool_]) -> None:
        super().__init__(place, name)
        self.made = [name]
        self.marks = bool(unknown.any())
        known = x[~unknown]
        of_known = None if weight is None else weight[~unknown]
        self.median = float(weighted_quantiles(None, known[:, None], of_known, [0.5])[0, 0]) if self.marks else 0.0
        self.said = "scaled and smoothly clipped"
        if self.marks:
            self.said += f"; where it is missing, the median {self.median:g} and a mark"


class DatePlan(Plan):
    """Days since the first date, and those parts of it that differ: year, place in the year, day of the week, hour."""

    kind = "date"

    def __init__(self, place: int, name: str, dates: NDArray[np.datetime64]) -> None:
        super().__init__(place, name)
        known = dates[~np.isnat(dates)]
        self.first = int(known.min().astype(np.int64))
        self.marks = len(known) < len(dates)
        self.parts = list[str]()
        self.medians = {}
        for part, x in self._all(known).items():
            if np.ptp(x) > _SAME:
                self.parts.append(part)
                self.medians[part] = float(np.median(x))
        self.made = [f"{name}: {part}" for part in self.parts]
        self.said = "; ".join([", ".join(self.parts)] * bool(self.parts) + ["a mark where it is missing"] * self.marks)

    def _all(self, dates: NDArray[np.datetime64]) -> dict[str, Floats]:
        """Return all parts, each from its date alone."""
        time = dates.astype(np.int64)
        days = dates.astype("datetime64[D]")
        year = days.astype("datetime64[Y]")
        in_year = (days - year.astype("datetime64[D]")).astype(np.float64) * (2 * np.pi / 365.25)
        weekday = (days.astype(np.int64) + 3) % 7  # 1970 began on a Thursday
        in_day = (time % _DAY) * (2 * np.pi / _DAY)
        found: dict[str, Any] = {
            "days": (time.astype(np.float64) - self.first) / _DAY,
            "year": year.astype(np.int64) + 1970.0,
            "sine of the year": np.sin(in_year),
            "cosine of the year": np.cos(in_year),
            "sine of the day": np.sin(in_day),
            "cosine of the day": np.cos(in_day),
        }
        names = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
        return {**found, **{name: (weekday == i).astype(np.float64) for i, name in enumerate(names)}}

    def numbers(self, dates: NDArray[np.datetime64]) -> Floats:
        """Return what these dates become, a column each."""
        unknown = np.isnat(dates)
        columns = self._all(np.where(unknown, np.datetime64(self.first, "us"), dates))
        found = np.empty((len(dates), len(self.parts)))
        for j, part in enumerate(self.parts):
            found[:, j] = np.where(unknown, self.medians[part], columns[part])
        return found


class CategoryPlan(Plan):
    """A column of 0 and 1 for each value, -1 and 1 for two, or a code for an embedding."""

    kind = "category"

    def __init__(self, place: int, name: str, counts: dict[Any, int]) -> None:
        super().__init__(place, name)
        values = sorted(counts, key=_order)
        self.kinds = {_order(value)[0] for value in values}
        self.rare = 0
        if len(values) > MOST_ONE_HOT:
            often = [value for value in values if counts[value] >= _RARE]
            self.rare = len(values) - len(often)
            values = often
            self.form = "embedding" if values else "mark"
        else:
            self.form = "sign" if len(values) == 2 else "one-hot"
        self.values = values
        self.codes = {value: code for code, value in enumerate(values)}
        rest = "missing and unseen ones: "
        if self.form == "embedding":
            self.made = [name]
            too = f", {self.rare} that occur once" if self.rare else ""
            self.said = f"{len(values)} values: an embedding; {rest[:-2]}{too}: a vector of their own"
        elif self.form == "mark":
            self.made = [f"{name}: missing"]
            self.said = f"1 where it is missing; each of its {self.rare} values occurs once"
        elif self.form == "sign":
            self.made = [f"{name}: {values[1]}"]
            self.said = f"-1 for {values[0]!r}, 1 for {values[1]!r}; {rest}0"
        else:
            self.made = [f"{name}: {value}" for value in values]
            self.said = f"{len(values)} columns of 0 and 1; {rest}all 0"

    def find(self, column: Column) -> NDArray[np.int64]:
        """Return the code of each row, -1 where it is missing or unseen."""
        codes = np.array([*(self.codes.get(value, -1) for value in column.values), -1], np.int64)
        found: NDArray[np.int64] = codes[column.codes]
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
