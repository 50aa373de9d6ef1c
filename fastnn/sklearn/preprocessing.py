"""What becomes of each column of a table before a net reads it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn.checks import shown, warn
from fastnn.formats.errors import ModelFormatError
from fastnn.formats.graph import Value
from fastnn.formats.records import Labels, Record
from fastnn.formats.table_graph import Given, TableGraph, graph_of_table
from fastnn.markup import html_table
from fastnn.sklearn.frames import DATES, EXACT, Column, Floats, columns_in, is_frame, less, numbers_of
from fastnn.sklearn.plans import (
    CategoryPlan,
    DatePlan,
    Dropped,
    NumberPlan,
    Plan,
    asked_in,
    of_kinds,
    refuse_infinity,
    values_of,
    weighted_quantiles,
)

_MOST_FACTOR = 1e308
_Number = NumberPlan | DatePlan
_BOUND = 3.0  # of the smooth clipping
_MOST = 1e30  # whose square float64 holds


class Preprocessing:
    """What becomes of each column of a table before a net reads it, learnt from the rows of a fit.

    Numbers: (x - median) / (q75 - q25), half the range below where the quartiles are equal, then x / √(1 + (x / 3)²)
    (Holzmüller, Grinsztajn & Steinwart 2024); a missing one is the median, with a mark in a column of its own.
    Categories (text, booleans, categorical dtype) of up to 8 values: columns of 0 and 1, or -1 and 1 for two, scaled as
    numbers are; of more: codes, which the net embeds. Dates: days since the first one, and what of year, place in the
    year, day of the week and time of the day differs. Columns of one value are dropped.

    Parameters
    ----------
    categorical : "from_dtype", or sequence of int, str or bool
        Which columns are categories: those whose dtype says so, or also these, by place, name or as a mask.

    Attributes
    ----------
    names : list of str or None
        Of the columns, where it was fitted to a data frame.
    plans : list
        One for each column, in order.
    n_numbers : int
        How many columns of the matrix come from numbers and dates; those of 0 and 1 follow, then codes.
    codes : list of int
        How many values each column of codes has.
    origin : ndarray of int
        From which column of the table each column of the matrix comes.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.sklearn.preprocessing import Preprocessing
    >>> x = np.array([[1.0, 7.0], [2.0, 7.0], [np.nan, 7.0], [5.0, 7.0]])
    >>> preprocessing = Preprocessing().fit(x)
    >>> preprocessing.transform(x).shape
    (4, 2)
    >>> print(preprocessing)
    column  kind    missing  becomes
    x0      number  1        scaled and smoothly clipped; where it is missing, the median 2 and a mark
    x1      number  0        dropped: it is 7 in all rows
    """

    names: list[str] | None
    plans: list[Plan]
    n_numbers: int
    codes: list[int]
    origin: NDArray[np.intp]

    def __init__(self, categorical: Any = "from_dtype") -> None:
        self.categorical = categorical

    # -- from the rows of a fit ---------------------------------------------------------------------------------------

    def fit(self, x: Any, weight: Floats | None = None) -> Preprocessing:
        """Learn from these rows; those of weight 0 are not looked at."""
        self._learn(x, weight)
        return self

    def fit_transform(self, x: Any, weight: Floats | None = None) -> NDArray[np.float32]:
        """Learn from these rows, and return what they become."""
        return self._learn(x, weight)

    def _learn(self, x: Any, weight: Floats | None) -> NDArray[np.float32]:
        given, read = columns_in(x)
        self.names = [str(name) for name in x.columns] if is_frame(x) else None
        names = self.names or [f"x{i}" for i in range(len(given))]
        asked = asked_in(self.categorical, names)
        columns = [read(column, f"column {name!r}") for column, name in zip(given, names, strict=True)]
        rows = None if weight is None else np.flatnonzero(weight)
        of_rows = None if weight is None or rows is None else weight[rows]
        self.plans = [
            self._plan(i, name, column, i in asked, rows, of_rows)
            for i, (name, column) in enumerate(zip(names, columns, strict=True))
        ]
        self._arrange()
        matrix = self._gather(columns, x.shape[0], None)
        few = matrix[:, : self.n_scaled] if rows is None else matrix[rows, : self.n_scaled]
        self._scale(few, of_rows)
        return self._finish(matrix)

    def _plan(self, place: int, name: str, column: Column, asked: bool, rows: Any, weight: Floats | None) -> Plan:
        if asked and column.kind == "number":
            column = values_of(column)
        if asked and column.kind == "date":
            raise ValueError(
                f"categorical_features has column {name!r}, which holds dates: leave it out, or make text of it"
            )
        if column.codes is not None:
            codes = column.codes if rows is None else column.codes[rows]
            often = np.bincount(codes + 1, minlength=len(column.values) + 1)
            counts = {value: n for value, n in zip(column.values, often[1:].tolist(), strict=True) if n}
            missing = int(often[0])
            if not counts:
                return Dropped(place, name, missing, "category", "all are missing")
            if len(counts) == 1 and not missing:
                return Dropped(place, name, 0, "category", f"it is {shown(next(iter(counts)))} in all rows")
            category = CategoryPlan.learnt(place, name, missing, counts)
            if not category.values and not missing:
                return Dropped(place, name, 0, "category", f"each of its {len(counts)} values occurs once")
            return category
        first, last = _ends_of(name, column, rows) if column.whole is not None else (0, 0)
        x = less(column, first)
        x = x if rows is None else x[rows]
        if column.kind == "date":
            unknown = np.isnat(x)
        else:
            unknown = np.isnan(x)
            refuse_infinity(name, x)
        missing = int(np.count_nonzero(unknown))
        if missing == len(x):
            return Dropped(place, name, missing, column.kind, "all are missing")
        known = x[~unknown] if missing else x
        if not missing and known.min() == known.max():
            least = known[0] if column.kind == "date" else first or f"{known[0]:g}"
            return Dropped(place, name, 0, column.kind, f"it is {least} in all rows")
        if column.kind == "date":
            return DatePlan.learnt(place, name, missing, x)
        return NumberPlan.learnt(place, name, missing, x, weight, unknown, first, last if last >= 2**63 else 0)

    def _arrange(self) -> None:
        """Say where in the matrix what becomes of each column stands."""
        numbers = [plan for plan in self.plans if isinstance(plan, (NumberPlan, DatePlan))]
        flags = [plan for plan in self.plans if isinstance(plan, CategoryPlan) and plan.form != "embedding"]
        coded = [plan for plan in self.plans if isinstance(plan, CategoryPlan) and plan.form == "embedding"]
        marked = [plan for plan in numbers if plan.marks]
        origin, names = list[int](), list[str]()
        for plan in (*numbers, *flags):
            origin += [plan.place] * len(plan.made)
            names += plan.made
        self.n_numbers = sum(len(plan.made) for plan in numbers)
        origin += [plan.place for plan in marked]
        names += [f"{plan.name}: missing" for plan in marked]
        self.n_scaled = len(origin)
        origin += [plan.place for plan in coded]
        names += [plan.name for plan in coded]
        self.codes = [len(plan.values) for plan in coded]
        self.origin, self.made = np.array(origin, np.intp), names
        self._numbers, self._flags, self._coded = numbers, flags, coded
        at = dict(zip(map(id, numbers), np.cumsum([0, *(len(plan.made) for plan in numbers)]).tolist(), strict=False))
        marks = {id(plan): self.n_scaled - len(marked) + i for i, plan in enumerate(marked)}
        self._dates = [(plan, at[id(plan)], marks.get(id(plan))) for plan in numbers if isinstance(plan, DatePlan)]
        self._plain = [plan for plan in numbers if isinstance(plan, NumberPlan)]
        self._from = np.array([plan.place for plan in self._plain], np.intp)
        self._to = np.array([at[id(plan)] for plan in self._plain], np.intp)
        self._may_lack = np.array([plan.marks for plan in self._plain], bool)
        self._marks = np.array([marks[id(plan)] for plan in self._plain if plan.marks], np.intp)
        self._medians = np.array([plan.median for plan in self._plain])
        self._is_plain = all(
            isinstance(plan, Dropped) or (isinstance(plan, NumberPlan) and not plan.first) for plan in self.plans
        )

    def _scale(self, x: Floats, weight: Floats | None) -> None:
        if not self.n_scaled:
            self.center, self.factor = np.zeros(0), np.zeros(0)
            return
        low, middle, high = weighted_quantiles(None, x, weight, [0.25, 0.5, 0.75])
        self.center = middle
        with np.errstate(over="ignore"):  # of the largest numbers, and of subnormal ones
            spread = high - low
            half = 0.5 * (x.max(axis=0) - x.min(axis=0))
            spread = np.minimum(np.where(spread > 0, spread, half), np.finfo(np.float64).max)
            factor = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
        self.factor = np.minimum(factor, _MOST_FACTOR)

    # -- of any rows --------------------------------------------------------------------------------------------------

    def transform(self, x: Any) -> NDArray[np.float32]:
        """Return the matrix that the net reads: numbers, columns of 0 and 1, codes.

        Raises
        ------
        ValueError, TypeError
            Where a column holds another kind of values than those of the fit.
        """
        numbers = numbers_of(x) if self._is_plain else None
        if numbers is not None:
            return self._finish(self._gather(numbers, len(numbers), self._fill()))
        given, read = columns_in(x)
        columns = [
            None if isinstance(plan, Dropped) else read(column, f"column {plan.name!r}")
            for plan, column in zip(self.plans, given, strict=True)
        ]
        return self._finish(self._gather(columns, x.shape[0], self._fill()))

    def _fill(self) -> Floats:
        """Return what stands for numbers that are missing: where none was in the fit, what becomes 0."""
        found: Floats = np.where(self._may_lack, self._medians, self.center[self._to])
        return found

    def _gather(self, columns: Sequence[Column | None] | Floats, n: int, fill: Floats | None) -> Floats:
        """Return the matrix of n rows before it is scaled; where `fill` is None, of the fit, some rows may be odd."""
        matrix = np.zeros((n, len(self.origin)))
        self._gather_numbers(columns, matrix, fill)
        for plan, at, mark in self._dates:
            dates = self._same(plan, columns[plan.place]).numbers
            matrix[:, at : at + len(plan.made)] = plan.numbers(dates)
            if mark is not None:
                matrix[:, mark] = np.isnat(dates)
        at = self.n_numbers
        for category in self._flags:
            n = len(category.made)
            category.write(self._same(category, columns[category.place]), matrix[:, at : at + n])
            at += n
        for j, category in enumerate(self._coded):
            matrix[:, self.n_scaled + j] = category.find(self._same(category, columns[category.place]))
        return matrix

    def _gather_numbers(self, columns: Sequence[Column | None] | Floats, matrix: Floats, fill: Floats | None) -> None:
        if isinstance(columns, np.ndarray):
            x = columns[:, self._from].astype(np.float64, copy=False)
        else:
            x = np.empty((len(matrix), len(self._plain)))
            for j, plan in enumerate(self._plain):
                x[:, j] = less(self._same(plan, columns[plan.place]), plan.first)
        if fill is not None and np.isinf(x).any():
            refuse_infinity(self._plain[int(np.isinf(x).any(axis=0).argmax())].name, x)
        unknown = np.isnan(x)
        if unknown.any():
            x = np.where(unknown, self._medians if fill is None else fill, x)
            matrix[:, self._marks] = unknown[:, self._may_lack]
        matrix[:, self._to] = x

    def _same(self, plan: Plan, column: Column | None) -> Column:
        """Return the column, where it holds what the plan is for."""
        assert column is not None
        if isinstance(plan, CategoryPlan) and column.kind in ("category", "number"):
            return of_kinds(plan, column)
        if column.kind == plan.kind:
            return column
        n = len(column.numbers if column.codes is None else column.codes)
        if column.kind == "empty" or (column.kind == "number" and np.isnan(column.numbers).all()):
            if plan.kind == "category":
                return Column("category", None, np.full(n, -1), [])
            if plan.kind == "date":
                return Column("date", np.full(n, "NaT", DATES))
            return Column("number", np.full(n, np.nan))
        if (
            plan.kind == "number"
            and column.codes is not None
            and all(isinstance(v, (bool, np.bool_)) for v in column.values)
        ):
            values = np.array([*map(float, column.values), np.nan])
            return Column("number", values[column.codes])
        raise ValueError(
            f"column {plan.name!r} holds {_PLURAL[column.kind]}, expected {_PLURAL[plan.kind]}, as in the rows of the "
            "fit: convert it, or fit anew"
        )

    def _finish(self, matrix: Floats) -> NDArray[np.float32]:
        """Scale and clip what is not a code."""
        n = self.n_scaled
        if not len(self.origin):
            return np.zeros((len(matrix), 1), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            x = matrix[:, :n]
            x -= self.center
            x *= self.factor
            np.clip(x, -_MOST, _MOST, out=x)
            x /= np.sqrt(1 + np.square(x / _BOUND))
        return matrix.astype(np.float32)

    # -- in other formats ---------------------------------------------------------------------------------------------

    def _table(self, inputs: str | None) -> TableGraph:
        """Return a graph that is given the columns; those that are dropped stand in a matrix alone."""
        if inputs is None and any(isinstance(p, Dropped) and p.kind in ("category", "date") for p in self.plans):
            inputs = "columns"
        return graph_of_table([Given(plan.name, plan.given_as) for plan in self.plans], inputs)

    def _graph(self, to: TableGraph) -> Value:
        """Add the matrix that the net reads: computed in float64, then rounded."""
        if not len(self.origin):
            return to.zeros()
        numbers, marks = list[Value](), list[Value]()
        for _, group in itertools.groupby(self._numbers, lambda plan: plan.given_as):
            made, missing = self._graph_of_numbers([*group], to)
            numbers += made
            marks += missing
        flags, coded = ([self._graph_of_category(plan, to) for plan in plans] for plans in (self._flags, self._coded))
        if not self.n_scaled:
            return to.cast(to.concat(coded), np.float32)
        with to.part("scaling"):
            x = to.scale(to.concat([*numbers, *flags, *marks]), None, -self.center)
            bound = np.full(x.n, _MOST)
            x = to.smooth_clip(to.clip(to.scale(x, self.factor), -bound, bound), _BOUND)
            return to.cast(to.concat([x, *coded]), np.float32)

    def _graph_of_numbers(self, plans: Sequence[_Number], to: TableGraph) -> tuple[list[Value], list[Value]]:
        """Add what columns of one kind become, and their marks; numbers that stand as they are together."""
        if any(isinstance(plan, DatePlan) or plan.first for plan in plans):
            numbers, marks = list[Value](), list[Value]()
            for plan in plans:
                with to.part(f"column {plan.name!r}"):
                    x = to.of_table([plan.place])
                    if isinstance(plan, DatePlan):
                        made, known = plan._graph(x, to)
                    else:
                        known = to.less(x, plan.first)
                        made = to.fill(known, known, self._fill_of([plan]))
                    numbers += [made] * bool(plan.made)
                    marks += [to.missing(known)] if plan.marks else []
            return numbers, marks
        with to.part("numbers"):
            x = to.of_table([plan.place for plan in plans])
            marked = [i for i, plan in enumerate(plans) if plan.marks]
            marks = [to.missing(to.columns(x, marked))] if marked else []
            return [to.fill(x, x, self._fill_of(plans))], marks

    def _fill_of(self, plans: Sequence[_Number]) -> Floats:
        fill = dict(zip(self._from.tolist(), self._fill().tolist(), strict=True))
        return np.array([fill[plan.place] for plan in plans])

    def _graph_of_category(self, plan: CategoryPlan, to: TableGraph) -> Value:
        with to.part(f"column {plan.name!r}"):
            return plan._graph(to.of_table([plan.place]), to)

    # -- what is saved ------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return what `from_state` makes it of again: a letter for each column, and what each kind has learnt."""
        return {
            "names": None if self.names is None else Labels(self.names),
            "becomes": "".join(_LETTERS[type(plan)] for plan in self.plans),
            "missing": np.array([plan.missing for plan in self.plans], np.int64),
            "marks": self._may_lack,
            "medians": self._medians,
            "firsts": [[i, plan.first] for i, plan in enumerate(self._plain) if plan.first],
            "lasts": [[i, plan.last] for i, plan in enumerate(self._plain) if plan.last],
            "columns": [plan.state() for plan in self.plans if not isinstance(plan, NumberPlan)],
            "center": self.center,
            "factor": self.factor,
        }

    @classmethod
    def from_state(cls, categorical: Any, state: Record) -> Preprocessing:
        """Return what has come to that."""
        found = cls(categorical)
        becomes = state.text("becomes")
        n = len(becomes)
        if not n or {*becomes} - {*_LETTERS.values()}:
            raise ModelFormatError(f"its columns become {becomes[:40]!r}, expected letters of {_LETTERS.values()}")
        found.names = state.names("names", n) if state.has("names") else None
        names = found.names or [f"x{i}" for i in range(n)]
        missing = state.array("missing", np.int64, n).tolist()
        numbers = becomes.count(_LETTERS[NumberPlan])
        marks, medians = state.array("marks", np.bool_, numbers), state.array("medians", np.float64, numbers)
        ends = [state.pairs("firsts", numbers), state.pairs("lasts", numbers) if state.has("lasts") else {}]
        of_ends = [[own.get(i, 0) for i in range(numbers)] for own in ends]
        of_numbers = zip(marks.tolist(), medians.tolist(), *of_ends, strict=True)
        others = state.items("columns")
        kinds = {letter: kind for kind, letter in _LETTERS.items()}
        found.plans = []
        for place, letter in enumerate(becomes):
            said = place, names[place], missing[place]
            if letter == _LETTERS[NumberPlan]:
                found.plans.append(NumberPlan(*said, *next(of_numbers)))
            else:
                found.plans.append(kinds[letter].from_state(*said, next(others)))
        for _ in others:
            raise ModelFormatError("it has more columns than there are letters for")
        found._arrange()
        found.center = state.array("center", np.float64, found.n_scaled)
        found.factor = state.array("factor", np.float64, found.n_scaled)
        return found

    # -- what it says -------------------------------------------------------------------------------------------------

    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [(plan.name, plan.kind, str(plan.missing), plan.said) for plan in self.plans]

    def __str__(self) -> str:
        rows = [("column", "kind", "missing", "becomes"), *self._rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [[cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)] + [row[3]] for row in rows]
        return "\n".join("  ".join(line) for line in lines)

    def __repr__(self) -> str:
        return f"Preprocessing(categorical={self.categorical!r})"

    def _repr_html_(self) -> str:
        return html_table(("column", "kind", "missing", "becomes"), self._rows(), 0)


def _ends_of(name: str, column: Column, rows: Any) -> tuple[int, int]:
    """Return the least of whole numbers beyond 2^53, which is subtracted, and the largest one.

    Where they would lose digits even so, say it.
    """
    kept = np.arange(len(column.numbers)) if rows is None else rows
    kept = kept[~np.isnan(column.numbers[kept])]
    if not len(kept):
        return 0, 0
    values = column.whole[kept]
    least, most = int(values.min()), int(values.max())
    if most - least > EXACT:
        warn(
            f"column {name!r} holds whole numbers from {least} to {most}, of which those that lie within "
            f"{(most - least) // EXACT + 1} of each other are not told apart: make text of them where they are "
            "identifiers, or leave the column out"
        )
    return least, most


_PLURAL = {"number": "numbers", "category": "text or booleans", "date": "dates", "empty": "nothing"}
_LETTERS: dict[type[Any], str] = {NumberPlan: "n", DatePlan: "d", CategoryPlan: "c", Dropped: "-"}
